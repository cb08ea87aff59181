"""Checks before anything is sent: every source is used, every value fits the place where it stands."""

from __future__ import annotations

import datetime as dt
from math import inf
from typing import TYPE_CHECKING

from fastreq_jupyter.cell.fill.bound import Bound, Check, Env, MisfitError, json_in, text_in
from fastreq_jupyter.cell.fill.headers import check_header_text
from fastreq_jupyter.cell.fill.lookup import comes_from
from fastreq_jupyter.errors import CellSyntaxError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from fastreq_jupyter.cell.compiling import Compiled
    from fastreq_jupyter.cell.each.rows import Rows
    from fastreq_jupyter.cell.each.tables import Table

__all__ = ["check_constants", "check_rows", "check_used"]

_STEP = 4096
# Types whose values have a text and a JSON form; infinity is looked for.
_EASY = frozenset({str, int, bool, float, type(None), dt.date, dt.datetime})
_EASY_NAMES = frozenset({"Timestamp", "Timedelta", "NaTType", "NAType"})


def check_used(compiled: Compiled, rows: Rows, *, first_line: int) -> None:
    """Refuse a cell that sends the same for every row.

    Raises:
        CellSyntaxError: A source of which nothing is used.
    """
    if not rows.tables:
        return
    used = {number for plan in compiled.plans for bound in plan.bound for number in bound.sources}
    line = compiled.plans[0].template.line if compiled.plans else first_line
    for number, source in enumerate(rows.sources):
        if number in used or (rows.in_step and used):
            continue
        size = rows.tables[number].size
        equal = "equal requests" if size is None else f"{size:,} equal requests"
        names = ", ".join(f"{{{{{name}}}}}" for name in rows.tables[number].names()[:3])
        message = f"{equal}: nothing of --each {source.spec.text} is used; it has {names}"
        raise CellSyntaxError(message, line)


def check_constants(compiled: Compiled) -> None:
    """Check the values that are the same for every row.

    Raises:
        CellSyntaxError: One is missing, or fits no place.
    """
    for plan in compiled.plans:
        for bound, check in plan.checks():
            if bound.origin not in ("notebook", "secret"):
                continue
            try:
                _check(bound, check, Env())
            except MisfitError as error:
                raise CellSyntaxError(error.detail, bound.placeholder.line, bound.placeholder.column) from None


def check_rows(compiled: Compiled, rows: Rows) -> Generator[None, None, None]:
    """Check the values of every row of a sized source, yielding now and then.

    Missing values are left: they become error rows.

    Raises:
        CellSyntaxError: A value fits no place.
    """
    if rows.size is None:
        return
    seen: set[tuple[object, Check]] = set()
    for plan in compiled.plans:
        for bound, check in plan.checks():
            mark = (bound.placeholder.expression, check)
            if bound.origin != "row" or mark in seen:
                continue
            seen.add(mark)
            yield from _check_source(bound, check, rows)


def _check_source(bound: Bound, check: Check, rows: Rows) -> Generator[None, None, None]:
    number = min(bound.sources)
    positions = [0] * len(rows.tables)
    for start, stop in _suspicious(bound, check, rows.tables[number]):
        yield
        for position in range(start, stop):
            positions[number] = position
            try:
                _check(bound, check, Env(tuple(positions)))
            except MisfitError as error:
                if error.kind != "type":
                    continue
                place = bound.placeholder
                message = f"row {position}: {error.detail}"
                raise CellSyntaxError(message, place.line, place.column) from None


def _suspicious(bound: Bound, check: Check, table: Table) -> Iterator[tuple[int, int]]:
    """Give the pieces of a source that have to be looked at value by value; an empty one where all is well."""
    size = table.size or 0
    chunks = table.chunks(bound.column) if bound.column is not None else None
    if chunks is None:
        yield from ((start, min(start + _STEP, size)) for start in range(0, size, _STEP))
        return
    for start, values in chunks:
        kinds = set(map(type, values))
        well = all(map(_is_easy, kinds)) and (float not in kinds or (inf not in values and -inf not in values))
        texts = [value for value in values if type(value) is str] if str in kinds else ()
        well = well and all(map(str.isascii, texts)) and (check != "header" or all(map(str.isprintable, texts)))
        yield (start, start) if well else (start, start + len(values))


def _is_easy(kind: type) -> bool:
    return kind in _EASY or (kind.__name__ in _EASY_NAMES and comes_from(kind, "pandas"))


def _check(bound: Bound, check: Check, env: Env) -> None:
    if check == "json":
        json_in(bound, env)
        return
    text = text_in(bound, env)
    if check == "header":
        check_header_text(text, bound)
