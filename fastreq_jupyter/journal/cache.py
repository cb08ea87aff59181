"""The cache: good answers of requests that only ask, for the next run of the same cell.

find              young enough, or offline? then nothing is sent
make_conditional  older: the request asks whether anything has changed
finish            304: the stored answer is this one's; a new one takes the place of the old
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from time import time
from typing import TYPE_CHECKING, Any
from weakref import finalize

from fastreq_jupyter.engine import Conditions, Polling, Store, read_stored
from fastreq_jupyter.journal.identity import Keys
from fastreq_jupyter.journal.rows import head_of
from fastreq_jupyter.journal.shelf import Answer, open_shelf
from fastreq_jupyter.model import Look, Outcome, Response, secrets_of
from fastreq_jupyter.options import show_count
from fastreq_jupyter.redact import SHORTEST, one_line, redact_text, redact_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastreq_jupyter.engine import Jar
    from fastreq_jupyter.exchange import Exchange
    from fastreq_jupyter.journal.journal import Journal
    from fastreq_jupyter.model import Authority, Headers, Request
    from fastreq_jupyter.options import Options

_KEPT = frozenset({200, 203, 204, 206})
"""Status codes of answers that are what was asked for; a 201 or 202 speaks of something else."""
_NOT_MODIFIED = 304
_MOST_PENDING_BYTES = 64 * 2**20
_LONGEST_URL = 4000


class Cache(Store):
    """The answers of one run, and those of earlier ones; to be made on the run's loop.

    Args:
        options: Of the run; they name the file.
        jar: Its cookies.
        authority: Gives credentials that requests get late, or None.
        clock: Wall clock in seconds.

    Raises:
        JournalError: One line: it is no cache, newer, or cannot be read or made there.
    """

    def __init__(self, options: Options, jar: Jar, authority: Authority | None = None, clock: Callable[[], float] = time) -> None:
        shelf = open_shelf(options.cache_file)
        self._shelf = shelf
        self._options = options
        self._clock = clock
        kind = "" if options.follow_redirects else "no redirects"
        self._keys = Keys(shelf.secret, jar, authority, kind)
        self._longest = _longest_age(options)
        self._conditions = Conditions.of(options)
        self._polling = Polling.of(options, None)
        self._places: dict[int, bytes] = {}
        self._old: dict[int, Answer] = {}
        self._counts = dict.fromkeys(("rows", "fresh", "unchanged", "changed", "new", "sent", "secret", "nobody"), 0)
        self._since = {"fresh": inf, "unchanged": inf}
        self._shown: set[str] = set()
        self._stop = finalize(self, shelf.stop)

    def find(self, request: Request, position: int) -> Outcome | None:
        """Return the known outcome, or None when the request is to be sent."""
        answered = self.find_with_body(request, position)
        return None if answered is None else answered[0]

    def find_with_body(self, request: Request, position: int) -> tuple[Outcome, bytes | None] | None:
        """Return the known outcome and its body, or None when the request is to be sent."""
        counts = self._counts
        counts["rows"] += 1
        asks = request.is_query and not request.hide_data
        key = self._keys.of(request) if asks else None
        counts["nobody"] += asks and key is None
        answer = None if key is None else self._shelf.find(key)
        if answer is not None:
            outcome = self._outcome(answer, request, position, "fresh")
            if outcome is not None and self._clock() - answer.at <= self._longest:
                counts["fresh"] += 1
                self._since["fresh"] = min(self._since["fresh"], answer.at)
                return outcome, answer.body
            if outcome is not None:
                self._old[position] = answer
        if self._options.offline:
            unasked = "only answers of GET and HEAD, and of what is marked # @cache, are stored"
            why = f"not in {self._shelf.path}, and nothing is sent" if asks else unasked
            return Outcome(position, request, error="offline", error_detail=why), None
        self._expect(request, position, key)
        return None

    def renew(self, request: Request, position: int) -> None:
        """Take note that a request is sent anew: its answer takes the place of the stored one."""
        self._counts["rows"] += 1
        self._expect(request, position, self._keys.of(request) if request.is_query and not request.hide_data else None)

    def _expect(self, request: Request, position: int, key: bytes | None) -> None:
        if key is not None:
            self._places[position] = key
        self.note_sender(request)
        self._counts["sent"] += 1

    def note_sender(self, request: Request) -> None:
        """Take note that a request is sent, by whom."""
        self._keys.sent(request)

    def make_conditional(self, exchange: Exchange, position: int) -> Exchange:
        """Return the exchange with the validators of the stored answer."""
        old = self._old.get(position)
        # A job is polled by the same URL: a 304 would not tell whether it is done.
        lines = () if old is None or self._polling is not None or self._options.fresh else _conditions_of(old)
        return replace(exchange, headers=(*exchange.headers, *lines)) if lines else exchange

    async def begin(self, request: Request, position: int) -> None:
        """Do nothing: a cache keeps no marks."""

    async def look(self, request: Request, position: int, url: str) -> None:
        """Do nothing: a cache keeps no jobs."""

    async def finish(self, outcome: Outcome, content: bytes | None) -> Outcome:
        """Keep a good outcome; return it, or the stored one that a 304 stands for."""
        return (await self.settle(outcome, content))[0]

    async def settle(self, outcome: Outcome, content: bytes | None) -> tuple[Outcome, bytes | None]:
        """Do as `finish`, and return the body as well."""
        settled = self._settle(outcome, content)
        if self._shelf.pending_bytes > _MOST_PENDING_BYTES:
            await self._shelf.flush()
        return settled

    def _settle(self, outcome: Outcome, content: bytes | None) -> tuple[Outcome, bytes | None]:
        position = outcome.position
        key, old = self._places.pop(position, None), self._old.pop(position, None)
        if key is None:
            return outcome, content
        if old is not None and outcome.status == _NOT_MODIFIED:
            stored = self._outcome(old, outcome.request, position, "revalidated")
            if stored is not None:
                self._counts["unchanged"] += 1
                self._since["unchanged"] = min(self._since["unchanged"], old.at)
                self._shelf.put(old._replace(at=self._clock()))
                # A 304 has no body, which is no error.
                tries = outcome.attempts
                stored.attempts = (*tries[:-1], replace(tries[-1], error=None, error_detail=None)) if tries else ()
                stored.looks = outcome.looks
                return stored, old.body
        # Cookies set in the meantime may make this the answer to somebody else.
        if outcome.ok and outcome.status in _KEPT and self._keys.of(outcome.request) == key:
            self._keep(outcome, content or b"", key, old)
        return outcome, content

    def figures(self) -> dict[str, Any]:
        """Return how many answers were stored, new, changed and sent, small JSON."""
        counts = {name: count for name, count in self._counts.items() if name not in ("secret", "nobody")}
        return {**counts, "file": str(self._options.cache_file)}

    def notes(self) -> list[str]:
        """Return lines a person should read: what was reused, what changed, or why nothing can be kept any more."""
        counts, now = self._counts, self._clock()
        parts = []
        if counts["fresh"]:
            parts.append(f"{counts['fresh']:,} from {_when(self._since['fresh'], now)}")
        if counts["unchanged"]:
            parts.append(f"{counts['unchanged']:,} unchanged since {_when(self._since['unchanged'], now)}")
        if counts["changed"]:
            parts.append(f"{counts['changed']:,} changed")
        if counts["new"] and parts:
            parts.append(f"{counts['new']:,} new")
        parts.append(f"{counts['sent']:,} sent" if parts or not counts["new"] else f"{counts['sent']:,} sent, kept in {self._shelf.path}")
        lines = [f"{show_count(counts['rows'], 'row')}: {', '.join(parts)}"] if counts["rows"] else []
        if counts["secret"]:
            echoes = show_count(counts["secret"], "answer says a secret of its", "answers say a secret of their")
            lines.append(f"{echoes} request back: not kept in {self._shelf.path.name}")
        if counts["nobody"]:
            why = "a condition of their own, a body from a file, or credentials (a function, a sign-in) that do not tell whose they are"
            lines.append(f"{show_count(counts['nobody'], 'request is', 'requests are')} not for the cache: {why}")
        return [*lines, *self._shelf.troubles()]

    def news(self) -> list[str]:
        """Return the lines that should be shown at once, each one time."""
        fresh = [line for line in self._shelf.troubles() if line not in self._shown]
        self._shown.update(fresh)
        return fresh

    async def close(self) -> None:
        """Commit all that is left and let go of the file; never raises."""
        if self._stop.detach() is not None:
            await self._shelf.aclose()

    def _outcome(self, answer: Answer, request: Request, position: int, how: str) -> Outcome | None:
        """Return the outcome of a stored answer, None where it is no good answer by the options of this run."""
        outcome = _outcome_of(answer, request, position, self._options, self._conditions)
        if outcome is None:
            return None
        response = outcome.response
        if self._polling is not None and (response is None or not self._polling.is_met(response, outcome.data, answer.body)):
            return None
        outcome.cached, outcome.changed = how, False
        return outcome

    def _keep(self, outcome: Outcome, content: bytes, key: bytes, old: Answer | None) -> None:
        outcome.changed = old is None or old.body != content
        self._counts["new" if old is None else "changed" if outcome.changed else "unchanged"] += 1
        if old is not None and not outcome.changed:
            self._since["unchanged"] = min(self._since["unchanged"], old.at)
        request = outcome.request
        if _echoes_secret(request, content, self._keys.cookie_values(request, received=False)):
            self._counts["secret"] += 1
            return
        self._shelf.put(_answer_of(outcome, content, key, self._clock(), self._keys.cookie_values(request, received=True)))


def _longest_age(options: Options) -> float:
    """Return how old an answer may be that is taken without asking, seconds."""
    if options.fresh:
        return -inf
    if options.offline or options.cache in ("forever", None):
        return inf
    return -inf if options.cache == "revalidate" else float(options.cache)


def _when(at: float, now: float) -> str:
    """Return a time of the past as text: today 09:12, yesterday 09:12, or with its date."""
    then, today = (datetime.fromtimestamp(seconds, UTC).astimezone() for seconds in (at, now))
    if then.date() == today.date():
        return f"today {then:%H:%M}"
    if then.date() == (today - timedelta(days=1)).date():
        return f"yesterday {then:%H:%M}"
    return f"{then:%Y-%m-%d %H:%M}"


def _answer_of(outcome: Outcome, content: bytes, key: bytes, at: float, more: frozenset[str]) -> Answer:
    """Return what is stored of a good outcome, without its seal; `more` are secrets besides those of the request."""
    request, response = outcome.request, outcome.response
    assert response is not None  # noqa: S101 - a good outcome has one
    secrets = secrets_of(request) | more
    url = one_line(redact_text(redact_url(request.url, request.secrets), secrets), _LONGEST_URL)
    head = json.dumps(head_of(response, secrets), separators=(",", ":"))
    return Answer(key, at, request.method, url, response.status, head, content)


def _echoes_secret(request: Request, content: bytes, more: frozenset[str]) -> bool:
    """Tell whether a body contains a secret of its request, or one of `more`: the file may be shared, so it is not stored."""
    secrets = secrets_of(request) | more
    return any(len(secret) >= SHORTEST and secret.encode("utf-8", "surrogatepass") in content for secret in secrets)


def _outcome_of(answer: Answer, request: Request, position: int, options: Options, conditions: Conditions | None) -> Outcome | None:
    """Return the outcome of a stored answer, read as the options ask; None where they would make it a failure."""
    head = json.loads(answer.head)
    headers: Headers = tuple([(name, value) for name, value in head["headers"]])
    body = None if request.method == "HEAD" else answer.body
    response = Response(answer.status, headers, head["final_url"], body, len(answer.body), head["http_version"], head["reason"])
    content_type = response.header("content-type")
    data = None
    if body is not None:
        data, error, _, _ = read_stored(request, body, content_type, options, answer.status)
        if error is not None:
            return None
        if conditions is not None and conditions.judge(response, data, content_type, hidden=request.hide_data).detail is not None:
            return None
    if options.return_type == "response":
        data = response
    else:
        response.content = None
    return Outcome(position, request, (), response, data)


def _conditions_of(answer: Answer) -> Headers:
    """Return the lines that let a server say that nothing has changed (RFC 9110, 13.1), none where it gave no validator."""
    fields = {name.lower(): value for name, value in json.loads(answer.head)["headers"]}
    if "etag" in fields:
        return (("If-None-Match", fields["etag"]),)
    return (("If-Modified-Since", fields["last-modified"]),) if "last-modified" in fields else ()


class Both(Store):
    """A run's journal and its cache: the journal is asked first, and keeps what the cache gave as well."""

    def __init__(self, journal: Journal, cache: Cache) -> None:
        self._journal = journal
        self._cache = cache

    def find(self, request: Request, position: int) -> Outcome | Look | None:
        """Return what the journal knows, else what the cache does."""
        outcome = self._journal.find(request, position)
        if outcome is not None:
            if isinstance(outcome, Look):
                self._cache.note_sender(request)
            return outcome
        answered = self._cache.find_with_body(request, position)
        if answered is None:
            return None
        self._journal.take(*answered)
        return answered[0]

    def renew(self, request: Request, position: int) -> None:
        """Take note in both that a request is sent anew."""
        self._journal.renew(request, position)
        self._cache.renew(request, position)

    def make_conditional(self, exchange: Exchange, position: int) -> Exchange:
        """Return the exchange with what the cache adds."""
        return self._cache.make_conditional(exchange, position)

    async def begin(self, request: Request, position: int) -> None:
        """Mark an unsafe request."""
        await self._journal.begin(request, position)

    async def look(self, request: Request, position: int, url: str) -> None:
        """Keep a job's status URL."""
        await self._journal.look(request, position, url)

    async def finish(self, outcome: Outcome, content: bytes | None) -> Outcome:
        """Keep an outcome in both."""
        return await self._journal.finish(*await self._cache.settle(outcome, content))

    def figures(self) -> dict[str, Any] | None:
        """Return what the cache did."""
        return self._cache.figures()

    def notes(self) -> list[str]:
        """Return the lines of both."""
        return [*self._journal.notes(), *self._cache.notes()]

    def news(self) -> list[str]:
        """Return the news of both."""
        return [*self._journal.news(), *self._cache.news()]

    async def close(self) -> None:
        """Close both."""
        await self._cache.close()
        await self._journal.close()
