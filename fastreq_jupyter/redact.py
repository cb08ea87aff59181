"""What is a secret, and how it is shown.

The law: what we send as a secret is drawn as ``***`` everywhere, by name (a whole name of a printed list, never a part of
one) and by value (as it is, percent-encoded, JSON-escaped, base64). Values under `SHORTEST` characters are looked for only
where they were inserted: in the URL they stand in (`redact_url` with `secrets`) and in fields with a secret name; a
four-digit PIN would otherwise black out half of every text. Nothing here alters data, only what is drawn.
"""

from __future__ import annotations

import json as jsonlib
import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from fastreq_jupyter.content import decode_text
from fastreq_jupyter.files import Upload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fastreq_jupyter.content import Headers

__all__ = [
    "MASK",
    "SECRET_HEADERS",
    "SECRET_NAMES",
    "SHORTEST",
    "NameTest",
    "are_plain_urls",
    "is_secret_header",
    "is_secret_name",
    "one_line",
    "redact_body",
    "redact_headers",
    "redact_text",
    "redact_url",
    "secret_part",
    "secret_spans",
    "secret_values",
    "spellings",
]

NameTest = Callable[[str], bool]
MASK = "***"
SHORTEST = 8
"""Characters a value needs to be looked for anywhere."""

_USERINFO = re.compile(r"(?<=//)[^/?#\s\"'<>]*@")
# A password with a bare "/", "?" or "#": the text before it would be a port, but is no number.
_BROKEN_USERINFO = re.compile(r"\A([^/?#@\s]*//)[^/?#@\s:\[]*:(?![0-9]*(?:[/?#]|$))[^\s]*@")
_SCHEMELESS_USERINFO = re.compile(r"\A[^/?#\s@:]*:[^/?#\s@]*@")
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]?|[\]P^_X][^\x07\x1b]*(?:\x07|\x1b\\)?|.?)", re.DOTALL)
_SPACES = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029 ]+")
_HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_MEMBER = re.compile(r'"([^"\\]{1,100})"\s{0,20}:\s{0,20}(?=[^\s])')
_STRING = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)
_SCALAR = re.compile(r"[^,\]}\s\"]*")
_STRUCTURE = re.compile(r'["\[\]{}]')
_PART = re.compile(r'name="([^"\r\n]{1,100})"[^\r\n]*(?:\r?\n[^\r\n]+){0,5}\r?\n\r?\n(.*?)(?=\r?\n--|\Z)', re.DOTALL)
_QUERY_NAME = re.compile("[?&]([^=&?\n]*)=")
_NAMES_KEPT = 30
_HEX = re.compile(r"%[0-9A-F]{2}|\\u[0-9a-f]{4}")
# Characters that an encoder leaves unescaped: none, those of paths, of RFC 3986, of `encodeURIComponent`.
_SAFE_SETS = ("", "/", "/%:@!$&'()*+,;=~-._|", "/%:@!$&'()*+,;=~-._|?[]{}", "!'()*~-._")

SECRET_NAMES = frozenset(
    """
    access_key access_token api_key api_secret api_token apikey app_key app_secret appid assertion auth auth_key auth_token
    authorization aws_secret_access_key aws_session_token bearer bearer_token client_assertion client_key client_secret
    code_verifier consumer_key consumer_secret credential credentials csrf_token csrfmiddlewaretoken device_token
    encryption_key hmac id_token jsessionid jwt key license_key master_key mfa_code new_password oauth_consumer_key
    oauth_signature oauth_token oauth_verifier old_password otp pass passphrase passwd password personal_access_token
    phpsessid private_key private_token pwd refresh_token sas_token secret secret_access_key secret_key secret_token
    security_token service_key session_id session_key session_token sessionid shared_secret sig signature signing_key
    subscription_key token totp user_token verification_token webhook_secret x_amz_credential x_amz_security_token
    x_amz_signature x_goog_credential x_goog_signature xsrf_token
    """.split()  # noqa: SIM905 - a printed list is read as words
)
"""Names of query, form and JSON fields; compared whole, any case, "-" and "_" left out."""

