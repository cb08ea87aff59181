"""Rate limiting by the generic cell rate algorithm (GCRA, ITU-T I.371): one number of state, exact in every window.

With emission interval T and burst B, any window of w seconds sees at most B + w/T requests. A rate "N/unit" promises
that no window of that unit sees more than N, burst included, so its T is unit / (N - B).
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastreq_jupyter.quantity import Rate

__all__ = ["Gcra", "interval_of"]

# Waking a nanosecond early must not cost another round.
_GRAIN = 1e-9


def interval_of(rate: Rate, burst: int) -> float:
    """Return the emission interval in seconds.

    Args:
        rate: The limit; `burst` must be below its count where it is a whole window.
        burst: Requests that may start together, >= 1.
    """
    return rate.per / ((rate.count - burst) if rate.whole else rate.count)


class Gcra:
    """Give out tokens; arithmetic under a lock, so loops in several threads can share one.

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

    def peek(self, now: float) -> float:
        """Tell how long to wait for the next token without taking it; 0.0 when there is one."""
        with self._lock:
            return max(0.0, self._arrival - self._tolerance - now)

    def retune(self, rate: Rate, burst: int) -> None:
        """Change the limit; what was given out under the old one still counts."""
        with self._lock:
            self._set(rate, burst)
