"""One row in full, as the panel shows it after a click: redacted, neutral, cut."""

from __future__ import annotations

from itertools import islice
from json import JSONEncoder
from math import isnan
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.exchange import phases_of
from fastreq_jupyter.files import Upload
from fastreq_jupyter.options import show_bytes, show_seconds
from fastreq_jupyter.redact import MASK, one_line, redact_body, redact_headers, redact_text, redact_url, secret_values

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastreq_jupyter.model import Attempt, Headers, Outcome

__all__ = ["details_of", "sections_of"]

BODY_LIMIT = 1024
URL_LIMIT = 2000
HEADER_LIMIT = 100
_TEXTUAL = ("text/", "json", "xml", "javascript", "x-www-form-urlencoded", "multipart/form-data")


def details_of(outcome: Outcome) -> dict[str, Any]:
    """Return what is known of one finished request, as JSON.

    Every text is free of the request's secrets and at most some kilobytes long; the page shows it as text, never as HTML.
    """
    request, response = outcome.request, outcome.response
    secrets = request.secrets | secret_values(request.url, request.headers, request.content, request.header("content-type"))
    body, note = _body(outcome, secrets)
    return {
        "position": outcome.position,
        "url": _url(request.url, request.secrets, secrets),
        "method": one_line(request.method, 20),
        "name": one_line(redact_text(request.label, secrets), 80) if request.label else None,
        "final_url": None if response is None else _url(response.final_url, request.secrets, secrets),
        "status": None if response is None else one_line(f"{response.status} {response.reason}".strip(), 80),
        "http_version": None if response is None else response.http_version,
        "error": outcome.error,
        "detail": one_line(redact_text(outcome.error_detail, secrets), 600) if outcome.error_detail else None,
        "size": None if response is None else response.size_bytes,
        "content_type": None if response is None else one_line(response.content_type or "", 100) or None,
        "request_headers": _headers(request.headers, secrets),
        "request_body": _preview(_shown(request.content), request.header("content-type"), secrets)[0] if request.content else None,
        "response_headers": [] if response is None else _headers(response.headers, secrets),
        "body": body,
        "body_note": note,
        "attempts": [_attempt(attempt, request.secrets, secrets) for attempt in outcome.attempts],
    }


def _shown(content: bytes | Upload) -> bytes:
    return content.shown if isinstance(content, Upload) else content


