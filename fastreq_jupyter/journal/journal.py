"""The journal: answers that survive the process (``journal="runs.db"``).

    find     known already? then nothing is sent
    begin    an unsafe request is marked before it leaves, so that one in flight when the kernel died is known as such
    finish   an outcome is kept: safe ones at most half a second or 500 rows later, unsafe ones at once

A rerun sends what is missing and what the retry policy may ask for again. A login, whose answer feeds a secret place of
others, is asked for anew where one of those is to be sent, since tokens end; where all of them are known, nothing is sent.
A journal that cannot be written any more (disk full) says so at once; the run goes on, its results stay in memory.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import TYPE_CHECKING
from weakref import finalize

from fastreq_jupyter.engine import Store
from fastreq_jupyter.journal.file import INSERT, connect, open_database, put
from fastreq_jupyter.journal.identity import Identities, Identity
from fastreq_jupyter.journal.rows import COLUMNS, Row, begun_row, is_final, job_of, kept_row, outcome_of, seal_of, veiled
from fastreq_jupyter.journal.writer import Work, Writer
from fastreq_jupyter.model import Deferred, Outcome, Request
from fastreq_jupyter.options import show_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fastreq_jupyter.model import Item, Look
    from fastreq_jupyter.options import Options

LOOKED_AHEAD = 10_000
"""Most requests that are looked at before a run begins; beyond it what is not known to be unneeded is asked for anew."""

_SELECT = f"SELECT {', '.join(COLUMNS)} FROM answers WHERE base = ? AND "  # noqa: S608 - names of ours
_BY_CREDENTIALS = _SELECT + "guise = ? AND occurrence = ?"
_CREDENTIALS = "SELECT DISTINCT guise FROM answers WHERE base = ? LIMIT 2"
_NEW_CREDENTIALS = "UPDATE OR REPLACE answers SET guise = ? WHERE base = ? AND guise = ? AND occurrence = ?"
# A good answer never gives way to a failure.
_KEEP = f"""{INSERT.replace("INSERT OR REPLACE", "INSERT")} ON CONFLICT (base, guise, occurrence) DO UPDATE SET
{", ".join(f"{name} = excluded.{name}" for name in COLUMNS[3:])}
WHERE excluded.error IS NULL OR answers.error IS NOT NULL OR answers.done = 0"""
_UNFINISHED = frozenset({"cancelled", "deadline", "stopped", "skipped", "unknown", "auth"})
_MOST_PENDING_BYTES = 64 * 2**20


class Journal(Store):
    """The outcomes of one run, and those of earlier ones; to be made on the run's loop.

    Args:
        options: Of the run; they name the file.
        clock: Wall clock in seconds.
        resent: Where failed requests are tried again: all items of the plan, good rows as outcomes.

    Raises:
        JournalError: One line: it is no journal, newer, in use, or cannot be read or made there.
    """

    def __init__(self, options: Options, clock: Callable[[], float] = time, *, resent: Iterable[Item] | None = None) -> None:
        database = open_database(Path(str(options.journal)).expanduser())
        self._database = database
        self._options = options
        self._clock = clock
        self._identities = Identities(database.key)
        self._is_retry = resent is not None
        # Good rows are not sent again, but count among equal requests.
        self._places = {position: self._identities.of(_request_in(item)) for position, item in enumerate(resent or ())}
        self._has_rows = database.rows > 0 and not options.fresh
        self._reader = connect(database.path, read_only=True)
        self._writer = Writer(database)
        self._stale: set[int] | None = set()
        self._shown: set[str] = set()
        self._trouble: str | None = None
        self._requests = self._reused = self._unknown = self._resumed = self._elsewhere = 0
        self._jobs: dict[int, str] = {}
        self._first, self._last = float("inf"), float("-inf")
        self._stop = finalize(self, _let_go, self._writer, self._reader)

    def find(self, request: Request, position: int) -> Outcome | Look | None:
        """Return the known outcome, the job that is not over, or None when the request is to be sent."""
        self._requests += 1
        identity = self._place(request, position)
        row = self._look_up(identity) if self._has_rows else None
        if row is None:
            if self._database.damaged and not self._may_send(request):
                return self._as_unknown(request, position, "the journal was damaged and does not know this request")
            return None
        if (job := self._job_of(row, request, position)) is not None:
            return job
        if not row.done:
            since = datetime.fromtimestamp(row.at, UTC).astimezone()
            why = f"under way when its process ended, sent after {since:%Y-%m-%d %H:%M:%S}"
            return None if self._may_send(request) else self._as_unknown(request, position, why)
        if (self._is_retry and row.error is not None) or not self._stands(row, request) or self._is_stale(request, position):
            return None
        self._reused += 1
        self._first, self._last = min(self._first, row.at), max(self._last, row.at)
        return outcome_of(row, request, position, self._options)

    def look_ahead(self, items: Iterable[Item] | None) -> None:
        """Find out which logins are asked for anew: those that requests need which are to be sent.

        Args:
            items: Of the plan, None where they can be had only once: then all logins are.
        """
        if self._is_retry or not self._has_rows:
            return
        if items is None:
            self._stale = None
        else:
            identities = Identities(self._database.key)
            self._stale = _stale_logins(items, lambda request: self._played_back(request, identities))

    def renew(self, request: Request, position: int) -> None:
        """Take note that a request is sent anew: its outcome takes the place of the known one."""
        self._requests += 1
        self._places[position] = self._identities.of(request, same=True)

    async def begin(self, request: Request, position: int) -> None:
        """Return once the mark of an unsafe request is committed."""
        await self._mark(request, position, None)

    async def look(self, request: Request, position: int, url: str) -> None:
        """Return once the status URL of a request's job is committed."""
        status_url = self._jobs[position] = veiled(url, request, self._database.key)
        await self._mark(request, position, status_url)

    async def _mark(self, request: Request, position: int, status_url: str | None) -> None:
        identity = self._place(request, position)
        at, key = self._clock(), self._database.key
        await self._writer.commit(lambda connection: connection.execute(INSERT, begun_row(request, identity, at, key, status_url)))

    def take(self, outcome: Outcome, content: bytes | None) -> None:
        """Keep an outcome that came from elsewhere, which `find` did not know."""
        identity = self._places.pop(outcome.position, None)
        self._elsewhere += 1
        if identity is None or outcome.error is not None:
            return
        self._writer.put(self._keeping(outcome, content, identity), size=len(content or b""))

    async def finish(self, outcome: Outcome, content: bytes | None) -> Outcome:
        """Keep an outcome, and return it; at once for safe requests, after the commit for unsafe ones."""
        identity = self._places.pop(outcome.position, None)
        status_url = self._jobs.pop(outcome.position, None)
        if identity is None or not outcome.attempts or outcome.error in _UNFINISHED:
            return outcome
        keep, size = self._keeping(outcome, content, identity, status_url), len(content or b"")
        if outcome.request.idempotent and self._writer.pending_bytes < _MOST_PENDING_BYTES:
            self._writer.put(keep, size=size)
        else:
            await self._writer.commit(keep, size=size)
        return outcome

    def _keeping(self, outcome: Outcome, content: bytes | None, identity: Identity, status_url: str | None = None) -> Work:
        at, key = self._clock(), self._database.key
        return lambda connection: connection.execute(_KEEP, kept_row(outcome, content, identity, at, key, status_url))

    def notes(self) -> list[str]:
        """Return lines a person should read: what was reused, or why nothing can be kept any more."""
        name = self._database.path.name
        lines = list(self._database.notes)
        if self._reused:
            span = _span(self._first, self._last)
            sent = self._requests - self._reused - self._unknown - self._elsewhere
            lines.append(f"{self._reused:,} of {self._requests:,} from {name} ({span}), {sent:,} sent")
        if self._resumed:
            lines.append(f"{show_count(self._resumed, 'job')} begun earlier: looked at, not begun again")
        if self._unknown:
            lines.append(f"{self._unknown:,} unknown: they may have been sent before; retry_unsafe=True sends them again")
        if self._writer.skipped:
            lines.append(f"{self._writer.skipped:,} answers are too large for {name} and were not kept")
        return [*lines, *self._troubles()]

    def news(self) -> list[str]:
        """Return the lines that should be shown at once, each one time: damage found, nothing kept any more."""
        fresh = [line for line in [*self._database.notes, *self._troubles()] if line not in self._shown]
        self._shown.update(fresh)
        return fresh

    async def close(self) -> None:
        """Commit all that is left and let go of the file; never raises."""
        if self._stop.detach() is not None:
            self._reader.close()
            await self._writer.close()

    def _place(self, request: Request, position: int) -> Identity:
        identity = self._places.get(position)
        if identity is None:
            identity = self._places[position] = self._identities.of(request)
        return identity

    def _played_back(self, request: Request, identities: Identities) -> Outcome | None:
        row = self._look_up(identities.of(request), identities)
        return outcome_of(row, request, 0, self._options) if row is not None and row.done and self._stands(row, request) else None

    def _is_stale(self, request: Request, position: int) -> bool:
        return request.hide_data and (self._stale is None or position in self._stale)

    def _stands(self, row: Row, request: Request) -> bool:
        return not self._is_too_old(row) and is_final(row, request, self._options)

    def _look_up(self, identity: Identity, identities: Identities | None = None) -> Row | None:
        try:
            row = self._row(identity, identities or self._identities)
        except sqlite3.Error as error:
            self._found_damage(str(error))
            return None
        if row is not None and row.seal != seal_of(row, self._database.key):
            self._found_damage("a row is not as it was written")
            return None
        return row

    def _row(self, identity: Identity, identities: Identities) -> Row | None:
        base, credentials, occurrence = identity
        first = identities.has_first_credentials(identity)
        values = self._reader.execute(_BY_CREDENTIALS, identity).fetchone()
        if values is None and first:
            hashes = self._reader.execute(_CREDENTIALS, (base,)).fetchall()
            if len(hashes) == 1:
                old = hashes[0][0]
                values = self._reader.execute(_BY_CREDENTIALS, (base, old, occurrence)).fetchone()
                if values is not None:
                    self._writer.put(lambda connection: connection.execute(_NEW_CREDENTIALS, (credentials, base, old, occurrence)))
        return None if values is None else Row(*values)

    def _found_damage(self, cause: str) -> None:
        self._trouble = f"{self._database.path.name} is damaged ({cause}): what cannot be read of it is sent again"
        # The damaged part may have held the mark of an unsafe request; the next process that opens the file has to check it.
        self._database.damaged = self._database.suspect = True
        now = datetime.now(UTC).isoformat().encode()
        self._writer.put(lambda connection: put(connection, "damaged", now))

    def _job_of(self, row: Row, request: Request, position: int) -> Look | None:
        if self._options.until is None or self._is_too_old(row):
            return None
        job = job_of(row, request, self._database.key)
        if job is not None:
            self._resumed += 1
            self._jobs[position] = veiled(job.url, request, self._database.key)
        return job

    def _may_send(self, request: Request) -> bool:
        return request.idempotent or self._options.retry_unsafe or self._options.fresh

    def _is_too_old(self, row: Row) -> bool:
        return self._options.max_age is not None and self._clock() - row.at > self._options.max_age

    def _as_unknown(self, request: Request, position: int, why: str) -> Outcome:
        self._unknown += 1
        return Outcome(position, request, error="unknown", error_detail=f"{why}; retry_unsafe=True sends it again")

    def _troubles(self) -> list[str]:
        return [line for line in (self._trouble, self._writer.trouble) if line is not None]


