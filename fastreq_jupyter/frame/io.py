"""A frame as a file, and `load` as the exact inverse of `save`: values, dtypes, index, columns and attrs.

The file is one that others read as well: plain columns, objects as JSON, missing values empty. What only we need, the dtypes, is in
the schema of a Parquet file, and in the first row of a last column `fastreq` of a CSV or JSON Lines file. Files are written
beside their place and put there in one step. Nothing in a file is ever executed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.files import AtomicFile
from fastreq_jupyter.frame.formats import FORMATS, Sheet
from fastreq_jupyter.frame.schema import Spec, describe, plain_values, restore
from fastreq_jupyter.frame.values import decode_value, encode_value

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["load", "save"]

_VERSION = 1
_OWN = "fastreq"


def save(frame: pd.DataFrame, path: str | Path) -> Path:
    """Write a frame; the file appears whole or not at all.

    Args:
        frame: Any DataFrame.
        path: Ends in ``.parquet``, ``.csv`` or ``.jsonl``.

    Returns:
        The path.

    Raises:
        UsageError: Another ending, pyarrow missing, or a value or dtype that no file can give back exactly; one line.
        OSError: The file cannot be written.
    """
    path = Path(path)
    content = _format_of(path).write(_sheet_of(frame))
    file = AtomicFile(path)
    try:
        file.write(content)
        file.commit()
    finally:
        file.discard()
    return path


def load(path: str | Path) -> pd.DataFrame:
    """Return the frame that `save` wrote, the same in values, dtypes, index, columns and attrs.

    Raises:
        UsageError: The file was not written by `save`, or was changed or cut since; one line.
        OSError: It cannot be read.
    """
    path = Path(path)
    kind = _format_of(path)
    content = path.read_bytes()
    try:
        meta, columns = kind.read(content)
        if meta is not None and meta.get("version") == _VERSION:
            return _frame_of(meta, columns)
    except UsageError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        cause = " ".join(str(error).split())[:120] or type(error).__name__
        raise UsageError(f"{path.name} cannot be read back: it was changed or cut after it was saved ({cause})") from error
    if meta is None:
        raise UsageError(f"{path.name} was not written by df.fastreq.save: read it with pandas.read_{kind.reader}")
    raise UsageError(f"{path.name} was written by a newer fastreq_jupyter: update this one to read it")


def _format_of(path: Path) -> Any:
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        raise UsageError(f"{path.name!r}: give a file name that ends in .parquet, .csv or .jsonl") from None


def _sheet_of(frame: pd.DataFrame) -> Sheet:
    fields = _fields(frame)
    levels = _levels(frame.index)
    series = [*levels, *(frame.iloc[:, number] for number in range(len(frame.columns)))]
    specs: list[Spec] = []
    plain: list[list[Any]] = []
    for field, column in zip(fields, series, strict=True):
        try:
            specs.append(describe(column.dtype))
            plain.append(plain_values(column, specs[-1]))
        except TypeError as error:
            raise UsageError(f"column {field!r} holds {error}, which no file gives back exactly: convert it before saving") from None
        except RecursionError:
            raise UsageError(f"column {field!r} holds a value nested too deeply to be stored") from None
    meta = {
        "version": _VERSION,
        "rows": len(frame),
        "fields": fields,
        "specs": specs,
        "index": _describe_index(frame.index),
        "columns": {**_describe_index(frame.columns), "labels": _labels(frame.columns)},
        "attrs": _attrs(frame),
    }
    return Sheet(fields, specs, plain, meta)


def _frame_of(meta: dict[str, Any], columns: list[Any]) -> pd.DataFrame:
    arrays = [restore(values, spec) for values, spec in zip(columns, meta["specs"], strict=True)]
    if any(len(array) != meta["rows"] for array in arrays):
        message = f"{len(arrays[0])} rows, {meta['rows']} expected"
        raise ValueError(message)
    count = len(meta["index"].get("names", ())) if "range" not in meta["index"] else 0
    index = _restore_index(meta["index"], arrays[:count])
    frame = pd.DataFrame(dict(enumerate(arrays[count:])), index=pd.RangeIndex(meta["rows"]), copy=False)
    frame.index = index
    labels = meta["columns"]["labels"]
    frame.columns = _restore_index(meta["columns"], [restore(level["values"], level["spec"]) for level in labels])
    frame.attrs = decode_value(meta["attrs"])
    return frame


def _fields(frame: pd.DataFrame) -> list[str]:
    """Return a name for each index level and column in the file: its label where that is a text of its own."""
    names = [] if _is_range(frame.index) else [name if isinstance(name, str) else "index" for name in frame.index.names]
    fields: list[str] = []
    for label in [*names, *frame.columns]:
        text = label if isinstance(label, str) else ".".join(map(str, label)) if isinstance(label, tuple) else str(label)
        name = text.encode("utf-8", "replace").decode() or "column"
        unique, number = name, 1
        while unique in fields or unique == _OWN:
            number += 1
            unique = f"{name}_{number}"
        fields.append(unique)
    return fields


def _is_range(index: pd.Index[Any]) -> bool:
    return isinstance(index, pd.RangeIndex)


def _levels(index: pd.Index[Any]) -> Iterable[Any]:
    return [] if _is_range(index) else [pd.Series(index.get_level_values(level).array) for level in range(index.nlevels)]


def _describe_index(index: pd.Index[Any]) -> dict[str, Any]:
    names = [encode_value(name) for name in index.names]
    if isinstance(index, pd.RangeIndex):
        return {"range": [index.start, index.stop, index.step], "names": names}
    frequency = getattr(index, "freqstr", None)
    return {"names": names, "multi": isinstance(index, pd.MultiIndex), **({"freq": frequency} if frequency else {})}


def _labels(columns: pd.Index[Any]) -> list[dict[str, Any]]:
    try:
        specs = [(describe(level.dtype), level) for level in _levels(columns)]
        return [{"spec": spec, "values": plain_values(level, spec)} for spec, level in specs]
    except TypeError as error:
        raise UsageError(f"a column's label is a {error}, which no file gives back exactly: rename it before saving") from None


def _restore_index(described: dict[str, Any], levels: list[Any]) -> pd.Index[Any]:
    names = [decode_value(name) for name in described["names"]]
    if "range" in described:
        start, stop, step = described["range"]
        return pd.RangeIndex(start, stop, step, name=names[0])
    if described["multi"]:
        several: pd.Index[Any] = pd.MultiIndex.from_arrays([_as_index(level) for level in levels], names=names)
        return several
    index: pd.Index[Any] = _as_index(levels[0]).rename(names[0])
    if "freq" not in described:
        return index
    return pd.DatetimeIndex(index, freq=described["freq"])


def _as_index(level: Any) -> pd.Index[Any]:
    kept = object if isinstance(level, pd.Series) else None
    index: pd.Index[Any] = pd.Index(level, dtype=kept, tupleize_cols=False)
    return index


def _attrs(frame: pd.DataFrame) -> Any:
    try:
        return encode_value(dict(frame.attrs))
    except TypeError as error:
        raise UsageError(f"df.attrs holds a {error}, which no file gives back exactly: remove it before saving") from None
