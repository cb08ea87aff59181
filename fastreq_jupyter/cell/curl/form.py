"""Parts of curl's ``-F``: fields and files of multipart/form-data."""

from __future__ import annotations

import re
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING

from fastreq_jupyter.cell.syntax import FilePiece, Span, TextPiece
from fastreq_jupyter.cell.template import read_text

if TYPE_CHECKING:
    from fastreq_jupyter.errors import CellSyntaxError

__all__ = ["form_part", "no_stdin", "quoted"]


def form_part(span: Span, place: int, *, literal: bool) -> tuple[str, TextPiece | FilePiece]:
    """Read the value of one ``-F`` from `place` on.

    Args:
        span: ``name=value``, ``name=@file`` or ``name=<file``, with ``;type=`` and ``;filename=`` behind.
        place: Where the value begins.
        literal: ``--form-string``: nothing in it means anything.

    Returns:
        What follows the part's name in its header, and its content.

    Raises:
        CellSyntaxError: An unknown addition, or standard input.
    """
    value = Span(span.text[place:], *span.at(place))
    if literal or not value.text.startswith(("@", "<")):
        text, kind = (value.text, "") if literal else _with_type(value.text)
        return kind, TextPiece(read_text(Span(text, value.line, value.column)))
    path, _, more = value.text[1:].partition(";")
    options = dict(one.strip().partition("=")[::2] for one in more.split(";") if one.strip())
    unknown = options.keys() - {"type", "filename"}
    if unknown:
        raise value.error(0, f"-F ...;{min(unknown)} is not supported: type and filename are")
    piece = FilePiece(read_text(Span(path.strip('"'), *value.at(1))), value.line, value.column)
    if value.text.startswith("<"):
        return (f"\r\nContent-Type: {options['type']}" if "type" in options else ""), piece
    if path == "-":
        raise no_stdin(value)
    filename = options.get("filename", "").strip('"') or Path(path.strip('"')).name
    kind = options.get("type") or guess_type(filename)[0] or "application/octet-stream"
    return f'; filename="{quoted(filename)}"\r\nContent-Type: {kind}', piece


def _with_type(text: str) -> tuple[str, str]:
    found = re.search(r";type=([^;\"\s]+)\Z", text)
    return (text[: found.start()], f"\r\nContent-Type: {found[1]}") if found else (text, "")


def no_stdin(at: Span) -> CellSyntaxError:
    """Return the error for ``@-``."""
    return at.error(0, "there is no standard input here: name a file")


def quoted(text: str) -> str:
    """Return a name as it stands within quotes of a part's header."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
