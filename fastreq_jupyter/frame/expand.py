"""``--expand``: objects become typed columns in the place of ``data``.

    {"id": 7, "user": {"name": "Ada", "tags": ["x"]}}   ->   id Int64    user.name string    user.tags object

Dtypes follow from JSON's types alone and allow NA: Int64, Float64, boolean, string; lists stay lists (object). A field of mixed
types stays object and is named in one line, as is everything that could not become a column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastreq_jupyter.frame.columns import clean_text, objects, texts
from fastreq_jupyter.frame.select import search_rows
from fastreq_jupyter.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

__all__ = ["MAX_COLUMNS", "expand_frame", "explode_frame"]

MAX_COLUMNS = 1000
"""More than this are no record but a map (prices by date): objects at that depth stay whole."""

_NAMED = 5
_EXACT = 2**53
_DEPTHS = (10**6, 4, 3, 2, 1)

Path = tuple[str, ...]
Cells = tuple[list[int], list[Any]]


def expand_frame(
    frame: pd.DataFrame, expression: str | None = None, *, fields: Sequence[Mapping[str, str] | None], notes: list[str]
) -> pd.DataFrame:
    """Return the frame with the objects of ``data`` as columns.

    ``data`` itself stays where something is left in it: a body that is no object, or that of a failed row.

    Args:
        frame: Needs the columns ``ok`` and ``data``.
        expression: JMESPath that names the object within each body; None takes the body.
        fields: Response fields of each row.
        notes: Gets lines about mixed types and what stayed.

    Raises:
        OptionError: The expression is none.
    """
    data, good = list(frame["data"]), list(frame["ok"])
    values = data if expression is None else search_rows(frame, Selection(expression, "expand"), fields, notes)
    rows = [row for row, value in enumerate(values) if good[row] and isinstance(value, dict)]
    cells = _collect([(row, values[row]) for row in rows], notes)
    if not cells:
        notes += _nothing(expression, [value for value, usable in zip(data, good, strict=True) if usable], found=bool(rows))
        return frame
    expanded = set(rows)
    rest = [None if row in expanded else value if good[row] else data[row] for row, value in enumerate(values)]
    if left := sum(1 for row, value in enumerate(rest) if good[row] and value is not None):
        notes.append(f"expand: {left:,} of {sum(good):,} bodies are no objects, they stay in data")
    columns = _columns(cells, len(frame), set(frame.columns), notes)
    if any(value is not None for value in rest):
        columns["data"] = objects(rest)
    return _in_place(frame, columns)


def _nothing(expression: str | None, bodies: list[Any], *, found: bool) -> list[str]:
    """Return the line that tells why there are no new columns, if that could surprise."""
    if found or all(body is None for body in bodies):
        return []
    if expression is not None:
        return [f"expand: {expression!r} finds no object, data stays as it is"]
    hint = "; select='[]' gives a row per item of a list" if any(isinstance(body, list) for body in bodies) else ""
    return [f"expand: no body is an object, data stays as it is{hint}"]


def explode_frame(frame: pd.DataFrame, column: Any, notes: list[str]) -> pd.DataFrame:
    """Return the frame with one row per item of a column of lists, objects in it as columns ``column.name``.

    An empty list, and what is no list, keeps its one row.

    Raises:
        KeyError: There is no such column.
    """
    taken: list[int] = []
    items: list[Any] = []
    for row, value in enumerate(frame[column]):
        several = value if isinstance(value, list) and value else [None if isinstance(value, list) else value]
        taken += [row] * len(several)
        items += several
    place = list(frame.columns).index(column)
    shaped = frame.iloc[taken]
    cells = _collect([(row, {column: item}) for row, item in enumerate(items)], notes)
    others = set(frame.columns) - {column}
    return _in_place(shaped, _columns(cells, len(shaped), others, notes), place)


class _Node:
    """Be one field of the objects: what stands there in which rows, and the fields within it."""

    __slots__ = ("children", "depth", "found", "rows")

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.children: dict[str, _Node] = {}
        self.rows: list[int] = []
        self.found: list[Any] = []

    def walk(self) -> Iterator[tuple[Path, _Node]]:
        """Give all fields below in the order they were met, parents first."""
        stack: list[tuple[Path, _Node]] = [((), self)]
        while stack:
            path, node = stack.pop()
            if path:
                yield path, node
            stack += [((*path, name), child) for name, child in reversed(node.children.items())]


def _collect(found: list[tuple[int, dict[str, Any]]], notes: list[str]) -> dict[Path, Cells]:
    """Gather the cells of each path, as deep as there are not too many of them."""
    for depth in _DEPTHS:
        root = _Node(0)
        if all(_gather(root, row, value, depth) for row, value in found) and _breadth(root) <= MAX_COLUMNS:
            if depth != _DEPTHS[0]:
                notes.append(f"expand: objects below level {depth} stay whole, they have more than {MAX_COLUMNS:,} different fields")
            # A field that is null here and an object there is the object's.
            filled = ((path, node) for path, node in root.walk() if node.rows)
            return {p: (n.rows, n.found) for p, n in filled if not n.children or any(value is not None for value in n.found)}
    notes.append(f"expand: the objects have more than {MAX_COLUMNS:,} different fields, data stays as it is")
    return {}


def _gather(root: _Node, row: int, value: dict[str, Any], depth: int) -> bool:
    """Put the fields of one object into the tree; return False where one object alone has far too many."""
    stack = [(root, value)]
    while stack:
        node, one = stack.pop()
        children = node.children
        for name, inner in one.items():
            child = children.get(name)
            if child is None:
                if len(children) >= MAX_COLUMNS:
                    return False
                child = children[name] = _Node(node.depth + 1)
            if type(inner) is dict and inner and child.depth < depth:
                stack.append((child, inner))
            else:
                child.rows.append(row)
                child.found.append(inner)
    return True


def _breadth(root: _Node) -> int:
    return sum(1 for _, node in root.walk() if node.rows)


def _columns(cells: dict[Path, Cells], length: int, taken: Collection[Any], notes: list[str]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    mixed: list[str] = []
    for path, (rows, values) in cells.items():
        name = _free_name(clean_text(".".join(map(str, path))), taken, columns)
        columns[name], trouble = _typed(rows, values, length)
        if trouble:
            mixed.append(f"{name} ({trouble})")
    if mixed:
        more = f" and {len(mixed) - _NAMED:,} more" if len(mixed) > _NAMED else ""
        notes.append(f"expand: mixed types, kept as objects: {', '.join(mixed[:_NAMED])}{more}")
    return columns


def _free_name(name: str, taken: Collection[Any], columns: Mapping[str, Any]) -> str:
    if name in taken:
        name = f"data.{name}"
    free, number = name, 1
    while free in taken or free in columns:
        number += 1
        free = f"{name}_{number}"
    return free


def _typed(rows: list[int], values: list[Any], length: int) -> tuple[Any, str | None]:
    """Return the column, and what is wrong with its types, if anything."""
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {bool}:
        return pd.arrays.BooleanArray(*_spread(rows, values, length, "bool")), None
    if kinds == {str}:
        return texts(_sparse(rows, values, length)), None
    if kinds == {int} and all(-(2**63) <= value < 2**63 for value in values if value is not None):
        return pd.arrays.IntegerArray(*_spread(rows, values, length, "int64")), None
    if kinds == {float} or (kinds == {int, float} and all(type(v) is not int or -_EXACT <= v <= _EXACT for v in values)):
        array, mask = _spread(rows, values, length, "float64")
        return pd.arrays.FloatingArray(array, mask | np.isnan(array)), None
    trouble = ", ".join(sorted(kind.__name__ for kind in kinds)) if len(kinds) > 1 else None
    if kinds <= {int, float} and kinds:
        trouble = "whole numbers beyond 64 bits" if kinds == {int} else "whole numbers beyond 2^53 among others"
    return objects(_sparse(rows, values, length)), trouble


def _spread(rows: list[int], values: list[Any], length: int, dtype: str) -> tuple[Any, Any]:
    array, mask = np.zeros(length, dtype=dtype), np.ones(length, dtype=bool)
    if None in values:
        known = [(row, value) for row, value in zip(rows, values, strict=True) if value is not None]
        rows, values = [row for row, _ in known], [value for _, value in known]
    places = np.array(rows, dtype=np.intp)
    array[places] = values
    mask[places] = False
    return array, mask


def _sparse(rows: list[int], values: list[Any], length: int) -> list[Any]:
    cells: list[Any] = [None] * length
    for row, value in zip(rows, values, strict=True):
        cells[row] = value
    return cells


def _in_place(frame: pd.DataFrame, columns: Mapping[str, Any], place: int | None = None) -> pd.DataFrame:
    at = list(frame.columns).index("data") if place is None else place
    new = pd.DataFrame(columns, copy=False)
    new.index = frame.index
    return pd.concat([frame.iloc[:, :at], new, frame.iloc[:, at + 1 :]], axis=1)
