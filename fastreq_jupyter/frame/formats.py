"""The three file formats of a saved frame: each turns plain values and their description into bytes, and back."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.frame.values import dump_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastreq_jupyter.frame.schema import Spec

__all__ = ["FORMATS", "Format", "Sheet"]

_OWN = "fastreq"
_KEY = b"fastreq"
# A body may be longer than the csv module's default of 128 KiB; its limit belongs to the whole process.
_LONGEST_CELL = 2**31 - 1
_CSV_LIMIT = Lock()
_TREES = ("object", "other")


@dataclass(frozen=True, slots=True)
class Sheet:
    """Hold a frame ready to be written.

    Attributes:
        fields: A name for each column, index levels first; no two equal.
        specs: What each column is.
        columns: Its plain values.
        meta: All that is needed to build the frame again; JSON.
    """

    fields: list[str]
    specs: list[Spec]
    columns: list[list[Any]]
    meta: dict[str, Any]


class Format(Protocol):
    """Be one file format."""

    reader: str

    def write(self, sheet: Sheet) -> bytes:
        """Return the content of the file."""
        ...

    def read(self, content: bytes) -> tuple[dict[str, Any] | None, list[Any]]:
        """Return the meta data, None where the file has none, and the columns."""
        ...


class _Csv:
    """Comma-separated values (RFC 4180), UTF-8.

    A text stands as it is, but as a JSON string where it is empty, begins with a quote, or cannot be stored.
    """

    reader = "csv"

    def write(self, sheet: Sheet) -> bytes:
        """Return the content of the file."""
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, lineterminator="\r\n")
        writer.writerow([*sheet.fields, _OWN])
        meta = dump_json(sheet.meta)
        columns = [[_cell(value, spec) for value in values] for values, spec in zip(sheet.columns, sheet.specs, strict=True)]
        rows: Iterable[Any] = zip(*columns, strict=True) if columns else [()] * sheet.meta["rows"]
        first = True
        for row in rows:
            writer.writerow([*row, meta if first else ""])
            first = False
        if first:
            writer.writerow([*[""] * len(sheet.fields), meta])
        return buffer.getvalue().encode()

    def read(self, content: bytes) -> tuple[dict[str, Any] | None, list[Any]]:
        """Return the meta data, None where the file has none, and the columns."""
        with _CSV_LIMIT:
            before = csv.field_size_limit(_LONGEST_CELL)
            try:
                lines = list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))
            except csv.Error as error:
                raise ValueError(str(error)) from None
            finally:
                csv.field_size_limit(before)
        if len(lines) < 2 or not lines[0] or lines[0][-1] != _OWN:  # noqa: PLR2004 - a head and a first row
            return None, []
        meta = json.loads(lines[1][-1])
        lines = lines[1:] if meta["rows"] else lines[2:]
        width = len(meta["specs"])
        if any(len(line) != width + 1 for line in lines) or len(lines) != meta["rows"]:
            message = f"{len(lines)} rows, {meta['rows']} expected"
            raise ValueError(message)
        return meta, [[_value(line[at], spec) for line in lines] for at, spec in enumerate(meta["specs"])]


class _JsonLines:
    """One JSON object a line, UTF-8."""

    reader = "json(..., lines=True)"

    def write(self, sheet: Sheet) -> bytes:
        """Return the content of the file."""
        rows = zip(*sheet.columns, strict=True) if sheet.columns else [()] * sheet.meta["rows"]
        records = [dict(zip(sheet.fields, row, strict=True)) for row in rows] or [{}]
        records[0][_OWN] = sheet.meta
        return "".join(dump_json(record) + "\n" for record in records).encode()

    def read(self, content: bytes) -> tuple[dict[str, Any] | None, list[Any]]:
        """Return the meta data, None where the file has none, and the columns."""
        records = [json.loads(line) for line in content.decode().split("\n")[:-1]]
        meta = records[0].pop(_OWN, None) if records and isinstance(records[0], dict) else None
        if not isinstance(meta, dict):
            return None, []
        records = records if meta["rows"] else records[1:]
        if len(records) != meta["rows"]:
            message = f"{len(records)} rows, {meta['rows']} expected"
            raise ValueError(message)
        return meta, [[record[field] for record in records] for field in meta["fields"]]


class _Parquet:
    """Apache Parquet; objects are JSON texts, the rest has the nearest type."""

    reader = "parquet"

    def write(self, sheet: Sheet) -> bytes:
        """Return the content of the file."""
        pa, parquet = _pyarrow()
        arrays = [_arrow(pa, values, spec) for values, spec in zip(sheet.columns, sheet.specs, strict=True)]
        table = pa.table(arrays, names=sheet.fields).replace_schema_metadata({_KEY: dump_json(sheet.meta).encode()})
        sink = pa.BufferOutputStream()
        parquet.write_table(table, sink)
        content: bytes = sink.getvalue().to_pybytes()
        return content

    def read(self, content: bytes) -> tuple[dict[str, Any] | None, list[Any]]:
        """Return the meta data, None where the file has none, and the columns."""
        pa, parquet = _pyarrow()
        try:
            table = parquet.read_table(pa.BufferReader(content))
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(str(error)) from None
        held = (table.schema.metadata or {}).get(_KEY)
        if held is None:
            return None, []
        meta = json.loads(held)
        return meta, [_unarrow(table.column(at), spec) for at, spec in enumerate(meta["specs"])]


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow  # noqa: ICN001, PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415 - likewise
    except ImportError:
        raise UsageError("a .parquet file needs pyarrow: pip install fastreq-jupyter[parquet], or save as .csv or .jsonl") from None
    return pyarrow, parquet


def _arrow(pa: Any, values: list[Any], spec: Spec) -> Any:
    kind = spec["kind"]
    if kind in _TREES:
        return pa.array([None if value is None else dump_json(value) for value in values], pa.string())
    if kind == "category":
        return _arrow(pa, values, spec["inner"]).dictionary_encode()
    if kind == "text":
        quoted = not _storable(values)
        spec["quoted"] = quoted
        return pa.array([None if value is None else json.dumps(value) for value in values] if quoted else values, pa.string())
    if kind == "float":
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if kind == "time":
        naive = ["NaT" if text is None else text.removesuffix("Z") for text in values]
        return pa.array(np.array(naive, dtype=f"M8[{spec['unit']}]")).cast(pa.timestamp(spec["unit"], spec.get("zone") and "UTC"))
    types = {"bool": pa.bool_(), "span": pa.int64(), "int": pa.uint64() if "u" in spec.get("dtype", "").lower() else pa.int64()}
    return pa.array(values, types[kind])


def _unarrow(column: Any, spec: Spec) -> Any:
    kind = spec["kind"]
    if kind in _TREES:
        return [None if text is None else json.loads(text) for text in column.to_pylist()]
    if kind == "category":
        return _unarrow(column, spec["inner"])
    if kind == "text" and spec["quoted"]:
        return [None if text is None else json.loads(text) for text in column.to_pylist()]
    if kind == "time":
        return column.to_numpy()
    return column.to_pylist()


def _storable(texts: list[Any]) -> bool:
    try:
        "".join(text for text in texts if text is not None).encode()
    except UnicodeEncodeError:
        return False
    return True


def _cell(value: Any, spec: Spec) -> str:
    kind = spec["kind"]
    if value is None:
        return ""
    if kind in _TREES:
        return dump_json(value)
    if kind == "category":
        return _cell(value, spec["inner"])
    if kind != "text":
        return repr(value) if isinstance(value, float) else str(value)
    odd = not value or value[0] == '"' or "\0" in value or not (value.isascii() or _storable([value]))
    return json.dumps(value) if odd else str(value)


def _value(cell: str, spec: Spec) -> Any:
    kind = spec["kind"]
    if not cell:
        return None
    if kind in _TREES:
        return json.loads(cell)
    if kind == "category":
        return _value(cell, spec["inner"])
    if kind == "text":
        return json.loads(cell) if cell[0] == '"' else cell
    if kind == "bool":
        return {"True": True, "False": False}[cell]
    return float(cell) if kind == "float" else int(cell) if kind in ("int", "span") else cell


FORMATS: dict[str, Format] = {".parquet": _Parquet(), ".csv": _Csv(), ".jsonl": _JsonLines()}
