"""Columns of numbers that grow, and the columnar batches cut out of them.

A batch is one JSON head and two buffers: rows and attempts. In a buffer the columns follow one another, widest first, so
that each is aligned; the page (``js/src/protocol.ts``) reads them under the same names. Little-endian on every machine.
"""

from __future__ import annotations

import sys
from array import array
from math import nan
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

T = TypeVar("T")

ROW_COLUMNS: Mapping[str, str] = {
    "size": "d",
    "elapsed": "f",
    "position": "I",
    "chain": "I",
    "status": "H",
    "error": "H",
    "method": "H",
    "host": "H",
    "type": "H",
    "cached": "H",
    "page": "H",
    "looks": "H",
    "tries": "B",
    "state": "B",
}
"""Column -> type code of `array`. `size` in bytes, `elapsed` in ms, NaN where unknown; `status` 0 where none came; `error`,
`method`, `host`, `type` and `cached` are places in the batch's `words`; `chain` is the position of its first page from 1, `page` the
number in it, `looks` at a job, 0 where there is none."""

ATTEMPT_COLUMNS: Mapping[str, str] = {
    "start": "d",
    "queued": "f",
    "dns": "f",
    "connect": "f",
    "tls": "f",
    "wait": "f",
    "receive": "f",
    "total": "f",
    "retry_wait": "f",
    "position": "I",
    "status": "H",
    "error": "H",
    "number": "B",
}
"""Likewise; all in ms, `start` since the run began (NaN: before it), `total` NaN while the attempt goes on."""


class Table:
    """Columns of equal length.

    Args:
        columns: Name -> type code. Numbers start as NaN or 0.
        texts: Names of columns that hold text; they start empty.

    Attributes:
        length: Number of rows.
    """

    def __init__(self, columns: Mapping[str, str], texts: Iterable[str] = ()) -> None:
        self._numbers: dict[str, array[Any]] = {name: array(code) for name, code in columns.items()}
        self._texts: dict[str, list[str]] = {name: [] for name in texts}
        self._blanks = [(numbers, array(numbers.typecode, [nan if numbers.typecode in "df" else 0])) for numbers in self._numbers.values()]
        self.length = self._room = 0

    def grow(self, length: int) -> None:
        """Add blank rows until there are `length` of them."""
        if length > self._room:
            # In steps: a row at a time would cost as much as all the rest.
            missing = length + length // 8 + 64 - self._room
            for numbers, blank in self._blanks:
                numbers.extend(blank * missing)
            for texts in self._texts.values():
                texts.extend([""] * missing)
            self._room += missing
        self.length = max(self.length, length)

    def write(self, rows: Sequence[int], **columns: Sequence[Any]) -> None:
        """Write columns of some rows that are there; a stretch of rows (a range) at once."""
        for name, values in columns.items():
            target = self._texts.get(name)
            if type(rows) is not range:
                column = self._numbers[name] if target is None else target
                for row, value in zip(rows, values, strict=True):
                    column[row] = value
            elif target is None:
                numbers = self._numbers[name]
                numbers[rows.start : rows.stop] = values if type(values) is array else array(numbers.typecode, values)
            else:
                target[rows.start : rows.stop] = values

    def numbers(self, name: str) -> array[Any]:
        """Return a column of numbers, to read and write by row."""
        return self._numbers[name]

    def texts(self, name: str) -> list[str]:
        """Return a column of texts, to read and write by row."""
        return self._texts[name]

    def has_texts(self, name: str) -> bool:
        """Tell whether a column holds texts."""
        return name in self._texts

    def gather(self, name: str, stretch: range, others: Sequence[int] = ()) -> array[Any]:
        """Return the values of a stretch of rows of a column of numbers, and behind them those of others."""
        numbers = self._numbers[name]
        values = numbers[stretch.start : stretch.stop]
        values.extend(_picked(numbers, others))
        return values

    def gather_texts(self, name: str, stretch: range, others: Sequence[int] = ()) -> list[str]:
        """Return the values of a stretch of rows of a column of texts, and behind them those of others."""
        texts = self._texts[name]
        return [*texts[stretch.start : stretch.stop], *_picked(texts, others)]


class Words:
    """Number the distinct texts of one batch; the empty text is 0."""

    def __init__(self) -> None:
        self._places = {"": 0}

    def numbered(self, texts: Sequence[str]) -> array[Any]:
        """Return the place of each text, as a column of two-byte numbers."""
        places = self._places
        if texts and texts.count(texts[0]) == len(texts):
            return array("H", [places.setdefault(texts[0], len(places))]) * len(texts)
        for text in dict.fromkeys(texts):
            places.setdefault(text, len(places))
        # The rest in C: this runs for each row of each batch.
        return array("H", map(places.__getitem__, texts))

    @property
    def all(self) -> list[str]:
        """Return the texts in the order of their places."""
        return list(self._places)


def column(code: str, values: Iterable[int]) -> array[Any]:
    """Return whole numbers as a column."""
    return array(code, values)


def joined(columns: Iterable[array[Any]]) -> bytes:
    """Return the columns one after another, little-endian."""
    parts = []
    for part in columns:
        if sys.byteorder == "big":
            part.byteswap()
        parts.append(part.tobytes())
    return b"".join(parts)


def _picked(values: Sequence[T], rows: Sequence[int]) -> Sequence[T]:
    # In C: an eighth of the time of a loop, and this runs for each column of each batch.
    return itemgetter(*rows)(values) if len(rows) > 1 else [values[row] for row in rows]
