"""What is a secret, and how it is shown.

The law: what we send as a secret is drawn as ``***`` everywhere, by name (a whole name of a printed list, never a part of
one) and by value (as it is, percent-encoded, JSON-escaped, base64). Values under `SHORTEST` characters are looked for only
where they were inserted: in the URL they stand in (`redact_url` with `secrets`) and in fields with a secret name; a
four-digit PIN would otherwise black out half of every text. Nothing here alters data, only what is drawn.
"""

from __future__ import annotations

import json as jsonlib
import re
from base64 import b64decode
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_plus

from fastreq_jupyter.content import decode_text
from fastreq_jupyter.secret_fields import NameTest, secret_part, secret_spans
from fastreq_jupyter.secret_names import SECRET_HEADERS, SECRET_NAMES, is_secret_header, is_secret_name
from fastreq_jupyter.spelling import spellings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fastreq_jupyter.response import Headers

__all__ = [
    "MASK",
    "SECRET_HEADERS",
    "SECRET_NAMES",
    "SHORTEST",
    "is_secret_header",
    "is_secret_name",
    "one_line",
    "redact_body",
    "redact_headers",
    "redact_text",
    "redact_url",
    "secret_values",
]

MASK = "***"
SHORTEST = 8
"""Characters a value needs to be looked for anywhere."""

_USERINFO = re.compile(r"(?<=//)[^/?#\s\"'<>]*@")
# A password with a bare "/", "?" or "#": the "port" before it is no number.
_BROKEN_USERINFO = re.compile(r"\A([^/?#@\s]*//)[^/?#@\s:\[]*:(?![0-9]*(?:[/?#]|$))[^\s]*@")
_SCHEMELESS_USERINFO = re.compile(r"\A[^/?#\s@:]*:[^/?#\s@]*@")
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]?|[\]P^_X][^\x07\x1b]*(?:\x07|\x1b\\)?|.?)", re.DOTALL)
_SPACES = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029 ]+")
_HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def redact_url(url: str, secrets: Iterable[str] = (), *, is_secret: NameTest = is_secret_name) -> str:
    """Return the URL with userinfo and secret query values as ``***``.

    Args:
        url: Any text; need not be a URL.
        secrets: Values inserted into this URL; replaced behind the authority however short they are.
        is_secret: Tells which names of the query are secret.
    """
    if "@" in url:
        url = _redact_userinfo(url)
    if "?" in url or "#" in url:
        url = _redact_query(url, is_secret)
    return _redact_inserted(url, secrets) if secrets else url


def redact_headers(headers: Headers, secrets: Iterable[str] = ()) -> Headers:
    """Return the field lines with values of secret ones as ``***``, URLs in the others redacted."""
    return tuple(
        (name, MASK if is_secret_header(name) else redact_text(redact_url(value) if "://" in value else value, secrets))
        for name, value in headers
    )


def redact_text(text: str, secrets: Iterable[str]) -> str:
    """Return the text with every spelling of the secrets as ``***``; those under `SHORTEST` characters are left."""
    if not secrets:
        return text
    for spelling in _all_spellings(secrets if isinstance(secrets, frozenset) else frozenset(secrets)):
        if spelling in text:
            text = text.replace(spelling, MASK)
    return text


def redact_body(content: bytes, content_type: str | None, secrets: Iterable[str] = (), *, limit: int = 65_536) -> str:
    """Return a preview of a body: text with secret JSON and form fields, and secrets by value, as ``***``.

    Args:
        content: The body after content decoding; may be cut anywhere.
        content_type: Its Content-Type.
        secrets: Values to hide.
        limit: Characters of the preview; cut after redaction, so that no half of a secret is left at its end.
    """
    text = decode_text(content[: 4 * limit + 4096], content_type)
    kept: list[str] = []
    at = 0
    for start, end in secret_spans(text, content_type):
        quote = '"' if text[start : start + 1] == '"' else ""
        kept += [text[at:start], quote, MASK, quote]
        at = end
    text = _USERINFO.sub(MASK + "@", "".join(kept) + text[at:])
    return redact_text(text, secrets)[:limit]


def secret_values(url: str, headers: Headers, content: bytes | None = None, content_type: str | None = None) -> frozenset[str]:
    """Return every secret value that such a request carries, as sent and decoded.

    These are: userinfo, secret query values, values of secret headers (of Authorization the credentials and the decoded
    parts of Basic, of Cookie each cookie), secret fields of a JSON or form body.
    """
    found: set[str] = set()
    for match in _USERINFO.finditer(url) if "@" in url else ():
        raw = match[0][:-1]
        found.update((raw, *raw.split(":", 1)))
    if "?" in url or "#" in url:
        found.update(_query_values(_split_query(url)[2]))
    for name, value in headers:
        if is_secret_header(name):
            found.update(_header_values(name.lower(), value))
    if content:
        text = decode_text(content, content_type)
        found.update(text[start:end] for start, end in secret_spans(text, content_type))
    decoded = [form for value in found for form in _decoded(value)]
    return frozenset(value for value in (*found, *decoded) if value and value != MASK)


