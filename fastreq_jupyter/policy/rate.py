"""Rate limiting by the generic cell rate algorithm (GCRA, ITU-T I.371): one number of state, exact in every window.

With emission interval T and burst B, any window of w seconds sees at most B + w/T requests. A rate "N/unit" promises
that no window of that unit sees more than N, burst included: N + 1 requests take (N + 1 - B) T, which must be longer than
the unit, by as much as the way to the server may shorten it.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastreq_jupyter.options import Rate

__all__ = ["Gcra", "interval_of"]

# Waking a nanosecond early must not cost another round.
_GRAIN = 1e-9
# Tolerated difference between the server's window and ours: a share of the unit, with an upper bound.
_SLACK, _MOST_SLACK = 0.05, 0.25


def interval_of(rate: Rate, burst: int) -> float:
    """Return the emission interval in seconds.

    Args:
        rate: The limit; `burst` is at most its count where it is a whole window.
        burst: Requests that may start together, >= 1.
    """
    if not rate.whole:
        return rate.per / rate.count
    return (rate.per + min(_SLACK * rate.per, _MOST_SLACK)) / (rate.count + 1 - burst)


class Gcra:
    """A bucket that gives out tokens; arithmetic under a lock, so loops in several threads can share one.

    Args:
        rate: The limit.
        burst: Tokens that may be taken together, >= 1.
    """

    __slots__ = ("_arrival", "_interval", "_lock", "_tolerance")

    def __init__(self, rate: Rate, burst: int) -> None:
        self._lock = Lock()
        self._arrival = float("-inf")
        self._set(rate, burst)

    def _set(self, rate: Rate, burst: int) -> None:
        self._interval = interval_of(rate, burst)
        self._tolerance = (burst - 1) * self._interval

    def take(self, now: float) -> float:
        """Take a token, or tell how long to wait.

        Args:
            now: Seconds of a monotonic clock, the same for all calls.

        Returns:
            0.0 when a token was taken, else seconds until the next one can be.
        """
        with self._lock:
            wait = self._arrival - self._tolerance - now
            if wait > _GRAIN:
                return wait
            self._arrival = max(self._arrival, now) + self._interval
            return 0.0

    def peek(self, now: float, tokens: int = 1) -> float:
        """Tell how long to wait for the next token, or the last of so many, without taking any; 0.0 when they are there."""
        with self._lock:
            return max(0.0, max(self._arrival, now) + (tokens - 1) * self._interval - self._tolerance - now)

    def retune(self, rate: Rate, burst: int) -> None:
        """Change the limit; what was given out under the old one still counts."""
        with self._lock:
            self._set(rate, burst)
