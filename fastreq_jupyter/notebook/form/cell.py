"""Converts a form to the line and text of a ``%%fastreq`` cell, with the field that each line came from.

A body means the same however long it is: its text as it stands, with placeholders. One line goes into the magic's line,
several go below each URL. The cell is read again, and a body that would be read as something else is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.cell import (
    PLAIN_URL,
    Placeholder,
    RequestTemplate,
    Span,
    TextPiece,
    parse,
    parse_line,
    read_body,
    read_file_line,
    read_text,
)
from fastreq_jupyter.errors import CellSyntaxError, FastreqError, JournalError, OptionError, UsageError
from fastreq_jupyter.notebook.form.checks import label_of, without_excerpt
from fastreq_jupyter.notebook.order import Order, draft
from fastreq_jupyter.options import TABLE
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fastreq_jupyter.cell import Body, Parts
    from fastreq_jupyter.notebook.form.fields import Field

_NAMED_FIELDS = 6
_ABOVE = 3
"""Lines above the text of the cell when it is built: 1 is the magic's, 2 stands for the values of its flags."""
_NO_FLAGS = frozenset({"requests", "name", "method", "data"})
_BRACES = re.compile(r"\{\{[^{}]*\}\}")
WITH_BODY = ("POST", "PUT", "PATCH")
_PLAIN = re.compile(r"[\w./:@%+,=~-]+")
# Text that IPython would replace in the magic's line, if it has a variable of that name.
_NAMED = re.compile(r"\{[A-Za-z_]\w*\}|\$\{?[A-Za-z_]")


class BodyError(UsageError):
    """A body that cannot go with these requests; the message is for its field.

    Attributes:
        line: The body's line that it is about, from 1; None where it is about none.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line}: {message}")
        self.line = line


@dataclass(frozen=True, slots=True)
class CellText:
    """The text of a cell, part by part.

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
    cell = CellText(tuple(lines), tuple(("requests", number) for number in range(1, len(lines) + 1)))
    body_lines = trimmed(body)
    verb = () if method == "GET" else ("-X", quoted(method))
    if not body_lines:
        return CellText(cell.lines, cell.origins, verb)
    kind = next((line for line in headers if line.partition(":")[0].strip().lower() == "content-type"), None)
    _check_place(lines, method, typed=kind is not None)
    if len(body_lines) == len(body_lines[0].splitlines()) == 1 and not _is_file(body_lines[0]) and not _NAMED.search(body_lines[0]):
        _read_body_text(body_lines[0])
        return CellText(cell.lines, cell.origins, (*verb, "-d", quoted(body_lines[0])))
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
    rows: list[tuple[str, str, int]] = []
    open_body = False
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        if open_body:
            rows += [("", "requests", number), ("###", "requests", number)]
            open_body = False
        if _is_aside(line):
            rows.append((text, "requests", number))
            continue
        rows.append((f"{verb} {text}", "requests", number))
        rows += [(kind.strip(), "headers", 1)] if kind else []
        rows += [("", "requests", number), *((part, "data", place) for place, part in enumerate(body, 1))]
        open_body = True
    return CellText(tuple(text for text, _, _ in rows), tuple((field, line) for _, field, line in rows))


def _read_body_text(body: str) -> Parts:
    try:
        return read_text(Span(body, 1))
    except CellSyntaxError as error:
        raise BodyError(error.message, error.line) from None


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
        raise BodyError("a cell would read this line as something else, so it cannot be sent from here", line) from None
    for entry in entries:
        pieces = entry.body if isinstance(entry, RequestTemplate) else None
        expected = read_body(lines, entry.headers) if isinstance(entry, RequestTemplate) else ()
        if pieces is None or _plainly(pieces) != _plainly(expected):
            place = next((line.line for line in lines if line.text.lstrip().startswith(("#", "//"))), 1)
            raise BodyError("a cell would not read this as it stands, so it cannot be sent from here", place)


def _plainly(pieces: Body) -> list[object]:
    """Return the parts of a body without their places, neighbouring texts as one."""
    plain: list[object] = []
    for part in (part for piece in pieces for part in (piece.parts if isinstance(piece, TextPiece) else ("< ", *piece.path))):
        if isinstance(part, str) and plain and isinstance(plain[-1], str):
            plain[-1] += part
        else:
            plain.append(("{{", part.text, part.raw) if isinstance(part, Placeholder) else part)
    return plain


def field_words(field: Field) -> list[str]:
    """Return the words for the magic's line, none where the field holds its default."""
    if not field.is_set:
        return []
    if field.name in ("headers", "each"):
        flag = "-H" if field.name == "headers" else "--each"
        return [word for line in field.text.split("\n") if line.strip() for word in (flag, quoted(line.strip()))]
    if field.name == "ca":
        return ["--ca", quoted(field.text.strip())]
    row, text = TABLE[field.name], str(field.control.value).strip()
    switch = next((flag for flag, meaning in row.switches.items() if str(meaning) == text), None)
    if switch is not None:
        return [switch]
    flag = next(iter(row.flags), row.long_flag)
    # Alone the flag would be a switch and its value another word; likewise where the option is a boolean.
    if row.switches:
        return [f"{row.long_flag}={quoted(text)}"]
    return [flag, quoted(text)]


