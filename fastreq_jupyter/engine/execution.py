"""The work of a run: attempts are made, judged and counted, outcomes kept in order, until all is drained."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from math import isnan, nan
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.engine.attempt import Handoff, Transport, Trial
from fastreq_jupyter.engine.deadline import Deadline
from fastreq_jupyter.engine.judging import Judgement, cut_off, judge
from fastreq_jupyter.engine.limiter import MemoryGate
from fastreq_jupyter.engine.progress import Tally, UnderWay
from fastreq_jupyter.engine.scheduler import Scheduler
from fastreq_jupyter.engine.summary import figures
from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.model import Deferred, Outcome, Request, Unsendable
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from fastreq_jupyter.engine.lane import Job, Lane
    from fastreq_jupyter.engine.progress import Progress
    from fastreq_jupyter.engine.store import Store
    from fastreq_jupyter.engine.streaming import Handoffs
    from fastreq_jupyter.model import Item, Plan
    from fastreq_jupyter.options import Options

__all__ = ["MAX_INFLIGHT_BYTES", "Execution"]

MAX_INFLIGHT_BYTES = 256 * 2**20
_BEAT = 0.5
_ROWS_A_STEP = 2000
_FEWEST_FOR_SHARE = 20


class Execution:
    """Do what a plan says; the scheduler decides when, this decides what comes of it.

    Attributes:
        options: In force, changes while running included.
        rows: Outcome per position, None while unfinished.
        completed: Outcomes in the order in which they came to be.
        torn_down: The loop ended the run, not its owner.
    """

    def __init__(
        self,
        plan: Plan,
        transport: Transport,
        *,
        store: Store | None = None,
        handoff: Handoffs | None = None,
    ) -> None:
        self.options: Options = plan.options
        self.rows: list[Outcome | None] = []
        self.completed: list[Outcome] = []
        self.tally = Tally(total=_total(plan))
        self.torn_down = False
        self._plan = plan
        self._transport = transport
        self._store = store
        self._handoff = handoff
        self._memory = MemoryGate(MAX_INFLIGHT_BYTES, plan.options.max_body)
        self._scheduler = Scheduler(plan, self.tally, self)
        self._shown: dict[int, Request] = {}
        self._flights: dict[int, tuple[Job, Trial, float]] = {}

    @property
    def error(self) -> BaseException | None:
        """Return what the source raised, or a defect of ours."""
        return self._scheduler.source.error or self._scheduler.crash

    async def run(self) -> None:
        """Return when every item drawn has its outcome and nothing is left behind."""
        loop = asyncio.get_running_loop()
        self.tally.started = perf_counter()
        self._beating = loop.call_later(_BEAT, self._beat, loop, loop.time() + _BEAT)
        last = None if self.options.deadline is None else loop.call_later(self.options.deadline, self._out_of_time)
        try:
            await self._scheduler.run()
        except asyncio.CancelledError:
            self.torn_down = True
            self.halt("cancelled", "the event loop was closed")
            await asyncio.sleep(0)
            raise
        finally:
            self._beating.cancel()
            if last is not None:
                last.cancel()
            await self._settle()
            self.tally.ended = perf_counter()
            if self._handoff is not None:
                self._handoff.end()

    def halt(self, kind: str, detail: str) -> None:
        """End everything; what is unfinished gets this error."""
        self._scheduler.halt(kind, detail)

    def set_paused(self, *, paused: bool) -> None:
        """Stop or go on starting attempts."""
        self._scheduler.set_paused(paused=paused)

    def adjust(self, options: Options) -> None:
        """Take over changed limits."""
        self.options = options
        scheduler = self._scheduler
        scheduler.gate.retune(options.rate_limit, options.rate_limit_burst)
        for lane in scheduler.lanes.values():
            lane.cap = options.concurrency_per_host
            lane.host.limit(scheduler, options.rate_limit_per_host, options.rate_limit_burst)
            lane.pump()
        scheduler.resize(options.concurrency)

    def unfinished(self, position: int) -> Outcome:
        """Return a row for a request that is not done."""
        request = self._shown.get(position) or Request("GET", "")
        return Outcome(position, request, error="cancelled", error_detail="not finished")

    def progress(self) -> Progress:
        """Return how far it is."""
        return self.tally.progress(self._scheduler.gate.waiting)

    def under_way(self) -> list[UnderWay]:
        """Return what was tried and has no outcome yet; on the run's loop."""
        waiting = [UnderWay(job.position, job.request, job.attempts, None, None, nan) for job in self._scheduler.parked]
        return waiting + [_flying(*flight) for flight in self._flights.values()]

    def summary(self) -> dict[str, Any]:
        """Return the figures of the run as small JSON."""
        notes = [*self._plan.notes, *(() if self._store is None else self._store.notes())]
        return figures(self.tally, self._scheduler, self.options, notes)

    async def work(self, job: Job) -> float | None:
        """Make one attempt; return seconds to wait before the next, or None when the job has its outcome."""
        if self._store is not None and not job.marked and not job.request.idempotent:
            await self._store.begin(job.request, job.position)
            job.marked = True
        start, started_at = perf_counter(), datetime.now(UTC)
        self.tally.attempts += 1
        trial = Trial()
        self._flights[job.position] = (job, trial, start)
        try:
            await self._attempt(job, trial)
        except asyncio.CancelledError:
            job.attempts.append(cut_off(job, trial, start, started_at))
            raise
        finally:
            del self._flights[job.position]
        judgement = judge(job, trial, self.options, start=start, started_at=started_at)
        self._heed(job, judgement)
        if judgement.outcome is None:
            return self._again(job, judgement)
        if self._store is not None:
            await self._store.finish(judgement.outcome, judgement.content)
        self.tally.answer(judgement.outcome)
        self.finish(judgement.outcome)
        return None

    def finish(self, outcome: Outcome) -> None:
        """Keep an outcome, count it, tell who waits for it."""
        position = outcome.position
        missing = position + 1 - len(self.rows)
        if missing > 0:
            self.rows.extend([None] * missing)
        self.rows[position] = outcome
        self.completed.append(outcome)
        self._shown.pop(position, None)
        self.tally.count(outcome)
        if self._handoff is not None:
            self._handoff.keep(outcome)
        self._scheduler.parent_done(position)
        if outcome.error is not None and self._scheduler.stop is None and self._too_many_failures():
            self.halt("stopped", f"stopped after {self.tally.failed} failures (max_failures)")

    def known(self, request: Request, position: int) -> Outcome | None:
        """Return the outcome of a request that need not be sent, or None."""
        missing = position + 1 - len(self.rows)
        if missing > 0:
            self.rows.extend([None] * missing)
        self._shown[position] = request
        if self.options.skip_existing and request.save_as is not None and os.path.exists(request.save_as):  # noqa: PTH110 - hot path
            return Outcome(position, request, data=request.save_as)
        return None if self._store is None else self._store.find(request, position)

    def outcome_at(self, position: int) -> Outcome | None:
        """Return what was kept for a position."""
        return self.rows[position] if position < len(self.rows) else None

    async def _attempt(self, job: Job, trial: Trial) -> None:
        ticket = self._memory.ticket()
        deadline = Deadline(self.options.attempt_timeout, self.tally.lagged)
        self.tally.in_flight += 1
        try:
            await self._transport.perform(
                job.exchange,
                trial,
                ticket=ticket,
                secrets=job.request.secrets,
                save_as=job.request.save_as,
                handoff=self._handoff_of(job, deadline),
            )
        except asyncio.CancelledError:
            if not deadline.absorb():
                raise
            trial.failure = BackendError("timeout", f"no complete answer within {self.options.attempt_timeout:g} s")
        except Exception as error:  # noqa: BLE001 - a backend's surprise is this row's failure, not the run's
            trial.failure = BackendError("protocol", one_line(f"{type(error).__name__} in the {self._transport.backend} backend"))
        finally:
            deadline.stop()
            ticket.release()
            self.tally.in_flight -= 1

    def _handoff_of(self, job: Job, deadline: Deadline) -> Handoff | None:
        return None if self._handoff is None else self._handoff.of(job, deadline)

    def _again(self, job: Job, judgement: Judgement) -> float:
        job.attempts.append(judgement.attempt)
        self.tally.retried += 1
        return judgement.wait

    def _heed(self, job: Job, judgement: Judgement) -> None:
        """Draw conclusions for the whole host."""
        lane = job.lane
        if lane.health.record(judgement.attempt.status, success=judgement.success):
            self._notice(f"{lane.origin} fails: single attempts until one succeeds")
        if judgement.pause:
            lane.host.pause(perf_counter() + judgement.pause)
            self._notice(f"{lane.origin} asks to wait {judgement.pause:.0f} s")
            asyncio.get_running_loop().call_later(judgement.pause, self._notice, None)
        refusal = lane.health.refusing
        if refusal is not None and lane.stopped is None and self.options.max_failures != "none":
            self._stop_lane(lane, f"the first 20 answers of {lane.origin} were all {refusal} (max_failures=none turns this stop off)")

    def _stop_lane(self, lane: Lane, why: str) -> None:
        lane.stopped = why
        self._notice(why)
        for job in self._scheduler.drop(lane):
            self.finish(Outcome(job.position, job.request, tuple(job.attempts), error="stopped", error_detail=why))

    def _too_many_failures(self) -> bool:
        bound = self.options.max_failures
        if bound is None or isinstance(bound, str):
            return False
        if bound.count is not None:
            return self.tally.failed > bound.count
        base = self.tally.total if self.tally.total is not None else max(self.tally.done, _FEWEST_FOR_SHARE)
        return self.tally.failed > (bound.fraction or 0.0) * base

    def _notice(self, text: str | None) -> None:
        self.tally.notice = text

    def _out_of_time(self) -> None:
        self.halt("deadline", f"the run's deadline of {self.options.deadline:g} s was over")

    def _beat(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = loop.time()
        self.tally.lagged(now - due)
        self.tally.sample(perf_counter())
        for line in () if self._store is None else self._store.news():
            self._notice(line)
        self._beating = loop.call_later(_BEAT, self._beat, loop, now + _BEAT)

    async def _settle(self) -> None:
        """Give every row its end, and let go of everything."""
        kind, detail = self._scheduler.stop or ("cancelled", "the run ended")
        for position, request, job in self._scheduler.abandoned():
            self.finish(Outcome(position, request, () if job is None else tuple(job.attempts), error=kind, error_detail=detail))
        source = self._scheduler.source
        if self._plan.total is not None and self._scheduler.stop is not None:
            for position, item in source.rest():
                self.finish(_unsent(position, item, kind, detail))
                if not position % _ROWS_A_STEP:
                    await asyncio.sleep(0)
        await source.close()
        if self._store is not None:
            await self._store.close()
        self._scheduler.close()


def _total(plan: Plan) -> int | None:
    limit = plan.options.limit
    if plan.total is None or limit is None:
        return plan.total
    return min(plan.total, limit)


def _flying(job: Job, trial: Trial, start: float) -> UnderWay:
    # Before the final head a response is that of a redirect.
    status = None if trial.response is None or isnan(trial.head_at) else trial.response.status
    return UnderWay(job.position, job.request, job.attempts, start, status, trial.head_at)


def _unsent(position: int, item: Item, kind: str, detail: str) -> Outcome:
    if isinstance(item, Outcome):
        return item
    request = item.shown if isinstance(item, (Deferred, Unsendable)) else item
    return Outcome(position, request, error=kind, error_detail=detail)
