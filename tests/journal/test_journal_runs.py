import subprocess
import sys
import textwrap

import pytest
from journals.notebook import Notebook, answer, get

from fastreq_jupyter import JournalError, Request, fastreq, last_run


@pytest.fixture
def urls(demo_server):
    return [f"{demo_server.url}/products/{n}" for n in range(1, 31)]


@pytest.fixture
def journal(tmp_path):
    return str(tmp_path / "runs.db")


def sent():
    return last_run().summary()["attempts"]


def test_rerun_gives_the_same_frame_and_sends_nothing(urls, journal):
    first = fastreq(urls, journal=journal, progress="none", max_failures="none", columns="all")
    second = fastreq(urls, journal=journal, progress="none", max_failures="none", columns="all")
    assert sent() == 0
    for column in ("status", "ok", "error", "data", "url", "method", "attempts", "size_bytes", "content_type", "final_url", "started_at"):
        assert list(first[column].astype(str)) == list(second[column].astype(str)), column
    assert any("30 of 30 from runs.db" in note for note in last_run().summary()["notes"])


def test_interrupted_run_goes_on_where_it_was(urls, journal):
    fastreq(urls, journal=journal, limit=10, progress="none", max_failures="none")
    frame = fastreq(urls, journal=journal, progress="none", max_failures="none")
    assert sent() == 20
    assert len(frame) == 30


def test_unsafe_requests_are_not_sent_twice(demo_server, journal):
    orders = [Request("POST", f"{demo_server.url}/orders", json={"n": n}) for n in range(5)]
    fastreq(orders, journal=journal, progress="none")
    fastreq(orders, journal=journal, progress="none")
    assert sent() == 0


def test_journal_that_cannot_be_used_is_said_before_anything_is_sent(urls, tmp_path):
    (tmp_path / "runs.db").write_text("my notes")
    with pytest.raises(JournalError, match="not a journal"):
        fastreq(urls, journal=str(tmp_path / "runs.db"), progress="none")


def test_journal_serves_one_run_after_the_other(urls, journal):
    for _ in range(5):
        fastreq(urls[:3], journal=journal, progress="none", max_failures="none")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_run_on_a_full_disk_gives_all_its_rows(urls, tmp_path):
    script = textwrap.dedent(f"""
        import resource
        from fastreq_jupyter import fastreq, last_run
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        urls = [f"{{url}}?n={{n}}" for url in {urls!r} for n in range(20)]
        frame = fastreq(urls, journal="runs.db", progress="none", max_failures="none")
        assert len(frame) == 600 and frame.status.notna().all()
        print(last_run().summary()["notes"])
    """)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "in memory only" in done.stdout


def test_failed_rows_are_tried_again_when_asked_for(demo_server, journal):
    urls = [f"{demo_server.url}/products", f"{demo_server.url}/nothing", f"{demo_server.url}/nothing"]
    fastreq(urls, journal=journal, progress="none")
    fastreq(urls, journal=journal, progress="none")
    assert sent() == 0
    again = last_run().retry_failed()
    assert again.wait(10)
    assert again.summary()["attempts"] == 2


async def test_equal_requests_keep_their_places_when_some_are_tried_again(tmp_path):
    def reply(request, position):
        return (
            (answer(request, position, status=None, error="timeout"), None)
            if position == 1
            else (answer(request, position), b"[%d]" % position)
        )

    book = Notebook(tmp_path / "runs.db")
    first = await book.run([get(1), get(1)], reply=reply)
    await book.run([get(1)], reply=lambda request, _: (answer(request, 1), b"[99]"), again=[first[0], get(1)], positions=[1])
    rows = await book.run([get(1), get(1)])
    assert [row.data for row in rows] == [[0], [99]]
    assert len(book.sent) == 3
