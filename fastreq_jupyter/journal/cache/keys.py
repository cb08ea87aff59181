"""Recognizes a request in a cache: one keyed hash of everything that selects its answer.

    method, URL and body, as they are sent       another token in them is another request
    field lines, but those of `_OF_NO_MATTER`    Accept, Accept-Language, credentials, X-Tenant; never the order
    cookies                                      those that the user gave; those of servers where they may tell who asks

A token out of an earlier answer of the cell counts by the request that got it: it is another one each time, whoever asks.

A server's cookies tell nothing new while all that was sent with them came from the same sender: the one whose credentials the
request has. After a login, or a POST without credentials, they may: then they are part of the key.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.auth import Native, OAuth2
from fastreq_jupyter.files import Upload
from fastreq_jupyter.journal.identity import credentials_hash
from fastreq_jupyter.redact import is_secret_header
from fastreq_jupyter.url import parse_target

if TYPE_CHECKING:
    from fastreq_jupyter.engine import Jar
    from fastreq_jupyter.model import Authority, Chained, Headers, Request
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
        authority: Gives credentials that are put on a request later than this, or None.
        kind: What else decides over all answers of the run.
    """

    def __init__(self, secret: bytes, jar: Jar, authority: Authority | None = None, kind: str = "") -> None:
        self._secret = secret
        self._jar = jar
        self._authority = authority
        self._kind = kind.encode()
        # Most requests of a run have the same field lines.
        self._heads: dict[Headers, bytes] = {}

    def of(self, request: Request) -> bytes | None:
        """Return the key of a request, None where its answer is not kept: it is conditional, has a file, or is nobody knows whose."""
        return self._key_of(request, request.url, request.content)

    def _key_of(self, request: Request, url: str, content: bytes | Upload | None) -> bytes | None:
        chained = request.chained
        headers = request.headers if chained is None else _as_written(request.headers, chained)
        head = self._heads.get(headers)
        if head is None:
            head = self._heads[headers] = _head(headers)
        owner = b"" if self._authority is None else self._owner(request)
        parents = b"" if chained is None else self._keys_of(chained.parents)
        if head == _NEVER or owner is None or parents is None or isinstance(content, Upload):
            return None
        cookies = b"" if self._jar.empty else self._cookies(request)
        where = url.encode("utf-8", "surrogatepass")
        parts = (request.method.encode(), where, head, cookies, content or b"", owner, parents, self._kind)
        sizes = b"%d %d %d %d %d %d %d %d " % tuple(map(len, parts))
        return blake2b(b"".join((sizes, *parts)), digest_size=16, key=self._secret).digest()

    def _keys_of(self, parents: tuple[Request, ...]) -> bytes | None:
        """Return who was answered, by the requests; what is made anew each time in them does not count."""
        keys = [self._key_of(parent, *(parent.identity or (parent.url, parent.content))) for parent in parents]
        return None if None in keys else b"".join(key for key in keys if key is not None)

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
        credentials = credentials_hash(request, request.url, request.content, request.header("content-type"), self._secret)
        owner = b"" if self._authority is None else self._owner(request) or b""
        known = owner or any(is_secret_header(name) and name.lower() != "cookie" for name, _ in request.headers)
        if request.method in _SAFE or known:
            return b"|".join((credentials, owner, b"" if self._jar.empty else self._given_cookies_hash(request)))
        # The body of a login names the user.
        return _SOMEBODY

    def _owner(self, request: Request) -> bytes | None:
        """Return the owner of credentials that a request gets later: empty for none, None if unknown."""
        target = _target(request)
        if self._authority is None or target is None or target.user is not None or request.header("authorization") is not None:
            return b""
        auth = self._authority.auth_for(target.origin)
        if auth is None:
            return b""
        parts: tuple[Any, ...]
        if isinstance(auth, OAuth2) and auth.device_url is None:
            parts = (auth.token_url, auth.client_id, auth.client_secret, auth.scope, auth.audience, auth.refresh_token)
        elif isinstance(auth, Native) and auth.user:
            parts = (auth.scheme, auth.user, auth.password, auth.signed_for, *auth.lines)
        else:
            # A function, a sign-in or a Kerberos ticket: no value that we have identifies the user.
            return None
        return blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=16, key=self._secret).digest()

    def _cookies(self, request: Request) -> bytes:
        jar = self._jar
        if not jar.received or (not jar.unseen and jar.senders <= {self._sender(request)}):
            return self._given_cookies_hash(request)
        target = _target(request)
        return b"" if target is None else (jar.header_for(target) or "").encode("latin-1", "replace") + self._given_cookies_hash(request)

    def _given_cookies_hash(self, request: Request) -> bytes:
        target = _target(request)
        cookies = "" if target is None else self._jar.given_for(target)
        return blake2b(cookies.encode("latin-1", "replace"), digest_size=16, key=self._secret).digest() if cookies else b""


def _target(request: Request) -> Target | None:
    try:
        return parse_target(request.url)
    except ValueError:
        return None


_NEVER = b"\0"


def _as_written(headers: Headers, chained: Chained) -> Headers:
    """Return field lines with the names of earlier answers' secrets in place of these."""
    lines = dict(chained.lines)
    return tuple(lines.get(line, line) for line in headers)


def _head(headers: Headers) -> bytes:
    lines = sorted((name.lower(), value) for name, value in headers)
    if any(name in _CONDITIONAL for name, _ in lines):
        return _NEVER
    kept = [f"{name}:{value}" for name, value in lines if name not in _OF_NO_MATTER]
    return "\n".join(kept).encode("utf-8", "surrogatepass")
