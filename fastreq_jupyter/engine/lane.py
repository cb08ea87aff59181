"""The requests of one run to one host: how many may be in flight, which must wait, and how the host is doing."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING

from fastreq_jupyter.engine.limiter import Host, host_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastreq_jupyter.backends.base import Exchange
    from fastreq_jupyter.engine.progress import Tally
    from fastreq_jupyter.model import Attempt, Request
    from fastreq_jupyter.policy.health import Health
    from fastreq_jupyter.url import Origin

__all__ = ["Job", "Lane"]


@dataclass(slots=True, eq=False)
class Job:
    """Hold one request on its way.

    Attributes:
        ready_at: Since when it could have started but for slots and rates, `perf_counter`.
        released: Its lane let it go, so it does not queue behind the lane again.
        marked: The journal was told before its first attempt.
    """

    position: int
    request: Request
    exchange: Exchange
    lane: Lane
    ready_at: float
    attempts: list[Attempt] = field(default_factory=list)
    released: bool = False
    marked: bool = False


class Lane:
    """Admit jobs to one host. The run's scheduler owns it; `ready` takes back a job that may go on.

    Args:
        origin: The host.
        health: Breaker of this run for it.
        cap: Requests in flight at most, None for no limit of its own.
        tally: Counts what waits here.
        ready: Called with a job whose time has come.
    """

    def __init__(self, origin: Origin, health: Health, *, cap: int | None, tally: Tally, ready: Callable[[Job], None]) -> None:
        self.origin = origin
        self.host: Host = host_at(origin)
        self.health = health
        self.cap = cap
        self.active = 0
        self.stopped: str | None = None
        self.waiting: deque[Job] = deque()
        self.unavailable_in_row = 0
        self._tally = tally
        self._released = 0
        self._ready = ready
        self._timer: asyncio.TimerHandle | None = None

    def admit(self, job: Job) -> bool:
        """Let a job start (and count it as active), or keep it until it may."""
        if job.released:
            job.released = False
            self._released -= 1
        elif self.waiting:
            self.waiting.append(job)
            self._tally.waiting += 1
            return False
        if not self._room() or self.host.peek(perf_counter()) > 0:
            self.keep(job)
            return False
        self.active += 1
        return True

    def keep(self, job: Job) -> None:
        """Put a job that could not start after all back to the head of the queue."""
        self.waiting.appendleft(job)
        self._tally.waiting += 1
        self.pump()

    def leave(self) -> None:
        """Count one attempt less in flight."""
        self.active -= 1
        self.pump()

    def pump(self) -> None:
        """Let the next waiting job go if it may; called whenever something changed."""
        while self.waiting and self._room(self._released):
            # At a host's rate one goes at a time and calls the next when it has its token: first come, first served.
            if self._released and self.host.limited:
                return
            wait = self.host.peek(perf_counter())
            if wait > 0:
                self._wake_in(wait)
                return
            job = self.waiting.popleft()
            self._tally.waiting -= 1
            job.released = True
            self._released += 1
            self._ready(job)

    def empty(self) -> list[Job]:
        """Return, and forget, what waits here."""
        jobs = list(self.waiting)
        self.waiting.clear()
        self._tally.waiting -= len(jobs)
        return jobs

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _room(self, coming: int = 0) -> bool:
        cap = 1 if self.health.down else self.cap
        return cap is None or self.active + coming < cap

    def _wake_in(self, seconds: float) -> None:
        self.close()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.pump()
