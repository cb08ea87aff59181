"""What the panel knows of a run's rows: what has finished, entered once, and what was under way when it was last looked at.

The law: nothing is kept here but numbers and short texts that may be shown. The ledger holds no request, no body and no
outcome, so that a panel left open keeps no memory of a run alive and can leak no secret.
"""

from __future__ import annotations

import re
from array import array
from functools import lru_cache
from itertools import repeat
from math import nan
from operator import attrgetter
from typing import TYPE_CHECKING, cast

from fastreq_jupyter.exchange import phases_of
from fastreq_jupyter.model import SingleAttempt, marks_struct, secrets_of
from fastreq_jupyter.notebook.monitor.batch import ATTEMPT_COLUMNS, ROW_COLUMNS, Table
from fastreq_jupyter.redact import are_plain_urls, one_line, redact_text, redact_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fastreq_jupyter.engine import UnderWay
    from fastreq_jupyter.model import Attempt, Outcome, Request, Response

URL_LIMIT = 300
IN_FLIGHT, WAITING, OK, FAILED = 1, 2, 3, 4
_ROW_TEXTS = ("url", "host", "method", "error", "type", "cached", "name", "detail")
_ORIGIN = re.compile(r"(\w+://)([^/?#]*)")
_PACKED = marks_struct("start", "queued", "request_start", "response_start", "response_end", "reused")
_SECRETS = attrgetter("secrets")
_MOST = 65_535
_MS = 1000.0
# Behind it is a host: "http://x".
_AUTHORITY = 8


