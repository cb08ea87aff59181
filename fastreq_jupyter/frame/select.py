"""``--select``: one row per item that a JMESPath expression finds in a body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from fastreq_jupyter.frame.columns import integers, objects
from fastreq_jupyter.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["search_rows", "select_frame"]


def select_frame(
    frame: pd.DataFrame, expression: str, *, fields: Sequence[Mapping[str, str] | None], notes: list[str]
) -> tuple[pd.DataFrame, list[int]]:
    """Return the frame with one row per selected item, and for each new row the place of the old one.

    A list gives its items in order; anything else is one item; where nothing is found, the row stays with ``data`` None and
    ``item`` NA. A failed row stays as it is, with the body that tells why.

    Args:
        frame: Needs the columns ``ok`` and ``data``.
        expression: JMESPath.
        fields: Response fields of each row.
        notes: Gets a line where the expression could not be applied to some bodies.

    Raises:
        OptionError: The expression is none.
    """
    found = search_rows(frame, Selection(expression), fields, notes)
    data: list[Any] = []
    items: list[int | None] = []
    taken: list[int] = []
    for row, (value, old, ok) in enumerate(zip(found, frame["data"], frame["ok"], strict=True)):
        values = [value] if ok and value is not None and not isinstance(value, list) else value
        if ok and values:
            data += values
            items += range(len(values))
            taken += [row] * len(values)
        else:
            data.append(None if ok else old)
            items.append(None)
            taken.append(row)
    shaped = frame if taken == list(range(len(frame))) else frame.iloc[taken]
    return _with_items(shaped, objects(data), integers(items, "Int32")), taken


def search_rows(frame: pd.DataFrame, selection: Selection, fields: Sequence[Mapping[str, str] | None], notes: list[str]) -> list[Any]:
    """Return what the expression finds in the body of each good row, None elsewhere.

    Where it cannot be applied (a function of a missing value), nothing is found, and one note says how often and why.
    """
    found: list[Any] = []
    misfits: list[str] = []
    for data, ok, field in zip(frame["data"], frame["ok"], fields, strict=True):
        try:
            found.append(selection.search(data, field) if ok else None)
        except ValueError as error:
            found.append(None)
            misfits.append(str(error))
    if misfits:
        notes.append(f"{selection.text[:80]} could not be applied to {len(misfits):,} of {len(found):,} bodies: {misfits[0]}")
    return found


def _with_items(frame: pd.DataFrame, data: Any, items: Any) -> pd.DataFrame:
    place = list(frame.columns).index("data")
    left, right = frame.iloc[:, :place], frame.iloc[:, place + 1 :]
    new = pd.DataFrame({"item": items, "data": data}, copy=False)
    new.index = frame.index
    if "item" in frame.columns:
        # selected before: the item is counted anew
        left, right = (part.drop(columns="item", errors="ignore") for part in (left, right))
    return pd.concat([left, new, right], axis=1)
