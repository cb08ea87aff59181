"""What ``--each`` can go over, seen as one table: rows by position, values by name, labels and columns for the frame.

pandas, numpy and polars are known by the shape of their objects, so none is imported here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.cell.fill import LookupFailed, item_of
from fastreq_jupyter.cell.syntax import BracketKey
from fastreq_jupyter.values import fields_of, is_record

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 4096
"""Rows of a table that are converted at a time."""

KEPT = 64
"""Pieces of a column that are kept as Python values."""

Read = Callable[[int], Any]


class Column:
    """A Series as Python values, converted a piece at a time: no step of a big table takes long.

    Args:
        series: Any Series.
    """

    def __init__(self, series: Any) -> None:
        self._series = series
        self._size = len(series)
        self._loaded: dict[int, list[Any]] = {}

    def __getitem__(self, position: int) -> Any:
        number, place = divmod(position, CHUNK)
        chunk = self._loaded.get(number)
        return (self._chunk(number) if chunk is None else chunk)[place]

    def chunks(self) -> Iterator[tuple[int, list[Any]]]:
        """Give first position and values of each piece."""
        for number in range(-(-self._size // CHUNK)):
            yield number * CHUNK, self._chunk(number)

    def _chunk(self, number: int) -> list[Any]:
        if number not in self._loaded:
            if len(self._loaded) >= KEPT:
                del self._loaded[next(iter(self._loaded))]
            self._loaded[number] = self._series.iloc[number * CHUNK : (number + 1) * CHUNK].tolist()
        return self._loaded[number]


class _Levels:
    """The levels of an index that have names, as columns.

    Args:
        index: Of pandas, or None.
    """

    def __init__(self, index: Any) -> None:
        self._index = index
        self.names = [] if index is None else [_label_text(name) for name in index.names if name is not None]
        self._columns: dict[str, Column] = {}

    def column(self, name: str) -> Column:
        """Return the level of that name."""
        if name not in self._columns:
            number = [None if label is None else _label_text(label) for label in self._index.names].index(name)
            self._columns[name] = Column(self._index.get_level_values(number).to_series())
        return self._columns[name]


class Frame:
    """A DataFrame as a table.

    Attributes:
        size: Number of rows.
        element: Name of the row, None without one.
    """

    def __init__(self, frame: Any, element: str | None) -> None:
        self._frame = frame
        self.element = element
        self.size: int | None = len(frame)
        self._labels = [_label_text(label) for label in frame.columns.tolist()]
        self._levels = _Levels(frame.index)
        self._columns: dict[int, Column] = {}

    def rows(self) -> Iterator[int]:
        """Give the positions of the rows."""
        return iter(range(self.size or 0))

    def has(self, name: str) -> bool:
        """Tell whether there is a column or a level of the index of that name."""
        return name in self._labels or name in self._levels.names

    def names(self) -> list[str]:
        """Return the names of columns and index levels."""
        return [*self._labels, *(name for name in self._levels.names if name not in self._labels)]

    def reader(self, name: str) -> Read:
        """Return what reads a column, or a level of the index where no column has the name.

        Raises:
            LookupFailed: Two columns have that name.
        """
        if name not in self._labels:
            return self._levels.column(name).__getitem__
        if self._labels.count(name) > 1:
            raise LookupFailed(f"{self._labels.count(name)} columns are named {name!r}")
        return self._column(self._labels.index(name)).__getitem__

    def chunks(self, name: str) -> Iterator[tuple[int, Sequence[Any]]] | None:
        """Give the column piece by piece."""
        if name in self._labels:
            return self._column(self._labels.index(name)).chunks()
        return self._levels.column(name).chunks() if name in self._levels.names else None

    def record(self, position: int) -> Any:
        """Return the row as a dict."""
        return {label: self._column(number)[position] for number, label in enumerate(self._labels)}

    def check_record(self) -> None:
        """Refuse a record when two columns have one name.

        Raises:
            LookupFailed: They have.
        """
        for name, count in Counter(self._labels).items():
            if count > 1:
                raise LookupFailed(f"{count} columns are named {name!r}: a record keeps one only")

    def label(self, position: int) -> Any:
        """Return the row's index label."""
        return self._frame.index[position]

    def index(self, positions: Sequence[int]) -> Any:
        """Return the index of these rows, repeated as they are."""
        return self._frame.index.take(positions)

    def columns(self, positions: Sequence[int]) -> list[tuple[Any, Any]]:
        """Return all columns of these rows, dtypes kept."""
        rows = self._frame.take(positions)
        return [(label, rows.iloc[:, number].array) for number, label in enumerate(self._frame.columns.tolist())]

    def _column(self, number: int) -> Column:
        if number not in self._columns:
            self._columns[number] = Column(self._frame.iloc[:, number])
        return self._columns[number]


