"""A frame as a file: Parquet, of which `load` is the exact inverse, and plain exports for other programs.

A Parquet file holds values, dtypes, index, columns and attrs; it is one that others read as well: objects are JSON texts, and
what only we need is in its schema. CSV and JSON Lines are what other programs expect. Files appear whole or not at all, and
nothing in a file is ever executed.
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
from fastreq_jupyter.frame.values import decode_value, dump_json, encode_value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "cell_text",
    "csv_lines",
    "json_lines",
    "load_file",
    "needs_pyarrow",
    "parquet",
    "read_footer",
    "save",
    "unique_names",
]

_VERSION = 2
_KEY = b"fastreq"
_READERS = {".csv": "pandas.read_csv", ".jsonl": "pandas.read_json(..., lines=True)", ".xlsx": "pandas.read_excel"}
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
    writers: dict[str, Callable[[pd.DataFrame], bytes]] = {".parquet": _parquet, ".csv": csv_lines, ".jsonl": json_lines, ".xlsx": _excel}
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise UsageError(f"{path.name!r}: give a file name that ends in .parquet, .csv, .jsonl, .xlsx or .har")
    write_whole(path, (writer(frame),))
    return path


def parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as Parquet, whatever the file's name.

    Raises:
        UsageError: A value that the file cannot hold; one line.
        OSError: The file cannot be written; nothing is left behind.
    """
    write_whole(path, (_parquet(frame),))


