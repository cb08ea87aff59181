"""The journal: answers that survive the process (``journal="runs.db"``).

    find     known already? then nothing is sent
    begin    an unsafe request is marked before it leaves, so that one in flight when the kernel died is known as such
    finish   an outcome is kept: safe ones at most half a second or 500 rows later, unsafe ones at once

A rerun sends what is missing and what the retry policy may ask for again. A journal that cannot be written any more
(disk full) says so at once; the run goes on, its results stay in memory.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any
from weakref import finalize

from fastreq_jupyter.journal.file import INSERT, Database, open_database
from fastreq_jupyter.journal.identity import Identities, Identity
from fastreq_jupyter.journal.logins import stale_logins
from fastreq_jupyter.journal.rows import COLUMNS, Row, begun_row, is_final, job_of, kept_row, outcome_of, seal_of, veiled
from fastreq_jupyter.journal.writer import Writer
from fastreq_jupyter.model import Outcome, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fastreq_jupyter.exchange import Exchange
    from fastreq_jupyter.model import Item, Look
    from fastreq_jupyter.options import Options

__all__ = ["Journal", "open_journal"]

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


def open_journal(options: Options, clock: Callable[[], float] = time, *, resent: Iterable[Item] | None = None) -> Journal:
    """Open the journal that the options name, for one run; must be called on its loop.

    Args:
        options: Of the run.
        clock: Wall clock in seconds.
        resent: Where failed requests are tried again: all items of the plan, good rows as outcomes.

    Raises:
        JournalError: One line: it is no journal, newer, in use, or cannot be read or made there.
    """
    return Journal(open_database(Path(str(options.journal)).expanduser()), options, clock, resent=resent)


class Journal:
    """The outcomes of one run, and those of earlier ones; an `engine.Store`.

    Args:
        database: The open file; the journal's writer owns it from here on.
        options: Of the run.
        clock: Wall clock in seconds.
        resent: As `open_journal`.
    """

    def __init__(
        self, database: Database, options: Options, clock: Callable[[], float] = time, *, resent: Iterable[Item] | None = None
    ) -> None:
        self._database = database
        self._options = options
        self._clock = clock
        self._identities = Identities(database.key)
        self._is_retry = resent is not None
        # Good rows are not sent again, but count among equal requests.
        self._places = {position: self._identities.of(_request_in(item)) for position, item in enumerate(resent or ())}
        self._has_rows = database.rows > 0 and not options.fresh
        self._reader = database.reader()
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
            self._stale = stale_logins(items, lambda request: self._played_back(request, identities))

    def renew(self, request: Request, position: int) -> None:
        """Take note that a request is sent anew: its outcome takes the place of the known one."""
        self._requests += 1
        self._places[position] = self._identities.of(request, same=True)

    async def begin(self, request: Request, position: int) -> None:
        """Return once the mark of an unsafe request is committed."""
        identity = self._place(request, position)
        at, key = self._clock(), self._database.key
        committed, done = _future()
        self._writer.put(lambda connection: _insert(connection, INSERT, begun_row(request, identity, at, key)), done=done)
        await committed

    async def look(self, request: Request, position: int, url: str) -> None:
        """Return once the status URL of a request's job is committed."""
        identity = self._place(request, position)
        at, key = self._clock(), self._database.key
        place = self._jobs[position] = veiled(url, request, key)
        committed, done = _future()
        self._writer.put(lambda connection: _insert(connection, INSERT, begun_row(request, identity, at, key, place)), done=done)
        await committed

    def make_conditional(self, exchange: Exchange, position: int) -> Exchange:  # noqa: ARG002 - the signature of a store
        """Return the exchange as it is."""
        return exchange

    def figures(self) -> dict[str, Any] | None:
        """Return None: there is no cache here."""
        return None

    def take(self, outcome: Outcome, content: bytes | None) -> None:
        """Keep an outcome that came from elsewhere, which `find` did not know."""
        identity = self._places.pop(outcome.position, None)
        self._elsewhere += 1
        if identity is None or outcome.error is not None:
            return
        at, key = self._clock(), self._database.key
        self._writer.put(
            lambda connection: _insert(connection, _KEEP, kept_row(outcome, content, identity, at, key)), size=len(content or b"")
        )

    async def finish(self, outcome: Outcome, content: bytes | None) -> Outcome:
        """Keep an outcome, and return it; at once for safe requests, after the commit for unsafe ones."""
        identity = self._places.pop(outcome.position, None)
        place = self._jobs.pop(outcome.position, None)
        if identity is None or not outcome.attempts or outcome.error in _UNFINISHED:
            return outcome
        at, key = self._clock(), self._database.key
        size = len(content or b"")

        def keep(connection: sqlite3.Connection) -> None:
            _insert(connection, _KEEP, kept_row(outcome, content, identity, at, key, place))

        if outcome.request.idempotent and self._writer.pending_bytes < _MOST_PENDING_BYTES:
            self._writer.put(keep, size=size)
            return outcome
        committed, done = _future()
        self._writer.put(keep, size=size, done=done)
        await committed
        return outcome

    def notes(self) -> list[str]:
        """Return lines a person should read: what was reused, or why nothing can be kept any more."""
        name = self._database.path.name
        lines = list(self._database.notes)
        if self._reused:
            span = _span(self._first, self._last)
            sent = self._requests - self._reused - self._unknown - self._elsewhere
            lines.append(f"{self._reused:,} of {self._requests:,} from {name} ({span}), {sent:,} sent")
        if self._resumed:
            lines.append(f"{self._resumed:,} {'job' if self._resumed == 1 else 'jobs'} begun earlier: looked at, not begun again")
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
        if self._stop.detach() is None:
            return
        self._reader.close()
        closed, done = _future()
        self._writer.stop(done)
        await closed

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
                    self._writer.put(lambda connection: _insert(connection, _NEW_CREDENTIALS, (credentials, base, old, occurrence)))
        return None if values is None else Row(*values)

    def _found_damage(self, cause: str) -> None:
        self._trouble = f"{self._database.path.name} is damaged ({cause}): what cannot be read of it is sent again"
        # The damaged part may have held the mark of an unsafe request; the next process that opens the file has to check it.
        self._database.damaged = self._database.suspect = True
        self._writer.put(_mark_damaged)

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


def _insert(connection: sqlite3.Connection, statement: str, values: tuple[object, ...]) -> None:
    connection.execute(statement, values)


def _mark_damaged(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT OR REPLACE INTO about (name, value) VALUES ('damaged', ?)", (datetime.now(UTC).isoformat().encode(),))


def _future() -> tuple[asyncio.Future[None], Callable[[], None]]:
    """Return a future of the running loop, and what sets it from another thread."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def resolve() -> None:
        if not future.done():
            future.set_result(None)

    def done() -> None:
        # A closed loop has nobody waiting.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(resolve)

    return future, done


def _let_go(writer: Writer, reader: sqlite3.Connection) -> None:
    """Release the file and lock of a journal that was never closed."""
    with suppress(sqlite3.Error):
        reader.close()
    writer.stop()
    writer.join(5.0)


def _span(first: float, last: float) -> str:
    begin, end = (datetime.fromtimestamp(at, UTC).astimezone() for at in (first, last))
    if f"{begin:%Y-%m-%d %H:%M}" == f"{end:%Y-%m-%d %H:%M}":
        return f"{begin:%Y-%m-%d %H:%M}"
    return f"{begin:%Y-%m-%d %H:%M} to {end:%H:%M}" if begin.date() == end.date() else f"{begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"
