"""Quantities as people write them: durations, sizes, rates and shares."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite
from numbers import Integral, Real

_NUMBER = r"([0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})\s{0,5}"
_DURATION = re.compile(_NUMBER + r"(ms|s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?|)", re.IGNORECASE)
_SIZE = re.compile(_NUMBER + r"([kmgt]?)(i?)b?", re.IGNORECASE)
_RATE = re.compile(_NUMBER + r"/\s{0,5}(s|sec|second|m|min|minute|h|hour|d|day)", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate limit: `count` requests per `per` seconds; `whole` where it was written "N/unit" (a strict window)."""

    count: float
    per: float = 1.0
    whole: bool = False

    def __str__(self) -> str:
        unit = {1.0: "s", 60.0: "min", 3600.0: "h", 86400.0: "d"}.get(self.per, f"{self.per:g}s")
        return f"{self.count:g}/{unit}"


@dataclass(frozen=True, slots=True)
class Share:
    """A bound on failures: a `count` of requests, or a `fraction` (0..1) of those finished."""

    count: int | None = None
    fraction: float | None = None


def parse_duration(value: object) -> float:
    """Read seconds from a number or "90s", "1.5h", "10min", "250ms".

    Raises:
        ValueError: The value is no duration or not finite.
    """
    if isinstance(value, bool):
        raise ValueError  # noqa: TRY004 - callers wait for one exception
    if isinstance(value, Real):
        if not isfinite(value):
            raise ValueError
        return float(value)
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError
    unit = match[2].lower()
    return float(match[1]) * _SECONDS[unit if unit == "ms" else unit[:1]]


def parse_size(value: object) -> int:
    """Read bytes from an int or "10MB" (10^6), "64KiB" (2^10), "1.5 GB".

    Raises:
        ValueError: The value is no size.
    """
    if isinstance(value, bool):
        raise ValueError  # noqa: TRY004 - callers wait for one exception
    if isinstance(value, Integral):
        return int(value)
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError
    base = 1024 if match[3] else 1000
    return int(float(match[1]) * base ** " kmgt".index(match[2].lower() or " "))


def parse_rate(value: object) -> Rate:
    """Read requests per second from a number, or a window from "60/min", "1000/h", "5/s".

    Raises:
        ValueError: The value is no rate or not finite.
    """
    if isinstance(value, Rate):
        return value
    if isinstance(value, str) and (match := _RATE.fullmatch(value.strip())):
        return Rate(float(match[1]), _SECONDS[match[2][:1].lower()], whole=True)
    if isinstance(value, bool) or not isinstance(value, (Real, str)) or not isfinite(float(value)):
        raise ValueError
    number = float(value)
    return Rate(number)


def parse_share(value: object) -> Share:
    """Read a bound on failures: "10" or 10 is a count, "5%" a share, 0.05 (a float below 1) likewise.

    Raises:
        ValueError: The value is neither.
    """
    if isinstance(value, Share):
        return value
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, str) and text.endswith("%"):
        return Share(fraction=_fraction(float(text[:-1]) / 100))
    if isinstance(text, float) and not text.is_integer():
        return Share(fraction=_fraction(text))
    if isinstance(text, bool) or not isinstance(text, (int, float, str)):
        raise TypeError
    count = int(text)
    if count < 0:
        raise ValueError
    return Share(count=count)


def show_count(number: int | None, one: str, many: str | None = None) -> str:
    """Write a number with its noun: 1 row, 5,000 rows; the noun alone where the number is not known.

    Args:
        number: How many.
        one: What follows 1.
        many: What follows any other number; `one` with an s by default.
    """
    many = f"{one}s" if many is None else many
    return many if number is None else f"{number:,} {one if number == 1 else many}"


def show_bytes(size: float) -> str:
    """Write bytes for people: 980 B, 12 MB, 1.4 GB (powers of ten)."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"


def show_seconds(seconds: float) -> str:
    """Write a duration for people: 0.43 s, 8.4 s, 84 s, 12 min 5 s, 3 h 12 min."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    rounded = round(seconds)
    if rounded < 600:
        return f"{rounded} s"
    if rounded < 7200:
        return f"{rounded // 60} min {rounded % 60} s"
    return f"{rounded // 3600} h {rounded % 3600 // 60} min"


def _fraction(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError
    return value
