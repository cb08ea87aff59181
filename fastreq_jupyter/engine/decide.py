"""Decides after an attempt: the outcome of its request, or when the next attempt starts."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.engine.judging import read_graphql, reason_in
from fastreq_jupyter.engine.reading import read_data
from fastreq_jupyter.model import Attempt, Outcome, SingleAttempt, instant_of
from fastreq_jupyter.policy import RETRIED, Failure, Verdict, decide, reset_after
from fastreq_jupyter.redact import one_line, redact_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastreq_jupyter.engine.attempt import Job
    from fastreq_jupyter.engine.judging import Conditions
    from fastreq_jupyter.model import Response
    from fastreq_jupyter.options import Options

_UNAVAILABLE_IN_ROW = 5
# One path may have a limit of its own; so many refusals in a row are the host's.
_FAR_IN_ROW = 5
# Length of the error detail, so that the words about a retry behind it are not cut off.
_LONGEST_CAUSE = 200
_FINAL = Verdict(retry=False)
RENEWAL = Verdict(retry=True)
"""A request goes out once more with another token."""


def conclude(  # noqa: C901, PLR0912 - each kind of end once, without calls that a good answer does not need
    job: Job, options: Options, conditions: Conditions | None = None
) -> tuple[Outcome | None, Verdict]:
    """Conclude a finished attempt; its record is added to ``job.attempts``.

    Args:
        job: The request with what came of its attempt.
        options: Of the run.
        conditions: What makes a good answer a bad one by its body, or None.

    Returns:
        The outcome, None where the request is tried again; and the verdict, whose `pause` is set only where it concerns
        the whole host.
    """
    response, failure = job.response, job.failure
    data: Any = None
    error: str | None = None
    detail: str | None = None
    counts_as: int | None = None
    if failure is not None:
        error, detail = failure.kind, failure.detail
    elif response is not None:
        if response.content is None:
            data = response.path
        elif job.request.operation is not None:
            data, error, detail, counts_as = _graphql(job, response, response.content, options)
        else:
            data, error, detail, note = job.reading or read_data(
                response.content, response.header("content-type"), options, response.status
            )
            if note is not None:
                job.notes = (*job.notes, note)
        if response.status > 200:
            error, detail = _refusal(job, response, data) or (error, detail)
        if conditions is not None and error is None and response.status != 304:
            error, detail, counts_as = _judge(job, response, data, conditions)
    if error is None:
        verdict = _FINAL
    else:
        verdict = _verdict(job, options, counts_as)
        if verdict.detail:
            detail = f"{one_line(detail, _LONGEST_CAUSE)}; {verdict.detail}" if detail else verdict.detail
        detail = None if detail is None else one_line(detail)
    if job.tokens is not None and job.tokens.renews(job):
        verdict = RENEWAL
    _record(job, error, detail, verdict.wait if verdict.retry else 0.0)
    if verdict.retry:
        return None, verdict
    if options.return_type == "response":
        data = response
    return Outcome(job.position, job.request, job.attempts, response, data, error, detail), verdict


def _refusal(job: Job, response: Response, data: Any) -> tuple[str, str | None] | None:
    """Return kind and detail of the error for a bad status, None for a good one.

    The detail is the reason that the API itself gives, else the reason phrase.
    """
    status = response.status
    if status >= 400:
        reason = None if job.request.hide_data else reason_in(response, data)
        return f"http {status}", _safe_reason(job, response.reason) if reason is None else redact_text(reason, job.secrets)
    if status == 202 and job.request.save_as is not None:
        return "http 202", "accepted, not ready"
    return ("http 206", "Partial Content, though no Range was asked for") if job.unasked_part else None


def _graphql(job: Job, response: Response, content: bytes, options: Options) -> tuple[Any, str | None, str | None, int | None]:
    request = job.request
    reading, counts_as = read_graphql(content, response.header("content-type"), options, response.status, hidden=request.hide_data)
    detail = None if reading.detail is None else redact_text(reading.detail, job.secrets)
    return reading.data, reading.error, detail, counts_as


def _judge(job: Job, response: Response, data: Any, conditions: Conditions) -> tuple[str | None, str | None, int | None]:
    hidden = job.request.hide_data
    detail, asks_again, note = conditions.judge(response, data, response.header("content-type"), hidden=hidden)
    if note is not None:
        job.notes = (*job.notes, note)
    return (None, None, None) if detail is None else ("body", redact_text(detail, job.secrets), 503 if asks_again else None)


def cut_off(job: Job) -> None:
    """Add the record of an attempt that was cancelled while under way."""
    _record(job, "cancelled", "cut off while under way", 0.0)


def update_host(job: Job, verdict: Verdict, *, slots: int, notice: Callable[[str, float], None]) -> str | None:
    """Update the state of an attempt's host: breaker, pauses, remaining quota.

    Args:
        job: Its attempt has ended.
        verdict: What was decided of it.
        slots: Requests of the run in flight at most.
        notice: Shows a line for some seconds, for 0 until there is another one.

    Returns:
        Why nothing more should be sent there, or None.
    """
    host = job.host
    status = job.status
    if status != 503:
        host.unavailable_in_row = 0
    if host.health.record(status, success=status is not None and status not in RETRIED):
        notice(f"{host.origin} fails: single attempts until one succeeds", 0.0)
    pause = host.note_limit(job, slots, verdict.pause)
    if pause:
        asks = "asks to wait" if verdict.pause else "gives no more for"
        notice(f"{host.origin} {asks} {pause:.0f} s, until {datetime.now().astimezone() + timedelta(seconds=pause):%H:%M:%S}", pause)
    if status is not None:
        host.far_in_row = host.far_in_row + 1 if verdict.detail and status in (403, 429) else 0
    refusal = host.health.refusing
    if refusal is not None:
        why = f"the first 20 answers of {host.origin} were all {refusal}"
    elif host.far_in_row >= _FAR_IN_ROW:
        why = f"{host.origin} refuses, {verdict.detail}"
    else:
        return None
    return f"{why} (max_failures=none turns this stop off)"


def _record(job: Job, error: str | None, detail: str | None, retry_wait: float) -> None:
    response, failure = job.response, job.failure
    if error is None and response is not None and not job.attempts and len(job.hops) == 1:
        job.attempts = SingleAttempt(job.started_us, job.start, job.start - job.ready_at, job.hops[0], response.status)
        return
    attempt = Attempt(
        len(job.attempts) + 1,
        instant_of(job.started_us),
        job.start,
        # When no decision was needed after the last byte, this is the time of the last byte.
        job.hops[-1].response_end if error is None and job.hops else perf_counter(),
        job.start - job.ready_at,
        job.hops,
        None if response is None else response.status,
        error,
        detail,
        retry_wait,
        failure is None or failure.sent,
        job.redirects,
    )
    job.attempts = (*job.attempts, attempt) if job.attempts else (attempt,)


def _safe_reason(job: Job, reason: str) -> str | None:
    """Return the reason phrase without our secrets, which a server may repeat in it."""
    return redact_text(reason, job.secrets) if reason and not reason.isalpha() else reason or None


def _verdict(job: Job, options: Options, counts_as: int | None) -> Verdict:
    """Return what follows a failed attempt; `counts_as` is the status that its body makes of a good answer."""
    response, failure = job.response, job.failure
    status = job.status
    # A 503 that only the body states concerns this request, not the host.
    pausing = _concerns_host(job, 429 if counts_as == 429 else status)
    status = counts_as or status
    if job.handed or (failure is not None and failure.lasting):
        return _FINAL
    verdict = decide(
        Failure(
            # Sending again with another token is no retry, and each look counts its own retries.
            number=len(job.attempts) - job.base + 1 - job.renewed,
            repeatable=options.retry_unsafe or job.looking or job.request.idempotent,
            sent=failure is None or failure.sent,
            status=status,
            error=None if failure is None else failure.kind,
            retry_after=response.header("retry-after") if status is not None and response is not None else None,
            reset=_reset(job, status),
        ),
        max_retries=options.max_retries,
        jitter=random.random(),  # noqa: S311 - not for secrets: it only spreads retries
        now=datetime.now(UTC),
    )
    return verdict if pausing or not verdict.pause else Verdict(verdict.retry, verdict.wait, 0.0, verdict.detail)


def _concerns_host(job: Job, status: int | None) -> bool:
    host = job.host
    host.unavailable_in_row = host.unavailable_in_row + 1 if status == 503 else 0
    return status in (403, 429) or (status is not None and job.remaining == 0) or host.unavailable_in_row >= _UNAVAILABLE_IN_ROW


def _reset(job: Job, status: int | None) -> tuple[float, str] | None:
    """Return when the limit of an answer is reset: for a 429, and for a 403 or 503 without remaining quota."""
    response = job.response
    if response is None or not (status == 429 or (job.remaining == 0 and status in (403, 503))):
        return None
    return reset_after(response.header, datetime.now(UTC))
