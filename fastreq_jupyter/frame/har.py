"""A run as an HTTP Archive (HAR 1.2), which browsers' developer tools and many programs open.

One entry per attempt and redirect hop. What nobody saw is -1, as the format has it: a phase, the size of a head; send, wait and
receive are 0 there. Of attempts but the last, and of redirects, status and target are known alone. Secrets are ``***``, in
bodies too: archives are made to be handed on. Bodies that were parsed are written as JSON anew.
"""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import timedelta
from math import isnan
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from fastreq_jupyter.content import read_text
from fastreq_jupyter.files import Upload
from fastreq_jupyter.model import secrets_of
from fastreq_jupyter.redact import MASK, SHORTEST, is_secret_header, redact_body, redact_headers, redact_text, redact_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from fastreq_jupyter.content import Headers
    from fastreq_jupyter.exchange import Timing
    from fastreq_jupyter.model import Attempt, Outcome, Response

_VERSIONS = {"1.0": "HTTP/1.0", "1.1": "HTTP/1.1", "2": "HTTP/2", "3": "HTTP/3"}
_KEEPS_METHOD = frozenset({307, 308})
_SEE_OTHER = 303
_COOKIES = frozenset({"cookie", "set-cookie"})


class _Hop(NamedTuple):
    """One exchange of one attempt.

    Attributes:
        began: When it began to wait for its slot, rate or connection, UTC.
        queued: Seconds of that wait before the attempt.
        method, url: What was asked.
        leads_to: Status and target of the redirect it ended with, None for the last hop.
    """

    row: Outcome
    attempt: Attempt
    began: datetime
    queued: float
    timing: Timing | None
    method: str
    url: str
    leads_to: tuple[int, str] | None


def har_pieces(outcomes: Sequence[Outcome], *, version: str, sent: Callable[[Headers], Headers]) -> Iterator[bytes]:
    """Give the text of an archive piece by piece, UTF-8: one entry is made at a time.

    Args:
        outcomes: Rows; what was not sent has no entry.
        version: Of this package.
        sent: Gives the field lines that went out for those of a request.
    """
    hops = sorted((hop for row in outcomes for attempt in row.attempts for hop in _hops(row, attempt)), key=lambda hop: hop.began)
    creator = json.dumps({"name": "fastreq-jupyter", "version": version})
    yield f'{{"log": {{"version": "1.2", "creator": {creator}, "pages": [], "entries": ['.encode()
    for number, hop in enumerate(hops):
        text = json.dumps(_entry(hop, sent), ensure_ascii=False)
        yield f"{',' if number else ''}\n{text}".encode("utf-8", "replace")
    yield b"\n]}}\n"


def _hops(row: Outcome, attempt: Attempt) -> Iterator[_Hop]:
    method, url = row.request.method, row.request.url
    queued = 0.0 if isnan(attempt.queued) else attempt.queued
    for number, timing in enumerate(attempt.hops or (None,)):
        leads_to = attempt.redirects[number] if number < len(attempt.redirects) else None
        late = 0.0 if timing is None or isnan(timing.fetch_start) else timing.fetch_start - attempt.start
        # The first hop also has the time the attempt waited before it started.
        began = attempt.started_at + timedelta(seconds=late if number else -queued)
        yield _Hop(row, attempt, began, 0.0 if number else queued, timing, method, url, leads_to)
        if leads_to is not None:
            method, url = _method_after(leads_to[0], method), leads_to[1]


def _method_after(status: int, method: str) -> str:
    if status in _KEEPS_METHOD or method == "HEAD":
        return method
    return "GET" if status == _SEE_OTHER or method == "POST" else method


def _entry(hop: _Hop, sent: Callable[[Headers], Headers]) -> dict[str, Any]:
    row = hop.row
    # Without the quotes of JSON strings, so that a body stays valid JSON.
    secrets = frozenset(secret for secret in secrets_of(row.request) if not (secret.startswith('"') and secret.endswith('"')))
    timings = _timings(hop)
    last = hop.leads_to is None and hop.attempt.number == row.attempts[-1].number
    response = row.response if last else None
    version = _VERSIONS.get(response.http_version, "unknown") if response is not None else "unknown"
    entry: dict[str, Any] = {
        "startedDateTime": hop.began.isoformat(timespec="microseconds"),
        "time": round(sum(value for name, value in timings.items() if value > 0 and name != "ssl"), 4),
        "request": _request(hop, version, secrets, sent),
        "response": _response(hop, response, version, secrets),
        "cache": {},
        "timings": timings,
        "_resourceType": "fetch",
        "_attempt": hop.attempt.number,
    }
    if hop.leads_to is None and hop.attempt.error is not None:
        detail = redact_text(hop.attempt.error_detail or "", secrets)
        entry["_error"] = f"{hop.attempt.error}: {detail}" if detail else hop.attempt.error
    return entry


def _request(hop: _Hop, version: str, secrets: frozenset[str], sent: Callable[[Headers], Headers]) -> dict[str, Any]:
    request = hop.row.request
    url = redact_text(redact_url(hop.url, request.secrets), secrets)
    try:
        headers = sent(request.headers)
    except ValueError:
        headers = request.headers
    content = request.content if hop.method == request.method else None
    entry = {
        "method": hop.method,
        "url": url,
        "httpVersion": version,
        "cookies": _cookies(headers),
        "headers": _fields(headers, secrets),
        "queryString": [{"name": name, "value": value} for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True)],
        "headersSize": -1,
        "bodySize": len(content or b""),
    }
    if content:
        kind = request.header("content-type")
        entry["postData"] = {"mimeType": kind or "", "params": [], "text": _body_text(content, kind, secrets)}
    return entry


