import os
import socket
import sqlite3
import stat
import subprocess
import sys
import textwrap

import pytest
from journals.notebook import Notebook, get

from fastreq_jupyter.errors import JournalError
from fastreq_jupyter.journal import Journal
from fastreq_jupyter.options import Options

POSIX = pytest.mark.skipif(os.name == "nt", reason="links and permissions of POSIX")


def refusal(path):
    with pytest.raises(JournalError) as caught:
        Journal(Options.of(journal=str(path)))
    assert str(caught.value).isprintable()
    assert str(path) in str(caught.value)
    return str(caught.value)


def modes(directory):
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


@pytest.mark.slow
@POSIX
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_all_files_are_for_their_owner_only(tmp_path, umask):
    script = textwrap.dedent(f"""
        import os, time
        os.umask({umask})
        from fastreq_jupyter.options import Options
        from fastreq_jupyter.journal import Journal
        journal = Journal(Options.of(journal="runs.db"))
        print(sorted((name, oct(os.stat(name).st_mode & 0o777)) for name in os.listdir()))
    """)
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True)
    names = ["runs.db", "runs.db-lock", "runs.db-shm", "runs.db-wal"]
    assert done.stdout.strip() == str([(name, "0o600") for name in names])


async def test_nothing_is_left_beside_a_closed_journal(notebook, tmp_path):
    await notebook.run([get(1)])
    assert [path.name for path in tmp_path.iterdir()] == ["runs.db"]


@POSIX
async def test_wider_permissions_are_taken_back(notebook, tmp_path):
    await notebook.run([get(1)])
    notebook.path.chmod(0o644)
    await notebook.run([get(1)])
    assert modes(tmp_path) == {"runs.db": 0o600}


@POSIX
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
def test_link_in_the_way_is_refused(tmp_path, suffix):
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    (tmp_path / f"runs.db{suffix}").symlink_to(outside)
    assert "symbolic link" in refusal(tmp_path / "runs.db")
    assert outside.read_bytes() == b"mine"
    assert len(list(tmp_path.iterdir())) == 2


@POSIX
def test_link_in_place_of_the_lock_is_refused(tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    (tmp_path / "runs.db-lock").symlink_to(outside)
    refusal(tmp_path / "runs.db")
    assert outside.read_bytes() == b"mine"


def test_directory_in_the_way_is_refused(tmp_path):
    (tmp_path / "runs.db").mkdir()
    assert "a directory" in refusal(tmp_path / "runs.db")


def test_missing_directory_is_refused(tmp_path):
    assert "no directory" in refusal(tmp_path / "none" / "runs.db")


FOREIGN = [b"id,name\n1,x\n", b"SQLite format 3 is what I like\n" * 100, b"\x00", b"\x89PNG" + bytes(5000)]


@pytest.mark.parametrize("content", FOREIGN)
def test_foreign_file_is_refused_untouched(tmp_path, content):
    path = tmp_path / "runs.db"
    path.write_bytes(content)
    before = path.stat()
    assert "not a journal" in refusal(path)
    assert path.read_bytes() == content
    assert (path.stat().st_mtime_ns, path.stat().st_mode) == (before.st_mtime_ns, before.st_mode)
    assert [name.name for name in tmp_path.iterdir()] == ["runs.db"]


def test_foreign_database_is_refused_untouched(tmp_path):
    path = tmp_path / "runs.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE answers (x)")
    connection.close()
    content = path.read_bytes()
    assert "not a journal" in refusal(path)
    assert path.read_bytes() == content
    assert [name.name for name in tmp_path.iterdir()] == ["runs.db"]


async def test_newer_version_is_refused_untouched(notebook):
    await notebook.run([get(1)])
    content = bytearray(notebook.path.read_bytes())
    content[60:64] = (2).to_bytes(4)
    notebook.path.write_bytes(content)
    assert "newer version" in refusal(notebook.path)
    assert notebook.path.read_bytes() == content


async def test_empty_file_becomes_a_journal(notebook):
    notebook.path.touch()
    assert (await notebook.run([get(1)]))[0].ok
    assert notebook.notes == []


async def test_second_run_of_a_process_is_told(notebook):
    journal = Journal(Options.of(journal=str(notebook.path)))
    assert "another run of this process" in refusal(notebook.path)
    journal._stop()
    assert (await notebook.run([get(1)]))[0].ok


@POSIX
async def test_second_process_is_told_who_holds_the_journal(notebook, tmp_path):
    script = textwrap.dedent("""
        import sys
        from fastreq_jupyter.options import Options
        from fastreq_jupyter.journal import Journal
        journal = Journal(Options.of(journal="runs.db"))
        print("open", flush=True)
        sys.stdin.read()
    """)
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "open\n"
        said = refusal(notebook.path)
        assert f"process {holder.pid} on {socket.gethostname()} since 20" in said
        holder.kill()
        holder.wait()
    # Its lock ended with it.
    assert (await notebook.run([get(1)]))[0].ok


@pytest.mark.slow
def test_of_many_processes_that_come_and_go_only_one_holds_the_journal(tmp_path):
    script = textwrap.dedent("""
        import os
        from pathlib import Path
        from fastreq_jupyter.errors import JournalError
        from fastreq_jupyter.files import release
        from fastreq_jupyter.journal.file import lock_file
        log = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        held = 0
        while held < 50:
            try:
                lock = lock_file(Path("runs.db"))
            except JournalError:
                continue
            os.write(log, b"+")
            os.write(log, b"-")
            release(lock)
            held += 1
    """)
    started = [subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path) for _ in range(4)]
    assert [process.wait() for process in started] == [0] * 4
    assert (tmp_path / "log").read_bytes() == b"+-" * 200


async def test_strange_names_are_plain_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (":memory:", "file:x?mode=memory", "a b%20#?.db", "ä'\".db"):
        book = Notebook(name)
        await book.run([get(1)])
        await book.run([get(1)])
        assert len(book.sent) == 1
        assert (tmp_path / name).exists()


async def test_home_directory_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    await Notebook("~/runs.db").run([get(1)])
    assert (tmp_path / "runs.db").exists()


@POSIX
def test_read_only_directory_is_one_line(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    tmp_path.chmod(0o500)
    try:
        refusal(tmp_path / "runs.db")
    finally:
        tmp_path.chmod(0o700)
