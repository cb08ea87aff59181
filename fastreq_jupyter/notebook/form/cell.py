"""What a form says, as the line and the text of a ``%%fastreq`` cell; and where in the form each line of it came from.

A body means the same however long it is: its text as it stands, with placeholders. One line goes into the magic's line,
several go below each URL. The cell is read again, and a body that would be read as something else is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastreq_jupyter.cell import PLAIN_URL, Placeholder, RequestTemplate, Span, TextPiece, parse, read_body, read_file_line, read_text
from fastreq_jupyter.errors import CellSyntaxError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fastreq_jupyter.cell import Body, Parts

__all__ = ["BodyError", "CellText", "cell_text", "is_url", "quoted", "trimmed"]

WITH_BODY = ("POST", "PUT", "PATCH")
_PLAIN = re.compile(r"[\w./:@%+,=~-]+")
# What the magic's line would take for a variable of IPython, if one has that name.
_NAMED = re.compile(r"\{[A-Za-z_]\w*\}|\$\{?[A-Za-z_]")


class BodyError(UsageError):
    """Report a body that cannot go with these requests; the message is for its field."""


@dataclass(frozen=True, slots=True)
class CellText:
    """Hold the text of a cell.

    Attributes:
        lines: As in the cell.
        origins: For each line the field it came from and its line there, from 1.
        flags: Words for the magic's line: method and body, where they do not stand in the text.
    """

    lines: tuple[str, ...]
    origins: tuple[tuple[str, int], ...]
    flags: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Return the lines as one text."""
        return "\n".join(self.lines)

    def origin(self, line: int) -> tuple[str, int]:
        """Return field and line there of a line of the text, from 1; the nearest where there is none."""
        return self.origins[max(0, min(line, len(self.origins)) - 1)] if self.origins else ("requests", 1)


def cell_text(requests: str, method: str, body: str, headers: Sequence[str] = ()) -> CellText:
    """Return the cell's text, and the flags that go with it.

    Args:
        requests: The field's content.
        method: For lines that are a URL alone.
        body: Likewise.
        headers: Lines of the field, for a Content-Type among them.

    Raises:
        BodyError: The body has no place, or cannot be written as it stands.
    """
    lines = requests.split("\n")
    written = CellText(tuple(lines), tuple(("requests", number) for number in range(1, len(lines) + 1)))
    body_lines = trimmed(body)
    verb = () if method == "GET" else ("-X", quoted(method))
    if not body_lines:
        return CellText(written.lines, written.origins, verb)
    kind = next((line for line in headers if line.partition(":")[0].strip().lower() == "content-type"), None)
    _check_place(lines, method, typed=kind is not None)
    if len(body_lines) == len(body_lines[0].splitlines()) == 1 and not _is_file(body_lines[0]) and not _NAMED.search(body_lines[0]):
        _read_body_text(body_lines[0])
        return CellText(written.lines, written.origins, (*verb, "-d", quoted(body_lines[0])))
    text = _below(lines, method, body_lines, kind if method not in WITH_BODY else None)
    _check_same(text, "\n".join(body_lines))
    return text


def trimmed(body: str) -> list[str]:
    """Return the lines of a body without blank ones at its ends."""
    lines = body.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    while lines and not lines[0].strip():
        lines.pop(0)
    return lines


def is_url(line: str) -> bool:
    """Tell whether a line is a URL alone."""
    text = line.strip()
    if PLAIN_URL.fullmatch(text):
        return True
    try:
        entries = parse(text).entries
    except CellSyntaxError:
        return False
    return len(entries) == 1 and (isinstance(entries[0], str) or (isinstance(entries[0], RequestTemplate) and entries[0].plain))


def quoted(text: str) -> str:
    """Return a text as one word of a magic's line."""
    if _PLAIN.fullmatch(text):
        return text
    if "'" not in text:
        return f"'{text}'"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _check_place(lines: Iterable[str], method: str, *, typed: bool) -> None:
    if not all(is_url(line) for line in lines if not _is_aside(line)):
        message = "it goes with lines that are a URL alone: write it below its request, and leave this empty"
        raise BodyError(message)
    if method not in WITH_BODY and not typed:
        message = f"{method} sends no body: choose POST, PUT or PATCH, or name its Content-Type under Headers"
        raise BodyError(message)


def _is_aside(line: str) -> bool:
    """Tell whether a line is blank, a comment, a separator or a variable."""
    text = line.strip()
    return not text or text.startswith(("#", "//", "@"))


def _is_file(line: str) -> bool:
    try:
        return read_file_line(Span(line, 1)) is not None
    except CellSyntaxError:
        return True


def _below(lines: Sequence[str], verb: str, body: Sequence[str], kind: str | None) -> CellText:
    """Put the body below each URL."""
    written: list[tuple[str, str, int]] = []
    open_body = False
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        if open_body:
            written += [("", "requests", number), ("###", "requests", number)]
            open_body = False
        if _is_aside(line):
            written.append((text, "requests", number))
            continue
        written.append((f"{verb} {text}", "requests", number))
        written += [(kind.strip(), "headers", 1)] if kind else []
        written += [("", "requests", number), *((part, "data", place) for place, part in enumerate(body, 1))]
        open_body = True
    return CellText(tuple(text for text, _, _ in written), tuple((field, line) for _, field, line in written))


def _read_body_text(body: str) -> Parts:
    try:
        return read_text(Span(body, 1))
    except CellSyntaxError as error:
        raise _body_error(error.message, error.line) from None


def _check_same(text: CellText, body: str) -> None:
    """Read the cell and look whether each body is what was written."""
    _read_body_text(body)
    lines = [Span(line, number) for number, line in enumerate(body.split("\n"), 1)]
    try:
        entries = parse(text.text).entries
    except CellSyntaxError as error:
        field, line = text.origin(error.line)
        if field != "data":
            return
        raise _body_error("a cell would read this line as something else, so it cannot be sent from here", line) from None
    for entry in entries:
        pieces = entry.body if isinstance(entry, RequestTemplate) else None
        wanted = read_body(lines, entry.headers) if isinstance(entry, RequestTemplate) else ()
        if pieces is None or _plainly(pieces) != _plainly(wanted):
            place = next((line.line for line in lines if line.text.lstrip().startswith(("#", "//"))), 1)
            raise _body_error("a cell would not read this as it stands, so it cannot be sent from here", place)


def _plainly(pieces: Body) -> list[object]:
    """Return the parts of a body without their places, neighbouring texts as one."""
    plain: list[object] = []
    for part in (part for piece in pieces for part in (piece.parts if isinstance(piece, TextPiece) else ("< ", *piece.path))):
        if isinstance(part, str) and plain and isinstance(plain[-1], str):
            plain[-1] += part
        else:
            plain.append(("{{", part.text, part.raw) if isinstance(part, Placeholder) else part)
    return plain


def _body_error(message: str, line: int) -> BodyError:
    return BodyError(f"line {line}: {message}")
