"""One handle of libcurl, and the answer that it fills."""

from __future__ import annotations

import asyncio
from math import isnan, nan
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pycurl

from fastreq_jupyter.backends import base
from fastreq_jupyter.backends.curl.words import FOREVER_MS, answer_fields, failure_of, status_line
from fastreq_jupyter.backends.wire import MAX_INTERIM, SWITCHING, switched_protocols, too_many_interim
from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.model import IDEMPOTENT

if TYPE_CHECKING:
    from fastreq_jupyter.backends.base import Exchange
    from fastreq_jupyter.backends.curl.session import CurlBackend, Server
    from fastreq_jupyter.timing import Timing

__all__ = ["CurlStream", "Handle"]

MOST_UNREAD = 256 * 1024
"""Bytes of a body that wait for their reader before libcurl stops reading from the network."""
_LONGEST_BLANK = 2
_BODYLESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class Handle:
    """An easy handle: told once what holds for the whole session, then only what differs from its last request.

    Attributes:
        stream: The answer in the making, None while the handle is free.
        lines: What has come of its head.
    """

    __slots__ = ("_backend", "_told", "curl", "lines", "stream")

    def __init__(self, backend: CurlBackend) -> None:
        self.curl: Any = pycurl.Curl()
        self.curl.handle = self
        self.stream: CurlStream | None = None
        self.lines: list[bytes] = []
        self._backend = backend
        self._told: dict[int, Any] = {}
        for option, value in (
            (pycurl.HEADERFUNCTION, self._on_header),
            (pycurl.WRITEFUNCTION, self._on_body),
            (pycurl.PREREQFUNCTION, self._may_send),
            (pycurl.DEBUGFUNCTION, self._on_note),
            *backend.settings,
        ):
            self.curl.setopt(option, value)

    def start(self, stream: CurlStream, exchange: Exchange, fields: tuple[bytes, ...]) -> None:
        """Tell libcurl what this exchange has that the last one had not."""
        self.stream = stream
        self.lines = []
        server, told, limit = stream.server, self._told, exchange.connect_timeout
        self.curl.setopt(pycurl.REQUEST_TARGET, stream.target)
        if told.get(pycurl.URL) is not server.url:
            self._tell(pycurl.URL, server.url)
        if told.get(pycurl.HTTPHEADER) is not fields:
            self._tell(pycurl.HTTPHEADER, fields)
        if exchange.content or told.get(pycurl.CUSTOMREQUEST) != exchange.method:
            self._set_method(exchange.method, exchange.content)
        if server.encrypted or pycurl.VERBOSE in told:
            # Only libcurl's notes tell which protocol was agreed on, and whether a stream was refused.
            notes = stream.scout is not None or (server.multiplexed is True and not stream.idempotent)
            if told.get(pycurl.VERBOSE) != notes:
                self._tell(pycurl.VERBOSE, notes)
            if told.get(pycurl.PIPEWAIT) != server.multiplexed:
                self._tell(pycurl.PIPEWAIT, bool(server.multiplexed))
        if exchange.fresh or pycurl.FRESH_CONNECT in told:
            self._tell(pycurl.FRESH_CONNECT, exchange.fresh)
        if limit is not None or pycurl.CONNECTTIMEOUT_MS in told:
            self._tell(pycurl.CONNECTTIMEOUT_MS, FOREVER_MS if limit is None else max(1, round(limit * 1000)))
        if server.line and not server.loaded:
            self.curl.setopt(pycurl.RESOLVE, [server.line])

    def _tell(self, option: int, value: Any) -> None:
        if self._told.get(option) != value:
            self._told[option] = value
            self.curl.setopt(option, value)

    def _set_method(self, method: str, content: bytes | None) -> None:
        curl = self.curl
        if content or method not in _BODYLESS:
            curl.setopt(pycurl.POST, 1)
            curl.setopt(pycurl.POSTFIELDS, content or b"")
        else:
            # Takes back what the handle was told of a body, or of HEAD.
            curl.setopt(pycurl.HTTPGET, 1)
            if method == "HEAD":
                curl.setopt(pycurl.NOBODY, 1)
        if method in ("GET", "HEAD") and not content:
            curl.unsetopt(pycurl.CUSTOMREQUEST)
        else:
            curl.setopt(pycurl.CUSTOMREQUEST, method)
        self._told[pycurl.CUSTOMREQUEST] = None if content else method

    def _on_header(self, line: bytes) -> int | None:
        if len(line) > _LONGEST_BLANK:
            self.lines.append(line)
            return None
        stream = self.stream
        if stream is None or stream.has_head or not stream.asked or not self.lines:
            # Trailers, or a proxy's answer to CONNECT.
            self.lines = []
            return None
        lines, self.lines = self.lines, []
        return stream.end_head(lines)

    def _on_body(self, chunk: bytes) -> Any:
        stream = self.stream
        if stream is None:
            return -1
        if not stream.has_head:
            # What a proxy says to a CONNECT that it refuses.
            return None
        if stream.size > MOST_UNREAD:
            stream.paused = True
            return pycurl.WRITEFUNC_PAUSE
        stream.chunks.append(chunk)
        stream.size += len(chunk)
        if stream.waiter is not None:
            stream.wake()
        return None

    def _may_send(self, _there: str, _here: str, _port: int, local_port: int) -> Any:
        """Answer libcurl, which has a connection and is about to send."""
        stream = self.stream
        if stream is None:
            return pycurl.PREREQFUNC_ABORT
        if stream.scout is not None and not stream.report():
            return pycurl.PREREQFUNC_ABORT
        kept, multiplexed = self._backend.kept.get(local_port), stream.server.multiplexed
        if stream.asked:
            # libcurl's own second try, after a kept connection that died.
            good = stream.idempotent and stream.asked == 1 and (kept is None or multiplexed)
        else:
            # libcurl looks at a kept connection only after a second: an answer that nobody asked for may wait there.
            good = kept is None or multiplexed or not kept()
        if not good:
            return pycurl.PREREQFUNC_ABORT
        stream.asked += 1
        stream.port = local_port
        stream.sent_at = perf_counter()
        stream.server.loaded = True
        return pycurl.PREREQFUNC_OK

    def _on_note(self, kind: int, words: bytes) -> None:
        stream = self.stream
        if kind != pycurl.INFOTYPE_TEXT or stream is None:
            return
        if b"refused by server" in words:
            # RFC 9113, 8.7: nothing was done with it, so that sending does not count.
            stream.asked = 0
        elif words.startswith(b"ALPN: server"):
            # The last of them is the origin's; one before may be that of a proxy.
            stream.agreed = b"accepted h2" in words


