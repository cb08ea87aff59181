"""The journal's file: its tables, who holds it, opening it, and saving what can be saved of a damaged one."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import stat
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from secrets import token_bytes
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from fastreq_jupyter.errors import JournalError
from fastreq_jupyter.files import release
from fastreq_jupyter.journal.rows import COLUMNS, Row, seal_of
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator


def lock_file(path: Path) -> FileLock:
    """Return the lock of a journal, held against other processes and other runs of this one, until `files.release`.

    It is the file beside the journal with ``-lock`` at its end, there only while it is held.

    Raises:
        JournalError: Somebody else holds it; the message says who, where and since when.
    """
    # Not bound to a thread: the one that opens the journal acquires it, the one that writes releases it.
    lock = FileLock(f"{path}-lock", mode=0o600, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        message = f"{path} is in use by {_holder(path)}: wait for it, or name another journal"
        raise JournalError(message) from None
    except (OSError, NotImplementedError) as error:
        message = f"{path}: the lock beside it cannot be made: {getattr(error, 'strerror', None) or error}"
        raise JournalError(message) from error
    return lock


def _sign(connection: sqlite3.Connection) -> None:
    """Write the process that holds the journal into it."""
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now().astimezone().isoformat(" ", "seconds")}
    # A full disk must not prevent reading a journal.
    with suppress(sqlite3.Error):
        put(connection, "holder", json.dumps(holder).encode())


def _holder(path: Path) -> str:
    try:
        with closing(connect(path, read_only=True)) as connection:
            holder: Any = json.loads(_get(connection, "holder") or b"")
        if holder["pid"] == os.getpid() and holder["host"] == socket.gethostname():
            return "another run of this process"
        return one_line(f"process {holder['pid']} on {holder['host']} since {holder['since']}", 200)
    except (sqlite3.Error, ValueError, TypeError, KeyError):
        return "another process"


_VERSION = 1
_APPLICATION_ID = 0x46527131  # "FRq1"
_NEIGHBOURS = ("-wal", "-shm", "-journal")
_KEY_BYTES = 32
_SCHEMA = f"""
CREATE TABLE about (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE answers (
    base BLOB NOT NULL, guise BLOB NOT NULL, occurrence INTEGER NOT NULL, done INTEGER NOT NULL, at REAL NOT NULL,
    method TEXT NOT NULL, url TEXT NOT NULL, status INTEGER, error TEXT, record TEXT NOT NULL, body BLOB, seal BLOB NOT NULL,
    PRIMARY KEY (base, guise, occurrence)
);
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_VERSION};
"""
INSERT = f"INSERT OR REPLACE INTO answers ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 - names of ours


def create_empty(path: Path) -> None:
    """Make the file, readable for its owner only, where there is none."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    os.close(descriptor)


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the file, which must be there."""
    uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
    connection = sqlite3.connect(uri, uri=True, timeout=5, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _prepare(path: Path) -> tuple[sqlite3.Connection, bytes]:
    """Open the file, make the tables where there are none, and return its key."""
    if os.name != "nt":
        path.chmod(0o600)
    connection = connect(path)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cell_size_check = ON")
        make_tables(connection, _SCHEMA)
        key = read_key(connection)
        if key is None:
            key = token_bytes(_KEY_BYTES)
            write_key(connection, key)
    except BaseException:
        connection.close()
        raise
    return connection, key


def make_tables(connection: sqlite3.Connection, schema: str) -> None:
    """Make the tables and a key where there are none; two kernels may do this at once."""
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        for statement in filter(str.strip, schema.split(";")):
            connection.execute(statement)
        write_key(connection, token_bytes(_KEY_BYTES))
    connection.execute("COMMIT")


def read_key(connection: sqlite3.Connection) -> bytes | None:
    """Return the key of all hashes, None where there is none yet.

    Raises:
        sqlite3.DatabaseError: It is not as it was written; every row would look unknown.
    """
    value = _get(connection, "key")
    if value is None:
        return None
    key = value[:_KEY_BYTES]
    if value != key + _check_of(key):
        message = "the key is damaged"
        raise sqlite3.DatabaseError(message)
    return key


def write_key(connection: sqlite3.Connection, key: bytes) -> None:
    """Write the key with its checksum."""
    put(connection, "key", key + _check_of(key))


def _check_of(key: bytes) -> bytes:
    return blake2b(key, digest_size=8).digest()


def _get(connection: sqlite3.Connection, name: str) -> bytes | None:
    """Return an entry of the table `about`, None where there is none."""
    row = connection.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
    return None if row is None else row[0] if isinstance(row[0], bytes) else b""


def put(connection: sqlite3.Connection, name: str, value: bytes) -> None:
    """Write an entry of the table `about`."""
    connection.execute("INSERT OR REPLACE INTO about (name, value) VALUES (?, ?)", (name, value))


_LARGEST_STEP = 2**22


def _rescue(path: Path) -> list[str]:
    """Move a torn file aside and put what can be read of it into a new one; return notes for the user."""
    aside = _free_name(path)
    for suffix in ("", *_NEIGHBOURS):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    create_empty(path)
    count = 0
    connection, new_key = _prepare(path)
    try:
        connection.execute("BEGIN IMMEDIATE")
        key, rows = _readable(aside)
        write_key(connection, key or new_key)
        for row in rows:
            connection.execute(INSERT, row)
            count += 1
        put(connection, "damaged", datetime.now().astimezone().isoformat().encode())
        connection.execute("COMMIT")
    finally:
        connection.close()
    line = f"{path.name} was damaged: {count:,} of its rows could be read, the old file is {aside.name}"
    return [f"{line}; POST and PATCH that it does not know come back as unknown"]


def _free_name(path: Path) -> Path:
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    names = (Path(f"{path}.damaged-{stamp}{f'-{number}' if number else ''}") for number in range(1000))
    return next(name for name in names if not name.exists())


def _readable(aside: Path) -> tuple[bytes | None, Iterator[Row]]:
    try:
        old = connect(aside)
        # Read even if pages are missing at the end of the file.
        old.execute("PRAGMA writable_schema = ON")
    except sqlite3.Error:
        return None, iter(())
    # A flipped byte invalidates one row, not all.
    old.text_factory = lambda text: text.decode("utf-8", "replace")
    try:
        key = read_key(old)
    except sqlite3.Error:
        key = None
    if key is None:
        old.close()
        return None, iter(())
    return key, _sealed_rows(old, key)


def _sealed_rows(old: sqlite3.Connection, key: bytes) -> Iterator[Row]:
    """Give the rows whose seal is right; after an unreadable place try again in growing steps."""
    select = f"SELECT rowid, {', '.join(COLUMNS)} FROM answers WHERE rowid > ? ORDER BY rowid"  # noqa: S608 - names of ours
    last, step = 0, 1
    while step < _LARGEST_STEP:
        try:
            for number, *values in old.execute(select, (last,)):
                if number <= last:
                    # In a damaged tree a page can refer back to an earlier one.
                    raise sqlite3.DatabaseError
                last, step = number, 1
                row = Row(*values)
                if row.seal == seal_of(row, key):
                    yield row
            break
        except (sqlite3.Error, OverflowError):
            last, step = last + step, step * 2
    old.close()


_MAGIC = b"SQLite format 3\x00"
_SMALLEST = 512
_SOON_SEARCHED = 32 * 2**20


@dataclass(slots=True)
class Database:
    """An open journal file and its lock.

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
    lock: FileLock
    key: bytes
    rows: int
    damaged: bool
    notes: list[str] = field(default_factory=list)
    suspect: bool = False

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
        release(self.lock)


