"""Requests back to text that a cell reads again: ``.http`` and cURL, secrets as ``{{$env NAME}}``.

What was written is read again at once; where it would not give the same request, a safer spelling is taken (a body in
base64, a curl line), so that reading is the inverse of writing wherever a cell can say the request at all. A body that
is no text and holds a secret is left out.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from fastreq_jupyter.cell.fill import Surroundings
from fastreq_jupyter.cell.plan import build
from fastreq_jupyter.cell.syntax import RESERVED
from fastreq_jupyter.errors import CellSyntaxError
from fastreq_jupyter.files import FilePart, Upload
from fastreq_jupyter.model import Request
from fastreq_jupyter.options import Options
from fastreq_jupyter.redact import is_secret_header, is_secret_name, secret_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9-]*)[ \t]+(?=\S)")
_USERINFO = re.compile(r"\A([^/?#]*://)([^/?#]*)@")
_PAIR = re.compile(r"([?&])([^=&#]*)=([^&#]*)")
_NOT_NAME = re.compile(r"[^A-Za-z0-9]+")
_EVERYWHERE = 8
# Variables that would give another value instead of an error if the user did not set them.
_SET_BY_SYSTEMS = frozenset(
    {"USER", "USERNAME", "LOGNAME", "HOME", "HOST", "HOSTNAME", "PATH", "PWD", "SHELL", "LANG", "TERM", "TMP", "TEMP", "EDITOR", "DISPLAY"}
)

_NAME = re.compile(r"[A-Za-z][\w-]*")
_URL_MARK = re.compile(r"\{\{|\[[0-9]+-[0-9]+(?::[0-9]+)?\]|\[[A-Za-z]-[A-Za-z](?::[0-9]+)?\]|\{[\w.$][\w.,$ +-]*\}|\\\{\{|\\[\[\]{}]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
# A byte that is not UTF-8, as surrogateescape represents it.
_BYTES = re.compile("[\udc80-\udcff]")
_ANSI = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


class Secret(str):
    """The placeholder of a secret, among pieces of plain text."""

    __slots__ = ()


Pieces = list[str]
"""Text in order; a `Secret` among it is a placeholder."""


class NamedSecrets:
    """The secret values of several requests, each with a name.

    Attributes:
        values: Name -> value.
    """

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def name_of(self, value: str, preferred: str) -> str:
        """Return the name of a value, `preferred` or like it where it is new."""
        if value in self._names:
            return self._names[value]
        stem = _NOT_NAME.sub("_", preferred).strip("_").upper() or "SECRET"
        stem = f"_{stem}" if stem[0].isdigit() else stem
        stem = f"REQUEST_{stem}" if stem in _SET_BY_SYSTEMS else stem
        name, number = stem, 1
        while name in self.values:
            number += 1
            name = f"{stem}_{number}"
        self.values[name] = value
        self._names[value] = name
        return name

    def header(self, request: Request, name: str, value: str) -> Pieces:
        """Return a field value without its secrets."""
        if is_secret_header(name):
            if not value:
                return []
            scheme = _SCHEME.match(value) if name.lower().endswith("authorization") else None
            head = scheme[0] if scheme else ""
            stem = name.lower().removeprefix("x-")
            return [head, self._env(value[len(head) :], stem)] if head else [self._env(value, stem)]
        return self._by_value([value], request.secrets, lambda text: [text])

    def url(self, request: Request) -> Pieces:
        """Return the URL without its secrets."""
        pieces: Pieces = []
        rest = request.url
        if match := _USERINFO.match(rest):
            user, colon, password = match[2].partition(":")
            pieces += [match[1], self._quoted(user, "user")] if user else [match[1]]
            pieces += [colon, self._quoted(password, "password")] if password else [colon]
            rest = rest[match.end() - 1 :]
        elif (mark := rest.find("://")) >= 0:
            pieces, rest = [rest[: mark + 3]], rest[mark + 3 :]
        end = 0
        after: Pieces = []
        for match in _PAIR.finditer(rest):
            if match[3] and is_secret_name(unquote(match[2])):
                after += [rest[end : match.start(3)], self._quoted(match[3], unquote(match[2]))]
                end = match.end(3)
        return pieces + self._by_value([*after, rest[end:]], request.secrets, lambda text: [text, quote(text, safe="")], url=True)

    def body(self, request: Request, text: str) -> Pieces:
        """Return a text body without its secrets."""
        content_type = request.header("content-type")
        secrets = frozenset(map(_bare, secret_values("", (), text.encode(), content_type))) | request.secrets
        form = (content_type or "").lower().startswith("application/x-www-form-urlencoded")
        if form:
            return self._by_value([text], secrets, lambda value: [value, quote(value, safe="")], url=True)
        return self._by_value([text], secrets, lambda value: [value, json.dumps(value, ensure_ascii=False)[1:-1]])

    def _by_value(self, pieces: Pieces, values: frozenset[str], spell: Callable[[str], list[str]], *, url: bool = False) -> Pieces:
        for value in sorted(values, key=lambda value: (-len(value), value)):
            for spelling in dict.fromkeys(spell(value)):
                pieces = [part for piece in pieces for part in self._cut(piece, spelling, value, url=url)]
        return pieces

    def _cut(self, piece: str, spelling: str, value: str, *, url: bool) -> Iterator[str]:
        if isinstance(piece, Secret) or not spelling or spelling not in piece:
            yield piece
            return
        # A short secret is replaced only as a whole word: "a" occurs everywhere.
        pattern = re.escape(spelling) if len(spelling) >= _EVERYWHERE else rf"(?<![\w%]){re.escape(spelling)}(?!\w)"
        places = list(re.finditer(pattern, piece))
        fields = [_field_before(piece[: match.start()]) for match in places]
        # The value of a password may occur elsewhere too: it gets the name of the password.
        preferred = next(filter(is_secret_name, fields), next(iter(fields), "secret"))
        end = 0
        for match in places:
            yield piece[end : match.start()]
            yield self._quoted(spelling, preferred) if url else self._env(value, preferred)
            end = match.end()
        yield piece[end:]

    def _env(self, value: str, preferred: str) -> Secret:
        return Secret(f"{{{{$env {self.name_of(value, preferred)}}}}}")

    def _quoted(self, raw: str, preferred: str) -> Secret:
        """Return the placeholder that fills in as `raw` where values are percent-encoded."""
        value = unquote(raw)
        if quote(value, safe="") != raw and quote(raw, safe=RESERVED) == raw:
            return Secret(f"{{{{+$env {self.name_of(raw, preferred)}}}}}")
        return self._env(value, preferred)


def _bare(value: str) -> str:
    """Return a JSON string without its quotes and escapes."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        try:
            return str(json.loads(value))
        except ValueError:
            return value[1:-1]
    return value


