"""Converts outcomes to rows of a journal and back.

Kept are: when, method, URL (secrets as ``***``), what became of each attempt, status, field lines (Set-Cookie as ``***``)
and the body's bytes as they were. Not kept: anything of the request's headers and body. A seal, a keyed hash over all of
it, shows whether a row came back as it was written.
"""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime
from hashlib import blake2b
from math import isfinite, nan
from pathlib import Path
from time import perf_counter, time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, quote_plus

from fastreq_jupyter.engine import UNREADABLE, Conditions, Reading, read_stored, was_limited
from fastreq_jupyter.exchange import Timing
from fastreq_jupyter.files import FILENAME, write_whole
from fastreq_jupyter.model import Attempt, Look, Outcome, Request, Response, secrets_of
from fastreq_jupyter.policy import RETRIED
from fastreq_jupyter.redact import MASK, SHORTEST, one_line, redact_text, redact_url

if TYPE_CHECKING:
    from fastreq_jupyter.journal.identity import Identity
    from fastreq_jupyter.options import Options

# The column guise holds the hash of the credentials.
COLUMNS = ("base", "guise", "occurrence", "done", "at", "method", "url", "status", "error", "record", "body", "seal")
_BAD = 400
_REFUSED = frozenset({401, 403, 407})
_GONE = frozenset({404, 410})
# Kinds of error that depend on the options of the run, so that a rerun may not have them.
_GRAPHQL = frozenset({"graphql", "graphql partial"})
_READ_ANEW = UNREADABLE | _GRAPHQL | {"body"}
_FACTS = frozenset({"reused", "encrypted"})
_MARKS = tuple(field.name for field in fields(Timing))
_COOKIES = frozenset({"set-cookie", "set-cookie2"})


class Row(NamedTuple):
    """One row of the table of answers.

    Attributes:
        base, credentials, occurrence: Identity.
        done: 0 for the mark of an unsafe request that is under way, 1 for an outcome.
        at: Seconds since 1970.
        method, url: Of the request, for people; secrets as ``***``.
        status, error: Of the outcome.
        record: The rest of it, JSON.
        body: Its bytes after content decoding, None where they are in a file or never came.
        seal: Keyed hash of all but the credentials.
    """

    base: bytes
    credentials: bytes
    occurrence: int
    done: int
    at: float
    method: str
    url: str
    status: int | None
    error: str | None
    record: str
    body: bytes | None
    seal: bytes


def seal_of(row: Row, key: bytes) -> bytes:
    """Return the seal that a row must have."""
    hashed = blake2b(digest_size=16, key=key)
    for value in (row.base, *row[2:-1]):
        part = value if isinstance(value, bytes) else repr(value).encode("utf-8", "surrogatepass")
        hashed.update(b"%s%d:" % (type(value).__name__.encode(), len(part)))
        hashed.update(part)
    return hashed.digest()


def begun_row(request: Request, identity: Identity, at: float, key: bytes, status_url: str | None = None) -> Row:
    """Return the mark of an unsafe request that is about to be sent, or of one whose job is looked at by a status URL.

    Args:
        request: The request.
        identity: Its identity.
        at: Seconds since 1970.
        key: Of the journal.
        status_url: What `veiled` made of the status URL.
    """
    url = one_line(redact_url(request.url, request.secrets), 2000)
    record = "{}" if status_url is None else json.dumps({"status_url": status_url})
    row = Row(*identity, 0, at, request.method, url, None, None, record, None, b"")
    return row._replace(seal=seal_of(row, key))


