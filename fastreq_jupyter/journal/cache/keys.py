"""By what a cache knows a request again: all that chooses its answer, as one keyed hash.

    method, URL and body, as they are sent       another token in them is another request
    field lines, but those of `_OF_NO_MATTER`    Accept, Accept-Language, credentials, X-Tenant; never the order
    cookies                                      those that the user gave; those of servers where they may tell who asks

A server's cookies tell nothing new while all that was sent with them came from the same sender: the one whose credentials the
request has. After a login, or a POST without credentials, they may: then they are part of the key.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from fastreq_jupyter.files import Upload
from fastreq_jupyter.journal.identity import guise_of
from fastreq_jupyter.redact import is_secret_header
from fastreq_jupyter.url import parse_target

if TYPE_CHECKING:
    from fastreq_jupyter.engine import Jar
    from fastreq_jupyter.model import Headers, Request
    from fastreq_jupyter.url import Target

__all__ = ["Keys"]

_OF_NO_MATTER = frozenset({
    "user-agent", "accept-encoding", "cache-control", "pragma", "connection", "keep-alive", "proxy-connection", "te", "upgrade",
    "content-length", "expect", "date", "dnt", "priority", "referer", "origin", "traceparent", "tracestate", "baggage", "x-request-id",
    "x-correlation-id", "x-amzn-trace-id", "idempotency-key", "upgrade-insecure-requests", "sec-fetch-dest", "sec-fetch-mode",
    "sec-fetch-site", "sec-fetch-user", "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform",
})  # fmt: skip
_CONDITIONAL = frozenset({"if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_SOMEBODY = b"?"


class Keys:
    """The keys of a run's requests.

    Args:
        secret: The file's key.
        jar: Cookies of the run.
        kind: What else decides over all answers of the run.
    """

    def __init__(self, secret: bytes, jar: Jar, kind: str = "") -> None:
        self._secret = secret
        self._jar = jar
        self._kind = kind.encode()
        # Most requests of a run have the same field lines.
        self._heads: dict[Headers, bytes] = {}

    def of(self, request: Request) -> bytes | None:
        """Return the key of a request, None where the request is conditional itself: its answer is not for others."""
        head = self._heads.get(request.headers)
        if head is None:
            head = self._heads[request.headers] = _head(request.headers)
        if head == _NEVER:
            return None
        cookies = b"" if self._jar.empty else self._cookies(request)
        content = request.content.fingerprint if isinstance(request.content, Upload) else request.content or b""
        url = request.url.encode("utf-8", "surrogatepass")
        method = request.method.encode()
        sizes = b"%d %d %d %d %d %d " % (len(method), len(url), len(head), len(cookies), len(content), len(self._kind))
        return blake2b(b"".join((sizes, method, url, head, cookies, content, self._kind)), digest_size=16, key=self._secret).digest()

    def sent(self, request: Request) -> None:
        """Take note of who sends a request: what servers' cookies stand for may be theirs from now on."""
        self._jar.senders.add(self._sender(request))

    def cookie_values(self, request: Request, *, received: bool) -> frozenset[str]:
        """Return the values of the cookies that go with a request: those that the user gave and, where asked for, servers' own."""
        target = None if self._jar.empty else _target(request)
        if target is None:
            return frozenset()
        lines = (self._jar.given_for(target), (self._jar.header_for(target) or "") if received else "")
        return frozenset(pair.partition("=")[2] for line in lines for pair in line.split("; ") if pair)

    def _sender(self, request: Request) -> bytes:
        guise = guise_of(request, request.url, request.content, request.header("content-type"), self._secret)
        if request.method in _SAFE or any(is_secret_header(name) and name.lower() != "cookie" for name, _ in request.headers):
            return guise if self._jar.empty else guise + self._given(request)
        # Whoever logs in says in the body who it is.
        return _SOMEBODY

    def _cookies(self, request: Request) -> bytes:
        jar = self._jar
        if not jar.received or (not jar.unseen and jar.senders <= {self._sender(request)}):
            return self._given(request)
        target = _target(request)
        return b"" if target is None else (jar.header_for(target) or "").encode("latin-1", "replace") + self._given(request)

    def _given(self, request: Request) -> bytes:
        target = _target(request)
        given = "" if target is None else self._jar.given_for(target)
        return blake2b(given.encode("latin-1", "replace"), digest_size=16, key=self._secret).digest() if given else b""


def _target(request: Request) -> Target | None:
    try:
        return parse_target(request.url)
    except ValueError:
        return None


_NEVER = b"\0"


def _head(headers: Headers) -> bytes:
    lines = sorted((name.lower(), value) for name, value in headers)
    if any(name in _CONDITIONAL for name, _ in lines):
        return _NEVER
    kept = [f"{name}:{value}" for name, value in lines if name not in _OF_NO_MATTER]
    return "\n".join(kept).encode("utf-8", "surrogatepass")
