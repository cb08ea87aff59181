"""Reads the line that begins a request, the lines its URL goes on with, and field lines.

Lines that need no second look (a URL, method and URL, either behind a ``{{base}}`` that is a plain URL itself) are most of
big cells; `PlainLines` gives for them what grammar and binder would give, some fifty times faster.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.cell.syntax import HeaderTemplate, Part, Placed, RequestTemplate, Span, field_named
from fastreq_jupyter.cell.template import read_text, read_url
from fastreq_jupyter.content import NO_FIELD_VALUE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastreq_jupyter.cell.syntax import Entry, FilePiece, TextPiece, Variable
    from fastreq_jupyter.errors import CellSyntaxError

PLAIN_URL = re.compile(
    r"https?://(?!-)[A-Za-z0-9-]{1,60}(?:\.[A-Za-z0-9-]{1,60}){0,3}(?::(?:[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}))?(?:[/?#][!#-Z_a-z|~]*)?"
)
"""A URL of ASCII without white space, quote, backslash, bracket or brace."""

_WITH_METHOD = re.compile(r"(GET|HEAD|DELETE|OPTIONS) (" + PLAIN_URL.pattern + ")")
_PREFIXED = re.compile(r"(?:(GET|HEAD|DELETE|OPTIONS) )?\{\{ ?([A-Za-z]\w*) ?\}\}((?:[/?#][!#-Z_a-z|~]*)?)")
_BEGINNINGS = ("http://", "https://", "{{", "###", "GET http", "GET {{")
_NAMED_IN_CELL = re.compile(r"@([A-Za-z][\w.-]*)(?:[ \t=]+([\w-]+))?")

# RFC 9110 and methods of the IANA registry that APIs use; PURGE is for caches.
METHODS = (
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "PURGE", "LINK", "UNLINK", "REPORT", "SEARCH",
    "PROPFIND", "PROPPATCH", "MKCOL", "MKCALENDAR", "COPY", "MOVE", "LOCK", "UNLOCK", "ACL", "BIND", "REBIND", "UNBIND", "CHECKIN",
    "CHECKOUT", "MERGE", "MKACTIVITY", "MKWORKSPACE", "UPDATE", "LABEL", "VERSION-CONTROL", "BASELINE-CONTROL", "ORDERPATCH",
)  # fmt: skip
_GRAPHQL = "GRAPHQL"
_KNOWN = frozenset((*METHODS, _GRAPHQL))
_OTHER_PROTOCOLS = frozenset({"CONNECT", "GRPC", "WS", "WSS", "WEBSOCKET", "SSE", "EVENTSOURCE", "MQTT", "AMQP", "RABBITMQ", "RSOCKET"})
_METHOD = re.compile(r"([A-Za-z][A-Za-z-]*)[ \t]+(?=\S)")
_VERSION = re.compile(r"[ \t]+HTTP/([0-9](?:\.[0-9])?)$", re.IGNORECASE)
_TRAILING = re.compile(r"[ \t](#|//|https?://|\\\Z|\{(?!\{))", re.IGNORECASE)
_TRAILED = {
    "#": "a comment stands on a line of its own; %20# is a blank and a fragment",
    "//": "a comment stands on a line of its own; %20// is a blank and two slashes",
    "{": "a body begins after a blank line; %20{ is a blank and a brace",
    "\\": "no backslash here: query lines go on with ? or &, only curl goes on with a backslash",
}
_WRAPPING = "\"'<>`,;()\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb"
_SECOND = "one URL a line; %20 is a blank within one"
_TARGET = re.compile(r"https?://|\{\{|/", re.IGNORECASE)
_FOREIGN = frozenset({"invoke-webrequest", "invoke-restmethod", "iwr", "irm", "wget", "fetch(", "http"})
_HOW = "write URL or METHOD URL (a body needs POST, PUT, PATCH or a Content-Type header)"
# A shell prompt, or a command that runs another.
_PROMPTED = re.compile(r"(?:\S{0,60}[>$%#!]\s*|(?:\S+\s+){0,2}?(?:time|sudo|env|watch)\s+)curl(?:\.exe)?\s", re.IGNORECASE)
# Names without a dot, which a field line could begin with, too.
_HOST_AND_PORT = re.compile(r"localhost(:\d+)?([/?]\S*)?|[\w-]+:\d{2,5}[/?]\S*")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:[ \t]*(.*)")
_NO_FIELD = re.compile(r"[^:\s]+:(?://|[0-9]{1,5}/)")
_CREDENTIALS = re.compile(r"(basic|digest)[ \t]+(?=\S)", re.IGNORECASE)


class PlainLines:
    """The lines of one cell that need no second look.

    Args:
        text: The cell, searched for names that it gives itself.
        lookup: Gives a variable of the notebook that is a text; None where names may be columns, so that they are left alone.
    """

    def __init__(self, text: str, lookup: Callable[[str], str | None] | None) -> None:
        self._own = {name for match in _NAMED_IN_CELL.finditer(text) for name in match.groups() if name} if "@" in text else set()
        self._lookup = lookup
        self._prefixes: dict[str, str] = {}

    def read(self, line: str, following: str | None, variables: Mapping[str, Variable]) -> Entry | None:
        """Return the request of a line; None where it or the line after it needs a look.

        Args:
            line: As it stands.
            following: The line after it, None for the last.
            variables: The cell's variables above the line.
        """
        entry: Entry | None
        if PLAIN_URL.fullmatch(line) is not None:
            entry = line
        elif line[:1] in ("G", "H", "D", "O") and (match := _WITH_METHOD.fullmatch(line)) is not None:
            entry = match[1], match[2]
        else:
            entry = self._prefixed(line, variables) if "{{" in line[:12] else None
        if entry is None or (following and not following.startswith(_BEGINNINGS)):
            return None
        return entry

    def _prefixed(self, line: str, variables: Mapping[str, Variable]) -> Entry | None:
        match = _PREFIXED.fullmatch(line)
        if match is None or (prefix := self._prefix(match[2], variables)) is None:
            return None
        url = prefix + match[3]
        if PLAIN_URL.fullmatch(url) is None:
            return None
        return url if match[1] is None else (match[1], url)

    def _prefix(self, name: str, variables: Mapping[str, Variable]) -> str | None:
        if self._lookup is None or name in self._prefixes:
            return self._prefixes.get(name)
        if name in self._own:
            parts = variables[name].parts if name in variables else ()
            text = parts[0] if len(parts) == 1 and isinstance(parts[0], str) else None
        else:
            text = self._lookup(name)
        if text is None or "?" in text or "#" in text or PLAIN_URL.fullmatch(text) is None:
            return None
        self._prefixes[name] = text
        return text


@dataclass(slots=True)
class RequestLine(Placed):
    """What is known of a request before its headers and body are read."""

    method: str
    url: Span
    line: int
    column: int
    plain: bool = False
    run_options: dict[str, Any] = field(default_factory=dict)
    graphql: bool = False
    more: list[Span] = field(default_factory=list)

    def template(
        self, headers: tuple[HeaderTemplate, ...], body: tuple[TextPiece | FilePiece, ...] | None, operation: str | None
    ) -> RequestTemplate:
        """Return the whole request."""
        url: list[Part] = []
        for span in (self.url, *self.more):
            url += read_url(span)
        return RequestTemplate(
            self.method, tuple(url), self.line, self.column, headers, body,
            plain=self.plain, run_options=self.run_options, operation=operation,
        )  # fmt: skip


def begins_request(text: str) -> bool:
    """Tell whether a stripped line, seen among headers, begins a new request."""
    if text.startswith(("{{", "/")) or text[:8].lower().startswith(("http://", "https://")):
        return True
    match = _METHOD.match(text)
    return match is not None and match[1].upper() in _KNOWN and _TARGET.match(text, match.end()) is not None


def is_continuation(text: str, *, after: str = "") -> bool:
    """Tell whether a line goes on with the URL: ``?`` or ``&``, an indented path, or indented behind a ``?`` or ``&``.

    Args:
        text: The line as it stands.
        after: The piece of the URL before it.
    """
    inner = text.lstrip()
    return inner.startswith(("?", "&")) or (inner != text and (inner.startswith("/") or after.endswith(("?", "&"))))


def read_request_line(span: Span) -> RequestLine:
    """Read ``METHOD URL [HTTP/x]`` or a URL alone.

    Raises:
        CellSyntaxError: It is neither; the message says what was probably meant.
    """
    text = span.text
    run_options: dict[str, Any] = {}
    if match := _VERSION.search(text[-16:]):
        run_options = _lift_version(match[1], span, len(text) - len(match[0]))
        text = text[: -len(match[0])]
    if _TARGET.match(text):
        _refuse_trailing(span, 0)
        return RequestLine(
            "GET", Span(text, span.line, span.column), span.line, span.column, plain=not text.startswith("/"), run_options=run_options
        )
    match = _METHOD.match(text)
    if match is None:
        raise _no_request(span, text)
    method = match[1].upper()
    if match[1] != method and method not in _KNOWN:
        raise _no_request(span, text)
    if method not in _KNOWN:
        raise span.error(_unknown_method(method))
    place = match.end()
    if not _TARGET.match(text, place):
        raise span.error(_no_target(text[place:]), place)
    _refuse_trailing(span, place)
    url = Span(text[place:], span.line, span.column + place)
    graphql = method == _GRAPHQL
    return RequestLine("POST" if graphql else method, url, span.line, span.column, run_options=run_options, graphql=graphql)


def read_header(span: Span, headers: list[HeaderTemplate], *, folded: bool) -> list[HeaderTemplate]:
    """Return the headers with the field line of `span` put after them.

    Args:
        span: The line.
        headers: Field lines before it.
        folded: The line is indented, so without a name it goes on with the value before it.

    Raises:
        CellSyntaxError: No colon, no token before it, or a control character.
    """
    match = _HEADER.fullmatch(span.text)
    if match is None and folded and headers:
        last = headers[-1]
        parts = (*last.parts, " ", *read_text(span))
        return [*headers[:-1], HeaderTemplate(last.name, parts, last.line, last.column, last.basic)]
    if match is None:
        raise span.error(_no_header(span.text))
    if _NO_FIELD.match(span.text):
        raise span.error(_no_target(span.text))
    value = Span(match[2], *span.at(match.start(2)))
    header = make_header(match[1], value, Span(span.text, span.line, span.column))
    if match[1].lower() == "host" and "/" in header.literal:
        raise value.error(f"{match[2][:60]!r} is no host: write host or host:port")
    first = field_named(headers, "cookie") if match[1].lower() == "cookie" else None
    if first is None:
        return [*headers, header]
    # RFC 6265, 5.4: one Cookie field, however many lines there are.
    joined = replace(first, parts=(*first.parts, "; ", *header.parts))
    return [joined if other is first else other for other in headers]


def make_header(name: str, value: Span, line: Span) -> HeaderTemplate:
    """Return a field line; ``Basic user password`` and ``Basic user:password`` are marked for encoding.

    Raises:
        CellSyntaxError: A control character in the value, or credentials that need a dialogue.
    """
    if bad := NO_FIELD_VALUE.search(value.text):
        raise value.error(f"control character {bad[0]!r} in the value of {name}", bad.start())
    parts = read_text(value)
    basic = False
    if name.lower() in ("authorization", "proxy-authorization") and (match := _CREDENTIALS.match(value.text)):
        literal = "".join(part if isinstance(part, str) else "\0" for part in parts)[match.end() :].strip()
        pair = ":" in literal or " " in literal
        if pair and match[1].lower() == "digest" and "=" not in literal:
            raise value.error("Digest authentication is not supported: use Basic, Bearer or --auth")
        basic = pair and match[1].lower() == "basic"
    return HeaderTemplate(name, parts, line.line, line.column, basic)


def _refuse_trailing(span: Span, start: int) -> None:
    """Refuse what stands behind a URL and was hardly meant as a part of it."""
    for match in _TRAILING.finditer(span.text, start):
        if match[1] != "{" or "{" not in span.text[start : match.start()]:
            raise span.error(_TRAILED.get(match[1], _SECOND), match.start(1))


def _lift_version(version: str, span: Span, place: int) -> dict[str, Any]:
    if version in ("1.1", "1"):
        return {}
    if version in ("2", "2.0"):
        return {"http2": True}
    raise span.error(f"HTTP/{version} cannot be asked for: HTTP/1.1 or HTTP/2", place)


def _unknown_method(method: str) -> str:
    if method in _OTHER_PROTOCOLS:
        return f"{method} is not supported: requests are plain HTTP"
    near = get_close_matches(method, METHODS, n=1, cutoff=0.6)
    return f"unknown method {method[:30]}" + (f": did you mean {near[0]}?" if near else "")


def _no_target(text: str) -> str:
    shown = text[:60]
    if "://" in text[:30]:
        return f"{shown!r}: only http:// and https:// are requested"
    return f"{shown!r} does not begin with http:// or https://"


def _no_request(span: Span, text: str) -> CellSyntaxError:
    first, shown = text.split(maxsplit=1)[0], f"{text[:60]!r}"
    reasons = (
        (first[0] == "-" and first != "-", f"{shown} begins no request: a curl command goes on where the line above ends with \\"),
        (_PROMPTED.match(text), f"{shown}: begin the line with curl ($ curl is understood)"),
        (first.lower() in _FOREIGN, f"{first[:30]} is not read here: copy the request as cURL, or write METHOD URL"),
        (text.strip(_WRAPPING).lower().startswith(("http://", "https://")), f"{shown}: write the URL without quotes"),
        ("://" in first[:30], _no_target(text)),
        (("." in first and " " not in text) or _HOST_AND_PORT.fullmatch(text), f"{shown} is no URL: write http:// or https:// before it"),
        (
            _HEADER.fullmatch(text),
            f"{shown} stands before any request: headers follow the request line without a blank line between",
        ),
    )
    return span.error(next((reason for holds, reason in reasons if holds), f"{shown} is no request line: {_HOW}"))


def _no_header(text: str) -> str:
    if re.fullmatch(r"[\w.-]+=\S*&?", text):
        return f"{text[:60]!r} is no header: lines of a query begin with ? or &, or are indented behind one"
    if text.startswith("%"):
        return f"{text[:60]!r} is another magic: it begins a cell of its own"
    return f"{text[:60]!r} is no header: write Name: value (a body begins after a blank line)"