class Ledger:
    """What is shown of each row and each attempt, in the order in which the rows were first heard of.

    So most of what ends is written, and sent to the page, as one stretch of each column.

    Args:
        row_limit: Rows listed at most; of those beyond nothing is kept.

    Attributes:
        began: When the run began, seconds of `time.perf_counter`; NaN until somebody tells.
        rows: Table of rows.
        attempts: Table of attempts; those of a row stand together.
        known: One more than the highest position heard of.
        sent: Rows before this place were sent to the page with their texts; moved by the feed.
        changed: Places before `sent` of rows that changed since they were sent, in that order; emptied by the feed.
    """

    def __init__(self, *, row_limit: int) -> None:
        self.began = nan
        self.rows = Table({k: v for k, v in ROW_COLUMNS.items() if k not in _ROW_TEXTS} | {"first": "L"}, _ROW_TEXTS)
        self.attempts = Table({k: v for k, v in ATTEMPT_COLUMNS.items() if k not in ("position", "error")}, ("error",))
        self.known = self.sent = 0
        self.changed: dict[int, None] = {}
        self.row_limit = row_limit
        self._places: dict[int, int] = {}
        self._seen: dict[int, tuple[int, float | None, int | None, int]] = {}
        # Query names that were met and are no secrets.
        self._names: set[str] = set()

    def in_order(self) -> list[int]:
        """Return the places of all rows in the order of the requests."""
        return [self._places[position] for position in sorted(self._places)]

    def enter(self, outcomes: Sequence[Outcome]) -> None:
        """Enter requests that have their outcome."""
        limit, places = self.row_limit, self._places
        # By position, since an outcome that was amended comes again.
        by_position = {outcome.position: outcome for outcome in outcomes if outcome.position < limit}
        common = _common(by_position.values())
        others = [outcome for outcome in by_position.values() if not _common((outcome,))] if len(common) < len(by_position) else []
        new = [outcome for outcome in common if outcome.position not in places]
        listed = [outcome for outcome in common if outcome.position in places] if len(new) < len(common) else []
        stretch = range(self.rows.length, self.rows.length + len(new))
        self._append([*new, *(outcome for outcome in others if outcome.position not in places)])
        if new:
            at = range(self.attempts.length, self.attempts.length + len(new))
            self.attempts.grow(at.stop)
            self.rows.write(stretch, first=at, tries=array("B", [1]) * len(new))
            self._write_common(new, stretch, at)
        if listed:
            rows = [self._touch(outcome.position) for outcome in listed]
            self._write_common(listed, rows, [self._write_attempts(row, (), 1) for row in rows])
        for outcome in others:
            self._finish(outcome)
        if self._seen:
            for position in by_position:
                self._seen.pop(position, None)

    def observe(self, under_way: Iterable[UnderWay]) -> None:
        """Enter how those are that have none yet; what is as it was when last looked at does not count as changed."""
        under_way = [request for request in under_way if request.position < self.row_limit]
        self._append([request for request in under_way if request.position not in self._places])
        for request in under_way:
            sight = (len(request.attempts), request.start, request.status, request.looks)
            if self._seen.get(request.position) != sight:
                self._seen[request.position] = sight
                self._show(request)

    def _show(self, request: UnderWay) -> None:
        place, rows, attempts = self._touch(request.position), self.rows, self.attempts
        tries = len(request.attempts)
        at = self._write_attempts(place, request.attempts, tries + (request.start is not None))
        rows.numbers("looks")[place] = min(request.looks, _MOST)
        if request.start is None:
            rows.numbers("state")[place] = WAITING
            return
        rows.numbers("state")[place] = IN_FLIGHT
        at += tries
        attempts.numbers("number")[at] = tries + 1
        attempts.numbers("start")[at] = self._since(request.start)
        if request.status is not None:
            attempts.numbers("status")[at] = request.status
            attempts.numbers("wait")[at] = (request.head_at - request.start) * _MS

    def _write_common(self, outcomes: Sequence[Outcome], places: Sequence[int], at: Sequence[int]) -> None:
        """Write good answers to one attempt: the rows to `places`, the attempts to `at`."""
        responses = cast("list[Response]", [outcome.response for outcome in outcomes])
        singles = cast("list[SingleAttempt]", [outcome.attempts for outcome in outcomes])
        start, queued, sent, answered, end, reused = zip(*map(_PACKED.unpack, [single.packed for single in singles]), strict=True)
        status = array("H", [response.status for response in responses])
        began = self.began
        elapsed, none = [(b - a) * _MS for a, b in zip(start, end, strict=True)], array("f", [0.0]) * len(at)
        self.rows.write(
            places,
            state=array("B", [OK]) * len(places),
            status=status,
            size=[response.size_bytes for response in responses],
            type=_media_types(responses),
            elapsed=elapsed,
        )
        self.attempts.write(
            at,
            number=array("B", [1]) * len(at),
            status=status,
            start=[passed if (passed := (moment - began) * _MS) >= 0 else nan for moment in start],
            queued=[seconds * _MS for seconds in queued],
            dns=none,
            connect=none,
            tls=none,
            wait=[(b - a) * _MS for a, b in zip(sent, answered, strict=True)],
            receive=[(b - a) * _MS for a, b in zip(answered, end, strict=True)],
            retry_wait=none,
            total=elapsed,
        )
        if reused.count(1) < len(reused):
            for place, is_reused, single in zip(at, reused, singles, strict=True):
                if is_reused != 1:
                    self._write(place, single[0])

    def _append(self, entries: Sequence[Outcome | UnderWay]) -> None:
        """Enter what was asked, in rows that nobody has heard of."""
        if not entries:
            return
        rows, requests = self.rows, [entry.request for entry in entries]
        positions = [entry.position for entry in entries]
        places = range(rows.length, rows.length + len(entries))
        rows.grow(places.stop)
        self._places.update(zip(positions, places, strict=True))
        self.known = max(self.known, max(positions) + 1)
        urls = self._shown_urls(requests)
        methods = [_method(request.method) for request in requests]
        rows.write(places, position=positions, url=urls, host=_hosts(urls), method=methods)
        if any([request.label or request.key is not None for request in requests]):  # noqa: C419 - a list is quicker here
            rows.write(places, name=list(map(_name, requests)))

    def _shown_urls(self, requests: Sequence[Request]) -> list[str]:
        """Return URLs that may be shown; looked at together, as most URLs of most runs have nothing to hide."""
        urls = [request.url for request in requests]
        plain = "".join(urls).isprintable() and max(map(len, urls)) <= URL_LIMIT and not any(map(_SECRETS, requests))
        if plain and all(urls) and are_plain_urls(urls, self._names):
            return urls
        return [one_line(redact_url(request.url, request.secrets), URL_LIMIT) or "(no URL)" for request in requests]

    def _touch(self, position: int) -> int:
        """Return the place of a row that changes."""
        place = self._places[position]
        if place < self.sent:
            self.changed[place] = None
        return place

    def _finish(self, outcome: Outcome) -> None:
        response, error, attempts, rows = outcome.response, outcome.error, outcome.attempts, self.rows
        place = self._touch(outcome.position)
        rows.numbers("state")[place] = OK if error is None else FAILED
        if response is not None:
            rows.numbers("status")[place] = response.status
            rows.numbers("size")[place] = response.size_bytes
            rows.texts("type")[place] = _media_type(response.header("content-type"))
        if error is not None:
            rows.texts("error")[place] = error
            rows.texts("detail")[place] = _cause(outcome)
        if outcome.link is not None or outcome.looks or outcome.cached:
            self._write_origin(place, outcome)
        rows.numbers("elapsed")[place] = outcome.elapsed * _MS
        self._write_attempts(place, attempts, len(attempts))

    def _write_origin(self, place: int, outcome: Outcome) -> None:
        """Enter which page of a chain a row is, how often a job was looked at, and that an answer was kept."""
        rows, link = self.rows, outcome.link
        rows.numbers("chain")[place] = 0 if link is None else link.parent + 1
        rows.numbers("page")[place] = min(outcome.page or 0, _MOST)
        rows.numbers("looks")[place] = min(outcome.looks, _MOST)
        rows.texts("cached")[place] = one_line(outcome.cached or "", 40)

    def _write_attempts(self, place: int, attempts: Sequence[Attempt], count: int) -> int:
        """Write the attempts of a row and make room for `count` of them; return where the first one is."""
        rows = self.rows
        at: int = rows.numbers("first")[place]
        if count > rows.numbers("tries")[place]:
            # At the end, where they can stand together; a place that is left behind belongs to nobody.
            at = rows.numbers("first")[place] = self.attempts.length
            self.attempts.grow(at + count)
        rows.numbers("tries")[place] = count
        for behind, attempt in enumerate(attempts, at):
            self._write(behind, attempt)
        return at

    def _write(self, at: int, attempt: Attempt) -> None:
        phases, numbers = phases_of(attempt.hops), self.attempts.numbers
        for name in ("dns", "connect", "tls", "wait", "receive"):
            numbers(name)[at] = getattr(phases, name) * _MS
        numbers("number")[at] = attempt.number
        numbers("start")[at] = self._since(attempt.start)
        numbers("queued")[at] = attempt.queued * _MS
        numbers("total")[at] = (attempt.end - attempt.start) * _MS
        numbers("retry_wait")[at] = attempt.retry_wait * _MS
        numbers("status")[at] = attempt.status or 0
        if attempt.error is not None:
            self.attempts.texts("error")[at] = attempt.error

    def _since(self, moment: float) -> float:
        """Return milliseconds since the run began; NaN for what was before it (a row known already)."""
        passed = (moment - self.began) * _MS
        return passed if passed >= 0 else nan


