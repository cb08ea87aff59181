"""The deadline of an attempt on a loop that is blocked: given back what was lost, but never put off for ever."""

import asyncio
import time

import pytest

from fastreq_jupyter.engine.deadline import Deadline


async def until_cut(seconds, *, block=0.0, busy=False):
    """Wait under a deadline on a loop that is blocked once, or again and again; return seconds and lags."""
    lags = []
    loop = asyncio.get_running_loop()

    def get_in_the_way():
        time.sleep(0.08)
        loop.call_later(0.001, get_in_the_way)

    if busy:
        get_in_the_way()
    start = time.perf_counter()
    deadline = Deadline(seconds, lags.append)
    if block:
        loop.call_soon(time.sleep, block)
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        assert deadline.absorb()
    finally:
        deadline.stop()
    return time.perf_counter() - start, lags


def test_a_deadline_fires_in_its_time():
    seconds, lags = asyncio.run(until_cut(0.1))
    assert 0.1 <= seconds < 1
    assert lags == [] or max(lags) < seconds


@pytest.mark.slow
def test_a_loop_blocked_beyond_the_deadline_gives_back_what_it_took_and_then_the_deadline_fires():
    seconds, lags = asyncio.run(until_cut(0.1, block=0.6))
    assert lags
    assert lags[0] == pytest.approx(0.5, abs=0.2)
    assert 1.0 <= seconds < 3


def test_a_loop_that_is_always_late_does_not_put_the_deadline_off_for_ever():
    seconds, lags = asyncio.run(until_cut(0.05, busy=True))
    assert seconds < 3
    assert len(lags) <= 3


def test_a_stopped_deadline_never_fires():
    async def run():
        deadline = Deadline(0.01, lambda _: None)
        deadline.stop()
        deadline.stop()
        await asyncio.sleep(0.05)
        return deadline.expired

    assert asyncio.run(run()) is False
