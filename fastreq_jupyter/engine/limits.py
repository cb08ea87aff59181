"""Decides when an attempt may start: rate of the run, queue, rate and pauses of a host, memory for bodies.

What concerns a host as such (its rate bucket, a pause it asked for) is shared by all runs of the process and lives on
between them; what concerns a run (slots, breaker) is the run's own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import UTC, datetime
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING

from fastreq_jupyter.policy import LONGEST_ASKED, Gcra, interval_of, reset_after

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastreq_jupyter.engine.attempt import Job
    from fastreq_jupyter.engine.progress import Tally
    from fastreq_jupyter.options import Rate
    from fastreq_jupyter.policy import Health
    from fastreq_jupyter.url import Origin

__all__ = ["Host", "HostQueue", "MemoryGate", "RateLimiter", "Ticket", "host_at"]


_PROBE = 1.0
"""Seconds after which one more attempt goes ahead where the one before told nothing."""


class Host:
    """The limits of one server for all runs: its rate, and pauses it asked for. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._limits: dict[object, tuple[Rate, int]] = {}
        self._bucket: Gcra | None = None
        self.paused_until = 0.0
        # The remaining quota that the server states, until when it holds, and the lowest value stated so far.
        self._left: int | None = None
        self._left_until = 0.0
        self._least: int | None = None
        self.limited = False
        # Set where there is a rate or a pause: attempts must call `take`.
        self.gated = False

    def limit(self, owner: object, rate: Rate | None, burst: int) -> None:
        """Set or, with None, lift the rate of one run; the lowest of all runs holds."""
        with self._lock:
            if rate is None:
                self._limits.pop(owner, None)
            else:
                self._limits[owner] = (rate, burst)
            self.limited = bool(self._limits)
            self.gated = self.limited or self.paused_until > 0 or self._left is not None
            if not self.limited:
                return
            lowest = max(self._limits.values(), key=lambda limit: interval_of(*limit))
            if self._bucket is None:
                self._bucket = Gcra(*lowest)
            else:
                self._bucket.retune(*lowest)

    def pause(self, until: float) -> None:
        """Prevent attempts before `until`, seconds of `perf_counter`."""
        with self._lock:
            self.paused_until = max(self.paused_until, until)
            self.gated = True

    def meter(self, remaining: int, in_flight: int, now: float, until: float) -> None:
        """Allow no more attempts than the remaining quota of the server.

        Args:
            remaining: What its last answer said.
            in_flight: Attempts under way: each may still take one.
            now: The present, seconds of `perf_counter`.
            until: When it gives anew, same clock.
        """
        with self._lock:
            # Answers arrive out of order; within a window the remaining quota only falls.
            self._least = remaining if self._least is None or now >= self._left_until else min(self._least, remaining)
            self._left, self._left_until = self._least - in_flight, until
            self.gated = True

    def unmeter(self) -> None:
        """Forget the remaining quota: the server does not state it any more, or it is large."""
        with self._lock:
            self._left = self._least = None
            self.gated = self.limited or self.paused_until > 0

    @property
    def metered(self) -> bool:
        """Tell whether attempts start one by one, because of a rate or a remaining quota."""
        return self.limited or self._left is not None

    def peek(self, now: float) -> float:
        """Return seconds until an attempt may start, 0.0 when it may now."""
        return self._pause_left(now) or self._spent(now) or (self._bucket.peek(now) if self._bucket is not None and self.limited else 0.0)

    def take(self, now: float) -> float:
        """Take the right to start one attempt, or return seconds to wait."""
        wait = self._pause_left(now) or self._spent(now) or (self._bucket.take(now) if self._bucket is not None and self.limited else 0.0)
        if wait == 0.0 and self._left is not None:
            with self._lock:
                self._left = None if self._left is None else self._left - 1
        return wait

    def _spent(self, now: float) -> float:
        """Return seconds until the quota is reset, 0.0 while some is left."""
        if self._left is None:
            return 0.0
        with self._lock:
            if self._left is not None and now >= self._left_until:
                # Its clock may be behind: let one attempt through, whose answer states the remaining quota.
                self._left, self._left_until, self._least = 1, now + _PROBE, None
            return 0.0 if self._left is None or self._left > 0 else self._left_until - now

    def _pause_left(self, now: float) -> float:
        if not self.paused_until:
            return 0.0
        with self._lock:
            seconds = self.paused_until - now
            if seconds <= 0:
                self.paused_until = seconds = 0.0
                self.gated = self.limited or self._left is not None
        return seconds


