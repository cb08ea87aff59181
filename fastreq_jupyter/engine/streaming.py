"""Hand bodies to the user while they arrive: `fastreq_stream`.

A good response is given out as soon as its head is read; its slot is held until the body was read or closed, or nobody has
the outcome any more. The deadline of the attempt ends at the head; from there each read may take that long.

A loop that reads no bodies must not wait for itself: what it holds unread would hold the slots that the next outcomes need.
"""

from __future__ import annotations

import asyncio
import weakref
from contextlib import aclosing, suppress
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from fastreq_jupyter.engine.body import Body, iter_body
from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.model import Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence

    from fastreq_jupyter.backends import Stream
    from fastreq_jupyter.engine.attempt import Job
    from fastreq_jupyter.engine.run import Run
    from fastreq_jupyter.model import Attempt, Link, Request, Response
    from fastreq_jupyter.options import Options
    from fastreq_jupyter.policy import Head

_LOOK = 0.2
"""Seconds a reader waits for the next outcome before it is looked whether its own unread ones are in the way."""


class _OpenBody:
    """The body of one response between the worker, who keeps the slot, and the outcome that the user has.

    Args:
        body: Decoded, as it arrives.
        seconds: For which a chunk may take to come.
        keep: What was read is kept: the next page is derived from it.

    Attributes:
        chunks: What the reader gets.
        read: What it got, where that is kept.
        complete: It was read to its end.
    """

    def __init__(self, body: AsyncGenerator[bytes, None], seconds: float, *, keep: bool) -> None:
        self._body = body
        self._seconds = seconds
        self._keep = keep
        self.chunks = self._arriving()
        self.read: list[bytes] = []
        self.size_bytes = 0
        self.begun = self.complete = False
        self.failure: BackendError | None = None
        self.closed = asyncio.Event()

    def let_go(self, failure: BackendError | None = None) -> None:
        """Release the slot; later reads raise the failure."""
        if not self.closed.is_set():
            self.failure = self.failure or failure
            self.closed.set()

    async def _arriving(self) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._body) as chunks:
            while True:
                try:
                    async with asyncio.timeout(self._seconds):
                        chunk = await anext(chunks, None)
                except TimeoutError:
                    raise BackendError("timeout", f"no byte of the body within {self._seconds:g} s") from None
                if chunk is None:
                    self.complete = True
                    return
                self.size_bytes += len(chunk)
                if self._keep:
                    self.read.append(chunk)
                yield chunk


class StreamedOutcome:
    """One request of a streaming run: its head at once, its body as it arrives.

    Attributes:
        position: Place in the input, from 0.
        request: What was asked.
        response: The head, without a body; None where no response came.
        error, error_detail: Why there is no body; None when good.
        attempts: Earlier tries of this request.
        link: Which page of which request it is, where pages are followed, else None.
    """

    def __init__(self, outcome: Outcome, open_body: _OpenBody | None = None) -> None:
        self.position: int = outcome.position
        self.request: Request = outcome.request
        self.response: Response | None = outcome.response
        self.error: str | None = outcome.error
        self.error_detail: str | None = outcome.error_detail
        self.attempts: Sequence[Attempt] = outcome.attempts
        self.link: Link | None = outcome.link
        self._open_body = open_body

    @property
    def ok(self) -> bool:
        """Tell whether the status is below 400; the body may still break off, which its reader is told."""
        return self.error is None

    @property
    def status(self) -> int | None:
        """Return the status code, or None where no response came."""
        return None if self.response is None else self.response.status

    @property
    def page(self) -> int | None:
        """Return the number of the page, from 1, where pages are followed."""
        return None if self.link is None else self.link.page

    @property
    def size_bytes(self) -> int:
        """Return how much of the body was read."""
        return 0 if self._open_body is None else self._open_body.size_bytes

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        """Give the body in pieces, content coding removed; gives nothing for a failed request or a second time.

        Raises:
            BackendError: The body broke off, was malformed or too large, nothing came for the time of `timeout`, or the
                stream was left before.
        """
        open_body = self._open_body
        if open_body is None:
            return
        if open_body.closed.is_set():
            if open_body.failure is not None:
                raise BackendError(open_body.failure.kind, open_body.failure.detail)
            return
        open_body.begun = True
        try:
            async for chunk in open_body.chunks:
                yield chunk
        except BackendError as error:
            open_body.failure = error
            raise
        finally:
            await self.aclose()

    async def read(self) -> bytes:
        """Return the whole body.

        Raises:
            BackendError: As `aiter_bytes`.
        """
        return b"".join([chunk async for chunk in self.aiter_bytes()])

    async def aclose(self) -> None:
        """Give the slot back; what was not read is lost. Can be called twice."""
        if self._open_body is not None and not self._open_body.closed.is_set():
            await self._open_body.chunks.aclose()
            self._open_body.let_go()

    def __repr__(self) -> str:
        return f"<StreamedOutcome {self.position} {self.error or self.status} {self.request!r}>"


