"""A frame for other programs: CSV, JSON Lines, Excel, an Arrow table, a frame of polars; Parquet, which gives it back exactly, too.

Files appear whole or not at all. The columns of an Arrow table are those of the frame, their types the nearest ones, whatever came:

    Int16, UInt8, Int32, Int64, bool, float64   the same       datetime64[us, UTC]   timestamp in microseconds, UTC
    string                                      string         category              dictionary of strings

Columns of objects (`data`, headers, lists that were not exploded) are text there: strings as they are, all else as JSON, bytes
that are no UTF-8 in base64. Their values differ in type from row to row, and no column of these libraries does. The index, where
it is more than numbers from 0, is the first column. Missing values are null, NaN too.
"""

from __future__ import annotations

import io
import json
import re
from base64 import b64encode
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.files import write_whole
from fastreq_jupyter.frame.columns import clean_text, objects
from fastreq_jupyter.frame.parquet import is_object, series_of, unique_names, write_parquet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_EXCEL_CELL = 32_767
"""Characters that a cell of Excel can hold."""
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")


def save(frame: pd.DataFrame, path: str | Path) -> Path:
    """Write a frame; the file appears whole or not at all.

    Args:
        frame: Any DataFrame.
        path: Ends in ``.parquet`` (exact), ``.csv``, ``.jsonl`` or ``.xlsx`` (plain exports).

    Returns:
        The path.

    Raises:
        UsageError: Another ending, pyarrow or openpyxl missing, or a value that the file cannot hold; one line.
        OSError: The file cannot be written.
    """
    path = Path(path)
    writers: dict[str, Callable[[pd.DataFrame], bytes]] = {".csv": csv_lines, ".jsonl": json_lines, ".xlsx": _excel}
    ending = path.suffix.lower()
    if ending == ".parquet":
        write_parquet(frame, path)
    elif ending in writers:
        write_whole(path, (writers[ending](frame),))
    else:
        raise UsageError(f"{path.name!r}: give a file name that ends in .parquet, .csv, .jsonl, .xlsx or .har")
    return path


def csv_lines(frame: pd.DataFrame, *, head: bool = True) -> bytes:
    """Return comma-separated values, UTF-8, below their names if `head` says so: objects as JSON texts, missing values empty."""
    plain = _flat(frame)
    buffer = io.StringIO(newline="")
    plain.to_csv(buffer, index=not isinstance(frame.index, pd.RangeIndex), header=head, lineterminator="\r\n")
    return buffer.getvalue().encode("utf-8", "replace")


def _excel(frame: pd.DataFrame) -> bytes:
    """Return a workbook: as CSV, but times without their zone, in UTC, since Excel knows none."""
    plain = _flat(frame)
    for number, dtype in enumerate(frame.dtypes):
        if isinstance(dtype, pd.DatetimeTZDtype):
            plain.isetitem(number, frame.iloc[:, number].dt.tz_convert("UTC").dt.tz_localize(None))
        elif is_object(dtype) or isinstance(dtype, pd.StringDtype):
            cells = [_CONTROL.sub("\ufffd", cell) if isinstance(cell, str) else cell for cell in plain.iloc[:, number]]
            longest = max((len(cell) for cell in cells if isinstance(cell, str)), default=0)
            if longest > _EXCEL_CELL:
                name = str(frame.columns[number])
                raise UsageError(
                    f"column {name!r} has a text of {longest:,} characters, and a cell of Excel holds {_EXCEL_CELL:,}: save as .csv"
                )
            plain.isetitem(number, pd.Series(cells, dtype=object).array)
    buffer = io.BytesIO()
    try:
        plain.to_excel(buffer, index=not isinstance(frame.index, pd.RangeIndex), engine="openpyxl")
    except ImportError:
        raise UsageError("a .xlsx file needs openpyxl: pip install fastreq-jupyter[excel], or save as .csv") from None
    return buffer.getvalue()


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with names of text, no two equal, and objects as texts."""
    plain = frame.copy(deep=False)
    plain.columns = pd.Index(unique_names(frame.reset_index(drop=True)))
    for number, dtype in enumerate(frame.dtypes):
        if is_object(dtype):
            plain.isetitem(number, objects([_cell(value) for value in frame.iloc[:, number]]).array)
    return plain


def json_lines(frame: pd.DataFrame, *, head: bool = True) -> bytes:  # noqa: ARG001 - as `csv_lines`
    """Return one JSON object a line, UTF-8: objects as they are, missing values null."""
    columns = series_of(frame)
    fields = unique_names(frame)
    rows = zip(*columns, strict=True) if columns else ()
    return "".join(json.dumps(dict(zip(fields, map(_json_value, row), strict=True)), ensure_ascii=False) + "\n" for row in rows).encode(
        "utf-8", "replace"
    )


def _cell(value: Any) -> Any:
    return json.dumps(_json_value(value), ensure_ascii=False) if isinstance(value, (dict, list, tuple)) else _json_value(value)


def _json_value(value: Any) -> Any:
    """Return what stands for a value in a file that other programs read."""
    if isinstance(value, dict):
        return {clean_text(str(key)): _json_value(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_value(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and not isfinite(value)):
        return None
    if isinstance(value, bytes):
        return _bytes_text(value)
    if isinstance(value, (bool, int, float)):
        return value
    return clean_text(value if isinstance(value, str) else value.isoformat() if hasattr(value, "isoformat") else str(value))


def _bytes_text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return b64encode(value).decode()


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
    return pa.table([_array(pa, column) for column in series_of(frame)], names=unique_names(frame))


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


def _array(pa: Any, column: Any) -> Any:
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        names = pa.array(_texts(dtype.categories), pa.string())
        codes = pa.array(column.array.codes, pa.int32(), mask=column.array.codes < 0)
        return pa.DictionaryArray.from_arrays(codes, names)
    if isinstance(dtype, pd.StringDtype) or is_object(dtype):
        return pa.array(_texts(column), pa.string())
    array = pa.array(column, from_pandas=True)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _texts(values: Iterable[Any]) -> list[str | None]:
    """Return the texts that stand for values: JSON for what is none; None for missing ones."""
    plain = map(_json_value, values)
    cells = [value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in plain]
    return [None if cell is None else cell.encode("utf-8", "replace").decode() for cell in cells]
