"""A frame as Parquet, and back exactly: values, dtypes, index, columns and attrs.

The file is one that others read as well: objects are JSON texts, and what only we need is in its schema. In these texts JSON's
own values stand for themselves. A few others are an object with one key that begins with ``$``:

    {"$bytes": "aGk="}   {"$tuple": [1, 2]}   {"$dict": [[1, "a"]]}   {"$timestamp": ["2026-11-03T09:12:00", "us", "UTC"]}

No pickle: loading a file never runs anything.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.files import write_whole
from fastreq_jupyter.frame.columns import objects

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_VERSION = 2
_KEY = b"fastreq"
_READERS = {".csv": "pandas.read_csv", ".jsonl": "pandas.read_json(..., lines=True)", ".xlsx": "pandas.read_excel"}


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
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
    series = series_of(frame)
    levels = len(series) - len(frame.columns)
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
    meta = {"version": _VERSION, "rows": len(frame), "kinds": kinds, "levels": levels, "index": _shape(frame.index)}
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
    if is_object(dtype):
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


def is_object(dtype: Any) -> bool:
    """Tell whether a column holds any objects of Python."""
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
    names = [] if isinstance(frame.index, pd.RangeIndex) else [name if isinstance(name, str) else "index" for name in frame.index.names]
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


def series_of(frame: pd.DataFrame) -> list[Any]:
    """Return the levels of the index, where it is more than row numbers, and the columns: in the order of `unique_names`."""
    index = frame.index
    levels = [] if isinstance(index, pd.RangeIndex) else [pd.Series(index.get_level_values(level).array) for level in range(index.nlevels)]
    return [*levels, *(frame.iloc[:, number] for number in range(len(frame.columns)))]


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


_MISSING = {"<NA>": pd.NA, "NaT": pd.NaT}


def encode_value(value: Any) -> Any:
    """Return the value as something `json.dumps` takes.

    Raises:
        TypeError: A type that cannot be stored; the message names it.
    """
    kind = type(value)
    if value is None or kind in (str, bool, int, float):
        return value
    if kind is list:
        return [encode_value(inner) for inner in value]
    if kind is dict and all(type(key) is str and key[:1] != "$" for key in value):
        return {key: encode_value(inner) for key, inner in value.items()}
    if value is pd.NA or value is pd.NaT:
        return {"$missing": repr(value)}
    if kind in _ENCODERS:
        name, encode = _ENCODERS[kind]
        return {name: encode(value)}
    raise TypeError(kind.__name__)


def decode_value(value: Any) -> Any:
    """Return what `encode_value` was given.

    Raises:
        ValueError: The JSON was not made by it.
    """
    if type(value) is list:
        return [decode_value(inner) for inner in value]
    if type(value) is not dict:
        return value
    if len(value) == 1:
        name, inner = next(iter(value.items()))
        if name in _DECODERS:
            return _DECODERS[name](inner)
        if name[:1] == "$":
            message = f"unknown value {name}"
            raise ValueError(message)
    return {key: decode_value(inner) for key, inner in value.items()}


def dump_json(value: Any) -> str:
    """Return compact JSON text that UTF-8 can store, readable where there is no lone surrogate."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


def _timestamp(value: pd.Timestamp) -> list[Any]:
    return [value.isoformat(), value.unit, None if value.tz is None else str(value.tz)]


def _from_timestamp(parts: Any) -> pd.Timestamp:
    text, unit, zone = parts
    moment = pd.Timestamp(text).as_unit(unit)
    return moment if zone is None else moment.tz_convert(zone)


def _moment(value: datetime) -> list[Any]:
    zone = value.tzinfo
    key = None if zone is None else "UTC" if zone is UTC else getattr(zone, "key", None)
    if zone is not None and key is None:
        raise TypeError(type(zone).__name__)
    return [value.replace(tzinfo=None).isoformat(), key, value.fold]


def _from_moment(parts: Any) -> datetime:
    text, zone, fold = parts
    return datetime.fromisoformat(text).replace(tzinfo=None if zone is None else UTC if zone == "UTC" else ZoneInfo(zone), fold=fold)


_ENCODERS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    dict: ("$dict", lambda pairs: [[encode_value(part) for part in pair] for pair in pairs.items()]),
    tuple: ("$tuple", lambda values: [encode_value(value) for value in values]),
    bytes: ("$bytes", lambda value: b64encode(value).decode()),
    Decimal: ("$decimal", str),
    pd.Timestamp: ("$timestamp", _timestamp),
    datetime: ("$datetime", _moment),
    date: ("$date", date.isoformat),
    timedelta: ("$span", lambda value: [value.days, value.seconds, value.microseconds]),
}
_DECODERS: dict[str, Callable[[Any], Any]] = {
    "$dict": lambda pairs: {decode_value(key): decode_value(value) for key, value in pairs},
    "$tuple": lambda values: tuple(decode_value(value) for value in values),
    "$bytes": b64decode,
    "$decimal": Decimal,
    "$timestamp": _from_timestamp,
    "$datetime": _from_moment,
    "$date": date.fromisoformat,
    "$span": lambda parts: timedelta(*parts),
    "$missing": lambda name: _MISSING[name],
}
