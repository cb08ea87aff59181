"""One deadline for one whole attempt, by one timer: `asyncio.timeout` costs ten times as much per request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Deadline"]

# A timer that fires this much late met a blocked loop: the time lost is given back, so that what has arrived is read first.
_LATE = 0.05
# A loop that is late again and again must not put off the end for ever.
_MOST_DELAYS = 3


class Deadline:
    """Cancel the current task after some seconds; the canceller asks `expired` and calls `absorb`.

    Args:
        seconds: Time from now.
        on_lag: Told by how many seconds the loop was late, when it was.
    """

    __slots__ = ("_delays", "_handle", "_loop", "_on_lag", "_task", "_when", "expired")

    def __init__(self, seconds: float, on_lag: Callable[[float], None]) -> None:
        task = asyncio.current_task()
        if task is None:
            message = "a deadline needs a task"
            raise RuntimeError(message)
        self._task = task
        self._loop = asyncio.get_running_loop()
        self._on_lag = on_lag
        self._delays = 0
        self.expired = False
        self._when = self._loop.time() + seconds
        self._handle: asyncio.TimerHandle | None = self._loop.call_at(self._when, self._fire)

    def _fire(self) -> None:
        late = self._loop.time() - self._when
        if late > _LATE and self._delays < _MOST_DELAYS:
            self._on_lag(late)
            self._delays += 1
            self._when = self._loop.time() + late
            self._handle = self._loop.call_at(self._when, self._fire)
            return
        self._handle = None
        self.expired = True
        self._task.cancel()

    def absorb(self) -> bool:
        """Tell whether the CancelledError just caught was ours, and take it back if so."""
        if not self.expired:
            return False
        return self._task.uncancel() == 0

    def stop(self) -> None:
        """End the watch; can be called twice."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
