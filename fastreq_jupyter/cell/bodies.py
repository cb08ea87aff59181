"""Reads the lines of a body: text with placeholders, a file, or multipart parts with files among them."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

from fastreq_jupyter.cell.syntax import FilePiece, HeaderTemplate, Span, TextPiece
from fastreq_jupyter.cell.template import read_text

if TYPE_CHECKING:
    from fastreq_jupyter.cell.syntax import Parts

__all__ = ["content_type_of", "read_body", "read_file_line"]

_FILE = re.compile(r"<(@[\w-]*)?[ \t]+(\S.*?)[ \t]*")
_PATHLIKE = re.compile(r"<@?[\w-]*[ \t]+(?:\.{0,2}/|[A-Za-z]:[\\/])\S+[ \t]*")
_BOUNDARY = re.compile(r"boundary=(?:\"([^\"]+)\"|([^\s;\"]+))", re.IGNORECASE)

Body = tuple[TextPiece | FilePiece, ...]


def content_type_of(headers: tuple[HeaderTemplate, ...]) -> str | None:
    """Return the literal text of the Content-Type, lower case but for a boundary; None where there is none."""
    for header in headers:
        if header.name.lower() == "content-type":
            return "".join(part for part in header.parts if isinstance(part, str)).strip()
    return None


def read_body(span: Span, headers: tuple[HeaderTemplate, ...]) -> Body:
    """Read a body, already without blank lines before and after it.

    Raises:
        CellSyntaxError: An unterminated placeholder, or a file among other text.
    """
    kind = content_type_of(headers) or ""
    if kind.lower().startswith("multipart/"):
        return _multipart(span, kind)
    first, _, rest = span.text.partition("\n")
    if (piece := read_file_line(Span(first, span.line, span.column))) is not None:
        if rest.strip():
            raise Span(rest, span.line + 1).error(0, "a file is the whole body: nothing may follow it")
        return (piece,)
    text = span.text
    if "\n<" in text:
        _refuse_file_among_text(span)
    if kind.lower().startswith("application/x-www-form-urlencoded"):
        return _form(span)
    return (TextPiece(read_text(span)),)


def read_file_line(span: Span) -> FilePiece | None:
    """Read ``< path``, ``<@ path`` (its text has placeholders) or ``<@latin1 path``; None where the line is none.

    Raises:
        CellSyntaxError: The encoding is unknown.
    """
    found = _FILE.fullmatch(span.text)
    if found is None:
        return None
    encoding = (found[1] or "")[1:] or "utf-8"
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise span.error(2, f"unknown encoding {encoding}") from None
    path = read_text(Span(found[2], *span.at(found.start(2))))
    return FilePiece(path, span.line, span.column, templated=found[1] is not None, encoding=encoding)


def _refuse_file_among_text(span: Span) -> None:
    for number, line in enumerate(span.text.split("\n")):
        if _PATHLIKE.fullmatch(line):
            raise Span(line, span.line + number).error(0, "a file is the whole body, or a part of multipart/form-data")


def _form(span: Span) -> Body:
    parts: Parts = ()
    for number, line in enumerate(span.text.split("\n")):
        joined = line.lstrip().startswith("&")
        text = line.strip() if joined else line
        parts += ("\n",) if number and not joined else ()
        parts += read_text(Span(text, span.line + number, line.index(text) + 1))
    return (TextPiece(parts),)


def _multipart(span: Span, kind: str) -> Body:
    found = _BOUNDARY.search(kind)
    if found is None:
        raise span.error(0, "multipart needs its boundary in the Content-Type header: boundary=...")
    pieces: list[TextPiece | FilePiece] = []
    lines = span.text.split("\n")
    for number, line in enumerate(lines):
        here = Span(line, span.line + number)
        piece = read_file_line(here) if line.startswith("<") else None
        if piece is None:
            pieces.append(TextPiece(read_text(here)))
        else:
            pieces.append(piece)
        pieces.append(TextPiece(("\r\n",)))
    if lines[-1].strip() != f"--{found[1] or found[2]}--":
        raise Span("", span.line + len(lines) - 1).error(0, f"a multipart body ends with --{found[1] or found[2]}--")
    return tuple(pieces)
