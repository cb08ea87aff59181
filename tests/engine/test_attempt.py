"""The deadline of an attempt on a loop that is blocked: given back what was lost, but never put off for ever."""

import asyncio
import time
from datetime import UTC, datetime

import pytest

from fastreq_jupyter.engine.attempt import Deadlines, Job, absorb
from fastreq_jupyter.engine.preparing import prepare
from fastreq_jupyter.model import Request


def job_at(loop):
    request = Request("GET", "http://host.test/")
    job = Job(0, request, prepare(request), None, 0.0)
    job.begin(time.perf_counter(), datetime.now(UTC), loop.time())
    return job


async def until_cut(seconds, *, block=0.0, busy=False):
    """Wait under a deadline on a loop that is blocked once, or again and again; return job, seconds and lags."""
    lags = []
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def get_in_the_way():
        time.sleep(0.08)
        loop.call_later(0.001, get_in_the_way)

    if busy:
        get_in_the_way()
    job = job_at(loop)
    deadlines = Deadlines(seconds, {job: task}, lags.append)
    deadlines.watch(job.begun)
    if block:
        loop.call_soon(time.sleep, block)
    start = time.perf_counter()
    try:
        await asyncio.sleep(100)
    except asyncio.CancelledError:
        assert absorb(job, task)
    finally:
        deadlines.stop()
    return job, time.perf_counter() - start, lags


async def test_a_deadline_fires_in_its_time():
    job, seconds, _ = await until_cut(0.1)
    assert job.expired
    assert seconds >= 0.1


async def test_a_loop_blocked_beyond_the_deadline_gives_back_what_it_took_and_then_the_deadline_fires():
    job, seconds, lags = await until_cut(0.1, block=0.6)
    assert lags[0] >= 0.4
    assert job.delays >= 1
    assert seconds >= 0.6 + lags[0]


async def test_a_loop_that_is_always_late_does_not_put_the_deadline_off_for_ever():
    job, _, _ = await until_cut(0.05, busy=True)
    assert job.delays <= 3


async def test_a_stopped_watch_cancels_nobody():
    job = job_at(asyncio.get_running_loop())
    deadlines = Deadlines(0.01, {job: asyncio.current_task()}, lambda _: None)
    deadlines.watch(job.begun)
    deadlines.stop()
    deadlines.stop()
    await asyncio.sleep(0.05)
    assert job.expired is False


async def test_each_attempt_is_cut_at_its_own_time_though_one_timer_serves_all():
    loop = asyncio.get_running_loop()
    under_way = {}
    deadlines = Deadlines(0.3, under_way, lambda _: None)
    ends = []

    async def attempt(delay):
        await asyncio.sleep(delay)
        job, task = job_at(loop), asyncio.current_task()
        under_way[job] = task
        deadlines.watch(job.begun)
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            assert absorb(job, task)
        del under_way[job]
        ends.append((delay, loop.time() - job.begun))

    await asyncio.gather(*map(attempt, (0.2, 0.0, 0.1)))
    deadlines.stop()
    assert [delay for delay, _ in ends] == [0.0, 0.1, 0.2]
    assert all(seconds == pytest.approx(0.3, abs=1e-3) or seconds > 0.3 for _, seconds in ends)
