"""The worker pool of one run: N workers pull from one lazy source, so 10^6 URLs cost N tasks.

The trip of a request: drawn from the source, admitted by its host's queue, through the run's rate, one attempt; then done,
or parked (without a slot) until its retry. Drawing stops while too many are parked. Everything here happens on one loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import replace
from time import perf_counter, time_ns
from typing import TYPE_CHECKING

from fastreq_jupyter.auth import AuthError
from fastreq_jupyter.engine.attempt import Deadlines, Job, Transport, absorb
from fastreq_jupyter.engine.body import MemoryGate
from fastreq_jupyter.engine.decide import RENEWAL, conclude, cut_off, update_host
from fastreq_jupyter.engine.judging import Conditions
from fastreq_jupyter.engine.limits import AutoLimits, HostQueue, RateLimiter
from fastreq_jupyter.engine.paging import PagedOutcomes, Paging
from fastreq_jupyter.engine.polling import Polling
from fastreq_jupyter.engine.preparing import UnsendableError, Wallet, prepare
from fastreq_jupyter.engine.source import Deferrals, Source
from fastreq_jupyter.engine.store import Store, known_outcome
from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.model import Deferred, Look, Outcome, Request, Unsendable
from fastreq_jupyter.policy import START, Health
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from fastreq_jupyter.engine.progress import Outcomes, UnderWay
    from fastreq_jupyter.engine.streaming import Handoffs
    from fastreq_jupyter.model import Item, Plan
    from fastreq_jupyter.options import Options
    from fastreq_jupyter.policy import Verdict
    from fastreq_jupyter.url import Origin

MAX_INFLIGHT_BYTES = 256 * 2**20
_LEAST_PARKED = 1000
_ITEMS_A_STEP = 256

_log = logging.getLogger("fastreq_jupyter")


class Scheduler:
    """The workers of a run: they bring every item of a plan to its outcome.

    Attributes:
        options: In force, changes while running included.
        hosts: What the run knows of each host it met.
        deferrals: Requests that wait for answers of others.
        polling: What it waits for (option `until`), or None.
        auto: Sets the limits where `concurrency` is "auto", else None.
        stop: Kind and detail of the error that all unfinished rows get, once everything was halted.
        crash: A defect that ended the run.
        attempts: Under way, with the workers that make them.
        paging: Follows the pages of requests, or None.
    """

    def __init__(
        self, plan: Plan, transport: Transport, outcomes: Outcomes, *, store: Store | None = None, handoffs: Handoffs | None = None
    ) -> None:
        options = plan.options
        self.options: Options = options
        self.source = Source(plan.requests, options.limit)
        self.rate = RateLimiter(options.rate_limit, options.rate_limit_burst)
        self.hosts: dict[Origin, HostQueue] = {}
        self.auto: AutoLimits | None = None
        self.stop: tuple[str, str] | None = None
        self.crash: Exception | None = None
        self.paging = Paging(plan, self.source, outcomes, handed=handoffs is not None) if isinstance(outcomes, PagedOutcomes) else None
        # The number of pages is unknown: all workers are needed.
        self._total = outcomes.tally.total
        self._due: deque[tuple[int, Request | Outcome]] = deque() if self.paging is None else self.paging.due
        self._outcomes = outcomes
        self._tally = outcomes.tally
        self._transport = transport
        self._store = store
        self._handoffs = handoffs
        self._conditions = Conditions.of(options)
        self._wallet = None if plan.auth is None else Wallet(plan.auth, transport, options, self._notice)
        self.polling = Polling.of(options, store)
        self._memory = MemoryGate(MAX_INFLIGHT_BYTES, options.max_body)
        self.attempts: dict[Job, asyncio.Task[None]] = {}
        self._ready: deque[Job] = deque()
        self._parked: dict[Job, asyncio.TimerHandle] = {}
        self.deferrals = Deferrals(self._tally, outcomes.at, self._go_on)
        # Workers that sleep until there may be something to do, the longest first.
        self._sleepers: deque[asyncio.Future[None]] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._active = 0
        # Number of workers that should exist.
        self._slots = 0
        self._paused = False
        # True while attempts may start: not paused, not halted, not too many workers.
        self._flowing = True
        self._most_waiting = 0

    async def run(self) -> None:
        """Return when every item has its outcome, or everything was halted and has ended."""
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines(self.options.attempt_timeout, self.attempts, self._tally.lagged)
        self._apply_limits()
        try:
            while self._workers:
                await asyncio.wait(self._workers)
        finally:
            self._deadlines.stop()
            if self.auto is not None:
                self.auto.stop()
            if self._wallet is not None:
                await self._wallet.close()

    def close(self) -> None:
        """Let go of hosts and timers."""
        for handle in self._parked.values():
            handle.cancel()
        for host in self.hosts.values():
            host.close()
            host.host.limit(self, None, 1)

    def adjust(self, options: Options) -> None:
        """Take over changed limits; they hold for hosts met later, too."""
        self.options = options
        self.rate.retune(options.rate_limit, options.rate_limit_burst)
        for host in self.hosts.values():
            host.host.limit(self, options.rate_limit_per_host, options.rate_limit_burst)
        self._apply_limits()

    def set_paused(self, *, paused: bool) -> None:
        """Stop or go on starting attempts; those in flight end as they will."""
        self._paused = paused
        if self.auto is not None:
            self.auto.disturbed()
        self._review()

    def halt(self, kind: str, detail: str) -> None:
        """End everything: attempts in flight are cancelled, what is unfinished gets this error."""
        if self.stop is None:
            self.stop = (kind, detail)
            self._flowing = False
            for worker in list(self._workers):
                worker.cancel()

    @property
    def held(self) -> int:
        """Return how many requests wait for the run's rate or the end of a pause."""
        return self.rate.waiting + (len(self._ready) if self._paused else 0)

    def under_way(self) -> list[UnderWay]:
        """Return what was tried and has no outcome yet; on the run's loop."""
        waiting = [*self._parked, *(job for job in self._ready if job.attempts)]
        return [job.view(flying=False) for job in waiting] + [job.view(flying=True) for job in self.attempts]

    def settle(self) -> None:
        """Give every request that was drawn but not finished its end, and forget it."""
        kind, detail = self.stop or ("cancelled", "the run ended")
        waiting = [job for host in self.hosts.values() for job in host.empty()]
        jobs = [*self._ready, *self._parked, *waiting]
        for handle in self._parked.values():
            handle.cancel()
        self._tally.waiting -= len(self._parked)
        self._ready.clear()
        self._parked.clear()
        for job in jobs:
            self.finish(job.given_up(kind, f"{'cut off' if job.attempts else 'not sent'}: {detail}"))
        for position, item in (*self.deferrals.clear(), *self._due):
            self.finish(item if isinstance(item, Outcome) else Outcome(position, item, error=kind, error_detail=f"not sent: {detail}"))

    async def _worker(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a worker is a task
        try:
            while (job := (self._next_job() if self._flowing else None) or await self._wait_for_job()) is not None:
                try:
                    if job.tokens is not None:
                        await job.tokens.grant(job)
                    if not (self.rate.limited or job.host.host.gated) or await self._admitted(job):
                        await self._attempt(job, task)
                except (asyncio.CancelledError, AuthError):
                    if self._outcomes.at(job.position) is None:
                        self._ready.append(job)
                    raise
                finally:
                    self._active -= 1
                    job.host.leave()
        except asyncio.CancelledError:
            # If nobody halted the run, the loop is being closed around it and no other worker survives.
            self.halt("cancelled", "the event loop was closed")
        except AuthError as error:
            self.halt("auth", error.detail)
        except Exception as error:  # noqa: BLE001 - a defect of ours must not lose what arrived: the run raises it at its end
            self.crash = error
            self.halt("stopped", f"internal error: {type(error).__name__}")
        finally:
            self._workers.discard(task)
            self._review()

    async def _wait_for_job(self) -> Job | None:
        """Return a job that may start, as soon as there is one; None when there will be none any more."""
        while self.stop is None and len(self._workers) <= self._slots:
            job = self._next_job() if self._flowing else None
            if job is not None:
                return job
            source = self.source
            if source.exhausted and not (self._active or self._ready or self._due or self._tally.waiting):
                return None
            may_draw = not self._paused and self._may_draw()
            if (self._due and self._flowing) or (may_draw and source.ready):
                # Many items were finished without being sent: let other tasks run.
                await asyncio.sleep(0)
            elif not may_draw:
                sleeper = self._loop.create_future()
                self._sleepers.append(sleeper)
                await sleeper
            else:
                drawn = await source.draw()
                if drawn is not None and (drawn_job := self._accept(*drawn)) is not None:
                    self._ready.append(drawn_job)
        return None

    def _next_job(self) -> Job | None:
        """Return a job that may start at once, counted as active; None where there is none at this moment."""
        for _ in range(_ITEMS_A_STEP):
            if self._ready and (self.polling is None or not self.polling.draws(self.source, self._most_waiting - self._tally.waiting)):
                job: Job | None = self._ready.popleft()
            elif self._due:
                job = self._accept(*self._due.popleft())
            elif self.source.ready and self._tally.waiting < self._most_waiting:
                drawn = self.source.pull()
                job = None if drawn is None else self._accept(*drawn)
            else:
                return None
            if job is None:
                continue
            host = job.host
            if host.free:
                host.active += 1
            elif not host.admit(job):
                continue
            self._active += 1
            if self._sleepers and (self._ready or self._due or self._may_draw()):
                # There is more work than this worker took.
                self._wake()
            return job
        return None

    async def _admitted(self, job: Job) -> bool:
        """Return when the rates let the job start; False where it must queue again, which it then does."""
        await self.rate.acquire()
        if not self._paused and job.host.host.take(perf_counter()) == 0.0:
            job.host.pump()
            return True
        self._make_ready(job)
        return False

    def _may_draw(self) -> bool:
        return not self.source.exhausted and self._tally.waiting < self._most_waiting

    def _notice(self, text: str | None, seconds: float = 0.0) -> None:
        """Show a line; for some seconds, or until there is another one."""
        self._tally.notice = text
        if seconds:
            self._loop.call_later(seconds, self._notice, None)

    def _accept(self, position: int, item: Item) -> Job | None:
        """Turn an item into a job, or finish it at once."""
        if self.paging is not None:
            item = self.paging.begin(position, item)
        if isinstance(item, (Request, Look)):
            request = item if isinstance(item, Request) else item.shown
            self._outcomes.expect(position, request)
            nothing_known = self._store is None and not self.options.skip_existing
            stored = None if nothing_known else known_outcome(request, position, self._store, self.options, self.paging)
            if not isinstance(stored, Outcome):
                return self._job(position, request, stored or (item if isinstance(item, Look) else None))
            outcome = stored
        elif isinstance(item, Deferred):
            self._outcomes.expect(position, item.shown)
            self.deferrals.add(position, item)
            return None
        elif isinstance(item, Unsendable):
            outcome = Outcome(position, item.shown, error=item.error, error_detail=item.detail)
        else:
            assert isinstance(item, Outcome)  # noqa: S101 - Item has no other member
            outcome = item
        self.finish(outcome if outcome.position == position else replace(outcome, position=position))
        return None

    def _job(self, position: int, request: Request, begun: Look | None = None) -> Job | None:
        try:
            exchange = prepare(request, self.options.connect_timeout)
            if self._store is not None:
                exchange = self._store.make_conditional(exchange, position)
            if begun is not None and self.polling is not None:
                exchange = self.polling.exchange_for(begun, exchange, position)
        except (UnsendableError, BackendError) as error:
            self.finish(Outcome(position, request, error=error.kind, error_detail=str(error)))
            return None
        origin = exchange.target.origin
        host = self.hosts.get(origin) or self._add_host(origin)
        if host.stopped is not None:
            self.finish(Outcome(position, request, error="stopped", error_detail=host.stopped))
            return None
        job = Job(position, request, exchange, host, perf_counter(), begun)
        return job if self._wallet is None else self._wallet.attach(job)

    def _add_host(self, origin: Origin) -> HostQueue:
        options = self.options
        host = HostQueue(origin, Health(self._slots), cap=options.concurrency_per_host, tally=self._tally, ready=self._make_ready)
        host.host.limit(self, options.rate_limit_per_host, options.rate_limit_burst)
        self.hosts[origin] = host
        if self.auto is not None:
            self.auto.add(host)
        return host

    async def _attempt(self, job: Job, task: asyncio.Task[None]) -> None:
        """Make one attempt: exchange by exchange, under its deadline."""
        transport = self._transport
        if self._store is not None and not job.marked and not job.request.idempotent:
            # Committed before it is sent.
            await self._store.begin(job.request, job.position)
            job.marked = True
        job.begin(perf_counter(), time_ns() // 1000, self._loop.time())
        self._tally.attempts += 1
        self.attempts[job] = task
        self._deadlines.watch(job.begun)
        try:
            exchange = await transport.exchange(job.exchange, job, self._memory, self._handoffs)
            while exchange is not None:
                exchange = await transport.exchange(exchange, job, self._memory, self._handoffs)
        except BackendError as error:
            job.failure = transport.failure_of(error, job)
        except asyncio.CancelledError:
            if not absorb(job, task):
                cut_off(job)
                raise
            job.failure = BackendError("timeout", f"no complete answer within {self.options.attempt_timeout:g} s")
        except Exception as error:  # noqa: BLE001 - a surprise is this row's failure, not the run's; where it came from is logged
            _log.exception("unexpected error in the %s backend, request %s", transport.backend, job.position)
            job.failure = BackendError("protocol", one_line(f"{type(error).__name__} in the {transport.backend} backend"))
        finally:
            del self.attempts[job]
        outcome, verdict = conclude(job, self.options, self._conditions)
        if outcome is None:
            self._tally.retried += 1
            self._park(job, verdict.wait)
        elif self._store is None and self.polling is None:
            self._close(job, outcome)
        else:
            await self._keep(job, outcome)
        settled = job.host.health.settled and self.auto is None and job.remaining is None and not job.host.host.gated
        if outcome is None or outcome.error is not None or not settled:
            self._apply_to_host(job, verdict)

    async def _keep(self, job: Job, outcome: Outcome) -> None:
        """Wait on where the outcome is not the one waited for, else store and close it."""
        if self.polling is not None and (wait := await self.polling.wait_after(job, outcome)) is not None:
            self._park(job, wait)
            return
        try:
            answered = outcome
            if self.paging is not None:
                outcome = self.paging.judged(answered)
            # What is no page of its chain is sent again by a rerun, where that does no harm.
            if self._store is not None and (outcome is answered or not job.request.idempotent):
                outcome = await self._store.finish(outcome, None if job.response is None else job.response.content)
        finally:
            self._close(job, outcome)

    def _close(self, job: Job, outcome: Outcome) -> None:
        """Keep the outcome of an attempt; its body lives on in `data` alone."""
        tally, response = self._tally, job.response
        tally.answered += 1
        if job.notes:
            tally.remarks.update(job.notes)
        if response is not None:
            tally.bytes += response.size_bytes - job.resumed
            if outcome.data is not response:
                response.content = None
        self.finish(outcome)

    def finish(self, outcome: Outcome) -> None:
        """Keep an outcome, count it, tell who waits for it."""
        if self.paging is not None:
            followed = self.paging.follow(outcome)
            if self._due:
                self._wake()
            if followed is None:
                return
            outcome = followed
        self._outcomes.keep(outcome)
        if self._handoffs is not None:
            self._handoffs.keep(outcome)
        if self.deferrals.deferred:
            self.deferrals.parent_done(outcome.position)
        if outcome.error is not None and self.stop is None and self._tally.has_too_many_failures(self.options.max_failures):
            self.halt("stopped", f"stopped after {self._tally.failed} failures (max_failures)")

    def _apply_to_host(self, job: Job, verdict: Verdict) -> None:
        """Draw conclusions for the whole host; a refused token says nothing of it."""
        if verdict is RENEWAL:
            return
        if self.auto is not None:
            self.auto.learn(job)
        refusal = update_host(job, verdict, slots=self._slots, notice=self._notice)
        if refusal is not None and job.host.stopped is None and self.options.max_failures != "none":
            self._stop_host(job.host, refusal)

    def _stop_host(self, host: HostQueue, why: str) -> None:
        host.stopped = why
        self._notice(why)
        jobs = [job for job in (*self._ready, *self._parked) if job.host is host] + host.empty()
        self._ready = deque(job for job in self._ready if job.host is not host)
        for job in jobs:
            handle = self._parked.pop(job, None)
            if handle is not None:
                handle.cancel()
                self._tally.waiting -= 1
            self.finish(job.given_up("stopped", why))

    def _apply_limits(self) -> None:
        """Give the run and its hosts the slots that the options ask for."""
        options, auto = self.options, self.auto
        if options.concurrency == "auto":
            if auto is None:
                auto = self.auto = AutoLimits(self._resize, options.concurrency_per_host)
                self._resize(START)
                for host in self.hosts.values():
                    auto.add(host)
            else:
                auto.bound(options.concurrency_per_host)
            return
        if auto is not None:
            auto.stop()
            self.auto = None
        for host in self.hosts.values():
            host.cap = options.concurrency_per_host
            host.health.concurrency = options.concurrency
            host.pump()
        self._resize(options.concurrency)

    def _resize(self, concurrency: int) -> None:
        """Change how many requests may be in flight; surplus workers end after their attempt."""
        self._slots = concurrency
        self._most_waiting = max(_LEAST_PARKED, 10 * concurrency)
        number = concurrency if self._total is None else min(concurrency, max(1, self._total))
        for _ in range(number - len(self._workers)):
            worker = self._loop.create_task(self._worker())
            self._workers.add(worker)
            # A task cancelled before its first step never runs its own cleanup.
            worker.add_done_callback(self._workers.discard)
        self._review()

    def _review(self) -> None:
        """Find out anew whether attempts may start, and let all sleeping workers look."""
        self._flowing = not self._paused and self.stop is None and len(self._workers) <= self._slots
        while self._sleepers:
            self._wake()

    def _wake(self) -> None:
        """Wake the worker that has slept longest, if any."""
        while self._sleepers:
            sleeper = self._sleepers.popleft()
            if not sleeper.done():
                sleeper.set_result(None)
                return

    def _go_on(self, position: int, item: Item) -> None:
        if (job := self._accept(position, item)) is not None:
            self._make_ready(job)

    def _park(self, job: Job, seconds: float) -> None:
        self._parked[job] = self._loop.call_later(seconds, self._unpark, job)
        self._tally.due = max(self._tally.due, perf_counter() + seconds)
        self._tally.waiting += 1

    def _unpark(self, job: Job) -> None:
        del self._parked[job]
        self._tally.waiting -= 1
        job.ready_at = perf_counter()
        job.host = self.hosts.get(job.exchange.target.origin) or self._add_host(
            job.exchange.target.origin
        )  # a status URL may lead elsewhere
        self._make_ready(job)

    def _make_ready(self, job: Job) -> None:
        self._ready.append(job)
        self._wake()
