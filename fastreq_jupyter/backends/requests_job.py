"""One exchange on a thread, watched from the loop: the head, then the body piece by piece, and the cord to pull."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.errors import BackendError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from fastreq_jupyter.backends.requests_line import Answer, Line

__all__ = ["Job"]

# Body bytes held for a reader that is slow, before the thread waits.
HELD_BYTES = 512 * 1024


class Job:
    """Run one blocking exchange.

    Args:
        loop: Where it is awaited.
        line: The connection, which is the job's until it is done.
        exchange: Sends and returns the response with its head read; runs on the thread.
        finished: Called on the loop when the thread has let go of the connection.

    Attributes:
        done: Set then too.
        whole: The body was read to its end.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        line: Line,
        *,
        exchange: Callable[[], Answer],
        finished: Callable[[Job], None],
    ) -> None:
        self.line = line
        self.done: asyncio.Future[None] = loop.create_future()
        self.whole = False
        self._loop = loop
        self._exchange = exchange
        self._finished = finished
        self._response: Answer | None = None
        self._parts: deque[bytes] = deque()
        self._error: BackendError | None = None
        self._news: asyncio.Future[None] | None = None
        self._room = threading.Condition()
        self._held = 0
        self._cut = False

    def run(self) -> None:
        """Do the exchange; called on the thread."""
        try:
            self._perform()
        except BackendError as error:
            self.line.discard()
            self._tell(self._ended, error)
        except Exception as error:  # noqa: BLE001 - a thread's error must reach the one who waits
            self.line.discard()
            self._tell(self._ended, BackendError("protocol", type(error).__name__))

    def cancel(self) -> None:
        """End the exchange at once, its socket included; called on the loop."""
        self.line.cut()
        with self._room:
            self._cut = True
            self._room.notify()

    async def head(self) -> Answer:
        """Return the response when its head is read.

        Raises:
            BackendError: There is none.
        """
        while self._response is None:
            if self._error is not None:
                raise self._error
            await self._wait()
        return self._response

    async def read(self) -> bytes:
        """Return the next bytes of the body, b"" at its end.

        Raises:
            BackendError: The body broke off.
        """
        while not self._parts:
            if self._error is not None:
                raise self._error
            if self.whole:
                return b""
            await self._wait()
        data = self._parts.popleft()
        with self._room:
            self._held -= len(data)
            self._room.notify()
        return data

    def _perform(self) -> None:
        if self._cut:
            raise BackendError("connect", "cancelled", sent=False)
        response = self._exchange()
        self._tell(self._answered, response)
        while data := self.line.read():
            with self._room:
                self._held += len(data)
                self._tell(self._arrived, data)
                self._room.wait_for(lambda: self._held <= HELD_BYTES or self._cut)
        self._tell(self._ended, None)

    def _tell(self, what: Callable[[Any], None], value: object) -> None:
        try:
            self._loop.call_soon_threadsafe(what, value)
        except RuntimeError:
            # The loop is closed: nobody waits any more.
            self.line.discard()

    def _answered(self, response: Answer) -> None:
        self._response = response
        self._wake()

    def _arrived(self, data: bytes) -> None:
        self._parts.append(data)
        self._wake()

    def _ended(self, error: BackendError | None) -> None:
        self._error = error
        self.whole = error is None
        if not self.done.done():
            self.done.set_result(None)
        self._finished(self)
        self._wake()

    async def _wait(self) -> None:
        self._news = self._loop.create_future()
        try:
            await self._news
        finally:
            self._news = None

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
