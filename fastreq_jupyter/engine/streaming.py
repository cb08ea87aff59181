"""Hand bodies to the user while they arrive: `fastreq_stream`.

A good response is given out as soon as its head is read; its slot is held until the body was read or closed. The deadline
of the attempt ends at the head; from there each read may take that long.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from fastreq_jupyter.engine.sink import Body, iter_body
from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.model import Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from fastreq_jupyter.backends.base import Stream
    from fastreq_jupyter.engine.attempt import Handoff, Trial
    from fastreq_jupyter.engine.deadline import Deadline
    from fastreq_jupyter.engine.lane import Job
    from fastreq_jupyter.model import Attempt, Request, Response
    from fastreq_jupyter.options import Options

__all__ = ["Handoffs", "StreamedOutcome"]


class StreamedOutcome:
    """Hold one request of a streaming run: its head at once, its body as it arrives.

    Attributes:
        position: Place in the input, from 0.
        request: What was asked.
        response: The head, without a body; None where no response came.
        error, error_detail: Why there is no body; None when good.
        attempts: Earlier tries of this request.
    """

    def __init__(self, outcome: Outcome, body: AsyncGenerator[bytes, None] | None = None) -> None:
        self.position: int = outcome.position
        self.request: Request = outcome.request
        self.response: Response | None = outcome.response
        self.error: str | None = outcome.error
        self.error_detail: str | None = outcome.error_detail
        self.attempts: tuple[Attempt, ...] = outcome.attempts
        self.size_bytes = 0
        self.failure: BackendError | None = None
        self.closed = asyncio.Event()
        self._body = body
        if body is None:
            self.closed.set()

    @property
    def ok(self) -> bool:
        """Tell whether the status is below 400; the body may still break off, which its reader is told."""
        return self.error is None

    @property
    def status(self) -> int | None:
        """Return the status code, or None where no response came."""
        return None if self.response is None else self.response.status

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        """Give the body in pieces, content coding removed; gives nothing for a failed request or a second time.

        Raises:
            BackendError: The body broke off, was malformed, too large, or nothing came for the time of `timeout`.
        """
        if self._body is None or self.closed.is_set():
            return
        try:
            async for chunk in self._body:
                self.size_bytes += len(chunk)
                yield chunk
        except BackendError as error:
            self.failure = error
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
        if self._body is not None and not self.closed.is_set():
            await self._body.aclose()
        self.closed.set()

    def __repr__(self) -> str:
        return f"<StreamedOutcome {self.position} {self.error or self.status} {self.request!r}>"


class Handoffs:
    """Queue what a streaming run gives out, in order of completion.

    Args:
        options: Of the run.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._queue: asyncio.Queue[StreamedOutcome | None] = asyncio.Queue()
        self._given: set[int] = set()

    def of(self, job: Job, deadline: Deadline) -> Handoff:
        """Return what takes over the body of one attempt."""

        async def take_over(response: Response, stream: Stream, trial: Trial) -> Body:
            deadline.stop()
            body = _timed(iter_body(stream, method=job.request.method, max_body=self._options.max_body), self._options.attempt_timeout)
            head = Outcome(job.position, job.request, attempts=tuple(job.attempts), response=response)
            given = StreamedOutcome(head, body)
            trial.handed = True
            self._given.add(job.position)
            self._queue.put_nowait(given)
            try:
                await given.closed.wait()
            finally:
                given.closed.set()
                await body.aclose()
            if given.failure is not None:
                raise BackendError(given.failure.kind, given.failure.detail)
            return Body(None, given.size_bytes)

        return take_over

    def keep(self, outcome: Outcome) -> None:
        """Queue the outcome of a request whose body was not given out."""
        if outcome.position not in self._given:
            self._queue.put_nowait(StreamedOutcome(outcome))

    def end(self) -> None:
        """Tell the reader that nothing more comes."""
        self._queue.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[StreamedOutcome]:
        """Give out what the queue holds until the run is over."""
        while (given := await self._queue.get()) is not None:
            yield given


async def _timed(body: AsyncIterator[bytes], seconds: float) -> AsyncGenerator[bytes, None]:
    """Give the chunks of a body; one that takes longer than `seconds` to come ends it."""
    async with aclosing(body) as chunks:  # type: ignore[type-var]
        while True:
            try:
                async with asyncio.timeout(seconds):
                    chunk = await anext(chunks, None)
            except TimeoutError:
                raise BackendError("timeout", f"no byte of the body within {seconds:g} s") from None
            if chunk is None:
                return
            yield chunk
