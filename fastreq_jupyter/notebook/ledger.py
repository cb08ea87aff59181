"""What the panel knows of a run's rows, entered from its events.

The law: nothing is kept here but numbers and short texts that may be shown. The ledger holds no request, no body and no
outcome, so that a panel left open keeps no memory of a run alive and can leak no secret.
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import nan
from typing import TYPE_CHECKING

from fastreq_jupyter.engine.events import AttemptFinished, AttemptStarted, Finished, ResponseStarted, RetryScheduled, RunStarted
from fastreq_jupyter.notebook.batch import ATTEMPT_COLUMNS, ROW_COLUMNS, Table
from fastreq_jupyter.redact import one_line, redact_text, redact_url, secret_values
from fastreq_jupyter.timing import phases_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastreq_jupyter.engine.events import Event
    from fastreq_jupyter.model import Attempt, Outcome, Request

__all__ = ["FAILED", "IN_FLIGHT", "OK", "WAITING", "Ledger"]

URL_LIMIT = 300
IN_FLIGHT, WAITING, OK, FAILED = 1, 2, 3, 4
_ROW_TEXTS = ("url", "host", "method", "error", "type", "name", "detail")
_OF_A_ROW = (AttemptStarted, ResponseStarted, AttemptFinished, RetryScheduled)
_ORIGIN = re.compile(r"(\w+://)([^/?#]*)")
_MS = 1000.0


class Ledger:
    """Keep what is shown of each row and each attempt.

    Args:
        began: When the run began, seconds of `time.perf_counter`; NaN until `RunStarted` tells.
        row_limit: Rows listed at most; of those beyond nothing is kept.

    Attributes:
        rows: Table of rows, by position.
        attempts: Table of attempts, in the order they were heard of.
        changed: Rows that changed since somebody emptied this; in that order.
        untold: Rows whose texts nobody has taken yet.
    """

    def __init__(self, *, began: float = nan, row_limit: int) -> None:
        self.rows = Table({k: v for k, v in ROW_COLUMNS.items() if k not in (*_ROW_TEXTS, "position")}, _ROW_TEXTS)
        self.attempts = Table({k: v for k, v in ATTEMPT_COLUMNS.items() if k not in ("position", "error")}, ("error",))
        self.changed: dict[int, None] = {}
        self.untold: set[int] = set()
        self.row_limit = row_limit
        self._began = began
        self._places: dict[int, list[int]] = {}
        # Looked up once: these are written for each request, on the loop that sends the others.
        row, attempt = self.rows.numbers, self.attempts.numbers
        self._state, self._count, self._elapsed = row("state"), row("tries"), row("elapsed")
        self._status, self._size = row("status"), row("size")
        self._urls = self.rows.texts("url")
        self._start, self._total, self._wait = attempt("start"), attempt("total"), attempt("wait")
        self._phases = [attempt(name) for name in ("queued", "dns", "connect", "tls", "receive", "retry_wait")]
        self._tried = attempt("status")

    def take(self, events: Iterable[Event]) -> None:
        """Enter what happened, in order; of a request that has finished meanwhile only the outcome is looked at."""
        events = list(events)
        done = {event.outcome.position for event in events if type(event) is Finished}
        for event in events:
            if type(event) is Finished:
                if event.outcome.position < self.row_limit:
                    self._finish(event.outcome)
            elif type(event) is RunStarted:
                self._began = event.at
            elif isinstance(event, _OF_A_ROW) and event.position < self.row_limit and event.position not in done:
                self._enter(event)

    def places(self, row: int) -> list[int]:
        """Return where the attempts of a row are in the table of attempts."""
        return self._places.get(row, [])

    def _enter(self, event: AttemptStarted | ResponseStarted | AttemptFinished | RetryScheduled) -> None:
        row = event.position
        if type(event) is AttemptStarted:
            self._describe(row, event.request)
            self._state[row] = IN_FLIGHT
            self._count[row] = event.number
            self._start[self._place(row, event.number)] = self._since(event.at)
        elif row >= len(self.rows):
            # Its beginning was before anybody listened: the outcome will tell all.
            return
        elif type(event) is ResponseStarted:
            self._answered(row, event)
        elif type(event) is AttemptFinished:
            self._write_attempt(row, event.attempt)
        elif type(event) is RetryScheduled:
            self._state[row] = WAITING
            self._wait_until(row, event.until)
        self.changed[row] = None

    def _finish(self, outcome: Outcome) -> None:
        row, response, rows = outcome.position, outcome.response, self.rows
        self._describe(row, outcome.request)
        self._state[row] = OK if outcome.error is None else FAILED
        self._count[row] = len(outcome.attempts)
        self._elapsed[row] = outcome.elapsed * _MS
        if response is not None:
            self._status[row] = response.status
            self._size[row] = response.size_bytes
            rows.texts("type")[row] = _media_type(response.header("content-type"))
        if outcome.error is not None:
            rows.texts("error")[row] = outcome.error
            rows.texts("detail")[row] = _cause(outcome)
        for attempt in outcome.attempts:
            self._write_attempt(row, attempt)
        self.changed[row] = None

    def _describe(self, row: int, request: Request) -> None:
        """Enter what was asked, the first time a row is heard of."""
        rows = self.rows
        rows.grow(row + 1)
        if self._urls[row]:
            return
        url = one_line(redact_url(request.url, request.secrets), URL_LIMIT)
        self._urls[row] = url or "(no URL)"
        rows.texts("host")[row] = _origin(url)
        rows.texts("method")[row] = one_line(request.method, 20)
        name = request.label or ("" if request.key is None else str(request.key))
        if name:
            rows.texts("name")[row] = one_line(redact_text(name, request.secrets), 80)
        self.untold.add(row)

    def _place(self, row: int, number: int) -> int:
        places = self._places.setdefault(row, [])
        while len(places) < number:
            places.append(len(self.attempts))
            self.attempts.grow(len(self.attempts) + 1)
            self.attempts.numbers("number")[places[-1]] = len(places)
        return places[number - 1]

    def _answered(self, row: int, event: ResponseStarted) -> None:
        if places := self.places(row):
            self._wait[places[-1]] = self._since(event.at) - self._start[places[-1]]
            self._tried[places[-1]] = event.status

    def _wait_until(self, row: int, until: float) -> None:
        if places := self.places(row):
            ended = self._start[places[-1]] + self._total[places[-1]]
            self._phases[-1][places[-1]] = self._since(until) - ended

    def _write_attempt(self, row: int, attempt: Attempt) -> None:
        at, phases = self._place(row, attempt.number), phases_of(attempt.hops)
        queued, dns, connect, tls, receive, retry_wait = self._phases
        self._start[at] = self._since(attempt.start)
        queued[at] = attempt.queued * _MS
        dns[at] = phases.dns * _MS
        connect[at] = phases.connect * _MS
        tls[at] = phases.tls * _MS
        self._wait[at] = phases.wait * _MS
        receive[at] = phases.receive * _MS
        self._total[at] = (attempt.end - attempt.start) * _MS
        retry_wait[at] = attempt.retry_wait * _MS
        self._tried[at] = attempt.status or 0
        if attempt.error is not None:
            self.attempts.texts("error")[at] = attempt.error

    def _since(self, moment: float) -> float:
        """Return milliseconds since the run began; NaN for what was before it (a row known already)."""
        passed = (moment - self._began) * _MS
        return passed if passed >= 0 else nan


def _cause(outcome: Outcome) -> str:
    request = outcome.request
    secrets = request.secrets | secret_values(request.url, request.headers, request.content, request.header("content-type"))
    return one_line(redact_text(outcome.error_detail or "", secrets))


def _origin(url: str) -> str:
    """Return scheme and authority of a URL that is fit to be shown."""
    found = _ORIGIN.match(url)
    if found is None:
        return ""
    return found[0] if "@" not in found[2] else found[1] + found[2].rpartition("@")[2]


@lru_cache(maxsize=256)
def _media_type(value: str | None) -> str:
    return one_line((value or "").partition(";")[0].strip().lower(), 60)