def _field_before(text: str) -> str:
    match = re.search(r"([\w-]{1,60})\"?\s{0,5}[:=]\s{0,5}\"?\Z", text[-100:])
    return match[1] if match else "secret"


def to_http(requests: Request | Iterable[Request]) -> str:
    """Return requests as the text of a cell.

    Args:
        requests: One, or several; names that are not unique or no names are left out.

    Returns:
        ``.http`` text; secrets stand as ``{{$env NAME}}`` (`secrets_of` gives the values).
    """
    return _written(requests, (_http, _http_inline, _curl), "\n\n###\n\n")


def to_curl(requests: Request | Iterable[Request]) -> str:
    """Return requests as curl commands for a shell, one after the other; secrets stand as ``{{$env NAME}}``."""
    return _written(requests, (_curl,), "\n\n")


def secrets_of(requests: Request | Iterable[Request]) -> dict[str, str]:
    """Return name -> value of the secrets, under the names that the texts use."""
    return _named(_several(requests)).values


def _written(requests: Request | Iterable[Request], forms: tuple[Callable[[Request, NamedSecrets], str], ...], between: str) -> str:
    several = _several(requests)
    named = _named(several)
    texts: list[str] = []
    labels: set[str] = set()
    for request in several:
        text = _best(request, named, forms)
        label = request.label
        if label and label not in labels and _NAME.fullmatch(label):
            labels.add(label)
            text = f"# @name {label}\n{text}"
        text = f"# @cache\n{text}" if request.cache else text
        texts.append(text)
    return between.join(texts) + "\n" if texts else ""


def _several(requests: Request | Iterable[Request]) -> list[Request]:
    return [requests] if isinstance(requests, Request) else list(requests)


def _named(requests: Iterable[Request]) -> NamedSecrets:
    """Name the secrets in one pass, so that both texts and `secrets_of` agree."""
    named = NamedSecrets()
    for request in requests:
        _curl(request, named)
        _http(request, named)
    return named


def _best(request: Request, named: NamedSecrets, forms: tuple[Callable[[Request, NamedSecrets], str], ...]) -> str:
    texts = [form(request, named) for form in forms if form is not _http_inline or not _body_has_secrets(request, named)]
    return next((text for text in texts if _reads_as(text, request, named)), texts[0])


def _reads_as(text: str, request: Request, named: NamedSecrets) -> bool:
    surroundings = replace(Surroundings(), environ=lambda: named.values)
    try:
        items = list(build(text, options=_DEFAULTS, surroundings=surroundings).items)
    except CellSyntaxError:
        return False
    return len(items) == 1 and isinstance(items[0], Request) and _wire(items[0]) == _wire(request)


def _wire(request: Request) -> tuple[object, ...]:
    content: object = request.content
    if request.operation is not None:
        content = json.loads(_bytes(request) or b"null")
    headers = [
        (name, value if all(letter < "\u0100" for letter in value) else value.encode().decode("latin-1")) for name, value in request.headers
    ]
    return request.method, request.url, headers, content


