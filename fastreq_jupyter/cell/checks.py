"""What is checked of a cell before anything is sent, and what is told of names that were probably meant as ``{{name}}``."""

from __future__ import annotations

import datetime as dt
import re
from math import inf
from typing import TYPE_CHECKING

from fastreq_jupyter.cell.fill import Bound, Check, Env, MisfitError, header_text, json_in, text_in
from fastreq_jupyter.cell.syntax import Entry, Parts, RequestTemplate, TextPiece
from fastreq_jupyter.cell.tables import CHUNK
from fastreq_jupyter.errors import CellSyntaxError
from fastreq_jupyter.values import comes_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fastreq_jupyter.cell.compiling import Compiled
    from fastreq_jupyter.cell.rows import Rows
    from fastreq_jupyter.cell.tables import Table

# Types whose values always have a text and a JSON form, infinite floats excepted.
_EASY = frozenset({str, int, bool, float, type(None), dt.date, dt.datetime})
_EASY_NAMES = frozenset({"Timestamp", "Timedelta", "NaTType", "NAType"})
_BRACES = re.compile(r"(?<![{\\$\w])\{([A-Za-z]\w*)\}")
_DOLLAR = re.compile(r"(?<![\\$\w{])\$(?:\{([A-Za-z]\w*)\}|([A-Za-z]\w*)\b)")
# A parameter whose name begins with $, as in OData.
_PARAMETER = re.compile(r"(?<=[?&])\$\w+(?==)")
# Variables of a GraphQL document.
_DOCUMENT = re.compile(r"\b(?:query|mutation|subscription)\b")
_MOST = 5


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
        raise CellSyntaxError(f"{equal}: nothing of --each {source.spec.text} is used; it has {names}", line)


def check_constants(compiled: Compiled) -> None:
    """Check the values that are the same for every row.

    Raises:
        CellSyntaxError: One is missing, or fits no place.
    """
    for plan in compiled.plans:
        for bound, check in plan.checks:
            if bound.origin not in ("notebook", "secret"):
                continue
            try:
                _check(bound, check, Env())
            except MisfitError as error:
                raise error.of_cell(plan.template) from None


def check_rows(compiled: Compiled, rows: Rows) -> None:
    """Check the values of every row of a sized source.

    Missing values are left: they become error rows.

    Raises:
        CellSyntaxError: A value fits no place.
    """
    if rows.size is None:
        return
    seen: set[tuple[object, Check]] = set()
    for plan in compiled.plans:
        for bound, check in plan.checks:
            mark = (bound.placeholder.text, check)
            if bound.origin != "row" or mark in seen:
                continue
            seen.add(mark)
            _check_source(bound, check, rows)


def _check_source(bound: Bound, check: Check, rows: Rows) -> None:
    number = min(bound.sources)
    positions = [0] * len(rows.tables)
    for start, stop in _suspicious(bound, check, rows.tables[number]):
        for position in range(start, stop):
            positions[number] = position
            try:
                _check(bound, check, Env(tuple(positions)))
            except MisfitError as error:
                if error.kind != "type":
                    continue
                place = bound.placeholder
                raise place.error(f"row {position}: {error.detail}") from None


def _suspicious(bound: Bound, check: Check, table: Table) -> Iterator[tuple[int, int]]:
    """Give the pieces of a source that have to be looked at value by value."""
    size = table.size or 0
    chunks = table.chunks(bound.column) if bound.column is not None else None
    if chunks is None:
        yield from ((start, min(start + CHUNK, size)) for start in range(0, size, CHUNK))
        return
    for start, values in chunks:
        kinds = set(map(type, values))
        well = all(map(_is_easy, kinds)) and (float not in kinds or (inf not in values and -inf not in values))
        texts = [value for value in values if type(value) is str] if str in kinds else ()
        well = well and all(map(str.isascii, texts)) and (check not in ("header", "basic") or all(map(str.isprintable, texts)))
        if not well:
            yield start, start + len(values)


def _is_easy(kind: type) -> bool:
    return kind in _EASY or (kind.__name__ in _EASY_NAMES and comes_from(kind, "pandas"))


def _check(bound: Bound, check: Check, env: Env) -> None:
    if check == "json":
        json_in(bound, env)
    elif check == "text":
        text_in(bound, env)
    else:
        header_text(bound, env, encoded=check == "basic")


def name_hints(entries: Iterable[Entry], has: Callable[[str], bool]) -> tuple[str, ...]:
    """Return a line for each name that was probably meant as ``{{name}}``.

    Args:
        entries: Requests of the cell.
        has: Tells whether the row, the cell or the notebook has a value of that name.
    """
    lines: dict[str, str] = {}
    for line, text, name in _candidates(entries):
        if name not in lines and has(name):
            place = "" if line is None else f"line {line}: "
            lines[name] = f"{place}{text} is sent as it stands: write {{{{{name}}}}} for the value of {name}"
            if len(lines) == _MOST:
                break
    return tuple(lines.values())


def _candidates(entries: Iterable[Entry]) -> Iterator[tuple[int | None, str, str]]:
    for entry in entries:
        if not isinstance(entry, RequestTemplate):
            url = entry if isinstance(entry, str) else entry[1]
            if "$" in url:
                yield from ((None, match[0], match[1] or match[2]) for match in _DOLLAR.finditer(_PARAMETER.sub("", url)))
            continue
        # Braces in a URL are refused where they are not escaped on purpose.
        yield from _dollars(entry.line, _PARAMETER.sub("", _literal(entry.url)))
        for header in entry.headers:
            yield from _both(header.line, _literal(header.parts))
        for piece in entry.body or ():
            if isinstance(piece, TextPiece):
                yield from _both(entry.line, _literal(piece.parts))


def _both(line: int, text: str) -> Iterator[tuple[int | None, str, str]]:
    if "{" in text:
        yield from ((line, match[0], match[1]) for match in _BRACES.finditer(text))
    if _DOCUMENT.search(text) is None:
        yield from _dollars(line, text)


def _dollars(line: int, text: str) -> Iterator[tuple[int | None, str, str]]:
    if "$" in text:
        yield from ((line, match[0], match[1] or match[2]) for match in _DOLLAR.finditer(text))


def _literal(parts: Parts) -> str:
    return "\0".join(part for part in parts if isinstance(part, str))
