"""``--select``: one row per item that a JMESPath expression finds in a body."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from fastreq_jupyter.frame.columns import integers, objects
from fastreq_jupyter.frame.selection import Selection
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Bodies", "described", "read_json", "search_rows", "select_frame"]

_NAMED = 5


class Bodies(NamedTuple):
    """What `select` and `expand` work on, one of each per row of the frame.

    Attributes:
        data: Bodies, as JSON where they are that.
        good: True where the body is one to look into: not that of a failed row, not a hidden one.
        fields: Response fields, lower-case names, or None.
    """

    data: list[Any]
    good: list[bool]
    fields: list[Mapping[str, str] | None]

    def take(self, rows: Sequence[int], data: list[Any], good: list[bool]) -> Bodies:
        """Return the bodies of a frame whose rows were made of `rows` of this one."""
        return Bodies(data, good, [self.fields[row] for row in rows])


def read_json(values: Iterable[Any], kinds: Iterable[str | None]) -> list[Any]:
    """Return bodies with JSON read whatever their type says; what is none stays as it is.

    Who selects has said that it is JSON: servers send it as text/plain, text/html, application/octet-stream ...

    Args:
        values: Bodies.
        kinds: Media types; those of JSON were read already, None where it is not known.
    """
    return [
        _read(value) if isinstance(value, (str, bytes)) and not _is_json(kind) else value for value, kind in zip(values, kinds, strict=True)
    ]


def select_frame(frame: pd.DataFrame, expression: str, bodies: Bodies, notes: list[str]) -> tuple[pd.DataFrame, list[int], Bodies]:
    """Return the frame with one row per selected item, for each new row the place of the old one, and the items.

    A list gives its items in order, and an empty one a row with ``data`` None; anything else is one item. Where nothing is
    found the row stays with its body in ``data``, and a line says so. A failed row stays as it is.

    Args:
        frame: Needs the column ``data``.
        expression: JMESPath.
        bodies: Of the frame's rows.
        notes: Gets a line where the expression found nothing or could not be applied.

    Raises:
        OptionError: The expression is none.
    """
    found = search_rows(Selection(expression), bodies, notes)
    data: list[Any] = []
    items: list[int | None] = []
    taken: list[int] = []
    good: list[bool] = []
    for row, value in enumerate(found):
        values = value if isinstance(value, list) else [value]
        if value is None or not values:
            values, numbers = [bodies.data[row] if value is None else None], [None]
        else:
            numbers = [*range(len(values))]
        data += values
        items += numbers
        taken += [row] * len(values)
        good += [number is not None for number in numbers]
    shaped = frame if taken == list(range(len(frame))) else frame.iloc[taken]
    return _with_items(shaped, objects(data), integers(items, "Int32")), taken, bodies.take(taken, data, good)


def search_rows(selection: Selection, bodies: Bodies, notes: list[str]) -> list[Any]:
    """Return what the expression finds in each good body, None elsewhere; lines say where it found nothing, and why.

    Args:
        selection: The expression.
        bodies: Where to look.
        notes: Gets the lines.
    """
    found: list[Any] = []
    empty: list[Any] = []
    misfits: list[str] = []
    for data, good, fields in zip(*bodies, strict=True):
        value = None
        try:
            value = selection.search(data, fields) if good else None
        except ValueError as error:
            misfits.append(str(error))
        else:
            if good and value is None and data is not None:
                empty.append(data)
        found.append(value)
    count, text = sum(bodies.good), selection.text[:80]
    if misfits:
        notes.append(f"{selection.option}: {text} could not be applied to {len(misfits):,} of {count:,} bodies: {misfits[0]}")
    if empty:
        notes.append(f"{selection.option}: {text} found nothing in {len(empty):,} of {count:,} bodies; {described(empty)}")
    return found


def described(bodies: Sequence[Any]) -> str:
    """Return what these bodies have: ``they have value, @odata.context``."""
    names = list(dict.fromkeys(str(name) for body in bodies if isinstance(body, dict) for name in body))
    if names:
        more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        return f"they have {', '.join(one_line(name, 60) for name in names[:_NAMED])}{more}"
    kinds = {type(body) for body in bodies}
    if kinds <= {str, bytes}:
        return "they are no JSON"
    return "they are lists" if kinds == {list} else "they are empty" if kinds == {dict} else "they are no objects"


def _is_json(kind: Any) -> bool:
    return isinstance(kind, str) and (kind == "application/json" or kind.endswith("+json"))


def _read(body: str | bytes) -> Any:
    try:
        text = body if isinstance(body, str) else body.decode(json.detect_encoding(body))
        return json.loads(text.removeprefix("\ufeff"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return body


def _refuse_constant(name: str) -> Any:
    # NaN is no JSON (RFC 8259, 6)
    raise ValueError(name)


def _with_items(frame: pd.DataFrame, data: Any, items: Any) -> pd.DataFrame:
    place = list(frame.columns).index("data")
    left, right = frame.iloc[:, :place], frame.iloc[:, place + 1 :]
    new = pd.DataFrame({"item": items, "data": data}, copy=False)
    new.index = frame.index
    if "item" in frame.columns:
        # selected before: the item is counted anew
        left, right = (part.drop(columns="item", errors="ignore") for part in (left, right))
    return pd.concat([left, new, right], axis=1)
