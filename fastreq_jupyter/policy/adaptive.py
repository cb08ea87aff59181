"""Finds the number of requests at once that suits a host, by trying: ``concurrency="auto"``.

An answer's time to first byte, status 503 and timeouts set the limit; 429 without a time to wait sets the rate (`Pace`).
Answers are judged window by window. Until the first sign of too many the limit doubles; then it goes up by a fifth, at
least 1, where that brings throughput, and after a refusal halfway back to what was refused. A window lasts a whole
number of rounds of the limit, because a server of even pace answers in bursts: 2 rounds and 20 answers while the limit is
looked for, 1 s as well once it was found. What was sent before the limit changed says nothing about it.

The rate is nine tenths of what the host let through in the seconds before a 429, once a window; where none comes any more,
it rises by a quarter every few windows, to learn of a limit that was lifted.
"""

from __future__ import annotations

from collections import deque
from math import ceil, sqrt
from typing import NamedTuple

LEAST, START, MOST = 4, 8, 200

_ANSWERS = 20
_ROUNDS = 2
_SECONDS = 1.0
_USED = 0.8
_RISE = 1.02
_NEAR = 0.95
_DEVIATIONS = 2.5
# Lower bound of the deviation, as a share of the mean: a very regular server must not be slowed down over a millisecond.
_EVEN = 0.2
_EASED = 0.8
# If this many reductions, half of the limit, gain no more than this, the server is slow for other reasons.
_CUTS, _HELPED = 3, 0.75
_NEWEST = 0.2
# Share of a window in which the loop was late, above which the window is discarded.
_LATE = 0.1
_FIRST_PATIENCE, _LONGEST_PATIENCE = 8, 32
# An increase of a fifth exceeds the random variation of a window's throughput.
_STEP = 5
# Of the rate after a 429: a share of what was let through; after so many seconds without one, a rise.
_RATE_EASED, _RATE_RISE, _RATE_PATIENCE = 0.9, 1.25, 5.0


class _Throughput(NamedTuple):
    """Answers a second, measured twice.

    Attributes:
        counted: Answers by the seconds they came in; a burst more or less makes a difference.
        reckoned: Requests in flight by the mean time one took (Little's law); the quick ones come first.
    """

    counted: float
    reckoned: float

    def above(self, other: _Throughput) -> bool:
        """Tell whether it is faster, by either measure."""
        return self.counted >= _RISE * other.counted and self.reckoned >= _RISE * other.reckoned


class _Window(NamedTuple):
    """What one window showed.

    Attributes:
        limit: The limit during it.
        throughput: Answers a second.
        mean, variance: Of the time to first byte, seconds.
        used: Requests in flight, the mean of what each answer saw.
    """

    limit: int
    throughput: _Throughput
    mean: float
    variance: float
    used: float