def _request_in(item: Item) -> Request:
    return item if isinstance(item, Request) else item.request if isinstance(item, Outcome) else item.shown


def _let_go(writer: Writer, reader: sqlite3.Connection) -> None:
    """Release the file and lock of a journal that was never closed."""
    with suppress(sqlite3.Error):
        reader.close()
    writer.stop(5.0)


def _span(first: float, last: float) -> str:
    begin, end = (datetime.fromtimestamp(at, UTC).astimezone() for at in (first, last))
    if f"{begin:%Y-%m-%d %H:%M}" == f"{end:%Y-%m-%d %H:%M}":
        return f"{begin:%Y-%m-%d %H:%M}"
    return f"{begin:%Y-%m-%d %H:%M} to {end:%H:%M}" if begin.date() == end.date() else f"{begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"


def _stale_logins(items: Iterable[Item], known: Callable[[Request], Outcome | None]) -> set[int]:
    """Return the positions of the logins that are asked for anew.

    Args:
        items: Of the plan, in order.
        known: Gives the outcome that would be played back, None for what is to be sent; asked once per request, in order.
    """
    answers: dict[int, Outcome | None] = {}
    parents: dict[int, tuple[int, ...]] = {}
    logins: set[int] = set()
    stale: set[int] = set()
    for position, item in enumerate(items):
        if position == LOOKED_AHEAD:
            return logins
        request = _resolved(item, answers) if isinstance(item, Deferred) else item
        outcome = known(request) if isinstance(request, Request) else None
        shown = item.shown if isinstance(item, Deferred) else item
        if isinstance(shown, Request) and shown.label is not None:
            answers[position] = outcome
            parents[position] = item.needs if isinstance(item, Deferred) else ()
            if shown.hide_data:
                logins.add(position)
        if outcome is None and isinstance(item, Deferred):
            _mark(item.needs, stale, logins, parents)
    return stale


def _resolved(item: Deferred, answers: dict[int, Outcome | None]) -> object:
    outcomes = [answers.get(parent) for parent in item.needs]
    if any(outcome is None for outcome in outcomes):
        return None
    try:
        return item.resolve([outcome for outcome in outcomes if outcome is not None])
    except Exception:  # noqa: BLE001 - a template of the user's; what it raises becomes the row's failure in the run itself
        return None


def _mark(needs: Iterable[int], stale: set[int], logins: set[int], parents: dict[int, tuple[int, ...]]) -> None:
    left = list(needs)
    while left:
        position = left.pop()
        if position in logins and position not in stale:
            stale.add(position)
            left += parents[position]
