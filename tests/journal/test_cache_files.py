"""Files that are no cache, or no whole one: told in one line, and left as they are."""

import json
import os
import sqlite3
import threading
import time
from pathlib import Path

import filelock
import pytest

from fastreq_jupyter import JournalError, fastreq, last_run
from fastreq_jupyter.journal import open_shelf


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(url, file, **options):
    return fastreq([f"{url}/{n}" for n in range(5)], cache="forever", cache_file=file, progress="none", proxy="none", **options)


def sqlite_file(path, application, version):
    with sqlite3.connect(path) as connection:
        connection.executescript(f"PRAGMA application_id = {application}; PRAGMA user_version = {version}; CREATE TABLE t (x);")
    connection.close()


STRANGE = {
    "notes.db": (lambda path: path.write_text("dear diary"), "a file of something else"),
    "notes.jsonl": (lambda path: path.write_text('{"dear": "diary"}\n'), "a file of something else"),
    "image.jsonl": (lambda path: path.write_bytes(bytes(range(256)) * 40), "a file of something else"),
    "other.db": (lambda path: sqlite_file(path, 7, 1), "a file of something else"),
    "journal.db": (lambda path: sqlite_file(path, 0x46527131, 1), "a file of something else, not a cache"),
    "newer.db": (lambda path: sqlite_file(path, 0x46527143, 9), "newer version of fastreq-jupyter \\(format 9"),
    "newer.jsonl": (lambda path: path.write_text('{"fastreq_cache": 9, "key": "00"}\n'), "newer version of fastreq-jupyter \\(format 9"),
    "folder.db": (lambda path: path.mkdir(), "is a directory"),
    "link.jsonl": (lambda path: path.symlink_to("elsewhere"), "is a symbolic link"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_no_cache_is_refused_in_one_line_and_left_as_it_is(folder, name, counting_server):
    make, words = STRANGE[name]
    make(folder / name)
    before = (folder / name).read_bytes() if (folder / name).is_file() else None
    with pytest.raises(JournalError, match=words) as caught:
        run(counting_server.url, name)
    assert "\n" not in str(caught.value)
    assert counting_server.arrivals == []
    assert before is None or (folder / name).read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == [name]


def test_a_file_whose_directory_is_missing_is_refused(counting_server):
    with pytest.raises(JournalError, match="there is no directory nowhere"):
        run(counting_server.url, "nowhere/cache.db")


def test_a_torn_database_is_refused_and_left_as_it_is(folder, counting_server):
    run(counting_server.url, "cache.db")
    content = bytearray((folder / "cache.db").read_bytes())
    content[100:4096] = os.urandom(3996)
    (folder / "cache.db").write_bytes(content)
    with pytest.raises(JournalError, match="cannot be used as a cache"):
        run(counting_server.url, "cache.db")
    assert (folder / "cache.db").read_bytes() == content


def test_an_answer_that_is_not_as_it_was_written_is_asked_for_again(folder, counting_server):
    run(counting_server.url, "cache.db")
    with sqlite3.connect(folder / "cache.db") as connection:
        connection.execute("UPDATE answers SET body = ? WHERE url LIKE '%/3'", (b'{"path": "forged"}',))
    connection.close()
    frame = run(counting_server.url, "cache.db")
    assert [data["path"] for data in frame["data"]] == [f"/{n}" for n in range(5)]
    assert len(counting_server.arrivals) == 6
    assert "is damaged" in " ".join(last_run().summary()["notes"])


def test_lines_that_are_no_answers_are_passed_over_and_told(folder, counting_server):
    run(counting_server.url, "cache.jsonl")
    path = folder / "cache.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b"<<<<<<< HEAD\n", *lines[3:5], lines[5][:40]]))
    frame = run(counting_server.url, "cache.jsonl")
    assert (frame["cached"] == "fresh").sum() == 4
    assert "2 lines are no answer and passed over" in " ".join(last_run().summary()["notes"])
    assert set(run(counting_server.url, "cache.jsonl")["cached"]) == {"fresh"}
    assert len(counting_server.arrivals) == 6


def test_lines_that_were_replaced_leave_one_each_in_the_old_order(folder, counting_server):
    run(counting_server.url, "cache.jsonl")
    run(counting_server.url, "cache.jsonl", fresh=True)
    lines = [json.loads(line) for line in (folder / "cache.jsonl").read_text().splitlines()]
    assert len(lines) == 6
    assert {line["url"] for line in lines[1:]} == {f"{counting_server.url}/{n}" for n in range(5)}
    assert [json.loads(line["text"])["number"] for line in lines[1:]] == [2] * 5


def test_a_committed_file_serves_whoever_has_the_same_credentials(folder, counting_server):
    run(counting_server.url, "cache.jsonl", auth="the-token-of-the-team")
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "cache.jsonl").write_bytes((folder / "cache.jsonl").read_bytes())
    assert set(run(counting_server.url, "elsewhere/cache.jsonl", auth="the-token-of-the-team")["cached"]) == {"fresh"}
    assert run(counting_server.url, "elsewhere/cache.jsonl", auth="another-token")["cached"].isna().all()


def test_the_default_directory_is_kept_out_of_git(folder, counting_server):
    fastreq(counting_server.url, cache="forever", progress="none", proxy="none")
    assert (folder / ".fastreq" / ".gitignore").read_text() == "*\n"
    assert (folder / ".fastreq" / "cache.db").exists()


def test_several_may_make_the_file_at_once():
    secrets, errors = set(), []
    barrier = threading.Barrier(8)

    def make(name):
        try:
            barrier.wait()
            shelf = open_shelf(name)
            secrets.add(shelf.secret)
            shelf.stop()
        except Exception as error:
            errors.append(error)

    for name in ("many.db", "many.jsonl"):
        secrets.clear()
        threads = [threading.Thread(target=make, args=(name,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert len(secrets) == 1
    assert not list(Path.cwd().glob("*-lock"))


def test_lines_wait_for_another_process_that_holds_the_file(folder, counting_server):
    run(counting_server.url, "cache.jsonl")

    def held():
        with filelock.FileLock("cache.jsonl-lock"):
            for number in range(10, 14):
                time.sleep(0.2)
                yield f"{counting_server.url}/{number}"

    frame = fastreq(held(), cache="forever", cache_file="cache.jsonl", progress="none", proxy="none", concurrency=1)
    assert frame["ok"].all()
    assert "cannot be written" not in " ".join(last_run().summary()["notes"])
    assert len((folder / "cache.jsonl").read_text().splitlines()) == 1 + 5 + 4


def test_a_file_that_cannot_be_written_any_more_costs_no_row(folder, counting_server):
    run(counting_server.url, "cache.jsonl")
    path = folder / "cache.jsonl"
    # A directory in its place: appending fails, reading had gone well.
    frame = fastreq(
        later(counting_server.url, path), cache="forever", cache_file="cache.jsonl", progress="none", proxy="none", concurrency=1
    )
    assert frame["ok"].all()
    assert "cannot be written any more" in " ".join(last_run().summary()["notes"])


def later(url, path):
    yield f"{url}/20"
    path.unlink()
    path.mkdir()
    yield f"{url}/21"