def make_order(fields: Mapping[str, Field], namespace: Mapping[str, Any]) -> Order:
    """Return what the form asks for; nothing is sent. What is wrong is shown beside its field.

    Raises:
        UsageError: One line.
    """
    for field in fields.values():
        field.check()
    if not fields["requests"].is_set:
        fields["requests"].fail(f"{label_of('requests')}: write a URL, or the text of a cell")
    text_of_cell = _checked_text(fields)
    wrong = wrong_of(fields)
    if wrong or text_of_cell is None:
        raise UsageError((wrong[0].problem or "") if len(wrong) == 1 else attention(wrong))
    try:
        line = parse_line(_line(fields, text_of_cell), cell=True)
        text = "\n" * (_ABOVE - 2) + text_of_cell.text
        return draft(line, text, namespace=namespace, outer={}, first_line=_ABOVE - 1).order()
    except FastreqError as error:
        raise blamed(error, fields) from None


def cell_of(fields: Mapping[str, Field]) -> str:
    """Return the ``%%fastreq`` cell that says the same as the fields.

    Raises:
        BodyError: The body cannot go with these requests.
    """
    cell = _text(fields)
    return f"{f'%%fastreq {_line(fields, cell)}'.rstrip()}\n{cell.text.strip(chr(10))}"


def blamed(error: FastreqError, fields: Mapping[str, Field]) -> UsageError:
    """Show an error of the order or of its launch beside the field it is about, and return it in the form's words."""
    texts = {name: field.text for name, field in fields.items() if isinstance(field.control.value, str) and field.is_set}
    name, message = _blame(error, _text(fields), texts)
    if name is not None and name in fields:
        fields[name].fail(message)
    return UsageError(one_line(message))


def _blame(error: FastreqError, cell: CellText, texts: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the field that the error is about, None where it is about none, and the message.

    Args:
        error: What building or launching raised.
        cell: What was built; its first line was given as line `_ABOVE`.
        texts: Field -> content, for those with text.
    """
    option = error.option if isinstance(error, (OptionError, CellSyntaxError)) else None
    if option is not None and option in TABLE:
        name = "data" if option == "json" else option
        return name, f"{label_of(name)}: {error.reason if isinstance(error, OptionError) else error.message}"  # type: ignore[attr-defined] # one of the two
    if isinstance(error, JournalError):
        return "journal", f"{label_of('journal')}: {error}"
    if not isinstance(error, CellSyntaxError):
        return None, str(error)
    name, line = _place(error, cell, texts)
    where = f"{label_of(name)}, line {line}" if line else label_of(name)
    return name, f"{where}: {without_excerpt(error.message)}"


def wrong_of(fields: Mapping[str, Field]) -> list[Field]:
    """Return the fields that are known to be wrong."""
    return [field for field in fields.values() if field.problem is not None]


def attention(wrong: Sequence[Field]) -> str:
    """Return how many fields are wrong, and which."""
    names = ", ".join(field.label for field in wrong[:_NAMED_FIELDS]) + (", ..." if len(wrong) > _NAMED_FIELDS else "")
    return f"1 field needs attention: {names}" if len(wrong) == 1 else f"{len(wrong)} fields need attention: {names}"


def _checked_text(fields: Mapping[str, Field]) -> CellText | None:
    try:
        return _text(fields)
    except BodyError as error:
        if (body := fields["data"]).problem is None:
            body.fail(f"{body.label}{': ' if error.line is None else ', '}{error}")
        return None


def _text(fields: Mapping[str, Field]) -> CellText:
    return cell_text(fields["requests"].text, fields["method"].text, fields["data"].text, fields["headers"].text.split("\n"))


def _line(fields: Mapping[str, Field], cell: CellText) -> str:
    words = [fields["name"].text.strip(), *cell.flags]
    for name, field in fields.items():
        if name not in _NO_FLAGS:
            words += field_words(field)
    return " ".join(word for word in words if word)


def _place(error: CellSyntaxError, cell: CellText, texts: Mapping[str, str]) -> tuple[str, int | None]:
    """Return the field, and its line."""
    if error.line >= _ABOVE:
        return cell.origin(error.line - _ABOVE + 1)
    if error.line == _ABOVE - 1:
        # Headers and body are on the magic's line: choose the one with a placeholder at that column.
        for number, line in enumerate(texts.get("headers", "").split("\n"), 1):
            value = line.partition(":")[2].strip()
            if _BRACES.match(value, error.column - 1):
                return "headers", number
        if _BRACES.search(texts.get("data", "")):
            return "data", 1
        return "requests", None
    return ("each" if texts.get("each", "").strip() else "requests"), None
