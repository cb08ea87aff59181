"""A process that writes a journal is killed at random moments; what it had committed is never fetched again."""

import asyncio
import random
import shutil
import subprocess
import sys
import time
from collections import Counter

import pytest
from journals.notebook import rows_in
from journals.worker import body_of, fetch, request_of

COUNT = 1500
KILLS = 12

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.skipif(sys.platform == "win32", reason="kill -9")]


def committed(database, tmp_path):
    """Return the URLs whose answers are in the file, read from a copy."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in database.parent.glob("runs.db*"):
        shutil.copy(path, copy)
    found = set()
    if (copy / "runs.db").exists() and (copy / "runs.db").stat().st_size:
        (copy / "runs.db").chmod(0o600)
        found = {url for url, done in rows_in(copy / "runs.db") if done}
    shutil.rmtree(copy)
    return found


def lines_of(log):
    return log.read_text().splitlines() if log.exists() else []


def test_killed_writer_loses_nothing_that_was_committed(tmp_path):
    chance = random.Random(20261103)
    home = tmp_path / "home"
    home.mkdir()
    database, log = home / "runs.db", home / "sent.log"
    command = [sys.executable, "-m", "journals.worker", str(database), str(log), str(COUNT)]
    finished: set[str] = set()
    kills = at_work = 0
    while kills < KILLS:
        before = len(lines_of(log))
        process = subprocess.Popen(command, env={"PYTHONPATH": ":".join(sys.path)}, stdout=subprocess.PIPE)
        # Three of four are killed at work, after some requests have left; the others while they open the journal.
        if kills % 4:
            wanted = before + chance.randint(1, 250)
            while len(lines_of(log)) < wanted and process.poll() is None:
                time.sleep(0.005)
        else:
            time.sleep(chance.random() * 0.4)
        process.kill()
        assert process.wait() in (0, -9)
        process.stdout.close()
        kills += 1
        at_work += len(lines_of(log)) > before
        sent_now = lines_of(log)[before:]
        again = {request_of(int(line.split()[1])).url for line in sent_now} & finished
        assert not again
        finished |= committed(database, tmp_path)
        if len(finished) > COUNT * 0.9:
            # Nearly done: start over, so that all kills hit a process at work.
            check_whole(database, log)
            for path in home.iterdir():
                path.unlink()
            finished.clear()
    assert at_work >= KILLS // 2
    check_whole(database, log)


def check_whole(database, log):
    """Resume to the end: every answer is there, byte for byte, and no POST left twice."""
    rows = asyncio.run(fetch(str(database), log, COUNT))
    sent = Counter(lines_of(log))
    again = asyncio.run(fetch(str(database), log, COUNT))
    assert Counter(lines_of(log)) == sent
    for number in range(COUNT):
        request = request_of(number)
        if again[number] == "unknown":
            assert request.method == "POST"
        else:
            assert again[number] == number
        if request.method == "POST":
            assert sent[f"POST {number}"] <= 1
    assert len(rows) == COUNT
    assert body_of(3).startswith(b"{")
