"""The rows of ``--each``: sources in step or multiplied, the names of their values, and their columns on the frame."""

from __future__ import annotations

import itertools
import re
import sys
from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.cell.fill import LookupFailed, near, offered, walk
from fastreq_jupyter.cell.syntax import BracketKey
from fastreq_jupyter.cell.tables import Table, table_of
from fastreq_jupyter.errors import CellSyntaxError, OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from fastreq_jupyter.cell.syntax import Keys, Ref

_NAMED = re.compile(r"\s*([A-Za-z_]\w*)\s*=(?!=)\s*(.+)", re.DOTALL)
_RESERVED = ("row", "index")


@dataclass(frozen=True, slots=True)
class EachSpec:
    """One ``--each`` as written.

    Attributes:
        text: The whole, for messages.
        element: Name of the element, ``url`` of ``--each url=links``; None without.
        expression: What is evaluated, once, in the notebook.
    """

    text: str
    element: str | None
    expression: str

    @classmethod
    def parse(cls, text: str) -> EachSpec:
        """Read the value of one ``--each``.

        Raises:
            OptionError: It is empty, or its name is taken.
        """
        match = _NAMED.fullmatch(text)
        element, expression = (match[1], match[2].strip()) if match else (None, text.strip())
        if not expression:
            raise OptionError("--each takes a name, or an expression in quotes", option="each")
        if element in _RESERVED or (element or "").startswith("_"):
            message = f"--each {text}: {element} cannot name the element; row and index are names already, _ is never read"
            raise OptionError(message, option="each")
        return cls(text, element, expression)


