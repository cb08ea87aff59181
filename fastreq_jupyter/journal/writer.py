"""The one thread that writes a journal or a cache: tasks are committed in batches, at once where somebody waits for it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, Protocol

from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from pathlib import Path

# At most 0.5 s behind: the batch waits for 0.3 s, the rest is for the commit.
_LONGEST_WAIT = 0.3
_LARGEST_BATCH = 500
_LARGEST_BYTES = 16 * 2**20

Work = Callable[[sqlite3.Connection], object]
"""Executes statements; its transaction is the batch."""


class _Task(NamedTuple):
    work: Work
    size: int
    done: Callable[[], None] | None


class Writable(Protocol):
    """An open file that a thread writes.

    Attributes:
        path: The file.
        connection: For the writer's thread.
    """

    path: Path
    connection: sqlite3.Connection

    def close(self, *, clean: bool) -> None:
        """Close it; never raises. `clean` says that all went well."""
        ...


class Writer:
    """A daemon thread that writes to a journal or cache.

    Attributes:
        trouble: Why nothing is written any more, in one line; None while all is well.
        skipped: Rows that alone could not be written.
    """

    def __init__(self, database: Writable) -> None:
        self._database = database
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._put_bytes = 0
        self._done_bytes = 0
        self.trouble: str | None = None
        self.skipped = 0
        self._ended: Callable[[], None] | None = None
        self._thread = Thread(target=self._run, name="fastreq-journal", daemon=True)
        self._thread.start()

    @property
    def pending_bytes(self) -> int:
        """Return how many bytes of bodies wait to be written."""
        return self._put_bytes - self._done_bytes

    def put(self, work: Work, *, size: int = 0, done: Callable[[], None] | None = None) -> None:
        """Let the thread do some work on the connection.

        Args:
            work: What to do.
            size: Bytes it holds in memory.
            done: Called on the thread once it is committed, or will never be; makes the commit come at once.
        """
        self._put_bytes += size
        self._tasks.put(_Task(work, size, done))

    async def commit(self, work: Work, *, size: int = 0) -> None:
        """Let the thread do some work, and return once it and all before it is committed, or will never be."""
        committed, done = _future()
        self.put(work, size=size, done=done)
        await committed

    async def close(self) -> None:
        """Return once what is left is committed and the file closed."""
        ended, self._ended = _future()
        self._tasks.put(None)
        await ended

    def stop(self, timeout: float) -> None:
        """Let the thread commit what is left and close the file; wait for it, seconds at most."""
        self._tasks.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            more = True
            while more:
                batch, more = self._collect()
                self._commit(batch)
        finally:
            self._database.close(clean=self.trouble is None)
            if self._ended is not None:
                self._ended()

    def _collect(self) -> tuple[list[_Task], bool]:
        """Return the next batch, and whether there is more to come."""
        batch: list[_Task] = []
        size = 0
        due = 0.0
        urgent = False
        while len(batch) < _LARGEST_BATCH and size < _LARGEST_BYTES:
            try:
                if urgent:
                    task = self._tasks.get_nowait()
                elif batch:
                    task = self._tasks.get(timeout=max(0.0, due - monotonic()))
                else:
                    task = self._tasks.get()
            except Empty:
                break
            if task is None:
                return batch, False
            due = due or monotonic() + _LONGEST_WAIT
            urgent = urgent or task.done is not None
            size += task.size
            batch.append(task)
        return batch, True

    def _commit(self, batch: list[_Task]) -> None:
        try:
            if batch and self.trouble is None:
                self._write(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, results stay in memory and the run goes on
            with suppress(sqlite3.Error):
                self._database.connection.execute("ROLLBACK")
            cause = one_line(str(error), 100) or type(error).__name__
            self.trouble = f"{self._database.path.name} cannot be written any more ({cause}): from here on results are in memory only"
        for task in batch:
            self._done_bytes += task.size
            if task.done is not None:
                task.done()

    def _write(self, batch: list[_Task]) -> None:
        connection = self._database.connection
        connection.execute("BEGIN IMMEDIATE")
        for task in batch:
            try:
                task.work(connection)
            except (sqlite3.DataError, OverflowError, UnicodeError):
                # One row that SQLite cannot hold (more than a gigabyte) is no reason to lose the others.
                self.skipped += 1
        connection.execute("COMMIT")


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
