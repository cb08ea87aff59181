"""One writer at a time: a lock beside the journal that says who holds it, and ends with its process however that dies."""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from fastreq_jupyter.errors import JournalError
from fastreq_jupyter.redact import one_line

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["FileLock"]

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
# Locks of one process do not exclude each other: this does.
_held: set[str] = set()
_held_lock = Lock()


class FileLock:
    """Hold the lock of a journal from construction to `release`.

    Args:
        path: The journal; the lock is the file beside it with ``-lock`` at its end, there only while it is held.

    Raises:
        JournalError: Somebody else holds it; the message says who, where and since when.
    """

    def __init__(self, path: Path) -> None:
        self._name = os.path.realpath(path)
        self._beside = Path(f"{path}-lock")
        with _held_lock:
            if self._name in _held:
                message = f"{path} is in use by another run of this process: wait for it, or name another journal"
                raise JournalError(message)
            _held.add(self._name)
        try:
            self._descriptor = self._acquire(path)
        except BaseException:
            _held.discard(self._name)
            raise

    def release(self) -> None:
        """Let go; can be called twice."""
        if self._descriptor >= 0:
            with suppress(OSError):
                self._beside.unlink()
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1
            _held.discard(self._name)

    def _acquire(self, path: Path) -> int:
        while True:
            try:
                descriptor = os.open(self._beside, _FLAGS, 0o600)
            except OSError as error:
                message = f"{path}: the lock beside it cannot be made: {error.strerror}"
                raise JournalError(message) from error
            try:
                _lock(descriptor)
            except OSError:
                holder = _who(descriptor)
                os.close(descriptor)
                message = f"{path} is in use by {holder}: wait for it, or name another journal"
                raise JournalError(message) from None
            # Its last holder may have removed the file between opening and locking.
            if _is_still_there(descriptor, self._beside):
                _sign(descriptor)
                return descriptor
            os.close(descriptor)


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        # A byte far behind the text, so that others can read who holds it.
        os.lseek(descriptor, 2**20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_still_there(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except OSError:
        return False


def _sign(descriptor: int) -> None:
    text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now().astimezone().isoformat(" ", "seconds")})
    # A full disk must not keep a journal from being read.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, text.encode())


def _who(descriptor: int) -> str:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        holder: Any = json.loads(os.read(descriptor, 1000))
        return one_line(f"process {holder['pid']} on {holder['host']} since {holder['since']}", 200)
    except (OSError, ValueError, TypeError, KeyError):
        return "another process"
