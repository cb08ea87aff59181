"""When messages go out."""

from __future__ import annotations

import heapq
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastreq_jupyter.notebook.pacer import HEARTBEAT, INTERVAL, Pacer


class HandLoop:
    """A loop whose time is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, object, _Handle]] = []
        self._number = count()

    def call_later(self, delay, action):
        handle = _Handle()
        heapq.heappush(self._heap, (self.now + delay, next(self._number), action, handle))
        return handle

    def run_to(self, moment):
        while self._heap and self._heap[0][0] <= moment:
            at, _, action, handle = heapq.heappop(self._heap)
            self.now = max(self.now, at)
            if not handle.cancelled:
                action()
        self.now = moment


class _Handle:
    cancelled = False

    def cancel(self):
        self.cancelled = True


def paced():
    loop, told = HandLoop(), []
    return loop, told, Pacer(loop, lambda: told.append(loop.now), lambda: loop.now)


def test_something_new_is_told_at_once():
    loop, told, pacer = paced()
    pacer.touch()
    loop.run_to(0.001)
    assert told == [0.0]


def test_a_quiet_run_is_told_of_once_a_second():
    loop, told, pacer = paced()
    pacer.touch()
    loop.run_to(3.5)
    assert told == pytest.approx([0, HEARTBEAT, 2 * HEARTBEAT, 3 * HEARTBEAT])


def test_nothing_is_told_after_the_end():
    loop, told, pacer = paced()
    pacer.touch()
    pacer.end()
    pacer.touch()
    loop.run_to(10)
    assert told == []


@given(st.lists(st.floats(0.0001, 0.5), max_size=200))
def test_two_messages_are_never_nearer_than_the_interval(gaps):
    loop, told, pacer = paced()
    for gap in gaps:
        loop.run_to(loop.now + gap)
        pacer.touch()
    loop.run_to(loop.now + 5)
    assert all(later - earlier >= INTERVAL - 1e-9 for earlier, later in pairwise(told))
    assert told or not gaps
