"""One request of a curl command while its options are read."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, quote_plus

from fastreq_jupyter.auth import NTLM, Digest
from fastreq_jupyter.cell.curl.form import form_part, no_stdin, quoted
from fastreq_jupyter.cell.request_line import make_header
from fastreq_jupyter.cell.syntax import FORM_TYPE, FilePiece, HeaderTemplate, Part, Parts, RequestTemplate, Span, TextPiece, field_named
from fastreq_jupyter.cell.template import read_text, read_url, with_query
from fastreq_jupyter.content import TOKEN
from fastreq_jupyter.url import parse_target

if TYPE_CHECKING:
    from fastreq_jupyter.url import Target


# A byte that is not UTF-8, as surrogateescape represents it.
_BYTES = re.compile("[\udc80-\udcff]")
_SCHEME = re.compile(r"https?://|\{\{", re.IGNORECASE)
# Texts that curl takes for a host and prefixes with "http://"; a bare word only as the command's one URL.
_WITHOUT_SCHEME = re.compile(
    r"(?:[^\s/?#@]+@)?(?:\[[0-9A-Fa-f:.]+\]|(?:[\w.-]|\{\{[^{}]*\}\})+)(?::(?:[0-9]+|\{\{[^{}]*\}\}))?(?:[/?#].*)?", re.DOTALL
)
# Fields that the library always sends.
_FIXED = frozenset({"host", "accept-encoding", "content-length"})
# Fields sent by default; an empty value removes them.
_DEFAULTS = frozenset({"user-agent", "accept"})
_NAMES: dict[str, str] = {
    "--user": "Authorization", "--oauth2-bearer": "Authorization", "--cookie": "Cookie", "--range": "Range",
    "--user-agent": "User-Agent", "--referer": "Referer",
}  # fmt: skip
# A URL that ends with a directory or a host.
_NO_NAME = re.compile(r"\A[^?#]*/\Z|\Ahttps?://[^/?#]+\Z", re.IGNORECASE)
_RANGE = re.compile(r"[0-9]+(?=[^-]*\Z)")

Piece = TextPiece | FilePiece


@dataclass(slots=True)
class CurlRequest:
    """One request of a curl command while its options are read.

    Attributes:
        command: The word ``curl``, for messages.
        urls: URLs that get the same request.
        method: -X.
        headers: -H, in order.
        own: Field lines of options that have one of their own (-u, -A, -b ...) by name: a -H of that name counts instead.
        removed: Lower-case names that -H took away.
        body: Pieces of each -d, with what joins them.
        form: Each -F and --form-string.
        query: Fields that go into the query.
        run_options: Options of the run.
        given: Switches, -T, --key and -u that were seen, with their value.
        cookie_files: -b with a file.
        notes: What is not done.
    """

    command: Span
    urls: list[Span] = field(default_factory=list)
    method: str | None = None
    headers: list[HeaderTemplate] = field(default_factory=list)
    own: dict[str, HeaderTemplate] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    body: list[list[Piece]] = field(default_factory=list)
    form: list[tuple[str, Span]] = field(default_factory=list)
    query: list[Parts] = field(default_factory=list)
    run_options: dict[str, Any] = field(default_factory=dict)
    given: dict[str, Span] = field(default_factory=dict)
    cookie_files: list[Span] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def ask_for(self, option: str, at: Span, value: Any) -> None:
        """Note an option of the run.

        Raises:
            CellSyntaxError: It is given twice, differently.
        """
        if self.run_options.setdefault(option, value) != value:
            raise at.error(f"{option} is given twice, differently")

    def add(self, option: str, at: Span, value: Span) -> None:
        """Take one option, by its long name.

        Raises:
            CellSyntaxError: Its value cannot be read.
        """
        if option == "--url":
            self.urls.append(value)
        elif option in ("--get", "--head", "--globoff", "--digest", "--ntlm", "--upload-file", "--key"):
            self.given[option] = value
        elif option == "--request":
            if not TOKEN.fullmatch(value.text):
                raise value.error(f"{value.text[:30]!r} is no method")
            self.method = value.text.upper()
        elif option in ("--form", "--form-string"):
            self.form.append((option, value))
        elif option == "--url-query":
            self.query.append(_query(value))
        elif option.startswith("--data") or option == "--json":
            self._add_data(option, value)
        elif option == "--header":
            self._add_line(value)
        else:
            self._add_own(option, at, value)

    def templates(self) -> list[RequestTemplate]:
        """Return one request for each URL.

        Raises:
            CellSyntaxError: No URL, or options that exclude each other.
        """
        if not self.urls:
            raise self.command.error("a curl command without URL")
        if bool(self.form) + bool(self.body) + ("--upload-file" in self.given) > 1:
            raise self.command.error("-F, -d and -T exclude each other")
        if "--get" in self.given and self.form:
            raise self.command.error("-G and -F exclude each other")
        body, query = self._body(), list(self.query)
        if "--get" in self.given and self.body:
            query.insert(0, _parts_of(body or (), self.command))
            body = None
        if key := self.given.get("--key"):
            if "cert" not in self.run_options:
                raise key.error("--key goes with --cert")
            self.run_options["cert"] = (self.run_options["cert"], key.text)
        self._ask_for_credentials()
        if body is not None and "Range" in self.own:
            raise self.command.error("-r with a body is sent as Content-Range by curl: write the field line with -H")
        headers = self._all_headers(body)
        return [self._template(url, headers, body, query) for url in self.urls]

    def _ask_for_credentials(self) -> None:
        """Leave the password to the library, where it is to answer a challenge (--digest, --ntlm)."""
        scheme = Digest if "--digest" in self.given else NTLM if "--ntlm" in self.given else None
        given = self.given.get("--user")
        if scheme is None or given is None:
            return
        if any(not isinstance(part, str) for part in read_text(given)):
            raise given.error(f"values are not put in here: give the run --auth NAME, a variable with {scheme.__name__}(user, password)")
        user, _, password = given.text.partition(":")
        self.ask_for("auth", given, scheme(user, password))
        self.own.pop("Authorization", None)

    def _template(
        self, url: Span, headers: tuple[HeaderTemplate, ...], body: tuple[Piece, ...] | None, query: list[Parts]
    ) -> RequestTemplate:
        parts = read_url(self._absolute(url), ranges="--globoff" not in self.given)
        upload = self.given.get("--upload-file")
        if upload is not None and isinstance(parts[-1], str) and _NO_NAME.search(parts[-1]):
            parts = (*parts, "" if parts[-1].endswith("/") else "/", quote(Path(upload.text).name, safe=""))
        with_fields = with_query(parts, *query)
        return RequestTemplate(
            self._method(body), with_fields, url.line, url.column, self._with_cookies(with_fields, headers), body,
            run_options=dict(self.run_options), no_default=frozenset(self.removed),
        )  # fmt: skip

    def _with_cookies(self, url: Parts, headers: tuple[HeaderTemplate, ...]) -> tuple[HeaderTemplate, ...]:
        """Return the field lines with the cookies that the files have for the URL, in one field with others (RFC 6265, 5.4)."""
        if not self.cookie_files:
            return headers
        at, texts = self.cookie_files[0], []
        for file in self.cookie_files:
            try:
                texts.append(cookies_for(url[0] if isinstance(url[0], str) else "", file.text))
            except FileNotFoundError:
                self.notes.append(f"line {file.line}: there is no cookie file {file.text[:60]}: none of its cookies are sent")
            except (OSError, ValueError) as error:
                raise file.error(f"-b {file.text[:60]}: {getattr(error, 'strerror', None) or error}") from None
        text = "; ".join(filter(None, texts))
        own = field_named(headers, "cookie")
        if not text:
            return headers
        parts = (text.encode("utf-8", "surrogateescape").decode("latin-1"), *(("; ", *own.parts) if own else ()))
        return (*(header for header in headers if header is not own), HeaderTemplate("Cookie", parts, at.line, at.column))

    def _absolute(self, url: Span) -> Span:
        text = url.text
        if _BYTES.search(text):
            raise url.error("bytes that are no UTF-8 in a URL: percent-encode them")
        if _SCHEME.match(text):
            return url
        if "://" in text[:30] or not text:
            raise url.error(f"{text[:60]!r}: only http:// and https:// are requested")
        if _WITHOUT_SCHEME.fullmatch(text) and (len(self.urls) == 1 or any(sign in text for sign in ".:/") or text == "localhost"):
            return Span(f"http://{text}", url.line, url.column - len("http://"))
        raise url.error(f"{text[:60]!r} is no URL: write http:// or https:// before it, or quote what belongs together")

    def _method(self, body: tuple[Piece, ...] | None) -> str:
        if self.method is not None:
            return self.method
        if "--head" in self.given:
            return "HEAD"
        if "--upload-file" in self.given:
            return "PUT"
        return "GET" if body is None or "--get" in self.given else "POST"

    def _add_own(self, option: str, at: Span, value: Span) -> None:
        """Take an option that stands for a field line; the last one counts, cookies are put together."""
        name = _NAMES[option]
        if option == "--cookie" and value.text and "=" not in value.text and "{{" not in value.text:
            self.cookie_files.append(value)
            return
        before, text = _own_value(option, value)
        if not text and option in ("--cookie", "--referer"):
            return
        header = _sent_as_utf8(make_header(name, Span(f"{before}{text}", value.line, value.column - len(before)), at))
        first = self.own.get(name)
        if option == "--user":
            self.given[option] = value
            header = replace(header, basic=True, exact=True)
            # A bearer token has precedence over a password.
            header = header if first is None or first.basic else first
        if option == "--cookie" and first is not None:
            header = replace(first, parts=(*first.parts, ";", *header.parts))
        self.own[name] = header

    def _add_line(self, value: Span) -> None:
        if not value.text.strip():
            return
        if value.text.startswith("@"):
            raise value.error("-H with a file is not supported: give the header lines")
        name, colon, text = value.text.partition(":")
        if not colon and value.text.endswith(";") and TOKEN.fullmatch(value.text[:-1]):
            self.headers.append(HeaderTemplate(value.text[:-1], (), value.line, value.column))
            return
        name = name.strip()
        if not colon or not TOKEN.fullmatch(name):
            raise value.error(f"{value.text[:60]!r} is no header: write Name: value")
        if text.strip():
            place = len(value.text) - len(text.lstrip())
            self.headers.append(_sent_as_utf8(make_header(name, Span(text.strip(), *value.at(place)), value)))
        elif name.lower() in _FIXED:
            raise value.error(f"-H '{name}:' would take away a header of the HTTP library; '{name};' sends it empty")
        else:
            self.removed.add(name.lower())
            if name.lower() in _DEFAULTS:
                self.headers.append(HeaderTemplate(name, (), value.line, value.column))

    def _add_data(self, option: str, value: Span) -> None:
        if option == "--json":
            self._add_default("Content-Type", "application/json", value)
            self._add_default("Accept", "application/json", value)
        pieces: list[Piece]
        if option == "--data-urlencode":
            parts, file = _encoded(value)
            pieces = [TextPiece(parts)] if file is None else [TextPiece(parts), file]
        elif value.text.startswith("@") and option != "--data-raw":
            pieces = [_file(value, 1, strip=option in ("--data", "--data-ascii"))]
        elif _BYTES.search(value.text):
            pieces = [_inline(value.text.encode("utf-8", "surrogateescape"), value)]
        else:
            pieces = [TextPiece(read_text(value))]
        if self.body and option != "--json":
            self.body.append([TextPiece(("&",))])
        self.body.append(pieces)

    def _add_default(self, name: str, text: str, at: Span) -> None:
        if not any(header.name.lower() == name.lower() and header.line == -1 for header in self.headers):
            self.headers.append(HeaderTemplate(name, (text,), -1, at.column))

    def _all_headers(self, body: tuple[Piece, ...] | None) -> tuple[HeaderTemplate, ...]:
        own = {header.name.lower() for header in self.headers if header.line != -1} | self.removed
        headers = [header for header in self.headers if header.line != -1 or header.name.lower() not in own]
        headers += [header for name, header in self.own.items() if name.lower() not in own]
        if self.form:
            return self._with_boundary(headers)
        names = {header.name.lower() for header in headers} | self.removed
        if body is not None and "--upload-file" not in self.given and "content-type" not in names:
            headers.append(HeaderTemplate("Content-Type", (FORM_TYPE,), self.command.line, self.command.column))
        return tuple(headers)

    def _with_boundary(self, headers: list[HeaderTemplate]) -> tuple[HeaderTemplate, ...]:
        """Return the field lines of a form: a Content-Type of one's own gets the boundary, too."""
        boundary = f"; boundary={self._boundary()}"
        own = field_named(headers, "content-type")
        if own is None:
            kind = HeaderTemplate("Content-Type", (f"multipart/form-data{boundary}",), self.command.line, self.command.column)
            return (*headers, kind)
        text = own.literal.lower()
        if not text.startswith("multipart/") or "boundary=" in text:
            raise own.error("-F makes its own Content-Type and boundary: take this header out")
        return tuple(replace(own, parts=(*own.parts, boundary)) if header is own else header for header in headers)

    def _boundary(self) -> str:
        seed = "\0".join(span.text for _, span in self.form)
        return "----fastreq" + hashlib.sha256(seed.encode("utf-8", "replace")).hexdigest()[:24]

    def _body(self) -> tuple[Piece, ...] | None:
        if self.form:
            return self._multipart()
        if upload := self.given.get("--upload-file"):
            return (_file(upload, 0, strip=False),)
        return tuple(piece for pieces in self.body for piece in pieces) if self.body else None

    def _multipart(self) -> tuple[Piece, ...]:
        boundary = self._boundary()
        pieces: list[Piece] = []
        for option, span in self.form:
            name, equals, _ = span.text.partition("=")
            if not equals:
                raise span.error("-F takes name=value, name=@file or name=<file")
            head, content = form_part(span, len(name) + 1, literal=option == "--form-string")
            start = f'--{boundary}\r\nContent-Disposition: form-data; name="'
            label = read_text(Span(quoted(name), span.line, span.column))
            pieces += [TextPiece((start, *label, f'"{head}\r\n\r\n')), content, TextPiece(("\r\n",))]
        return (*pieces, TextPiece((f"--{boundary}--\r\n",)))


