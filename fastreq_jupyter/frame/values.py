"""Any value of an object column as JSON, and back, exactly.

JSON's own values stand for themselves. Everything else is an object with one key that begins with ``$``:

    {"$bytes": "aGk="}   {"$tuple": [1, 2]}   {"$float": "nan"}   {"$dict": [[1, "a"]]}   {"$timestamp": [1762161120, "s", "UTC"]}

No pickle, so that loading a file never runs anything.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["decode_value", "dump_json", "encode_value"]

# More decimal digits than this are not read back by Python itself.
_LONG_BITS = 12_000
_THEMSELVES = (type(None), str, bool)
_MISSING = {"NA": pd.NA, "NaT": pd.NaT}


def encode_value(value: Any) -> Any:
    """Return the value as something `json.dumps` takes.

    Raises:
        TypeError: A type that cannot be stored; the message names it.
    """
    kind = type(value)
    if kind in _THEMSELVES or (kind is float and isfinite(value)) or (kind is int and value.bit_length() <= _LONG_BITS):
        return value
    if kind is list:
        return [encode_value(inner) for inner in value]
    if kind is dict and all(type(key) is str and key[:1] != "$" for key in value):
        return {key: encode_value(inner) for key, inner in value.items()}
    for name, fits, encode in _ENCODERS:
        if fits(value):
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
        if name[:1] == "$":
            return _decoder(name)(inner)
    return {key: decode_value(inner) for key, inner in value.items()}


def dump_json(value: Any) -> str:
    """Return compact JSON text that UTF-8 can store, readable where there is no lone surrogate."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


def _exactly(kind: type) -> Callable[[Any], bool]:
    return lambda value: type(value) is kind


def _listed(values: Any) -> list[Any]:
    return [encode_value(value) for value in values]


def _decoded(values: Any) -> list[Any]:
    return [decode_value(value) for value in values]


def _zone(moment: datetime | time) -> str | None:
    return moment.tzinfo.key if isinstance(moment.tzinfo, ZoneInfo) else None


def _moment(parts: Any, kind: type[datetime | time]) -> Any:
    text, zone, fold = parts
    moment = kind.fromisoformat(text)
    return moment.replace(tzinfo=ZoneInfo(zone), fold=fold) if zone else moment.replace(fold=fold)


def _timestamp(value: pd.Timestamp) -> list[Any]:
    return [int(value.asm8.astype("int64")), value.unit, None if value.tz is None else str(value.tz)]


def _from_timestamp(parts: Any) -> pd.Timestamp:
    number, unit, zone = parts
    moment = pd.Timestamp(np.datetime64(number, unit))
    return moment if zone is None else moment.tz_localize("UTC").tz_convert(zone)


def _scalar(value: np.generic) -> list[Any]:
    if value.dtype.kind in "Mm":
        return [value.dtype.str, int(value.astype("int64"))]
    if value.dtype.kind not in "biufSU":
        raise TypeError(type(value).__name__)
    return [value.dtype.str, encode_value(value.item())]


def _from_scalar(parts: Any) -> Any:
    dtype = np.dtype(parts[0])
    return np.array(parts[1], dtype="int64").view(dtype)[()] if dtype.kind in "Mm" else dtype.type(decode_value(parts[1]))


_ENCODERS: tuple[tuple[str, Callable[[Any], bool], Callable[[Any], Any]], ...] = (
    ("$dict", _exactly(dict), lambda pairs: [_listed(pair) for pair in pairs.items()]),
    ("$int", _exactly(int), hex),
    ("$float", _exactly(float), repr),
    ("$missing", lambda value: value is pd.NA or value is pd.NaT, repr),
    ("$bytes", _exactly(bytes), lambda value: b64encode(value).decode()),
    ("$bytearray", _exactly(bytearray), lambda value: b64encode(value).decode()),
    ("$tuple", _exactly(tuple), _listed),
    ("$set", _exactly(set), _listed),
    ("$frozenset", _exactly(frozenset), _listed),
    ("$timestamp", _exactly(pd.Timestamp), _timestamp),
    ("$timedelta", _exactly(pd.Timedelta), lambda value: [int(value.asm8.astype("int64")), value.unit]),
    ("$datetime", _exactly(datetime), lambda value: [value.isoformat(), _zone(value), value.fold]),
    ("$date", _exactly(date), date.isoformat),
    ("$time", _exactly(time), lambda value: [value.isoformat(), _zone(value), value.fold]),
    ("$span", _exactly(timedelta), lambda value: [value.days, value.seconds, value.microseconds]),
    ("$decimal", _exactly(Decimal), str),
    ("$uuid", _exactly(UUID), str),
    ("$path", lambda value: isinstance(value, PurePath), str),
    ("$numpy", lambda value: isinstance(value, np.generic), _scalar),
)
_DECODERS: dict[str, Callable[[Any], Any]] = {
    "$dict": lambda pairs: {decode_value(key): decode_value(value) for key, value in pairs},
    "$int": lambda text: int(text, 16),
    "$float": float,
    "$missing": lambda name: _MISSING["NA" if name == "<NA>" else name],
    "$bytes": b64decode,
    "$bytearray": lambda text: bytearray(b64decode(text)),
    "$tuple": lambda values: tuple(_decoded(values)),
    "$set": lambda values: set(_decoded(values)),
    "$frozenset": lambda values: frozenset(_decoded(values)),
    "$timestamp": _from_timestamp,
    "$timedelta": lambda parts: pd.Timedelta(np.timedelta64(*parts)),
    "$datetime": lambda parts: _moment(parts, datetime),
    "$date": date.fromisoformat,
    "$time": lambda parts: _moment(parts, time),
    "$span": lambda parts: timedelta(*parts),
    "$decimal": Decimal,
    "$uuid": UUID,
    "$path": Path,
    "$numpy": _from_scalar,
}


def _decoder(name: str) -> Callable[[Any], Any]:
    try:
        return _DECODERS[name]
    except KeyError:
        message = f"unknown value {name}"
        raise ValueError(message) from None
