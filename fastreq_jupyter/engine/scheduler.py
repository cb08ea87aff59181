"""The worker pool of one run: N workers pull from one lazy source, so 10^6 URLs cost N tasks.

The trip of a request: drawn from the source, admitted by its host's queue, through the run's rate, one attempt; then done,
or parked (without a slot) until its retry. Drawing stops while too many are parked. Everything here happens on one loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime
from math import isnan, nan
from time import perf_counter
from typing import TYPE_CHECKING

from fastreq_jupyter.engine.attempt import Job, Transport
from fastreq_jupyter.engine.chaining import Chain
from fastreq_jupyter.engine.deadlines import Deadlines, absorb
from fastreq_jupyter.engine.decide import conclude, cut_off, got_answer
from fastreq_jupyter.engine.limits import HostQueue, MemoryGate, RateLimiter
from fastreq_jupyter.engine.prepare import UnsendableError, prepare
from fastreq_jupyter.engine.progress import Outcomes, UnderWay
from fastreq_jupyter.engine.source import Source
from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.model import Deferred, Outcome, Request, Unsendable
from fastreq_jupyter.policy.health import Health
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from fastreq_jupyter.engine.store import Store
    from fastreq_jupyter.engine.streaming import Handoffs
    from fastreq_jupyter.model import Item, Plan
    from fastreq_jupyter.options import Options
    from fastreq_jupyter.policy.retry import Verdict
    from fastreq_jupyter.url import Origin

__all__ = ["MAX_INFLIGHT_BYTES", "Scheduler"]

MAX_INFLIGHT_BYTES = 256 * 2**20
_LEAST_PARKED = 1000
_ITEMS_A_STEP = 256
_FEWEST_FOR_SHARE = 20

_log = logging.getLogger("fastreq_jupyter")


class Scheduler:
    """Brings every item of a plan to its outcome.

    Attributes:
        options: In force, changes while running included.
        outcomes: What has been finished.
        source: What is drawn from.
        hosts: What the run knows of each host it met.
        stop: Kind and detail of the error that all unfinished rows get, once everything was halted.
        crash: A defect that ended the run.
    """

    def __init__(self, plan: Plan, transport: Transport, *, store: Store | None = None, handoffs: Handoffs | None = None) -> None:
        options = plan.options
        self.options: Options = options
        self.outcomes = Outcomes(plan)
        self.source = Source(plan.requests, options.limit)
        self.rate = RateLimiter(options.rate_limit, options.rate_limit_burst)
        self.hosts: dict[Origin, HostQueue] = {}
        self.stop: tuple[str, str] | None = None
        self.crash: Exception | None = None
        self._total = plan.total
        self._tally = self.outcomes.tally
        self._transport = transport
        self._store = store
        self._handoffs = handoffs
        self._memory = MemoryGate(MAX_INFLIGHT_BYTES, options.max_body)
        self._under_way: dict[Job, asyncio.Task[None]] = {}
        self._ready: deque[Job] = deque()
        self._parked: dict[Job, asyncio.TimerHandle] = {}
        self._chain = Chain(self._tally, self.outcomes.at, self._go_on)
        self._idle: deque[asyncio.Future[None]] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._paused = False
        # Nothing stands in the way of drawing and starting: not paused, not halted, no worker too many.
        self._flowing = True
        self._active = 0
        self._most_waiting = max(_LEAST_PARKED, 10 * options.concurrency)

    async def run(self) -> None:
        """Return when every item has its outcome, or everything was halted and has ended."""
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines(self.options.attempt_timeout, self._under_way, self._tally.lagged)
        self._resize(self.options.concurrency)
        try:
            while self._workers:
                await asyncio.wait(self._workers)
        finally:
            self._deadlines.stop()

    def close(self) -> None:
        """Let go of hosts and timers."""
        for handle in self._parked.values():
            handle.cancel()
        for host in self.hosts.values():
            host.close()
            host.host.limit(self, None, 1)

    def adjust(self, options: Options) -> None:
        """Take over changed limits."""
        self.options = options
        self.rate.retune(options.rate_limit, options.rate_limit_burst)
        for host in self.hosts.values():
            host.cap = options.concurrency_per_host
            host.health.concurrency = options.concurrency
            host.host.limit(self, options.rate_limit_per_host, options.rate_limit_burst)
            host.pump()
        self._resize(options.concurrency)

    def set_paused(self, *, paused: bool) -> None:
        """Stop or go on starting attempts; those in flight end as they will."""
        self._paused = paused
        self._look_again()

    def halt(self, kind: str, detail: str) -> None:
        """End everything: attempts in flight are cancelled, what is unfinished gets this error."""
        if self.stop is None:
            self.stop = (kind, detail)
            self._flowing = False
            for worker in list(self._workers):
                worker.cancel()

    def under_way(self) -> list[UnderWay]:
        """Return what was tried and has no outcome yet; on the run's loop."""
        waiting = [UnderWay(job.position, job.request, job.attempts, None, None, nan) for job in self._parked]
        return waiting + [_flying(job) for job in self._under_way]

    @property
    def in_flight(self) -> int:
        """Return how many attempts are under way."""
        return len(self._under_way)

    def settle(self) -> None:
        """Give every request that was drawn but not finished its end, and forget it."""
        kind, detail = self.stop or ("cancelled", "the run ended")
        kept = [job for host in self.hosts.values() for job in host.empty()]
        for handle in self._parked.values():
            handle.cancel()
        self._tally.waiting -= len(self._parked)
        for job in [*self._ready, *self._parked, *kept]:
            self.finish(Outcome(job.position, job.request, job.attempts, error=kind, error_detail=detail))
        self._ready.clear()
        self._parked.clear()
        for position, request in self._chain.empty_out():
            self.finish(Outcome(position, request, error=kind, error_detail=detail))

    def finish(self, outcome: Outcome) -> None:
        """Keep an outcome, count it, tell who waits for it."""
        self.outcomes.keep(outcome)
        if self._handoffs is not None:
            self._handoffs.keep(outcome)
        if not self._chain.empty:
            self._chain.parent_done(outcome.position)
        if outcome.error is not None and self.stop is None and self._too_many_failures():
            self.halt("stopped", f"stopped after {self._tally.failed} failures (max_failures)")

    # The workers

    async def _worker(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a worker is a task
        try:
            while (job := (self._next_job() if self._flowing else None) or await self._wait_for_job()) is not None:
                await self._serve(job, task) if self.rate.limited or not job.host.free else await self._attempt(job, task)
        except asyncio.CancelledError:
            # Where nobody halted us the loop is being torn down around the run: no other worker will survive it.
            self.halt("cancelled", "the event loop was closed")
        except Exception as error:  # noqa: BLE001 - a defect of ours must not lose what arrived: the run raises it at its end
            self.crash = error
            self.halt("stopped", f"internal error: {type(error).__name__}")
        finally:
            self._workers.discard(task)
            self._look_again()

    async def _attempt(self, job: Job, task: asyncio.Task[None]) -> None:
        """Make one attempt and draw its consequences."""
