"""One connection, spoken on by niquests' protocol engine (HTTP/1.1 by h11, HTTP/2 by jh2), which does no I/O itself.

An exchange at a time, as niquests does when it is not told to multiplex: so a slow reader stops its own connection only.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.backends.niquests_engine import (
    ConnectionTerminated,
    DataReceived,
    EarlyHeadersReceived,
    Engine,
    HeadersReceived,
    StreamResetReceived,
)
from fastreq_jupyter.backends.sockets import watch
from fastreq_jupyter.backends.wire import MAX_INTERIM, SWITCHING, connect_error, switched_protocols, too_many_interim
from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastreq_jupyter.backends.niquests_engine import Fields, Head
    from fastreq_jupyter.timing import Timing

__all__ = ["Wire"]

# Body bytes held for a reader that is slow, before the connection is told to wait.
HELD_BYTES = 512 * 1024
CHUNK_BYTES = 64 * 1024


class Wire(asyncio.Protocol):
    """Be a connection's protocol: bytes in, events out, one exchange at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._speaker: Engine | None = None
        self._engine: Any = None
        self._events: deque[Any] = deque()
        self._held = 0
        self._paused = False
        self._readable: Callable[[], bool] | None = None
        self._stream: int | None = None
        self._news: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._marks: Timing | None = None
        self._began = False
        self._dirty = False
        self._lost = False
        self._why: BaseException | None = None
        self.multiplexed = False
        self.used = False
        self.idle_since = 0.0
        self.closed = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the engine that the handshake chose."""
        self._transport = transport
        sock = transport.get_extra_info("socket")
        self._readable = None if sock is None else watch(sock.fileno())
        secured = transport.get_extra_info("ssl_object")
        self.multiplexed = secured is not None and secured.selected_alpn_protocol() == "h2"
        speaker = self._speaker = Engine(multiplexed=self.multiplexed)
        self._engine = speaker.protocol
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Feed the engine."""
        self._began = True
        if self._marks is not None and not self.multiplexed:
            self._marks.response_start = perf_counter()
            self._marks = None
        if self._stream is None and not self.multiplexed:
            # Nobody asked: this connection cannot be trusted any more.
            self.discard()
            return
        try:
            self._engine.bytes_received(data)
        except self._engine.exceptions() as error:
            self._why = error
            self.discard()
        self._collect()

    def eof_received(self) -> None:
        """Let the engine decide whether an answer that ends with the connection is whole."""
        if self._engine is not None:
            try:
                self._engine.eof_received()
            except self._engine.exceptions() as error:
                self._why = error
            self._collect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self._lost = True
        self._why = self._why or exc
        self._writable.set()
        self._wake()
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        """Let an upload wait."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let an upload go on."""
        self._writable.set()

    @property
    def reusable(self) -> bool:
        """Tell whether another exchange may start here."""
        if self._lost or self._dirty or self._transport is None or self._transport.is_closing():
            return False
        leftover = self._speaker is not None and self._speaker.leftover
        return not leftover and not self._engine.has_expired() and bool(self._engine.is_available())

    @property
    def spent(self) -> bool:
        """Tell whether an idle connection has ended in the meantime."""
        return not self.reusable or self._readable is None or self._readable()

    def discard(self) -> None:
        """Close at once, with nothing flushed."""
        self._dirty = True
        if self._transport is not None:
            self._transport.abort()

    async def send(self, fields: Fields, content: bytes | None, marks: Timing) -> None:
        """Write one request.

        Raises:
            BackendError: ``invalid value`` before anything was written; ``connect`` when the connection broke.
        """
        self.used = True
        self._events.clear()
        self._held = 0
        self._began = False
        self._marks = marks
        try:
            self._stream = self._engine.get_available_stream_id()
            self._engine.submit_headers(self._stream, fields, end_stream=not content)
        except (*self._engine.exceptions(), ValueError, RuntimeError) as error:
            self.discard()
            raise BackendError("invalid value", f"request cannot be written: {one_line(str(error))}", sent=False) from error
        marks.request_start = perf_counter()
        self._flush()
        if content:
            await self._upload(content)

    async def head(self) -> Head:
        """Return the head of the final answer.

        Raises:
            BackendError: There is none.
        """
        interim = 0
        while True:
            event = await self._next()
            if self._speaker is not None and isinstance(event, HeadersReceived | EarlyHeadersReceived):
                head = self._speaker.read_head(event.headers)
                if head.status == SWITCHING:
                    raise switched_protocols()
                if isinstance(event, HeadersReceived):
                    if event.end_stream:
                        self._events.append(DataReceived(event.stream_id, b"", end_stream=True))
                    return head
                interim += 1
                if interim > MAX_INTERIM:
                    raise too_many_interim()
            else:
                raise self._failure(event, answered=False)

    async def read(self) -> bytes:
        """Return the next bytes of the body, b"" at its end, after which `reusable` tells whether we may go on.

        Raises:
            BackendError: The body broke off.
        """
        while self._stream is not None:
            event = await self._next()
            if isinstance(event, DataReceived):
                self._held -= len(event.data)
                if self._paused and self._held < HELD_BYTES:
                    self._paused = False
                    self._transport.resume_reading()
                if event.end_stream:
                    self._finish()
                if event.data:
                    return bytes(event.data)
            elif isinstance(event, HeadersReceived):
                # Trailers: nobody asked for them.
                if event.end_stream:
                    self._finish()
            else:
                raise self._failure(event, answered=True)
        return b""

    def _finish(self) -> None:
        self._stream = None
        self._marks = None
        self._flush()
        if self._events:
            self._dirty = True

    async def _upload(self, content: bytes) -> None:
        stream = self._stream
        view = memoryview(content)
        at = 0
        while at < len(view):
            size = min(CHUNK_BYTES, self._engine.max_frame_size()) if self.multiplexed else CHUNK_BYTES
            part = view[at : at + size]
            if self.multiplexed and self._engine.should_wait_remote_flow_control(stream, len(part)):
                await self._wait()
            else:
                at += len(part)
                self._engine.submit_data(stream, bytes(part), end_stream=at == len(view))
                self._flush()
                await self._writable.wait()
            if self._lost or any(isinstance(event, HeadersReceived | ConnectionTerminated | StreamResetReceived) for event in self._events):
                # Answered (or refused) before the end: what follows would be for nobody.
                self._dirty = self._dirty or at < len(view)
                return

    async def _next(self) -> Any:
        while not self._events:
            if self._lost:
                return None
            await self._wait()
        return self._events.popleft()

    async def _wait(self) -> None:
        self._news = self._loop.create_future()
        if self._lost:
            return
        try:
            await self._news
        finally:
            self._news = None

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _collect(self) -> None:
        for event in self._engine.events():
            stream = getattr(event, "stream_id", None)
            if stream is not None and stream != self._stream:
                self._dirty = self._dirty or not self.multiplexed
                continue
            if stream is None and not isinstance(event, ConnectionTerminated):
                continue
            if self._marks is not None and self.multiplexed and stream is not None:
                self._marks.response_start = perf_counter()
                self._marks = None
            self._events.append(event)
            self._held += len(getattr(event, "data", b""))
        if self._held > HELD_BYTES and not self._paused and not self._lost:
            self._paused = True
            self._transport.pause_reading()
        self._flush()
        self._wake()

    def _flush(self) -> None:
        while data := self._engine.bytes_to_send():
            if self._transport.is_closing():
                return
            self._transport.write(data)

    def _failure(self, event: Any, *, answered: bool) -> BackendError:
        self.discard()
        if isinstance(event, StreamResetReceived):
            return BackendError("protocol", f"server reset the stream (code {event.error_code:#x})")
        message = getattr(event, "message", None)
        if answered:
            return BackendError("protocol", "the body broke off or was malformed")
        if message is not None and self._began:
            return BackendError("protocol", f"malformed answer: {one_line(str(message), 120)}")
        if isinstance(self._why, ssl.SSLError):
            return connect_error(self._why, "connection ended")
        return BackendError("connect", "connection closed before an answer")
