"""When an attempt may start: the run's rate, a host's rate and pauses, and the memory bodies may take meanwhile.

What concerns a host as such (its rate bucket, a pause it asked for) is shared by all runs of the process and lives on
between them; what concerns a run (slots, breaker) is the run's own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING

from fastreq_jupyter.policy.rate import Gcra, interval_of

if TYPE_CHECKING:
    from fastreq_jupyter.options import Rate
    from fastreq_jupyter.url import Origin

__all__ = ["Gate", "Host", "MemoryGate", "Ticket", "host_at"]


class Host:
    """Hold what all runs must respect of one server. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._limits: dict[object, tuple[Rate, int]] = {}
        self._bucket: Gcra | None = None
        self.paused_until = float("-inf")

    def limit(self, owner: object, rate: Rate | None, burst: int) -> None:
        """Set or, with None, lift the rate of one run; the lowest of all runs holds."""
        with self._lock:
            if rate is None:
                self._limits.pop(owner, None)
            else:
                self._limits[owner] = (rate, burst)
            if not self._limits:
                return
            lowest = max(self._limits.values(), key=lambda limit: interval_of(*limit))
            if self._bucket is None:
                self._bucket = Gcra(*lowest)
            else:
                self._bucket.retune(*lowest)

    @property
    def limited(self) -> bool:
        """Tell whether any run set a rate."""
        return bool(self._limits)

    def pause(self, until: float) -> None:
        """Let nothing start before `until`, seconds of `perf_counter`."""
        with self._lock:
            self.paused_until = max(self.paused_until, until)

    def peek(self, now: float) -> float:
        """Return seconds until an attempt may start, 0.0 when it may now."""
        wait = self.paused_until - now
        if wait > 0:
            return wait
        return self._bucket.peek(now) if self._bucket is not None and self._limits else 0.0

    def take(self, now: float) -> float:
        """Take the right to start one attempt, or return seconds to wait."""
        wait = self.paused_until - now
        if wait > 0:
            return wait
        return self._bucket.take(now) if self._bucket is not None and self._limits else 0.0


_HOSTS: dict[Origin, Host] = {}
_HOSTS_LOCK = Lock()


def host_at(origin: Origin) -> Host:
    """Return the one `Host` of that origin in this process."""
    with _HOSTS_LOCK:
        return _HOSTS.setdefault(origin, Host())


class Gate:
    """Let attempts of one run through at its rate, first come first served.

    The token is taken at the moment of release, so a lagging loop never lets a window see more than the rate allows.
    """

    def __init__(self, rate: Rate | None, burst: int) -> None:
        self._bucket = None if rate is None else Gcra(rate, burst)
        self._queue: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """Return how many attempts wait for their token."""
        return len(self._queue)

    async def acquire(self) -> None:
        """Return when one attempt may start."""
        if self._bucket is None or (not self._queue and self._bucket.take(perf_counter()) == 0.0):
            return
        future = asyncio.get_running_loop().create_future()
        self._queue.append(future)
        self._release()
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled():
                self._release()
            raise

    def retune(self, rate: Rate | None, burst: int) -> None:
        """Change the rate while attempts wait."""
        if rate is None:
            self._bucket = None
        elif self._bucket is None:
            self._bucket = Gcra(rate, burst)
        else:
            self._bucket.retune(rate, burst)
        self._release()

    def _release(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._queue:
            if self._queue[0].done():
                self._queue.popleft()
                continue
            wait = 0.0 if self._bucket is None else self._bucket.take(perf_counter())
            if wait:
                self._timer = asyncio.get_running_loop().call_later(wait, self._release)
                return
            self._queue.popleft().set_result(None)


class MemoryGate:
    """Bound the bytes of bodies in flight: reading waits beyond the limit.

    One reader, the first that had to wait, is always let through, so that full memory never stops a run; the others
    share what its largest possible body leaves.

    Args:
        limit: Bytes in flight at most.
        largest: Bytes of one body at most.
    """

    def __init__(self, limit: int, largest: int) -> None:
        self._shared = max(limit - largest, limit // 2)
        self._used = 0
        self._first: Ticket | None = None
        self._waiting: deque[tuple[Ticket, asyncio.Future[None]]] = deque()

    def ticket(self) -> Ticket:
        """Return the account of one attempt."""
        return Ticket(self)

    async def admit(self, ticket: Ticket, size: int) -> None:
        """Return when `size` more bytes may be held."""
        while self._first is not ticket and self._used + size > self._shared:
            if self._first is None:
                self._first = ticket
                break
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((ticket, future))
            await future
        ticket.held += size
        self._used += size

    def release(self, ticket: Ticket) -> None:
        """Give back all that a ticket holds and wake those who wait."""
        self._used -= ticket.held
        ticket.held = 0
        if self._first is ticket:
            self._first = None
        while self._waiting:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)


class Ticket:
    """Account for the bytes one attempt holds in memory."""

    __slots__ = ("_gate", "held")

    def __init__(self, gate: MemoryGate) -> None:
        self._gate = gate
        self.held = 0

    async def admit(self, size: int) -> None:
        """Return when `size` more bytes may be held."""
        await self._gate.admit(self, size)

    def release(self) -> None:
        """Give all of them back."""
        if self.held or self._gate._first is self:  # noqa: SLF001 - the two are one thing
            self._gate.release(self)