def sections_of(details: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the same in the order in which the page shows it: titled sections of facts, attempts, text and notes."""
    moved = details["final_url"] if details["final_url"] != details["url"] else None
    version = details["http_version"] and f"HTTP/{details['http_version']}"
    size = None if details["size"] is None else show_bytes(details["size"])
    facts = [
        ["URL", details["url"]],
        ["Final URL", moved],
        ["Name", details["name"]],
        ["Method", details["method"]],
        ["Status", _joined("  ·  ", details["status"], version)],
        ["Error", _joined(": ", details["error"], details["detail"])],
        ["Body", _joined("  ·  ", size, details["content_type"])],
    ]
    made: list[dict[str, Any]] = [
        {"title": "", "facts": [fact for fact in facts if fact[1]]},
        {"title": f"Attempts ({len(details['attempts'])})", "attempts": [_shown_attempt(one) for one in details["attempts"]]},
        {"title": "Response headers", "facts": details["response_headers"]},
        {"title": "Body", "text": details["body"], "note": details["body_note"]},
        {"title": "Request headers", "facts": details["request_headers"]},
        {"title": "Request body", "text": details["request_body"]},
    ]
    return [section for section in made if any(section[key] for key in section if key != "title")]


def _shown_attempt(attempt: dict[str, Any]) -> dict[str, Any]:
    at = attempt["started_at"].replace("T", " ")[:23]
    waited = attempt["retry_wait_ms"] and f"then waited {show_seconds(attempt['retry_wait_ms'] / 1000)}"
    return {
        "title": f"{attempt['number']}. {attempt['error'] or attempt['status'] or ''}",
        "failed": attempt["error"] is not None,
        "notes": [note for note in (f"{at} UTC", *attempt["redirects"], attempt["detail"], waited) if note],
        "phases": [*attempt["phases"], ["attempt", attempt["total_ms"]]],
    }


def _joined(between: str, *texts: str | None) -> str:
    return between.join(text for text in texts if text)


def _url(url: str, inserted: Iterable[str], secrets: Iterable[str]) -> str:
    return one_line(redact_text(redact_url(url, inserted), secrets), URL_LIMIT)


def _headers(headers: Headers, secrets: Iterable[str]) -> list[list[str]]:
    shown = redact_headers(headers[:HEADER_LIMIT], secrets)
    return [[one_line(name, 100), one_line(value, 1000)] for name, value in shown]


def _body(outcome: Outcome, secrets: Iterable[str]) -> tuple[str | None, str | None]:
    """Return the first part of the body as text, and a note on what is not shown."""
    response = outcome.response
    if response is None:
        return None, None
    if outcome.request.hide_data:
        return MASK, "hidden: it feeds a secret of another request"
    if response.path is not None:
        return None, one_line(f"saved to {response.path}", 300)
    if response.content is None:
        return _parsed(outcome.data, secrets, response.size_bytes)
    if not response.content:
        return None, "empty"
    return _preview(response.content, response.header("content-type"), secrets)


def _parsed(data: Any, secrets: Iterable[str], size: int) -> tuple[str | None, str | None]:
    """Show a body that is kept only as what was made of it: text, or the document of a JSON body."""
    if not size:
        return None, "empty"
    if data is None:
        return None, "not kept"
    if isinstance(data, bytes):
        return _preview(data, None, secrets, size=size)
    try:
        pieces = data if isinstance(data, str) else "".join(islice(JSONEncoder(ensure_ascii=False).iterencode(data), 4 * BODY_LIMIT))
    except (TypeError, ValueError):
        return None, f"kept as {type(data).__name__}: see the frame's data column"
    content_type = None if isinstance(data, str) else "application/json"
    start = pieces[: 4 * BODY_LIMIT].encode("utf-8", "replace")
    return _preview(start, content_type or "text/plain; charset=utf-8", secrets, size=size)


def _preview(content: bytes, content_type: str | None, secrets: Iterable[str], *, size: int | None = None) -> tuple[str | None, str | None]:
    """Return the beginning of a text, or what else it is; `size` where `content` is cut already."""
    size = len(content) if size is None else size
    kind = (content_type or "").lower()
    textual = any(part in kind for part in _TEXTUAL) if kind else b"\x00" not in content[:BODY_LIMIT]
    if not textual:
        return None, f"{size:,} bytes of {one_line(kind, 60) or 'binary data'}"
    text = redact_body(content, content_type, secrets, limit=BODY_LIMIT)
    return text, f"the first {BODY_LIMIT:,} characters of {size:,} bytes" if size > BODY_LIMIT else None


def _attempt(attempt: Attempt, inserted: Iterable[str], secrets: Iterable[str]) -> dict[str, Any]:
    phases = phases_of(attempt.hops)
    total = attempt.end - attempt.start
    # Sending, redirects on the way, and whatever the backend cannot see: with it the phases add up.
    other = total - sum(seconds for seconds in phases if not isnan(seconds))
    named = {"queued": attempt.queued, "dns": phases.dns, "connect": phases.connect, "tls": phases.tls} | {
        "wait": phases.wait,
        "receive": phases.receive,
        "other": max(0.0, other),
    }
    return {
        "number": attempt.number,
        "status": attempt.status,
        "error": attempt.error,
        "redirects": [f"{status} to {_url(target, inserted, secrets)}" for status, target in attempt.redirects],
        "detail": one_line(redact_text(attempt.error_detail, secrets), 600) if attempt.error_detail else None,
        "started_at": attempt.started_at.isoformat(timespec="milliseconds"),
        "phases": [[name, _ms(seconds)] for name, seconds in named.items()],
        "total_ms": _ms(total),
        "retry_wait_ms": _ms(attempt.retry_wait) or 0,
    }


def _ms(seconds: float) -> float | None:
    return None if isnan(seconds) else round(seconds * 1000, 3)
