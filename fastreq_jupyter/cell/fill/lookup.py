"""Finds what a placeholder names, without evaluating anything.

Attributes are read of mappings, namedtuples, dataclasses and table rows only, statically: no property, ``__getattr__`` or
descriptor of the user's runs, and nothing with a leading underscore is reached by a dot.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from types import MemberDescriptorType
from typing import Any

__all__ = ["LookupFailed", "comes_from", "fields_of", "is_record", "item_of", "near", "offered", "walk"]

_OFFERED = 8


class LookupFailed(Exception):  # noqa: N818 - it says what happened, and never leaves the package
    """Report a name that is not there; the text is one clause."""


def walk(value: Any, keys: Sequence[str | int], quoted: frozenset[int], shown: str, *, start: int = 1) -> Any:
    """Follow `keys` from `start` on, beginning at `value`.

    Args:
        value: What ``keys[start - 1]`` named.
        keys: The whole path.
        quoted: Positions of keys written in brackets.
        shown: The path's text up to here, for messages.
        start: First key to follow.

    Raises:
        LookupFailed: A key names nothing.
    """
    for place in range(start, len(keys)):
        key = keys[place]
        value = item_of(value, key, quoted=place in quoted, shown=shown)
        shown = f"{shown}[{key}]" if isinstance(key, int) else f"{shown}.{key}"
    return value


def item_of(value: Any, key: str | int, *, quoted: bool, shown: str) -> Any:
    """Return one attribute or item of a value.

    Raises:
        LookupFailed: There is none, or it may not be read.
    """
    if isinstance(key, int):
        return _by_position(value, key, shown)
    if key.startswith("_") and not quoted:
        message = f'{key}: names with a leading underscore are not read by a dot; {shown}["{key}"] reads an item of a record'
        raise LookupFailed(message)
    found = _by_name(value, key)
    if found is _ABSENT:
        raise LookupFailed(_why_not(value, key, shown))
    return found


def fields_of(value: Any) -> Iterable[tuple[Any, Any]] | None:
    """Return names and values of a mapping, namedtuple, dataclass or table row; None for anything else."""
    if isinstance(value, dict):
        return dict.items(value)
    kind = type(value)
    if isinstance(value, tuple):
        names = inspect.getattr_static(kind, "_fields", None)
        return None if names is None else list(zip(names, value, strict=False))
    if dataclasses.is_dataclass(kind):
        return [(field.name, _by_name(value, field.name)) for field in dataclasses.fields(kind)]
    if isinstance(value, Mapping):
        return [(name, value[name]) for name in value]
    if _is_series(value):
        return list(zip(value.index.tolist(), value.tolist(), strict=False))
    return None


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


def near(name: str, names: Iterable[Any]) -> str:
    """Return ``; did you mean x?`` for the nearest of `names`, or nothing."""
    texts = [str(one) for one in names]
    same = [text for text in texts if text.casefold() == name.casefold()]
    found = same or get_close_matches(name, texts, n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""


def offered(names: Sequence[str]) -> str:
    """Return a few names as placeholders, for a hint."""
    return ", ".join(f"{{{{{name[:60]}}}}}" for name in names[:_OFFERED]) + (" ..." if len(names) > _OFFERED else "")


_ABSENT: Any = object()


def _by_name(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return dict.get(value, key, _ABSENT)
    kind = type(value)
    if isinstance(value, tuple):
        names = inspect.getattr_static(kind, "_fields", ())
        return tuple.__getitem__(value, names.index(key)) if key in names else _ABSENT
    if dataclasses.is_dataclass(kind):
        return _field_of(value, kind, key)
    if isinstance(value, Mapping):
        return value.get(key, _ABSENT)
    if _is_series(value) or _is_table(value):
        return _by_label(value, key)
    return _ABSENT


def _field_of(value: Any, kind: type, key: str) -> Any:
    if key not in (field.name for field in dataclasses.fields(kind)):
        return _ABSENT
    found = inspect.getattr_static(value, key, _ABSENT)
    if isinstance(found, MemberDescriptorType):
        try:
            return found.__get__(value, kind)
        except AttributeError:
            return _ABSENT
    return _ABSENT if hasattr(type(found), "__get__") and not callable(found) else found


def _by_label(value: Any, key: str) -> Any:
    labels = (value.columns if _is_table(value) else value.index).tolist()
    places = [place for place, label in enumerate(labels) if label == key or (not isinstance(label, str) and str(label) == key)]
    if len(places) != 1:
        return _ABSENT
    return value.iloc[:, places[0]] if _is_table(value) else value.tolist()[places[0]]


def _by_position(value: Any, key: int, shown: str) -> Any:
    kind = type(value)
    positional = value.tolist() if _is_series(value) or (comes_from(kind, "numpy") and getattr(value, "ndim", 0) == 1) else value
    if isinstance(positional, Mapping) and key in positional:
        return positional[key]
    if not isinstance(positional, (list, tuple, range)):
        message = f"{shown} is a {kind.__name__}: [{key}] needs a list"
        raise LookupFailed(message)
    if not -len(positional) <= key < len(positional):
        message = f"{shown} has {len(positional)} items, no [{key}]"
        raise LookupFailed(message)
    return positional[key]


def _why_not(value: Any, key: str, shown: str) -> str:
    if (fields := fields_of(value)) is not None:
        return f"{shown} has no {key!r}{near(key, (name for name, _ in fields))}"
    if _is_table(value):
        return f"{shown} has no column {key!r}{near(key, value.columns.tolist())}"
    return f"{shown} is a {type(value).__name__}: .{key} is read of mappings, namedtuples, dataclasses and table rows only"


def _is_series(value: Any) -> bool:
    kind = type(value)
    return comes_from(kind, "pandas") and hasattr(kind, "iloc") and hasattr(kind, "tolist")


def _is_table(value: Any) -> bool:
    kind = type(value)
    return comes_from(kind, "pandas") and hasattr(kind, "iloc") and not hasattr(kind, "tolist")
