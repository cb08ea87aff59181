"""The deadlines of all attempts of a run, by one timer: `asyncio.timeout` costs ten times as much per request.

Every attempt of a run has the same time, so none that begins later ends earlier: the timer need only be set to the
earliest deadline of those under way, and it goes off about once in that time, however many attempts come and go.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastreq_jupyter.engine.attempt import Job

__all__ = ["Deadlines", "absorb"]

# A timer this late met a blocked loop: the delay is added to the deadline, so that data that has arrived is read first.
_LATE = 0.05
# Upper bound, so that a loop that is often late does not extend a deadline for ever.
_MOST_DELAYS = 3


class Deadlines:
    """Cancels the task of an attempt that takes too long; the canceller asks `Job.expired` and calls `absorb`.

    Args:
        seconds: Time of one attempt.
        under_way: The attempts that go on, with their tasks.
        on_lag: Told by how many seconds the loop was late, when it was.
    """

    def __init__(self, seconds: float, under_way: Mapping[Job, asyncio.Task[None]], on_lag: Callable[[float], None]) -> None:
        self.seconds = seconds
        self._under_way = under_way
        self._on_lag = on_lag
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None

    def watch(self, start: float) -> None:
        """Begin to look, unless that goes on already.

        Args:
            start: When the attempt began that asks for it, the loop's clock.
        """
        if self._handle is None:
            self._handle = self._loop.call_at(start + self.seconds, self._look, start + self.seconds)

    def stop(self) -> None:
        """End the watch; can be called twice."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look(self, due: float) -> None:
        self._handle = None
        now = self._loop.time()
        late = now - due
        if late > _LATE:
            self._on_lag(late)
        earliest = inf
        for job, task in self._under_way.items():
            if job.expired:
                # It has been cancelled and is ending.
                continue
            end = job.begun + self.seconds + job.delay
            if end <= now and late > _LATE and job.delays < _MOST_DELAYS:
                job.delays += 1
                job.delay += now - end + late
                end = job.begun + self.seconds + job.delay
            if end <= now:
                job.expired = True
                task.cancel()
            else:
                earliest = min(earliest, end)
        if earliest < inf:
            self._handle = self._loop.call_at(earliest, self._look, earliest)


def absorb(job: Job, task: asyncio.Task[None]) -> bool:
    """Tell whether the CancelledError just caught was that of the deadline, and take it back if so."""
    return job.expired and task.uncancel() == 0
