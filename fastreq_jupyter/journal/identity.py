"""Recognizes a request of an earlier run in a journal.

A request is its method, its URL and its body, and which of the equal ones it is; in them neither credentials (userinfo,
secret fields, values inserted as secrets) nor what is made anew each time (``$uuid``). Of the headers only those count
that choose what is answered. All of it is a keyed hash: the journal's text tells nothing of what was sent.

Credentials make a second hash. Equal requests with different credentials (a key per row) are told apart by it; one
that comes back with new credentials (a token was renewed) is still the same.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from fastreq_jupyter.files import Upload
from fastreq_jupyter.redact import MASK, SHORTEST, is_secret_name, redact_url, secret_spans, secret_values

if TYPE_CHECKING:
    from fastreq_jupyter.model import Request

__all__ = ["Identities", "Identity", "credentials_hash"]

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
        credentials = self._credentials_of(request, url, content, kind)
        # Eight bytes are enough within one run, and a million of them take half the memory.
        short = int.from_bytes(base[:8]) ^ int.from_bytes(credentials[:8])
        occurrence = self._counts[short] = max(1, self._counts.get(short, 0) + (not same))
        return Identity(base, credentials, occurrence)

    def has_first_credentials(self, identity: Identity) -> bool:
        """Tell whether all equal requests of this run had these credentials so far; to be asked for each."""
        return self._first_credentials.setdefault(int.from_bytes(identity.base[:8]), identity.credentials) == identity.credentials

    def _credentials_of(self, request: Request, url: str, content: bytes | Upload | None, kind: str | None) -> bytes:
        return credentials_hash(request, url, content, kind, self._key)


def credentials_hash(request: Request, url: str, content: bytes | Upload | None, kind: str | None, key: bytes) -> bytes:
    """Return the keyed hash of a request's credentials, empty where it has none."""
    if not (request.headers or content or request.secrets or "?" in url or "@" in url or "#" in url):
        return b""
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
