"""Files: written so that they appear whole or not at all, and sent piece by piece, opened late and never held whole."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["STREAMED_FROM", "AtomicFile", "FilePart", "Upload", "UploadReader", "file_part", "joined", "part_of_open_file", "write_whole"]

STREAMED_FROM = 2**20
"""Files of so many bytes are streamed; smaller ones are read when the request is made."""
_PIECE = 64 * 1024
_PLAIN = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_READING = os.O_RDONLY | _PLAIN
_WRITING = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | _PLAIN


class AtomicFile:
    """A file that is written beside its place, then put there in one step.

    The file gets the permissions any new file has (0666 less the umask). A symbolic link at `path` is replaced, never
    followed. Missing directories are made.

    Args:
        path: Where the file is to be.

    Raises:
        OSError: It cannot be made there.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # A name of fixed length: that of the file may be as long as the file system allows.
        self._beside = self._path.parent / f".{token_hex(8)}.part"
        self._file = os.fdopen(os.open(self._beside, _WRITING, 0o666), "wb")
        self._pending = True

    def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            OSError: The disk is full, or the like.
        """
        self._file.write(data)

    def commit(self) -> None:
        """Put the file into its place.

        Raises:
            OSError: It cannot be put there; nothing is left behind.
        """
        try:
            self._file.close()
            os.replace(self._beside, self._path)  # noqa: PTH105 - does not follow a link at its target, as said above
            self._pending = False
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what was written unless it was committed; never raises, can be called twice."""
        with suppress(OSError):
            self._file.close()
        if self._pending:
            self._pending = False
            with suppress(OSError):
                self._beside.unlink()


def write_whole(path: str | Path, data: bytes) -> None:
    """Write a file that appears whole or not at all.

    Args:
        path: Where the file is to be; missing directories are made.
        data: All of it.

    Raises:
        OSError: It cannot be written there; nothing is left behind.
    """
    file = AtomicFile(path)
    try:
        file.write(data)
        file.commit()
    finally:
        file.discard()


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file, or the rest of one from `start` on, as it was when the request was made.

    Attributes:
        path: Where it is.
        start: Bytes before it that are not sent.
        size: Bytes to send.
        changed_at: Nanoseconds since 1970.
    """

    path: str
    start: int
    size: int
    changed_at: int

    def open(self) -> int:
        """Return a file descriptor at its beginning.

        Raises:
            BackendError: It cannot be opened, or is another file by now.
        """
        try:
            descriptor = os.open(self.path, _READING)
        except OSError as error:
            raise self._unusable(f"cannot be read: {error.strerror or error}") from error
        now = os.fstat(descriptor)
        if now.st_size != self.start + self.size or now.st_mtime_ns != self.changed_at:
            os.close(descriptor)
            raise self._unusable("was changed after the request was made")
        os.lseek(descriptor, self.start, os.SEEK_SET)
        return descriptor

    def read(self, descriptor: int, size: int) -> bytes:
        """Return the next bytes, at least one.

        Raises:
            BackendError: It cannot be read, or has become shorter.
        """
        try:
            data = os.read(descriptor, size)
        except OSError as error:
            raise self._unusable(f"cannot be read: {error.strerror or error}", sent=True) from error
        if not data:
            raise self._unusable("became shorter while it was sent", sent=True)
        return data

    def _unusable(self, why: str, *, sent: bool = False) -> BackendError:
        return BackendError("invalid value", f"{self.path} {why}", sent=sent, lasting=True)


@dataclass(frozen=True, slots=True)
class Upload:
    """A body of bytes and files, in order; `len` is its length in bytes."""

    parts: tuple[bytes | FilePart, ...]

    def __len__(self) -> int:
        return sum(len(part) if isinstance(part, bytes) else part.size for part in self.parts)

    def open(self) -> UploadReader:
        """Return a new reader from the beginning; that files are there and unchanged is looked at now.

        Raises:
            BackendError: One is not.
        """
        for part in self.parts:
            if isinstance(part, FilePart):
                os.close(part.open())
        return UploadReader(self)

    @property
    def shown(self) -> bytes:
        """Return it as a cell writes it: ``< path`` in place of each file."""
        return b"".join(part if isinstance(part, bytes) else f"< {part.path}".encode("utf-8", "replace") for part in self.parts)

    @property
    def fingerprint(self) -> bytes:
        """Return what tells it from others: its bytes, and path, size and time of each file."""
        return b"".join(part if isinstance(part, bytes) else repr(part).encode("utf-8", "replace") for part in self.parts)


class UploadReader:
    """A body that is read once, with one file open at a time.

    Attributes:
        done: Bytes given so far.
    """

    def __init__(self, upload: Upload) -> None:
        self._parts = list(upload.parts[::-1])
        self._length = len(upload)
        self._descriptor: int | None = None
        self._left = 0
        self.done = 0

    def __len__(self) -> int:
        return self._length

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, `size` at most (all of the rest where it is negative), b"" at the end.

        Raises:
            BackendError: A file cannot be read, or was changed.
        """
        if size < 0:
            return b"".join(iter(lambda: self.read(_PIECE), b""))
        data = b""
        while self._parts and size and not data:
            part = self._parts[-1]
            data = self._of_bytes(part, size) if isinstance(part, bytes) else self._of_file(part, size)
        self.done += len(data)
        return data

    def close(self) -> None:
        """Close the open file; can be called twice."""
        descriptor, self._descriptor = self._descriptor, None
        self._parts.clear()
        if descriptor is not None:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()

    def _of_bytes(self, part: bytes, size: int) -> bytes:
        self._parts.pop()
        if len(part) > size:
            self._parts.append(part[size:])
        return part[:size]

    def _of_file(self, part: FilePart, size: int) -> bytes:
        if self._descriptor is None:
            self._descriptor, self._left = part.open(), part.size
        data = part.read(self._descriptor, min(size, self._left)) if self._left else b""
        self._left -= len(data)
        if not self._left:
            os.close(self._descriptor)
            self._descriptor = None
            self._parts.pop()
        return data


