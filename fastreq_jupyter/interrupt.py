"""Interrupts of whoever waits for a run: SIGINT becomes a mark that the waiter looks at, never an exception inside the engine."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Mark", "interruption", "watch_interrupts"]


class Mark:
    """Remember that an interrupt came.

    Attributes:
        hit: True once it did.
    """

    hit = False


class _Interrupts:
    """Own SIGINT while somebody waits in the main thread, and mark every waiter.

    The default handler raises KeyboardInterrupt wherever the interpreter happens to be, which may be inside a task of the
    engine. Handlers that are a user's own are left alone.
    """

    def __init__(self) -> None:
        self._marks: list[Mark] = []
        self._before: Any = signal.default_int_handler

    def add(self, mark: Mark) -> None:
        self._marks.append(mark)
        current = signal.getsignal(signal.SIGINT)
        module = getattr(getattr(current, "func", current), "__module__", None) or ""
        if current is signal.default_int_handler or module.partition(".")[0] in ("asyncio", "ipykernel", "IPython"):
            self._before = current
            signal.signal(signal.SIGINT, self._on_sigint)

    def remove(self, mark: Mark) -> None:
        self._marks.remove(mark)
        if not self._marks and signal.getsignal(signal.SIGINT) == self._on_sigint:
            signal.signal(signal.SIGINT, self._before)

    def _on_sigint(self, number: int, frame: Any) -> None:
        if not self._marks:
            signal.default_int_handler(number, frame)
        for mark in self._marks:
            mark.hit = True


_interrupts = _Interrupts()


@contextmanager
def watch_interrupts(*, here: bool = True) -> Iterator[Mark]:
    """Take interrupts as marks until the block is left; does nothing in other threads than the main one, or unless `here`."""
    mark = Mark()
    if not here or threading.current_thread() is not threading.main_thread():
        yield mark
        return
    try:
        _interrupts.add(mark)
        yield mark
    finally:
        _interrupts.remove(mark)


def interruption(line: str) -> KeyboardInterrupt:
    """Return the exception an interrupted cell ends with; IPython shows its one line in place of a traceback."""
    error = KeyboardInterrupt(line)
    error._render_traceback_ = lambda: [f"KeyboardInterrupt: {line}"]  # type: ignore[attr-defined]
    return error
