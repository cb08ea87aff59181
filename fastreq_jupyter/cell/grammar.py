"""Reads the common core of ``.http`` files, line by line, in one pass.

    TOP    comments, directives, variables, ``###``, and the line that begins a request
    HEAD   the rest of its URL, field lines; a blank line ends it
    BODY   all lines up to ``###`` or the end; only after POST, PUT, PATCH or with a Content-Type

What other tools add (scripts, response handlers, prompts) is refused with its place, never skipped.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import quote

from fastreq_jupyter.cell.curl import is_curl, read_curl
from fastreq_jupyter.cell.graphql import asks_for_graphql, read_graphql
from fastreq_jupyter.cell.request_line import PlainLines, RequestLine, begins_request, is_continuation, read_header, read_request_line
from fastreq_jupyter.cell.syntax import (
    FORM_TYPE,
    VARIABLE_NAME,
    FilePiece,
    HeaderTemplate,
    ParsedCell,
    RequestTemplate,
    Span,
    TextPiece,
    Variable,
    field_named,
)
from fastreq_jupyter.cell.template import read_text
from fastreq_jupyter.errors import CellSyntaxError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fastreq_jupyter.cell.syntax import Part, Parts

_FILE = re.compile(r"<(@[\w-]*)?[ \t]+(\S.*?)[ \t]*")
_PATHLIKE = re.compile(r"<@?[\w-]*[ \t]+(?:\.{0,2}/|[A-Za-z]:[\\/])\S+[ \t]*")
_BOUNDARY = re.compile(r"boundary=(?:\"([^\"]+)\"|([^\s;\"]+))", re.IGNORECASE)
_FORM_JOINT = re.compile(r"[ \t]*&[ \t]*")
_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Printable ASCII: only characters that no form can hold are encoded.
_FORM_SAFE = "".join(map(chr, range(33, 127)))

Body = tuple[TextPiece | FilePiece, ...]

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_DIRECTIVE = re.compile(r"(?:#|//)\s*@([\w-]+)(?:(?:[ \t]+|[ \t]*=[ \t]*)(.*?))?[ \t]*")
_COMMENTED_OUT = re.compile(r"(?:#|//)\s*@[\w.-]+[ \t]*=")
_VARIABLE = re.compile(rf"@({VARIABLE_NAME})[ \t]*=[ \t]*(.*?)[ \t]*")
_NAME = re.compile(r"[A-Za-z][\w-]*")
_FOREIGN = (
    (re.compile(r"<\s*\{%"), "a script before the request"),
    (re.compile(r">\s*\{%|>\s+\S+\.m?js\s*$"), "a response handler"),
    (re.compile(r">>!?\s"), "saving a response by >>"),
    (re.compile(r"<>\s"), "a response reference"),
    (re.compile(r"\?\?\s"), "an assertion"),
    (re.compile(r"\{\{(?:@\w+|%.*)?\s*$"), "a script block"),
    (re.compile(r"(?:import|run)\s+[^\s:]+\s*$"), "importing another file"),
)
_INSTEAD = {"a response handler": "where it keeps a value, write # @name login above the request and {{login.data.token}} where it goes"}
_SWALLOWED = re.compile(
    r"(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|TRACE|GRAPHQL)[ \t]+(?:https?://|\{\{)|curl(?:\.exe)?(?=[ \t])[^\n]*['\"\^ \t](?:https?://|\{\{)",
    re.IGNORECASE,
)
_SWALLOWED_NAME = re.compile(r"(?:#|//)\s*@(?:name|keep|cache)\b")
_MARKS = frozenset({"keep", "cache"})
_PUT_SEPARATOR = "put ### before it"
# Directives that change nothing about what is sent; a prompted value is the notebook's variable of that name.
_COSMETIC = frozenset({"title", "description", "no-log", "no-cookie-jar", "prompt"})
# Directives that editors read after "# @": any other line with "=" is a variable that was commented out.
_DIRECTIVES = frozenset({
    "cache", "delay", "disabled", "extension", "forceRef", "grpc-reflection", "import", "jwt", "keep", "lang", "loop", "name",
    "no-auto-encoding",
    "note", "no-client-cert", "no-redirect", "no-reject-unauthorized", "no-response-view", "openWith", "proto", "ratelimit", "ref",
    "response",
    "responseRef", "save", "sleep", "timeout", "use-os-credentials", "connection-timeout",
})  # fmt: skip


def content_type_of(headers: tuple[HeaderTemplate, ...]) -> str | None:
    """Return the literal text of the Content-Type, lower case but for a boundary; None where there is none."""
    field = field_named(headers, "content-type")
    return None if field is None else field.literal.strip()


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
            raise rest.error("a file is the whole body: nothing may follow it")
        return (piece,)
    for line in lines[1:]:
        if line.text.startswith("<") and _PATHLIKE.fullmatch(line.text):
            raise line.error("a file is the whole body, or a part of multipart/form-data")
    if kind.lower().startswith(FORM_TYPE):
        return _form(lines)
    text = _joined(lines)
    # Readers of such a body treat a line as complete at its end.
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
    match = _FILE.fullmatch(span.text)
    if match is None:
        return None
    encoding = (match[1] or "")[1:] or "utf-8"
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise span.error(f"unknown encoding {encoding}", 2) from None
    path = read_text(Span(match[2], *span.at(match.start(2))))
    return FilePiece(path, span.line, span.column, templated=match[1] is not None, encoding=encoding)


def _form(lines: Sequence[Span]) -> Body:
    """Put the lines of a form together: ``&`` ends a line or begins it, blanks around ``&`` and a name's ``=`` are layout."""
    parts: list[Part] = []
    in_name = joined = True
    for line in lines:
        text = line.text.strip()
        if not text:
            continue
        if not (joined or text.startswith("&")):
            raise line.error("a form goes on over lines with &, at the end of the line above or in front of this one")
        if joined and parts:
            # One "&" is enough where a line ends with it and the next begins with it.
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
    match = _BOUNDARY.search(kind)
    if match is None:
        raise lines[0].error("multipart needs its boundary in the Content-Type header: boundary=...")
    pieces: list[TextPiece | FilePiece] = []
    for line in lines:
        piece = read_file_line(line) if line.text.startswith("<") else None
        pieces.append(TextPiece(read_text(line)) if piece is None else piece)
        pieces.append(TextPiece(("\r\n",)))
    if lines[-1].text.strip() != f"--{match[1] or match[2]}--":
        raise lines[-1].error(f"a multipart body ends with --{match[1] or match[2]}--")
    return tuple(pieces)


