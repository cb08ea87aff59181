"""Scripts, loops and processes: every way to end leaves nothing running, open, or waiting."""

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from faultserver import scripts
from faultserver.measure import BACKENDS
from faultserver.server import routes

from fastreq_jupyter import FastreqError, FastRequests, fastreq, fastreq_async, submit

pytestmark = pytest.mark.slow
ALL = pytest.mark.parametrize("backend", BACKENDS)
ROOT = Path(__file__).parents[2]
QUIET = {"progress": "none", "max_retries": 0}
SUBMITTED = {"max_retries": 0}
SIGNS = ("Task was destroyed", "never awaited", "unclosed", "ResourceWarning", "Traceback", "Exception ignored")


def in_a_process(code, *args, timeout=240):
    """Run a script in development mode; return what it said. It hangs when it takes minutes."""
    return subprocess.run(
        [sys.executable, "-X", "dev", "-c", code, *args], capture_output=True, text=True, timeout=timeout, cwd=ROOT, check=False
    )


def clean(done):
    assert done.returncode == 0, done.stderr
    assert not [sign for sign in SIGNS if sign in done.stderr], done.stderr


@ALL
async def test_a_loop_that_was_blocked_reads_what_arrived_before_any_deadline_fires(faultserver, backend):
    door = faultserver.open(scripts.reply(200, b"there", after=0.3))
    task = asyncio.ensure_future(fastreq_async([door.url()] * 5, backend=backend, timeout=1, **QUIET))
    await asyncio.sleep(0.15)
    time.sleep(3)
    assert list((await task)["data"]) == ["there"] * 5


@ALL
async def test_a_loop_that_was_blocked_still_times_out_a_server_that_hangs(faultserver, backend):
    door = faultserver.open(scripts.hangs())
    task = asyncio.ensure_future(fastreq_async([door.url()], backend=backend, timeout=0.5, **QUIET))
    await asyncio.sleep(0.2)
    time.sleep(1)
    assert list((await asyncio.wait_for(task, 60))["error"]) == ["timeout"]


ENDINGS = """
import asyncio, os, sys
from fastreq_jupyter import fastreq, fastreq_async, submit, last_run
good, hang, *backends = sys.argv[1:]
def descriptors(): return len(os.listdir("/proc/self/fd"))

async def times_out(): return await fastreq_async([good, hang], timeout=0.2, **options)
async def cancelled():
    task = asyncio.ensure_future(fastreq_async([good, hang], **options))
    await asyncio.sleep(0.2)
    task.cancel()
    try: await task
    except asyncio.CancelledError: pass
async def left_alone():
    submit([good, hang], **submitted)
    await asyncio.sleep(0.2)
async def run_cancelled():
    run = submit([good, hang], **submitted)
    await asyncio.sleep(0.2)
    run.cancel()
    return await run

for backend in backends:
    submitted = dict(backend=backend, max_retries=0)
    options = {**submitted, "progress": "none"}
    for ending in (times_out, cancelled, left_alone, run_cancelled):
        asyncio.run(ending())
        before = descriptors()
        for _ in range(3): asyncio.run(ending())
        print(backend, ending.__name__, descriptors() - before)
"""


def test_a_loop_that_closes_leaves_no_task_socket_or_descriptor(faultserver):
    good, hang = faultserver.open(scripts.reply()), faultserver.open(scripts.hangs())
    done = in_a_process(ENDINGS, good.url(), hang.url(), *BACKENDS)
    clean(done)
    left = [line.split() for line in done.stdout.splitlines()]
    assert [(backend, ending) for backend, ending, _ in left] == [
        (backend, ending) for backend in BACKENDS for ending in ("times_out", "cancelled", "left_alone", "run_cancelled")
    ]
    assert all(int(count) <= 0 for *_, count in left), left
    assert hang.wait(lambda d: d.open_links == 0)


SYNC = """
import sys
from fastreq_jupyter import fastreq, submit
good, hang, *backends = sys.argv[1:]
for backend in backends:
    print(fastreq([good] * 3, backend=backend, progress="none")["data"].tolist())
    submit([good, hang], backend=backend, timeout=3600)
"""


