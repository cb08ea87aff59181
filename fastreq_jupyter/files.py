"""Files that appear whole or not at all, and safe names for them."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from urllib.parse import unquote, unquote_to_bytes, urlsplit

__all__ = ["FILENAME", "AtomicFile", "file_name_of", "name_said", "numbered", "safe_segment"]

FILENAME = "{{$filename}}"
"""Stands in a path for the name that the answer gives."""

_FLAGS = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_AGAIN = os.O_APPEND | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f<>:\"/\\|?*]")
# Names that Windows keeps for devices, whatever their ending.
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|\Z)", re.IGNORECASE)
_LONGEST = 200
_PARAMETER = re.compile(r";[ \t]*([\w!#$&+^`|~.*-]+)[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"|([^;]*))")
# Characters that look like none, or turn the direction of text: a name must look like what it is.
_INVISIBLE = re.compile("[\u0080-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_ENDING = re.compile(r"(?:\.tar)?\.[A-Za-z0-9]{1,10}\Z", re.IGNORECASE)


class AtomicFile:
    """Write a file beside its place, then put it there in one step.

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
        self._file = os.fdopen(os.open(self._beside, _FLAGS if begun is None else _AGAIN, 0o666), "wb")
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


def safe_segment(text: str) -> str:
    """Return text as a part of one file name: separators, control characters and device names made harmless."""
    name = _UNSAFE.sub("_", text).strip(" ")
    if not name.strip("."):
        name = "_" * max(len(name), 1)
    if _DEVICES.match(name):
        name = f"_{name}"
    while len(name.encode(errors="replace")) > _LONGEST:
        name = name[: len(name) * _LONGEST // (len(name.encode(errors="replace")) + 1)]
    return name


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


def name_said(disposition: str | None) -> str | None:
    """Return the file name of a Content-Disposition (RFC 6266), made safe; None where it gives none.

    Only the last part of a path counts, and a dot at its beginning does not: what a server names hides no file, and replaces
    none of those that programs read at their start.

    Args:
        disposition: The field value, latin-1 text.
    """
    # The first of equal names counts.
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(
        f";{disposition}" if disposition and disposition.lstrip().startswith("filename") else disposition or ""
    ):
        found.setdefault(match[1].lower(), match[3].strip() if match[2] is None else re.sub(r"\\(.)", r"\1", match[2]))
    text = _extended(found.get("filename*")) or _sent_as(found.get("filename", ""))
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
