"""A cache as an SQLite file that several kernels may have open: each reads what the others have committed."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from secrets import token_bytes
from typing import TYPE_CHECKING

from fastreq_jupyter.errors import JournalError
from fastreq_jupyter.journal.cache.answer import Answer, seal_of
from fastreq_jupyter.journal.file import connect, create_empty, read_head, read_key, refuse_foreign, write_key
from fastreq_jupyter.journal.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

__all__ = ["DatabaseShelf"]

VERSION = 1
APPLICATION_ID = 0x46527143  # "FRqC"
_KEY_BYTES = 32
_PATIENCE_MS = 60_000
_SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE answers (
    key BLOB PRIMARY KEY, at REAL NOT NULL, method TEXT NOT NULL, url TEXT NOT NULL, status INTEGER NOT NULL, head TEXT NOT NULL,
    body BLOB NOT NULL, seal BLOB NOT NULL
) WITHOUT ROWID;
"""
_FIND = "SELECT key, at, method, url, status, head, body, seal FROM answers WHERE key = ?"
_LIST = "SELECT key, at, method, url, status, length(body) FROM answers ORDER BY url, method"
_INSERT = "INSERT OR REPLACE INTO answers (key, at, method, url, status, head, body, seal) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


class DatabaseShelf:
    """Answers in an SQLite file.

    Args:
        path: The file; made where there is none.
        read_only: Nothing will be put into it.

    Attributes:
        path: The file.
        secret: Its key.
        trouble: Why it cannot be read as it should, or None.
        connection: For the writer's thread.

    Raises:
        JournalError: One line: it is no cache, newer, damaged, or cannot be read or made there; it was not touched.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.trouble: str | None = None
        self._writer: Writer | None = None
        try:
            head = read_head(path)
            if head:
                refuse_foreign(path, head, application=APPLICATION_ID, version=VERSION, use="cache")
            elif not read_only:
                create_empty(path)
            self.connection = _open(path, read_only=read_only)
            try:
                self.secret = self._prepare(read_only=read_only)
                self._reader = _open(path, read_only=True)
            except BaseException:
                self.connection.close()
                raise
        except sqlite3.Error as error:
            message = f"{path} cannot be used as a cache ({error}): move it away, or name another cache_file"
            raise JournalError(message) from error
        except OSError as error:
            message = f"{path} cannot be used as a cache: {error.strerror or error}"
            raise JournalError(message) from error

    def _prepare(self, *, read_only: bool) -> bytes:
        connection = self.connection
        connection.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
        if not read_only:
            if os.name != "nt":
                self.path.chmod(0o600)
            _make(connection)
            with suppress(sqlite3.OperationalError):
                # Another kernel may hold the file at this moment: then it has done the same work.
                connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
        key = read_key(connection)
        if key is None:
            message = "it has no key"
            raise sqlite3.DatabaseError(message)
        return key

    def find(self, key: bytes) -> Answer | None:
        """Return the answer of a key, None where there is none that is whole."""
        try:
            values = self._reader.execute(_FIND, (key,)).fetchone()
        except sqlite3.Error as error:
            self.trouble = f"{self.path.name} is damaged ({error}): what cannot be read of it is sent again"
            return None
        if values is None:
            return None
        answer = Answer._make(values)
        if answer.seal != seal_of(answer, self.secret):
            self.trouble = f"{self.path.name} is damaged (an answer is not as it was written): what cannot be read of it is sent again"
            return None
        return answer

    def put(self, answer: Answer) -> None:
        """Let the writer's thread keep an answer, at most half a second later."""
        if self._writer is None:
            self._writer = Writer(self)
        sealed = answer._replace(seal=seal_of(answer, self.secret))
        self._writer.put(lambda connection: _execute(connection, _INSERT, sealed), size=len(sealed.body))

    @property
    def pending_bytes(self) -> int:
        """Return how many bytes of bodies wait to be written."""
        return 0 if self._writer is None else self._writer.pending_bytes

    def flush(self, done: Callable[[], None]) -> None:
        """Call `done`, on any thread, once all that was put is written."""
        if self._writer is None:
            done()
        else:
            self._writer.put(_nothing, done=done)

    def troubles(self) -> list[str]:
        """Return why answers cannot be read or kept."""
        writer = self._writer
        lost = None if writer is None else writer.trouble
        skipped = "" if writer is None or not writer.skipped else f"{writer.skipped:,} answers are too large for {self.path.name}"
        return [line for line in (self.trouble, lost, skipped) if line]

    def stop(self, done: Callable[[], None] | None = None) -> None:
        """Let what was put be committed, close the file, then call `done`, on any thread."""
        self._reader.close()
        if self._writer is not None:
            self._writer.stop(done)
            return
        self.close(clean=True)
        if done is not None:
            done()

    def join(self, timeout: float) -> None:
        """Wait for the end of the thread, seconds at most."""
        if self._writer is not None:
            self._writer.join(timeout)

    def close(self, *, clean: bool) -> None:  # noqa: ARG002 - a journal keeps that
        """Close the file; the writer's thread does it at its end."""
        with suppress(sqlite3.Error):
            self.connection.close()

    def listing(self) -> Iterator[tuple[bytes, float, str, str, int, int]]:
        """Give key, time, method, URL, status and size of each answer."""
        yield from self._reader.execute(_LIST)

    def remove(self, keys: Collection[bytes]) -> None:
        """Take answers out, and make the file smaller."""
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany("DELETE FROM answers WHERE key = ?", [(key,) for key in keys])
        self.connection.execute("COMMIT")
        with suppress(sqlite3.OperationalError):
            # Another kernel may read it at this moment.
            self.connection.execute("VACUUM")


def _open(path: Path, *, read_only: bool) -> sqlite3.Connection:
    connection = connect(path, read_only=read_only)
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def _make(connection: sqlite3.Connection) -> None:
    """Make the tables and the key where there are none; two kernels may do this at once."""
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        for statement in filter(str.strip, _SCHEMA.split(";")):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        write_key(connection, token_bytes(_KEY_BYTES))
    connection.execute("COMMIT")


def _nothing(connection: sqlite3.Connection) -> None:
    """Do nothing: the last job of a batch."""


def _execute(connection: sqlite3.Connection, statement: str, values: tuple[object, ...]) -> None:
    connection.execute(statement, values)
