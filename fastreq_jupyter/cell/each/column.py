"""A column of a table, as Python values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CHUNK", "KEPT", "Column"]

CHUNK = 4096
"""Rows of a table that are converted at a time."""

KEPT = 64
"""Pieces of a column that are kept as Python values."""


class Column:
    """Show a Series as Python values, converted a piece at a time: no step of a big table takes long.

    Args:
        series: Any Series.
    """

    def __init__(self, series: Any) -> None:
        self._series = series
        self._size = len(series)
        self._kept: dict[int, list[Any]] = {}

    def __getitem__(self, position: int) -> Any:
        number, place = divmod(position, CHUNK)
        found = self._kept.get(number)
        return (self._chunk(number) if found is None else found)[place]

    def chunks(self) -> Iterator[tuple[int, list[Any]]]:
        """Give first position and values of each piece."""
        for number in range(-(-self._size // CHUNK)):
            yield number * CHUNK, self._chunk(number)

    def _chunk(self, number: int) -> list[Any]:
        if number not in self._kept:
            if len(self._kept) >= KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[number] = self._series.iloc[number * CHUNK : (number + 1) * CHUNK].tolist()
        return self._kept[number]
