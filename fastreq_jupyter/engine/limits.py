"""Decides when an attempt may start: rate of the run, queue, rate and pauses of a host, limits that ``concurrency="auto"`` finds.

What concerns a host as such (its rate bucket, a pause it asked for) is shared by all runs of the process and lives on
between them; what concerns a run (slots, breaker) is the run's own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import UTC, datetime
from math import isnan
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from fastreq_jupyter.options import Rate
from fastreq_jupyter.policy import LONGEST_ASKED, MOST, START, Adaptive, Gcra, Pace, interval_of, reset_after

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastreq_jupyter.engine.attempt import Job
    from fastreq_jupyter.engine.progress import Tally
    from fastreq_jupyter.exchange import Response
    from fastreq_jupyter.options import Options
    from fastreq_jupyter.policy import Health
    from fastreq_jupyter.url import Origin

_PROBE = 1.0
"""Seconds after which one more attempt goes ahead where the one before told nothing."""
_HOSTS: dict[Origin, Host] = {}
_HOSTS_LOCK = Lock()
_TICK = 0.1
# Every loop is late by less than this now and then.
_LATE = 0.02


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
                self.close()
                self._timer = asyncio.get_running_loop().call_later(wait, self._wake)
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


class AutoLimit(NamedTuple):
    """The current state of ``concurrency="auto"``.

    Attributes:
        limit: Requests in flight at most, all hosts together.
        reason: Why, a few words; of the host that has the most.
        advice: The number to give next time, None where nothing was measured.
    """

    limit: int
    reason: str
    advice: int | None


class AutoLimits:
    """The limits of a run's hosts while ``concurrency`` is "auto"; on the run's loop alone.

    Args:
        resize: Told how many workers there should be.
        per_host: Upper bound for each host, None for none.
    """

    def __init__(self, resize: Callable[[int], None], per_host: int | None) -> None:
        self._resize = resize
        self._per_host = per_host
        self._policies: dict[HostQueue, Adaptive] = {}
        self._paces: dict[HostQueue, Pace] = {}
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(_TICK, self._tick, self._loop.time() + _TICK)

    @property
    def state(self) -> AutoLimit:
        """Return the current state; from any thread."""
        policies = list(self._policies.values())
        if not policies:
            return AutoLimit(START, Adaptive().reason, None)
        highest = max(policies, key=lambda policy: policy.limit)
        advice = sum(policy.advice or 0 for policy in policies)
        rates = [pace.rate for pace in list(self._paces.values()) if pace.rate is not None]
        reason = f"{highest.reason}; http 429: {min(rates):.3g}/s a host" if rates else highest.reason
        return AutoLimit(self._slots(), reason, min(advice, MOST) or None)

    def add(self, host: HostQueue) -> None:
        """Start to limit a host."""
        self._policies[host] = Adaptive()
        self._apply(host)

    def bound(self, per_host: int | None) -> None:
        """Change the upper bound for each host."""
        self._per_host = per_host
        for host in self._policies:
            self._apply(host)

    def learn(self, job: Job) -> None:
        """Learn from an attempt that has ended."""
        host, failure, response = job.host, job.failure, job.response
        policy = self._policies[host]
        status = job.status
        if status == 429:
            policy.disturbed()
            # The answer states when to come again: the host pauses until then.
            if response is not None and not _tells_when(response) and self._pace(host).refused(perf_counter(), began=job.start):
                self._apply_rate(host)
        elif status == 503 or (failure is not None and failure.kind == "timeout"):
            why = "timeout" if status is None else f"http {status}"
            if policy.refused(perf_counter(), began=job.start, why=why):
                self._apply(host)
        elif status is not None:
            hop = job.hops[-1]
            wait = hop.response_start - hop.request_start
            # Not every backend sees both marks.
            wait = job.head_at - job.start if isnan(wait) else wait
            if policy.answered(perf_counter(), began=job.start, wait=wait, in_flight=host.active):
                self._apply(host)
            if self._pace(host).answered(perf_counter()):
                self._apply_rate(host)

    def disturbed(self) -> None:
        """Begin all windows anew: the run was paused or goes on."""
        for policy in self._policies.values():
            policy.disturbed()

    def stop(self) -> None:
        """End the timer, lift the rates; can be called twice."""
        self._timer.cancel()
        for host in self._paces:
            host.host.limit(self, None, 1)
            host.pump()

    def _slots(self) -> int:
        return min(MOST, sum(policy.limit if host.cap is None else host.cap for host, policy in self._policies.items())) or START

    def _apply(self, host: HostQueue) -> None:
        limit = self._policies[host].limit
        host.cap = limit if self._per_host is None else min(limit, self._per_host)
        host.health.concurrency = host.cap
        host.pump()
        self._resize(self._slots())

    def _pace(self, host: HostQueue) -> Pace:
        return self._paces.get(host) or self._paces.setdefault(host, Pace())

    def _apply_rate(self, host: HostQueue) -> None:
        rate = self._paces[host].rate
        if rate is not None:
            host.host.limit(self, Rate(rate), 1)

    def _tick(self, due: float) -> None:
        now = self._loop.time()
        if now - due > _LATE:
            for policy in self._policies.values():
                policy.late(now - due)
        self._timer = self._loop.call_later(_TICK, self._tick, now + _TICK)


def most_in_flight(options: Options) -> int:
    """Return how many requests of a run may be in flight at any time."""
    return MOST if options.concurrency == "auto" else options.concurrency


def _tells_when(response: Response) -> bool:
    return response.header("retry-after") is not None or reset_after(response.header, datetime.now(UTC)) is not None
