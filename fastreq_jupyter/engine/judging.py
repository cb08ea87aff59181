"""What an attempt came to: its record, the outcome of the request if it is the last, or when the next one may start."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING

from fastreq_jupyter.engine.reading import Reading, read_data
from fastreq_jupyter.model import Attempt, Outcome
from fastreq_jupyter.policy.retry import RETRIED, Failure, Verdict, decide
from fastreq_jupyter.redact import one_line, redact_text, secret_values

if TYPE_CHECKING:
    from fastreq_jupyter.engine.attempt import Trial
    from fastreq_jupyter.engine.lane import Job
    from fastreq_jupyter.options import Options

__all__ = ["Judgement", "cut_off", "judge"]

_BAD = 400
_TOO_MANY = 429
_UNAVAILABLE = 503
_UNAVAILABLE_IN_ROW = 5


@dataclass(frozen=True, slots=True)
class Judgement:
    """Hold what follows from one attempt.

    Attributes:
        attempt: Its record.
        outcome: The outcome, None where the request is tried again.
        content: The body's bytes, for a journal.
        wait: Seconds before the next attempt.
        pause: Seconds the whole host asked us to stay away; 0 where it concerns this request alone.
        success: The attempt got an answer that is not worth a retry.
    """

    attempt: Attempt
    outcome: Outcome | None
    content: bytes | None
    wait: float
    pause: float
    success: bool


def judge(job: Job, trial: Trial, options: Options, *, start: float, started_at: datetime) -> Judgement:
    """Judge a finished attempt.

    Args:
        job: The request; its earlier attempts count.
        trial: What came of the exchanges.
        options: Of the run.
        start: When the attempt began, `perf_counter`.
        started_at: The same on the wall clock, UTC.
    """
    response = trial.response
    status = response.status if response is not None and trial.failure is None else None
    reading = _read(job, trial, options)
    error, detail = _error_of(job, trial, reading)
    verdict = _decide(job, trial, options, status) if error is not None and not trial.handed else Verdict(retry=False)
    attempt = Attempt(
        number=len(job.attempts) + 1,
        started_at=started_at,
        start=start,
        end=perf_counter(),
        queued=start - job.ready_at,
        hops=tuple(trial.hops),
        redirects=tuple(trial.redirects),
        status=None if response is None else response.status,
        error=error,
        error_detail=detail,
        retry_wait=verdict.wait if verdict.retry else 0.0,
        sent=trial.failure is None or trial.failure.sent,
    )
    success = trial.failure is None and status not in RETRIED
    pause = verdict.pause if _concerns_host(job, status) else 0.0
    if verdict.retry:
        return Judgement(attempt, None, None, verdict.wait, pause, success)
    content = None if response is None else response.content
    if verdict.detail:
        detail = f"{detail}; {verdict.detail}" if detail else verdict.detail
    if response is not None and options.return_type != "response":
        response = response.with_body(None, response.size_bytes, response.path)
    outcome = Outcome(
        position=job.position,
        request=job.request,
        attempts=(*job.attempts, attempt),
        response=response,
        data=response if options.return_type == "response" else reading.data,
        error=error,
        error_detail=None if detail is None else one_line(detail),
    )
    return Judgement(attempt, outcome, content, 0.0, pause, success)


def cut_off(job: Job, trial: Trial, start: float, started_at: datetime) -> Attempt:
    """Return the record of an attempt that was cancelled while under way."""
    status = None if trial.response is None else trial.response.status
    return Attempt(
        number=len(job.attempts) + 1,
        started_at=started_at,
        start=start,
        end=perf_counter(),
        queued=start - job.ready_at,
        hops=tuple(trial.hops),
        redirects=tuple(trial.redirects),
        status=status,
        error="cancelled",
        error_detail="cut off while under way",
    )


def _read(job: Job, trial: Trial, options: Options) -> Reading:
    response = trial.response
    if response is None or trial.failure is not None:
        return Reading(None)
    if response.content is None:
        return Reading(response.path)
    return read_data(response, response.content, options.return_type, job.request.method)


def _error_of(job: Job, trial: Trial, reading: Reading) -> tuple[str | None, str | None]:
    if trial.failure is not None:
        return trial.failure.kind, trial.failure.detail
    response = trial.response
    if response is not None and response.status >= _BAD:
        return f"http {response.status}", _safe_reason(job, response.reason)
    return reading.error, reading.detail


def _safe_reason(job: Job, reason: str) -> str | None:
    """Return the reason phrase, in which a server may say our own secrets back to us."""
    if not reason or reason.isalpha():
        return reason or None
    exchange = job.exchange
    return redact_text(reason, job.request.secrets | secret_values(exchange.target.url, exchange.headers, exchange.content))


def _decide(job: Job, trial: Trial, options: Options, status: int | None) -> Verdict:
    failure = Failure(
        number=len(job.attempts) + 1,
        repeatable=options.retry_unsafe or job.request.idempotent,
        sent=trial.failure is None or trial.failure.sent,
        status=status,
        error=None if trial.failure is None else trial.failure.kind,
        retry_after=trial.response.header("retry-after") if status is not None and trial.response is not None else None,
    )
    # Not for secrets: it only spreads retries.
    return decide(failure, max_retries=options.max_retries, jitter=random.random(), now=datetime.now(UTC))  # noqa: S311


def _concerns_host(job: Job, status: int | None) -> bool:
    job.lane.unavailable_in_row = job.lane.unavailable_in_row + 1 if status == _UNAVAILABLE else 0
    return status == _TOO_MANY or job.lane.unavailable_in_row >= _UNAVAILABLE_IN_ROW
