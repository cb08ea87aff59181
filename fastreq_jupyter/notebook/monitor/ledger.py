"""What the panel knows of a run's rows: what has finished, entered once, and what was under way when it was last looked at.

The law: nothing is kept here but numbers and short texts that may be shown. The ledger holds no request, no body and no
outcome, so that a panel left open keeps no memory of a run alive and can leak no secret.
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import nan
from typing import TYPE_CHECKING

from fastreq_jupyter.exchange import phases_of
from fastreq_jupyter.model import SingleAttempt, secrets_of
from fastreq_jupyter.notebook.monitor.batch import ATTEMPT_COLUMNS, ROW_COLUMNS, Table
from fastreq_jupyter.redact import are_plain_urls, one_line, redact_text, redact_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fastreq_jupyter.engine import UnderWay
    from fastreq_jupyter.model import Attempt, Outcome, Request

__all__ = ["FAILED", "IN_FLIGHT", "OK", "WAITING", "Ledger"]

URL_LIMIT = 300
IN_FLIGHT, WAITING, OK, FAILED = 1, 2, 3, 4
_ROW_TEXTS = ("url", "host", "method", "error", "type", "cached", "name", "detail")
_ORIGIN = re.compile(r"(\w+://)([^/?#]*)")
_MS = 1000.0
# Behind it is a host: "http://x".
_AUTHORITY = 8


class Ledger:
    """What is shown of each row and each attempt.

    Args:
        row_limit: Rows listed at most; of those beyond nothing is kept.

    Attributes:
        began: When the run began, seconds of `time.perf_counter`; NaN until somebody tells.
        rows: Table of rows, by position.
        attempts: Table of attempts; those of a row stand together.
        changed: Rows that changed since somebody emptied this; in that order.
        untold: Rows whose texts nobody has taken yet.
    """

    def __init__(self, *, row_limit: int) -> None:
        self.began = nan
        self.rows = Table({k: v for k, v in ROW_COLUMNS.items() if k not in (*_ROW_TEXTS, "position")} | {"first": "L"}, _ROW_TEXTS)
        self.attempts = Table({k: v for k, v in ATTEMPT_COLUMNS.items() if k not in ("position", "error")}, ("error",))
        self.changed: dict[int, None] = {}
        self.untold: set[int] = set()
        self.row_limit = row_limit
        self._told: dict[int, tuple[int, float | None, int | None]] = {}
        # Looked up once: these are written for each request, on the loop that sends the others.
        row, attempt = self.rows.numbers, self.attempts.numbers
        self._state, self._tries, self._first = row("state"), row("tries"), row("first")
        self._elapsed, self._status, self._size = row("elapsed"), row("status"), row("size")
        self._urls, self._types = self.rows.texts("url"), self.rows.texts("type")
        self._hosts, self._methods = self.rows.texts("host"), self.rows.texts("method")
        # Query names that were met and are no secrets.
        self._names: set[str] = set()
        self._start, self._total, self._wait = attempt("start"), attempt("total"), attempt("wait")
        self._phases = [attempt(name) for name in ("queued", "dns", "connect", "tls", "receive", "retry_wait")]
        self._tried, self._number = attempt("status"), attempt("number")

    def enter(self, outcomes: Sequence[Outcome]) -> None:
        """Enter requests that have their outcome."""
        outcomes = [outcome for outcome in outcomes if outcome.position < self.row_limit]
        requests = [outcome.request for outcome in outcomes]
        urls = [request.url for request in requests]
        # Looked at together: most URLs of most runs have nothing to hide.
        plain = "".join(urls).isprintable() and not any([request.secrets for request in requests]) and are_plain_urls(urls, self._names)  # noqa: C419 - a list is quicker here
        for outcome in outcomes:
            self._finish(outcome, plain=plain)

    def observe(self, under_way: Iterable[UnderWay]) -> None:
        """Enter how those are that have none yet; what is as it was when last looked at does not count as changed."""
        for one in under_way:
            seen = (len(one.attempts), one.start, one.status)
            if one.position < self.row_limit and self._told.get(one.position) != seen:
                self._told[one.position] = seen
                self._show(one)

    def places(self, row: int) -> range:
        """Return where the attempts of a row are in the table of attempts."""
        first = self._first[row]
        return range(first, first + self._tries[row])

    def _show(self, one: UnderWay) -> None:
        row = one.position
        self._describe(row, one.request, plain=False)
        tries = len(one.attempts)
        at = self._write_attempts(row, one.attempts, tries + (one.start is not None))
        if one.start is None:
            self._state[row] = WAITING
            return
        self._state[row] = IN_FLIGHT
        at += tries
        self._number[at] = tries + 1
        self._start[at] = self._since(one.start)
        if one.status is not None:
            self._tried[at] = one.status
            self._wait[at] = (one.head_at - one.start) * _MS

    def _finish(self, outcome: Outcome, *, plain: bool) -> None:
        row, response, error, attempts = outcome.position, outcome.response, outcome.error, outcome.attempts
        self._describe(row, outcome.request, plain=plain)
        self._state[row] = OK if error is None else FAILED
        if response is not None:
            self._status[row] = response.status
            self._size[row] = response.size_bytes
            self._types[row] = _media_type(response.header("content-type"))
        if error is not None:
            self.rows.texts("error")[row] = error
            self.rows.texts("detail")[row] = _cause(outcome)
        if outcome.link is not None or outcome.looks or outcome.cached:
            self._write_origin(row, outcome)
        if type(attempts) is SingleAttempt:
            self._write_single(row, attempts)
        else:
            self._elapsed[row] = outcome.elapsed * _MS
            self._write_attempts(row, attempts, len(attempts))
        self._told.pop(row, None)

    def _write_origin(self, row: int, outcome: Outcome) -> None:
        """Enter which page of a chain a row is, how often a job was looked at, and that an answer was kept."""
        rows, link = self.rows, outcome.link
        rows.numbers("chain")[row] = 0 if link is None else link.parent + 1
        rows.numbers("page")[row] = min(outcome.page or 0, 65_535)
        rows.numbers("looks")[row] = min(outcome.looks, 65_535)
        rows.texts("cached")[row] = one_line(outcome.cached or "", 40)

    def _describe(self, row: int, request: Request, *, plain: bool) -> None:
        """Enter what was asked, the first time a row is heard of; a `plain` URL needs neither mask nor cleaning."""
        self.changed[row] = None
        rows = self.rows
        if row >= rows.length:
            rows.grow(row + 1)
        if self._urls[row]:
            return
        url = request.url if plain and len(request.url) <= URL_LIMIT else one_line(redact_url(request.url, request.secrets), URL_LIMIT)
        self._urls[row] = url or "(no URL)"
        path = url.find("/", _AUTHORITY)
        self._hosts[row] = _origin(url if path < 0 else url[:path])
        self._methods[row] = one_line(request.method, 20)
        name = request.label or ("" if request.key is None else str(request.key))
        if name:
            rows.texts("name")[row] = one_line(redact_text(name, request.secrets), 80)
        self.untold.add(row)

    def _write_attempts(self, row: int, attempts: Sequence[Attempt], count: int) -> int:
        """Write the attempts of a row and make room for `count` of them; return where the first one is."""
        at: int = self._first[row]
        if count > self._tries[row]:
            # At the end, where they can stand together; a place that is left behind belongs to nobody.
            at = self._first[row] = self.attempts.length
            self.attempts.grow(at + count)
        self._tries[row] = count
        for place, attempt in enumerate(attempts, at):
            self._write(place, attempt)
        return at

    def _write_single(self, row: int, attempts: SingleAttempt) -> None:
        """Write what `_write_attempts` would, without making the records: most rows are such."""
        _, start, queued, _, _, _, _, _, _, sent, answered, end, status, reused, _ = attempts.unpack()
        self._elapsed[row] = (end - start) * _MS
        if reused != 1:
            self._write_attempts(row, attempts, 1)
            return
        at = self._write_attempts(row, (), 1)
        self._number[at] = 1
        self._start[at] = self._since(start)
        waited, dns, connect, tls, receive, retry_wait = self._phases
        waited[at] = queued * _MS
        dns[at] = connect[at] = tls[at] = retry_wait[at] = 0.0
        self._wait[at] = (answered - sent) * _MS
        receive[at] = (end - answered) * _MS
        self._total[at] = (end - start) * _MS
        self._tried[at] = status

    def _write(self, at: int, attempt: Attempt) -> None:
        phases = phases_of(attempt.hops)
        queued, dns, connect, tls, receive, retry_wait = self._phases
        start = attempt.start
        self._number[at] = attempt.number
        self._start[at] = self._since(start)
        queued[at] = attempt.queued * _MS
        dns[at] = phases.dns * _MS
        connect[at] = phases.connect * _MS
        tls[at] = phases.tls * _MS
        self._wait[at] = phases.wait * _MS
        receive[at] = phases.receive * _MS
        self._total[at] = (attempt.end - start) * _MS
        retry_wait[at] = attempt.retry_wait * _MS
        self._tried[at] = attempt.status or 0
        if attempt.error is not None:
            self.attempts.texts("error")[at] = attempt.error

    def _since(self, moment: float) -> float:
        """Return milliseconds since the run began; NaN for what was before it (a row known already)."""
        passed = (moment - self.began) * _MS
        return passed if passed >= 0 else nan


def _cause(outcome: Outcome) -> str:
    request = outcome.request
    secrets = secrets_of(request)
    return one_line(redact_text(outcome.error_detail or "", secrets))


@lru_cache(maxsize=1024)
def _origin(url: str) -> str:
    """Return scheme and authority of a URL that is fit to be shown."""
    found = _ORIGIN.match(url)
    if found is None:
        return ""
    return found[0] if "@" not in found[2] else found[1] + found[2].rpartition("@")[2]


@lru_cache(maxsize=256)
def _media_type(value: str | None) -> str:
    return one_line((value or "").partition(";")[0].strip().lower(), 60)