def _own_value(option: str, value: Span) -> tuple[str, str]:
    """Return what an option puts before its value in a field line, and the value."""
    text = value.text
    if option == "--user":
        if ":" not in text and not re.fullmatch(r"\s*\{\{[^}]*\}\}\s*", text):
            raise value.error("-u takes user:password; curl would ask for the password")
        return "Basic ", text
    if option == "--oauth2-bearer":
        return "Bearer ", text
    if option == "--range":
        return "bytes=", f"{match[0]}-" if (match := _RANGE.match(text)) else text
    return "", text.removesuffix(";auto") if option == "--referer" else text


def _query(value: Span) -> Parts:
    return read_text(Span(value.text[1:], *value.at(1))) if value.text.startswith("+") else _encoded(value)[0]


def _encoded(value: Span) -> tuple[Parts, FilePiece | None]:
    """Read ``content``, ``=content``, ``name=content``; files are encoded as they are read."""
    text = value.text
    equals, at_sign = text.find("="), text.find("@")
    if at_sign >= 0 and (equals < 0 or at_sign < equals):
        name = text[:at_sign]
        path = text[at_sign + 1 :]
        encoded = quote_plus(_content_of(path, value))
        return ((f"{name}={encoded}" if name else encoded),), None
    start = equals + 1 if equals >= 0 else 0
    head = text[:equals] + "=" if equals > 0 else ""
    parts: Parts = (head,) if head else ()
    content = read_text(Span(text[start:], *value.at(start)))
    return (*parts, *(quote_plus(part, errors="surrogateescape") if isinstance(part, str) else part for part in content)), None


