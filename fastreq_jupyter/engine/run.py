"""The live handle of a plan. It lives on one loop; everything public can be called from any thread.

    PENDING ─▶ RUNNING ◀─▶ PAUSED
                  │           │
                  └─▶ CANCELLING ─▶ CANCELLED
                  └─▶ DONE

The task belongs to the engine; who waits for it only looks on, so an interrupted wait never loses a row.
"""

from __future__ import annotations

import asyncio
import uuid
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from math import nan
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.engine.paging import HINTING, PagedOutcomes, hint, item_to_resend
from fastreq_jupyter.engine.progress import Outcomes, arrived, show_files, unsent
from fastreq_jupyter.engine.scheduler import Scheduler
from fastreq_jupyter.engine.source import SELECTIONS, changed_options, to_resend
from fastreq_jupyter.engine.summary import Circumstances, closing_line, explain, figures
from fastreq_jupyter.engine.written import Gist, WrittenOutcomes, gist_of, unwritten
from fastreq_jupyter.errors import OptionError, RunError, SourceError, UsageError
from fastreq_jupyter.options import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Generator, Iterable, Mapping

    from fastreq_jupyter.engine.attempt import Transport
    from fastreq_jupyter.engine.limits import AutoLimit
    from fastreq_jupyter.engine.progress import Progress, UnderWay
    from fastreq_jupyter.engine.store import Store
    from fastreq_jupyter.engine.streaming import Handoffs
    from fastreq_jupyter.engine.written import Sink
    from fastreq_jupyter.model import Link, Outcome, Plan
    from fastreq_jupyter.policy import Chain

_SLICE = 0.1
_BEAT = 0.5
_ROWS_A_STEP = 2000
_ADJUSTABLE = frozenset({"concurrency", "rate_limit", "rate_limit_burst", "concurrency_per_host", "rate_limit_per_host", "max_retries"})


