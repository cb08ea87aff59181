"""Recognizes a request of an earlier run: in a journal by what is asked (`Identities`), in a cache by what selects its answer (`Keys`).

Both are keyed hashes: a file tells nothing of what was sent.

In a journal a request is its method, its URL and its body, and which of the equal ones it is; in them neither credentials
(userinfo, secret fields, values inserted as secrets) nor what is made anew each time (``$uuid``). Of the headers only those
count that choose what is answered. Credentials make a second hash. Equal requests with different credentials (a key per row)
are told apart by it; one that comes back with new credentials (a token was renewed) is still the same.

In a cache the key of an answer is one hash of

    method, URL and body, as they are sent       another token in them is another request
    field lines, but those of `_OF_NO_MATTER`    Accept, Accept-Language, credentials, X-Tenant; never the order
    cookies                                      those that the user gave; those of servers where they may tell who asks

A token out of an earlier answer of the cell counts by the request that got it: it is another one each time, whoever asks.
A server's cookies tell nothing new while all that was sent with them came from the same sender: the one whose credentials the
request has. After a login, or a POST without credentials, they may: then they are part of the key.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from fastreq_jupyter.auth import Native, OAuth2
from fastreq_jupyter.files import Upload
from fastreq_jupyter.redact import MASK, SHORTEST, is_secret_header, is_secret_name, redact_url, secret_spans, secret_values
from fastreq_jupyter.url import parse_target

if TYPE_CHECKING:
    from fastreq_jupyter.engine import Jar
    from fastreq_jupyter.model import Authority, Chained, Headers, Request
    from fastreq_jupyter.url import Target

# Fields that are masked to be safe, but often choose what is returned.
_ALSO_PLAIN = frozenset({"key", "pass"})
_CHOOSING = frozenset({"accept", "accept-language", "range"})
_LARGEST_SEARCHED = 2**20
_ORIGIN = re.compile(r"([^:/?#]*:)//(?:[^/?#]*@)?([^/?#]*)")
_BOUNDARY = re.compile(r"boundary=\"?([^\s\";]+)", re.IGNORECASE)


class Identity(NamedTuple):
    """The name of a request: hash of what it asks, hash of its credentials (empty without any), and its number among equal ones."""

    base: bytes
    credentials: bytes
    occurrence: int


class Identities:
    """The names of the requests of one run, in the order they come.

    Args:
        key: Random bytes of the journal.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._counts: dict[int, int] = {}
        self._first_credentials: dict[int, bytes] = {}

    def of(self, request: Request, *, same: bool = False) -> Identity:
        """Return the identity of the next request; `same` of one that is the same as the last equal one."""
        url, content = request.identity or (request.url, request.content)
        secrets = request.secrets
        hashed = blake2b(digest_size=16, key=self._key)
        kind = request.header("content-type")
        _add(hashed, request.method.encode())
        _add(hashed, _stable_url(url, secrets).encode("utf-8", "surrogatepass"))
        for name, value in request.headers:
            if name.lower() in _CHOOSING:
                _add(hashed, f"{name.lower()}:{value}".encode("utf-8", "surrogatepass"))
        if content:
            _add(hashed, _stable_body(content, kind, secrets))
        base = hashed.digest()
        credentials = _credentials_hash(request, url, content, kind, self._key)
        # Eight bytes are enough within one run, and a million of them take half the memory.
        short = int.from_bytes(base[:8]) ^ int.from_bytes(credentials[:8])
        occurrence = self._counts[short] = max(1, self._counts.get(short, 0) + (not same))
        return Identity(base, credentials, occurrence)

    def has_first_credentials(self, identity: Identity) -> bool:
        """Tell whether all equal requests of this run had these credentials so far; to be asked for each."""
        return self._first_credentials.setdefault(int.from_bytes(identity.base[:8]), identity.credentials) == identity.credentials


def _credentials_hash(request: Request, url: str, content: bytes | Upload | None, kind: str | None, key: bytes) -> bytes:
    """Return the keyed hash of a request's credentials, empty where it has none."""
    searched = content if content and len(content) <= _LARGEST_SEARCHED else None
    values = secret_values(url, request.headers, searched, kind) | request.secrets
    if not values:
        return b""
    hashed = blake2b(digest_size=16, key=key)
    for value in sorted(values):
        _add(hashed, value.encode("utf-8", "surrogatepass"))
    return hashed.digest()


def _add(hashed: blake2b, part: bytes) -> None:
    hashed.update(len(part).to_bytes(8))
    hashed.update(part)


def _is_credential(name: str) -> bool:
    return is_secret_name(name) and name.lower() not in _ALSO_PLAIN


def _stable_url(url: str, secrets: frozenset[str]) -> str:
    stable = redact_url(url, secrets, is_secret=_is_credential)
    if secrets and (origin := _ORIGIN.match(url)):
        # A secret may contain the host name; requests to different hosts must never count as equal.
        stable = f"{origin[1]}//{origin[2]} {stable}"
    return stable


def _stable_body(content: bytes | Upload, kind: str | None, secrets: frozenset[str]) -> bytes:
    content = content.fingerprint if isinstance(content, Upload) else content
    if kind is not None and "multipart/" in kind.lower() and (match := _BOUNDARY.search(kind)):
        content = content.replace(match[1].encode("utf-8", "surrogatepass"), b"boundary")
    if len(content) <= _LARGEST_SEARCHED:
        content = _without_fields(content, kind)
    for secret in secrets:
        if len(secret) >= SHORTEST:
            content = content.replace(secret.encode("utf-8", "surrogatepass"), MASK.encode())
    return content


def _without_fields(content: bytes, kind: str | None) -> bytes:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    pieces: list[str] = []
    at = 0
    for start, end in secret_spans(text, kind, _is_credential):
        pieces += [text[at:start], MASK]
        at = end
    return "".join([*pieces, text[at:]]).encode("utf-8", "surrogatepass") if pieces else content


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
        """Return the key of a request, None where its answer is not stored: it is conditional, has a file, or its owner is unknown."""
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
        """Return the keys of requests whose answers were used; values that are made anew each time do not count."""
        keys = [self._key_of(parent, *(parent.identity or (parent.url, parent.content))) for parent in parents]
        return None if None in keys else b"".join(key for key in keys if key is not None)

    def sent(self, request: Request) -> None:
        """Note the sender of a request: cookies that servers set from now on may be theirs."""
        self._jar.senders.add(self._sender(request))

    def cookie_values(self, request: Request, *, received: bool) -> frozenset[str]:
        """Return the values of the cookies that go with a request: those that the user gave and, where asked for, servers' own."""
        target = None if self._jar.empty else _target(request)
        if target is None:
            return frozenset()
        lines = (self._jar.given_for(target), (self._jar.header_for(target) or "") if received else "")
        return frozenset(pair.partition("=")[2] for line in lines for pair in line.split("; ") if pair)

    def _sender(self, request: Request) -> bytes:
        credentials = _credentials_hash(request, request.url, request.content, request.header("content-type"), self._secret)
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