class CurlStream(base.Stream):
    """The answer of one exchange, filled by libcurl's callbacks.

    Attributes:
        asked: How often libcurl asked whether it may send, and was told yes.
        dead: Kept connections that were found dead meanwhile.
        agreed: HTTP/2 was, by the first connection to a server; None where it had no choice.
        scout: Set when `agreed` is known; None where others have found out.
        port: Local port of the connection.
        paused: libcurl waits until what came was read.
    """

    __slots__ = (
        "_backend", "_handle", "_only_head", "_timing", "agreed", "asked", "chunks", "dead", "done", "failure", "has_head",
        "idempotent", "interim", "paused", "port", "proxied", "reused", "scout", "sent_at", "server", "size", "target",
        "timeout", "waiter",
    )  # fmt: skip

    def __init__(self, backend: CurlBackend, handle: Handle, server: Server, exchange: Exchange, timing: Timing) -> None:
        proxy, target = backend.proxy, exchange.target
        self._backend = backend
        self._handle: Handle | None = handle
        self._timing = timing
        self.waiter: asyncio.Future[None] | None = None
        # libcurl would wait for the body of an answer to a HEAD that has one itself.
        self._only_head = exchange.method == "HEAD" and bool(exchange.content)
        self.server = server
        self.proxied = proxy is not None
        absolute = proxy is not None and proxy.scheme in ("http", "https") and not server.encrypted
        self.target = target.url if absolute else target.path_query
        self.timeout = exchange.connect_timeout
        self.idempotent = exchange.method in IDEMPOTENT
        self.asked = self.dead = self.port = self.interim = self.size = 0
        self.sent_at = nan
        self.agreed: bool | None = None
        self.scout: asyncio.Event | None = None
        if server.multiplexed is None:
            self.scout = server.scout = asyncio.Event()
        self.reused = self.has_head = self.paused = self.done = False
        self.chunks: list[bytes] = []
        self.failure: BackendError | None = None

    def take(self) -> bytes | None:
        """Return the whole raw body if its end has arrived already (see `Stream.take`)."""
        if not self.done:
            return None
        if self.failure is not None:
            raise self.failure
        return self._taken()

    async def read(self) -> bytes:
        """Return the raw bytes that have come (see `Stream.read`)."""
        while not self.chunks and not self.done:
            self._resume()
            await self.wait()
        if not self.chunks and self.failure is not None:
            raise self.failure
        content = self._taken()
        self._resume()
        return content

    def close(self) -> None:
        """End the exchange (see `Stream.close`)."""
        handle, self._handle = self._handle, None
        if handle is not None and not self.done:
            self._mark(handle)
            self.fail(BackendError("connect", f"{self.server.where}: closed"))
            self._backend.release(handle)

    async def wait(self) -> None:
        """Wait for the next news of libcurl."""
        self.waiter = asyncio.get_running_loop().create_future()
        await self.waiter

    def wake(self) -> None:
        """End the wait, if there is one."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def end_head(self, lines: list[bytes]) -> int | None:
        """Read the head that has come; -1 ends the transfer."""
        version, status, reason = status_line(lines[0])
        if 100 <= status < 200:  # noqa: PLR2004 - RFC 9110, 15.2
            self.interim += 1
            if self.interim <= MAX_INTERIM and status != SWITCHING:
                return None
            self.failure = switched_protocols() if status == SWITCHING else too_many_interim()
            return -1
        self.http_version, self.status, self.reason = version, status, reason
        self.fields = answer_fields(lines)
        self.has_head = True
        if self.server.encrypted:
            self.server.multiplexed = version in ("2", "3")
        self.wake()
        return -1 if self._only_head else None

    def report(self) -> bool:
        """Tell the others what the first connection to a server has found; False where that is too little."""
        server, scout, self.scout = self.server, self.scout, None
        good = self._backend.http2 is not True or self.agreed is not False
        if good and self.agreed is not None:
            server.multiplexed = self.agreed
        elif not good:
            self.failure = BackendError("protocol", f"{server.where}: the server does not speak HTTP/2", sent=False)
        if scout is not None:
            server.scout = None
            scout.set()
        return good

    def end(self, code: int, words: str) -> None:
        """Take note of how libcurl ended."""
        if self.scout is not None:
            self.report()
        if self._handle is not None:
            self._mark(self._handle)
            if (code or not self.has_head) and self.failure is None and not (self._only_head and self.has_head):
                self.failure = failure_of(self, code, words, self._handle.curl.getinfo(pycurl.OS_ERRNO))
        self._handle = None
        self.done = True
        self.wake()

    def fail(self, error: BackendError) -> None:
        """End with an error of ours."""
        if self.scout is not None:
            self.report()
        self.failure = self.failure or error
        self.done = True
        self.wake()

    def _taken(self) -> bytes:
        chunks, self.chunks, self.size = self.chunks, [], 0
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _resume(self) -> None:
        if self.paused and self._handle is not None:
            self.paused = False
            self._handle.curl.pause(pycurl.PAUSE_CONT)

    def _mark(self, handle: Handle) -> None:
        """Write libcurl's clocks, which count from the start of the transfer, into the timing."""
        timing, info = self._timing, handle.curl.getinfo
        timing.encrypted = self.server.encrypted
        if not self.asked:
            return
        timing.request_start = self.sent_at
        start = self.sent_at - info(pycurl.PRETRANSFER_TIME)
        if first := info(pycurl.STARTTRANSFER_TIME):
            timing.response_start = start + first
        self.reused = timing.reused = not info(pycurl.NUM_CONNECTS)
        if self.reused:
            return
        looked_up, connected, secured = info(pycurl.NAMELOOKUP_TIME), info(pycurl.CONNECT_TIME), info(pycurl.APPCONNECT_TIME)
        if isnan(timing.domain_lookup_end) and "dns" in self._backend.phases:
            timing.domain_lookup_start, timing.domain_lookup_end = start, start + looked_up
        timing.connect_start, timing.connect_end = start + looked_up, start + (secured or connected)
        if secured:
            timing.secure_connection_start = start + connected
