"""Outcomes that are written in batches and dropped from memory, which keeps only running figures (option `to`).

The law: a batch is handed over once, in order of completion; while it is written the next one fills, and no attempt starts
while two wait. What is known of rows that are gone are counters, sums, a histogram and a few samples without bodies.
"""

from __future__ import annotations

import asyncio
from array import array
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from math import exp, isfinite, log
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple, Protocol

from fastreq_jupyter.engine.progress import GIVEN_UP, Outcomes
from fastreq_jupyter.engine.summary import SHARES, Sums, quantiles, summed
from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.model import Outcome
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastreq_jupyter.model import Plan, Request

BATCH_ROWS = 10_000
BATCH_BYTES = 8 * 2**20
BATCH_SECONDS = 60.0
"""A batch is handed over when it has so many rows, bytes of bodies, or is so old."""
_MOST_WAITING = 1
_SAMPLES = 200
# A precision of one percent is enough for a percentile.
_STEP = log(1.01)
_SHORTEST = 1e-6
_BUCKETS = 2600


class Sink(Protocol):
    """Where the rows of a run go in place of memory."""

    place: str

    def holds(self, position: int) -> bool:
        """Tell whether the row of a request is there from an earlier run; called on the run's loop."""
        ...

    def write(self, rows: Sequence[Outcome]) -> None:
        """Write a batch, whole or not at all; called on a thread of its own, one batch after the other.

        Raises:
            OSError: The disk is full, or the like.
        """
        ...

    def notes(self) -> list[str]:
        """Return lines a person should read: what is there, and how it is read."""
        ...

    def close(self) -> None:
        """Let go of it; called on the same thread, after the last batch, and never raises."""
        ...


class Kind(NamedTuple):
    """The failures of one kind."""

    name: str
    number: int
    first: Outcome


class Gist(NamedTuple):
    """The figures of all outcomes that a picture and a summary need.

    Attributes:
        durations: Percentiles of `summary.SHARES`, seconds; empty where nothing was sent.
        kinds: Failures by kind, the commonest first.
        rows: All outcomes, or samples of them.
        number: How many there are in all.
    """

    durations: Sequence[float]
    kinds: Sequence[Kind]
    rows: Sequence[Outcome]
    number: int


def gist_of(rows: Sequence[Outcome]) -> Gist:
    """Return the gist of outcomes that are all there."""
    failed: dict[str, list[Outcome]] = {}
    for row in rows:
        if row.error is not None:
            failed.setdefault(row.error, []).append(row)
    kinds = [Kind(name, len(some), some[0]) for name, some in failed.items()]
    return Gist(quantiles(row.elapsed for row in rows), sorted(kinds, key=lambda kind: -kind.number), rows, len(rows))


def unwritten(sink: Sink | None, error: BaseException) -> str:
    """Return the line for rows that cannot be written any more."""
    why = str(error) if isinstance(error, UsageError) else getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
    place = "the place of the rows" if sink is None else sink.place
    return f"{place} cannot be written any more ({one_line(why, 200)}): whole batches are there, the run has ended"


