"""Puts the input columns and the index of ``--each`` onto the frame, by position, never by label."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from fastreq_jupyter.cell.each.rows import Rows

__all__ = ["RowJoin", "renamed"]


class RowJoin:
    """The columns and the index of the sources, put onto the frame.

    Args:
        rows: The sources.
        row_of: Position in the plan -> number of the combined row.
    """

    def __init__(self, rows: Rows, row_of: Callable[[int], int]) -> None:
        self._rows = rows
        self._row_of = row_of

    def attach(self, frame: Any, positions: Sequence[int], own: Collection[str]) -> Any:
        """Return the frame with the input columns in front and the source's index.

        Input columns keep their names, but one named as a column of ours gets ``_in``; a field of the answer that is named as
        an input column becomes ``data.NAME``.

        Args:
            frame: The results, one row per position.
            positions: Places in the plan, one per row of the frame; a place may come again (``--select``).
            own: Names of our columns.
        """
        numbers = [self._row_of(position) for position in positions]
        drawn_rows = [self._rows.at(number) for number in numbers]
        labels: list[Any] = []
        columns: list[Any] = []
        indexes: list[Any] = []
        for number, table in enumerate(self._rows.tables):
            positions_in_table = [rows[number] for rows in drawn_rows]
            for label, values in table.columns(positions_in_table):
                labels.append(label)
                columns.append(values)
            indexes.append(table.index(positions_in_table))
        front = dict(zip(_names(labels, own), columns, strict=True))
        frame = frame.set_axis(_giving_way(list(frame.columns), front, own), axis=1)
        # The frame is pandas', so pandas is imported already. One concat, since many inserts are slow.
        pandas: Any = sys.modules["pandas"]
        frame = pandas.concat([pandas.DataFrame(front, index=frame.index), frame], axis=1)
        single = len(indexes) == 1 or self._rows.in_step
        return _with_index(frame, indexes[0] if single else None, numbers)

    def columns(self) -> list[Any]:
        """Return the labels of the input columns, as far as they are known before a run."""
        return [label for table in self._rows.tables for label, _ in table.columns([0] if table.size else [])]


def renamed(labels: Sequence[Any], own: Collection[str]) -> list[tuple[Any, Any]]:
    """Return (label, new label) of the input columns that are named as a column of ours, or as another input column."""
    return [(label, name) for label, name in zip(labels, _names(labels, own), strict=True) if name != label]


def _names(labels: Sequence[Any], own: Collection[str]) -> list[Any]:
    used = set(own)
    later = Counter(labels)
    names: list[Any] = []
    for label in labels:
        later[label] -= 1
        name = label
        while name in used or (name != label and later[name] > 0):
            name = f"{name}_in"
        used.add(name)
        names.append(name)
    return names


def _giving_way(columns: Sequence[Any], front: Collection[Any], own: Collection[str]) -> list[Any]:
    """Return the labels of the results; a field of the answer makes room for an input column."""
    used = {*front, *columns}
    names: list[Any] = []
    for label in columns:
        name = label
        if label in front and label not in own:
            name, number = f"data.{label}", 1
            while name in used:
                number += 1
                name = f"data.{label}_{number}"
            used.add(name)
        names.append(name)
    return names


def _with_index(frame: Any, index: Any, numbers: list[int]) -> Any:
    """Return the frame with the source's index, or numbered by the rows of a product, which has none of its own."""
    # Attribute assignment keeps an Index as it is and turns a list into one.
    whole = range(len(numbers))
    frame.index = index if index is not None else whole if numbers == list(whole) else numbers
    return frame
