"""One row in full, as the panel shows it after a click: redacted, neutral, cut.

Four tabs: the answer, what was sent, the headers of both, where the time went. The page shows every text as text, never as HTML.
"""

from __future__ import annotations

import json
from base64 import b64encode
from itertools import islice
from math import isnan
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from fastreq_jupyter.engine import UnsendableError, prepare
from fastreq_jupyter.exchange import phases_of
from fastreq_jupyter.files import Upload
from fastreq_jupyter.model import secrets_of
from fastreq_jupyter.options import show_bytes, show_seconds
from fastreq_jupyter.picture import show_ms
from fastreq_jupyter.redact import MASK, one_line, redact_body, redact_headers, redact_text, redact_url

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastreq_jupyter.model import Attempt, Headers, Outcome, Request

BODY_LIMIT = 64_000
"""Characters of a body that are shown."""
PICTURE_LIMIT = 1_000_000
"""Bytes of a picture that is shown: a part of it is none."""
URL_LIMIT = 2000
HEADER_LIMIT = 100
_TEXTUAL = ("text/", "json", "xml", "javascript", "x-www-form-urlencoded", "multipart/form-data")
_PICTURES = frozenset(f"image/{kind}" for kind in ("png", "jpeg", "gif", "webp", "avif", "bmp", "x-icon", "svg+xml"))


def details_of(outcome: Outcome, place: str | None = None) -> dict[str, Any]:
    """Return what is known of one finished request as the page shows it, JSON: a line about the whole, and four tabs.

    A tab has titled sections of facts, bodies and attempts. Every text is free of the request's secrets and cut; a body to
    64,000 characters.

    Args:
        outcome: The request.
        place: Python expression for its row; named where the body is cut.
    """
    request, response = outcome.request, outcome.response
    secrets = secrets_of(request)
    detail = one_line(redact_text(outcome.error_detail, secrets), 600) if outcome.error_detail else None
    error = _joined(": ", outcome.error, detail)
    sent = _sent_headers(request, secrets)
    body = _preview(_shown(request.content), request.header("content-type"), secrets) if request.content else {}
    tabs: dict[str, list[dict[str, Any]]] = {
        "response": [{"title": "", "facts": [["Error", error]] if error else []}, {"title": "", **_body(outcome, secrets, place)}],
        "request": [*_asked(outcome, secrets), {"title": "Headers, as sent", "facts": sent}, {"title": "Body", **body}],
        "headers": [
            {"title": "Response headers", "facts": [] if response is None else _headers(response.headers, secrets)},
            {"title": "Request headers, as sent", "facts": sent},
        ],
        "timing": [{"title": "", "attempts": [_attempt(attempt, request.secrets, secrets) for attempt in outcome.attempts]}],
    }
    return {
        "line": _line(outcome),
        "failed": outcome.error is not None,
        "place": place,
        "tabs": {name: [part for part in parts if any(part[key] for key in part if key != "title")] for name, parts in tabs.items()},
    }


def _line(outcome: Outcome) -> str:
    """Return the whole in one line: status, time, size, type, version."""
    response = outcome.response
    took = None if isnan(outcome.elapsed) else show_ms(outcome.elapsed * 1000)
    if response is None:
        return _joined("  ·  ", outcome.error, took)
    status = one_line(f"{response.status} {response.reason}".strip(), 80)
    kind = one_line(response.content_type or "", 100)
    version = response.http_version and f"HTTP/{response.http_version}"
    return _joined("  ·  ", status, took, show_bytes(response.size_bytes), kind, version)


def _asked(outcome: Outcome, secrets: Iterable[str]) -> list[dict[str, Any]]:
    """Return the sections about the target and its query."""
    request, response = outcome.request, outcome.response
    url = _url(request.url, request.secrets, secrets)
    final_url = None if response is None else _url(response.final_url, request.secrets, secrets)
    facts: list[list[str | None]] = [
        ["URL", url],
        ["Final URL", None if final_url == url else final_url],
        ["Method", one_line(request.method, 20)],
        ["Name", one_line(redact_text(request.label, secrets), 80) if request.label else None],
        ["Page", str(outcome.page) if outcome.page else None],
        ["Looks", str(outcome.looks) if outcome.looks else None],
        ["Cached", outcome.cached and f"from the cache: {outcome.cached}"],
    ]
    query = [[one_line(name, 100), one_line(value, 1000)] for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True)]
    return [{"title": "", "facts": [fact for fact in facts if fact[1]]}, {"title": "Query", "facts": query}]


def _shown(content: bytes | Upload) -> bytes:
    return content.shown if isinstance(content, Upload) else content


def _joined(between: str, *texts: str | None) -> str:
    return between.join(filter(None, texts))


def _url(url: str, inserted: Iterable[str], secrets: Iterable[str]) -> str:
    return one_line(redact_text(redact_url(url, inserted), secrets), URL_LIMIT)


def _headers(headers: Headers, secrets: Iterable[str]) -> list[list[str]]:
    shown = redact_headers(headers[:HEADER_LIMIT], secrets)
    return [[one_line(name, 100), one_line(value, 1000)] for name, value in shown]


def _sent_headers(request: Request, secrets: Iterable[str]) -> list[list[str]]:
    """Return the field lines of the first exchange, ours beside those that were given."""
    try:
        exchange = prepare(request)
    except UnsendableError:
        return _headers(request.headers, secrets)
    return _headers((("Host", exchange.target.origin.authority), *exchange.headers), secrets)