class WrittenOutcomes(Outcomes):
    """The outcomes of a run whose rows leave memory.

    Args:
        plan: What the run does.
        sink: Where rows go.
        hold: Called with True when too much waits to be written, with False when it is written.
        fail: Called with what kept a batch from being written.
    """

    def __init__(self, plan: Plan, sink: Sink, *, hold: Callable[[bool], None], fail: Callable[[BaseException], None]) -> None:
        super().__init__(plan)
        self.sink = sink
        self._hold = hold
        self._fail = fail
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unfinished: dict[int, Request] = {}
        # Number of outcomes no longer in memory, and those in memory; the last of these are the current batch.
        self._in_memory: tuple[int, list[Outcome]] = (0, [])
        self._filling = 0
        self._size = 0
        self._since = 0.0
        self._writing: dict[Future[None], int] = {}
        self._pool = ThreadPoolExecutor(1, "fastreq-rows")
        self._failed = False
        self._ending = False
        self.sums = Sums()
        self._histogram = array("Q", bytes(8 * _BUCKETS))
        self._firsts: dict[str, Outcome] = {}
        self._samples: list[Outcome] = []
        self._stride = 1
        self._counted = 0

    @property
    def forgotten(self) -> int:
        """Return how many outcomes completed and are gone."""
        return self._in_memory[0]

    def expect(self, position: int, request: Request) -> None:
        """Take note of a request that was drawn."""
        self._unfinished[position] = request

    def keep(self, outcome: Outcome) -> None:
        """Keep an outcome until it is written, and count it."""
        self._unfinished.pop(outcome.position, None)
        self.tally.count(outcome)
        if (self._ending and outcome.error in GIVEN_UP) or self.sink.holds(outcome.position):
            # Not sent, so that a rerun sends it, or written already.
            return
        self._note(outcome)
        self._in_memory[1].append(outcome)
        self._filling += 1
        if self._filling == 1:
            self._since = perf_counter()
        self._size += 0 if outcome.response is None else outcome.response.size_bytes
        if self._filling >= BATCH_ROWS or self._size >= BATCH_BYTES:
            self._hand_over()

    def amend(self, outcome: Outcome) -> None:
        """Raise: a kept outcome may be written already."""
        raise NotImplementedError

    def at(self, position: int) -> Outcome | None:
        """Return the placeholder of a finished request, None while it is unfinished."""
        request = self._unfinished.get(position)
        return None if request is not None else _GONE

    def first(self, most: int) -> list[Outcome]:  # noqa: ARG002 - the signature of outcomes
        """Return nothing: bodies do not stay."""
        return []

    def completed(self, since: int, most: int | None) -> list[Outcome]:
        """Return outcomes that are still here, in order of completion, from the `since`-th of all on."""
        forgotten, outcomes = self._in_memory
        start = max(0, since - forgotten)
        return outcomes[start : None if most is None else start + most]

    def rows(self, *, unfinished: bool) -> list[Outcome]:
        """Return the outcomes that are still here, in order of completion, and the unfinished ones if asked for."""
        outcomes = list(self._in_memory[1])
        if unfinished:
            left = list(self._unfinished.items())
            outcomes += [Outcome(position, request, error="cancelled", error_detail="not finished") for position, request in left]
        return outcomes

    def gist(self) -> Gist:
        """Return what is known of all outcomes."""
        kinds = [Kind(name, self.tally.errors[name], first) for name, first in self._firsts.items()]
        shown = sorted([*self._samples, *self._firsts.values()], key=lambda row: row.position)
        rows = list({row.position: row for row in shown}.values())
        return Gist(self._percentiles(), sorted(kinds, key=lambda kind: -kind.number), rows, self.tally.done)

    def beat(self, now: float) -> None:
        """Hand over a batch that has been filling for long; called now and then."""
        if self._filling and now - self._since >= BATCH_SECONDS:
            self._hand_over()

    def give_up(self) -> None:
        """Take note that the run ends: what it gives up from now on is counted, not written."""
        self._ending = True

    async def close(self) -> None:
        """Write what is left, and return when all is written."""
        if self._filling:
            self._hand_over()
        if self._writing:
            await asyncio.wait([asyncio.wrap_future(future) for future in self._writing])
        closed = self._pool.submit(self.sink.close)
        await asyncio.wait([asyncio.wrap_future(closed)])
        self._pool.shutdown(wait=False)
        # Results of the thread are handled on the loop, one turn later.
        await asyncio.sleep(0)

    def _hand_over(self) -> None:
        forgotten, outcomes = self._in_memory
        batch = outcomes[len(outcomes) - self._filling :]
        self._filling = self._size = 0
        if self._failed:
            return
        self._loop = asyncio.get_running_loop()
        future = self._pool.submit(self.sink.write, batch)
        self._writing[future] = forgotten + len(outcomes)
        if len(self._writing) > _MOST_WAITING:
            self._hold(True)  # noqa: FBT003 - the signature says it
        future.add_done_callback(self._written_beside)

    def _written_beside(self, future: Future[None]) -> None:
        assert self._loop is not None  # noqa: S101 - set where the batch was handed over
        try:
            self._loop.call_soon_threadsafe(self._written, future)
        except RuntimeError:
            # A closed loop has nobody waiting.
            return

    def _written(self, future: Future[None]) -> None:
        """Forget a batch that was written."""
        upto = self._writing.pop(future)
        error = future.exception()
        if error is None:
            forgotten, outcomes = self._in_memory
            self._in_memory = (upto, outcomes[upto - forgotten :])
        elif not self._failed:
            self._failed = True
            self._fail(error)
        if len(self._writing) <= _MOST_WAITING:
            self._hold(False)  # noqa: FBT003 - the signature says it

    def _note(self, outcome: Outcome) -> None:
        """Add an outcome to what is known of all."""
        summed((outcome,), self.tally.started or 0.0, self.sums)
        elapsed = outcome.elapsed
        if isfinite(elapsed):
            self._histogram[min(_BUCKETS - 1, int(log(max(elapsed, _SHORTEST) / _SHORTEST) / _STEP))] += 1
        if outcome.error is not None and outcome.error not in self._firsts:
            self._firsts[outcome.error] = replace(outcome, data=None)
        if self._counted % self._stride == 0:
            self._samples.append(replace(outcome, data=None))
            if len(self._samples) >= 2 * _SAMPLES:
                self._samples = self._samples[::2]
                self._stride *= 2
        self._counted += 1

    def _percentiles(self) -> list[float]:
        """Return the percentiles of the histogram, by nearest rank."""
        number = sum(self._histogram)
        values: list[float] = []
        seen = 0
        ranks = [-(-share * number // 100) for share in SHARES] if number else []
        for bucket, count in enumerate(self._histogram):
            seen += count
            while len(values) < len(ranks) and seen >= ranks[len(values)]:
                values.append(_SHORTEST * exp((bucket + 0.5) * _STEP))
        return values


class _Nothing:
    """The request of outcomes that are no longer in memory."""


_GONE = Outcome(-1, _Nothing())  # type: ignore[arg-type] # a mark: it is compared with None, never read
