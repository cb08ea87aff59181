"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

__all__ = ["AtomicFile"]

_FLAGS = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class AtomicFile:
    """Write a file beside its place, then put it there in one step.

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
        self._file = os.fdopen(os.open(self._beside, _FLAGS, 0o666), "wb")
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
