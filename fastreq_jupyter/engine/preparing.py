"""A request becomes what goes on the wire: target, default field lines, credentials of the URL."""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from typing import TYPE_CHECKING

from fastreq_jupyter.content import NO_FIELD_VALUE, TOKEN
from fastreq_jupyter.engine.decoding import ACCEPT_ENCODING
from fastreq_jupyter.exchange import Exchange
from fastreq_jupyter.model import IDEMPOTENT
from fastreq_jupyter.url import parse_target

if TYPE_CHECKING:
    from fastreq_jupyter.model import Headers, Request

__all__ = ["USER_AGENT", "UnsendableError", "field_lines_of", "prepare"]

USER_AGENT = "fastreq-jupyter/0.1"
_DEFAULTS: Headers = (("User-Agent", USER_AGENT), ("Accept", "*/*"), ("Accept-Encoding", ACCEPT_ENCODING))
_DEFAULT_NAMES = frozenset({"user-agent", "accept", "accept-encoding"})
# An empty value removes the field, as curl's -A '' and -H 'Accept:' do.
_LEFT_OUT_EMPTY = frozenset({"user-agent", "accept"})
# RFC 9110, 7.6.1: fields of one connection, which do not apply to ours in a copied request.
_OF_THE_CONNECTION = frozenset({"connection", "keep-alive", "proxy-connection", "upgrade", "te", "trailer"})


class UnsendableError(ValueError):
    """A request cannot go on the wire; `kind` is the row's error."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


def prepare(request: Request, connect_timeout: float | None = None) -> Exchange:
    """Return the first exchange of a request.

    Args:
        request: What to send.
        connect_timeout: Seconds for name, connection and TLS, or None.

    Raises:
        UnsendableError: The URL, the method or a field line cannot be sent; nothing was.
    """
    try:
        target = parse_target(request.url)
    except ValueError as error:
        raise UnsendableError("invalid URL", str(error)) from None
    if request.method not in IDEMPOTENT and not TOKEN.fullmatch(request.method):
        raise UnsendableError("invalid value", "the method is not a token")
    if request.operation is not None and request.save_as is not None:
        raise UnsendableError("save_to", "an answer of GraphQL goes into the frame, not to a file: leave save_to out")
    headers = field_lines_of(request.headers) if request.headers else _DEFAULTS
    if target.user is not None and request.header("authorization") is None:
        pair = f"{target.user}:{target.password or ''}".encode()
        headers = (*headers, ("Authorization", "Basic " + b64encode(pair).decode("ascii")))
    return Exchange(request.method, target, headers, request.content, connect_timeout=connect_timeout)


# Most requests of a run have the same field lines: check them once, and let backends encode them once.
@lru_cache(maxsize=64)
def field_lines_of(headers: Headers) -> Headers:
    """Return the field lines that go out for those a user gave.

    Raises:
        UnsendableError: One of them cannot be sent.
    """
    lines = []
    seen = set()
    for name, value in headers:
        lowered = name.lower()
        if lowered in _OF_THE_CONNECTION:
            continue
        if not TOKEN.fullmatch(name):
            raise UnsendableError("invalid value", "a header name is not a token")
        if NO_FIELD_VALUE.search(value):
            raise UnsendableError("invalid value", f"the value of header {name} has a control character")
        seen.add(lowered)
        if not value and lowered in _LEFT_OUT_EMPTY:
            continue
        lines.append((name, value if value.isascii() else _latin1(value)))
    if "range" in seen and "accept-encoding" not in seen:
        # A range of an encoded body cannot be decoded.
        lines.append(("Accept-Encoding", "identity"))
        seen.add("accept-encoding")
    missing = _DEFAULT_NAMES - seen
    if missing:
        lines = [line for line in _DEFAULTS if line[0].lower() in missing] + lines
    return tuple(lines)


def _latin1(value: str) -> str:
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace").decode("latin-1")
    return value
