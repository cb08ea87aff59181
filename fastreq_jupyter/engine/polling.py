"""Option `until` of a run: which answers are not yet what is waited for, and where and when their jobs are looked at again.

A look is an attempt like any other: it takes a slot and a token of the rate, has its deadline and its retries. Between two
looks a request waits parked, without a slot. Of its attempts those of the first and of the last look are kept.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.engine.judging import json_of
from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.options import PARSED, Selection, show_seconds
from fastreq_jupyter.policy import Standing, next_exchange, next_wait, parse_retry_after, standing_of, status_exchange, status_url
from fastreq_jupyter.redact import one_line, redact_text
from fastreq_jupyter.url import parse_target, resolve_reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastreq_jupyter.engine.attempt import Job
    from fastreq_jupyter.engine.source import Source
    from fastreq_jupyter.engine.store import Store
    from fastreq_jupyter.exchange import Exchange
    from fastreq_jupyter.model import Attempt, Look, Outcome, Request, Response
    from fastreq_jupyter.options import Options

# Texts that mean no, and are true all the same, as every text that is not empty.
_NEGATIVE_TEXTS = frozenset({"false", "no", "0", "null", "none", "off"})
_UNSAFE_ONCE = "{} is sent once, and its answer names no place to look at: Operation-Location, Azure-AsyncOperation or, with 202, Location"


class Polling:
    """What a run waits for.

    Args:
        options: `until`, `every`, `patience`; and `return_type`, which says what a body was read as.
        store: Keeps status URLs, so that another process goes on looking; or None.

    Attributes:
        jobs: Position -> status URL of the jobs that are not known to be over.
    """

    def __init__(self, options: Options, store: Store | None) -> None:
        self._options = options
        self._store = store
        text = options.until
        self._expression = None if text is None or text == "ready" else Selection(text, "until")
        self.jobs: dict[int, str] = {}
        self._newcomer = False

    @classmethod
    def of(cls, options: Options, store: Store | None) -> Polling | None:
        """Return what the run waits for, None where it waits for nothing."""
        return None if options.until is None else cls(options, store)

    def exchange_for(self, begun: Look, exchange: Exchange, position: int) -> Exchange:
        """Return the GET that goes on with a job of an earlier run.

        Raises:
            BackendError: The status URL cannot be asked.
        """
        self.jobs[position] = begun.url
        return status_exchange(exchange, begun.url, secrets=begun.shown.secrets)

    def draws(self, source: Source, room: int) -> bool:
        """Tell whether a new request is drawn now: they alternate with looks, whose number would else keep them out."""
        self._newcomer = not self._newcomer and source.ready and room > 0
        return self._newcomer

    async def wait_after(self, job: Job, outcome: Outcome) -> float | None:
        """Return seconds until the next look at what an attempt came to, None where its outcome stands, which is completed then."""
        job.looks += 1
        standing = self._standing(job, outcome)
        if standing is None or standing.state != "waiting":
            self._conclude(job, outcome, standing)
            return self._end(job, outcome)
        try:
            await self._follow(job)
        except BackendError as error:
            return self._end(job, outcome, error.kind, error.detail)
        if not job.looking and not _may_ask_again(job.request):
            return self._end(job, outcome, "not ready", _with_word(_UNSAFE_ONCE.format(job.request.method), standing.word))
        retry_after = None if job.response is None else parse_retry_after(job.response.header("retry-after"), datetime.now(UTC))
        spent = perf_counter() - job.attempts[0].start
        wait = next_wait(job.looks, every=self._options.every, retry_after=retry_after, patience=self._options.patience - spent)
        if wait is None:
            return self._end(job, outcome, "not ready", self._why_over(job, standing.word, retry_after, spent))
        self._park(job, wait)
        return wait

    def is_met(self, response: Response, data: Any, content: bytes) -> bool:
        """Tell whether an answer known from before is what is waited for."""
        return self._search(response, data, content)[0].state == "ready"

    def _standing(self, job: Job, outcome: Outcome) -> Standing | None:
        """Return what the answer says, None where it is a failure; notes go to the job."""
        response = job.response
        if response is None or job.failure is not None or (outcome.error is not None and outcome.error != "http 202"):
            return None
        standing, note = self._search(response, outcome.data, response.content)
        if note is not None:
            job.notes = (*job.notes, note)
        word = standing.word
        if word is not None:
            word = None if job.request.hide_data else one_line(redact_text(word, job.secrets), 100)
        return Standing(standing.state, word)

    def _search(self, response: Response, data: Any, content: bytes | None) -> tuple[Standing, str | None]:
        body = data if self._options.return_type in PARSED else json_of(content, response.header("content-type"))
        expression = self._expression
        if expression is None:
            return standing_of(response.status, body), None
        try:
            value = expression.search(body, dict(response.headers) if expression.reads_headers else None)
        except ValueError as error:
            return Standing("waiting"), f"to which until could not be applied: {one_line(str(error), 200)}"
        if isinstance(value, str) and value.strip().lower() in _NEGATIVE_TEXTS:
            return Standing("ready"), f"in which until found the text {one_line(value, 20)!r}, which is true as every text: compare it"
        if value:
            return Standing("ready"), None
        note = "without JSON for until to look into" if isinstance(body, (str, bytes)) else None
        return Standing("waiting", standing_of(response.status, body).word), note

    async def _follow(self, job: Job) -> None:
        """Turn to the status URL that an answer names, and keep it; the request's own URL is asked again where there is none."""
        response = job.response
        own = self._expression is not None and not job.looking and _may_ask_again(job.request)
        reference = None if response is None or own else status_url(response.status, response.headers)
        if response is None or reference is None:
            return
        try:
            url = resolve_reference(parse_target(response.final_url), reference).url
        except ValueError as error:
            raise BackendError("redirect refused", f"the status URL: {one_line(redact_text(str(error), job.secrets), 120)}") from None
        secrets = job.request.secrets
        sent = job.exchange
        if response.final_url != sent.target.url:
            # A redirect to another origin dropped the secrets; they are not sent there afterwards either.
            sent = next_exchange(sent, 303, (("Location", response.final_url),), secrets=secrets) or sent
        following = status_exchange(sent, url, secrets=secrets)
        if following.target.origin != job.exchange.target.origin:
            # They belong to the origin of the request alone.
            job.tokens = None
        job.exchange = following
        job.looking = True
        if self.jobs.get(job.position) != url:
            self.jobs[job.position] = url
            if self._store is not None:
                await self._store.look(job.request, job.position, url)

    def _conclude(self, job: Job, outcome: Outcome, standing: Standing | None) -> None:
        """Take note of how the waiting ended."""
        if standing is not None and standing.state == "failed":
            outcome.error, outcome.error_detail = "body", f"status: {standing.word}" if standing.word else "its status says so"
            last = replace(job.attempts[-1], error=outcome.error, error_detail=outcome.error_detail)
            job.attempts = (*job.attempts[:-1], last)
        if standing is not None or outcome.error == "body" or (outcome.status in (404, 410) and job.failure is None):
            self.jobs.pop(job.position, None)

    def _why_over(self, job: Job, word: str | None, retry_after: float | None, spent: float) -> str:
        count = "1 look" if job.looks == 1 else f"{job.looks:,} looks"
        why = f"after {count} in {show_seconds(spent)}"
        if retry_after is not None and retry_after > self._options.patience - spent:
            why = f"{why}; the server asks to look again in {show_seconds(retry_after)}"
        return _with_word(f"{why}; patience is {show_seconds(self._options.patience)}", word)

    @staticmethod
    def _end(job: Job, outcome: Outcome, error: str | None = None, detail: str | None = None) -> None:
        """Complete an outcome that stands."""
        if error is not None:
            outcome.error, outcome.error_detail = error, detail
        outcome.looks = job.looks
        outcome.attempts = _kept(job)

    @staticmethod
    def _park(job: Job, wait: float) -> None:
        """Make a request ready for its next look."""
        job.first = job.first or len(job.attempts)
        attempts = _kept(job)
        job.attempts = (*attempts[:-1], replace(attempts[-1], retry_wait=wait))
        job.base = len(job.attempts)
        job.renewed = False
        if job.response is not None:
            job.response.content = None


def _may_ask_again(request: Request) -> bool:
    return request.is_query or request.method == "OPTIONS"


def _kept(job: Job) -> Sequence[Attempt]:
    """Return the attempts of the first and of the last look."""
    first, attempts = job.first, job.attempts
    head, tail = attempts[:first], attempts[first:]
    if not head or not tail:
        return attempts
    gap = max(0.0, tail[0].start - tail[0].queued - head[-1].end)
    head = (*head[:-1], replace(head[-1], retry_wait=gap))
    return (*head, *(replace(attempt, number=first + number) for number, attempt in enumerate(tail, 1)))


def _with_word(text: str, word: str | None) -> str:
    return text if word is None else f"{text}; the body's status is {word}"
