"""Requests back to text that a cell reads again: ``.http`` and cURL, secrets as ``{{$env NAME}}``.

What was written is read again at once; where it would not give the same request, a safer spelling is taken (a body in
base64, a curl line), so that reading is the inverse of writing wherever a cell can say the request at all. A body that
is no text and holds a secret is left out.
"""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from fastreq_jupyter.cell.fill.dynamic import Surroundings
from fastreq_jupyter.cell.named_secrets import NamedSecrets, Pieces, Secret
from fastreq_jupyter.cell.plan import build
from fastreq_jupyter.errors import CellSyntaxError
from fastreq_jupyter.model import Request
from fastreq_jupyter.options import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["secrets_of", "to_curl", "to_http"]

_NAME = re.compile(r"[A-Za-z][\w-]*")
_URL_MARK = re.compile(r"\{\{|\[[0-9]+-[0-9]+(?::[0-9]+)?\]|\[[A-Za-z]-[A-Za-z](?::[0-9]+)?\]|\{[\w.$][\w.,$ +-]*\}|\\\{\{|\\[\[{]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_ANSI = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


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
    named = NamedSecrets()
    for request in _several(requests):
        _curl(request, named)
        _http(request, named)
    return named.values


def _written(requests: Request | Iterable[Request], forms: tuple[Callable[[Request, NamedSecrets], str], ...], between: str) -> str:
    named = NamedSecrets()
    several = list(_several(requests))
    # Names are given by one walk, so that both texts and `secrets_of` agree on them.
    for request in several:
        _curl(request, named)
        _http(request, named)
    texts: list[str] = []
    labels: set[str] = set()
    for request in several:
        text = _best(request, named, forms)
        label = request.label
        if label and label not in labels and _NAME.fullmatch(label):
            labels.add(label)
            text = f"# @name {label}\n{text}"
        texts.append(text)
    return between.join(texts) + "\n" if texts else ""


def _several(requests: Request | Iterable[Request]) -> Iterator[Request]:
    if isinstance(requests, Request):
        yield requests
    else:
        yield from requests


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
    return request.method, request.url, request.headers, request.content


def _http(request: Request, named: NamedSecrets) -> str:
    text = _text_of(request.content)
    if text is not None:
        return _http_with(request, named, _escaped(named.body(request, text)))
    return _http_with(request, named, "") if _body_has_secrets(request, named) else _http_inline(request, named)


def _http_inline(request: Request, named: NamedSecrets) -> str:
    body = "" if request.content is None else f"< data:;base64,{base64.b64encode(request.content).decode()}"
    return _http_with(request, named, body)


def _body_has_secrets(request: Request, named: NamedSecrets) -> bool:
    text = (request.content or b"").decode("utf-8", "replace")
    return any(isinstance(piece, Secret) for piece in named.body(request, text))


def _http_with(request: Request, named: NamedSecrets, body: str) -> str:
    lines = [f"{request.method} {_escaped_url(named.url(request))}"]
    lines += [f"{name}: {_escaped(named.header(request, name, value))}".rstrip() for name, value in request.headers]
    return "\n".join(lines) + (f"\n\n{body}" if body else "")


def _curl(request: Request, named: NamedSecrets) -> str:
    words = ["curl", *_curl_method(request)]
    url = named.url(request)
    if any(not isinstance(piece, Secret) and re.search(r"[\[\]{}]", piece) for piece in url):
        words.append("-g")
    lines = [" ".join([*words, _shell(_escaped(url))])]
    for name, value in request.headers:
        text = _escaped(named.header(request, name, value))
        lines.append(f"-H {_shell(f'{name}: {text}' if text else f'{name};')}")
    if request.content is not None:
        if request.header("content-type") is None:
            lines.append("-H 'Content-Type:'")
        lines.append(f"--data-raw {_shell_body(request, named)}")
    return " \\\n  ".join(lines)


def _curl_method(request: Request) -> list[str]:
    if request.method == "HEAD" and request.content is None:
        return ["-I"]
    default = "GET" if request.content is None else "POST"
    return [] if request.method == default else ["-X", request.method]


def _shell_body(request: Request, named: NamedSecrets) -> str:
    text = _text_of(request.content)
    if text is None and _body_has_secrets(request, named):
        return "''"
    if text is None:
        return _ansi((request.content or b"").decode("utf-8", "surrogateescape"))
    return _shell(_escaped(named.body(request, text)))


def _text_of(content: bytes | None) -> str | None:
    try:
        return (content or b"").decode()
    except UnicodeDecodeError:
        return None


def _escaped(pieces: Pieces) -> str:
    return "".join(piece if isinstance(piece, Secret) else piece.replace("{{", "\\{{") for piece in pieces)


def _escaped_url(pieces: Pieces) -> str:
    return "".join(piece if isinstance(piece, Secret) else _URL_MARK.sub(lambda found: "\\" + found[0], piece) for piece in pieces)


def _shell(text: str) -> str:
    if _CONTROL.search(text):
        return _ansi(text)
    return "'" + text.replace("'", "'\\''") + "'"


def _ansi(text: str) -> str:
    return "$'" + "".join(_ANSI.get(letter) or _ansi_letter(letter) for letter in text) + "'"


def _ansi_letter(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004 - a byte that is no UTF-8, as surrogateescape has it
        return f"\\x{code - 0xDC00:02x}"
    if _CONTROL.match(letter):
        return "".join(f"\\x{byte:02x}" for byte in letter.encode())
    return letter


_DEFAULTS = Options()
