"""The tables of a journal's file, and the way into it."""

from __future__ import annotations

import os
import sqlite3
from hashlib import blake2b
from secrets import token_bytes
from typing import TYPE_CHECKING

from fastreq_jupyter.journal.rows import COLUMNS

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["APPLICATION_ID", "INSERT", "NEIGHBOURS", "VERSION", "connect", "create_empty", "get", "prepare", "put", "read_key", "write_key"]

VERSION = 1
APPLICATION_ID = 0x46527131  # "FRq1"
NEIGHBOURS = ("-wal", "-shm", "-journal")
_KEY_BYTES = 32
_SCHEMA = f"""
CREATE TABLE about (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE answers (
    base BLOB NOT NULL, guise BLOB NOT NULL, occurrence INTEGER NOT NULL, done INTEGER NOT NULL, at REAL NOT NULL,
    method TEXT NOT NULL, url TEXT NOT NULL, status INTEGER, error TEXT, record TEXT NOT NULL, body BLOB, seal BLOB NOT NULL,
    PRIMARY KEY (base, guise, occurrence)
);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
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


def prepare(path: Path) -> tuple[sqlite3.Connection, bytes]:
    """Open the file, make the tables where there are none, and return its key."""
    if os.name != "nt":
        path.chmod(0o600)
    connection = connect(path)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cell_size_check = ON")
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        key = read_key(connection)
        if key is None:
            key = token_bytes(_KEY_BYTES)
            write_key(connection, key)
    except BaseException:
        connection.close()
        raise
    return connection, key


def read_key(connection: sqlite3.Connection) -> bytes | None:
    """Return the key of all hashes, None where there is none yet.

    Raises:
        sqlite3.DatabaseError: It is not as it was written; every row would look unknown.
    """
    value = get(connection, "key")
    if value is None:
        return None
    key = value[:_KEY_BYTES]
    if value != key + _check_of(key):
        message = "the key is damaged"
        raise sqlite3.DatabaseError(message)
    return key


def write_key(connection: sqlite3.Connection, key: bytes) -> None:
    """Keep the key."""
    put(connection, "key", key + _check_of(key))


def _check_of(key: bytes) -> bytes:
    return blake2b(key, digest_size=8).digest()


def get(connection: sqlite3.Connection, name: str) -> bytes | None:
    """Return what the file says of itself by that name."""
    row = connection.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
    return None if row is None else row[0] if isinstance(row[0], bytes) else b""


def put(connection: sqlite3.Connection, name: str, value: bytes) -> None:
    """Let the file say something of itself."""
    connection.execute("INSERT OR REPLACE INTO about (name, value) VALUES (?, ?)", (name, value))
