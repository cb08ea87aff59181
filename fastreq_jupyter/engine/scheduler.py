"""The worker pool of one run: N workers pull from one lazy source, so 10^6 URLs cost N tasks.

The trip of a request: drawn from the source, admitted by its host's lane, through the run's rate, one attempt; then done,
or parked (without a slot) until its retry. Drawing stops while too many are parked. Everything here happens on one loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from fastreq_jupyter.engine.chaining import Chain
from fastreq_jupyter.engine.drawing import Source
from fastreq_jupyter.engine.lane import Job, Lane
from fastreq_jupyter.engine.limiter import Gate
from fastreq_jupyter.engine.prepare import UnsendableError, prepare
from fastreq_jupyter.model import Deferred, Outcome, Request, Unsendable
from fastreq_jupyter.policy.health import Health

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastreq_jupyter.engine.progress import Tally
    from fastreq_jupyter.model import Item, Plan
    from fastreq_jupyter.url import Origin

__all__ = ["Business", "Scheduler"]

_LEAST_PARKED = 1000
_ITEMS_A_STEP = 256


class Business(Protocol):
    """What the scheduler schedules; the run is it."""

    async def work(self, job: Job) -> float | None:
        """Make one attempt; return seconds to wait before the next, or None when the job has its outcome."""
        ...

    def finish(self, outcome: Outcome) -> None:
        """Keep an outcome."""
        ...

    def known(self, request: Request, position: int) -> Outcome | None:
        """Return the outcome of a request that need not be sent, or None."""
        ...

    def outcome_at(self, position: int) -> Outcome | None:
        """Return what was kept for a position."""
        ...


class Scheduler:
    """Bring every item of a plan to its outcome.

    Attributes:
        crash: A defect that ended the run.
        lanes: What the run knows of each host it met.
        stop: Kind and detail of the error that all unfinished rows get, once everything was halted.
    """

    def __init__(self, plan: Plan, tally: Tally, business: Business) -> None:
        options = plan.options
        self.source = Source(plan.requests, options.limit)
        self.concurrency = options.concurrency
        self.gate = Gate(options.rate_limit, options.rate_limit_burst)
        self.lanes: dict[Origin, Lane] = {}
        self.stop: tuple[str, str] | None = None
        self.crash: Exception | None = None
        self.paused = False
        self._plan = plan
        self._tally = tally
        self._business = business
        self._ready: deque[Job] = deque()
        self._parked: dict[Job, asyncio.TimerHandle] = {}
        self._chain = Chain(tally, business.outcome_at, self._go_on)
        self._idle: deque[asyncio.Future[None]] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._active = 0

    async def run(self) -> None:
        """Return when every item has its outcome, or everything was halted and has ended."""
        self.resize(self.concurrency)
        while self._workers:
            await asyncio.wait(self._workers)

    @property
    def parked(self) -> Iterable[Job]:
        """Return the jobs that wait for their next attempt."""
        return self._parked

    def close(self) -> None:
        """Let go of hosts and timers."""
        for handle in self._parked.values():
            handle.cancel()
        for lane in self.lanes.values():
            lane.close()
            lane.host.limit(self, None, 1)

    def resize(self, concurrency: int) -> None:
        """Change how many requests may be in flight; surplus workers end after their attempt."""
        self.concurrency = concurrency
        for lane in self.lanes.values():
            lane.health.concurrency = concurrency
        wanted = concurrency if self._plan.total is None else min(concurrency, max(1, self._plan.total))
        for _ in range(wanted - len(self._workers)):
            worker = asyncio.get_running_loop().create_task(self._worker())
            self._workers.add(worker)
            # One that is cancelled before its first step never comes to its own end.
            worker.add_done_callback(self._workers.discard)
        self._wake_all()

    def set_paused(self, *, paused: bool) -> None:
        """Stop or go on starting attempts; those in flight end as they will."""
        self.paused = paused
        self._wake_all()

    def halt(self, kind: str, detail: str) -> None:
        """End everything: attempts in flight are cancelled, what is unfinished gets this error."""
        if self.stop is None:
            self.stop = (kind, detail)
            for worker in list(self._workers):
                worker.cancel()

    def abandoned(self) -> list[tuple[int, Request, Job | None]]:
        """Return position, request and job (if any) of what was drawn but not finished, and forget it."""
        kept = [job for lane in self.lanes.values() for job in lane.empty()]
        left: list[tuple[int, Request, Job | None]] = [(job.position, job.request, job) for job in (*self._ready, *self._parked, *kept)]
        left += [(position, request, None) for position, request in self._chain.empty()]
        for handle in self._parked.values():
            handle.cancel()
        self._tally.waiting -= len(self._parked)
        self._ready.clear()
        self._parked.clear()
        return left

    def drop(self, lane: Lane) -> list[Job]:
        """Return, and forget, all jobs of a host that wait for anything."""
        jobs = [job for job in (*self._ready, *self._parked) if job.lane is lane] + lane.empty()
        for job in jobs:
            handle = self._parked.pop(job, None)
            if handle is not None:
                handle.cancel()
                self._tally.waiting -= 1
        self._ready = deque(job for job in self._ready if job.lane is not lane)
        return jobs

    def parent_done(self, position: int) -> None:
        """Let requests go on that waited for this one."""
        self._chain.parent_done(position)

    async def _worker(self) -> None:
        me = asyncio.current_task()
        try:
            while (job := await self._next()) is not None:
                await self._serve(job)
        except asyncio.CancelledError:
            # Where nobody halted us the loop is being torn down around the run: no other worker will survive it.
            self.halt("cancelled", "the event loop was closed")
        except Exception as error:  # noqa: BLE001 - a defect of ours must not lose what arrived: the run raises it at its end
            self.crash = error
            self.halt("stopped", f"internal error: {type(error).__name__}")
        finally:
            if me is not None:
                self._workers.discard(me)
            self._wake_all()

    async def _serve(self, job: Job) -> None:
        wait: float | None = None
        started = False
        self._active += 1
        try:
            await self.gate.acquire()
            started = not self.paused and job.lane.host.take(perf_counter()) == 0.0
            if started:
                job.lane.pump()
                wait = await self._business.work(job)
        except asyncio.CancelledError:
            self._ready.append(job)
            raise
        finally:
            self._active -= 1
            job.lane.leave()
        if not started:
            self._make_ready(job)
        elif wait is not None:
            self._park(job, wait)

    async def _next(self) -> Job | None:
        rounds = 0
        while self.stop is None and len(self._workers) <= self.concurrency:
            rounds += 1
            if not rounds % _ITEMS_A_STEP:
                await asyncio.sleep(0)
            if self.source.exhausted and not (self._active or self._ready or self._tally.waiting):
                return None
            if self.paused:
                await self._sleep()
            elif self._ready:
                job = self._ready.popleft()
                if job.lane.admit(job):
                    self._call_next()
                    return job
            elif self._may_draw():
                item = await self.source.draw()
                job_or_none = None if item is None else self._accept(*item)
                if job_or_none is not None and job_or_none.lane.admit(job_or_none):
                    self._call_next()
                    return job_or_none
            else:
                await self._sleep()
        return None

    def _call_next(self) -> None:
        """Wake one more worker where there is more to do than this one took."""
        if self._idle and (self._ready or self._may_draw()):
            self._wake()

    def _may_draw(self) -> bool:
        return not self.source.exhausted and self._tally.waiting < max(_LEAST_PARKED, 10 * self.concurrency)

    def _accept(self, position: int, item: Item) -> Job | None:
        """Turn an item into a job, or finish it at once."""
        finish = self._business.finish
        if isinstance(item, Deferred):
            self._chain.add(position, item)
            return None
        if isinstance(item, Unsendable):
            finish(Outcome(position, item.shown, error=item.error, error_detail=item.detail))
            return None
        if isinstance(item, Outcome):
            finish(replace(item, position=position))
            return None
        outcome = self._business.known(item, position)
        if outcome is not None:
            finish(replace(outcome, position=position))
            return None
        return self._job(position, item)

    def _job(self, position: int, item: Request) -> Job | None:
        finish = self._business.finish
        try:
            exchange = prepare(item, self._plan.options.connect_timeout)
        except UnsendableError as error:
            finish(Outcome(position, item, error=error.kind, error_detail=str(error)))
            return None
        lane = self._lane(exchange.target.origin)
        if lane.stopped is not None:
            finish(Outcome(position, item, error="stopped", error_detail=lane.stopped))
            return None
        return Job(position, item, exchange, lane, perf_counter())

    def _lane(self, origin: Origin) -> Lane:
        lane = self.lanes.get(origin)
        if lane is None:
            options = self._plan.options
            health = Health(self.concurrency)
            lane = Lane(origin, health, cap=options.concurrency_per_host, tally=self._tally, ready=self._make_ready)
            lane.host.limit(self, options.rate_limit_per_host, options.rate_limit_burst)
            self.lanes[origin] = lane
        return lane

    def _go_on(self, position: int, item: Item) -> None:
        job = self._accept(position, item)
        if job is not None:
            self._make_ready(job)

    def _park(self, job: Job, seconds: float) -> None:
        self._parked[job] = asyncio.get_running_loop().call_later(seconds, self._unpark, job)
        self._tally.due = max(self._tally.due, perf_counter() + seconds)
        self._tally.waiting += 1

    def _unpark(self, job: Job) -> None:
        del self._parked[job]
        self._tally.waiting -= 1
        job.ready_at = perf_counter()
        self._make_ready(job)

    def _make_ready(self, job: Job) -> None:
        self._ready.append(job)
        self._wake()

    async def _sleep(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._idle.append(future)
        await future

    def _wake(self) -> None:
        while self._idle:
            future = self._idle.popleft()
            if not future.done():
                future.set_result(None)
                return

    def _wake_all(self) -> None:
        while self._idle:
            self._wake()
