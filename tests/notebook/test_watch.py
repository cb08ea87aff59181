"""When a run is looked at, and when messages go out."""

from __future__ import annotations

import heapq
import json
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import runs

from fastreq_jupyter.notebook.monitor.watch import HEARTBEAT, INTERVAL, Watch
from fastreq_jupyter.options import Options


class HandLoop:
    """A loop whose time is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.called = 0
        self._heap: list[tuple[float, int, object]] = []
        self._number = count()

    def call_later(self, delay, action):
        heapq.heappush(self._heap, (self.now + delay, next(self._number), action))

    def call_soon(self, action):
        self.call_later(0, action)

    call_soon_threadsafe = call_soon

    def run_to(self, moment):
        while self._heap and self._heap[0][0] <= moment:
            at, _, action = heapq.heappop(self._heap)
            self.now = max(self.now, at)
            self.called += 1
            action()
        self.now = moment


class HandRun:
    """A run in which nothing happens but what is done to it."""

    id, name, began, state, done = "run-1", "orders", runs.BEGAN, "RUNNING", False
    options, auto, sink, forgotten = Options(), None, None, 0

    def __init__(self) -> None:
        self.loop = HandLoop()
        self.outcomes = []

    @property
    def progress(self):
        return runs.progress(done=len(self.outcomes), elapsed_s=self.loop.now)

    def completed(self, since, most):
        return self.outcomes[since : None if most is None else since + most]

    def under_way(self):
        return []

    def finish(self, more):
        self.outcomes = runs.many(len(self.outcomes) + more)


def watched():
    run, told = HandRun(), []
    loop = run.loop
    watch = Watch(run, lambda message: told.append((loop.now, message.content["count"])), clock=lambda: loop.now)
    watch.start()
    return run, told, watch


def test_what_is_there_is_told_at_once():
    run, told, _ = watched()
    run.finish(3)
    run.loop.run_to(0.001)
    assert told == [(0.0, 3)]


def test_what_is_new_is_told_soon_and_once():
    run, told, _ = watched()
    run.loop.run_to(0.25)
    run.finish(2)
    run.loop.run_to(0.45)
    assert [rows for _, rows in told] == [0, 2]
    assert told[1][0] == pytest.approx(0.3)


def test_a_quiet_run_is_told_of_once_a_second():
    run, told, _ = watched()
    run.loop.run_to(3.5)
    assert [at for at, _ in told] == pytest.approx([0, HEARTBEAT, 2 * HEARTBEAT, 3 * HEARTBEAT])


def test_a_change_of_state_alone_is_told():
    run, told, _ = watched()
    run.loop.run_to(0.05)
    run.state = "PAUSED"
    run.loop.run_to(0.15)
    assert len(told) == 2


def test_nothing_is_told_after_the_end():
    run, told, watch = watched()
    watch.stop()
    run.finish(5)
    run.loop.run_to(10)
    assert told == []


def test_many_rows_are_entered_in_portions_between_which_the_loop_goes_round():
    run, told, _ = watched()
    run.finish(1050)
    run.loop.run_to(0.01)
    assert told == [(0.0, 1050)]
    assert run.loop.called > 10


def test_a_run_that_is_forgotten_ends_the_watch():
    run, _, watch = watched()
    loop = run.loop
    loop.run_to(0.5)
    del run
    before = loop.called
    loop.run_to(5)
    assert watch.run is None
    assert loop.called == before + 1


@given(st.lists(st.tuples(st.floats(0.0001, 0.5), st.integers(0, 3)), max_size=60))
def test_two_messages_are_never_nearer_than_the_interval_and_nothing_is_left_out(steps):
    run, told, _ = watched()
    for gap, more in steps:
        run.loop.run_to(run.loop.now + gap)
        run.finish(more)
    run.loop.run_to(run.loop.now + 0.2)
    assert all(later - earlier >= INTERVAL - 1e-9 for (earlier, _), (later, _) in pairwise(told))
    # What nobody has asked for is told again after a while.
    assert sum(rows for _, rows in told) >= len(run.outcomes)


SLOW_LINK = 200_000


def test_on_a_slow_link_the_end_of_a_cancelled_run_is_not_behind_the_rows_that_it_never_sent():
    run, told = HandRun(), []
    loop = run.loop
    run.closing_line = lambda: "3,000 of 20,000 ok, 17,000 not sent"
    watch = Watch(run, lambda message: told.append((loop.now, _size(message), message.content["closing"])), clock=lambda: loop.now)
    watch.start()
    rows = runs.many(20_000)
    for tenth in range(41):
        run.outcomes = rows[: tenth * 75]
        loop.run_to(tenth / 10)
    run.outcomes, run.done, run.state = rows, True, "CANCELLED"
    watch.finish(run)
    backlog, before = 0.0, 0.0
    for at, size, closing in told:
        backlog = max(0.0, backlog - (at - before) * SLOW_LINK)
        before = at
        if closing is not None:
            break
        backlog += size
    assert size < 4_000
    # a fifth of a second
    assert backlog < SLOW_LINK / 5
    assert sum(size for _, size, _ in told) > 10 * SLOW_LINK


def _size(message):
    return len(json.dumps(message.content)) + sum(map(len, message.buffers))
