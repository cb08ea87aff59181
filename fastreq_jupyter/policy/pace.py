"""Finds the rate for a host that answers 429 without saying when to come again: ``concurrency="auto"``.

What it let through in the seconds before tells what it allows. A 429 sets the rate to nine tenths of that, once a window;
where none comes any more, the rate rises by a quarter every few windows, to learn of a limit that was lifted.
"""

from __future__ import annotations

from collections import deque

__all__ = ["Pace"]

_WINDOW = 1.0
_EASED = 0.9
_LEAST = 1.0
_RISE, _PATIENCE = 1.25, 5
_MOST_KEPT = 10_000


class Pace:
    """The rate of one host, in requests a second.

    Attributes:
        rate: Requests a second; None until a 429 came.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        self._good: deque[float] = deque(maxlen=_MOST_KEPT)
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
        if self.rate is None or now - self._changed < _PATIENCE * _WINDOW:
            return False
        self._set(self.rate * _RISE, now)
        return True

    def refused(self, now: float, *, began: float) -> bool:
        """Take note of a 429 that names no time to wait; return True when the rate changed.

        Args:
            now: As for `answered`.
            began: When its attempt was started: what was sent before the rate changed says nothing about it.
        """
        if began < self._changed + (0.0 if self.rate is None else _WINDOW):
            return False
        span = _WINDOW if self._first is None else min(_WINDOW, max(now - self._first, _WINDOW / 10))
        let_through = sum(moment > now - span for moment in self._good) / span
        if self.rate is None and not let_through:
            # A host that accepts nothing gives no measure of its rate.
            return False
        self._set(max(_LEAST, _EASED * min(let_through, self.rate or let_through), (self.rate or 0.0) / 2), now)
        return True

    def _set(self, rate: float, now: float) -> None:
        self.rate = rate
        self._changed = now
