"""What a cache holds, as a table, and emptying it."""

from __future__ import annotations

from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.options import show_bytes

__all__ = ["cached_answers", "clear_cache"]


def cached_answers(file: str) -> tuple[Any, str]:
    """Return the frame of a cache's answers (method, url, status, size_bytes, stored_at), and a line about them.

    Raises:
        JournalError: It is no cache, or cannot be read.
        UsageError: There is no such file.
    """
    # Imported here, since pandas is needed for a frame only.
    import pandas as pd  # noqa: PLC0415 - loaded by whoever needs it

    shelf = _open(file, read_only=True)
    try:
        rows = [(method, url, status, size, datetime.fromtimestamp(at, UTC)) for _, at, method, url, status, size in shelf.listing()]
    finally:
        shelf.stop()
    frame = pd.DataFrame(rows, columns=["method", "url", "status", "size_bytes", "stored_at"])
    types = {"method": "string", "url": "string", "status": "Int16", "size_bytes": "Int64", "stored_at": "datetime64[us, UTC]"}
    size = int(frame["size_bytes"].sum())
    line = f"{shelf.path}: {len(rows):,} {'answer' if len(rows) == 1 else 'answers'}, {show_bytes(size)}"
    return frame.astype(types), line


def clear_cache(file: str, pattern: str | None = None) -> str:
    """Take answers out of a cache and return a line about it.

    Args:
        file: The cache.
        pattern: Of their URLs, ``*`` stands for anything; None for all.

    Raises:
        JournalError: It is no cache, or cannot be written.
        UsageError: There is no such file.
    """
    shelf = _open(file)
    try:
        answers = [(key, url) for key, _, _, url, _, _ in shelf.listing()]
        chosen = {key for key, url in answers if pattern is None or fnmatchcase(url, pattern)}
        if chosen:
            shelf.remove(chosen)
    finally:
        shelf.stop()
    hint = f"; no URL fits {pattern} (* stands for anything)" if pattern is not None and answers and not chosen else ""
    return f"{shelf.path}: {len(chosen):,} of {len(answers):,} answers removed{hint}"


def _open(file: str, *, read_only: bool = False) -> Any:
    if not Path(file).expanduser().exists():
        raise UsageError(f"there is no cache {file}: a run with --cache makes one")
    # Imported here, since few runs need sqlite3.
    from fastreq_jupyter.journal import open_shelf  # noqa: PLC0415 - loaded by whoever needs it

    return open_shelf(file, read_only=read_only)
