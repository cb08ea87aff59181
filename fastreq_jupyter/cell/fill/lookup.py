"""Finds what a placeholder names, without evaluating anything.

Attributes are read of mappings, namedtuples, dataclasses and table rows only, statically: no property, ``__getattr__`` or
descriptor of the user's runs, and nothing with a leading underscore is reached by a dot.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.cell.syntax import BracketKey
from fastreq_jupyter.values import ABSENT, comes_from, field_of, fields_of, is_series, is_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastreq_jupyter.cell.syntax import Keys, Placeholder, Ref
    from fastreq_jupyter.model import Outcome

_OFFERED = 8

_USAGE = "name a part of its answer: {0}.data.x, {0}.headers.x or {0}.status"


class LookupFailed(Exception):  # noqa: N818 - it says what happened, and never leaves the package
    """A name that is not there; the text is one clause."""


def walk(value: Any, keys: Keys, shown: str) -> Any:
    """Follow keys, beginning at `value`, whose name in messages is `shown`.

    Raises:
        LookupFailed: A key names nothing.
    """
    for key in keys:
        value = item_of(value, key, shown)
        shown = f"{shown}[{key}]" if isinstance(key, int) else f"{shown}.{key}"
    return value


def item_of(value: Any, key: str | int, shown: str) -> Any:
    """Return one attribute or item of a value.

    Raises:
        LookupFailed: There is none, or it may not be read.
    """
    if isinstance(key, int):
        return _by_position(value, key, shown)
    if key.startswith("_") and not isinstance(key, BracketKey):
        raise LookupFailed(f'{key}: names with a leading underscore are not read by a dot; {shown}["{key}"] reads an item of a record')
    item = _by_name(value, key)
    if item is ABSENT:
        raise LookupFailed(_why_not(value, key, shown))
    return item


def near(name: str, names: Iterable[Any]) -> str:
    """Return ``; did you mean x?`` for the nearest of `names`, or nothing."""
    texts = [str(item) for item in names]
    equal = [text for text in texts if text.casefold() == name.casefold()]
    nearest = equal or get_close_matches(name, texts, n=1, cutoff=0.6)
    return f"; did you mean {nearest[0]}?" if nearest else ""


def offered(names: Sequence[str]) -> str:
    """Return a few names as placeholders, for a hint."""
    return ", ".join(f"{{{{{name[:60]}}}}}" for name in names[:_OFFERED]) + (" ..." if len(names) > _OFFERED else "")


def _by_name(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return dict.get(value, key, ABSENT)
    kind = type(value)
    if isinstance(value, tuple):
        names = inspect.getattr_static(kind, "_fields", ())
        return tuple.__getitem__(value, names.index(key)) if key in names else ABSENT
    if dataclasses.is_dataclass(kind):
        return field_of(value, kind, key)
    if isinstance(value, Mapping):
        return value.get(key, ABSENT)
    if is_series(value) or is_table(value):
        return _by_label(value, key)
    return ABSENT


def _by_label(value: Any, key: str) -> Any:
    labels = (value.columns if is_table(value) else value.index).tolist()
    places = [place for place, label in enumerate(labels) if label == key or (not isinstance(label, str) and str(label) == key)]
    if len(places) != 1:
        return ABSENT
    return value.iloc[:, places[0]] if is_table(value) else value.tolist()[places[0]]


def _by_position(value: Any, key: int, shown: str) -> Any:
    kind = type(value)
    positional = value.tolist() if is_series(value) or (comes_from(kind, "numpy") and getattr(value, "ndim", 0) == 1) else value
    if isinstance(positional, Mapping) and key in positional:
        return positional[key]
    if not isinstance(positional, (list, tuple, range)):
        raise LookupFailed(f"{shown} is a {kind.__name__}: [{key}] needs a list")
    if not -len(positional) <= key < len(positional):
        raise LookupFailed(f"{shown} has {len(positional)} items, no [{key}]")
    return positional[key]


def _why_not(value: Any, key: str, shown: str) -> str:
    if (fields := fields_of(value)) is not None:
        return f"{shown} has no {key!r}{near(key, (name for name, _ in fields))}"
    if is_table(value):
        return f"{shown} has no column {key!r}{near(key, value.columns.tolist())}"
    return f"{shown} is a {type(value).__name__}: .{key} is read of mappings, namedtuples, dataclasses and table rows only"


def answer_reader(ref: Ref) -> Callable[[Outcome], Any]:
    """Return what reads the named part out of an outcome.

    Raises:
        LookupFailed: The path names no part of an answer.
    """
    keys = ref.keys
    label = str(keys[0])
    skipped = 2 if len(keys) > 1 and keys[1] == "response" else 1
    part = keys[skipped] if len(keys) > skipped else None
    rest = keys[skipped + 1 :]
    if part in ("data", "body"):
        if rest and rest[0] in ("$", "*"):
            rest = rest[1:]
        return lambda outcome: walk(body_of(outcome), rest, f"{label}.data")
    if part == "headers" and len(rest) == 1 and isinstance(rest[0], str):
        name = rest[0]
        return lambda outcome: _header_of(outcome, name, label)
    if part == "status" and not rest:
        return lambda outcome: outcome.response.status if outcome.response else None
    raise LookupFailed(_USAGE.format(label))


def body_of(outcome: Outcome) -> Any:
    """Return an answer's body: parsed where it is JSON, else text."""
    if isinstance(outcome.data, (Mapping, list)):
        return outcome.data
    response = outcome.response
    if response is not None and response.content is not None:
        try:
            return response.json()
        except (ValueError, RecursionError):
            return response.text if outcome.data is None else outcome.data
    if isinstance(outcome.data, str) and response is not None and response.path is None:
        try:
            return json.loads(outcome.data)
        except (ValueError, RecursionError):
            return outcome.data
    return outcome.data


def check_order(needs: Mapping[str, Sequence[tuple[str, Placeholder]]], order: Sequence[str]) -> None:
    """Check that each named request waits only for those above it.

    Args:
        needs: Request -> (name it waits for, where it says so); a request without a name has a key that is no name.
        order: All keys of `needs` and all names, in the order of the cell.

    Raises:
        CellSyntaxError: Requests that wait for each other, or for one further below.
    """
    place = {name: number for number, name in enumerate(order)}
    for child, parents in needs.items():
        for parent, placeholder in parents:
            if place[parent] < place[child]:
                continue
            if path := path_between(parent, child, lambda name: (parent for parent, _ in needs.get(name, ()))):
                raise placeholder.error("requests wait for each other: " + " -> ".join([child, *path]))
            raise placeholder.error(f"{parent} is asked further below: put it above the request that uses its answer")


def path_between(start: str, goal: str, needed: Callable[[str], Iterable[str]]) -> list[str]:
    """Return the names from `start` to `goal`, each needed by the one before it; empty where there is no such way."""
    came_from: dict[str, str | None] = {start: None}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name == goal:
            path = [name]
            while (before := came_from[path[-1]]) is not None:
                path.append(before)
            return path[::-1]
        for other in needed(name):
            if other not in came_from:
                came_from[other] = name
                waiting.append(other)
    return []


def _header_of(outcome: Outcome, name: str, label: str) -> str:
    value = outcome.response.header(name) if outcome.response else None
    if value is None:
        raise LookupFailed(f"the answer of {label} has no header {name}")
    return value
