import subprocess
import sys
import textwrap

import pytest
from journals.notebook import answer, get, post

REQUESTS = [get(n) for n in range(40)] + [post(n) for n in range(10)]


def body_of(position):
    return b'{"n": %d, "t": "%s"}' % (position, b"x" * (position % 5 * 700))


def reply(request, position):
    return answer(request, position, body=body_of(position)), body_of(position)


async def check_rerun(notebook, *, damaged_told):
    """Run all again over a damaged journal: whatever was lost, no row is wrong, and no POST leaves a second time."""
    notebook.sent.clear()
    rows = await notebook.run(REQUESTS, reply=reply)
    for position, row in enumerate(rows):
        if row.error == "unknown":
            assert row.request.method == "POST"
        else:
            assert row.ok
            if row.data is not None:
                assert row.data["n"] == position
    assert not any("/orders/" in url for url in notebook.sent)
    told = any("damaged" in note for note in notebook.notes)
    assert told or not damaged_told
    assert (notebook.sent or any(row.error for row in rows)) or not told or damaged_told is None


@pytest.fixture
async def whole(notebook):
    await notebook.run(REQUESTS, reply=reply)
    return notebook.path.read_bytes()


async def test_sound_journal_is_not_called_damaged(notebook, whole):
    notebook.sent.clear()
    await notebook.run(REQUESTS, reply=reply)
    assert notebook.sent == []
    assert notebook.news == []


@pytest.mark.parametrize("part", range(25))
async def test_file_torn_anywhere_gives_no_wrong_row(notebook, whole, part):
    length = 1 + (len(whole) - 2) * part // 24
    notebook.path.write_bytes(whole[:length])
    await check_rerun(notebook, damaged_told=True)
    await check_rerun(notebook, damaged_told=None)


@pytest.mark.parametrize("length", [1, 15, 16, 17, 72, 99, 100, 101, 511])
async def test_file_torn_in_its_head_is_moved_aside(notebook, whole, length, tmp_path):
    notebook.path.write_bytes(whole[:length])
    await check_rerun(notebook, damaged_told=True)
    [aside] = [path for path in tmp_path.iterdir() if path != notebook.path]
    assert aside.read_bytes() == whole[:length]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
async def test_flipped_byte_anywhere_gives_no_wrong_row(notebook, whole, seed):
    place = (len(whole) * seed // 60 + seed * 37) % (len(whole) - 110) + 110
    notebook.path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
    await check_rerun(notebook, damaged_told=None)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
async def test_page_of_zeros_gives_no_wrong_row(notebook, whole, seed):
    pages = len(whole) // 4096
    start = 4096 * (1 + seed % (pages - 1))
    notebook.path.write_bytes(whole[:start] + bytes(4096) + whole[start + 4096 :])
    await check_rerun(notebook, damaged_told=None)


async def test_most_rows_of_a_torn_file_are_rescued(notebook, whole):
    notebook.path.write_bytes(whole[: len(whole) * 4 // 5])
    notebook.sent.clear()
    await notebook.run(REQUESTS, reply=reply)
    assert len(notebook.sent) < 30
    assert any("of its rows could be read" in note for note in notebook.notes)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_full_disk_is_told_at_once_and_loses_no_result(tmp_path):
    script = textwrap.dedent("""
        import asyncio, resource, sys
        from journals.notebook import answer, get, post
        from fastreq_jupyter.options import Options
        from fastreq_jupyter.journal import Journal

        async def main():
            journal = Journal(Options.of(journal="runs.db"))
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
            told = None
            body = b'"' + b"x" * 20_000 + b'"'
            for n in range(100):
                request = post(n) if n % 3 == 0 else get(n)
                assert journal.find(request, n) is None
                if not request.idempotent:
                    await journal.begin(request, n)
                await journal.finish(answer(request, n, body=body), body)
                news = journal.news()
                if news:
                    assert told is None, "told twice"
                    told = n
                    print(n, *news)
            await journal.close()
            assert any("in memory only" in note for note in journal.notes())

        asyncio.run(main())
    """)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}, check=False
    )
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    assert 3 < int(line.split()[0]) < 40
    assert "cannot be written any more" in line


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
async def test_journal_of_a_full_disk_can_be_used_again(notebook, tmp_path):
    test_full_disk_is_told_at_once_and_loses_no_result(tmp_path)
    rows = await notebook.run([get(1), get(2)], reply=reply)
    assert all(row.ok for row in rows)
    assert not any("damaged" in note for note in notebook.notes)