class Handoffs:
    """The queue of what a streaming run gives out, in order of completion.

    Attributes:
        left: The reader came to the end while it has outcomes that it may yet read: the run goes on for these.
        links: Which page of which request a row is, by position.
    """

    def __init__(self, options: Options) -> None:
        self.abandoned = False
        self.links: Mapping[int, Link] = {}
        self._options = options
        self._queue: asyncio.Queue[StreamedOutcome | None] = asyncio.Queue()
        self._handed_out: set[int] = set()
        self._open: set[_OpenBody] = set()

    async def take_over(self, job: Job, stream: Stream, head: Head) -> Body:
        """Give out the outcome of an attempt whose head is read; return when the reader of its body is done."""
        # From here on each read has its own timeout.
        job.begun = inf
        job.handed = True
        body = iter_body(stream, head, method=job.request.method, max_body=self._options.max_body)
        paged = self._options.pages is not None
        open_body = _OpenBody(body, self._options.attempt_timeout, keep=paged)
        outcome = Outcome(job.position, job.request, attempts=job.attempts, response=job.response, link=self.links.get(job.position))
        self._handed_out.add(job.position)
        self._open.add(open_body)
        self._queue.put_nowait(_watched(StreamedOutcome(outcome, open_body), open_body))
        try:
            await open_body.closed.wait()
        finally:
            self._open.discard(open_body)
            open_body.let_go(BackendError("cancelled", "the stream was left before this body was read"))
            await open_body.chunks.aclose()
        if open_body.failure is not None:
            raise BackendError(open_body.failure.kind, open_body.failure.detail)
        if paged and not open_body.complete:
            job.notes = (*job.notes, "not read to the end: which pages follow is not known")
        return Body(b"".join(open_body.read) if paged and open_body.complete else None, open_body.size_bytes)

    def keep(self, outcome: Outcome) -> None:
        """Queue the outcome of a request whose body was not given out."""
        if outcome.position not in self._handed_out:
            self._queue.put_nowait(StreamedOutcome(outcome))

    def end(self) -> None:
        """Tell the reader that nothing more comes."""
        self._queue.put_nowait(None)

    async def arriving(self, run: Run) -> AsyncIterator[StreamedOutcome]:
        """Yield outcomes from the queue until the run is over, or only waits for its reader."""
        while (outcome := await self._next(run)) is not None:
            yield outcome
            # A reference to an outcome occupies its slot.
            del outcome

    async def _next(self, run: Run) -> StreamedOutcome | None:
        patience = self._options.attempt_timeout
        since = monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    return await self._queue.get()
            if not self._queue.empty():
                continue
            if any(open_body.begun for open_body in self._open) or not self._open:
                since = monotonic()
            elif self._options.pages is None and _complete(run, len(self._open)):
                self.abandoned = True
                asyncio.get_running_loop().call_later(patience, self._expire)
                return None
            elif monotonic() - since > patience:
                self._expire()

    def _expire(self) -> None:
        """Release the bodies that nobody began to read."""
        for body in [body for body in self._open if not body.begun]:
            body.let_go(BackendError("timeout", f"nobody began to read this body within {self._options.attempt_timeout:g} s"))


def _watched(outcome: StreamedOutcome, open_body: _OpenBody) -> StreamedOutcome:
    """Return the outcome; its slot is released when it is garbage collected."""
    loop = asyncio.get_running_loop()

    def drop() -> None:
        # Garbage collection may run on any thread, also after the loop was closed.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(open_body.let_go)

    weakref.finalize(outcome, drop).atexit = False
    return outcome


def _complete(run: Run, unread: int) -> bool:
    """Tell whether all requests are finished but those whose bodies wait for a reader."""
    done, total = run.progress.done, run.progress.total
    if total is None and (run.error is not None or run.summary()["source_exhausted"]):
        total = len(run.rows)
    return total is not None and done + unread >= total