def one_line(text: str, limit: int = 300) -> str:
    """Return the text as one harmless line: no escape sequence, control, bidi or newline character, cut to `limit`.

    Redact before, never after: a secret cut in the middle is not found any more.
    """
    if not text.isprintable():
        text = _ESCAPES.sub("", text[: 20 * limit])
        text = _HARMFUL.sub("\ufffd", _SPACES.sub(" ", text)).strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _redact_userinfo(url: str) -> str:
    if "//" not in url:
        return _SCHEMELESS_USERINFO.sub(MASK + "@", url, count=1)
    return _USERINFO.sub(MASK + "@", _BROKEN_USERINFO.sub(rf"\1{MASK}@", url))


def _split_query(url: str) -> tuple[str, str, str]:
    """Split at the first "?" or "#": a fragment may carry a token as well."""
    at, fragment = url.find("?"), url.find("#")
    if at < 0 or 0 <= fragment < at:
        at = fragment
    return url[:at], url[at], url[at + 1 :]


def _redact_query(url: str, is_secret: NameTest) -> str:
    head, mark, query = _split_query(url)
    pairs = query.split("&")
    odd = "%" in query or ";" in query or "#" in query or "?" in query
    if not odd and not any([is_secret(pair.partition("=")[0]) for pair in pairs]):  # noqa: C419 - a list is faster, this runs per row
        return url
    parts = query.split("#") if odd else [query]
    return head + mark + "#".join("&".join([_redact_pair(pair, is_secret) for pair in part.split("&")]) for part in parts)


def _redact_pair(pair: str, is_secret: NameTest) -> str:
    value = secret_part(pair, is_secret)
    return pair[: len(pair) - len(value)] + MASK if value else pair


def _query_values(query: str) -> Iterator[str]:
    for pair in query.replace("#", "&").split("&"):
        if value := secret_part(pair):
            yield value


def _redact_inserted(url: str, secrets: Iterable[str]) -> str:
    at = url.find("//") + 2 if "//" in url else 0
    authority = re.compile(r"[^/?#]*").match(url, at)
    end = authority.end() if authority else at
    head, tail = url[:end], url[end:]
    for spelling in _all_spellings(frozenset(secrets), 1):
        tail = tail if set(spelling) <= set(MASK) else tail.replace(spelling, MASK)
    return redact_text(head, secrets) + tail


@lru_cache(maxsize=256)
def _all_spellings(secrets: frozenset[str], shortest: int = SHORTEST) -> tuple[str, ...]:
    """Return all spellings, longest first, so that a secret within another leaves no rest."""
    every = {spelling for secret in secrets if len(secret) >= shortest for spelling in spellings(secret)}
    return tuple(sorted((s for s in every if len(s) >= shortest), key=lambda s: (-len(s), s)))


def _header_values(name: str, value: str) -> Iterator[str]:
    yield value
    if name in ("authorization", "proxy-authorization"):
        scheme, _, credentials = value.strip().partition(" ")
        yield credentials.strip()
        if scheme.lower() == "basic":
            yield from _basic_parts(credentials.strip())
    elif name in ("cookie", "cookie2", "set-cookie"):
        for pair in value.split(";")[: 1 if name == "set-cookie" else None]:
            yield pair.partition("=")[2].strip().strip('"')


def _basic_parts(credentials: str) -> Iterator[str]:
    try:
        pair = b64decode(credentials, validate=True)
    except ValueError:
        return
    for codec in ("utf-8", "latin-1"):
        text = pair.decode(codec, "replace")
        yield text
        yield from text.split(":", 1)


def _decoded(value: str) -> Iterator[str]:
    if "%" in value or "+" in value:
        yield unquote(value)
        yield unquote_plus(value)
    if value.startswith('"') and value.endswith('"') and len(value) > 1:
        yield value[1:-1]
    if value[:1] in ('"', "{", "["):
        try:
            yield from _leaves(jsonlib.loads(value))
        except (ValueError, RecursionError):
            return


def _leaves(value: object) -> Iterator[str]:
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, (dict, list)):
            stack.extend(one.values() if isinstance(one, dict) else one)
        elif isinstance(one, str) or (isinstance(one, (int, float)) and not isinstance(one, bool)):
            yield str(one)
