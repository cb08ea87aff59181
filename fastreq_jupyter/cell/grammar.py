"""Reads the common core of ``.http`` files, line by line, in one pass.

    TOP    comments, directives, variables, ``###``, and the line that begins a request
    HEAD   the rest of its URL, field lines; a blank line ends it
    BODY   all lines up to ``###`` or the end; only after POST, PUT, PATCH or with a Content-Type

What other tools add (scripts, response handlers, prompts) is refused with its place, never skipped.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from fastreq_jupyter.cell.bodies import read_body
from fastreq_jupyter.cell.curl.command import is_curl, read_curl
from fastreq_jupyter.cell.plain_lines import PlainLines
from fastreq_jupyter.cell.request_line import RequestLine, begins_request, is_continuation, read_header, read_request_line
from fastreq_jupyter.cell.syntax import Entry, HeaderTemplate, ParsedCell, RequestTemplate, Span, Variable
from fastreq_jupyter.cell.template import read_text
from fastreq_jupyter.errors import CellSyntaxError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["parse", "parse_steps"]

STEP = 2048
"""Most lines read between two yields, some 10 ms."""

COSTLY = 256
"""Most of them that are more than a plain URL."""

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_DIRECTIVE = re.compile(r"(?:#|//)\s*@([\w-]+)(?:(?:[ \t]+|[ \t]*=[ \t]*)(.*?))?[ \t]*")
_VARIABLE = re.compile(r"@([A-Za-z][\w.-]*)[ \t]*=[ \t]*(.*?)[ \t]*")
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
_SWALLOWED = re.compile(
    r"(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|TRACE)[ \t]+(?:https?://|\{\{)|curl(?:\.exe)?(?=[ \t])[^\n]*['\"\^ \t](?:https?://|\{\{)",
    re.IGNORECASE,
)
_SWALLOWED_NAME = re.compile(r"(?:#|//)\s*@(?:name|keep)\b")
_PUT_SEPARATOR = "put ### before it"
_COSMETIC = frozenset({"title", "description"})


def parse(text: str, *, first_line: int = 1) -> ParsedCell:
    """Read a cell.

    Args:
        text: The cell's text without its magic line.
        first_line: Number of the text's first line in the cell.

    Raises:
        CellSyntaxError: The only exception that a text can cause.
    """
    steps = parse_steps(text, first_line=first_line)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            parsed: ParsedCell = done.value
            return parsed


def parse_steps(text: str, *, first_line: int = 1, known: Callable[[str], str | None] | None = None) -> Generator[None, None, ParsedCell]:
    """Read a cell as `parse` does, yielding every few milliseconds so that a loop can go on in between.

    Args:
        text: As for `parse`.
        first_line: As for `parse`.
        known: Gives a variable of the notebook that is a text; None where names may be columns.
    """
    text = text.removeprefix("\ufeff")
    _refuse_surrogates(text, first_line)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    yield
    reader = _Reader(text.split("\n"), first_line, PlainLines(text, known))
    yield
    while reader.number < len(reader.lines):
        reader.read(min(reader.number + STEP, len(reader.lines)))
        yield
    reader.end_request()
    return reader.cell


class _Reader:
    """Hold the lines, the place in them, and the request that is being read."""

    def __init__(self, lines: list[str], first_line: int, plain: PlainLines) -> None:
        self._plain = plain
        self.lines = lines
        self.first_line = first_line
        self.number = 0
        self.cell = ParsedCell()
        self._labels: dict[str, int] = {}
        self._line: RequestLine | None = None
        self._headers: list[HeaderTemplate] = []
        self._label: tuple[str, int] | None = None
        self._keep: int | None = None

    def span(self) -> Span:
        """Return the current line without the white space around it, and its place."""
        text = self.lines[self.number]
        return Span(text.strip(), self.first_line + self.number, len(text) - len(text.lstrip()) + 1)

    def read(self, stop: int) -> None:
        """Read up to the line `stop`; a request line or a body may take some more."""
        left = COSTLY
        while self.number < stop and left:
            if self._line is None and self._label is None and self._keep is None and self._read_plain():
                continue
            left -= 1
            span = self.span()
            if self._line is None:
                self._read_top(span)
            else:
                self._read_head(span)

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
            if self._has_body(line):
                self._read_body()
            else:
                self.end_request()
        elif text.startswith(("###", "@")) or (text.startswith(("#", "//")) and _DIRECTIVE.fullmatch(text)):
            self.end_request()
        elif text.startswith(("#", "//")):
            self.number += 1
        elif not self._headers and is_continuation(self.lines[self.number]):
            line.more.append(span)
            self.number += 1
        elif begins_request(text) or is_curl(text):
            self.end_request()
        else:
            self._refuse_foreign(span)
            self._headers = read_header(span, self._headers, folded=self.lines[self.number][0] in " \t")
            self.number += 1

    def _has_body(self, line: RequestLine) -> bool:
        return line.method in _WITH_BODY or any(header.name.lower() == "content-type" for header in self._headers)

    def _read_body(self) -> None:
        start = self.number
        first = ""
        while self.number < len(self.lines) and not self.lines[self.number].startswith("###"):
            text = self.lines[self.number]
            first = first or text.lstrip()[:1]
            if first in ("{", "[") and text.startswith(("http://", "https://")):
                raise Span(text, self.first_line + self.number).error(0, f"a URL within a JSON body: {_PUT_SEPARATOR}")
            if text[:1] and text[0] in "<>?{GHPDOTCghpdotc#/":
                self._check_body_line(text)
            self.number += 1
        stop = self.number
        while stop > start and not self.lines[stop - 1].strip():
            stop -= 1
        while start < stop and not self.lines[start].strip():
            start += 1
        span = Span("\n".join(self.lines[start:stop]), self.first_line + start)
        self.end_request(span if span.text else None)

    def _check_body_line(self, text: str) -> None:
        span = Span(text, self.first_line + self.number)
        if _SWALLOWED.match(text):
            raise span.error(0, f"a request line within a body: {_PUT_SEPARATOR}")
        if _SWALLOWED_NAME.match(text):
            raise span.error(0, f"{text[:40]} within a body: {_PUT_SEPARATOR}")
        if not text.startswith(("import", "run")):
            self._refuse_foreign(span)

    def end_request(self, body: Span | None = None) -> None:
        """Put the request that is being read into the cell."""
        line = self._line
        if line is None:
            self._refuse_idle_name("the end")
            return
        headers = tuple(self._headers)
        pieces = None if body is None else read_body(body, headers)
        label, keep = self._take_label()
        entry: Entry = line.template(headers, pieces, label=label, keep=keep)
        self.cell.entries.append(entry)
        self._line, self._headers = None, []

    def _take_label(self) -> tuple[str | None, bool]:
        label = self._label[0] if self._label else None
        keep = self._keep is not None
        self._label = self._keep = None
        return label, keep

    def _read_comment(self, span: Span) -> None:
        self.number += 1
        found = _DIRECTIVE.fullmatch(span.text)
        if found is None or found[1] in _COSMETIC:
            return
        if found[1] == "keep":
            self._keep = span.line
        elif found[1] == "name":
            self._read_name(span, found[2] or "")
        else:
            known = "@name and @keep are known; write a plain comment without @"
            raise span.error(span.text.index("@"), f"@{found[1]} is not supported: {known}")

    def _read_name(self, span: Span, name: str) -> None:
        place = len(span.text) - len(name)
        if not _NAME.fullmatch(name):
            raise span.error(place, f"{name[:40]!r} is no name: letters, digits, - and _, beginning with a letter")
        if name in self._labels:
            raise span.error(place, f"a request is named {name} already, line {self._labels[name]}")
        if self._label is not None:
            raise span.error(0, f"two names for one request: {self._label[0]} and {name}")
        self._labels[name] = span.line
        self._label = (name, span.line)

    def _refuse_idle_name(self, what: str) -> None:
        line = self._label[1] if self._label else self._keep
        if line is not None:
            what_for = f"# @name {self._label[0]}" if self._label else "# @keep"
            message = f"{what_for} stands before {what}: put it above its request line"
            raise CellSyntaxError(message, line)

    def _read_variable(self, span: Span) -> None:
        self.number += 1
        found = _VARIABLE.fullmatch(span.text)
        if found is None:
            raise span.error(0, "a cell variable is written @name = value")
        name = found[1]
        if (known := self.cell.variables.get(name)) is not None:
            raise span.error(1, f"@{name} is defined already, line {known.line}")
        value = Span(found[2], *span.at(found.start(2)))
        self.cell.variables[name] = Variable(name, read_text(value), span.line, span.column)

    def _read_curl(self, span: Span) -> None:
        templates, taken = read_curl(self.lines, self.number, self.first_line)
        label, keep = self._take_label()
        if label and len(templates) > 1:
            raise span.error(0, f"{label} names one request, this command makes {len(templates)}")
        for template in templates:
            self.cell.entries.append(_named(template, label, keep=keep))
        self.number += taken

    def _refuse_foreign(self, span: Span) -> None:
        for pattern, what in _FOREIGN:
            if pattern.match(span.text):
                raise span.error(0, f"{what} is not supported: take it out, or work on the frame afterwards")


def _refuse_surrogates(text: str, first_line: int) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Span(text, first_line).error(error.start, "half a character (a lone surrogate): no request can hold it") from None


def _named(template: RequestTemplate, label: str | None, *, keep: bool) -> RequestTemplate:
    return replace(template, label=label, keep=keep) if label or keep else template
