"""Frames whose columns are known before anything is sent, as engines for more than one machine need them (`partition_plan`).

Bodies are JSON texts, times microseconds in UTC, integers signed, categories plain texts: what Arrow, Spark and Dask all know.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastreq_jupyter.errors import OptionError
from fastreq_jupyter.frame.columns import INSTANT, TEXT, clean_text
from fastreq_jupyter.frame.parquet import dump_json, encode_value
from fastreq_jupyter.options import TIMING_COLUMNS, shown_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastreq_jupyter.options import Options

_TYPES: dict[str, tuple[Any, str]] = {
    "string": (TEXT, "string"),
    "Int64": (pd.Int64Dtype(), "bigint"),
    "Int32": (pd.Int32Dtype(), "int"),
    "Int16": (pd.Int16Dtype(), "smallint"),
    "Float64": (pd.Float64Dtype(), "double"),
    "boolean": (pd.BooleanDtype(), "boolean"),
    "bool": (np.dtype(bool), "boolean"),
    "int64": (np.dtype("int64"), "bigint"),
    "float64": (np.dtype("float64"), "double"),
    "timestamp": (INSTANT, "timestamp"),
}
"""Name -> dtype of pandas, type of SQL."""
_SPELLINGS = {"str": "string", "int": "Int64", "float": "Float64", "object": "string", "datetime64[us, UTC]": "timestamp"}
_OWN = {
    "item": "Int32", "page": "Int32", "looks": "Int32", "status": "Int16", "ok": "bool", "attempts": "Int16", "size_bytes": "Int64",
    "started_at": "timestamp",
}  # fmt: skip
"""Types of the frame's own columns; durations are float64, all others text."""


def read_types(types: Mapping[str, Any] | None, name: str) -> dict[str, str]:
    """Return columns and the names of their types.

    Args:
        types: Column -> type.
        name: The argument, for messages.

    Raises:
        OptionError: A type that not all engines know.
    """
    # Fields of an answer may be missing, so their types are nullable; columns of the engine's frame have all values.
    nullable = {"bool": "boolean", "int64": "Int64"} if name == "schema" else {}
    kinds = {}
    for column, type_ in (types or {}).items():
        spelt = str(type_.__name__ if isinstance(type_, type) else type_)
        kind = _SPELLINGS.get(spelt, spelt)
        kind = nullable.get(kind, kind)
        if kind not in _TYPES:
            raise OptionError(f"{name}: {str(column)[:60]}: {spelt[:40]!r} is not possible: give one of {', '.join(_TYPES)}", option=name)
        kinds[str(column)] = kind
    return kinds


def fixed_columns(options: Options, schema: Mapping[str, str], keep: Mapping[str, str]) -> dict[str, str]:
    """Return the columns of every frame that is made with these options, with the names of their types.

    Args:
        options: What is shown.
        schema: Fields of the answers and their types.
        keep: Input columns and their types.

    Raises:
        OptionError: Two columns of one name.
    """
    own = [
        *(("page",) if options.pages is not None else ()),
        *(("item",) if options.select is not None else ()),
        *shown_columns(options),
        *(("looks",) if options.until is not None else ()),
        *(TIMING_COLUMNS if options.timings else ()),
        *(("headers",) if options.response_headers else ()),
    ]
    columns = {
        **keep,
        **schema,
        "data": "string",
        **{name: _OWN.get(name, "float64" if name.endswith("_ms") else "string") for name in own},
    }
    if len(columns) < len(keep) + len(schema) + 1 + len(own):
        names = [*keep, *schema, "data", *own]
        twice = next(name for name in names if names.count(name) > 1)
        raise OptionError(f"schema: {twice!r} is the name of two columns: rename that of your frame, or leave it out", option="schema")
    return columns


def spark_schema(columns: Mapping[str, str]) -> str:
    """Return the columns as Spark's DDL writes them."""
    quoted = {name: name.replace("`", "``") for name in columns}
    return ", ".join(f"`{quoted[name]}` {_TYPES[kind][1]}" for name, kind in columns.items())


def fixed_frame(columns: Mapping[str, str], values: Mapping[str, Sequence[Any]], index: Any = None) -> pd.DataFrame:
    """Return a frame with exactly these columns.

    Args:
        columns: Names and types.
        values: What there is of them.
        index: Of the frame; 0..n-1 by default.
    """
    data = {name: _column(values[name], kind) for name, kind in columns.items()}
    return pd.DataFrame(data, index=index, copy=False)


def body_columns(bodies: Sequence[Any], good: Sequence[bool], schema: Mapping[str, str]) -> dict[str, list[Any]]:
    """Return the columns of `schema`, and `data` as JSON text: all of it without schema, else what did not fit its column.

    Args:
        bodies: What came, row by row.
        good: Which of them are good answers.
        schema: Fields, dotted where they are nested, and the names of their types.
    """
    fields: dict[str, list[Any]] = {name: [None] * len(bodies) for name in schema}
    data: list[str | None] = [None] * len(bodies)
    for row, body in enumerate(bodies):
        fits = bool(schema) and good[row] and isinstance(body, dict)
        if fits:
            for name, kind in schema.items():
                value = _field(body, name)
                try:
                    fields[name][row] = None if value is None else _READERS[kind](value)
                except (TypeError, ValueError, OverflowError):
                    fits = False
        if not fits and body is not None:
            data[row] = json_text(body)
    return {**fields, "data": data}


def json_text(value: Any) -> str:
    """Return a value as JSON text."""
    try:
        return clean_text(dump_json(encode_value(value)))
    except (RecursionError, TypeError, ValueError):
        return clean_text(str(value)[:10_000])


def _field(body: Mapping[str, Any], name: str) -> Any:
    if name in body or "." not in name:
        return body.get(name)
    value: Any = body
    for part in name.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def _integer(bits: int) -> Any:
    def read(value: Any) -> int:
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or value != int(value)
            or not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)
        ):
            raise ValueError
        return int(value)

    return read


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        raise ValueError
    return float(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _instant(value: Any) -> pd.Timestamp:
    if not isinstance(value, str):
        raise TypeError
    moment: Any = pd.Timestamp(value)
    if moment is pd.NaT:
        raise ValueError
    return (moment.tz_localize("UTC") if moment.tzinfo is None else moment.tz_convert("UTC")).as_unit("us")  # type: ignore[no-any-return] # a Timestamp


_READERS: dict[str, Any] = {
    "string": lambda value: clean_text(value) if isinstance(value, str) else json_text(value),
    "Int64": _integer(64), "int64": _integer(64), "Int32": _integer(32), "Int16": _integer(16),
    "Float64": _float, "float64": _float, "boolean": _boolean, "bool": _boolean, "timestamp": _instant,
}  # fmt: skip


def _column(values: Any, kind: str) -> Any:
    dtype = _TYPES[kind][0]
    if isinstance(values, pd.Series):
        values = values.array
    if kind == "string":
        plain = [None if value is None or value is pd.NA or value is pd.NaT or value != value else value for value in values]  # noqa: PLR0124 - NaN
        return pd.array([None if value is None else value if isinstance(value, str) else json_text(value) for value in plain], dtype=TEXT)
    return pd.Series(values).astype(dtype).array if len(values) else pd.array([], dtype=dtype)