SECRET_HEADERS = frozenset(
    """
    api-key apikey authorization cookie cookie2 dd-api-key dd-application-key deploy-token job-token
    ocp-apim-subscription-key private-token proxy-authorization set-cookie set-cookie2 x-access-key x-access-token x-algolia-api-key
    x-amz-security-token x-api-key x-api-secret x-api-token x-apikey x-appwrite-key x-auth x-auth-key x-auth-token
    x-authorization x-aws-ec2-metadata-token x-consul-token x-csrf-token x-csrftoken x-figma-token x-functions-key x-gitlab-token
    x-goog-api-key x-hub-signature x-hub-signature-256 x-parse-master-key x-parse-rest-api-key x-rapidapi-key x-secret
    x-session-token x-shopify-access-token x-signature x-typesense-api-key x-vault-token x-webhook-secret x-xsrf-token
    """.split()  # noqa: SIM905 - a printed list is read as words
)
"""Header names, lower case. A header called like one of `SECRET_NAMES`, with or without ``X-``, is secret too."""

_FOLD = str.maketrans("", "", "-_")
_FOLDED_NAMES = frozenset(name.translate(_FOLD) for name in SECRET_NAMES)


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Tell whether a query, form or JSON field of that name is secret; ``user[password]`` counts as ``password``."""
    if name.endswith("]"):
        name = name[:-1].rpartition("[")[2] or name.partition("[")[0]
    return name.lower().translate(_FOLD) in _FOLDED_NAMES


@lru_cache(maxsize=4096)
def is_secret_header(name: str) -> bool:
    """Tell whether a header of that name is secret."""
    lower = name.lower()
    return lower in SECRET_HEADERS or is_secret_name(lower.removeprefix("x-"))


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


def redact_body(content: bytes | Upload, content_type: str | None, secrets: Iterable[str] = (), *, limit: int = 65_536) -> str:
    """Return a preview of a body: text with secret JSON and form fields, and secrets by value, as ``***``.

    Args:
        content: The body after content decoding; may be cut anywhere.
        content_type: Its Content-Type.
        secrets: Values to hide.
        limit: Characters of the preview; cut after redaction, so that no half of a secret is left at its end.
    """
    content = content.shown if isinstance(content, Upload) else content
    text = decode_text(content[: 4 * limit + 4096], content_type)
    pieces: list[str] = []
    at = 0
    for start, end in secret_spans(text, content_type):
        quote = '"' if text[start : start + 1] == '"' else ""
        pieces += [text[at:start], quote, MASK, quote]
        at = end
    text = _USERINFO.sub(MASK + "@", "".join(pieces) + text[at:])
    return redact_text(text, secrets)[:limit]


def secret_values(url: str, headers: Headers, content: bytes | Upload | None = None, content_type: str | None = None) -> frozenset[str]:
    """Return every secret value that such a request carries, as sent and decoded.

    These are: userinfo, secret query values, values of secret headers (of Authorization the credentials and the decoded
    parts of Basic, of Cookie each cookie), secret fields of a JSON or form body.
    """
    values: set[str] = set()
    for match in _USERINFO.finditer(url) if "@" in url else ():
        raw = match[0][:-1]
        values.update((raw, *raw.split(":", 1)))
    if "?" in url or "#" in url:
        values.update(_query_values(_split_query(url)[2]))
    for name, value in headers:
        if is_secret_header(name):
            values.update(_header_values(name.lower(), value))
    if content:
        text = decode_text(content.shown if isinstance(content, Upload) else content, content_type)
        values.update(text[start:end] for start, end in secret_spans(text, content_type))
    decoded = [form for value in values for form in _decoded(value)]
    return frozenset(value for value in (*values, *decoded) if value and value != MASK)


def one_line(text: str, limit: int = 300) -> str:
    """Return the text as one harmless line: no escape sequence, control, bidi or newline character, cut to `limit`.

    Redact before, never after: a secret cut in the middle is not found any more.
    """
    if not text.isprintable():
        text = _ESCAPES.sub("", text[: 20 * limit])
        text = _HARMFUL.sub("\ufffd", _SPACES.sub(" ", text)).strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def are_plain_urls(urls: Sequence[str], names: set[str]) -> bool:
    """Tell cheaply that nothing in these URLs needs a mask or cleaning; False where that takes a closer look.

    Args:
        urls: A block of URLs, into which no secret was inserted.
        names: Query names known to be no secrets; grows.
    """
    text = "\n".join(urls)
    if not text.isascii() or "@" in text or "#" in text or "%" in text or ";" in text:
        return False
    unknown = text.count("=")
    for name in names:
        unknown -= text.count(f"?{name}=")
        unknown -= text.count(f"&{name}=") if unknown else 0
    if not unknown:
        return True
    met = set(_QUERY_NAME.findall(text))
    if any(is_secret_name(name) for name in met):
        return False
    if len(names) + len(met) < _NAMES_KEPT:
        names |= met
    return True


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
        current = stack.pop()
        if isinstance(current, (dict, list)):
            stack.extend(current.values() if isinstance(current, dict) else current)
        elif isinstance(current, str) or (isinstance(current, (int, float)) and not isinstance(current, bool)):
            yield str(current)


def secret_part(pair: str, is_secret: NameTest = is_secret_name) -> str:
    """Return the secret end of ``name=value`` (or of ``a=1;name=value``), or nothing."""
    at = 0
    for part in pair.split(";"):
        name, equals, _ = part.partition("=")
        bare = name.lstrip("?")
        if equals and is_secret(unquote_plus(bare) if "%" in bare else bare):
            return pair[at + len(name) + 1 :]
        at += len(part) + 1
    return ""


def secret_spans(text: str, content_type: str | None, is_secret: NameTest = is_secret_name) -> Iterator[tuple[int, int]]:
    """Give start and end of each secret value in a JSON, form or multipart text, in order; linear in the text."""
    kind = (content_type or "").lower()
    if "multipart/" in kind:
        yield from (match.span(2) for match in _PART.finditer(text) if is_secret(match[1]))
    elif "x-www-form-urlencoded" in kind or (not kind and "=" in text and not re.search(r"[\s\"{<]", text)):
        at = 0
        for pair in text.split("&"):
            at += len(pair) + 1
            if value := secret_part(pair, is_secret):
                yield at - 1 - len(value), at - 1
    else:
        at = 0
        while member := _MEMBER.search(text, at):
            at = member.end()
            if is_secret(member[1]):
                end = _value_end(text, at)
                yield at, end
                at = max(at, end)


def _value_end(text: str, start: int) -> int:
    """Return where the JSON value that begins at `start` ends; the end of the text where it is cut off."""
    depth, at = 0, start
    while True:
        if text.startswith('"', at):
            string = _STRING.match(text, at)
            at = string.end() if string else len(text)
        elif text.startswith(("{", "[", "}", "]"), at):
            depth += 1 if text[at] in "{[" else -1
            at += 1
        elif depth == 0:
            scalar = _SCALAR.match(text, at)
            return scalar.end() if scalar else len(text)
        if depth <= 0:
            return at
        structure = _STRUCTURE.search(text, at)
        if structure is None:
            return len(text)
        at = structure.start()


@lru_cache(maxsize=1024)
def spellings(secret: str) -> frozenset[str]:
    """Return the texts that a secret can appear as; a plain ASCII token has itself and its three base64 alignments.

    Base64 is given without the characters that depend on what stands before and after, so that the secret is found
    within a larger encoded text, as a password is in the credentials of Basic.
    """
    texts = {secret, escape(secret), secret.encode("utf-8", "replace").decode("latin-1")}
    texts |= {quote(secret, safe=safe, errors="replace") for safe in _SAFE_SETS}
    texts.add(quote_plus(secret, errors="replace"))
    for text in (jsonlib.dumps(secret)[1:-1], jsonlib.dumps(secret, ensure_ascii=False)[1:-1]):
        texts |= {text, text.replace("/", "\\/"), jsonlib.dumps(text)[1:-1]}
    texts |= {repr(secret)[1:-1], repr(secret.encode("utf-8", "replace"))[2:-1]}
    texts |= {_HEX.sub(_swap_case, text) for text in tuple(texts)}
    for raw in {secret.encode("utf-8", "replace"), secret.encode("latin-1", "replace")}:
        texts |= _base64(raw)
    return frozenset(text for text in texts if text)


def _swap_case(match: re.Match[str]) -> str:
    text = match[0]
    return text.lower() if text[0] == "%" else text[:2] + text[2:].upper()


def _base64(raw: bytes) -> set[str]:
    texts: set[str] = set()
    for before in range(3):
        first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        for encode in (b64encode, urlsafe_b64encode):
            texts.add(encode(b"\0" * before + raw).decode("ascii")[first:last])
    return texts
