"""One writer at a time: a lock beside the journal that ends with its process however that dies; the journal says who holds it."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import filelock

from fastreq_jupyter.errors import JournalError
from fastreq_jupyter.journal.tables import connect, get, put
from fastreq_jupyter.redact import one_line

__all__ = ["JournalLock"]


class JournalLock:
    """The lock of a journal, held from construction to `release`, against other processes and other runs of this one.

    Args:
        path: The journal; the lock is the file beside it with ``-lock`` at its end, there only while it is held.

    Raises:
        JournalError: Somebody else holds it; the message says who, where and since when.
    """

    def __init__(self, path: Path) -> None:
        # Taken on the thread that opens the journal, released on the one that writes it.
        self._lock = filelock.FileLock(f"{path}-lock", mode=0o600, thread_local=False)
        try:
            self._lock.acquire(blocking=False)
        except filelock.Timeout:
            message = f"{path} is in use by {_holder(path)}: wait for it, or name another journal"
            raise JournalError(message) from None
        except (OSError, NotImplementedError) as error:
            message = f"{path}: the lock beside it cannot be made: {getattr(error, 'strerror', None) or error}"
            raise JournalError(message) from error

    def sign(self, connection: sqlite3.Connection) -> None:
        """Write into the open journal who holds it."""
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now().astimezone().isoformat(" ", "seconds")}
        # A full disk must not keep a journal from being read.
        with suppress(sqlite3.Error):
            put(connection, "holder", json.dumps(holder).encode())

    def release(self) -> None:
        """Let go; can be called twice."""
        if self._lock.is_locked:
            # While it is held: who waits for it notices that its name is gone. Windows does this at the release.
            with suppress(OSError):
                Path(self._lock.lock_file).unlink()
            with suppress(OSError):
                self._lock.release()


def _holder(path: Path) -> str:
    try:
        with closing(connect(path, read_only=True)) as connection:
            holder: Any = json.loads(get(connection, "holder") or b"")
        if holder["pid"] == os.getpid() and holder["host"] == socket.gethostname():
            return "another run of this process"
        return one_line(f"process {holder['pid']} on {holder['host']} since {holder['since']}", 200)
    except (sqlite3.Error, ValueError, TypeError, KeyError):
        return "another process"
