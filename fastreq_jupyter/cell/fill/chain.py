"""Answers of named requests: which one a placeholder waits for, and what it reads of it.

For example::

    {{login.data.token}}            a field of the JSON body       {{login.headers.location}}   a header, any case
    {{login.response.body.token}}   the same, as other tools say   {{login.status}}             the status code
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.cell.fill.lookup import LookupFailed, walk
from fastreq_jupyter.errors import CellSyntaxError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastreq_jupyter.cell.syntax import Ref
    from fastreq_jupyter.model import Outcome

__all__ = ["answer_reader", "check_order"]

_USAGE = "name a part of its answer: {0}.data.x, {0}.headers.x or {0}.status"


def answer_reader(ref: Ref) -> Callable[[Outcome], Any]:
    """Return what reads the named part out of an outcome.

    Raises:
        LookupFailed: The path names no part of an answer.
    """
    keys = list(ref.keys)
    label = str(keys[0])
    skipped = 2 if len(keys) > 1 and keys[1] == "response" else 1
    part = keys[skipped] if len(keys) > skipped else None
    rest = tuple(keys[skipped + 1 :])
    quoted = frozenset(place - skipped for place in ref.quoted)
    if part in ("data", "body"):
        if rest and rest[0] in ("$", "*"):
            rest, quoted = rest[1:], frozenset(place - 1 for place in quoted)
        shown = f"{label}.data"
        return lambda outcome: walk(body_of(outcome), ("data", *rest), quoted, shown)
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


def check_order(needs: Mapping[str, Sequence[tuple[str, int, int]]], order: Sequence[str]) -> None:
    """Check that each named request waits only for those above it.

    Args:
        needs: Request -> (name it waits for, line, column of the placeholder); a request without a name has a key
            that is no name.
        order: All keys of `needs` and all names, in the order of the cell.

    Raises:
        CellSyntaxError: Requests that wait for each other, or for one further below.
    """
    place = {name: number for number, name in enumerate(order)}
    for child, parents in needs.items():
        for parent, line, column in parents:
            if place[parent] < place[child]:
                continue
            path = _path(parent, child, needs)
            if path:
                message = "requests wait for each other: " + " -> ".join([child, *path])
                raise CellSyntaxError(message, line, column)
            message = f"{parent} is asked further below: put it above the request that uses its answer"
            raise CellSyntaxError(message, line, column)


def _path(start: str, goal: str, needs: Mapping[str, Sequence[tuple[str, int, int]]]) -> list[str]:
    came_from: dict[str, str | None] = {start: None}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name == goal:
            path: list[str] = []
            step: str | None = name
            while step is not None:
                path.append(step)
                step = came_from[step]
            return path[::-1]
        for parent, _, _ in needs.get(name, ()):
            if parent not in came_from:
                came_from[parent] = name
                waiting.append(parent)
    return []


def _header_of(outcome: Outcome, name: str, label: str) -> str:
    value = outcome.response.header(name) if outcome.response else None
    if value is None:
        message = f"the answer of {label} has no header {name}"
        raise LookupFailed(message)
    return value