def kept_row(  # noqa: PLR0913, PLR0917 - the parts of a row
    outcome: Outcome, content: bytes | None, identity: Identity, at: float, key: bytes, status_url: str | None = None
) -> Row:
    """Return the row of an outcome; `status_url` is as for `begun_row`, where its job may not be over."""
    request, response = outcome.request, outcome.response
    secrets = secrets_of(request)
    record: dict[str, Any] = {
        "detail": None if outcome.error_detail is None else redact_text(outcome.error_detail, secrets),
        "attempts": [_attempt_to_json(attempt, outcome.attempts[0].start) for attempt in outcome.attempts],
    }
    if status_url is not None:
        record["status_url"] = status_url
    if response is not None:
        record["response"] = {**head_of(response, secrets), "size_bytes": response.size_bytes, "path": response.path}
    url = one_line(redact_text(redact_url(request.url, request.secrets), secrets), 2000)
    row = Row(*identity, 1, at, request.method, url, outcome.status, outcome.error, json.dumps(record, allow_nan=False), content, b"")
    return row._replace(seal=seal_of(row, key))


def head_of(response: Response, secrets: frozenset[str]) -> dict[str, Any]:
    """Return what is kept of a response besides status and body, JSON; our secrets and its cookies as ``***``."""
    return {
        "headers": [[name, MASK if name.lower() in _COOKIES else redact_text(value, secrets)] for name, value in response.headers],
        "final_url": redact_text(redact_url(response.final_url), secrets),
        "http_version": response.http_version,
        "reason": redact_text(response.reason, secrets),
    }


def veiled(url: str, request: Request, key: bytes) -> str:
    """Return a status URL in which the request's own secrets are keyed hashes: the file tells none of them."""
    for spelling, sign in _signs(request, key).items():
        url = url.replace(spelling, sign)
    return url


def job_of(row: Row, request: Request, key: bytes) -> Look | None:
    """Return the unfinished job in a row, None where there is none, or a secret in its URL has changed since."""
    status_url = json.loads(row.record).get("status_url")
    if status_url is None or row.error == "body" or row.status in _GONE or (row.done and row.error is None):
        return None
    for spelling, sign in _signs(request, key).items():
        status_url = status_url.replace(sign, spelling)
    return None if "\x01" in status_url else Look(request, status_url)


def _signs(request: Request, key: bytes) -> dict[str, str]:
    """Return each spelling of the request's secrets with what stands for it; long ones first."""
    values = secrets_of(request)
    spellings = {spelling for value in values for spelling in (value, quote(value, safe=""), quote_plus(value))}
    longest_first = sorted((spelling for spelling in spellings if len(spelling) >= SHORTEST), key=len, reverse=True)
    return {
        text: f"\x01{blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=16, key=key).hexdigest()}\x01" for text in longest_first
    }


def is_final(row: Row, request: Request, options: Options) -> bool:
    """Tell whether the outcome in a row stands: it is an answer that the retry policy would not ask for again.

    What was refused for want of credentials is asked for anew, whatever its method: nothing was done.
    An unsafe request that left without an answer stands too, unless the user allows resending.
    """
    repeatable = request.idempotent or options.retry_unsafe
    if row.status is not None and row.error is not None and row.error.startswith("http "):
        # Errors with a status below 400 are incomplete (206) or not ready (202), so they are not final.
        if row.status in _REFUSED:
            return False
        return (row.status >= _BAD and row.status not in RETRIED) or not repeatable
    if row.error in _GRAPHQL and was_limited(json.loads(row.record)["detail"]):
        return not repeatable
    if row.error is None or row.error in _READ_ANEW:
        # The name of the file is known only to the run that saved it.
        has_body = row.body is not None and FILENAME not in (request.save_as or "")
        return has_body or not repeatable or _saved_file(json.loads(row.record).get("response"), request) is not None
    return not repeatable and any(attempt["sent"] for attempt in json.loads(row.record)["attempts"])


