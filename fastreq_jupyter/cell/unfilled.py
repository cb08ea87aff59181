"""Warns about ``{name}`` and ``$name`` in a cell that are not filled in although a value of that name exists."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastreq_jupyter.cell.syntax import Entry, Parts, RequestTemplate, TextPiece

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_BRACES = re.compile(r"(?<![{\\$\w])\{([A-Za-z]\w*)\}")
_DOLLAR = re.compile(r"(?<![\\$\w{])\$(?:\{([A-Za-z]\w*)\}|([A-Za-z]\w*)\b)")
# A parameter whose name begins with $, as in OData.
_PARAMETER = re.compile(r"(?<=[?&])\$\w+(?==)")
# Variables of a GraphQL document.
_DOCUMENT = re.compile(r"\b(?:query|mutation|subscription)\b")
_MOST = 5


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
