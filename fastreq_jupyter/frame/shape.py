"""``--select``, ``--expand`` and ``explode``: bodies become rows and typed columns.

    {"id": 7, "user": {"name": "Ada", "tags": ["x"]}}   ->   id Int64    user.name string    user.tags object

Dtypes follow from JSON's types alone and allow NA: Int64, Float64, boolean, string; lists stay lists (object). A field of mixed
types stays object and is named in one line, as is everything that could not become a column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.frame.columns import OWN, clean_text, integers, objects, texts
from fastreq_jupyter.options import Selection
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

_NAMED = 5


class Bodies(NamedTuple):
    """What `select` and `expand` work on, one of each per row of the frame.

    Attributes:
        data: Bodies, read as JSON where they are that: a text here is a text, not looked into.
        good: True where the body is one to look into: not that of a failed row, not a hidden one.
        fields: Response fields, lower-case names, or None.
    """

    data: list[Any]
    good: list[bool]
    fields: list[Mapping[str, str] | None]

    def take(self, rows: Sequence[int], data: list[Any], good: list[bool]) -> Bodies:
        """Return the bodies of a frame whose rows were made of `rows` of this one."""
        return Bodies(data, good, [self.fields[row] for row in rows])


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
    results = search_rows(Selection(expression), bodies, notes)
    data: list[Any] = []
    items: list[int | None] = []
    origins: list[int] = []
    good: list[bool] = []
    for row, value in enumerate(results):
        values = value if isinstance(value, list) else [value]
        if value is None or not values:
            values, numbers = [bodies.data[row] if value is None else None], [None]
        else:
            numbers = [*range(len(values))]
        data += values
        items += numbers
        origins += [row] * len(values)
        good += [number is not None for number in numbers]
    shaped = frame if origins == list(range(len(frame))) else frame.iloc[origins]
    if "item" in shaped:
        # The frame was selected before: number the items again.
        shaped = shaped.drop(columns="item")
    return _in_place(shaped, {"item": integers(items, "Int32"), "data": objects(data)}), origins, bodies.take(origins, data, good)


def search_rows(selection: Selection, bodies: Bodies, notes: list[str]) -> list[Any]:
    """Return what the expression finds in each good body, None elsewhere; lines say where it found nothing, and why.

    Args:
        selection: The expression.
        bodies: Where to look.
        notes: Gets the lines.
    """
    results: list[Any] = []
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
        results.append(value)
    count, text = sum(bodies.good), selection.text[:80]
    if misfits:
        notes.append(f"{selection.option}: {text} could not be applied to {len(misfits):,} of {count:,} bodies: {misfits[0]}")
    if empty:
        notes.append(f"{selection.option}: {text} found nothing in {len(empty):,} of {count:,} bodies; {described(empty)}")
    return results


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


MAX_COLUMNS = 1000
"""More than this are no record but a map (prices by date): objects at that depth stay whole."""

_EXACT = 2**53
_DEPTHS = (10**6, 4, 3, 2, 1)

Path = tuple[str, ...]
Cells = tuple[list[int], list[Any]]


def expand_frame(frame: pd.DataFrame, expression: str | None, bodies: Bodies, notes: list[str]) -> pd.DataFrame:
    """Return the frame with the objects of ``data`` as columns, and behind them ``data`` with what was not expanded.

    Args:
        frame: Needs the column ``data``.
        expression: JMESPath that names the object within each body; None takes the body.
        bodies: Of the frame's rows.
        notes: Gets lines about mixed types and what stayed.

    Raises:
        OptionError: The expression is none.
    """
    values = bodies.data if expression is None else search_rows(Selection(expression, "expand"), bodies, notes)
    rows = [row for row, value in enumerate(values) if bodies.good[row] and isinstance(value, dict)]
    cells = _collect([(row, values[row]) for row in rows], notes)
    expanded = set(rows) if cells else set()
    if misfits := [value for value, good in zip(values, bodies.good, strict=True) if good and not isinstance(value, (dict, type(None)))]:
        notes.append(_misfits_line(misfits, sum(bodies.good), expression))
    columns = _columns(cells, len(frame), set(frame.columns) | OWN, notes)
    columns["data"] = objects([None if row in expanded else body for row, body in enumerate(bodies.data)])
    return _in_place(frame, columns)


def _misfits_line(misfits: list[Any], count: int, expression: str | None) -> str:
    """Return the line about what is no object."""
    if expression is not None:
        return f"expand: {expression[:80]} finds no object in {len(misfits):,} of {count:,} bodies, they stay in data"
    if len(misfits) < count:
        return f"expand: {len(misfits):,} of {count:,} bodies are no objects, they stay in data"
    lists = [body for body in misfits if isinstance(body, list)]
    hint = "; select='@' gives a row per item of a list" if lists else ""
    if any(body and isinstance(body[0], list) for body in lists):
        hint = "; select='header(@)' makes rows of lists whose first one names the columns, select='@' a row of each"
    return f"expand: no body is an object, data stays as it is{hint}"


def explode_frame(frame: pd.DataFrame, columns: Sequence[Any], notes: list[str]) -> tuple[pd.DataFrame, list[int]]:
    """Return the frame with one row per item of columns of lists, and for each new row the place of the old one.

    Objects in the lists become columns ``column.name``.

    Columns that stand side by side go in step, as `DataFrame.explode` has them; one that another makes, ``counties.cities``
    of ``counties``, follows it. An empty list, and what is no list, keeps its one row.

    Raises:
        UsageError: There is no such column, or lists side by side have unequal lengths; one line.
    """
    waiting = list(dict.fromkeys(columns))
    places = list(range(len(frame)))
    while waiting:
        present = [column for column in waiting if column in frame]
        if not present:
            names = ", ".join(one_line(str(label), 60) for label in frame.columns[:20])
            raise UsageError(f"explode={waiting[0]!r}: no such column; there are {names}")
        frame, origins = _explode_in_step(frame, present, notes)
        places = [places[row] for row in origins]
        waiting = [column for column in waiting if column not in present]
    return frame, places


def _explode_in_step(frame: pd.DataFrame, columns: Sequence[Any], notes: list[str]) -> tuple[pd.DataFrame, list[int]]:
    origins: list[int] = []
    items: dict[Any, list[Any]] = {column: [] for column in columns}
    for row, cells in enumerate(zip(*(frame[column] for column in columns), strict=True)):
        lengths = {column: len(value) for column, value in zip(columns, cells, strict=True) if isinstance(value, list) and value}
        if len(set(lengths.values())) > 1:
            shown = " and ".join(f"{column} has {length:,}" for column, length in lengths.items())
            raise UsageError(f"explode: in row {row} {shown} items: lists that go in step need equal lengths")
        count = max(lengths.values(), default=1)
        origins += [row] * count
        for column, value in zip(columns, cells, strict=True):
            items[column] += value if column in lengths else [None if isinstance(value, list) else value] * count
    frame = frame.iloc[origins]
    for column, values in items.items():
        place = list(frame.columns).index(column)
        fields = _collect([(row, {column: item}) for row, item in enumerate(values)], notes)
        others = (set(frame.columns) | OWN) - {column}
        frame = _in_place(frame, _columns(fields, len(frame), others, notes), place)
    return frame, origins


class _Node:
    """One field of the objects: what stands there in which rows, and the fields within it."""

    __slots__ = ("cells", "children", "depth", "rows")

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.children: dict[str, _Node] = {}
        self.rows: list[int] = []
        self.cells: list[Any] = []

    def walk(self) -> Iterator[tuple[Path, _Node]]:
        """Give all fields below in the order they were met, parents first."""
        stack: list[tuple[Path, _Node]] = [((), self)]
        while stack:
            path, node = stack.pop()
            if path:
                yield path, node
            stack += [((*path, name), child) for name, child in reversed(node.children.items())]


def _collect(objects: list[tuple[int, dict[str, Any]]], notes: list[str]) -> dict[Path, Cells]:
    """Gather the cells of each path, as deep as there are not too many of them."""
    for depth in _DEPTHS:
        root = _Node(0)
        if (
            all(_gather(root, row, value, depth) for row, value in objects)
            and sum(1 for _, node in root.walk() if node.rows) <= MAX_COLUMNS
        ):
            if depth != _DEPTHS[0]:
                notes.append(f"expand: objects below level {depth} stay whole, they have more than {MAX_COLUMNS:,} different fields")
            # A field that is null in some rows and an object in others is treated as an object.
            filled = ((path, node) for path, node in root.walk() if node.rows)
            return {p: (n.rows, n.cells) for p, n in filled if not n.children or any(value is not None for value in n.cells)}
    notes.append(f"expand: the objects have more than {MAX_COLUMNS:,} different fields, data stays as it is")
    return {}


def _gather(root: _Node, row: int, value: dict[str, Any], depth: int) -> bool:
    """Put the fields of one object into the tree; return False where one object alone has far too many."""
    stack = [(root, value)]
    while stack:
        node, fields = stack.pop()
        children = node.children
        for name, inner in fields.items():
            child = children.get(name)
            if child is None:
                if len(children) >= MAX_COLUMNS:
                    return False
                child = children[name] = _Node(node.depth + 1)
            if type(inner) is dict and inner and child.depth < depth:
                stack.append((child, inner))
            else:
                child.rows.append(row)
                child.cells.append(inner)
    return True


def _columns(cells: dict[Path, Cells], length: int, reserved: Collection[Any], notes: list[str]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    mixed: list[str] = []
    for path, (rows, values) in cells.items():
        name = _free_name(clean_text(".".join(map(str, path))), reserved, columns)
        columns[name], trouble = _typed(rows, values, length)
        if trouble:
            mixed.append(f"{name} ({trouble})")
    if mixed:
        more = f" and {len(mixed) - _NAMED:,} more" if len(mixed) > _NAMED else ""
        notes.append(f"expand: mixed types, kept as objects: {', '.join(mixed[:_NAMED])}{more}")
    return columns


def _free_name(name: str, reserved: Collection[Any], columns: Mapping[str, Any]) -> str:
    if name in reserved:
        name = f"data.{name}"
    free, number = name, 1
    while free in reserved or free in columns:
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
        cells = [(row, value) for row, value in zip(rows, values, strict=True) if value is not None]
        rows, values = [row for row, _ in cells], [value for _, value in cells]
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