def open_database(path: Path) -> Database:
    """Open, create or rescue a journal.

    Raises:
        JournalError: One line: it is no journal, newer, in use, or cannot be read or made there.
    """
    refuse_strange(path)
    lock = lock_file(path)
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
        release(lock)
        raise


def _open(path: Path, lock: FileLock) -> Database:
    head = read_head(path)
    # The beginning of an SQLite file that breaks off where none can end.
    torn = head is not None and 0 < len(head) < _SMALLEST and head.startswith(_MAGIC[: len(head)])
    if not head:
        create_empty(path)
    elif not torn:
        refuse_foreign(path, head)
    opened = None if torn else _open_sound(path)
    notes = [] if opened else _rescue(path)
    connection, key = opened or _prepare(path)
    try:
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            notes.append(f"{path.name}: write-ahead logging is not possible there, journal mode {mode} is used")
        put(connection, "clean", b"0")
        _sign(connection)
        rows = int(connection.execute("SELECT count(*) FROM (SELECT 1 FROM answers LIMIT 1)").fetchone()[0])
        damaged = _get(connection, "damaged") is not None
    except BaseException:
        connection.close()
        raise
    return Database(path, connection, lock, key, rows, damaged, notes)


def _open_sound(path: Path) -> tuple[sqlite3.Connection, bytes] | None:
    """Open the file and return its key as well, None where it is damaged."""
    try:
        connection, key = _prepare(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and _is_passing(error):
            raise
        return None
    if _is_sound(path, connection):
        return connection, key
    connection.close()
    return None


def refuse_strange(path: Path, use: str = "journal") -> None:
    """Refuse what is no regular file, or has no directory.

    Raises:
        JournalError: One line; `use` names what the file was to be.
    """
    if not path.parent.is_dir():
        message = f"{path}: there is no directory {path.parent}"
        raise JournalError(message)
    for name in (path, *(Path(f"{path}{suffix}") for suffix in _NEIGHBOURS)):
        try:
            mode = name.lstat().st_mode
        except FileNotFoundError:
            continue
        except OSError as error:
            message = f"{name} cannot be used as a {use}: {error.strerror}"
            raise JournalError(message) from None
        if not stat.S_ISREG(mode):
            kind = "a symbolic link" if stat.S_ISLNK(mode) else "a directory" if stat.S_ISDIR(mode) else "no regular file"
            message = f"{name} is {kind}: a {use} needs a file of its own"
            raise JournalError(message)


def read_head(path: Path) -> bytes | None:
    """Return the first bytes of the file as it lies there, None where there is none; SQLite would write to look."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read(_SMALLEST)


def refuse_foreign(path: Path, head: bytes, *, application: int = _APPLICATION_ID, version: int = _VERSION, use: str = "journal") -> None:
    """Refuse a file that is not ours, or newer than we are.

    Args:
        path: The file.
        head: Its first bytes.
        application: What SQLite calls the application id.
        version: The newest format that is known.
        use: What the file was to be.

    Raises:
        JournalError: One line.
    """
    if not head.startswith(_MAGIC) or int.from_bytes(head[68:72]) != application:
        message = f"{path} is a file of something else, not a {use}: name another one"
        raise JournalError(message)
    written_version = int.from_bytes(head[60:64])
    if written_version > version:
        message = f"{path} was written by a newer version of fastreq-jupyter (format {written_version}, this one reads {version})"
        raise JournalError(message)


def _is_passing(error: sqlite3.OperationalError) -> bool:
    """Tell whether the error comes from the file's surroundings (locked, full, not permitted), not from its content."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def _is_sound(path: Path, connection: sqlite3.Connection) -> bool:
    """Look for damage: through all of a small file, or one its last writer did not close; else whether all its pages are there."""
    try:
        if _get(connection, "clean") == b"1" and path.stat().st_size > _SOON_SEARCHED:
            pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
            return bool(path.stat().st_size >= pages * size)
        return bool(connection.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok")
    except sqlite3.DatabaseError:
        return False
