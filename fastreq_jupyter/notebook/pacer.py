"""When the panel is told: soon after something happened, never more than ten times a second, and once a second anyway."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["HEARTBEAT", "INTERVAL", "Pacer"]

INTERVAL = 0.1
"""Seconds between two messages at least; Jupyter Server drops messages above 1000 a second, a page is busy well below."""
HEARTBEAT = 1.0
"""Seconds between two messages at most while the run goes on: clock, pace and time left move, and silence means a dead kernel."""


class Pacer:
    """Call `tell` on a loop at a bounded pace; everything here happens on that loop.

    Args:
        loop: Where the timers live.
        tell: What is to be called.
        clock: Seconds, monotonic.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, tell: Callable[[], object], clock: Callable[[], float] = monotonic) -> None:
        self._loop = loop
        self._tell = tell
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._last = clock() - INTERVAL
        self._soon = False
        self._ended = False

    def touch(self) -> None:
        """Note that something happened."""
        if not self._soon and not self._ended:
            self._soon = True
            self._arm(max(0.0, self._last + INTERVAL - self._clock()))

    def end(self) -> None:
        """Call no more."""
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, delay: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay, self._ring)

    def _ring(self) -> None:
        self._soon = False
        self._last = self._clock()
        self._tell()
        if not self._soon and not self._ended:
            self._arm(HEARTBEAT)
