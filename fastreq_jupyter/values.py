"""Python values as text and as JSON: what goes into a URL, a form, a body, whatever table it came from.

Only values are read, by type: no ``__str__`` or ``__format__`` of a class unknown here is ever called. numpy and pandas
values are known by shape, so that neither is imported.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import inspect
import ipaddress
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import cache
from math import isfinite
from pathlib import PurePath
from types import MemberDescriptorType
from typing import Any

__all__ = [
    "ABSENT", "NoPlaceError", "comes_from", "field_of", "fields_of", "is_missing", "is_record", "is_series", "is_table", "items_of",
    "json_of", "plain", "text_of", "type_name",
]  # fmt: skip

ABSENT: Any = object()
"""What stands for a field that is not there."""


_DEEPEST = 100
_EXACT = 2**53


class NoPlaceError(Exception):
    """A value that fits no place; the text says why."""


class _TooDeepError(NoPlaceError):
    """A value that holds values that hold values, and no end to it."""


def plain(value: Any) -> Any:
    """Return a numpy scalar as the Python value it holds, a float32 by its shortest text; others as they are."""
    kind = type(value)
    if kind in _PLAIN or not comes_from(kind, "numpy") or getattr(value, "ndim", None) != 0:
        return value
    letter = value.dtype.kind
    if letter in "mM":
        text = str(value)
        return None if text == "NaT" else _moment(text) if letter == "M" else value.astype("timedelta64[us]").item()
    if letter == "f":
        return float(str(value))
    return value.item() if letter in "biuSUO" else value


def is_missing(value: Any) -> bool:
    """Tell whether a value is None, NaN, NaT or NA."""
    if value is None:
        return True
    if isinstance(value, (float, Decimal)):
        return value != value  # noqa: PLR0124 - NaN is what differs from itself
    return type(value).__name__ in ("NAType", "NaTType")


def text_of(value: Any) -> str:
    """Return a value as text: whole floats without ``.0``, booleans lower case, times ISO 8601.

    Raises:
        NoPlaceError: It has no text of its own (a list, a table, an object), or is infinite.
    """
    if type(value) is str:
        return value
    value = plain(value)
    if isinstance(value, Enum):
        value = value._value_
    for kind, show in _TEXTS:
        if isinstance(value, kind):
            return show(value)
    return _other_text(value)


def json_of(value: Any, depth: int = 0) -> str:
    """Return a value as JSON text; missing values are ``null``, rows and dataclasses objects.

    Raises:
        NoPlaceError: JSON has no form for it, or it is nested too deeply.
    """
    if depth > _DEEPEST:
        raise _TooDeepError("it is nested too deeply")
    value = plain(value)
    if isinstance(value, Enum):
        value = value._value_
    if is_missing(value):
        return "null"
    if isinstance(value, float):
        # Refuses infinity and NaN, and keeps the ".0" that `text_of` drops.
        _float_text(value)
        return float.__repr__(value)
    if isinstance(value, (bool, int, Decimal)):
        return text_of(value)
    return _json_other(value, depth + 1)


def fields_of(value: Any) -> Iterable[tuple[Any, Any]] | None:
    """Return names and values of a mapping, namedtuple, dataclass or table row; None for anything else."""
    if isinstance(value, dict):
        return dict.items(value)
    kind = type(value)
    if isinstance(value, tuple):
        names = inspect.getattr_static(kind, "_fields", None)
        return None if names is None else list(zip(names, value, strict=False))
    if dataclasses.is_dataclass(kind):
        return [(field.name, field_of(value, kind, field.name)) for field in dataclasses.fields(kind)]
    if isinstance(value, Mapping):
        return [(name, value[name]) for name in value]
    if is_series(value):
        return list(zip(value.index.tolist(), value.tolist(), strict=False))
    return None


def field_of(value: Any, kind: type, key: str) -> Any:
    """Return a field of a dataclass, read statically; `ABSENT` where there is none."""
    if key not in (field.name for field in dataclasses.fields(kind)):
        return ABSENT
    attribute = inspect.getattr_static(value, key, ABSENT)
    if isinstance(attribute, MemberDescriptorType):
        try:
            return attribute.__get__(value, kind)
        except AttributeError:
            return ABSENT
    return ABSENT if hasattr(type(attribute), "__get__") and not callable(attribute) else attribute


def is_record(value: Any) -> bool:
    """Tell whether a value has named fields."""
    kind = type(value)
    return isinstance(value, Mapping) or (isinstance(value, tuple) and hasattr(kind, "_fields")) or dataclasses.is_dataclass(kind)


def comes_from(kind: Any, library: str) -> bool:
    """Tell whether a class is one of a library's, or derived from one; nothing of the class is run for it."""
    return library in _libraries(kind)


