"""What a run has come to and how far it is: outcomes and counters, written by the scheduler, read from any thread."""

from __future__ import annotations

from array import array
from collections import Counter, deque
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple, cast

from fastreq_jupyter.model import Outcome, Request
from fastreq_jupyter.options import show_bytes, show_seconds
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastreq_jupyter.engine.saving import Transfer
    from fastreq_jupyter.model import Attempt, Item, Plan
    from fastreq_jupyter.options import Share

GIVEN_UP = frozenset({"cancelled", "deadline", "stopped"})
"""Errors of requests that the run gave up, at its end or for a host: nothing is said of the server by them."""
_WINDOW = 5.0
_LARGE = 2**20
_FEWEST_FOR_SHARE = 20


class FileProgress(NamedTuple):
    """A large file on its way.

    Attributes:
        position: Place of its request in the plan.
        path: Where it will be.
        received_bytes: Bytes of it that are there, those of earlier attempts included.
        total_bytes: Its size, None where the server did not say.
        per_second: Bytes a second, over the last seconds.
        eta_s: Seconds left at that pace, None where unknown.
    """

    position: int
    path: str
    received_bytes: int
    total_bytes: int | None
    per_second: float
    eta_s: float | None

    @property
    def name(self) -> str:
        """Return the name of the file as one harmless line."""
        return one_line(self.path.replace("\\", "/").rpartition("/")[2], 40)

    @property
    def text(self) -> str:
        """Return ``1.2 GB of 4.0 GB, 35 MB/s, 80 s left``."""
        total = "" if self.total_bytes is None else f" of {show_bytes(self.total_bytes)}"
        left = "" if self.eta_s is None else f", {show_seconds(self.eta_s)} left"
        return f"{show_bytes(self.received_bytes)}{total}, {show_bytes(round(self.per_second))}/s{left}"


@dataclass(frozen=True, slots=True)
class Progress:
    """A run at one moment.

    Attributes:
        total: Number of requests, None where the source cannot tell.
        done, ok, failed: Requests finished, of these good and not.
        cut_off, unsent: Of the failed ones, those that the end of the run cut off, and those that were never sent because of it.
        retried: Retries scheduled so far.
        in_flight: Attempts under way.
        waiting: Requests that wait for the rate, a retry, a host or another request's answer.
        bytes: Decoded bytes of bodies that this run received; of files also of those on their way.
        elapsed_s: Seconds since the start, or of the whole run.
        per_second: Requests brought to their end by an attempt, per second over the last 5 s, or over the whole run once it
            ended; rows known before, or given up, do not count.
        eta_s: Seconds left at that pace, no less than the rate allows and the longest wait for a retry; None where unknown.
        notice: What a person should know now (a host asked to wait), or None.
        files: Large files on their way (`save_to`).
    """

    total: int | None
    done: int
    ok: int
    failed: int
    retried: int
    in_flight: int
    waiting: int
    bytes: int
    elapsed_s: float
    per_second: float
    eta_s: float | None
    notice: str | None
    cut_off: int = 0
    unsent: int = 0
    files: tuple[FileProgress, ...] = ()


def show_files(under_way: Mapping[int, Transfer]) -> tuple[FileProgress, ...]:
    """Return the large files among those on their way, those with most to come first; called from any thread."""
    shown = []
    for position, transfer in list(under_way.items()):
        received, total, pace = transfer.received, transfer.total, transfer.per_second
        if (received if total is None else total) >= _LARGE:
            eta = None if total is None or pace <= 0 else max(0, total - received) / pace
            shown.append(FileProgress(position, transfer.path, received, total, pace, eta))
    return tuple(sorted(shown, key=lambda file: file.received_bytes - (file.total_bytes or 0)))


def arrived(under_way: Mapping[int, Transfer]) -> int:
    """Return the bytes that these attempts have received of their files so far; called from any thread."""
    return sum(transfer.received - transfer.resumed for transfer in list(under_way.values()))


