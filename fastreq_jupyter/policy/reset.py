"""Reads the limits that answers state: how many requests remain, and when the quota is reset.

    RateLimit: "default";r=0;t=30           draft-ietf-httpapi-ratelimit-headers
    RateLimit-Reset: 30                     its older form, and X-RateLimit-Reset and kin: seconds to go,
    X-RateLimit-Reset: 1764380000           seconds or milliseconds since 1970, or a date (HTTP or RFC 3339)

The present is the answer's Date: a clock that is wrong on either side does no harm.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["REMAINING", "remaining_in", "reset_after"]

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


def remaining_in(name: bytes, value: bytes) -> int | None:
    """Return how many requests a field says are left, the least of several limits; None where it does not say.

    Args:
        name: One of `REMAINING`.
        value: The field's value.
    """
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
