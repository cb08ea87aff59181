"""Looks at a run while it goes on and hands on what is new: soon after it happened, never more than ten times a second.

The engine tells nobody anything: it keeps what it keeps anyway, and here it is looked at. So a panel costs by the row and
not by the event, a request that comes and goes between two looks costs once, and no request waits for a panel.
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from math import inf
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

from fastreq_jupyter.notebook.monitor.feed import ROW_LIMIT, Feed, Message, Status
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastreq_jupyter.engine import Run
    from fastreq_jupyter.options import Rate

INTERVAL = 0.1
"""Seconds between two messages at least; Jupyter Server drops messages above 1000 a second, a page is busy well below."""
HEARTBEAT = 1.0
"""Seconds between two messages at most while the run goes on: clock, pace and time left move, and silence means a dead kernel."""
SNAPSHOT_ROWS = 300
_BATCH_ROWS = 4000
_LAST_BATCH_ROWS = 10_000
_STEP_ROWS = 100
_REPEAT_AFTER = (0.5, 2.0)
_REPEAT_ROWS = 20_000
_ROWS_OF_MANY = 20_000


class Watch:
    """A watcher of one run, on its loop.

    Args:
        run: The run. It is held weakly: a panel left open must not keep the bodies of a run that the process has forgotten.
        post: Sends a message to the page; called on any thread.
        note: Stands behind the closing line.
        clock: Seconds, monotonic.

    Attributes:
        over: Nothing is looked at any more.
    """

    def __init__(self, run: Run, post: Callable[[Message], object], *, note: str = "", clock: Callable[[], float] = monotonic) -> None:
        self._run = weakref.ref(run)
        self._loop = run.loop
        self._post = post
        self._note = note
        self._clock = clock
        self._lock = Lock()
        # What bounds the memory of a run whose rows leave it bounds that of its picture, too.
        self._feed = Feed(run.id, name=run.name or "", row_limit=ROW_LIMIT if run.sink is None else _ROWS_OF_MANY)
        self._status = _status_of(run, self._note)
        self._entered = 0
        self.over = False
        self._told_at = -inf
        self._asked = False
        self._since = clock()
        self._repeats = list(_REPEAT_AFTER)

    @property
    def run(self) -> Run | None:
        """Return the run; None once the process has forgotten it."""
        return self._run()

    @property
    def title(self) -> str:
        """Return the run's name as it follows a word; nothing where it has none."""
        return self._feed.title

    @property
    def known(self) -> int:
        """Return how many rows are listed."""
        return self._feed.known

    @property
    def behind(self) -> bool:
        """Tell whether there is anything that was not looked at yet."""
        run = self._run()
        return run is not None and bool(run.completed(max(self._entered, run.forgotten), 1))

    def start(self) -> None:
        """Begin to look; may be called on any thread."""
        # A loop that is closed meanwhile has ended the run.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._look)

    def stop(self) -> None:
        """Look no more."""
        self.over = True

    def answer(self, request: int, start: int) -> None:
        """Send the rows from `start` on to a page that asks with the number `request`; may be called on any thread."""
        with self._lock:
            self._asked = True
            run = self._run()
            if run is not None:
                self._enter(run, None)
                self._status = _status_of(run, self._note)
            self._post(self._feed.answer(request, start, self._status, _BATCH_ROWS))

    def finish(self, run: Run) -> str:
        """Send what is left of a run that has ended, with its closing line; return a bounded picture of it, packed."""
        with self._lock:
            self.over = True
            self._enter(run, None)
            self._status = _status_of(run, self._note)
            # The end first, alone: behind a slow link thousands of rows would keep it from the reader.
            self._post(self._feed.message(self._status, 0))
            while self._feed.pending:
                self._post(self._feed.message(self._status, _LAST_BATCH_ROWS))
            return self._feed.snapshot(self._status, SNAPSHOT_ROWS).packed()

    def _look(self) -> None:
        run = self._run()
        if run is None or self.over:
            return
        with self._lock:
            if self._enter(run, _STEP_ROWS):
                # In portions: entering all of a tenth of a second at once would stall the loop and spoil its marks.
                self._loop.call_soon(self._look)
                return
            self._feed.take(run.began, (), run.under_way())
            self._repeat_unasked()
            self._tell(run)
        self._loop.call_later(INTERVAL, self._look)

    def _enter(self, run: Run, most: int | None) -> bool:
        """Enter what has finished since the last time, `most` of it; return whether there may be more."""
        # Those that left memory meanwhile are counted, not listed.
        self._entered = max(self._entered, run.forgotten)
        outcomes = run.completed(self._entered, most)
        self._entered += len(outcomes)
        self._feed.take(run.began, outcomes)
        return len(outcomes) == most

    def _tell(self, run: Run) -> None:
        """Send what changed; where nothing did, no more than a sign of life."""
        before, self._status = self._status, _status_of(run, self._note)
        now = self._clock()
        if self._feed.pending or self._status.facts != before.facts or now - self._told_at > HEARTBEAT - INTERVAL / 2:
            self._told_at = now
            self._post(self._feed.message(self._status, _BATCH_ROWS))

    def _repeat_unasked(self) -> None:
        """Have everything sent again while no page has asked: it may have been built after the first messages went out.

        A page asks as soon as it listens, but a cell that blocks the kernel keeps that from being heard.
        """
        if self._repeats and self._clock() - self._since >= self._repeats[0]:
            del self._repeats[0]
            if not self._asked and self._feed.known <= _REPEAT_ROWS:
                self._feed.repeat()


def _status_of(run: Run, note: str) -> Status:
    auto = run.auto
    settings = {
        "concurrency": run.options.concurrency,
        "auto": "" if auto is None else f"auto {auto.limit}: {one_line(auto.reason, 80)}",
        "rate_limit": _shown_rate(run.options.rate_limit),
    }
    closing = "; ".join(filter(None, (run.closing_line(), note))) if run.done else None
    return Status(run.state, run.progress, settings, closing)


def _shown_rate(rate: Rate | None) -> str:
    if rate is None:
        return ""
    return str(rate) if rate.whole else f"{rate.count / rate.per:g}"