class UnderWay(NamedTuple):
    """A request that was tried and has no outcome yet; times are seconds of `time.perf_counter`.

    Attributes:
        position: Its place in the plan.
        request: What is asked.
        attempts: Tries that have ended; the last one's `retry_wait` tells for how long it waits now.
        start: When the try that goes on began; None while it waits for its next one.
        status: Of the final response to that try, None until its head was read.
        head_at: When that was, NaN before.
        looks: Answers looked at so far (option `until`).
    """

    position: int
    request: Request
    attempts: Sequence[Attempt]
    start: float | None
    status: int | None
    head_at: float
    looks: int = 0


@dataclass(slots=True)
class Tally:
    """The counters of a run; written on its loop alone."""

    total: int | None = None
    ok: int = 0
    failed: int = 0
    retried: int = 0
    attempts: int = 0
    answered: int = 0
    waiting: int = 0
    bytes: int = 0
    kept_bytes: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    cut_off: Counter[str] = field(default_factory=Counter)
    unsent: Counter[str] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)
    lag_s: float = 0.0
    late_s: float = 0.0
    cpu_s: float = 0.0
    due: float = 0.0
    notice: str | None = None
    started: float | None = None
    ended: float | None = None
    _samples: deque[tuple[float, int]] = field(default_factory=deque)
    _resumed: tuple[float, int] | None = None

    @property
    def done(self) -> int:
        """Return how many requests are finished."""
        return self.ok + self.failed

    def count(self, outcome: Outcome) -> None:
        """Count an outcome whose body does not stay in memory."""
        error = outcome.error
        if error is None:
            self.ok += 1
            return
        self.failed += 1
        self.errors[error] += 1
        if error in GIVEN_UP:
            (self.cut_off if outcome.attempts else self.unsent)[error] += 1

    def has_too_many_failures(self, most: Share | str | None) -> bool:
        """Tell whether more requests failed than option `max_failures` allows."""
        if most is None or isinstance(most, str):
            return False
        if most.count is not None:
            return self.failed > most.count
        total = self.total if self.total is not None else max(self.done, _FEWEST_FOR_SHARE)
        return self.failed > (most.fraction or 0.0) * total

    @property
    def elapsed(self) -> float:
        """Return seconds since the start, or of the whole run."""
        if self.started is None:
            return 0.0
        return (perf_counter() if self.ended is None else self.ended) - self.started

    def count_as_failed(self, error: str) -> None:
        """Count a good request as failed after all."""
        self.ok -= 1
        self.failed += 1
        self.errors[error] += 1

    def sample(self, now: float) -> None:
        """Remember the count, for the pace of the last seconds."""
        self._samples.append((now, self.answered))
        while self._samples and self._samples[0][0] < now - _WINDOW:
            self._samples.popleft()

    def resumed(self) -> None:
        """Count the pace anew: the pause says nothing of what comes."""
        self._samples.clear()
        self._resumed = (perf_counter(), self.answered)

    def lagged(self, seconds: float) -> None:
        """Remember how late the loop was, at the worst and in all."""
        self.late_s += max(0.0, seconds)
        self.lag_s = max(self.lag_s, seconds)

    def progress(self, *, in_flight: int = 0, held: int = 0, least_s: float = 0.0) -> Progress:
        """Return the present state.

        Args:
            in_flight: Attempts under way.
            held: Requests that wait for the run's rate or the end of a pause.
            least_s: Seconds that the rate makes the rest take at least.
        """
        pace = self._pace()
        over = self.ended is not None
        return Progress(
            total=self.total,
            done=self.done,
            ok=self.ok,
            failed=self.failed,
            retried=self.retried,
            # Workers that were cancelled may still be ending when the run has ended.
            in_flight=0 if over else in_flight,
            waiting=0 if over else self.waiting + held,
            bytes=self.bytes,
            elapsed_s=self.elapsed,
            per_second=pace,
            eta_s=self._left(pace, least_s),
            notice=self.notice,
            cut_off=self.cut_off.total(),
            unsent=self.unsent.total(),
        )

    def _left(self, pace: float, least: float) -> float | None:
        if self.total is None or pace <= 0:
            return None
        left = max(0, self.total - self.done)
        return max(left / pace, least, self.due - perf_counter()) if left else 0.0

    def _pace(self) -> float:
        if self.started is None:
            return 0.0
        if self.ended is not None:
            return self.answered / max(self.elapsed, 1e-9)
        samples = list(self._samples)
        now = perf_counter()
        since = self._resumed or (self.started, 0)
        at, answered = samples[0] if samples and now - since[0] > _WINDOW else since
        return (self.answered - answered) / max(now - at, 0.05)


