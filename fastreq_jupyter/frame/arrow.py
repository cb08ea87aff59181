"""A frame for polars, or as an Arrow table: the same columns in the same order, their types the nearest ones, whatever came.

    Int16, UInt8, Int32, Int64, bool, float64   the same       datetime64[us, UTC]   timestamp in microseconds, UTC
    string                                      string         category              dictionary of strings

Columns of objects (`data`, headers, lists that were not exploded) are text: strings as they are, all else as JSON, bytes that are no
UTF-8 in base64. Their values differ in type from row to row, and no column of these libraries does. The index, where it is
more than numbers from 0, is the first column. Missing values are null, NaN too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.frame.files import cell_text, unique_names

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["as_asked", "to_arrow", "to_polars"]


def as_asked(frame: pd.DataFrame, return_type: str) -> Any:
    """Return a frame of pandas as the return type says: as it is, for polars, or as an Arrow table."""
    if return_type == "dataframe":
        return frame
    return to_polars(frame) if return_type == "polars" else to_arrow(frame)


def to_arrow(frame: pd.DataFrame) -> Any:
    """Return the frame as a `pyarrow.Table`.

    Raises:
        UsageError: pyarrow is missing; one line.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
    except ImportError:
        raise UsageError("return_type='arrow' needs pyarrow: pip install 'fastreq-jupyter[arrow]'") from None
    levels, columns = _columns(frame)
    arrays = [_array(pa, column) for column in (*levels, *columns)]
    return pa.table(arrays, names=unique_names(frame))


def to_polars(frame: pd.DataFrame) -> Any:
    """Return the frame as a `polars.DataFrame`.

    Raises:
        UsageError: polars is missing; one line.
    """
    try:
        import polars as pl  # noqa: PLC0415 - an extra
    except ImportError:
        raise UsageError("return_type='polars' needs polars: pip install 'fastreq-jupyter[polars]'") from None
    return pl.from_arrow(to_arrow(frame))


def _columns(frame: pd.DataFrame) -> tuple[list[Any], list[Any]]:
    index = frame.index
    levels = [] if isinstance(index, pd.RangeIndex) else [pd.Series(index.get_level_values(level)) for level in range(index.nlevels)]
    return levels, [frame.iloc[:, number] for number in range(len(frame.columns))]


def _array(pa: Any, column: Any) -> Any:
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        names = pa.array(_texts(dtype.categories), pa.string())
        codes = pa.array(column.array.codes, pa.int32(), mask=column.array.codes < 0)
        return pa.DictionaryArray.from_arrays(codes, names)
    if isinstance(dtype, pd.StringDtype) or pd.api.types.is_object_dtype(dtype):
        return pa.array(_texts(column), pa.string())
    array = pa.array(column, from_pandas=True)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _texts(values: Iterable[Any]) -> list[str | None]:
    cells = [cell_text(value) for value in values]
    return [None if cell is None else cell.encode("utf-8", "replace").decode() for cell in cells]
