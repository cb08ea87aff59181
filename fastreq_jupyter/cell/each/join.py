"""Puts the input columns and the index of ``--each`` onto the frame, by position, never by label."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fastreq_jupyter.cell.each.rows import Rows

__all__ = ["RESULT_COLUMNS", "RowJoin", "renamed"]

RESULT_COLUMNS = (
    "status", "ok", "error", "error_detail", "data", "url", "method", "elapsed_ms", "queued_ms", "wait_ms", "attempts", "size_bytes",
    "content_type", "final_url", "name", "started_at",
)  # fmt: skip
TIMING_COLUMNS = ("retry_wait_ms", "dns_ms", "connect_ms", "tls_ms", "receive_ms", "http_version")


class RowJoin:
    """Attach the source's columns and index.

    Args:
        rows: The sources.
        row_of: Position in the plan -> number of the combined row.
    """

    def __init__(self, rows: Rows, row_of: Callable[[int], int]) -> None:
        self._rows = rows
        self._row_of = row_of

    def attach(self, frame: Any, positions: Sequence[int]) -> Any:
        """Return the frame with the input columns in front and the source's index; a clashing input column gets ``_in``.

        Args:
            frame: The results, one row per position.
            positions: Places in the plan, one per row of the frame; a place may come again (``--select``).
        """
        numbers = [self._row_of(position) for position in positions]
        taken = [self._rows.at(number) for number in numbers]
        used = set(frame.columns)
        front: dict[Any, Any] = {}
        indexes: list[Any] = []
        for number, table in enumerate(self._rows.tables):
            here = [rows[number] for rows in taken]
            for label, values in table.columns(here):
                name = _free(label, used)
                used.add(name)
                front[name] = values
            indexes.append((table.index(here), self._level(number)))
        # The frame is one of pandas', so pandas is there: nothing is imported for it. One concat, since many inserts are slow.
        pandas: Any = sys.modules["pandas"]
        frame = pandas.concat([pandas.DataFrame(front, index=frame.index), frame], axis=1)
        return _with_index(frame, indexes, in_step=self._rows.in_step)

    def columns(self) -> list[Any]:
        """Return the labels of the input columns, as far as they are known before a run."""
        return [label for table in self._rows.tables for label, _ in table.columns([0] if table.size else [])]

    def _level(self, number: int) -> str:
        spec = self._rows.sources[number].spec
        return spec.element or spec.expression


def renamed(labels: Iterable[Any], results: Iterable[Any]) -> list[tuple[Any, Any]]:
    """Return (label, new label) of the input columns that clash with a result column or with each other."""
    used = set(results)
    clashes: list[tuple[Any, Any]] = []
    for label in labels:
        name = _free(label, used)
        used.add(name)
        if name != label:
            clashes.append((label, name))
    return clashes


def _free(label: Any, used: set[Any]) -> Any:
    name = label
    while name in used:
        name = f"{name}_in"
    return name


def _with_index(frame: Any, indexes: Sequence[tuple[Any, str]], *, in_step: bool) -> Any:
    index, _ = indexes[0]
    if len(indexes) == 1 or in_step:
        # Attribute assignment takes an Index as it is and makes one of a list.
        frame.index = index
        return frame
    # Building the levels by set_index keeps each one's dtype.
    places = [f"\0fastreq level {number}" for number in range(len(indexes))]
    names = [getattr(one, "name", None) or level for one, level in indexes]
    for place, (one, _) in zip(places, indexes, strict=True):
        frame[place] = one if not hasattr(one, "array") else one.array
    return frame.set_index(places).rename_axis(names)
