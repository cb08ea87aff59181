"""Garbage collection during runs."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["rare_collections"]

_OBJECTS_A_PASS = 100_000


@contextmanager
def rare_collections() -> Iterator[None]:
    """Let the garbage collector come seldom: a run keeps what it makes, so that most passes find nothing."""
    with _collector.lock:
        _collector.runs += 1
        if _collector.runs == 1:
            _collector.usual = gc.get_threshold()
            gc.set_threshold(max(_OBJECTS_A_PASS, _collector.usual[0]), *_collector.usual[1:])
    try:
        yield
    finally:
        with _collector.lock:
            _collector.runs -= 1
            if not _collector.runs:
                gc.set_threshold(*_collector.usual)


class _Collector:
    """The garbage collector's usual settings, and how many runs asked for others."""

    lock = Lock()
    runs = 0
    usual: tuple[int, ...] = ()


_collector = _Collector()
