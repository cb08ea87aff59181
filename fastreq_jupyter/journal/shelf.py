"""The file of a cache: SQLite, which several kernels may have open, or JSON lines, to be committed beside a notebook.

In SQLite each kernel reads what the others have committed. Of JSON lines the first says what the file is and has the key, each
other is an answer. Lines are appended, the last of a key holds; at the end of a run that replaced some the file is written
anew, in its old order. What is no line of ours (torn by a crash, left by a merge) is passed over and told.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from base64 import b64decode, b64encode
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from secrets import token_bytes
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import FileLock, Timeout

from fastreq_jupyter.errors import JournalError
from fastreq_jupyter.files import release, write_whole
from fastreq_jupyter.journal.file import connect, create_empty, make_tables, read_head, read_key, refuse_foreign, refuse_strange
from fastreq_jupyter.journal.writer import Writer
from fastreq_jupyter.options import show_count

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


class Answer(NamedTuple):
    """A stored answer.

    Attributes:
        key: What it is an answer to.
        at: When it was received, or was confirmed last, seconds since 1970.
        method, url: Of the request, for people; secrets as ``***``.
        status: Status code.
        head: Field lines, final URL, version and reason, JSON.
        body: Bytes after content decoding.
        seal: Keyed hash of all of it.
    """

    key: bytes
    at: float
    method: str
    url: str
    status: int
    head: str
    body: bytes
    seal: bytes = b""


def open_shelf(name: str, *, read_only: bool = False) -> DatabaseShelf | LinesShelf:
    """Open the file of a cache, by its ending: lines for ``.jsonl``, else SQLite.

    Args:
        name: The file; made where there is none. A missing directory is made where its name is ``.fastreq``, and kept out of git.
        read_only: Nothing will be put into it.

    Raises:
        JournalError: One line: it is no cache, newer, damaged, or cannot be read or made there; it was not touched.
    """
    path = Path(name).expanduser()
    folder = path.parent
    if folder.name == ".fastreq" and not folder.exists() and not read_only:
        try:
            folder.mkdir(mode=0o700)
            (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        except OSError as error:
            message = f"{folder} cannot be made: {error.strerror or error}"
            raise JournalError(message) from error
    refuse_strange(path, "cache")
    return LinesShelf(path, read_only=read_only) if path.suffix.lower() == ".jsonl" else DatabaseShelf(path, read_only=read_only)


_VERSION = 1
_APPLICATION_ID = 0x46527143  # "FRqC"
_PATIENCE_MS = 60_000
_SCHEMA = f"""
CREATE TABLE about (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE answers (
    key BLOB PRIMARY KEY, at REAL NOT NULL, method TEXT NOT NULL, url TEXT NOT NULL, status INTEGER NOT NULL, head TEXT NOT NULL,
    body BLOB NOT NULL, seal BLOB NOT NULL
) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_VERSION};
"""
_FIND = "SELECT key, at, method, url, status, head, body, seal FROM answers WHERE key = ?"
_LIST = "SELECT key, at, method, url, status, length(body) FROM answers ORDER BY url, method"
_INSERT = "INSERT OR REPLACE INTO answers (key, at, method, url, status, head, body, seal) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


class DatabaseShelf:
    """Answers in an SQLite file; made as `open_shelf` says.

    Attributes:
        path: The file.
        secret: Its key.
        trouble: Why it cannot be read as it should, or None.
        connection: For the writer's thread.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.trouble: str | None = None
        self._writer: Writer | None = None
        try:
            head = read_head(path)
            if head:
                refuse_foreign(path, head, application=_APPLICATION_ID, version=_VERSION, use="cache")
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
            make_tables(connection, _SCHEMA)
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
        if answer.seal != _seal_of(answer, self.secret):
            self.trouble = f"{self.path.name} is damaged (an answer is not as it was written): what cannot be read of it is sent again"
            return None
        return answer

    def put(self, answer: Answer) -> None:
        """Let the writer's thread keep an answer, at most half a second later."""
        if self._writer is None:
            self._writer = Writer(self)
        sealed = answer._replace(seal=_seal_of(answer, self.secret))
        self._writer.put(lambda connection: connection.execute(_INSERT, sealed), size=len(sealed.body))

    @property
    def pending_bytes(self) -> int:
        """Return how many bytes of bodies wait to be written."""
        return 0 if self._writer is None else self._writer.pending_bytes

    async def flush(self) -> None:
        """Return once all that was put is written."""
        if self._writer is not None:
            await self._writer.commit(lambda _: None)

    def troubles(self) -> list[str]:
        """Return why answers cannot be read or kept."""
        writer = self._writer
        lost = None if writer is None else writer.trouble
        skipped = "" if writer is None or not writer.skipped else f"{writer.skipped:,} answers are too large for {self.path.name}"
        return [line for line in (self.trouble, lost, skipped) if line]

    async def aclose(self) -> None:
        """Return once what was put is committed and the file closed."""
        if self._writer is None:
            self.stop()
        else:
            self._reader.close()
            await self._writer.close()

    def stop(self) -> None:
        """Let what was put be committed and close the file."""
        with suppress(sqlite3.Error):
            self._reader.close()
        if self._writer is None:
            self.close(clean=True)
        else:
            self._writer.stop(5.0)

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


def _seal_of(answer: Answer, secret: bytes) -> bytes:
    hashed = blake2b(repr(answer[:-2]).encode("utf-8", "surrogatepass"), digest_size=16, key=secret)
    hashed.update(answer.body)
    return hashed.digest()


_MARK = "fastreq_cache"
_KEY_BYTES = 32
_BEHIND = 0.3
_LONGEST_LOCK = 20.0
_LONGEST_HEAD = 4096


class LinesShelf:
    """Answers in a file of JSON lines, held in memory while it is open; made as `open_shelf` says.

    Attributes:
        path: The file.
        secret: Its key.
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
            self._trouble = f"{path.name}: {show_count(strange, 'line is', 'lines are')} no answer and passed over"

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

    async def flush(self) -> None:
        """Write what was put."""
        self._flush()

    def troubles(self) -> list[str]:
        """Return why answers cannot be read or kept."""
        return [] if self._trouble is None else [self._trouble]

    async def aclose(self) -> None:
        """Write what was put."""
        self.stop()

    def stop(self) -> None:
        """Write what was put; a file in which answers were replaced is written anew."""
        self._flush(_LONGEST_LOCK)
        if self._replaced:
            self._replaced = False
            with self._noting_trouble(), _locked(self.path):
                # Another kernel may have added lines.
                secret, answers, _ = _read(self.path)
                _write(self.path, secret, answers)

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
            except Timeout:
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
        except Timeout:
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
    lock = FileLock(f"{path}-lock", mode=0o600)
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        if patience < _LONGEST_LOCK:
            raise
        message = f"{path} is being written by another process for more than {_LONGEST_LOCK:.0f} s: try again, or name another cache_file"
        raise JournalError(message) from None
    try:
        yield
    finally:
        release(lock)


def _create(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(_first_line(token_bytes(_KEY_BYTES)))


def _first_line(secret: bytes) -> bytes:
    return json.dumps({_MARK: _VERSION, "key": secret.hex()}).encode() + b"\n"


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
    if not isinstance(version, int) or version > _VERSION:
        message = f"{path} was written by a newer version of fastreq-jupyter (format {version}, this one reads {_VERSION})"
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
    write_whole(path, (_first_line(secret), *map(_line_of, answers.values())))
    if os.name != "nt":
        path.chmod(0o600)