class Outcomes:
    """The outcomes of a run, by place in its plan and in order of completion; written on its loop alone.

    Args:
        plan: Knows the number of requests, if anybody does.
    """

    def __init__(self, plan: Plan) -> None:
        limit = plan.options.limit
        self.tally = Tally(total=plan.total if plan.total is None or limit is None else min(plan.total, limit))
        # An unfinished request stands here itself; None is no row.
        self._rows: list[Outcome | Request | None] = []
        self._order = array("L")
        self._amended: dict[int, Outcome] = {}

    def expect(self, position: int, request: Request) -> None:
        """Take note of a request that was drawn; positions come in order."""
        if position == len(self._rows):
            self._rows.append(request)

    def keep(self, outcome: Outcome) -> None:
        """Keep an outcome and count it."""
        rows, position = self._rows, outcome.position
        if position == len(rows):
            rows.append(outcome)
        else:
            rows[position] = outcome
        self._order.append(position)
        tally = self.tally
        if outcome.error is None:
            tally.ok += 1
        else:
            tally.count(outcome)
        response = outcome.response
        if response is not None and response.path is None:
            tally.kept_bytes += response.size_bytes

    def amend(self, outcome: Outcome) -> None:
        """Put an outcome in the place of a good one (what `parse_func` made of it); it counts as completed again."""
        if outcome.error is not None:
            self.tally.count_as_failed(outcome.error)
        self._amended[outcome.position] = outcome
        self._order.append(outcome.position)

    def at(self, position: int) -> Outcome | None:
        """Return what was kept for a position, None while it is unfinished."""
        row = self._rows[position] if position < len(self._rows) else None
        return row if isinstance(row, Outcome) else None

    def first(self, most: int) -> list[Outcome]:
        """Return the outcomes among the first so many rows."""
        return [row for row in self._rows[:most] if isinstance(row, Outcome)]

    def completed(self, since: int, most: int | None) -> list[Outcome]:
        """Return outcomes in order of completion, from the `since`-th on, `most` of them; an amended one comes again."""
        positions = self._order[since : None if most is None else since + most]
        return [self._amended.get(at) or cast("Outcome", self._rows[at]) for at in positions]

    def rows(self, *, unfinished: bool) -> list[Outcome]:
        """Return one outcome per request drawn; unfinished ones, if asked for, with the error ``cancelled`` and no response."""
        outcomes = []
        for position, row in enumerate(list(self._rows)):
            if isinstance(row, Outcome):
                outcomes.append(self._amended.get(position, row) if self._amended else row)
            elif unfinished and row is not None:
                outcomes.append(Outcome(position, row, error="cancelled", error_detail="not finished"))
        return outcomes


def unsent(position: int, item: Item, kind: str, detail: str) -> Outcome:
    """Return the outcome of an item that was not sent; one that is an outcome already stays."""
    if isinstance(item, Outcome):
        return item
    request = item if isinstance(item, Request) else item.shown
    return Outcome(position, request, error=kind, error_detail=f"not sent: {detail}")
