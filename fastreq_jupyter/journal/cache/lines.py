"""A cache as JSON lines, to be committed beside a notebook: the first line says what it is and has the key, each other is an answer.

Lines are appended, the last of a key holds; at the end of a run that replaced some the file is written anew, in its old order.
What is no line of ours (torn by a crash, left by a merge) is passed over and told.
"""

from __future__ import annotations

import asyncio
import json
import os
from base64 import b64decode, b64encode
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_bytes
from typing import TYPE_CHECKING, Any

import filelock

from fastreq_jupyter.errors import JournalError
from fastreq_jupyter.files import AtomicFile
from fastreq_jupyter.journal.cache.answer import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

__all__ = ["LinesShelf"]

VERSION = 1
_MARK = "fastreq_cache"
_KEY_BYTES = 32
_BEHIND = 0.3
_LONGEST_LOCK = 20.0
_LONGEST_HEAD = 4096


class LinesShelf:
    """Answers in a file of JSON lines, held in memory while it is open.

    Args:
        path: The file; made where there is none.
        read_only: Nothing will be put into it.

    Attributes:
        path: The file.
        secret: Its key.

    Raises:
        JournalError: One line: it is something else, newer, or cannot be read or made there; it was not touched.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._late: list[Answer] = []
        self._timer: asyncio.TimerHandle | None = None
        self._replaced = False
        self._trouble: str | None = None
        try:
            with _locked(path, needed=not read_only):
                if not read_only and not (path.exists() and path.stat().st_size):
                    _create(path)
                if not read_only and os.name != "nt":
                    path.chmod(0o600)
                self.secret, self._answers, strange = _read(path)
        except OSError as error:
            message = f"{path} cannot be used as a cache: {error.strerror or error}"
            raise JournalError(message) from error
        if strange:
            self._trouble = f"{path.name}: {strange:,} {'line is' if strange == 1 else 'lines are'} no answer and passed over"

    def find(self, key: bytes) -> Answer | None:
        """Return the answer of a key, or None."""
        return self._answers.get(key)

    def put(self, answer: Answer) -> None:
        """Keep an answer; it is in the file a moment later."""
        self._replaced = self._replaced or answer.key in self._answers
        self._answers[answer.key] = answer
        self._late.append(answer)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_BEHIND, self._flush)

    @property
    def pending_bytes(self) -> int:
        """Return how many bytes of bodies wait to be written: they are in memory anyway."""
        return 0

    def flush(self, done: Callable[[], None]) -> None:
        """Write what was put, then call `done`."""
        self._flush()
        done()

    def troubles(self) -> list[str]:
        """Return why answers cannot be read or kept."""
        return [] if self._trouble is None else [self._trouble]

    def stop(self, done: Callable[[], None] | None = None) -> None:
        """Write what was put, then call `done`."""
        self._flush(_LONGEST_LOCK)
        if self._replaced:
            self._replaced = False
            with self._noting_trouble(), _locked(self.path):
                # Another kernel may have added lines.
                secret, answers, _ = _read(self.path)
                _write(self.path, secret, answers)
        if done is not None:
            done()

    def join(self, timeout: float) -> None:
        """Return at once: there is no thread."""

    def listing(self) -> Iterator[tuple[bytes, float, str, str, int, int]]:
        """Give key, time, method, URL, status and size of each answer."""
        for answer in sorted(self._answers.values(), key=lambda answer: (answer.url, answer.method)):
            yield answer.key, answer.at, answer.method, answer.url, answer.status, len(answer.body)

    def remove(self, keys: Collection[bytes]) -> None:
        """Take answers out."""
        with _locked(self.path):
            secret, answers, _ = _read(self.path)
            _write(self.path, secret, {key: answer for key, answer in answers.items() if key not in keys})

    def _flush(self, patience: float = 0.0) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        late, self._late = self._late, []
        if late and self._trouble_free:
            try:
                with self._noting_trouble(), _locked(self.path, patience=patience), self.path.open("r+b") as file:
                    size = file.seek(0, os.SEEK_END)
                    file.seek(max(0, size - 1))
                    # The last line may have been torn by a crash.
                    start = b"" if file.read(1) == b"\n" else b"\n"
                    file.write(start + b"".join(map(_line_of, late)))
            except filelock.Timeout:
                # Another kernel is rewriting the file: do not block the loop until it is done.
                self._late = late + self._late
                self._timer = asyncio.get_running_loop().call_later(_BEHIND, self._flush)

    @property
    def _trouble_free(self) -> bool:
        return self._trouble is None or "passed over" in self._trouble

    @contextmanager
    def _noting_trouble(self) -> Iterator[None]:
        try:
            yield
        except filelock.Timeout:
            # Timeout is a subclass of OSError.
            raise
        except (OSError, JournalError) as error:
            cause = getattr(error, "strerror", None) or error
            self._trouble = f"{self.path.name} cannot be written any more ({cause}): from here on results are in memory only"


@contextmanager
def _locked(path: Path, *, needed: bool = True, patience: float = _LONGEST_LOCK) -> Iterator[None]:
    if not needed:
        yield
        return
    lock = filelock.FileLock(f"{path}-lock", mode=0o600)
    try:
        lock.acquire(timeout=patience)
    except filelock.Timeout:
        if patience < _LONGEST_LOCK:
            raise
        message = f"{path} is being written by another process for more than {_LONGEST_LOCK:.0f} s: try again, or name another cache_file"
        raise JournalError(message) from None
    try:
        yield
    finally:
        # Removed while locked, so that a waiting process notices the missing name.
        with suppress(OSError):
            Path(lock.lock_file).unlink()
        with suppress(OSError):
            lock.release()


def _create(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(_first_line(token_bytes(_KEY_BYTES)))


def _first_line(secret: bytes) -> bytes:
    return json.dumps({_MARK: VERSION, "key": secret.hex()}).encode() + b"\n"


def _read(path: Path) -> tuple[bytes, dict[bytes, Answer], int]:
    """Return the key, the answers, and how many lines are none."""
    with path.open("rb") as file:
        secret = _key_in(path, file.readline(_LONGEST_HEAD))
        answers: dict[bytes, Answer] = {}
        strange = 0
        for line in file:
            answer = _answer_in(line)
            if answer is not None:
                answers[answer.key] = answer
            elif line.strip():
                strange += 1
    return secret, answers, strange


def _key_in(path: Path, line: bytes) -> bytes:
    try:
        head: Any = json.loads(line)
        version = head[_MARK]
        secret = bytes.fromhex(head["key"])
    except (ValueError, TypeError, KeyError):
        message = f"{path} is a file of something else, not a cache: name another one"
        raise JournalError(message) from None
    if not isinstance(version, int) or version > VERSION:
        message = f"{path} was written by a newer version of fastreq-jupyter (format {version}, this one reads {VERSION})"
        raise JournalError(message)
    return secret


def _answer_in(line: bytes) -> Answer | None:
    try:
        record: Any = json.loads(line)
        body = record["text"].encode() if "text" in record else b64decode(record["base64"], validate=True)
        at = datetime.fromisoformat(record["at"]).timestamp()
        head = json.dumps(record["head"], separators=(",", ":"))
        return Answer(bytes.fromhex(record["key"]), at, str(record["method"]), str(record["url"]), int(record["status"]), head, body)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _line_of(answer: Answer) -> bytes:
    line: dict[str, Any] = {
        "url": answer.url,
        "method": answer.method,
        "status": answer.status,
        "at": datetime.fromtimestamp(answer.at, UTC).isoformat(timespec="milliseconds"),
        "key": answer.key.hex(),
        "head": json.loads(answer.head),
    }
    try:
        line["text"] = answer.body.decode()
    except UnicodeDecodeError:
        line["base64"] = b64encode(answer.body).decode()
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def _write(path: Path, secret: bytes, answers: dict[bytes, Answer]) -> None:
    """Write the file anew, whole or not at all."""
    file = AtomicFile(path)
    try:
        file.write(_first_line(secret) + b"".join(map(_line_of, answers.values())))
        file.commit()
    finally:
        file.discard()
    if os.name != "nt":
        path.chmod(0o600)