def load_file(path: str | Path) -> pd.DataFrame:
    """Return the frame that ``df.fastreq.save("x.parquet")`` wrote, the same in values, dtypes, index, columns and attrs.

    Args:
        path: The file; its name ends in .parquet.

    Raises:
        UsageError: The file is no Parquet, was not written by `save`, or was changed or cut since; one line.
        OSError: It cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() != ".parquet":
        reader = _READERS.get(path.suffix.lower(), "pandas")
        raise UsageError(f"{path.name}: only .parquet gives a frame back exactly; read this one with {reader}")
    pa, parquet = needs_pyarrow()
    content = path.read_bytes()
    try:
        table = parquet.read_table(pa.BufferReader(content))
        meta = json.loads((table.schema.metadata or {}).get(_KEY, "null"))
        if meta is not None and meta["version"] == _VERSION:
            return _frame_of(table, meta)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        cause = " ".join(str(error).split())[:120] or type(error).__name__
        raise UsageError(f"{path.name} cannot be read back: it was changed or cut after it was saved ({cause})") from error
    if meta is None:
        raise UsageError(f"{path.name} was not written by df.fastreq.save: read it with pandas.read_parquet")
    raise UsageError(f"{path.name} was written by another version of fastreq_jupyter: read it with pandas.read_parquet")


def read_footer(path: Path) -> dict[str, Any]:
    """Return ``attrs`` of a frame that was saved, without reading its rows; empty where the file is none of ours.

    Raises:
        OSError: It cannot be read.
    """
    pa, pq = needs_pyarrow()
    try:
        meta = json.loads((pq.read_schema(path).metadata or {}).get(_KEY, "null"))
        return dict(decode_value(meta["attrs"])) if meta is not None and meta["version"] == _VERSION else {}
    except (pa.ArrowException, ValueError, KeyError, TypeError):
        return {}


def needs_pyarrow() -> tuple[Any, Any]:
    """Return pyarrow and pyarrow.parquet.

    Raises:
        UsageError: It is not installed.
    """
    try:
        import pyarrow  # noqa: ICN001, PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415 - likewise
    except ImportError:
        raise UsageError("a .parquet file needs pyarrow: pip install fastreq-jupyter[parquet], or save as .csv or .jsonl") from None
    return pyarrow, parquet


def _parquet(frame: pd.DataFrame) -> bytes:
    pa, parquet = needs_pyarrow()
    levels = _levels(frame.index)
    series = [*levels, *(frame.iloc[:, number] for number in range(len(frame.columns)))]
    fields = unique_names(frame)
    kinds: list[Any] = []
    arrays: list[Any] = []
    for field, column in zip(fields, series, strict=True):
        try:
            kinds.append(_described(column.dtype))
            arrays.append(_stored(pa, column, kinds[-1]))
        except RecursionError:
            raise UsageError(f"column {field!r} holds a value nested too deeply to be stored") from None
        except (TypeError, ValueError, pa.ArrowException) as error:
            raise UsageError(f"column {field!r} holds {error}, which no file gives back exactly: convert it before saving") from None
    meta = {"version": _VERSION, "rows": len(frame), "kinds": kinds, "levels": len(levels), "index": _shape(frame.index)}
    try:
        meta |= {
            "columns": {**_shape(frame.columns), "labels": encode_value(list(frame.columns))},
            "attrs": encode_value(dict(frame.attrs)),
        }
    except TypeError as error:
        raise UsageError(f"a label or df.attrs holds a {error}, which no file gives back exactly: remove it before saving") from None
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.table(arrays, names=fields).replace_schema_metadata({_KEY: dump_json(meta).encode()}), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _frame_of(table: Any, meta: dict[str, Any]) -> pd.DataFrame:
    if table.num_columns and table.num_rows != meta["rows"]:
        message = f"{table.num_rows} rows, {meta['rows']} expected"
        raise ValueError(message)
    arrays = [_restored(table.column(number), kind) for number, kind in enumerate(meta["kinds"])]
    count = meta["levels"]
    frame = pd.DataFrame(dict(enumerate(arrays[count:])), index=pd.RangeIndex(meta["rows"]), copy=False)
    frame.index = _index(meta["index"], arrays[:count])
    columns = meta["columns"]
    labels = decode_value(columns["labels"])
    levels = [list(level) for level in zip(*labels, strict=True)] if columns.get("multi") else [labels]
    frame.columns = _index(columns, levels)
    frame.attrs = decode_value(meta["attrs"])
    return frame


def _described(dtype: Any) -> Any:
    """Return what is needed to have the dtype again: its name, or a mapping where the name does not say it all.

    Raises:
        TypeError: It cannot be had again.
    """
    if _is_object(dtype):
        return "object"
    if isinstance(dtype, pd.StringDtype):
        storage = "pyarrow" if dtype.storage.startswith("pyarrow") else "python"
        return {"text": storage, "na": "NA" if dtype.na_value is pd.NA else "nan"}
    if isinstance(dtype, pd.CategoricalDtype):
        names = pd.Series(dtype.categories)
        return {"of": _described(names.dtype), "names": encode_value(names.tolist()), "ordered": bool(dtype.ordered)}
    name = str(dtype)
    if pd.api.types.pandas_dtype(name) != dtype:
        raise TypeError(name)
    return name


def _is_object(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind == "O"


def _dtype(kind: Any) -> Any:
    """Return the dtype that `_described` was given."""
    if isinstance(kind, str):
        return pd.api.types.pandas_dtype(kind)
    if "of" in kind:
        names = pd.Index(pd.Series(decode_value(kind["names"]), dtype=_dtype(kind["of"])), tupleize_cols=False)
        return pd.CategoricalDtype(names, ordered=kind["ordered"])
    if kind["na"] == "NA":
        return pd.StringDtype(kind["text"])
    try:
        return pd.StringDtype(kind["text"], na_value=np.nan)
    except TypeError:
        # pandas 2.2
        return pd.StringDtype("pyarrow_numpy") if kind["text"] == "pyarrow" else np.dtype(object)


def _stored(pa: Any, column: Any, kind: Any) -> Any:
    """Return an Arrow array of the column: objects as JSON texts, the rest of the nearest type.

    Raises:
        TypeError: A value that cannot be stored; the message names its type.
    """
    if kind == "object":
        return pa.array([None if value is None else dump_json(encode_value(value)) for value in column], pa.string())
    if isinstance(kind, dict) and "of" in kind:
        names = [*column.dtype.categories, None]
        values = pd.Series([names[code] for code in column.array.codes], dtype=object)
        return _stored(pa, values, kind["of"] if isinstance(kind["of"], dict) else "object")
    if isinstance(kind, dict):
        texts = [None if missing else value for value, missing in zip(column, column.isna(), strict=True)]
        kind["quoted"] = not _storable(texts)
        return pa.array([None if text is None else json.dumps(text) for text in texts] if kind["quoted"] else texts, pa.string())
    return pa.array(column)


def _restored(column: Any, kind: Any) -> Any:
    dtype = _dtype(kind)
    if kind == "object":
        return objects([None if text is None else decode_value(json.loads(text)) for text in column.to_pylist()])
    if isinstance(kind, dict) and "of" in kind:
        return pd.Categorical(_restored(column, kind["of"] if isinstance(kind["of"], dict) else "object"), dtype=dtype)
    if isinstance(kind, dict):
        texts = column.to_pylist()
        return pd.array([None if text is None else json.loads(text) for text in texts] if kind["quoted"] else texts, dtype=dtype)
    return column.to_numpy().astype(dtype) if isinstance(dtype, np.dtype) else dtype.__from_arrow__(column)


def _storable(texts: list[Any]) -> bool:
    try:
        "".join(text for text in texts if text is not None).encode()
    except UnicodeEncodeError:
        return False
    return True


def unique_names(frame: pd.DataFrame) -> list[str]:
    """Return a name for each index level and column in the file: its label where that is a text of its own."""
    names = [] if _is_range(frame.index) else [name if isinstance(name, str) else "index" for name in frame.index.names]
    fields: dict[str, None] = {}
    for label in [*names, *frame.columns]:
        text = label if isinstance(label, str) else ".".join(map(str, label)) if isinstance(label, tuple) else str(label)
        name = text.encode("utf-8", "replace").decode() or "column"
        unique, number = name, 1
        while unique in fields:
            number += 1
            unique = f"{name}_{number}"
        fields[unique] = None
    return list(fields)


def _is_range(index: pd.Index[Any]) -> bool:
    return isinstance(index, pd.RangeIndex)


def _levels(index: pd.Index[Any]) -> list[Any]:
    return [] if _is_range(index) else [pd.Series(index.get_level_values(level).array) for level in range(index.nlevels)]


def _shape(index: pd.Index[Any]) -> dict[str, Any]:
    """Return what an index is besides its values."""
    names = [encode_value(name) for name in index.names]
    if isinstance(index, pd.RangeIndex):
        return {"names": names, "range": [index.start, index.stop, index.step]}
    return {"names": names, "multi": isinstance(index, pd.MultiIndex), "freq": getattr(index, "freqstr", None)}


def _index(shape: dict[str, Any], levels: Sequence[Any]) -> pd.Index[Any]:
    names = [decode_value(name) for name in shape["names"]]
    if "range" in shape:
        start, stop, step = shape["range"]
        return pd.RangeIndex(start, stop, step, name=names[0])
    if shape["multi"]:
        several: pd.Index[Any] = pd.MultiIndex.from_arrays([_as_index(level) for level in levels], names=names)
        return several
    index: pd.Index[Any] = _as_index(levels[0]).rename(names[0])
    return index if shape["freq"] is None else pd.DatetimeIndex(index, freq=shape["freq"])


def _as_index(level: Any) -> pd.Index[Any]:
    index: pd.Index[Any] = pd.Index(level, dtype=object if isinstance(level, pd.Series) else None, tupleize_cols=False)
    return index


def csv_lines(frame: pd.DataFrame, *, head: bool = True) -> bytes:
    """Return comma-separated values, UTF-8, below their names if `head` says so: objects as JSON texts, missing values empty."""
    plain = _flat(frame)
    buffer = io.StringIO(newline="")
    plain.to_csv(buffer, index=not _is_range(frame.index), header=head, lineterminator="\r\n")
    return buffer.getvalue().encode("utf-8", "replace")


def _excel(frame: pd.DataFrame) -> bytes:
    """Return a workbook: as CSV, but times without their zone, in UTC, since Excel knows none."""
    plain = _flat(frame)
    for number, dtype in enumerate(frame.dtypes):
        if isinstance(dtype, pd.DatetimeTZDtype):
            plain.isetitem(number, frame.iloc[:, number].dt.tz_convert("UTC").dt.tz_localize(None))
        elif _is_object(dtype) or isinstance(dtype, pd.StringDtype):
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
        plain.to_excel(buffer, index=not _is_range(frame.index), engine="openpyxl")
    except ImportError:
        raise UsageError("a .xlsx file needs openpyxl: pip install fastreq-jupyter[excel], or save as .csv") from None
    return buffer.getvalue()


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with names of text, no two equal, and objects as texts."""
    plain = frame.copy(deep=False)
    plain.columns = pd.Index(unique_names(frame.reset_index(drop=True)))
    for number, dtype in enumerate(frame.dtypes):
        if _is_object(dtype):
            plain.isetitem(number, objects([_cell(value) for value in frame.iloc[:, number]]).array)
    return plain


def json_lines(frame: pd.DataFrame, *, head: bool = True) -> bytes:  # noqa: ARG001 - as `csv_lines`
    """Return one JSON object a line, UTF-8: objects as they are, missing values null."""
    levels = _levels(frame.index)
    columns = [*levels, *(frame.iloc[:, number] for number in range(len(frame.columns)))]
    fields = unique_names(frame)
    rows = zip(*columns, strict=True) if columns else ()
    return "".join(json.dumps(dict(zip(fields, map(_json_value, row), strict=True)), ensure_ascii=False) + "\n" for row in rows).encode(
        "utf-8", "replace"
    )


def _cell(value: Any) -> Any:
    return json.dumps(_json_value(value), ensure_ascii=False) if isinstance(value, (dict, list, tuple)) else _json_value(value)


def cell_text(value: Any) -> str | None:
    """Return a value as the text that stands for it in a column of texts: JSON for what is none; None for missing ones."""
    plain = _json_value(value)
    return plain if plain is None or isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


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
