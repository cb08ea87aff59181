"""Reads the lines of a body: text with placeholders, a file, or multipart parts with files among them."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from fastreq_jupyter.cell.syntax import FORM_TYPE, FilePiece, HeaderTemplate, Span, TextPiece
from fastreq_jupyter.cell.template import read_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastreq_jupyter.cell.syntax import Part, Parts

__all__ = ["content_type_of", "is_json_lines", "read_body", "read_file_line"]


_FILE = re.compile(r"<(@[\w-]*)?[ \t]+(\S.*?)[ \t]*")
_PATHLIKE = re.compile(r"<@?[\w-]*[ \t]+(?:\.{0,2}/|[A-Za-z]:[\\/])\S+[ \t]*")
_BOUNDARY = re.compile(r"boundary=(?:\"([^\"]+)\"|([^\s;\"]+))", re.IGNORECASE)
_FORM_JOINT = re.compile(r"[ \t]*&[ \t]*")
_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
# All of ASCII that is printed: only what no form can hold is encoded.
_FORM_SAFE = "".join(map(chr, range(33, 127)))

Body = tuple[TextPiece | FilePiece, ...]


def content_type_of(headers: tuple[HeaderTemplate, ...]) -> str | None:
    """Return the literal text of the Content-Type, lower case but for a boundary; None where there is none."""
    for header in headers:
        if header.name.lower() == "content-type":
            return "".join(part for part in header.parts if isinstance(part, str)).strip()
    return None


def read_body(lines: Sequence[Span], headers: tuple[HeaderTemplate, ...], default: str | None = None) -> Body:
    """Read a body.

    Args:
        lines: Its lines, comments and the blank lines before and after it taken away.
        headers: The request's field lines: the Content-Type decides how lines are put together.
        default: Content-Type where they have none.

    Raises:
        CellSyntaxError: An unterminated placeholder, or a file among other text.
    """
    kind = content_type_of(headers) or default or ""
    if kind.lower().startswith("multipart/"):
        return _multipart(lines, kind)
    if (piece := read_file_line(lines[0])) is not None:
        rest = next((line for line in lines[1:] if line.text.strip()), None)
        if rest is not None:
            raise rest.error(0, "a file is the whole body: nothing may follow it")
        return (piece,)
    for line in lines[1:]:
        if line.text.startswith("<") and _PATHLIKE.fullmatch(line.text):
            raise line.error(0, "a file is the whole body, or a part of multipart/form-data")
    if kind.lower().startswith(FORM_TYPE):
        return _form(lines)
    text = _joined(lines)
    # What reads such a body takes a line for finished where its end is seen.
    return (TextPiece((*text, "\n") if is_json_lines(kind) else text),)


def is_json_lines(content_type: str) -> bool:
    """Tell whether a Content-Type stands for one JSON text a line."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind.endswith(("ndjson", "jsonl", "jsonlines", "json-lines", "json-seq"))


def _joined(lines: Sequence[Span]) -> Parts:
    """Return the parts of lines with their line ends; neighbours are read as one text."""
    parts: list[Part] = []
    start = 0
    for stop in range(1, len(lines) + 1):
        if stop < len(lines) and lines[stop].line == lines[stop - 1].line + 1:
            continue
        parts += ("\n",) if start else ()
        parts += read_text(Span("\n".join(line.text for line in lines[start:stop]), lines[start].line))
        start = stop
    return _merged(parts)


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


def _form(lines: Sequence[Span]) -> Body:
    """Put the lines of a form together: ``&`` ends a line or begins it, blanks around ``&`` and a name's ``=`` are layout."""
    parts: list[Part] = []
    in_name = joined = True
    for line in lines:
        text = line.text.strip()
        if not text:
            continue
        if not (joined or text.startswith("&")):
            raise line.error(0, "a form goes on over lines with &, at the end of the line above or in front of this one")
        if joined and parts:
            # One joint is enough where a line ended with it and the next begins with it.
            text = text.lstrip("& \t")
        for part in read_text(Span(text, line.line, line.text.index(text) + 1)):
            piece = part
            if isinstance(part, str):
                # A blank beside a placeholder is text; beside & it was layout.
                piece, in_name = _form_text(part, in_name=in_name)
            parts.append(piece)
        joined = line.text.rstrip().endswith("&")
    return (TextPiece(_merged(parts)),)


def _merged(parts: Sequence[Part]) -> Parts:
    """Return the parts with neighbouring text in one."""
    merged: list[Part] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif part != "":
            merged.append(part)
    return tuple(merged)


def _form_text(text: str, *, in_name: bool) -> tuple[str, bool]:
    """Return literal text of a form without layout, encoded where it must be, and whether its end lies in a field's name."""
    fields = _FORM_JOINT.split(text)
    for number, field in enumerate(fields):
        in_name = in_name or number > 0
        if in_name and "=" in field:
            name, _, value = field.partition("=")
            fields[number] = f"{name.rstrip()}={value.lstrip()}"
            in_name = False
    return quote(_BARE_PERCENT.sub("%25", "&".join(fields)), safe=_FORM_SAFE), in_name


def _multipart(lines: Sequence[Span], kind: str) -> Body:
    found = _BOUNDARY.search(kind)
    if found is None:
        raise lines[0].error(0, "multipart needs its boundary in the Content-Type header: boundary=...")
    pieces: list[TextPiece | FilePiece] = []
    for line in lines:
        piece = read_file_line(line) if line.text.startswith("<") else None
        pieces.append(TextPiece(read_text(line)) if piece is None else piece)
        pieces.append(TextPiece(("\r\n",)))
    if lines[-1].text.strip() != f"--{found[1] or found[2]}--":
        raise lines[-1].error(0, f"a multipart body ends with --{found[1] or found[2]}--")
    return tuple(pieces)