def _sent_as_utf8(header: HeaderTemplate) -> HeaderTemplate:
    """Return the field line with its text as the bytes that curl sends: field lines are latin-1 here."""
    if header.basic or all(not isinstance(part, str) or part.isascii() for part in header.parts):
        return header
    parts = (part.encode("utf-8", "surrogateescape").decode("latin-1") if isinstance(part, str) else part for part in header.parts)
    return replace(header, parts=tuple(parts))


def _file(value: Span, start: int, *, strip: bool) -> Piece:
    path = value.text[start:]
    if path == "-":
        raise no_stdin(value)
    if not strip:
        return FilePiece(read_text(Span(path, *value.at(start))), value.line, value.column)
    # curl's -d removes line ends and zero bytes from a file.
    content = re.sub(rb"[\r\n\0]", b"", _content_of(path, value))
    return _inline(content, value)


def _inline(content: bytes, at: Span) -> FilePiece:
    return FilePiece((f"data:;base64,{base64.b64encode(content).decode()}",), at.line, at.column)


def _content_of(path: str, at: Span) -> bytes:
    if path == "-":
        raise no_stdin(at)
    if "{{" in path:
        raise at.error("this form of a file takes no placeholder: use --data-binary @file")
    try:
        return Path(path).expanduser().read_bytes()
    except (OSError, ValueError) as error:
        raise at.error(f"cannot read {path[:200]}: {getattr(error, 'strerror', None) or 'not a file name'}") from None