def _body_text(content: bytes | Upload, kind: str | None, secrets: frozenset[str]) -> str:
    shown = content.shown if isinstance(content, Upload) else content
    return redact_body(shown, kind, secrets, limit=len(shown) + 4 * len(MASK) + 4096)


def _response(hop: _Hop, response: Response | None, version: str, secrets: frozenset[str]) -> dict[str, Any]:
    if hop.leads_to is not None:
        status, target = hop.leads_to
        shown = redact_text(redact_url(target, secrets), secrets)
        return _head(status, "", "unknown", ({"name": "Location", "value": shown},), shown) | {"content": {"size": 0, "mimeType": ""}}
    if response is None:
        return _head(hop.attempt.status or 0, "", version, (), "") | {"content": {"size": 0, "mimeType": ""}}
    kind = response.header("content-type") or ""
    content = {"size": response.size_bytes, "mimeType": kind, **_content(hop.row, response, kind, secrets)}
    location = response.header("location")
    target = "" if location is None else redact_text(redact_url(location, secrets), secrets)
    reason = redact_text(response.reason, secrets)
    size = _size_sent(response)
    return _head(response.status, reason, version, _fields(response.headers, secrets), target) | {
        "cookies": _cookies(response.headers),
        "content": content,
        "bodySize": size,
        # What developer tools show as the size.
        "_transferSize": max(0, size),
    }


def _size_sent(response: Response) -> int:
    """Return the bytes of a body as it was sent, -1 where that is not known: compressed, without a length."""
    length = response.header("content-length") or ""
    if length.isdecimal() and response.size_bytes:
        return int(length)
    return -1 if response.header("content-encoding") else response.size_bytes


def _head(status: int, reason: str, version: str, fields: Sequence[dict[str, str]], target: str) -> dict[str, Any]:
    return {
        "status": status,
        "statusText": reason,
        "httpVersion": version,
        "cookies": [],
        "headers": list(fields),
        "redirectURL": target,
        "headersSize": -1,
        "bodySize": -1,
    }


def _content(row: Outcome, response: Response, kind: str, secrets: frozenset[str]) -> dict[str, str]:
    """Return text of a body and how it is encoded; a comment where it is not there."""
    body = row.data if response.content is None else response.content
    if row.request.hide_data:
        return {"text": MASK}
    if response.path is not None:
        return {"comment": f"saved to {response.path}"}
    if body is None:
        return {"comment": "not kept"} if response.size_bytes else {}
    if isinstance(body, bytes):
        return _binary(body, kind, secrets)
    try:
        text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    except (TypeError, ValueError):
        return {"comment": f"kept as {type(body).__name__}"}
    return {"text": redact_text(text, secrets)}


def _binary(body: bytes, kind: str, secrets: frozenset[str]) -> dict[str, str]:
    text, note = read_text(body, kind)
    if b"\0" in body or note is not None:
        if any(secret.encode("utf-8", "replace") in body for secret in secrets if len(secret) >= SHORTEST):
            return {"comment": "left out: it holds a secret"}
        return {"text": b64encode(body).decode(), "encoding": "base64"}
    return {"text": redact_text(text, secrets)}


def _fields(headers: Headers, secrets: frozenset[str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in redact_headers(headers, secrets)]


def _cookies(headers: Headers) -> list[dict[str, str]]:
    """Return the names of cookies; their values are secrets."""
    cookies = []
    for name, value in headers:
        if name.lower() in _COOKIES and is_secret_header(name):
            # In Set-Cookie the first pair is the cookie, the others are its attributes.
            pairs = value.split(";")[: 1 if name.lower() == "set-cookie" else None]
            cookies += [{"name": pair.partition("=")[0].strip(), "value": MASK} for pair in pairs if pair.strip()]
    return cookies


def _timings(hop: _Hop) -> dict[str, float]:
    """Return durations in milliseconds; what no phase accounts for is `blocked`."""
    timing = hop.timing
    if timing is None:
        return {"blocked": _ms(hop.queued), "dns": -1, "connect": -1, "ssl": -1, "send": 0, "wait": 0, "receive": 0}
    phases = timing.phases
    connect = phases.connect + phases.tls
    measured = sum(seconds for seconds in (phases.dns, connect, phases.wait, phases.receive) if not isnan(seconds))
    total = timing.response_end - timing.fetch_start
    return {
        "blocked": _ms(hop.queued + (0.0 if isnan(total) else max(0.0, total - measured))),
        "dns": _ms(phases.dns),
        # The format counts TLS as part of connect.
        "connect": _ms(connect),
        "ssl": _ms(phases.tls),
        "send": 0,
        "wait": max(0, _ms(phases.wait)),
        "receive": max(0, _ms(phases.receive)),
    }


def _ms(seconds: float) -> float:
    return -1 if isnan(seconds) else round(max(0.0, seconds) * 1e3, 4)
