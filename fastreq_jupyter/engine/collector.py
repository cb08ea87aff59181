"""The garbage collector while runs go on: a run keeps what it makes, so that most passes find nothing."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["rare_collections"]

_OBJECTS_A_PASS = 100_000


class _Collector:
    """The garbage collector's usual settings, and how many runs asked for others."""

    lock = Lock()
    runs = 0
    usual: tuple[int, ...] = ()


@contextmanager
def rare_collections() -> Iterator[None]:
    """Let the collector come seldom until the last run has ended."""
    with _Collector.lock:
        _Collector.runs += 1
        if _Collector.runs == 1:
            _Collector.usual = gc.get_threshold()
            gc.set_threshold(max(_OBJECTS_A_PASS, _Collector.usual[0]), *_Collector.usual[1:])
    try:
        yield
    finally:
        with _Collector.lock:
            _Collector.runs -= 1
            if not _Collector.runs:
                gc.set_threshold(*_Collector.usual)
