"""What the head of an answer may say (RFC 9112), the same on each backend; read in one pass.

HTTP libraries differ in what they let pass: a status of 99, a transfer coding nobody decodes, a Content-Length of "+5".
Taken as it comes, such an answer would give a body that is not what the server meant, so it is none.

Downloads go on where they broke off (RFC 9110, 13.1.5, 14.2). The law: a file is put together only of parts that a strong
validator says are of one representation: If-Range sends the whole where that has changed, and what comes must say that it
begins where we stopped.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

from fastreq_jupyter.content import TOKEN
from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.policy.rate import REMAINING, remaining_in

if TYPE_CHECKING:
    from fastreq_jupyter.content import Headers
    from fastreq_jupyter.exchange import Response

_MOST_FIELDS = 1000
# Registered codings; framing does not depend on whether this process can decode them.
_CODINGS = frozenset({"gzip", "x-gzip", "deflate", "br", "zstd"})
_LONGEST_NAME = 40
# Longer ones do not fit 64 bits.
_LENGTH = re.compile(rb"[0-9]{1,18}")
_TOKEN = re.compile(TOKEN.pattern.encode())
_READ = frozenset({b"content-length", b"transfer-encoding", b"content-encoding", b"content-type", b"set-cookie"}) | REMAINING
# Field names as received, with their lower-case form; b"" for fields that are not read here.
_KNOWN_NAMES: dict[bytes, bytes] = {}
# Results for heads read before: many heads of one server are equal or differ in Date alone.
_KNOWN_FIELDS: dict[tuple[tuple[bytes, bytes], ...], Head] = {}
_KNOWN_HEADS: dict[tuple[bytes, ...], Head] = {}
_MOST_KNOWN = 4096
_MOST_FIELDS_KNOWN, _LONGEST_KNOWN = 256, 2048
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
# RFC 9110, 8.8.2.2: within the clock's resolution a file may change twice under the same time.
_SURE_AFTER_S = 60


class Head(NamedTuple):
    """The facts of a head that are needed to read the body.

    Attributes:
        content_type: Field value of Content-Type, latin-1 text.
        length: Content-Length in bytes, None where it does not bound the body.
        codings: Content codings in the order they were applied, lower case; identity and what is no known coding left out.
        cookies: There is a Set-Cookie.
        unknown: What Content-Encoding names and nobody knows ("utf-8", "none", "aws-chunked"), or None. Servers that send this
            mean no coding: the body is taken as it comes.
        remaining: Requests that the server has left for us, None where it does not say.
    """

    content_type: str | None = None
    length: int | None = None
    codings: tuple[str, ...] = ()
    cookies: bool = False
    unknown: str | None = None
    remaining: int | None = None


def read_head(status: int, fields: tuple[tuple[bytes, bytes], ...]) -> Head:
    """Read the head of an answer, and refuse one that leaves open where its body ends, or what it is.

    Raises:
        BackendError: ``protocol``, with what is wrong.
    """
    if not 200 <= status < 1000:
        raise BackendError("protocol", f"status {status} is no final answer")
    return _KNOWN_FIELDS.get(fields) or _read_fields(fields)


def is_unasked_part(status: int, request_headers: Headers) -> bool:
    """Tell whether an answer is a part of a body for which nobody asked: it would be taken for the whole (RFC 9110, 15.3.7)."""
    return status == 206 and not any(name.lower() == "range" for name, _ in request_headers)


def _read_fields(fields: tuple[tuple[bytes, bytes], ...]) -> Head:
    if len(fields) > _MOST_FIELDS:
        raise BackendError("protocol", f"more than {_MOST_FIELDS} field lines in the answer")
    meanings = _KNOWN_NAMES
    read: list[bytes] = []
    remaining: int | None = None
    for name, value in fields:
        meaning = meanings.get(name)
        if meaning is None:
            meaning = _learn(name)
        if meaning:
            if meaning in REMAINING:
                # Changes with each answer, so it is no part of the key of equal heads.
                remaining = remaining_in(meaning, value) if remaining is None else remaining
            else:
                read += meaning, value
    values = b"".join([value for _, value in fields])
    if b"\n" in values or b"\r" in values or b"\0" in values:
        raise BackendError("protocol", "malformed field line in the answer")
    key = tuple(read)
    head = _KNOWN_HEADS.get(key) or _learn_head(key)
    head = head if remaining is None else head._replace(remaining=remaining)
    # Set-Cookie holds a secret and changes with each answer, so such heads are not stored.
    if not head.cookies and len(values) <= _LONGEST_KNOWN:
        if len(_KNOWN_FIELDS) >= _MOST_FIELDS_KNOWN:
            _KNOWN_FIELDS.clear()
        _KNOWN_FIELDS[fields] = head
    return head


def _learn(name: bytes) -> bytes:
    if not _TOKEN.fullmatch(name):
        raise BackendError("protocol", "malformed field line in the answer")
    lower = name.lower()
    meaning = lower if lower in _READ else b""
    if len(_KNOWN_NAMES) < _MOST_KNOWN:
        _KNOWN_NAMES[name] = meaning
    return meaning


def _learn_head(read: tuple[bytes, ...]) -> Head:
    lines = list(zip(read[::2], read[1::2], strict=True))
    content_type = next((value.decode("latin-1") for name, value in lines if name == b"content-type"), None)
    cookies = any(name == b"set-cookie" for name, _ in lines)
    codings, unknown = _codings(lines)
    head = Head(content_type, _length(lines), codings, cookies, unknown)
    if len(_KNOWN_HEADS) >= _MOST_KNOWN:
        _KNOWN_HEADS.clear()
    # Set-Cookie holds a secret and changes with each answer, so such heads are not stored.
    if not cookies:
        _KNOWN_HEADS[read] = head
    return head


def _length(lines: list[tuple[bytes, bytes]]) -> int | None:
    lengths = {part.strip(b" \t") for name, value in lines if name == b"content-length" for part in value.split(b",")}
    codings = [part.strip(b" \t").lower() for name, value in lines if name == b"transfer-encoding" for part in value.split(b",")]
    if codings not in ([], [b"chunked"], [b"identity"]):
        raise BackendError("protocol", "transfer coding other than chunked in the answer")
    if lengths and (len(lengths) > 1 or not _LENGTH.fullmatch(next(iter(lengths)))):
        raise BackendError("protocol", "no usable Content-Length in the answer")
    if lengths and codings == [b"chunked"]:
        raise BackendError("protocol", "both Content-Length and chunked in the answer")
    return int(lengths.pop()) if lengths else None


def _codings(lines: list[tuple[bytes, bytes]]) -> tuple[tuple[str, ...], str | None]:
    named = [part.strip().lower() for name, value in lines if name == b"content-encoding" for part in value.split(b",")]
    codings = [part.decode("latin-1") for part in named if part not in (b"", b"identity")]
    unknown = ", ".join(dict.fromkeys(coding for coding in codings if coding not in _CODINGS))
    return tuple(coding for coding in codings if coding in _CODINGS), unknown[:_LONGEST_NAME] or None


def may_ask_for_rest(method: str, headers: Headers) -> bool:
    """Tell whether a request is one whose download can go on: a GET that asks for no part itself."""
    return method == "GET" and not any(name.lower() in ("range", "if-range") for name, _ in headers)


def validator_of(response: Response) -> str | None:
    """Return what tells later whether a file is still the same: a strong ETag, or an old enough Last-Modified; else None."""
    if (response.header("accept-ranges") or "").lower() == "none":
        return None
    tag = response.header("etag")
    if tag is not None:
        return tag if tag.startswith('"') else None
    changed, date = response.header("last-modified"), response.header("date")
    try:
        age = parsedate_to_datetime(date or "") - parsedate_to_datetime(changed or "")
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return changed if age.total_seconds() >= _SURE_AFTER_S else None


def asking_for_rest(headers: Headers, size: int, validator: str) -> Headers:
    """Return the field lines with what asks for the rest; a part of a compressed body would be of no use."""
    other_lines = tuple(line for line in headers if line[0].lower() != "accept-encoding")
    ours = ("Accept-Encoding", "identity"), ("Range", f"bytes={size}-"), ("If-Range", validator)
    return (*other_lines, *ours)


def why_no_rest(response: Response, size: int, validator: str) -> str | None:
    """Return why a 206 is not the rest of a file of which so many bytes of this version are there, None where it is."""
    match = _RANGE.fullmatch((response.header("content-range") or "").strip())
    if match is None or int(match[1]) != size:
        return "is another part than the rest that was asked for"
    if match[3] != "*" and int(match[2]) != int(match[3]) - 1:
        return "ends before the file does"
    name = "etag" if validator.startswith('"') else "last-modified"
    if response.header(name) not in (None, validator):
        return "is a part of another version of the file"
    return "is compressed" if response.header("content-encoding") not in (None, "identity") else None
