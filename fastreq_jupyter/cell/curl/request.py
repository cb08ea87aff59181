"""One request of a curl command while its options are read."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastreq_jupyter.cell.curl.form import form_part, no_stdin, quoted
from fastreq_jupyter.cell.request_line import make_header
from fastreq_jupyter.cell.syntax import FilePiece, HeaderTemplate, Part, Parts, RequestTemplate, Span, TextPiece
from fastreq_jupyter.cell.template import read_text, read_url

if TYPE_CHECKING:
    from fastreq_jupyter.cell.curl.flags import Action

__all__ = ["CurlRequest"]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# A byte that is no UTF-8, as surrogateescape has it.
_BYTES = re.compile("[\udc80-\udcff]")
_REMOVABLE = frozenset({"content-type", "expect"})
_FORM_TYPE = "application/x-www-form-urlencoded"
_SIMPLE: dict[str, str] = {"agent": "User-Agent", "referer": "Referer"}

Piece = TextPiece | FilePiece


@dataclass(slots=True)
class CurlRequest:
    """Gather options; `templates` makes the requests."""

    command: Span
    urls: list[Span] = field(default_factory=list)
    method: str | None = None
    headers: list[HeaderTemplate] = field(default_factory=list)
    removed: set[str] = field(default_factory=set)
    body: list[list[Piece]] = field(default_factory=list)
    form: list[tuple[str, Span]] = field(default_factory=list)
    query: list[Parts] = field(default_factory=list)
    lifted: dict[str, Any] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)

    def lift(self, option: str, at: Span, value: Any) -> None:
        """Note an option of the run.

        Raises:
            CellSyntaxError: It is given twice, differently.
        """
        if self.lifted.setdefault(option, value) != value:
            raise at.error(0, f"{option} is given twice, differently")

    def add(self, action: Action, at: Span, value: Span) -> None:
        """Take one option.

        Raises:
            CellSyntaxError: Its value cannot be read.
        """
        if action == "url":
            self.urls.append(value)
        elif action in ("get", "head", "globoff"):
            self.flags.add(action)
        elif action == "method":
            if not _TOKEN.fullmatch(value.text):
                raise value.error(0, f"{value.text[:30]!r} is no method")
            self.method = value.text.upper()
        elif action in ("form", "form-string"):
            self.form.append((action, value))
        elif action == "url-query":
            text = value.text
            self.query.append(read_text(Span(text[1:], *value.at(1))) if text.startswith("+") else _encoded(value)[0])
        elif action in ("data", "data-raw", "data-binary", "data-urlencode", "json"):
            self._add_data(action, value)
        else:
            self._add_header(action, at, value)

    def templates(self) -> list[RequestTemplate]:
        """Return one request for each URL.

        Raises:
            CellSyntaxError: No URL, or options that exclude each other.
        """
        if not self.urls:
            raise self.command.error(0, "a curl command without URL")
        if self.form and self.body:
            raise self.command.error(0, "-F and -d exclude each other")
        if "get" in self.flags and self.form:
            raise self.command.error(0, "-G and -F exclude each other")
        body, query = self._body(), list(self.query)
        if "get" in self.flags and self.body:
            query.insert(0, _parts_of(body or (), self.command))
            body = None
        headers = self._all_headers(body)
        return [self._template(url, headers, body, query) for url in self.urls]

    def _template(
        self, url: Span, headers: tuple[HeaderTemplate, ...], body: tuple[Piece, ...] | None, query: list[Parts]
    ) -> RequestTemplate:
        parts = list(read_url(self._absolute(url), ranges="globoff" not in self.flags))
        marked = any(isinstance(part, str) and "?" in part for part in parts)
        for added in query:
            parts += [("&" if marked else "?"), *added]
            marked = True
        return RequestTemplate(
            self._method(body), tuple(parts), url.line, url.column, headers, body,
            lifted=dict(self.lifted), no_default=frozenset(self.removed),
        )  # fmt: skip

    def _absolute(self, url: Span) -> Span:
        text = url.text
        if _BYTES.search(text):
            raise url.error(0, "bytes that are no UTF-8 in a URL: percent-encode them")
        if re.match(r"https?://|\{\{", text, re.IGNORECASE):
            return url
        if "://" in text[:30] or not text:
            raise url.error(0, f"{text[:60]!r}: only http:// and https:// are requested")
        raise url.error(0, f"{text[:60]!r} is no URL: write http:// or https:// before it")

    def _method(self, body: tuple[Piece, ...] | None) -> str:
        if self.method is not None:
            return self.method
        if "head" in self.flags:
            return "HEAD"
        return "GET" if body is None or "get" in self.flags else "POST"

    def _add_header(self, action: Action, at: Span, value: Span) -> None:
        if action == "header":
            self._add_line(value)
        elif action == "user":
            if ":" not in value.text and not re.fullmatch(r"\s*\{\{[^}]*\}\}\s*", value.text):
                raise value.error(0, "-u takes user:password; curl would ask for the password")
            span = Span(f"Basic {value.text}", value.line, value.column - 6)
            self.headers.append(make_header("Authorization", span, at))
        elif action == "bearer":
            self.headers.append(make_header("Authorization", Span(f"Bearer {value.text}", value.line, value.column - 7), at))
        elif action == "cookie":
            if "=" not in value.text and "{{" not in value.text:
                raise value.error(0, "-b with a file is not supported: give the cookies, name=value")
            self.headers.append(make_header("Cookie", value, at))
        elif action == "range":
            self.headers.append(make_header("Range", Span(f"bytes={value.text}", value.line, value.column - 6), at))
        else:
            self.headers.append(make_header(_SIMPLE[action], Span(value.text.removesuffix(";auto"), value.line, value.column), at))

    def _add_line(self, value: Span) -> None:
        if value.text.startswith("@"):
            raise value.error(0, "-H with a file is not supported: give the header lines")
        name, colon, text = value.text.partition(":")
        if not colon and value.text.endswith(";") and _TOKEN.fullmatch(value.text[:-1]):
            self.headers.append(HeaderTemplate(value.text[:-1], (), value.line, value.column))
            return
        name = name.strip()
        if not colon or not _TOKEN.fullmatch(name):
            raise value.error(0, f"{value.text[:60]!r} is no header: write Name: value")
        if text.strip():
            place = len(value.text) - len(text.lstrip())
            self.headers.append(make_header(name, Span(text.strip(), *value.at(place)), value))
        elif name.lower() in _REMOVABLE:
            self.removed.add(name.lower())
        else:
            raise value.error(0, f"-H '{name}:' would take away a header of the HTTP library; '{name};' sends it empty")

    def _add_data(self, action: Action, value: Span) -> None:
        if action == "json":
            self._add_default("Content-Type", "application/json", value)
            self._add_default("Accept", "application/json", value)
        pieces: list[Piece]
        if action == "data-urlencode":
            parts, file = _encoded(value)
            pieces = [TextPiece(parts)] if file is None else [TextPiece(parts), file]
        elif value.text.startswith("@") and action != "data-raw":
            pieces = [_file(value, 1, strip=action == "data")]
        elif _BYTES.search(value.text):
            pieces = [_inline(value.text.encode("utf-8", "surrogateescape"), value)]
        else:
            pieces = [TextPiece(read_text(value))]
        if self.body and action != "json":
            self.body.append([TextPiece(("&",))])
        self.body.append(pieces)

    def _add_default(self, name: str, text: str, at: Span) -> None:
        self.flags.add(f"default {name}")
        if not any(one.name.lower() == name.lower() and one.line == -1 for one in self.headers):
            self.headers.append(HeaderTemplate(name, (text,), -1, at.column))

    def _all_headers(self, body: tuple[Piece, ...] | None) -> tuple[HeaderTemplate, ...]:
        own = {header.name.lower() for header in self.headers if header.line != -1} | self.removed
        headers = [header for header in self.headers if header.line != -1 or header.name.lower() not in own]
        known = {header.name.lower() for header in headers} | self.removed
        if body is not None and "content-type" not in known:
            kind = f"multipart/form-data; boundary={self._boundary()}" if self.form else _FORM_TYPE
            headers.append(HeaderTemplate("Content-Type", (kind,), self.command.line, self.command.column))
        return tuple(headers)

    def _boundary(self) -> str:
        seed = "\0".join(span.text for _, span in self.form)
        return "----fastreq" + hashlib.sha256(seed.encode("utf-8", "replace")).hexdigest()[:24]

    def _body(self) -> tuple[Piece, ...] | None:
        if self.form:
            return self._multipart()
        return tuple(piece for pieces in self.body for piece in pieces) if self.body else None

    def _multipart(self) -> tuple[Piece, ...]:
        if any(header.name.lower() == "content-type" for header in self.headers):
            raise self.command.error(0, "-F makes its own Content-Type: take the header out")
        boundary = self._boundary()
        pieces: list[Piece] = []
        for action, span in self.form:
            name, equals, _ = span.text.partition("=")
            if not equals:
                raise span.error(0, "-F takes name=value, name=@file or name=<file")
            head, content = form_part(span, len(name) + 1, literal=action == "form-string")
            start = f'--{boundary}\r\nContent-Disposition: form-data; name="'
            label = read_text(Span(quoted(name), span.line, span.column))
            pieces += [TextPiece((start, *label, f'"{head}\r\n\r\n')), content, TextPiece(("\r\n",))]
        return (*pieces, TextPiece((f"--{boundary}--\r\n",)))


def _encoded(value: Span) -> tuple[Parts, FilePiece | None]:
    """Read ``content``, ``=content``, ``name=content``; files are encoded as they are read."""
    text = value.text
    equals, at_sign = text.find("="), text.find("@")
    if at_sign >= 0 and (equals < 0 or at_sign < equals):
        name = text[:at_sign]
        path = text[at_sign + 1 :]
        encoded = quote(_content_of(path, value), safe="")
        return ((f"{name}={encoded}" if name else encoded),), None
    start = equals + 1 if equals >= 0 else 0
    head = text[:equals] + "=" if equals > 0 else ""
    parts: Parts = (head,) if head else ()
    content = read_text(Span(text[start:], *value.at(start)))
    return (*parts, *(quote(part, safe="") if isinstance(part, str) else part for part in content)), None


def _file(value: Span, start: int, *, strip: bool) -> Piece:
    path = value.text[start:]
    if path == "-":
        raise no_stdin(value)
    if not strip:
        return FilePiece(read_text(Span(path, *value.at(start))), value.line, value.column)
    # curl's -d takes line ends and zero bytes out of a file.
    content = re.sub(rb"[\r\n\0]", b"", _content_of(path, value))
    return _inline(content, value)


def _inline(content: bytes, at: Span) -> FilePiece:
    return FilePiece((f"data:;base64,{base64.b64encode(content).decode()}",), at.line, at.column)


def _content_of(path: str, at: Span) -> bytes:
    if path == "-":
        raise no_stdin(at)
    if "{{" in path:
        raise at.error(0, "this form of a file takes no placeholder: use --data-binary @file")
    try:
        return Path(path).expanduser().read_bytes()
    except (OSError, ValueError) as error:
        raise at.error(0, f"cannot read {path[:200]}: {getattr(error, 'strerror', None) or 'not a file name'}") from None


def _parts_of(pieces: tuple[Piece, ...], at: Span) -> Parts:
    parts: list[Part] = []
    for piece in pieces:
        if isinstance(piece, FilePiece):
            raise at.error(0, "-G with a file is not supported: write the query into the URL")
        parts += piece.parts
    return tuple(parts)