def file_part(path: str | Path) -> bytes | FilePart:
    """Return a file's content, or where it is large what stands for it.

    Raises:
        OSError: It cannot be read.
    """
    about = os.stat(path)  # noqa: PTH116 - a text or a Path
    if not stat.S_ISREG(about.st_mode) or about.st_size < STREAMED_FROM:
        return Path(path).read_bytes()
    return FilePart(os.fspath(Path(path).absolute()), 0, about.st_size, about.st_mtime_ns)


def part_of_open_file(file: Any) -> FilePart | None:
    """Return what stands for the rest of a large binary file that is open, None where it must be read now.

    It is opened anew by its name when it is sent: twice, where that is needed, and whatever became of the object.
    """
    name = getattr(file, "name", None)
    if not isinstance(name, str) or "b" not in str(getattr(file, "mode", "")):
        return None
    try:
        about, there, start = os.fstat(file.fileno()), os.stat(name), file.tell()  # noqa: PTH116 - the file that the name leads to
    except (OSError, ValueError):
        return None
    same = stat.S_ISREG(about.st_mode) and (about.st_dev, about.st_ino) == (there.st_dev, there.st_ino)
    if not same or about.st_size - start < STREAMED_FROM:
        return None
    return FilePart(os.fspath(Path(name).absolute()), start, about.st_size - start, about.st_mtime_ns)


def joined(parts: Iterable[bytes | FilePart]) -> bytes | Upload:
    """Return one body of several parts: bytes where all are, neighbouring ones in one."""
    merged: list[bytes | FilePart] = []
    waiting: list[bytes] = []
    for part in (*parts, None):
        if isinstance(part, bytes):
            waiting.append(part)
            continue
        if waiting:
            merged.append(b"".join(waiting))
            waiting.clear()
        if part is not None:
            merged.append(part)
    if all(isinstance(part, bytes) for part in merged):
        return b"".join(part for part in merged if isinstance(part, bytes))
    return Upload(tuple(merged))