def test_a_script_ends_at_once_though_runs_go_on(faultserver):
    good, hang = faultserver.open(scripts.reply()), faultserver.open(scripts.hangs())
    done = in_a_process(SYNC, good.url(), hang.url(), *BACKENDS)
    clean(done)
    assert done.stdout.splitlines() == ["['ok', 'ok', 'ok']"] * len(BACKENDS)


# A real process whose system resolver hangs for one name: for ever, or until the row is there and then answers after all.
HUNG = """
import socket, sys, threading, time
port, stay, *backends = sys.argv[1:]
real = socket.getaddrinfo
wake, woken = threading.Event(), threading.Event()
def slow(host, *args, **kwargs):
    if host in ("hung.test", b"hung.test"):
        wake.wait()
        woken.set()
        return real("127.0.0.1", *args, **kwargs)
    return real(host, *args, **kwargs)
socket.getaddrinfo = slow
from fastreq_jupyter import fastreq
for backend in backends:
    frame = fastreq([f"http://hung.test:{port}/"], backend=backend, timeout=0.7, max_retries=0, progress="none", proxy="none")
    print(frame["error"][0])
if stay == "stay":
    wake.set()
    woken.wait()
    time.sleep(0.5)
"""


@pytest.mark.parametrize("stay", ["leave", "stay"])
def test_a_hung_name_resolution_times_out_holds_up_no_exit_and_sends_nothing_late(faultserver, stay):
    door = faultserver.open(scripts.reply())
    done = in_a_process(HUNG, str(door.port), stay, *BACKENDS)
    clean(done)
    assert done.stdout.split() == ["timeout"] * len(BACKENDS)
    assert door.count() == 0


def test_a_client_on_another_loop_than_its_own_raises_at_once(faultserver):
    door = faultserver.open(scripts.reply())
    client = FastRequests(**QUIET)

    async def use():
        return await client.request([door.url()])

    with asyncio.Runner() as first:
        first.run(use())
        with asyncio.Runner() as second, pytest.raises((FastreqError, RuntimeError)):
            second.run(use())
        first.run(client.close())


async def test_a_run_can_be_awaited_on_another_loop_and_steered_from_any_thread(faultserver):
    door = faultserver.open(routes({"/good": scripts.reply()}, scripts.hangs()))
    started = []

    async def begin():
        started.append(submit([door.url("/good"), door.url("/hang")], **SUBMITTED))
        await started[0].drained()

    thread = threading.Thread(target=lambda: asyncio.run(begin()))
    thread.start()
    assert door.wait(lambda d: d.count() == 2)
    time.sleep(0.2)

    started[0].cancel()
    frame = await started[0]
    thread.join(60)
    assert list(frame["error"].fillna("")) == ["", "cancelled"]


def test_a_closed_loop_ends_its_runs_with_every_row(faultserver):
    hang = faultserver.open(scripts.hangs())
    started = []

    async def begin():
        started.append(submit([hang.url()] * 3, **SUBMITTED))
        await asyncio.sleep(0.3)

    # Not asyncio.run: nest-asyncio puts another one in its place, which ends no loop.
    with asyncio.Runner() as runner:
        runner.run(begin())
    assert started[0].done
    assert list(started[0].df["error"]) == ["cancelled"] * 3
    assert fastreq([hang.url()], timeout=0.2, **QUIET)["error"][0] == "timeout"


def test_several_threads_at_once_each_get_their_own_answers(faultserver):
    door = faultserver.open(scripts.echo(lambda call: call.request.target.encode()))
    found = {}

    def work(name):
        found[name] = list(fastreq([door.url(f"/{name}/{n}") for n in range(50)], **QUIET)["data"])

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == {name: [f"/{name}/{n}" for n in range(50)] for name in "abcd"}


@pytest.mark.kernel
@pytest.mark.parametrize("line", ["%fastreq {}", "await fastreq_async(['{}'])", "fastreq(['{}'])", "run = submit(['{}'])"])
def test_ipython_c_sends_and_ends_without_complaint(faultserver, line, tmp_path):
    door = faultserver.open(scripts.reply())
    code = f"%load_ext fastreq_jupyter\nfrom fastreq_jupyter import fastreq, fastreq_async, last_run, submit\n{line.format(door.url())}"
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--ipython-dir", str(tmp_path), "-c", code],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=ROOT,
        check=False,
    )
    clean(done)
    if "submit" not in line:
        assert door.count() == 1