def outcome_of(row: Row, request: Request, position: int, options: Options) -> Outcome:
    """Return the outcome stored in a row, its body read as this run's options say."""
    record = json.loads(row.record)
    attempts = tuple(_attempt_of_json(attempt) for attempt in record["attempts"])
    head = record.get("response")
    if head is None or row.status is None:
        return Outcome(position, request, attempts, error=row.error, error_detail=record["detail"])
    path = None if row.status >= _BAD else _saved_file(head, request)
    headers = tuple((name, value) for name, value in head.pop("headers"))
    response = Response(status=row.status, headers=headers, content=row.body, **head)
    reading = Reading(None)
    if row.body is not None:
        content_type = response.header("content-type")
        reading = read_stored(request, row.body, content_type, options, row.status)
        conditions = Conditions.of(options)
        if conditions is not None and reading.error is None and row.status < _BAD:
            judged = conditions.judge(response, reading.data, content_type, hidden=request.hide_data)
            reading = reading if judged.detail is None else Reading(reading.data, "body", redact_text(judged.detail, request.secrets))
    error, detail = (reading.error, reading.detail) if row.error is None or row.error in _READ_ANEW else (row.error, record["detail"])
    data = reading.data
    if path is None and request.save_as is not None and row.body is not None and row.status < _BAD:
        path, error, detail = _write_file(row.body, request.save_as)
    if path is not None:
        response.path, response.content = path, None
        data = path
    if options.return_type == "response":
        data = response
    else:
        response.content = None
    return Outcome(position, request, attempts, response, data, error, detail)


def _saved_file(head: dict[str, Any] | None, request: Request) -> str | None:
    """Return the file of a saved body, None if it has changed or this run saves it elsewhere."""
    path: str | None = head["path"] if head is not None else None
    before, named, _ = (request.save_as or "").partition(FILENAME)
    if head is None or path is None or (path != request.save_as and not (named and path.startswith(before))):
        return None
    try:
        return path if Path(path).stat().st_size == head["size_bytes"] else None
    except OSError:
        return None


def _write_file(body: bytes, path: str) -> tuple[str | None, str | None, str | None]:
    """Write a stored body to the file of this run; return path, error, detail."""
    try:
        write_whole(path, (body,))
    except OSError as error:
        return None, "save_to", f"{path}: {error.strerror or error}"
    return path, None, None


def _attempt_to_json(attempt: Attempt, zero: float) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "started_at": attempt.started_at.isoformat(),
        "start": _number(attempt.start - zero),
        "end": _number(attempt.end - zero),
        "queued": _number(attempt.queued),
        "status": attempt.status,
        "error": attempt.error,
        "error_detail": attempt.error_detail,
        "retry_wait": _number(attempt.retry_wait),
        "sent": attempt.sent,
        "hops": [_hop_to_json(hop, zero) for hop in attempt.hops],
    }


def _attempt_of_json(record: dict[str, Any]) -> Attempt:
    started_at = datetime.fromisoformat(record["started_at"]).astimezone(UTC)
    # The start on the clock of this process.
    start = perf_counter() - (time() - started_at.timestamp())
    zero = start - (record["start"] or 0.0)
    return Attempt(
        number=record["number"],
        started_at=started_at,
        start=start,
        end=zero + record["end"] if record["end"] is not None else nan,
        queued=nan if record["queued"] is None else record["queued"],
        hops=tuple(_hop_of_json(hop, zero) for hop in record["hops"]),
        status=record["status"],
        error=record["error"],
        error_detail=record["error_detail"],
        retry_wait=record["retry_wait"] or 0.0,
        sent=record["sent"],
    )


def _number(value: float) -> float | None:
    return round(value, 7) if isfinite(value) else None


def _hop_to_json(hop: Timing, zero: float) -> dict[str, float | bool | None]:
    return {name: getattr(hop, name) if name in _FACTS else _number(getattr(hop, name) - zero) for name in _MARKS}


def _hop_of_json(record: dict[str, Any], zero: float) -> Timing:
    marks: dict[str, Any] = {name: nan if value is None else zero + value for name, value in record.items() if name not in _FACTS}
    return Timing(**marks, reused=record["reused"], encrypted=record["encrypted"])