def _body(outcome: Outcome, secrets: Iterable[str], place: str | None) -> dict[str, Any]:
    """Return the answer's body as JSON, text or picture, and a note on what is not shown."""
    response = outcome.response
    if response is None:
        return {}
    if outcome.request.hide_data:
        return {"text": MASK, "note": "hidden: it feeds a secret of another request"}
    if response.path is not None:
        return {"note": one_line(f"saved to {response.path}", 300)}
    whole = f"{place}.data" if place else "the frame's data column"
    kind = response.header("content-type")
    if response.content:
        return _preview(response.content, kind, secrets, whole=whole)
    if response.content is not None or not response.size_bytes:
        return {"note": "empty"}
    return _parsed(outcome.data, kind, secrets, size=response.size_bytes, whole=whole)


def _parsed(data: Any, kind: str | None, secrets: Iterable[str], *, size: int, whole: str) -> dict[str, Any]:
    """Show a body that is kept only as what was made of it: text, bytes, or the document of a JSON body."""
    if data is None:
        return {"note": "not kept"}
    if isinstance(data, bytes):
        return _preview(data, kind, secrets, whole=whole)
    if isinstance(data, str):
        return _preview(data[: 4 * BODY_LIMIT].encode("utf-8", "replace"), "text/plain; charset=utf-8", secrets, size=size, whole=whole)
    try:
        start = _json_text(data, 2 * BODY_LIMIT).encode("utf-8", "replace")
    except (TypeError, ValueError):
        return {"note": f"kept as {type(data).__name__}: see {whole}"}
    return _preview(start, "application/json", secrets, size=size, whole=whole)


def _json_text(data: Any, limit: int) -> str:
    """Return the beginning of a document as JSON; by a list of work in place of recursion, for it may be of any depth.

    Raises:
        TypeError: It holds what JSON has not.
    """
    parts: list[str] = []
    size = 0
    # What is to be written, the next one last: a pair of (text, None) or (None, value).
    work: list[tuple[str | None, Any]] = [(None, data)]
    while work and size <= limit:
        text, value = work.pop()
        if text is None and isinstance(value, (dict, list, tuple)):
            keyed = isinstance(value, dict)
            # Each takes two characters at least, more of them will never be reached.
            members = islice(value.items() if isinstance(value, dict) else ((None, member) for member in value), limit // 2 + 1)
            work.append(("}" if keyed else "]", None))
            first = len(work)
            for key, member in reversed([*members]):
                name = f"{json.dumps(str(key), ensure_ascii=False)}: " if keyed else ""
                work += [(None, member), (f", {name}", None)]
            if len(work) > first:
                work[-1] = ((work[-1][0] or "").removeprefix(", "), None)
            text = "{" if keyed else "["
        elif text is None:
            text = json.dumps(value, ensure_ascii=False)
        parts.append(text)
        size += len(text)
    return "".join(parts)


def _preview(
    content: bytes, content_type: str | None, secrets: Iterable[str], *, size: int | None = None, whole: str | None = None
) -> dict[str, Any]:
    """Return a text, a JSON text or a picture, or a note that says what else it is; `size` where `content` is cut already."""
    size = len(content) if size is None else size
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind in _PICTURES and size <= PICTURE_LIMIT and not any(secret.encode() in content for secret in secrets):
        return {"picture": f"data:{kind};base64,{b64encode(content).decode('ascii')}"}
    textual = any(part in kind for part in _TEXTUAL) if kind else b"\x00" not in content[:1024]
    if not textual:
        return {"note": f"{show_bytes(size)} of {one_line(kind, 60) or 'binary data'}" + (f": see {whole}" if whole else "")}
    text = redact_body(content, content_type, secrets, limit=BODY_LIMIT)
    cut = f"The first 64 kB of {show_bytes(size)}" + (f": {whole} is the whole." if whole else ".") if size > BODY_LIMIT else None
    form = "json" if "json" in kind or text.lstrip()[:1] in {"{", "["} else "text"
    return {form: text, "note": cut}


def _attempt(attempt: Attempt, inserted: Iterable[str], secrets: Iterable[str]) -> dict[str, Any]:
    phases = phases_of(attempt.hops)
    total = attempt.end - attempt.start
    # Sending, redirects on the way, and whatever the backend cannot see: with it the phases add up.
    other = total - sum(seconds for seconds in phases if not isnan(seconds))
    durations = {"queued": attempt.queued, **phases._asdict(), "other": max(0.0, other), "attempt": total}
    at = attempt.started_at.isoformat(" ", timespec="milliseconds")[:23]
    redirects = [f"{status} to {_url(target, inserted, secrets)}" for status, target in attempt.redirects]
    detail = one_line(redact_text(attempt.error_detail, secrets), 600) if attempt.error_detail else None
    waited = f"then waited {show_seconds(attempt.retry_wait)}" if attempt.retry_wait > 0 else None
    return {
        "title": f"{attempt.number}. {attempt.error or attempt.status or ''}",
        "failed": attempt.error is not None,
        "notes": [note for note in (f"{at} UTC", *redirects, detail, waited) if note],
        "phases": [[name, _ms(seconds)] for name, seconds in durations.items()],
    }


def _ms(seconds: float) -> float | None:
    return None if isnan(seconds) else round(seconds * 1000, 3)