_HOSTS: dict[Origin, Host] = {}
_HOSTS_LOCK = Lock()


def host_at(origin: Origin) -> Host:
    """Return the one `Host` of that origin in this process."""
    with _HOSTS_LOCK:
        return _HOSTS.setdefault(origin, Host())


class HostQueue:
    """A run's queue for one host: the attempts in flight and those that wait for their turn.

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
        self.far_in_row = 0
        self._tally = tally
        self._released = 0
        self._ready = ready
        self._timer: asyncio.TimerHandle | None = None

    @property
    def free(self) -> bool:
        """Tell whether an attempt may start at once: no limit, no queue, no trouble."""
        return self.cap is None and not (self._released or self.waiting or self.health.failures or self.host.gated)

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
        if self.waiting:
            self.pump()

    def pump(self) -> None:
        """Start the next waiting job if it is allowed; called after each change."""
        while self.waiting and self._room(self._released):
            # At a host's rate one attempt at a time waits for its token and wakes the next: first come, first served.
            if self._released and self.host.metered:
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

    def note_limit(self, job: Job, slots: int, pause: float) -> float:
        """Take note of what an answer says of the server's limit.

        Args:
            job: Its attempt has ended, and still counts as active.
            slots: Requests of the run in flight at most.
            pause: Seconds for which the answer asks to stay away, 0 where it does not ask.

        Returns:
            Seconds for which nothing may start.
        """
        host, remaining, response = self.host, job.remaining, job.response
        if remaining is None or response is None or job.failure is not None:
            if host.metered and response is not None and job.failure is None and not pause:
                host.unmeter()
            if pause:
                host.pause(perf_counter() + pause)
            return pause
        in_flight = self.active - 1
        reset = None if remaining > in_flight + slots and not pause else reset_after(response.header, datetime.now(UTC))
        until = pause or (reset[0] if reset is not None and reset[0] <= LONGEST_ASKED else 0.0)
        if not until:
            host.unmeter()
            return 0.0
        now = perf_counter()
        host.meter(0 if pause else remaining, in_flight, now, now + until)
        self.pump()
        return until if pause or remaining == 0 else 0.0

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


class RateLimiter:
    """The rate of one run: attempts go through first come, first served.

    The token is taken at the moment of release, so a lagging loop never lets a window see more than the rate allows.
    """

    def __init__(self, rate: Rate | None, burst: int) -> None:
        self._bucket = None if rate is None else Gcra(rate, burst)
        # There is a rate, or somebody still waits for an earlier one.
        self.limited = rate is not None
        self._queue: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """Return how many attempts wait for their token."""
        return len(self._queue)

    def least_seconds(self, count: int) -> float:
        """Return how long so many attempts take at least to be let through."""
        bucket = self._bucket
        return 0.0 if bucket is None or count < 1 else bucket.peek(perf_counter(), count)

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
        self.limited = self.limited or rate is not None
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
    """A bound on the bytes of bodies in flight: reading waits beyond the limit.

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
        ticket.held_bytes += size
        self._used += size

    def release(self, ticket: Ticket) -> None:
        """Give back all that a ticket holds and wake those who wait."""
        self._used -= ticket.held_bytes
        ticket.held_bytes = 0
        if self._first is ticket:
            self._first = None
        while self._waiting:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)


class Ticket:
    """The account of the bytes one attempt holds in memory."""

    __slots__ = ("_gate", "held_bytes")

    def __init__(self, gate: MemoryGate) -> None:
        self._gate = gate
        self.held_bytes = 0

    async def admit(self, size: int) -> None:
        """Return when `size` more bytes may be held."""
        await self._gate.admit(self, size)

    def release(self) -> None:
        """Give all of them back."""
        if self.held_bytes or self._gate._first is self:  # noqa: SLF001 - the two are one thing
            self._gate.release(self)
