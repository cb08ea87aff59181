"""Parts of curl's ``-F``: fields and files of multipart/form-data, read as curl reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastreq_jupyter.cell.syntax import FilePiece, Span, TextPiece
from fastreq_jupyter.cell.template import read_text

if TYPE_CHECKING:
    from fastreq_jupyter.errors import CellSyntaxError

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"[^;]*', re.DOTALL)
_ESCAPED = re.compile(r'\\([\\"])')
_TYPE = re.compile(r"[^/ ]+/[^;, \n]+")
# curl's own table, so that the result does not depend on the machine's.
_TYPES = {
    ".gif": "image/gif", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".svg": "image/svg+xml", ".txt": "text/plain",
    ".htm": "text/html", ".html": "text/html", ".pdf": "application/pdf", ".xml": "application/xml",
}  # fmt: skip


@dataclass(slots=True)
class _Value:
    """The value of one ``-F``: its content, and what stands behind ``;``."""

    content: str = ""
    kind: str | None = None
    filename: str | None = None
    headers: tuple[str, ...] = ()


def form_part(span: Span, place: int, *, literal: bool) -> tuple[str, TextPiece | FilePiece]:
    """Read the value of one ``-F`` from `place` on.

    Args:
        span: ``name=value``, ``name=@file`` or ``name=<file``, with ``;type=``, ``;filename=`` and ``;headers=`` behind.
        place: Where the value begins.
        literal: ``--form-string``: nothing in it means anything.

    Returns:
        What follows the part's name in its header, and its content.

    Raises:
        CellSyntaxError: An addition that is not supported, or standard input.
    """
    at = Span(span.text[place:], *span.at(place))
    sign = at.text[:1] if not literal and at.text[:1] in ("@", "<") else ""
    value = _Value(at.text) if literal else _read_value(Span(at.text[len(sign) :], *at.at(len(sign))))
    content: TextPiece | FilePiece
    if not sign:
        content = TextPiece(read_text(Span(value.content, at.line, at.column)))
    elif value.content == "-":
        raise no_stdin(at)
    else:
        content = FilePiece(read_text(Span(value.content, *at.at(1))), at.line, at.column)
    filename = value.filename
    if sign == "@" and filename is None:
        filename = Path(value.content).name
    kind = value.kind
    if kind is None and filename is not None:
        ending = Path(filename).suffix.lower()
        kind = _TYPES.get(ending) or (_TYPES.get(Path(value.content).suffix.lower(), "application/octet-stream") if sign == "@" else None)
    lines = [f"\r\nContent-Type: {kind}"] if kind else []
    lines += [f"\r\n{line}" for line in value.headers]
    return (f'; filename="{quoted(filename)}"' if filename is not None else "") + "".join(lines), content


def _read_value(span: Span) -> _Value:
    text = span.text
    content, place = _word(text, 0)
    value = _Value(content)
    in_type, type_start = False, 0
    while place < len(text):
        place += 1 + _blanks(text, place + 1)
        rest = text[place:]
        if rest.startswith("type=") and value.kind is None:
            start = place + 5 + _blanks(text, place + 5)
            if not _TYPE.match(text, start):
                raise span.error("-F ...;type= takes a media type, text/plain", place)
            place, type_start, in_type = _end(text, start), start, True
            value.kind = text[start:place].rstrip()
        elif rest.startswith("filename="):
            value.filename, place = _word(text, place + 9)
            in_type = False
        elif rest.startswith("headers="):
            line, place = _word(text, place + 8)
            if ":" not in line or line.startswith(("@", "<")):
                raise span.error("-F ...;headers= takes one field line, 'Name: value'", place - len(line))
            value.headers += (line,)
            in_type = False
        elif rest.startswith("encoder="):
            raise span.error("-F ...;encoder= is not supported: type, filename and headers are", place)
        elif in_type:
            # A parameter of the media type; anything else unknown is dropped, as curl does.
            place = _end(text, place)
            value.kind = text[type_start:place].rstrip()
        else:
            raise span.error(f"-F ...;{rest[:30]} is not supported: type, filename and headers are; a value that holds ; is quoted", place)
    return value


def _word(text: str, place: int) -> tuple[str, int]:
    """Return the word that begins at `place`, quoted or up to ``;``, and where it ends."""
    start = place + _blanks(text, place)
    if match := _QUOTED.match(text, start):
        return _ESCAPED.sub(r"\1", match[1]), match.end()
    end = _end(text, start)
    return text[start:end].rstrip(), end


def _blanks(text: str, place: int) -> int:
    return len(text[place:]) - len(text[place:].lstrip())


def _end(text: str, place: int) -> int:
    end = text.find(";", place)
    return len(text) if end < 0 else end


def no_stdin(at: Span) -> CellSyntaxError:
    """Return the error for ``@-``."""
    return at.error("there is no standard input here: name a file")


def quoted(text: str) -> str:
    """Return a name as it stands within quotes of a part's header."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
