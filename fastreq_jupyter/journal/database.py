"""The journal's file: SQLite, ours by its application id, versioned, 0600, one writer; never a file of somebody else.

opened      what is there
created     nothing or an empty file
refused     a link, a directory, a foreign or newer file: it stays untouched
rescued     a torn file of ours: moved aside, what can still be read is put into a new one
"""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from fastreq_jupyter.errors import JournalError
from fastreq_jupyter.journal.lock import JournalLock
from fastreq_jupyter.journal.rescue import rescue
from fastreq_jupyter.journal.tables import APPLICATION_ID, NEIGHBOURS, VERSION, connect, create_empty, get, prepare, put

__all__ = ["Database", "open_database"]

_MAGIC = b"SQLite format 3\x00"
_SMALLEST = 512
_SOON_SEARCHED = 32 * 2**20


@dataclass(slots=True)
class Database:
    """Hold an open journal file and its lock.

    Attributes:
        path: The file.
        connection: For the writer's thread.
        lock: Held while the connection is open.
        key: Of all hashes in it.
        rows: How many it had when it was opened, at least.
        damaged: It was torn once: unsafe requests that it does not know may have been sent.
        notes: What a person should read.
        suspect: Damage was met while reading: the next one who opens it has to look.
    """

    path: Path
    connection: sqlite3.Connection
    lock: JournalLock
    key: bytes
    rows: int
    damaged: bool
    notes: list[str] = field(default_factory=list)
    suspect: bool = False

    def reader(self) -> sqlite3.Connection:
        """Return a second connection that reads only."""
        return connect(self.path, read_only=True)

    def close(self, *, clean: bool) -> None:
        """Close the file and let go of the lock; never raises.

        Args:
            clean: All went well, so that the next one need not look for damage.
        """
        with suppress(sqlite3.Error):
            if clean and not self.suspect:
                put(self.connection, "clean", b"1")
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with suppress(sqlite3.Error):
            self.connection.close()
        self.lock.release()


def open_database(path: Path) -> Database:
    """Open, create or rescue a journal.

    Raises:
        JournalError: One line: it is no journal, newer, in use, or cannot be read or made there.
    """
    _refuse_strange(path)
    lock = JournalLock(path)
    try:
        try:
            return _open(path, lock)
        except sqlite3.Error as error:
            message = f"{path} cannot be used as a journal: {error}"
            raise JournalError(message) from error
        except OSError as error:
            message = f"{path} cannot be used as a journal: {error.strerror or error}"
            raise JournalError(message) from error
    except BaseException:
        lock.release()
        raise


def _open(path: Path, lock: JournalLock) -> Database:
    head = _read_head(path)
    notes: list[str] = []
    if head is not None and _is_torn_head(head):
        notes = rescue(path)
    elif head:
        _refuse_foreign(path, head)
    else:
        create_empty(path)
    try:
        connection, key = prepare(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and _is_passing(error):
            raise
        notes = rescue(path)
        connection, key = prepare(path)
    try:
        if not notes and not _is_sound(path, connection):
            connection.close()
            notes = rescue(path)
            connection, key = prepare(path)
        notes += _choose_mode(path, connection)
        put(connection, "clean", b"0")
        lock.sign(connection)
        rows = int(connection.execute("SELECT count(*) FROM (SELECT 1 FROM answers LIMIT 1)").fetchone()[0])
        damaged = get(connection, "damaged") is not None
    except BaseException:
        connection.close()
        raise
    return Database(path, connection, lock, key, rows, damaged, notes)


def _refuse_strange(path: Path) -> None:
    if not path.parent.is_dir():
        message = f"{path}: there is no directory {path.parent}"
        raise JournalError(message)
    for name in (path, *(Path(f"{path}{suffix}") for suffix in NEIGHBOURS)):
        try:
            mode = name.lstat().st_mode
        except FileNotFoundError:
            continue
        except OSError as error:
            message = f"{name} cannot be used as a journal: {error.strerror}"
            raise JournalError(message) from None
        if not stat.S_ISREG(mode):
            kind = "a symbolic link" if stat.S_ISLNK(mode) else "a directory" if stat.S_ISDIR(mode) else "no regular file"
            message = f"{name} is {kind}: a journal needs a file of its own"
            raise JournalError(message)


def _read_head(path: Path) -> bytes | None:
    """Return the first bytes of the file as it lies there, None where there is none; SQLite would write to look."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read(_SMALLEST)


def _is_torn_head(head: bytes) -> bool:
    """Tell whether this is the beginning of an SQLite file that breaks off where none can end."""
    return 0 < len(head) < _SMALLEST and head.startswith(_MAGIC[: len(head)])


def _refuse_foreign(path: Path, head: bytes) -> None:
    if not head.startswith(_MAGIC) or int.from_bytes(head[68:72]) != APPLICATION_ID:
        message = f"{path} is a file of something else, not a journal: name another one"
        raise JournalError(message)
    version = int.from_bytes(head[60:64])
    if version > VERSION:
        message = f"{path} was written by a newer version of fastreq-jupyter (format {version}, this one reads {VERSION})"
        raise JournalError(message)


def _choose_mode(path: Path, connection: sqlite3.Connection) -> list[str]:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    return [] if mode == "wal" else [f"{path.name}: write-ahead logging is not possible there, journal mode {mode} is used"]


def _is_passing(error: sqlite3.OperationalError) -> bool:
    """Tell whether the trouble lies around the file (locked, full, not permitted), not in it."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def _is_sound(path: Path, connection: sqlite3.Connection) -> bool:
    """Look for damage: through all of a small file, or one its last writer did not close; else whether all its pages are there."""
    try:
        if get(connection, "clean") == b"1" and path.stat().st_size > _SOON_SEARCHED:
            pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
            return bool(path.stat().st_size >= pages * size)
        return bool(connection.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok")
    except sqlite3.DatabaseError:
        return False
