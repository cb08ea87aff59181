"""Rate limiting by the generic cell rate algorithm (GCRA, ITU-T I.371): one number of state, exact in every window.

With emission interval T and burst B, any window of w seconds sees at most B + w/T requests. A rate "N/unit" promises
that no window of that unit sees more than N, burst included: N + 1 requests take (N + 1 - B) T, which must be longer than
the unit, by as much as the way to the server may shorten it.

Answers state the server's own limits: how many requests remain, and when the quota is reset.

    RateLimit: "default";r=0;t=30           draft-ietf-httpapi-ratelimit-headers
    RateLimit-Reset: 30                     its older form, and X-RateLimit-Reset and kin: seconds to go,
    X-RateLimit-Reset: 1764380000           seconds or milliseconds since 1970, or a date (HTTP or RFC 3339)

The present is the answer's Date: a clock that is wrong on either side does no harm.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastreq_jupyter.options import Rate

# Waking a nanosecond early must not cost another round.
_GRAIN = 1e-9
# Tolerated difference between the server's window and ours: a share of the unit, with an upper bound.
_SLACK, _MOST_SLACK = 0.05, 0.25
REMAINING = frozenset({b"ratelimit", b"ratelimit-remaining", b"x-ratelimit-remaining", b"x-rate-limit-remaining"})
"""Fields, lower case, that tell how many requests are left."""
_RESETS = (
    "ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset", "x-ratelimit-reset-after", "x-rate-limit-reset-after",
    "x-ratelimit-resettime", "x-ratelimit-reset-time", "x-ratelimit-reset-requests",
)  # fmt: skip
_LEFT = re.compile(rb"(?:^|[;,\s])(?:r|remaining)\s*=\s*([0-9]{1,18})(?![0-9.])", re.IGNORECASE)
_TIME = re.compile(r"(?:^|[;,\s])(?:t|reset)\s*=\s*([0-9]{1,18}(?:\.[0-9]+)?)", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,9})?")
_DURATION = re.compile(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m(?!s))?(?:([0-9]{1,6}(?:\.[0-9]+)?)s)?(?:([0-9]{1,9})ms)?", re.IGNORECASE)
# Bounds that tell durations from dates: no reset is 30 years away, no clock is before 2001 or after the year 5138.
_SINCE_1970, _MILLISECONDS = 1e9, 1e11


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


def remaining_in(name: bytes, value: bytes) -> int | None:
    """Return how many requests a field says are left, the least of several limits; None where it does not say."""
    if name == b"ratelimit":
        numbers = [int(number) for number in _LEFT.findall(value)]
        return min(numbers, default=None)
    first = value.partition(b",")[0].strip()
    return int(first) if first.isdigit() and len(first) < 19 else None


def reset_after(header: Callable[[str], str | None], now: datetime) -> tuple[float, str] | None:
    """Return seconds until a limit is given anew, and the field that says so; None where none does.

    Args:
        header: Gives the value of an answer's field by its name.
        now: The present, aware, for an answer without a Date.
    """
    date = _date(header("date"))
    present = now if date is None else date
    value = header("ratelimit")
    if value is not None and (times := _TIME.findall(value)):
        return max(map(float, times)), "ratelimit"
    for name in _RESETS:
        value = header(name)
        seconds = None if value is None else _seconds(value, present)
        if seconds is not None:
            return max(0.0, seconds), name
    return None


def _seconds(value: str, now: datetime) -> float | None:
    text = value.strip()
    first = text.partition(",")[0].strip()
    if _NUMBER.fullmatch(first):
        number = float(first)
        if number < _SINCE_1970:
            return number
        return (number / 1000 if number >= _MILLISECONDS else number) - now.timestamp()
    duration = _DURATION.fullmatch(first)
    if first and duration is not None:
        hours, minutes, seconds, millis = (float(part or 0) for part in duration.groups())
        return hours * 3600 + minutes * 60 + seconds + millis / 1000
    date = _date(text)
    return None if date is None else (date - now).total_seconds()


def _date(value: str | None) -> datetime | None:
    """Read an HTTP date or one of RFC 3339."""
    if value is None:
        return None
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            date = read(value.strip())
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date
    return None