def _parts_of(pieces: tuple[Piece, ...], at: Span) -> Parts:
    parts: list[Part] = []
    for piece in pieces:
        if isinstance(piece, FilePiece):
            raise at.error("-G with a file is not supported: write the query into the URL")
        parts += piece.parts
    return tuple(parts)


_FIELDS = 7
# Hosts that curl treats as secure without encryption: the traffic never leaves the machine.
_SECURE_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


class _Cookie(NamedTuple):
    """One line of a cookie file; `expires` is 0 for one that lasts as long as its session."""

    domain: str
    subdomains: bool
    path: str
    secure: bool
    expires: float
    pair: str


def cookies_for(url: str, path: str) -> str:
    """Return what a Cookie field holds for a URL by a cookie file, "" for none.

    Raises:
        OSError: The file cannot be read.
        ValueError: The URL is none, or the file is no cookie file.
    """
    target = parse_target(url)
    lines = Path(path).expanduser().read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    lines = [line.removeprefix("#HttpOnly_") for line in lines]
    cookies = [_read(line) for line in lines if line.strip() and not line.startswith("#")]
    now = time.time()
    fitting = [cookie for cookie in cookies if _goes_to(cookie, target, now)]
    # As curl: longer paths, longer domains and longer names first, then those written last.
    fitting.sort(key=lambda cookie: (len(cookie.path), len(cookie.domain), len(cookie.pair.partition("=")[0])), reverse=True)
    return "; ".join(cookie.pair for cookie in fitting)


def _read(line: str) -> _Cookie:
    fields = line.split("\t")
    if len(fields) == _FIELDS - 1:
        fields.append("")
    if len(fields) != _FIELDS or not fields[4].strip().lstrip("-").isdigit():
        raise ValueError("it is no cookie file (seven fields with tabs between them)")
    domain, subdomains, path, secure, expires, name, value = fields
    return _Cookie(domain.lstrip("."), subdomains == "TRUE", path, secure == "TRUE", float(expires), f"{name}={value}")


def _goes_to(cookie: _Cookie, target: Target, now: float) -> bool:
    host = target.origin.host
    domain = cookie.domain.lower()
    path = target.path_query.partition("?")[0]
    own = cookie.path.rstrip("/")
    return (
        (host == domain or (cookie.subdomains and host.endswith(f".{domain}")))
        and (not own or path == own or path.startswith(f"{own}/"))
        and (not cookie.secure or target.origin.scheme == "https" or host in _SECURE_HOSTS)
        and (not cookie.expires or cookie.expires > now)
    )