@cache
def _libraries(kind: Any) -> frozenset[str]:
    return frozenset(str(base.__module__).partition(".")[0] for base in kind.__mro__)


def is_series(value: Any) -> bool:
    """Tell whether a value is a Series or an Index of pandas."""
    kind = type(value)
    return comes_from(kind, "pandas") and hasattr(kind, "iloc") and hasattr(kind, "tolist")


def is_table(value: Any) -> bool:
    """Tell whether a value is a DataFrame of pandas."""
    kind = type(value)
    return comes_from(kind, "pandas") and hasattr(kind, "iloc") and not hasattr(kind, "tolist")


def type_name(value: Any) -> str:
    """Return the name of a value's type, as errors show it."""
    return type(value).__name__


def _json_other(value: Any, depth: int) -> str:
    if isinstance(value, str):
        return json.dumps(str.__str__(value), ensure_ascii=False)
    fields = fields_of(value)
    if fields is not None:
        inner = (f"{_key(name)}: {_inner(repr(name), item, depth)}" for name, item in fields)
        return "{" + ", ".join(inner) + "}"
    items = items_of(value)
    if items is not None:
        return "[" + ", ".join(_inner(f"item {number}", item, depth) for number, item in enumerate(items)) + "]"
    return json.dumps(_other_text(value), ensure_ascii=False)


def _key(name: Any) -> str:
    text = (
        "null" if name is None else name if isinstance(name, str) else text_of(name) if isinstance(plain(name), (bool, int)) else str(name)
    )
    return json.dumps(text, ensure_ascii=False)


def _inner(name: str, value: Any, depth: int) -> str:
    """Return a part of a value as JSON; why it fits no place is told with its name."""
    try:
        return json_of(value, depth)
    except _TooDeepError:
        raise
    except NoPlaceError as error:
        raise NoPlaceError(f"{name[:60]} is a {type_name(value)}: {error}") from None


def items_of(value: Any) -> Any:
    """Return the items of a list, tuple, range, set or array; None for anything else."""
    if isinstance(value, (list, tuple, range)):
        return value
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    kind = type(value)
    if (comes_from(kind, "numpy") or comes_from(kind, "pandas")) and hasattr(kind, "tolist") and getattr(value, "ndim", 0) >= 1:
        return value.tolist()
    return None


def _float_text(value: float) -> str:
    if not isfinite(value):
        raise NoPlaceError("it is not finite")
    return int.__repr__(int(value)) if value.is_integer() and abs(value) < _EXACT else float.__repr__(value)


def _decimal_text(value: Decimal) -> str:
    if not value.is_finite() or abs(value.adjusted()) > 1000:
        raise NoPlaceError("it is not finite, or too large")
    return format(value, "f")


def _other_text(value: Any) -> str:
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return _duration(value)
    if isinstance(value, (uuid.UUID, PurePath, Fraction, ipaddress.IPv4Address, ipaddress.IPv6Address)):
        return str(value)
    if type(value).__name__ == "Period" and comes_from(type(value), "pandas"):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise NoPlaceError("bytes are no text: decode them first")
    raise NoPlaceError(_advice(value))


def _advice(value: Any) -> str:
    kind = type(value)
    if hasattr(kind, "__next__"):
        return "a generator is no single value: --each sends one request per item"
    if isinstance(value, (list, tuple, set, frozenset, range, Mapping)) or comes_from(kind, "pandas") or comes_from(kind, "numpy"):
        return "it holds many values: name one of them, or use --each for one request per item"
    return "it has no text of its own"


def _duration(value: dt.timedelta) -> str:
    if value < dt.timedelta(0):
        return "-" + _duration(-value)
    seconds = value.seconds + value.microseconds / 1_000_000
    return f"P{value.days}DT{seconds:g}S" if value.microseconds == 0 else f"P{value.days}DT{value.seconds}.{value.microseconds:06d}S"


def _moment(text: str) -> Any:
    try:
        return dt.datetime.fromisoformat(text[:26]) if "T" in text else dt.date.fromisoformat(text)
    except ValueError:
        return text


_PLAIN = frozenset({str, int, float, bool, type(None), list, dict, tuple, Decimal})
_TEXTS: tuple[tuple[type, Callable[[Any], str]], ...] = (
    # bool before int: bool is a subclass.
    (bool, lambda value: "true" if value else "false"),
    (str, str.__str__),
    (int, int.__repr__),
    (float, _float_text),
    (Decimal, _decimal_text),
)
