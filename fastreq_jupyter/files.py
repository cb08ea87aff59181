"""Files: named safely, written so that they appear whole or not at all, and sent piece by piece, opened late and never held whole."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from fastreq_jupyter.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "FILENAME",
    "STREAMED_FROM",
    "AtomicFile",
    "FilePart",
    "Upload",
    "UploadReader",
    "file_name_from",
    "file_name_of",
    "file_part",
    "joined",
    "numbered",
    "part_of_open_file",
    "release",
    "safe_segment",
    "write_whole",
]

FILENAME = "{{$filename}}"
"""Stands in a path for the name that the answer gives."""
STREAMED_FROM = 2**20
"""Files of so many bytes are streamed; smaller ones are read when the request is made."""
_PIECE = 64 * 1024
_PLAIN = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_READING = os.O_RDONLY | _PLAIN
_WRITING = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | _PLAIN

_AGAIN = os.O_APPEND | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | _PLAIN
_UNSAFE = re.compile(r"[\x00-\x1f\x7f<>:\"/\\|?*]")
# Names that Windows keeps for devices, whatever their ending.
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|\Z)", re.IGNORECASE)
_LONGEST = 200
_PARAMETER = re.compile(r";[ \t]*([\w!#$&+^`|~.*-]+)[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"|([^;]*))")
# Invisible characters, and those that change the direction of text: a name must look like what it is.
_INVISIBLE = re.compile("[\u0080-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_ENDING = re.compile(r"(?:\.tar)?\.[A-Za-z0-9]{1,10}\Z", re.IGNORECASE)


class AtomicFile:
    """A file that is written beside its place, then put there in one step.

    The file gets the permissions any new file has (0666 less the umask). A symbolic link at `path` is replaced, never
    followed. Missing directories are made.

    Args:
        path: Where the file is to be.
        begun: A file that holds its beginning, as `keep` left it; it is taken over.

    Raises:
        OSError: It cannot be made there, or somebody else has taken over its beginning.
    """

    def __init__(self, path: str | Path, *, begun: str | Path | None = None) -> None:
        self._path = Path(path)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # A name of fixed length: that of the file may be as long as the file system allows.
        self._beside = self._path.parent / f".{token_hex(8)}.part"
        if begun is not None:
            Path(begun).rename(self._beside)
        self._file = os.fdopen(os.open(self._beside, _WRITING if begun is None else _AGAIN, 0o666), "wb")
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
        self._put(self._path)

    def keep(self, place: str | Path) -> None:
        """Put what was written aside, so that it can be gone on with.

        Raises:
            OSError: It cannot be put there; nothing is left behind.
        """
        self._put(place)

    def discard(self) -> None:
        """Remove what was written unless it was committed; never raises, can be called twice."""
        with suppress(OSError):
            self._file.close()
        if self._pending:
            self._pending = False
            with suppress(OSError):
                self._beside.unlink()

    def _put(self, place: str | Path) -> None:
        try:
            self._file.close()
            os.replace(self._beside, place)  # noqa: PTH105 - does not follow a link at its target, as said above
            self._pending = False
        finally:
            self.discard()


def write_whole(path: str | Path, pieces: Iterable[bytes]) -> None:
    """Write a file that appears whole or not at all.

    Args:
        path: Where the file is to be; missing directories are made.
        pieces: All of it, in order.

    Raises:
        OSError: It cannot be written there; nothing is left behind.
    """
    file = AtomicFile(path)
    try:
        for piece in pieces:
            file.write(piece)
        file.commit()
    finally:
        file.discard()


def release(lock: Any) -> None:
    """Let go of a lock of filelock and remove its file; can be called twice, never raises."""
    if lock.is_locked:
        # Removed while locked, so that a waiting process notices the missing name. Windows removes it at the release.
        with suppress(OSError):
            Path(lock.lock_file).unlink()
        with suppress(OSError):
            lock.release()


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


def safe_segment(text: str) -> str:
    """Return text as a part of one file name: separators, control characters and device names made harmless."""
    name = _UNSAFE.sub("_", text).strip(" ")
    if not name.strip("."):
        name = "_" * max(len(name), 1)
    if _DEVICES.match(name):
        name = f"_{name}"
    match = _ENDING.search(name)
    stem, ending = (name[: match.start()], match[0]) if match is not None else (name, "")
    while (size := len((stem + ending).encode(errors="replace"))) > _LONGEST:
        # A letter takes up to four bytes.
        stem = stem[: len(stem) - max(1, (size - _LONGEST) // 4)]
    return stem + ending


def file_name_of(url: str) -> str:
    """Return a safe file name for the answer of a URL: the last segment of its path, and its query; "index" for none."""
    try:
        parts = urlsplit(url)
        last, query = parts.path.rpartition("/")[2], parts.query
    except ValueError:
        return "index"
    name, dot, ending = (unquote(last) or "index").rpartition(".")
    stem, ending = (name, f".{ending}") if dot and name else (unquote(last) or "index", "")
    return safe_segment(f"{stem}_{unquote(query)}{ending}" if query else f"{stem}{ending}")


def file_name_from(disposition: str | None) -> str | None:
    """Return the file name of a Content-Disposition (RFC 6266), made safe; None where it gives none.

    Only the last part of a path counts, and a dot at its beginning does not: what a server names hides no file, and replaces
    none of those that programs read at their start.
    """
    # Of parameters with the same name the first counts.
    parameters: dict[str, str] = {}
    for match in _PARAMETER.finditer(
        f";{disposition}" if disposition and disposition.lstrip().startswith("filename") else disposition or ""
    ):
        parameters.setdefault(match[1].lower(), match[3].strip() if match[2] is None else re.sub(r"\\(.)", r"\1", match[2]))
    text = _extended(parameters.get("filename*")) or _sent_as(parameters.get("filename", ""))
    name = _INVISIBLE.sub("", re.split(r"[/\\]", text)[-1]).strip(" ")
    if not name.strip(". "):
        return None
    safe = safe_segment(name).rstrip(". ")
    return f"_{safe[1:]}" if safe.startswith(".") else safe


def _extended(value: str | None) -> str | None:
    """Return the text of ``charset'language'percent-encoded`` (RFC 8187), None where it is none."""
    charset, _, rest = (value or "").partition("'")
    _, quote, encoded = rest.partition("'")
    if not quote:
        return None
    try:
        return unquote_to_bytes(encoded).decode(charset)
    except (LookupError, ValueError):
        return None


def _sent_as(text: str) -> str:
    """Return a plain name: servers send UTF-8 in it, some of it percent-encoded."""
    with suppress(UnicodeError):
        text = text.encode("latin-1").decode()
    return unquote(text) if re.search(r"%[0-9A-Fa-f]{2}", text) else text


def numbered(path: str, number: int) -> str:
    """Return the path with `` (1)`` before its ending, 0 leaves it as it is."""
    if not number:
        return path
    match = _ENDING.search(path)
    at = match.start() if match is not None and match.start() > path.rfind("/") + 1 else len(path)
    return f"{path[:at]} ({number}){path[at:]}"
