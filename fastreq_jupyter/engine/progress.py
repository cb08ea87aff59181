"""How far a run is: counters written by the scheduler, read from any thread, and what is under way at this moment."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastreq_jupyter.model import Attempt, Outcome, Request

__all__ = ["Progress", "Tally", "UnderWay"]

_WINDOW = 5.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Show a run at one moment.

    Attributes:
        total: Number of requests, None where the source cannot tell.
        done, ok, failed: Requests finished, of these good and not.
        retried: Retries scheduled so far.
        in_flight: Attempts under way.
        waiting: Requests that wait for the rate, a retry, a host or another request's answer.
        bytes: Decoded bytes of bodies that this run received.
        elapsed_s: Seconds since the start, or of the whole run.
        per_second: Requests brought to their end by an attempt, per second over the last 5 s, or over the whole run once it
            ended; rows known before, or given up, do not count.
        eta_s: Seconds left at that pace, no less than the longest wait for a retry; None where unknown.
        notice: What a person should know now (a host asked to wait), or None.
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


class UnderWay(NamedTuple):
    """Show a request that was tried and has no outcome yet; times are seconds of `time.perf_counter`.

    Attributes:
        position: Its place in the plan.
        request: What is asked.
        attempts: Tries that have ended; the last one's `retry_wait` tells for how long it waits now.
        start: When the try that goes on began; None while it waits for its next one.
        status: Of the final response to that try, None until its head was read.
        head_at: When that was, NaN before.
    """

    position: int
    request: Request
    attempts: Sequence[Attempt]
    start: float | None
    status: int | None
    head_at: float


@dataclass(slots=True)
class Tally:
    """Count while a run goes on; written on its loop alone."""

    total: int | None = None
    ok: int = 0
    failed: int = 0
    retried: int = 0
    attempts: int = 0
    answered: int = 0
    in_flight: int = 0
    waiting: int = 0
    bytes: int = 0
    kept_bytes: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    lag_s: float = 0.0
    due: float = 0.0
    notice: str | None = None
    started: float | None = None
    ended: float | None = None
    paused_s: float = 0.0
    _samples: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def done(self) -> int:
        """Return how many requests are finished."""
        return self.ok + self.failed

    @property
    def elapsed(self) -> float:
        """Return seconds since the start, or of the whole run."""
        if self.started is None:
            return 0.0
        return (perf_counter() if self.ended is None else self.ended) - self.started

    def count(self, outcome: Outcome) -> None:
        """Count one request that has its outcome, however it came to it."""
        if outcome.error is None:
            self.ok += 1
        else:
            self.failed += 1
            self.errors[outcome.error] += 1
        response = outcome.response
        if response is not None and response.path is None:
            self.kept_bytes += response.size_bytes

    def answer(self, outcome: Outcome) -> None:
        """Count one that an attempt of this run brought to its end."""
        self.answered += 1
        if outcome.response is not None:
            self.bytes += outcome.response.size_bytes

    def turn_bad(self, error: str) -> None:
        """Count a good request as failed after all."""
        self.ok -= 1
        self.failed += 1
        self.errors[error] += 1

    def sample(self, now: float) -> None:
        """Remember the count, for the pace of the last seconds."""
        self._samples.append((now, self.answered))
        while self._samples and self._samples[0][0] < now - _WINDOW:
            self._samples.popleft()

    def lagged(self, seconds: float) -> None:
        """Remember how late the loop was."""
        self.lag_s = max(self.lag_s, seconds)

    def progress(self, at_gate: int = 0) -> Progress:
        """Return the present state; `at_gate` attempts wait for the run's rate."""
        pace = self._pace()
        return Progress(
            total=self.total,
            done=self.done,
            ok=self.ok,
            failed=self.failed,
            retried=self.retried,
            in_flight=self.in_flight,
            waiting=self.waiting + at_gate,
            bytes=self.bytes,
            elapsed_s=self.elapsed,
            per_second=pace,
            eta_s=self._left(pace),
            notice=self.notice,
        )

    def _left(self, pace: float) -> float | None:
        if self.total is None or pace <= 0:
            return None
        left = max(0, self.total - self.done)
        return max(left / pace, self.due - perf_counter()) if left else 0.0

    def _pace(self) -> float:
        if self.started is None:
            return 0.0
        if self.ended is not None:
            return self.answered / max(self.elapsed, 1e-9)
        samples = list(self._samples)
        now = perf_counter()
        at, answered = samples[0] if samples and now - self.started > _WINDOW else (self.started, 0)
        return (self.answered - answered) / max(now - at, 0.05)