class Adaptive:
    """The limit of requests in flight to one host.

    Attributes:
        limit: Requests in flight at most, 4 to 200.
        reason: Why it is what it is, a few words.
        advice: Smallest limit that came within 5 % of the best throughput measured; None before anything was.
    """

    def __init__(self) -> None:
        self.limit = START
        self.reason = "the beginning"
        self.advice: int | None = None
        self._best = 0.0
        self._doubling = True
        self._refused_at: int | None = None
        self._held = LEAST
        # Windows before the limit was changed, for comparison with those after it.
        self._grown_from: _Window | None = None
        self._cuts: list[_Window] = []
        self._mean: float | None = None
        self._variance = 0.0
        self._patience = _FIRST_PATIENCE
        self._hold = 0
        self._sign = ""
        self._since = float("-inf")
        self._just_cut = False
        # State of the current window, see `_restart`.
        self._first: float | None = None
        self._answers = self._refusals = self._used = 0
        self._sum = self._squares = self._durations = self._lag = 0.0

    def answered(self, now: float, *, began: float, wait: float, in_flight: int) -> bool:
        """Take note of an answer that is neither 429 nor 503.

        Args:
            now: Seconds of a monotonic clock, the same for all calls.
            began: When its attempt was started, same clock.
            wait: Seconds from the request to the first byte of the answer.
            in_flight: Requests in flight at that moment, this one included.

        Returns:
            True when the limit changed.
        """
        if began < self._since:
            return False
        if self._first is None:
            # The first answer starts the clock: n answers after it took n intervals.
            self._first = now
            return False
        self._answers += 1
        self._sum += wait
        self._squares += wait * wait
        self._durations += now - began
        self._used += in_flight
        if not self._over(now - self._first):
            return False
        return self._judge(now)

    def refused(self, now: float, *, began: float, why: str) -> bool:
        """Take note of a 503 or a timeout: the limit is halved, once a window.

        Args:
            now: Seconds of a monotonic clock, the same for all calls.
            began: When its attempt was started, same clock.
            why: What came, a few words.

        Returns:
            True when the limit changed.
        """
        if began < self._since:
            return False
        self._refusals += 1
        if self._just_cut and self._refusals < _ANSWERS:
            return False
        self._refused_at = max(LEAST + 1, min(self.limit, self._refused_at or MOST))
        self._held = min(self._held, self._refused_at - 1)
        self._cuts.clear()
        self._just_cut = True
        self._be_patient(f"{why} at {self.limit}")
        return self._set(max(LEAST, self.limit // 2), self._sign, now)

    def late(self, seconds: float) -> None:
        """Take note that the loop was late, so that what is measured at present may be our own slowness."""
        self._lag += seconds

    def disturbed(self) -> None:
        """Begin the window anew: the host asked to wait, or the run was paused."""
        self._restart()

    def _restart(self) -> None:
        self._first = None
        self._answers = self._refusals = self._used = 0
        self._sum = self._squares = self._durations = self._lag = 0.0

    def _over(self, seconds: float) -> bool:
        """Tell whether the window has seen enough."""
        answers, limit = self._answers, self.limit
        if answers % limit or answers < max(_ANSWERS, _ROUNDS * limit):
            return False
        return self._doubling or self._climbing or seconds >= _SECONDS

    def _measured(self, now: float) -> _Window | None:
        """End the window and return what it showed, None where the loop was too late for it to count."""
        answers, seconds = self._answers, max(now - (self._first or now), 1e-9)
        mean = self._sum / answers
        variance = max(0.0, self._squares / answers - mean * mean)
        throughput = _Throughput(answers / seconds, self._used / max(self._durations, 1e-9))
        window = _Window(self.limit, throughput, mean, variance, self._used / answers)
        counts = self._lag <= _LATE * seconds
        self._restart()
        return window if counts else None

    def _judge(self, now: float) -> bool:
        """End the window and change the limit by its result."""
        window = self._measured(now)
        if window is None:
            return False
        limit, mean, grown_from = self.limit, window.mean, self._grown_from
        self._grown_from = None
        self._just_cut = False
        self._held = max(self._held, limit)
        slow = self._mean is not None and mean > self._mean + _DEVIATIONS * max(sqrt(self._variance), _EVEN * self._mean)
        if grown_from is not None and not window.throughput.above(grown_from.throughput):
            self._be_patient(f"{limit} brought no more than {grown_from.limit}")
            return self._set(grown_from.limit, self._sign, now)
        self._keep_best(min(window.throughput))
        if slow:
            return self._shrink(now, window)
        self._cuts.clear()
        self._learn(window)
        if grown_from is not None:
            self._patience = _FIRST_PATIENCE
            self._refused_at = None
        return self._grow(now, window)

    def _shrink(self, now: float, window: _Window) -> bool:
        """Allow a fifth less, unless having done so did not help."""
        self._cuts.append(window)
        first = self._cuts[0]
        if len(self._cuts) > _CUTS and window.mean > _HELPED * first.mean:
            self._cuts.clear()
            self._mean, self._variance = window.mean, window.variance
            self._sign = "answers take longer at any number"
            return self._set(first.limit, self._sign, now)
        self._be_patient(f"answers took {_ms(window.mean)} at {window.limit}, {_ms(self._mean)} before")
        return self._set(max(LEAST, ceil(_EASED * window.limit)), self._sign, now)

    def _grow(self, now: float, window: _Window) -> bool:
        """Allow more where all that is allowed was used and nothing speaks against it."""
        limit, refused_at = self.limit, self._refused_at
        if window.used < _USED * limit:
            self.reason = f"{window.used:.0f} of {limit} used"
            return False
        if limit >= MOST:
            self.reason = "the most that auto tries"
            return False
        if refused_at is not None and limit < refused_at - 1:
            # No throughput is compared here: the server's limit is what it refuses.
            return self._set(min(max(self._held, (limit + refused_at) // 2), refused_at - 1), self._sign, now)
        if self._hold:
            self._hold -= 1
            self.reason = self._sign
            return False
        more = max(1, limit // _STEP) if refused_at is None else 1
        raised = 2 * limit if self._doubling else limit + more
        self._grown_from = window
        return self._set(min(raised, MOST), f"more is tried, {limit} gave {min(window.throughput):.0f}/s", now)

    @property
    def _climbing(self) -> bool:
        """Tell whether the limit is on its way back to what was refused."""
        return self._refused_at is not None and self.limit < self._refused_at - 1

    def _be_patient(self, sign: str) -> None:
        """End the doubling, and wait longer before more is tried again."""
        self._grown_from = None
        self._doubling = False
        self._sign = sign
        self._hold = self._patience
        self._patience = min(2 * self._patience, _LONGEST_PATIENCE)

    def _keep_best(self, per_second: float) -> None:
        fewer = self.advice is not None and self.limit < self.advice
        if per_second * _NEAR > self._best or (fewer and per_second >= _NEAR * self._best):
            self.advice = self.limit
        self._best = max(per_second, self._best)

    def _learn(self, window: _Window) -> None:
        """Update the usual values with those of a window."""
        if self._mean is None:
            self._mean, self._variance = window.mean, window.variance
        else:
            self._mean += _NEWEST * (window.mean - self._mean)
            self._variance += _NEWEST * (window.variance - self._variance)

    def _set(self, limit: int, reason: str, now: float) -> bool:
        changed = limit != self.limit
        self.limit, self.reason, self._since = limit, reason, now
        self._restart()
        return changed


def _ms(seconds: float | None) -> str:
    return f"{1000 * (seconds or 0.0):.0f} ms"


class Pace:
    """The rate of one host, in requests a second.

    Attributes:
        rate: Requests a second; None until a 429 came.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        self._good: deque[float] = deque(maxlen=10_000)
        self._changed = float("-inf")
        self._first: float | None = None

    def answered(self, now: float) -> bool:
        """Take note of an answer that is no 429; return True when the rate changed.

        Args:
            now: Seconds of a monotonic clock, the same for all calls.
        """
        self._good.append(now)
        if self._first is None:
            self._first = now
        if self.rate is None or now - self._changed < _RATE_PATIENCE:
            return False
        self._set(self.rate * _RATE_RISE, now)
        return True

    def refused(self, now: float, *, began: float) -> bool:
        """Take note of a 429 that names no time to wait; return True when the rate changed.

        Args:
            now: As for `answered`.
            began: When its attempt was started: what was sent before the rate changed says nothing about it.
        """
        if began < self._changed + (0.0 if self.rate is None else _SECONDS):
            return False
        span = _SECONDS if self._first is None else min(_SECONDS, max(now - self._first, _SECONDS / 10))
        let_through = sum(moment > now - span for moment in self._good) / span
        if self.rate is None and not let_through:
            # A host that accepts nothing gives no measure of its rate.
            return False
        self._set(max(1.0, _RATE_EASED * min(let_through, self.rate or let_through), (self.rate or 0.0) / 2), now)
        return True

    def _set(self, rate: float, now: float) -> None:
        self.rate = rate
        self._changed = now