class Run:
    """A run: what it has come to, and how it is steered.

    Await it for the DataFrame. Interrupting the wait cancels the run, waits until it has drained, and ends the wait as
    interrupted; the finished rows stay in `df`.

    Attributes:
        id: Short unique text, also in ``df.attrs["fastreq"]["run_id"]``.
        plan: What was asked.
        loop: The loop it lives on.
        finished: Done once the run has drained; holds None, is never cancelled.
        ending: Waits for it and makes what awaiting gives, where that is more than waiting and the frame.
        sink: Where its rows go in place of memory, or None.
        before: The run that this one took the variable of while it went on (a background cell that was run again).
    """

    def __init__(  # noqa: PLR0913 - what a run is made of, given once by the engine
        self,
        plan: Plan,
        transport: Transport,
        loop: asyncio.AbstractEventLoop,
        *,
        present: Callable[[Run], Any],
        retry: Callable[[Run, Plan], Run],
        store: Store | None = None,
        handoffs: Handoffs | None = None,
        sink: Sink | None = None,
    ) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.plan = plan
        self.loop = loop
        self.finished: Future[None] = Future()
        self.finished.set_running_or_notify_cancel()
        self.ending: Callable[[Run], Coroutine[Any, Any, Any]] | None = None
        self.before: Run | None = None
        self._present = present
        self._retry = retry
        self._state = "PENDING"
        self._started_at = datetime.now(UTC)
        self._store = store
        self._handoffs = handoffs
        self.sink = sink
        # None where rows stay in memory.
        self._written = None if sink is None else WrittenOutcomes(plan, sink, hold=self._hold, fail=self._give_up)
        self._outcomes = self._written or (Outcomes(plan) if plan.options.pages is None else PagedOutcomes(plan))
        self._behind = False
        self._failure: BaseException | None = None
        self._scheduler = Scheduler(plan, transport, self._outcomes, store=store, handoffs=handoffs)
        if handoffs is not None:
            handoffs.links = self.links
        self._torn_down = False
        self._explained: dict[str, Any] | None = None
        self._hinted: list[str] | None = None
        self._transport = transport

    @property
    def name(self) -> str | None:
        """Return the variable the frame goes to, or None."""
        return self.plan.name

    @property
    def options(self) -> Options:
        """Return the options in force, changes by `update` included."""
        return self._scheduler.options

    @property
    def auto(self) -> AutoLimit | None:
        """Return what ``concurrency="auto"`` has come to; None where the concurrency is a number."""
        auto = self._scheduler.auto
        return None if auto is None else auto.state

    @property
    def state(self) -> str:
        """Return PENDING, RUNNING, PAUSED, CANCELLING, DONE or CANCELLED."""
        return self._state

    @property
    def done(self) -> bool:
        """Tell whether the run has drained."""
        return self.finished.done()

    @property
    def progress(self) -> Progress:
        """Return how far it is."""
        scheduler, tally = self._scheduler, self._outcomes.tally
        left = 0 if tally.total is None else tally.total - tally.done - len(scheduler.attempts)
        saving = self._transport.saver.under_way
        least = scheduler.rate.least_seconds(left)
        progress = tally.progress(in_flight=len(scheduler.attempts), held=scheduler.held, least_s=least)
        return replace(progress, bytes=progress.bytes + arrived(saving), files=show_files(saving)) if saving else progress

    @property
    def began(self) -> float:
        """Return when it began, seconds of `time.perf_counter`; NaN before."""
        started = self._outcomes.tally.started
        return nan if started is None else started

    @property
    def error(self) -> BaseException | None:
        """Return what the source of requests raised, what kept rows from being written, or a defect that ended the run."""
        return self._failure or self._scheduler.source.error or self._scheduler.crash

    @property
    def outcomes(self) -> list[Outcome]:
        """Return the outcomes so far, in order of the requests; with option `to` those that are not written yet."""
        return self._outcomes.rows(unfinished=False)

    @property
    def rows(self) -> list[Outcome]:
        """Return one outcome per request drawn; unfinished ones with the error ``cancelled`` and no response."""
        return self._outcomes.rows(unfinished=True)

    @property
    def df(self) -> Any:
        """Return the DataFrame of all rows at this moment."""
        return self._present(self)

    def summary(self) -> dict[str, Any]:
        """Return what the run came to so far: small, JSON, free of secrets."""
        notes = [*self.plan.notes, *(() if self._store is None else self._store.notes()), *self._hint()]
        notes += () if self.sink is None else self.sink.notes()
        counts = figures(self._outcomes.tally, self._scheduler, self.options, notes)
        return {
            "run_id": self.id,
            "name": self.name,
            "state": self._state,
            "backend": self._transport.backend,
            **counts,
            "cache": None if self._store is None else self._store.figures(),
            **self._explanation(),
        } | {"started_at": self._started_at.isoformat(timespec="milliseconds")}

    @property
    def forgotten(self) -> int:
        """Return how many outcomes completed and left memory (option `to`)."""
        return 0 if self._written is None else self._written.forgotten

    def gist(self) -> Gist:
        """Return what a picture or a summary needs of all outcomes, those that left memory included."""
        return gist_of(self.rows) if self._written is None else self._written.gist()

    @property
    def links(self) -> Mapping[int, Link]:
        """Return which page of which request a row is, by position; empty where pages are not followed."""
        return self._outcomes.links if isinstance(self._outcomes, PagedOutcomes) else {}

    @property
    def withdrawn(self) -> Collection[int]:
        """Return positions that were rows and are none now: the empty page that ended a count, pages of a chain that began anew."""
        return self._outcomes.withdrawn if isinstance(self._outcomes, PagedOutcomes) else ()

    def pages_expected(self, place: int) -> int | None:
        """Return how many pages a request has, or will have by what its answers said; None while nobody knows.

        Args:
            place: The request's place in what the user gave (`Outcome.place`).
        """
        return None if self._scheduler.paging is None else self._scheduler.paging.expected(place)

    def short(self) -> list[Chain]:
        """Return the requests of whose pages less came than the server said there is."""
        return [] if self._scheduler.paging is None else self._scheduler.paging.short()

    def closing_line(self) -> str:
        """Return the summary in one line."""
        return closing_line(self.summary())

    def _hint(self) -> list[str]:
        """Return the line for answers that have more pages, once the run has ended; worked out at the first question."""
        if self._scheduler.paging is not None or self._handoffs is not None or self._outcomes.tally.ended is None:
            return []
        if self._hinted is None:
            line = hint(self._outcomes.first(HINTING), "--pages" if self.name else "--pages (pages='auto')")
            self._hinted = [] if line is None else [line]
        return self._hinted

    def _explanation(self) -> dict[str, Any]:
        """Return where the time went, once the run has ended; worked out at the first question."""
        tally = self._outcomes.tally
        if tally.ended is None or tally.started is None:
            return {"time": {}, "advice": None}
        if self._explained is None:
            of = Circumstances(tally.started, tally.elapsed, max(1, len(self._scheduler.hosts)), tally.cpu_s, tally.late_s)
            rows = self._outcomes.rows(unfinished=False) if self._written is None else self._written.sums
            self._explained = explain(rows, self.options, of)
        return self._explained

    def completed(self, since: int, most: int | None = None) -> list[Outcome]:
        """Return outcomes in the order in which they came to be; an amended one comes again.

        Args:
            since: How many to leave out at the beginning.
            most: How many to return, None for all.
        """
        return self._outcomes.completed(since, most)

    def under_way(self) -> list[UnderWay]:
        """Return what was tried and has no outcome yet; on the run's loop only."""
        return self._scheduler.under_way()

    def cancel(self) -> None:
        """End the run: attempts in flight are cut, rows not done get the error ``cancelled``."""
        self._post(self._cancel)

    def pause(self) -> None:
        """Start no more attempts; those in flight end."""
        self._post(self._pause)

    def resume(self) -> None:
        """Go on after a pause."""
        self._post(self._resume)

    def update(self, **changes: Any) -> None:
        """Change concurrency, rates or max_retries while it runs.

        Args:
            **changes: New values of options, by name.

        Raises:
            OptionError: A wrong value, or an option that cannot be changed any more; one line.
        """
        fixed = [name for name in changes if name not in _ADJUSTABLE]
        if fixed:
            raise OptionError(f"{fixed[0]} cannot be changed while a run goes on: update takes {', '.join(sorted(_ADJUSTABLE))}")
        Options.of(self.options, **changes)
        self._post(self._adjust, changes)

    def retry_failed(self, only: str = "all", *, rows: Collection[int] | None = None, **options: Any) -> Run:
        """Start a new run of the same plan that sends only what failed; the other rows are taken over.

        A login whose answer a failed request needs is sent again, too.

        Args:
            only: "all" of these, those that were "sent", or those that were never sent ("unsent") because the run ended.
            rows: Positions of the only rows to look at, None for all.
            **options: New values of options that say how to send: transport, speed, failures, `auth` and what is shown.

        Raises:
            UsageError: `only` is none of these, or an option cannot be changed.
        """
        if only not in SELECTIONS:
            raise UsageError(f"retry_failed(only={only!r}) is not possible: give all, sent or unsent")
        if self.sink is not None:
            raise UsageError(
                f"retry_failed() needs the rows, and they are in {self.sink.place}: the same call with journal sends what failed"
            )
        changed = self.plan.options if not options else changed_options(self.plan.options, options)
        chosen = {row.position for row in self.rows if not row.ok and SELECTIONS[only](row) and (rows is None or row.position in rows)}
        if self._scheduler.paging is not None:
            items = [item_to_resend(row) if row.position in chosen else row for row in self.rows]
            # The option `limit` applied to the requests, not to their pages.
            changed = Options.of(changed, limit=None)
        else:
            polling = self._scheduler.polling
            items = to_resend(self.rows, chosen, self._scheduler.deferrals.items, {} if polling is None else polling.jobs)
        return self._retry(self, replace(self.plan, requests=items, total=len(items), options=changed))

    def amend(self, outcomes: Iterable[Outcome]) -> None:
        """Put outcomes in the place of good ones.

        Args:
            outcomes: What `parse_func` made of them; each takes the place of that with its position.
        """
        for outcome in outcomes:
            self._outcomes.amend(outcome)

    def wait(self, timeout: float | None = None) -> bool:
        """Block the calling thread, not that of the run's loop, and return whether the run has drained.

        Args:
            timeout: Seconds to wait at most, None for as long as it takes.
        """
        with suppress(TimeoutError):
            self.finished.result(timeout)
        return self.done

    def raise_error(self) -> None:
        """Raise what ended the drawing, once the run has drained.

        Raises:
            SourceError: The iterable of requests raised; the finished rows are in ``.df``.
            RunError: Rows could not be written (option `to`).
        """
        error = self.error
        if error is not None and error is self._failure:
            raise RunError(unwritten(self.sink, error), self) from error
        if error is not None:
            # Our own messages are safe; those of the user's code may hold secrets.
            reason = str(error) if isinstance(error, UsageError) else f"the source of requests raised {type(error).__name__}"
            raise SourceError(f"{reason}; rows finished, in .df: {self.progress.done}", self) from error

    async def drained(self) -> None:
        """Wait on any loop until the run has drained; being cancelled meanwhile cancels the run and waits on.

        Raises:
            asyncio.CancelledError: The wait was cancelled; the run has drained all the same.
        """
        interrupted: asyncio.CancelledError | None = None
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        self.finished.add_done_callback(lambda _: _tell(loop, woken))
        while not self.finished.done():
            try:
                # In short waits: an interrupt does not wake an idle kernel loop by itself.
                with suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), _SLICE)
            except asyncio.CancelledError as error:
                interrupted = error
                self.cancel()
        if interrupted is not None:
            raise interrupted

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the end and return the DataFrame."""
        return (self._result() if self.ending is None else self.ending(self)).__await__()

    def __repr__(self) -> str:
        p = self.progress
        total = "?" if p.total is None else f"{p.total:,}"
        name = f" {self.name}" if self.name else ""
        return f"<Run{name} {self._state}: {p.done:,} of {total} done, {p.ok:,} ok, {p.failed:,} failed, {p.in_flight} in flight>"

    async def _result(self) -> Any:
        await self.drained()
        self.raise_error()
        return self.df

    async def live(self) -> None:
        """Do it all; called by the engine once, on the run's loop."""
        if self._state == "PENDING":
            self._state = "RUNNING"
        try:
            await self._work()
        finally:
            self._state = "CANCELLED" if self._state == "CANCELLING" or self._torn_down else "DONE"
            self.finished.set_result(None)

    async def _work(self) -> None:
        """Return when every item drawn has its outcome and nothing is left behind."""
        tally, scheduler, loop = self._outcomes.tally, self._scheduler, self.loop
        tally.started = perf_counter()
        computed = thread_time()
        self._beating = loop.call_later(_BEAT, self._beat, loop.time() + _BEAT)
        deadline = self.options.deadline
        last = (
            None
            if deadline is None
            else loop.call_later(deadline, scheduler.halt, "deadline", f"the run's deadline of {deadline:g} s was over")
        )
        try:
            await scheduler.run()
        except asyncio.CancelledError:
            self._torn_down = True
            scheduler.halt("cancelled", "the event loop was closed")
            await asyncio.sleep(0)
            raise
        finally:
            self._beating.cancel()
            if last is not None:
                last.cancel()
            await self._settle()
            tally.cpu_s = thread_time() - computed
            tally.ended = perf_counter()
            if self._handoffs is not None:
                self._handoffs.end()

    async def _settle(self) -> None:
        """Give every row its end, and let go of everything."""
        scheduler, written = self._scheduler, self._written
        if written is not None:
            written.give_up()
        scheduler.settle()
        source = scheduler.source
        if self.plan.total is not None and scheduler.stop is not None:
            for position, item in source.rest():
                scheduler.finish(unsent(position, item, *scheduler.stop))
                if not position % _ROWS_A_STEP:
                    await asyncio.sleep(0)
        await source.close()
        if written is not None:
            await written.close()
        if self._store is not None:
            await self._store.close()
        await self._transport.close()
        scheduler.close()

    def _beat(self, due: float) -> None:
        now = self.loop.time()
        tally = self._outcomes.tally
        tally.lagged(now - due)
        tally.sample(perf_counter())
        if self._written is not None:
            self._written.beat(perf_counter())
        for line in () if self._store is None else self._store.news():
            tally.notice = line
        self._beating = self.loop.call_later(_BEAT, self._beat, now + _BEAT)

    def _cancel(self) -> None:
        if self._state in ("RUNNING", "PAUSED", "PENDING"):
            self._state = "CANCELLING"
            self._scheduler.halt("cancelled", "the run was cancelled")

    def _pause(self) -> None:
        if self._state == "RUNNING":
            self._state = "PAUSED"
            self._scheduler.set_paused(paused=True)

    def _resume(self) -> None:
        if self._state == "PAUSED":
            self._state = "RUNNING"
            self._outcomes.tally.resumed()
            self._scheduler.set_paused(paused=self._behind)

    def _hold(self, behind: bool) -> None:  # noqa: FBT001 - told, not chosen
        """Start nothing while rows wait to be written."""
        if behind is not self._behind:
            self._behind = behind
            self._scheduler.set_paused(paused=behind or self._state == "PAUSED")

    def _give_up(self, error: BaseException) -> None:
        """End: rows cannot be written any more."""
        self._failure = error
        self._scheduler.halt("stopped", "rows could not be written")

    def _adjust(self, changes: dict[str, Any]) -> None:
        # Merged into the options now in force: another change may have happened in between.
        with suppress(OptionError):
            options = Options.of(self.options, **changes)
            self._transport.adjust(options)
            self._scheduler.adjust(options)

    def _post(self, command: Callable[..., None], *args: Any) -> None:
        # A closed loop has cancelled the run already.
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(command, *args)


def _tell(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(event.set)