@dataclass(frozen=True, slots=True)
class RowValue:
    """The way to a value of a combined row.

    Attributes:
        read: Gets the positions in all sources.
        source: Number of the source that is read.
        column: Its column where the value is one as it stands.
    """

    read: Callable[[tuple[int, ...]], Any]
    source: int
    column: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A source and the value that its expression gave."""

    spec: EachSpec
    value: Any


class Rows:
    """The sources of a cell, combined to rows.

    Args:
        sources: What ``--each`` named, in order.
        in_step: ``--zip``: first with first, second with second.

    Attributes:
        sources: As given.
        tables: The same, as tables.
        size: Number of combined rows, None for an iterator; 1 without sources.

    Raises:
        CellSyntaxError: A source without rows, or sources that cannot be combined.
    """

    def __init__(self, sources: Sequence[Source], *, in_step: bool = False) -> None:
        self.sources = tuple(sources)
        self.in_step = in_step and len(self.sources) > 1
        try:
            self.tables: tuple[Table, ...] = tuple(table_of(source.value, source.spec.element, source.spec.text) for source in sources)
        except LookupFailed as error:
            raise CellSyntaxError(str(error), 1) from None
        if len(self.tables) > 1:
            self._check_several()
        self.size = self._size()

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        """Give, for each combined row, the position in every source."""
        if len(self.tables) == 1:
            return ((position,) for position in self.tables[0].rows())
        sizes = [table.size or 0 for table in self.tables]
        if self.in_step:
            return ((position,) * len(sizes) for position in range(sizes[0]))
        return itertools.product(*(range(size) for size in sizes))

    def at(self, number: int) -> tuple[int, ...]:
        """Return the positions of the combined row `number`, without iterating."""
        if len(self.tables) == 1 or self.in_step:
            return (number,) * len(self.tables)
        positions: list[int] = []
        for table in reversed(self.tables):
            number, position = divmod(number, max(table.size or 0, 1))
            positions.append(position)
        return tuple(reversed(positions))

    def names(self) -> list[str]:
        """Return what can be named of a row, for hints."""
        return [name for table in self.tables for name in table.names()] + (list(_RESERVED) if self.tables else [])

    def has(self, name: str) -> bool:
        """Tell whether a name belongs to the row."""
        return bool(self.tables) and (name in _RESERVED or bool(self._owners(name)))

    def reader(self, ref: Ref) -> RowValue | None:
        """Return the way to a named value of a combined row; None for other names.

        Raises:
            LookupFailed: Several sources have it, or the row cannot give it.
        """
        if not self.tables:
            return None
        name, rest = str(ref.keys[0]), ref.keys[1:]
        if (dotted := _dotted(ref.keys)) and (owners := self._owners(dotted)):
            return self._read_value(self._only(owners, dotted), dotted, ())
        if owners := self._owners(name):
            return self._read_value(self._only(owners, name), name, rest)
        if name in _RESERVED:
            return self._read_row(self._only(list(range(len(self.tables))), name), name, rest)
        if len(self.tables) > 1 or self.tables[0].element is not None:
            return self._read_named_row(name, rest)
        return None

    def _read_value(self, number: int, name: str, rest: Keys) -> RowValue:
        read = self.tables[number].reader(name)
        if not rest:
            return RowValue(lambda rows: read(rows[number]), number, name)
        return RowValue(lambda rows: walk(read(rows[number]), rest, name), number)

    def _read_row(self, number: int, name: str, rest: Keys) -> RowValue:
        table = self.tables[number]
        if name == "index":
            return RowValue(lambda rows: walk(table.label(rows[number]), rest, name), number)
        if rest and isinstance(rest[0], str):
            label = rest[0]
            if (dotted := _dotted(rest)) and table.has(dotted):
                return self._read_value(number, dotted, ())
            if table.has(label):
                if label.startswith("_") and not isinstance(label, BracketKey):
                    raise LookupFailed(f'{label}: names with a leading underscore are not read by a dot; row["{label}"] reads it')
                return self._read_value(number, label, rest[1:])
            if table.size != 0:
                raise LookupFailed(f"the row has no {label!r}{near(label, table.names()) or f'; it has {offered(table.names())}'}")
        table.check_record()
        return RowValue(lambda rows: walk(table.record(rows[number]), rest, name), number)

    def _read_named_row(self, name: str, rest: Keys) -> RowValue | None:
        """Read ``orders.id`` where ``--each orders`` is one of several sources, ``o.id`` for ``--each o=orders``."""
        for number, (table, source) in enumerate(zip(self.tables, self.sources, strict=True)):
            if name == table.element or (len(self.tables) > 1 and name == source.spec.expression):
                return self._read_row(number, "row", rest)
        return None

    def _owners(self, name: str) -> list[int]:
        if name.startswith("_"):
            return []
        return [number for number, table in enumerate(self.tables) if table.has(name)]

    def _only(self, owners: list[int], name: str) -> int:
        if len(owners) == 1:
            return owners[0]
        sources = [self.sources[number].spec for number in owners]
        names = " or ".join(spec.element or spec.expression for spec in sources)
        raise LookupFailed(f"{len(owners)} sources have {name!r}: say which one, {names}")

    def _check_several(self) -> None:
        sizes = [table.size for table in self.tables]
        texts = [source.spec.text for source in self.sources]
        for text, size in zip(texts, sizes, strict=True):
            if size is None:
                raise CellSyntaxError(f"--each {text}: an iterator cannot be combined with other sources; make a list of it", 1)
        if self.in_step and len(set(sizes)) > 1:
            counts = ", ".join(f"{text} has {size}" for text, size in zip(texts, sizes, strict=True))
            raise CellSyntaxError(f"--zip needs sources of one length: {counts}", 1)

    def _size(self) -> int | None:
        if not self.tables:
            return 1
        sizes = [table.size for table in self.tables]
        if len(sizes) == 1 or self.in_step:
            return sizes[0]
        return prod(size or 0 for size in sizes)


def _dotted(keys: Keys) -> str | None:
    """Return ``a.b`` for keys that may be one name with a dot in it; None for one key, and for brackets."""
    return ".".join(map(str, keys)) if len(keys) > 1 and all(type(key) is str for key in keys) else None


class RowJoin:
    """The columns and the index of the sources, put onto the frame.

    Args:
        rows: The sources.
        per_row: Items of the plan for each combined row.
    """

    def __init__(self, rows: Rows, per_row: int) -> None:
        self._rows = rows
        self._per_row = per_row

    def attach(self, frame: Any, positions: Sequence[int], own: Collection[str]) -> Any:
        """Return the frame with the input columns in front and the source's index.

        Input columns keep their names, but one named as a column of ours gets ``_in``; a field of the answer that is named as
        an input column becomes ``data.NAME``.

        Args:
            frame: The results, one row per position.
            positions: Places in the plan, one per row of the frame; a place may come again (``--select``).
            own: Names of our columns.
        """
        numbers = [position // self._per_row for position in positions]
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

    def renamed(self, own: Collection[str]) -> list[Any]:
        """Return new labels of the input columns, as far as known before a run, that are named as ours or as another one."""
        labels = [label for table in self._rows.tables for label, _ in table.columns([0] if table.size else [])]
        return [name for label, name in zip(labels, _names(labels, own), strict=True) if name != label]


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
