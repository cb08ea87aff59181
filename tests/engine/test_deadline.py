"""The deadline of an attempt on a loop that is blocked: given back what was lost, but never put off for ever."""

import asyncio
import selectors

import pytest

from fastreq_jupyter.engine.deadline import Deadline


class SkippingLoop(asyncio.SelectorEventLoop):
    """A loop whose clock stands still while it works and jumps where it would wait."""

    def __init__(self):
        self.now = 0.0
        super().__init__(_Skipping(self))

    def time(self):
        return self.now


class _Skipping(selectors.DefaultSelector):
    def __init__(self, loop):
        super().__init__()
        self._loop = loop

    def select(self, timeout=None):
        self._loop.now += timeout or 0
        return super().select(0)


def run(coroutine):
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        return runner.run(coroutine)


async def until_cut(seconds, *, block=0.0, busy=False):
    """Wait under a deadline on a loop that is blocked once, or again and again; return seconds and lags."""
    lags = []
    loop = asyncio.get_running_loop()

    def blocked(for_seconds):
        loop.now += for_seconds

    def get_in_the_way():
        blocked(0.08)
        loop.call_later(0.001, get_in_the_way)

    if busy:
        get_in_the_way()
    start = loop.time()
    deadline = Deadline(seconds, lags.append)
    if block:
        loop.call_soon(blocked, block)
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        assert deadline.absorb()
    finally:
        deadline.stop()
    return loop.time() - start, lags


def test_a_deadline_fires_in_its_time():
    assert run(until_cut(0.1)) == (pytest.approx(0.1), [])


def test_a_loop_blocked_beyond_the_deadline_gives_back_what_it_took_and_then_the_deadline_fires():
    assert run(until_cut(0.1, block=0.6)) == (pytest.approx(1.1), [pytest.approx(0.5)])


def test_a_loop_that_is_always_late_does_not_put_the_deadline_off_for_ever():
    seconds, lags = run(until_cut(0.05, busy=True))
    assert seconds < 1
    assert len(lags) <= 3


def test_a_stopped_deadline_never_fires():
    async def stopped():
        deadline = Deadline(0.01, lambda _: None)
        deadline.stop()
        deadline.stop()
        await asyncio.sleep(0.05)
        return deadline.expired

    assert run(stopped()) is False