def _http(request: Request, named: NamedSecrets) -> str:
    if request.operation is not None:
        return _graphql(request, named)
    text = _text_of(_bytes(request))
    if text is not None and isinstance(request.content, Upload):
        # Lines of a multipart body end as those of the cell do.
        text = text.replace("\r\n", "\n").rstrip("\n")
    if text is not None:
        return _http_with(request, named, _escaped(named.body(request, text)))
    return _http_with(request, named, "") if _body_has_secrets(request, named) else _http_inline(request, named)


def _graphql(request: Request, named: NamedSecrets) -> str:
    """Return a GraphQL request: the document as it is, then the variables."""
    body = json.loads(_bytes(request) or b"{}")
    lines = [f"GRAPHQL {_escaped_url(named.url(request))}"]
    lines += [
        f"{name}: {_escaped(named.header(request, name, value))}".rstrip()
        for name, value in request.headers
        if (name.lower(), value) != ("content-type", "application/json")
    ]
    lines += [f"X-GraphQL-Operation: {body['operationName']}"] if "operationName" in body else []
    lines += ["", body["query"]]
    if body.get("variables"):
        lines += ["", _escaped(named.body(request, json.dumps(body["variables"], ensure_ascii=False, indent=2)))]
    return "\n".join(lines)


def _http_inline(request: Request, named: NamedSecrets) -> str:
    body = "" if request.content is None else f"< data:;base64,{base64.b64encode(_bytes(request)).decode()}"
    return _http_with(request, named, body)


def _body_has_secrets(request: Request, named: NamedSecrets) -> bool:
    text = _bytes(request).decode("utf-8", "replace")
    return any(isinstance(piece, Secret) for piece in named.body(request, text))


def _http_with(request: Request, named: NamedSecrets, body: str) -> str:
    lines = [f"{request.method} {_escaped_url(named.url(request))}"]
    lines += [f"{name}: {_escaped(named.header(request, name, value))}".rstrip() for name, value in request.headers]
    return "\n".join(lines) + (f"\n\n{body}" if body else "")


def _curl(request: Request, named: NamedSecrets) -> str:
    if isinstance(request.content, Upload) and len(request.content.parts) > 1:
        return f"# {request.method} with a multipart body of large files: written as .http only"
    words = ["curl", *_curl_method(request)]
    url = named.url(request)
    if any(not isinstance(piece, Secret) and re.search(r"[\[\]{}]", piece) for piece in url):
        words.append("-g")
    lines = [" ".join([*words, _shell(_escaped(url))])]
    for name, value in request.headers:
        text = _escaped(_bytes_of(named.header(request, name, value), value))
        lines.append(f"-H {_shell(f'{name}: {text}' if text else f'{name};')}")
    if request.content is not None:
        if request.header("content-type") is None:
            lines.append("-H 'Content-Type:'")
        content = request.content
        file = content.parts[0] if isinstance(content, Upload) and len(content.parts) == 1 else None
        lines.append(
            f"--data-binary {_shell(f'@{file.path}')}" if isinstance(file, FilePart) else f"--data-raw {_shell_body(request, named)}"
        )
    return " \\\n  ".join(lines)


def _curl_method(request: Request) -> list[str]:
    if request.method == "HEAD" and request.content is None:
        return ["-I"]
    default = "GET" if request.content is None else "POST"
    return [] if request.method == default else ["-X", request.method]


def _shell_body(request: Request, named: NamedSecrets) -> str:
    text = _text_of(_bytes(request))
    if text is None and _body_has_secrets(request, named):
        return "''"
    if text is None:
        return _ansi(_bytes(request).decode("utf-8", "surrogateescape"))
    return _shell(_escaped(named.body(request, text)))


def _bytes(request: Request) -> bytes:
    """Return the body, with ``< path`` in place of what stands in files."""
    return request.content.shown if isinstance(request.content, Upload) else request.content or b""


def _text_of(content: bytes) -> str | None:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _escaped(pieces: Pieces) -> str:
    return "".join(piece if isinstance(piece, Secret) else piece.replace("{{", "\\{{") for piece in pieces)


def _escaped_url(pieces: Pieces) -> str:
    return "".join(piece if isinstance(piece, Secret) else _URL_MARK.sub(lambda match: "\\" + match[0], piece) for piece in pieces)


def _bytes_of(pieces: Pieces, value: str) -> Pieces:
    """Return a field value's text as a shell has it, whose bytes are sent as they are: UTF-8, else bytes one by one."""
    if value.isascii():
        return pieces
    codec = "latin-1" if all(letter < "\u0100" for letter in value) else "utf-8"
    return [piece if isinstance(piece, Secret) else piece.encode(codec).decode("utf-8", "surrogateescape") for piece in pieces]


def _shell(text: str) -> str:
    if _CONTROL.search(text) or _BYTES.search(text):
        return _ansi(text)
    return "'" + text.replace("'", "'\\''") + "'"


def _ansi(text: str) -> str:
    return "$'" + "".join(_ANSI.get(letter) or _ansi_letter(letter) for letter in text) + "'"


def _ansi_letter(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if _CONTROL.match(letter):
        return "".join(f"\\x{byte:02x}" for byte in letter.encode())
    return letter


_DEFAULTS = Options()
