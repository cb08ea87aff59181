"""A kernel killed in mid run costs nothing: what was recorded and what the next run fetches are the full set, byte for byte.

One journal, eight kernels killed one after another at random moments, and a last one that finishes.
"""

import asyncio
import hashlib
import random
import shutil
import time

import pytest
from faultserver import scripts
from journals.notebook import rows_in

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

KILLS = 8
GETS, POSTS = 3000, 300


def body(path):
    """Return what the server answers for a path: some text, some bytes that are none."""
    digest = hashlib.sha256(path.encode()).digest()
    return digest * 20 if digest[0] % 2 else digest.hex().encode() * 20


SETUP = """
from fastreq_jupyter import Request, fastreq, last_run
base = {base!r}
gets = [Request("GET", f"{{base}}/get/{{n}}") for n in range({gets})]
posts = [Request("POST", f"{{base}}/post/{{n}}", data=f"order {{n}}") for n in range({posts})]
every = {gets} // {posts}
requests = [r for n, post in enumerate(posts) for r in (post, *gets[n * every:(n + 1) * every])]
"""
RUN = 'df = fastreq(requests, journal="runs.db", concurrency=10, return_type="{kind}", max_retries=0, progress="none")'


@pytest.fixture
def door(faultserver):
    """Answer each path with its own body after some milliseconds."""

    async def answers(call):
        await asyncio.sleep(0.02 + 0.06 * call.random.random())
        await call.send(scripts.whole(200, body(call.request.path), ("Content-Type", "application/octet-stream")))

    return faultserver.open(answers)


def start(kernels, tmp_path, door, name):
    folder = tmp_path / name
    folder.mkdir()
    kernel = kernels(folder)
    kernel.run(f"import os; os.chdir({str(tmp_path)!r})")
    assert kernel.run(SETUP.format(base=door.url(""), gets=GETS, posts=POSTS)).status == "ok"
    return kernel


def answers_in(folder, door):
    """Return the paths whose answers are in the journal's file, read from a copy."""
    copy = folder / "copy"
    copy.mkdir()
    for path in folder.glob("runs.db*"):
        shutil.copy(path, copy)
    done = {url.removeprefix(door.url("")) for url, done in rows_in(copy / "runs.db") if done}
    shutil.rmtree(copy)
    return done


@pytest.mark.timeout(600)
def test_kernels_killed_in_mid_run_lose_nothing_and_send_nothing_twice(kernels, tmp_path, door):
    chance = random.Random(20)
    settled = set()
    recorded = set()
    for kill in range(KILLS):
        kernel = start(kernels, tmp_path, door, f"kernel{kill}")
        before = door.count()
        kernel.send(RUN.format(kind="dataframe"))
        assert door.wait(lambda d, before=before: d.count() > before), kernel.errors
        time.sleep(chance.uniform(0.05, 1.2))
        kernel.kill()
        kernel.stop()
        sent = {(a.method, a.path) for a in door.arrivals[before:]}
        assert not sent & settled, "sent again though recorded"
        recorded |= answers_in(tmp_path, door)
        settled |= {("GET", path) for path in recorded if path.startswith("/get")}
        settled |= {("POST", a.path) for a in door.arrivals[before:] if a.method == "POST"}
    kernel = start(kernels, tmp_path, door, "last")
    before = door.count()
    reply = kernel.run(RUN.format(kind="dataframe"), timeout=120)
    assert reply.status == "ok", reply.text
    last = door.arrivals[before:]
    assert not {(a.method, a.path) for a in last} & settled
    kernel.run("df['data'].map(type).value_counts()")
    rows = kernel.value("[(r.request.method, r.request.url, r.error) for r in last_run().outcomes]")
    sums = kernel.value("[__import__('hashlib').sha256(d).hexdigest() if isinstance(d, bytes) else repr(d) for d in df['data']]")
    assert len(rows) == GETS + POSTS
    posts_sent = [a.path for a in door.arrivals if a.method == "POST"]
    assert len(posts_sent) == len(set(posts_sent)), "a POST was sent twice"
    unknown = 0
    for (method, url, error), digest in zip(rows, sums, strict=True):
        path = url.removeprefix(door.url(""))
        if error is None:
            assert digest == hashlib.sha256(body(path)).hexdigest(), path
            continue
        assert (method, error) == ("POST", "unknown"), (method, url, error)
        assert path not in recorded, f"{path} was recorded before the kill"
        unknown += 1
    again = door.count() - len({(a.method, a.path) for a in door.arrivals})
    print(
        f"{KILLS} kills: {door.count()} sent for {GETS + POSTS} requests, {again} GETs fetched again, {len(last)} by the last run, {unknown} POSTs unknown"
    )
    # At most what was in flight, for each kill.
    assert unknown <= KILLS * 10


def test_the_rerun_says_what_it_had_and_what_it_sent(kernels, tmp_path, door):
    kernel = start(kernels, tmp_path, door, "first")
    kernel.run("requests = gets[:50]")
    assert kernel.run(RUN.format(kind="dataframe")).status == "ok"
    kernel.run("requests = gets[:60]")
    assert kernel.run(RUN.format(kind="dataframe")).status == "ok"
    assert door.count() == 60
    notes = " ".join(kernel.value("last_run().summary()['notes']"))
    assert "50 of 60 from runs.db" in notes
    assert "10 sent" in notes