def _common(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return those that are good answers to one attempt of which nothing more is to be said."""
    return [
        outcome
        for outcome in outcomes
        if type(outcome.attempts) is SingleAttempt
        and outcome.error is None
        and outcome.link is None
        and not outcome.looks
        and not outcome.cached
    ]


def _cause(outcome: Outcome) -> str:
    request = outcome.request
    secrets = secrets_of(request)
    return one_line(redact_text(outcome.error_detail or "", secrets))


def _name(request: Request) -> str:
    name = request.label or ("" if request.key is None else str(request.key))
    return one_line(redact_text(name, request.secrets), 80) if name else ""


@lru_cache(maxsize=256)
def _method(method: str) -> str:
    return one_line(method, 20)


def _hosts(urls: Sequence[str]) -> list[str]:
    """Return the hosts of URLs that are fit to be shown; looked at together, as most runs send to one."""
    first = urls[0][: urls[0].find("/", _AUTHORITY) + 1]
    if first and all(map(str.startswith, urls, repeat(first))):
        return [_host(first)] * len(urls)
    return list(map(_host, urls))


def _media_types(responses: Sequence[Response]) -> list[str]:
    fields = [response.type_line or response.header("content-type") for response in responses]
    kinds = {field: _media_type(field) for field in set(fields)}
    return list(map(kinds.__getitem__, fields))


def _host(url: str) -> str:
    """Return scheme and authority of a URL that is fit to be shown."""
    path = url.find("/", _AUTHORITY)
    return _origin(url if path < 0 else url[:path])


@lru_cache(maxsize=1024)
def _origin(url: str) -> str:
    match = _ORIGIN.match(url)
    if match is None:
        return ""
    return match[0] if "@" not in match[2] else match[1] + match[2].rpartition("@")[2]


@lru_cache(maxsize=256)
def _media_type(value: str | None) -> str:
    return one_line((value or "").partition(";")[0].strip().lower(), 60)