class Elements:
    """A Series, list, range or iterator as a table: each element is a row; a record's fields are names too.

    Attributes:
        size: Number of rows, None where only drawing tells.
        element: Name of the element.
    """

    def __init__(self, values: Sequence[Any] | None, element: str, *, index: Any = None, source: Iterable[Any] | None = None) -> None:
        self.element = element
        self._values: Any = values if values is not None else []
        self._index = index
        self._levels = _Levels(index)
        self._source = source
        self.size = len(values) if values is not None else None
        self._first = self._peek()

    def rows(self) -> Iterator[int]:
        """Give positions; an iterator is drawn as far as they are asked for."""
        if self.size is not None:
            yield from range(self.size)
            return
        position = 0
        while position < len(self._values) or self._draw():
            yield position
            position += 1

    def has(self, name: str) -> bool:
        """Tell whether it is the element's name, a level of the index, or a field of any row (of the first one, for an iterator)."""
        return name == self.element or self._is_field(name) or name in self._levels.names

    def _is_field(self, name: str) -> bool:
        if not is_record(self._first):
            return False
        if self.size is None or not isinstance(self._first, Mapping):
            return self._has_field(self._first, name)
        return any(self._has_field(value, name) for value in self._values)

    def _is_level(self, name: str) -> bool:
        return name != self.element and name in self._levels.names and not self._is_field(name)

    def names(self) -> list[str]:
        """Return the element's name, the fields of the first row and the levels of the index."""
        fields = fields_of(self._first) if is_record(self._first) else None
        return list(dict.fromkeys([self.element, *(str(name) for name, _ in fields or ()), *self._levels.names]))

    def reader(self, name: str) -> Read:
        """Return what reads the element, a field of it, or a level of the index; None where a mapping has no such key."""
        values = self._values
        if self._is_level(name):
            return self._levels.column(name).__getitem__
        if name == self.element and not (is_record(self._first) and self._has_field(self._first, name)):
            read: Read = values.__getitem__
            return read
        return lambda position: _field(values[position], name)

    def chunks(self, name: str) -> Iterator[tuple[int, Sequence[Any]]] | None:
        """Give plain elements, or a level of the index, piece by piece."""
        if self._is_level(name):
            return self._levels.column(name).chunks()
        if name != self.element or is_record(self._first) or self.size is None:
            return None
        return ((start, self._values[start : start + CHUNK]) for start in range(0, self.size, CHUNK))

    def record(self, position: int) -> Any:
        """Return the element."""
        return self._values[position]

    def check_record(self) -> None:
        """Accept: an element can always be had."""

    def label(self, position: int) -> Any:
        """Return the index label of a Series, else the position."""
        return position if self._index is None else self._index[position]

    def index(self, positions: Sequence[int]) -> Any:
        """Return the labels of these rows."""
        return list(positions) if self._index is None else self._index.take(positions)

    def columns(self, positions: Sequence[int]) -> list[tuple[Any, Any]]:
        """Return one column, or one for each field of records."""
        values = [self._values[position] for position in positions]
        if not is_record(self._first):
            return [(self.element, values)]
        names: dict[Any, None] = {}
        for value in values:
            names.update(dict.fromkeys(name for name, _ in fields_of(value) or ()))
        return [(name, [_field(value, str(name)) for value in values]) for name in names]

    def _peek(self) -> Any:
        if self.size is None and not self._values:
            self._draw()
        return self._values[0] if len(self._values) else None

    def _draw(self) -> bool:
        if self._source is None:
            return False
        for value in self._source:
            self._values.append(value)
            return True
        return False

    @staticmethod
    def _has_field(value: Any, name: str) -> bool:
        if isinstance(value, dict):
            return name in value
        return any(str(field) == name for field, _ in fields_of(value) or ())


Table = Frame | Elements
"""Rows by position, values by name; labels and columns for the frame."""


def table_of(value: Any, element: str | None, text: str) -> Table:
    """Return a source as a table.

    Args:
        value: What the source's expression gave.
        element: Name given by ``--each name=source``.
        text: The source as it was written, for messages.

    Raises:
        LookupFailed: It has no rows.
    """
    kind = type(value)
    if hasattr(kind, "iloc") and hasattr(kind, "columns"):
        return Frame(value, element)
    if isinstance(value, (Mapping, str, bytes)) or not (isinstance(value, Iterable) or hasattr(kind, "to_pylist")):
        raise LookupFailed(_no_rows(value, text))
    # A column has a type of values and a name: of pandas, polars, xarray. A file has a name as well.
    own = getattr(value, "name", None) if hasattr(kind, "dtype") else None
    name = element or (own if isinstance(own, str) and own else "item")
    values = _values_of(value)
    if values is None:
        return Elements(None, name, source=iter(value))
    index: Any = getattr(value, "index", None) if hasattr(kind, "iloc") else None
    return Elements(values, name, index=index)


def _label_text(label: Any) -> str:
    """Return a column's label as a name; the levels of a MultiIndex are joined by dots, empty ones left out."""
    if isinstance(label, tuple):
        return ".".join(str(level) for level in label if level != "")
    return label if isinstance(label, str) else str(label)


def _values_of(value: Any) -> Sequence[Any] | None:
    """Return what is iterated as a sequence of Python values; None where only drawing gives them."""
    kind = type(value)
    if isinstance(value, range):
        return value
    for name in ("to_dicts", "to_pylist", "tolist"):
        if (hasattr(kind, name) and getattr(value, "ndim", 1) == 1) or (name == "to_dicts" and hasattr(kind, name)):
            values: list[Any] = getattr(value, name)()
            return values
    return list(value) if isinstance(value, (Sequence, AbstractSet)) or hasattr(kind, "__len__") else None


def _field(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return dict.get(value, name)
    if not is_record(value):
        return None
    try:
        return item_of(value, BracketKey(name), "row")
    except LookupFailed:
        return None


def _no_rows(value: Any, text: str) -> str:
    kind = type(value).__name__
    if isinstance(value, int) and not isinstance(value, bool):
        return f"--each {text}: a number has no rows; range({value}) has"
    if isinstance(value, Mapping):
        return f"--each {text}: a {kind} has no rows; give a DataFrame, Series, list or range, for instance list({text}.items())"
    return f"--each {text}: a {kind} has no rows; give a DataFrame, Series, list or range"
