"""A value of an object column as JSON, and back, exactly.

JSON's own values stand for themselves. A few others are an object with one key that begins with ``$``:

    {"$bytes": "aGk="}   {"$tuple": [1, 2]}   {"$dict": [[1, "a"]]}   {"$timestamp": ["2026-11-03T09:12:00", "us", "UTC"]}

No pickle, so that loading a file never runs anything.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["decode_value", "dump_json", "encode_value"]

_MISSING = {"<NA>": pd.NA, "NaT": pd.NaT}


def encode_value(value: Any) -> Any:
    """Return the value as something `json.dumps` takes.

    Raises:
        TypeError: A type that cannot be stored; the message names it.
    """
    kind = type(value)
    if value is None or kind in (str, bool, int, float):
        return value
    if kind is list:
        return [encode_value(inner) for inner in value]
    if kind is dict and all(type(key) is str and key[:1] != "$" for key in value):
        return {key: encode_value(inner) for key, inner in value.items()}
    if value is pd.NA or value is pd.NaT:
        return {"$missing": repr(value)}
    if kind in _ENCODERS:
        name, encode = _ENCODERS[kind]
        return {name: encode(value)}
    raise TypeError(kind.__name__)


def decode_value(value: Any) -> Any:
    """Return what `encode_value` was given.

    Raises:
        ValueError: The JSON was not made by it.
    """
    if type(value) is list:
        return [decode_value(inner) for inner in value]
    if type(value) is not dict:
        return value
    if len(value) == 1:
        name, inner = next(iter(value.items()))
        if name in _DECODERS:
            return _DECODERS[name](inner)
        if name[:1] == "$":
            message = f"unknown value {name}"
            raise ValueError(message)
    return {key: decode_value(inner) for key, inner in value.items()}


def dump_json(value: Any) -> str:
    """Return compact JSON text that UTF-8 can store, readable where there is no lone surrogate."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


def _timestamp(value: pd.Timestamp) -> list[Any]:
    return [value.isoformat(), value.unit, None if value.tz is None else str(value.tz)]


def _from_timestamp(parts: Any) -> pd.Timestamp:
    text, unit, zone = parts
    moment = pd.Timestamp(text).as_unit(unit)
    return moment if zone is None else moment.tz_convert(zone)


def _moment(value: datetime) -> list[Any]:
    zone = value.tzinfo
    key = None if zone is None else "UTC" if zone is UTC else getattr(zone, "key", None)
    if zone is not None and key is None:
        raise TypeError(type(zone).__name__)
    return [value.replace(tzinfo=None).isoformat(), key, value.fold]


def _from_moment(parts: Any) -> datetime:
    text, zone, fold = parts
    return datetime.fromisoformat(text).replace(tzinfo=None if zone is None else UTC if zone == "UTC" else ZoneInfo(zone), fold=fold)


_ENCODERS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    dict: ("$dict", lambda pairs: [[encode_value(part) for part in pair] for pair in pairs.items()]),
    tuple: ("$tuple", lambda values: [encode_value(value) for value in values]),
    bytes: ("$bytes", lambda value: b64encode(value).decode()),
    Decimal: ("$decimal", str),
    pd.Timestamp: ("$timestamp", _timestamp),
    datetime: ("$datetime", _moment),
    date: ("$date", date.isoformat),
    timedelta: ("$span", lambda value: [value.days, value.seconds, value.microseconds]),
}
_DECODERS: dict[str, Callable[[Any], Any]] = {
    "$dict": lambda pairs: {decode_value(key): decode_value(value) for key, value in pairs},
    "$tuple": lambda values: tuple(decode_value(value) for value in values),
    "$bytes": b64decode,
    "$decimal": Decimal,
    "$timestamp": _from_timestamp,
    "$datetime": _from_moment,
    "$date": date.fromisoformat,
    "$span": lambda parts: timedelta(*parts),
    "$missing": lambda name: _MISSING[name],
}
