"""What is done about a torn journal: it is moved aside, and what can still be read of it goes into a new one."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fastreq_jupyter.journal.rows import COLUMNS, Row, seal_of
from fastreq_jupyter.journal.tables import INSERT, NEIGHBOURS, connect, create_empty, prepare, put, read_key, write_key

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["rescue"]

_LARGEST_STEP = 2**22


def rescue(path: Path) -> list[str]:
    """Move a torn file aside and put what can be read of it into a new one; return what to tell."""
    aside = _free_name(path)
    for suffix in ("", *NEIGHBOURS):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    create_empty(path)
    count = 0
    connection, new_key = prepare(path)
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
    told = f"{path.name} was damaged: {count:,} of its rows could be read, the old file is {aside.name}"
    return [f"{told}; POST and PATCH that it does not know come back as unknown"]


def _free_name(path: Path) -> Path:
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    names = (Path(f"{path}.damaged-{stamp}{f'-{number}' if number else ''}") for number in range(1000))
    return next(name for name in names if not name.exists())


def _readable(aside: Path) -> tuple[bytes | None, Iterator[Row]]:
    try:
        old = connect(aside)
        # Read on although pages are missing at its end.
        old.execute("PRAGMA writable_schema = ON")
    except sqlite3.Error:
        return None, iter(())
    # A flipped byte makes one row worthless, not all.
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
    """Give the rows whose seal is whole; behind an unreadable place go on in growing steps."""
    select = f"SELECT rowid, {', '.join(COLUMNS)} FROM answers WHERE rowid > ? ORDER BY rowid"  # noqa: S608 - names of ours
    last, step = 0, 1
    while step < _LARGEST_STEP:
        try:
            for number, *values in old.execute(select, (last,)):
                if number <= last:
                    # A torn tree can lead back to where it began.
                    raise sqlite3.DatabaseError
                last, step = number, 1
                row = Row(*values)
                if row.seal == seal_of(row, key):
                    yield row
            break
        except (sqlite3.Error, OverflowError):
            last, step = last + step, step * 2
    old.close()