def parse(
    text: str,
    *,
    first_line: int = 1,
    lookup: Callable[[str], str | None] | None = None,
    content_type: str | None = None,
    outer: Mapping[str, Variable] = MappingProxyType({}),
) -> ParsedCell:
    """Read a cell.

    Args:
        text: The cell's text without its magic line.
        first_line: Number of the text's first line in the cell.
        lookup: Gives a variable of the notebook that is a text; None where names may be columns.
        content_type: Of bodies whose request names none.
        outer: Variables of an environment, before which the cell's own go.

    Raises:
        CellSyntaxError: The only exception that a text can cause.
    """
    text = text.removeprefix("\ufeff")
    _refuse_surrogates(text, first_line)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    reader = _Reader(text.split("\n"), first_line, PlainLines(text, lookup), content_type)
    reader.read()
    reader.cell.variables = {**outer, **reader.cell.variables}
    return reader.cell


class _Reader:
    """The lines of a cell, the place in them, and the request that is being read."""

    def __init__(self, lines: list[str], first_line: int, plain: PlainLines, content_type: str | None) -> None:
        self._plain = plain
        self._content_type = content_type
        self.lines = lines
        self.first_line = first_line
        self.number = 0
        self.cell = ParsedCell()
        self._labels: dict[str, int] = {}
        self._line: RequestLine | None = None
        self._headers: list[HeaderTemplate] = []
        self._label: tuple[str, int] | None = None
        # Each mark (``# @keep``) with its line.
        self._marks: dict[str, int] = {}

    def span(self) -> Span:
        """Return the current line without the white space around it, and its place."""
        text = self.lines[self.number]
        return Span(text.strip(), self.first_line + self.number, len(text) - len(text.lstrip()) + 1)

    def read(self) -> None:
        """Read all lines."""
        while self.number < len(self.lines):
            if self._line is None and self._label is None and not self._marks and self._read_plain():
                continue
            span = self.span()
            if self._line is None:
                self._read_top(span)
            else:
                self._read_head(span)
        self.end_request()

    def _read_plain(self) -> bool:
        """Take a line that is a URL, or method and URL, with nothing to look at before the next request."""
        following = self.lines[self.number + 1] if self.number + 1 < len(self.lines) else None
        entry = self._plain.read(self.lines[self.number], following, self.cell.variables)
        if entry is None:
            return False
        self.cell.entries.append(entry)
        self.number += 1
        return True

    def _read_top(self, span: Span) -> None:
        text = span.text
        if not text:
            self.number += 1
        elif text.startswith("###"):
            self._refuse_idle_name("###")
            self.number += 1
        elif text.startswith(("#", "//")):
            self._read_comment(span)
        elif text.startswith("@"):
            self._read_variable(span)
        elif is_curl(text):
            self._read_curl(span)
        else:
            self._refuse_foreign(span)
            self._line = read_request_line(span)
            self.number += 1

    def _read_head(self, span: Span) -> None:
        text = span.text
        line = self._line
        assert line is not None  # noqa: S101 - HEAD is entered by a request line only
        if not text:
            self.number += 1
            if line.method in _WITH_BODY or field_named(self._headers, "content-type") is not None:
                self._read_body()
            else:
                self.end_request()
        elif text.startswith(("###", "@")) or (
            text.startswith(("#", "//")) and _DIRECTIVE.fullmatch(text) and not _COMMENTED_OUT.match(text)
        ):
            self.end_request()
        elif text.startswith(("#", "//")):
            self.number += 1
        elif not self._headers and is_continuation(self.lines[self.number], after=(line.more or [line.url])[-1].text):
            line.more.append(span)
            self.number += 1
        elif begins_request(text) or is_curl(text):
            self.end_request()
        else:
            self._refuse_foreign(span)
            if asks_for_graphql(span, line):
                line.graphql = True
                self.number += 1
                return
            self._headers = read_header(span, self._headers, folded=self.lines[self.number][0] in " \t")
            self.number += 1

    def _read_body(self) -> None:
        lines: list[Span] = []
        # A document may have # within its strings; comments are recognized when it is read.
        graphql = self._line is not None and self._line.graphql
        while self.number < len(self.lines):
            text = self.lines[self.number]
            inner = text.lstrip()
            if inner.startswith("###"):
                break
            span = Span(text, self.first_line + self.number)
            self._check_body_line(span, inner, lines)
            if (graphql or not inner.startswith(("#", "//"))) and (inner or lines):
                lines.append(span)
            self.number += 1
        while lines and not lines[-1].text.strip():
            lines.pop()
        self.end_request(lines)

    def _check_body_line(self, span: Span, inner: str, before: list[Span]) -> None:
        sign = inner[:1]
        if not sign or sign not in "<>?{GHPDOTCghpdotc#/@":
            return
        text = span.text
        if sign == "@" and (match := _VARIABLE.fullmatch(inner.rstrip())):
            raise span.error(f"@{match[1]} within a body: {_PUT_SEPARATOR}", len(text) - len(inner))
        if _SWALLOWED_NAME.match(inner):
            raise span.error(f"{text[:40]} within a body: {_PUT_SEPARATOR}")
        if sign in "#/" or len(inner) != len(text):
            return
        if text.startswith(("http://", "https://")) and before and before[0].text.lstrip().startswith(("{", "[")):
            raise span.error(f"a URL within a JSON body: {_PUT_SEPARATOR}")
        if _SWALLOWED.match(text):
            raise span.error(f"a request line within a body: {_PUT_SEPARATOR}")
        self._refuse_foreign(span)

    def end_request(self, body: Sequence[Span] = ()) -> None:
        """Put the request that is being read into the cell."""
        line = self._line
        if line is None:
            self._refuse_idle_name("the end")
            return
        headers = tuple(self._headers)
        operation = None
        pieces: Body | None
        if line.graphql:
            headers, pieces, operation = read_graphql(line, body, headers)
        else:
            pieces = read_body(body, headers, self._content_type) if body else None
        self._add([line.template(headers, pieces, operation)])
        self._line, self._headers = None, []

    def _add(self, templates: Sequence[RequestTemplate]) -> None:
        """Put requests into the cell, with the name and the marks that stood above them."""
        if self._label or self._marks:
            label = self._label[0] if self._label else None
            keep, cache = "keep" in self._marks, "cache" in self._marks
            templates = [replace(template, label=label, keep=keep, cache=cache) for template in templates]
        self.cell.entries += templates
        self._label, self._marks = None, {}

    def _read_comment(self, span: Span) -> None:
        self.number += 1
        match = _DIRECTIVE.fullmatch(span.text)
        if match is None or match[1] in _COSMETIC or (match[1] not in _DIRECTIVES and _COMMENTED_OUT.match(span.text)):
            return
        if match[1] in _MARKS:
            self._marks[match[1]] = span.line
        elif match[1] == "name":
            self._read_name(span, match[2] or "")
        else:
            hint = "@name, @keep and @cache are known; write a plain comment without @"
            raise span.error(f"@{match[1]} is not supported: {hint}", span.text.index("@"))

    def _read_name(self, span: Span, name: str) -> None:
        place = len(span.text) - len(name)
        if not _NAME.fullmatch(name):
            raise span.error(f"{name[:40]!r} is no name: letters, digits, - and _, beginning with a letter", place)
        if name in self._labels:
            raise span.error(f"a request is named {name} already, line {self._labels[name]}", place)
        if self._label is not None:
            raise span.error(f"two names for one request: {self._label[0]} and {name}")
        self._labels[name] = span.line
        self._label = (name, span.line)

    def _refuse_idle_name(self, following: str) -> None:
        mark, line = self._label or next(iter(self._marks.items()), (None, None))
        if line is not None:
            what_for = f"# @name {mark}" if self._label else f"# @{mark}"
            raise CellSyntaxError(f"{what_for} stands before {following}: put it above its request line", line)

    def _read_variable(self, span: Span) -> None:
        self.number += 1
        match = _VARIABLE.fullmatch(span.text)
        if match is None:
            raise span.error("a cell variable is written @name = value")
        name = match[1]
        if (earlier := self.cell.variables.get(name)) is not None:
            raise span.error(f"@{name} is defined already, line {earlier.line}", 1)
        value = Span(match[2], *span.at(match.start(2)))
        self.cell.variables[name] = Variable(name, read_text(value), span.line, span.column)

    def _read_curl(self, span: Span) -> None:
        templates, lines_taken, notes = read_curl(self.lines, self.number, self.first_line)
        self.cell.notes += notes
        if self._label and len(templates) > 1:
            raise span.error(f"{self._label[0]} names one request, this command makes {len(templates)}")
        self._add(templates)
        self.number += lines_taken

    def _refuse_foreign(self, span: Span) -> None:
        for pattern, what in _FOREIGN:
            if pattern.match(span.text):
                instead = _INSTEAD.get(what, "take it out, or work on the frame afterwards")
                raise span.error(f"{what} is not supported: {instead}")


def _refuse_surrogates(text: str, first_line: int) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Span(text, first_line).error("half a character (a lone surrogate): no request can hold it", error.start) from None
