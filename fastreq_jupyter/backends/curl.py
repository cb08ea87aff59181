"""The curl backend: libcurl's multi interface (through pycurl) on the running event loop, without a thread.

libcurl tells which sockets it waits for and when it wants to be called (`M_SOCKETFUNCTION`, `M_TIMERFUNCTION`); the loop
does the waiting. What libcurl must not do by itself is switched off once per handle, in `_Handle`.

libcurl sends a request again when a kept connection dies under it, POST included. It asks before each sending
(`PREREQFUNCTION`), so it can be told no: an unsafe request never goes out twice, others only on a connection that is new.
"""

from __future__ import annotations

import asyncio
import os
import re
import select
import sys
from functools import lru_cache
from math import inf, nan
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any

import pycurl

from fastreq_jupyter.backends import base
from fastreq_jupyter.backends.proxy import proxy_error, read_proxy
from fastreq_jupyter.backends.resolver import Resolver
from fastreq_jupyter.backends.sockets import watch
from fastreq_jupyter.backends.trust import authorities, client_context
from fastreq_jupyter.backends.wire import MAX_INTERIM, SWITCHING, framed, lookup_error, place, switched_protocols, too_many_interim
from fastreq_jupyter.errors import BackendError, OptionError
from fastreq_jupyter.model import IDEMPOTENT
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastreq_jupyter.backends.base import Exchange, SessionKey
    from fastreq_jupyter.backends.proxy import ProxyServer
    from fastreq_jupyter.errors import ErrorKind
    from fastreq_jupyter.response import Headers
    from fastreq_jupyter.timing import Timing
    from fastreq_jupyter.url import Origin

__all__ = ["open_session"]

OLDEST = (7, 85)
"""libcurl before it lacks what is used here."""
MOST_UNREAD = 256 * 1024
"""Bytes of a body that wait for their reader before libcurl stops reading from the network."""
MOST_DEAD = 10
"""Kept connections found dead, one after the other, before a request fails for it."""
KEPT_SECONDS = 60.0
KEPT_NAMES = 4096
# A limit must be given, or libcurl ends a connection attempt after 300 s; deadlines are the engine's.
_FOREVER_MS = 2**31 - 1
# Not in pycurl's list of names.
_E_PROXY, _E_SSL_CLIENTCERT = 97, 98
_BLANK = (b"\r\n", b"\n")
_LITERAL = re.compile(r"[0-9.]+|.*:.*")
_VERSIONS = {b"HTTP/1.0": "1.0", b"HTTP/1.1": "1.1", b"HTTP/2": "2", b"HTTP/3": "3"}


def open_session(key: SessionKey) -> CurlBackend:
    """Open a session on the running loop.

    Raises:
        OptionError: libcurl is too old or poor, or cannot do what the key asks for; a proxy or certificate cannot be read.
    """
    if why := why_poor(http2=key.http2 is True, http3=key.http3):
        raise OptionError(why)
    return CurlBackend(key)


def why_poor(*, http2: bool = False, http3: bool = False) -> str | None:
    """Return in one line why this libcurl cannot be used, None where it can.

    Args:
        http2: HTTP/2 is required.
        http3: HTTP/3 is required.
    """
    words = pycurl.version_info()
    features, release = words[4], tuple(int(part) for part in words[1].split("-")[0].split(".")[:2])
    if release < OLDEST or not features & pycurl.VERSION_SSL:
        return f"backend='curl' needs libcurl 7.85 or newer with TLS, this is {words[1]}: pip install 'fastreq-jupyter[curl]'"
    for wanted, feature, option in ((http2, pycurl.VERSION_HTTP2, "http2=True"), (http3, pycurl.VERSION_HTTP3, "http3=True")):
        if wanted and not features & feature:
            return f"{option} is not possible with this build of libcurl, {words[1]}: give backend='niquests'"
    return None


class CurlBackend:
    """One session on one loop: libcurl's connections, and the handles that are not in use."""

    name = "curl"

    def __init__(self, key: SessionKey) -> None:
        self._key = key
        self._proxy = read_proxy(key.proxy)
        if key.cert is not None or isinstance(key.verify, str):
            # Read once by OpenSSL in Python: what cannot be read is told now, in our words.
            client_context(key)
        socks = self._proxy is not None and self._proxy.scheme.startswith("socks")
        self.phases = frozenset({"dns", "connect", "tls", "wait", "receive"} - ({"dns"} if socks else set()))
        self._resolver = Resolver()
        self._names: dict[tuple[str, int], _Name] = {}
        self._servers: dict[Origin, _Server] = {}
        self._free: list[_Handle] = []
        self._active: set[_Handle] = set()
        self._kept: dict[int, tuple[int, Callable[[], bool]]] = {}
        self._reserved = 0
        self._closed = False
        self._driver = _Driver(self._finished)
        self._multi = self._driver.multi
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self._multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, 1000)
        self.reserve(20)

    def reserve(self, concurrency: int) -> None:
        """Prepare for a run with so many requests in flight (see `Backend.reserve`)."""
        if concurrency > self._reserved:
            self._reserved = concurrency
            self._multi.setopt(pycurl.M_MAXCONNECTS, 2 * concurrency)

    async def send(self, exchange: Exchange, timing: Timing) -> CurlStream:
        """Send one request, return when the final head is read (see `Backend.send`)."""
        origin = exchange.target.origin
        server = self._servers.get(origin) or self._server(exchange)
        fields = _field_lines(exchange)
        resolve = None
        if server.name is not None and not (server.name.loaded and server.name.expires > monotonic()):
            resolve = await self._resolved(server.name, exchange.connect_timeout, timing)
        if self._closed:
            raise BackendError("connect", f"{server.where}: the session is closed", sent=False)
        handle = self._free.pop() if self._free else _Handle(self._key, self._proxy, self._kept)
        stream = CurlStream(self, handle, server, exchange, timing)
        self._active.add(handle)
        try:
            handle.start(stream, exchange, fields, resolve)
            self._multi.add_handle(handle.curl)
            await stream.wait()
        except BaseException:
            stream.close()
            raise
        if stream.failure is not None and not stream.has_head:
            raise stream.failure
        return stream

    async def aclose(self) -> None:
        """Close all connections; can be called twice."""
        if self._closed:
            return
        self._closed = True
        for handle in list(self._active):
            if (stream := handle.stream) is not None:
                stream.fail(BackendError("connect", f"{stream.server.where}: the session was closed", sent=stream.asked > 0))
                self.release(handle)
        self._driver.close()
        for handle in self._free:
            handle.curl.close()
        self._free.clear()

    def release(self, handle: _Handle) -> None:
        """Take a handle out of libcurl; a transfer that is not done takes its connection along."""
        self._active.discard(handle)
        handle.stream = None
        self._multi.remove_handle(handle.curl)
        self._free.append(handle)

    def _finished(self, handle: _Handle, code: int, message: str) -> None:
        stream = handle.stream
        if stream is None:
            return
        if code == pycurl.E_ABORTED_BY_CALLBACK and not stream.asked and stream.dead < MOST_DEAD:
            # Nothing was sent: the kept connection was dead, and is closed now. The next may be better.
            stream.dead += 1
            self._multi.remove_handle(handle.curl)
            self._multi.add_handle(handle.curl)
            return
        if stream.port and not stream.server.multiplexed:
            descriptor = handle.curl.getinfo(pycurl.ACTIVESOCKET)
            known = self._kept.get(stream.port)
            if descriptor < 0:
                self._kept.pop(stream.port, None)
            elif known is None or known[0] != descriptor:
                self._kept[stream.port] = descriptor, watch(descriptor)
        stream.end(code, message)
        self.release(handle)

    def _server(self, exchange: Exchange) -> _Server:
        framed(exchange)
        origin, proxy = exchange.target.origin, self._proxy
        if self._key.http2 is True and origin.scheme == "http":
            raise BackendError("protocol", f"{place(origin.host, origin.port)}: http2=True needs https", sent=False)
        if len(self._servers) >= KEPT_NAMES:
            self._servers.clear()
        host, port = (origin.host, origin.port) if proxy is None else (proxy.host, proxy.port)
        name = None
        if not _LITERAL.fullmatch(host):
            name = self._names.setdefault((host, port), _Name(host, port, asked_of_proxy=proxy is not None))
        server = self._servers[origin] = _Server(origin, name)
        return server

    async def _resolved(self, name: _Name, limit: float | None, timing: Timing) -> list[str]:
        """Return the entry for libcurl's own table of names, so that libcurl never asks a resolver."""
        if name.expires <= monotonic():
            timing.domain_lookup_start = perf_counter()
            try:
                addresses = await asyncio.wait_for(self._resolver.lookup(name.host, name.port), limit)
            except TimeoutError:
                where = place(name.host, name.port)
                raise BackendError("timeout", f"{where}: no address within connect_timeout, {limit:g} s", sent=False) from None
            except OSError as error:
                if name.asked_of_proxy:
                    raise proxy_error(f"cannot resolve the proxy {name.host}: {one_line(error.strerror or str(error))}") from error
                raise lookup_error(error, name.host) from error
            timing.domain_lookup_end = perf_counter()
            shown = [f"[{address.host}]" if ":" in address.host else address.host for address in addresses]
            name.line = f"{name.host}:{name.port}:{','.join(dict.fromkeys(shown))}"
            name.expires, name.loaded = monotonic() + KEPT_SECONDS, False
        return [name.line]


class _Name:
    """A host name and what it resolved to, in libcurl's words."""

    __slots__ = ("asked_of_proxy", "expires", "host", "line", "loaded", "port")

    def __init__(self, host: str, port: int, *, asked_of_proxy: bool) -> None:
        self.host = host
        self.port = port
        self.asked_of_proxy = asked_of_proxy
        self.line = ""
        self.expires = -inf
        self.loaded = False


class _Server:
    """What is known of an origin."""

    __slots__ = ("encrypted", "multiplexed", "name", "url", "where")

    def __init__(self, origin: Origin, name: _Name | None) -> None:
        self.url = f"{origin.scheme}://{place(origin.host, origin.port)}/"
        self.where = place(origin.host, origin.port)
        self.encrypted = origin.scheme == "https"
        self.multiplexed: bool | None = None if self.encrypted else False
        self.name = name


class _Driver:
    """libcurl's multi handle, called by the loop when a socket or a clock is ready."""

    def __init__(self, finished: Callable[[_Handle, int, str], None]) -> None:
        self.multi = pycurl.CurlMulti()
        self._finished = finished
        self._loop = asyncio.get_running_loop()
        self._due = inf
        self._timer: asyncio.TimerHandle | None = None
        self._soon = False
        self._closed = False
        self._sockets = _Epoll(self._loop, self._ready) if hasattr(select, "epoll") else _Readers(self._loop, self._ready)
        self.multi.setopt(pycurl.M_SOCKETFUNCTION, self._sockets.watch)
        self.multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)

    def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self.multi.close()
        self._sockets.close()

    def _set_timer(self, milliseconds: int) -> None:
        if milliseconds == 0 and not self._soon and not self._closed:
            self._soon = True
            self._loop.call_soon(self._act_soon)
        elif milliseconds > 0 and not self._closed:
            self._due = due = self._loop.time() + milliseconds / 1000
            # A timer that goes off early costs less than one set anew for each request.
            if self._timer is None or self._timer.when() > due:
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = self._loop.call_at(due, self._act_timed)
        elif milliseconds < 0:
            self._due = inf

    def _act_soon(self) -> None:
        self._soon = False
        self._ready([(pycurl.SOCKET_TIMEOUT, 0)])

    def _act_timed(self) -> None:
        self._timer = None
        if self._loop.time() >= self._due - 0.001:
            self._due = inf
            self._ready([(pycurl.SOCKET_TIMEOUT, 0)])
        elif self._due < inf:
            self._timer = self._loop.call_at(self._due, self._act_timed)

    def _ready(self, events: Sequence[tuple[int, int]]) -> None:
        if self._closed:
            return
        act = self.multi.socket_action
        for descriptor, mask in events:
            act(descriptor, mask)
        waiting = 1
        while waiting:
            waiting, good, bad = self.multi.info_read()
            for curl in good:
                self._finished(curl.handle, 0, "")
            for curl, code, message in bad:
                self._finished(curl.handle, code, message)


class _Epoll:
    """libcurl's sockets in an epoll set of their own, which the loop watches as one: one event a turn, however many."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ready: Callable[[Sequence[tuple[int, int]]], None]) -> None:
        self._epoll = select.epoll()
        self._known: set[int] = set()
        self._loop = loop
        self._ready = ready
        loop.add_reader(self._epoll.fileno(), self._poll)

    def watch(self, what: int, descriptor: int, _multi: object, _data: object) -> None:
        try:
            if what == pycurl.POLL_REMOVE:
                self._known.discard(descriptor)
                self._epoll.unregister(descriptor)
            elif descriptor in self._known:
                self._epoll.modify(descriptor, _EPOLL[what])
            else:
                self._epoll.register(descriptor, _EPOLL[what])
                self._known.add(descriptor)
        except OSError:
            # It is closed already: nothing to watch any more.
            return

    def close(self) -> None:
        if not self._loop.is_closed():
            self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _poll(self) -> None:
        self._ready([(descriptor, _SELECTED.get(events, _BOTH)) for descriptor, events in self._epoll.poll(0)])


class _Readers:
    """libcurl's sockets, each watched by the loop itself, where there is no epoll."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ready: Callable[[Sequence[tuple[int, int]]], None]) -> None:
        self._loop = loop
        self._ready = ready
        self._known: set[int] = set()

    def watch(self, what: int, descriptor: int, _multi: object, _data: object) -> None:
        if self._loop.is_closed():
            return
        self._loop.remove_reader(descriptor)
        self._loop.remove_writer(descriptor)
        self._known.discard(descriptor)
        if what in (pycurl.POLL_IN, pycurl.POLL_INOUT):
            self._known.add(descriptor)
            self._loop.add_reader(descriptor, self._ready, [(descriptor, pycurl.CSELECT_IN)])
        if what in (pycurl.POLL_OUT, pycurl.POLL_INOUT):
            self._known.add(descriptor)
            self._loop.add_writer(descriptor, self._ready, [(descriptor, pycurl.CSELECT_OUT)])

    def close(self) -> None:
        for descriptor in list(self._known):
            self.watch(pycurl.POLL_REMOVE, descriptor, None, None)


if hasattr(select, "epoll"):
    _EPOLL = {
        pycurl.POLL_NONE: 0,
        pycurl.POLL_IN: select.EPOLLIN,
        pycurl.POLL_OUT: select.EPOLLOUT,
        pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
    }
    _SELECTED = {select.EPOLLIN: pycurl.CSELECT_IN, select.EPOLLOUT: pycurl.CSELECT_OUT}
_BOTH = pycurl.CSELECT_IN | pycurl.CSELECT_OUT


class _Handle:
    """An easy handle, told once what holds for the whole session; then only what differs from its last request."""

    __slots__ = ("_fields", "_fresh", "_kept", "_limit", "_pipewait", "_secure", "_shape", "_url", "curl", "stream")

    def __init__(self, key: SessionKey, proxy: ProxyServer | None, kept: dict[int, tuple[int, Callable[[], bool]]]) -> None:
        self.curl = curl = pycurl.Curl()
        curl.handle = self
        self.stream: CurlStream | None = None
        self._kept = kept
        self._url = self._shape = self._fields = self._limit = None
        self._fresh = self._pipewait = False
        curl.setopt(pycurl.HEADERFUNCTION, self._on_header)
        curl.setopt(pycurl.WRITEFUNCTION, self._on_body)
        curl.setopt(pycurl.PREREQFUNCTION, self._may_send)
        for option, value in _settings(key, proxy):
            curl.setopt(option, value)
        self._secure = key.http2 is not False

    def start(self, stream: CurlStream, exchange: Exchange, fields: tuple[bytes, ...], resolve: list[str] | None) -> None:
        """Tell libcurl what this exchange has that the last had not."""
        setopt, server = self.curl.setopt, stream.server
        self.stream = stream
        setopt(pycurl.REQUEST_TARGET, stream.target)
        if server.url != self._url:
            self._url = server.url
            setopt(pycurl.URL, server.url)
        if fields is not self._fields:
            self._fields = fields
            setopt(pycurl.HTTPHEADER, fields)
        if (exchange.method != self._shape) or exchange.content:
            self._set_method(exchange.method, exchange.content)
        if exchange.fresh != self._fresh:
            self._fresh = exchange.fresh
            setopt(pycurl.FRESH_CONNECT, exchange.fresh)
        if exchange.connect_timeout != self._limit:
            self._limit = exchange.connect_timeout
            setopt(pycurl.CONNECTTIMEOUT_MS, _FOREVER_MS if self._limit is None else max(1, round(self._limit * 1000)))
        pipewait = self._secure and server.multiplexed is not False
        if pipewait != self._pipewait:
            self._pipewait = pipewait
            setopt(pycurl.PIPEWAIT, pipewait)
        if resolve is not None:
            setopt(pycurl.RESOLVE, resolve)

    def _set_method(self, method: str, content: bytes | None) -> None:
        curl = self.curl
        if content or method not in ("GET", "HEAD", "OPTIONS", "TRACE"):
            curl.setopt(pycurl.POST, 1)
            curl.setopt(pycurl.POSTFIELDS, content or b"")
        else:
            # Takes back what a handle was told of a body or of HEAD.
            curl.setopt(pycurl.HTTPGET, 1)
            if method == "HEAD":
                curl.setopt(pycurl.NOBODY, 1)
        if method in ("GET", "HEAD") and not content:
            curl.unsetopt(pycurl.CUSTOMREQUEST)
        else:
            curl.setopt(pycurl.CUSTOMREQUEST, method)
        # A body stays with its handle until the next request: not kept for longer than that, and never the same.
        self._shape = None if content else method

    def _on_header(self, line: bytes) -> int | None:
        stream = self.stream
        if stream is None or stream.has_head or not stream.asked:
            # Trailers, or a proxy's answer to CONNECT.
            return None
        if line not in _BLANK:
            stream.lines.append(line)
            return None
        return stream.end_head() if stream.lines else None

    def _on_body(self, chunk: bytes) -> int | None:
        stream = self.stream
        if stream is None:
            return -1
        if stream.size > MOST_UNREAD:
            stream.paused = True
            return pycurl.WRITEFUNC_PAUSE
        stream.chunks.append(chunk)
        stream.size += len(chunk)
        stream.wake()
        return None

    def _may_send(self, _there: str, _here: str, _port: int, local_port: int) -> int:
        """Answer libcurl, which has a connection and is about to send."""
        stream = self.stream
        if stream is None:
            return pycurl.PREREQFUNC_ABORT
        kept = self._kept.get(local_port)
        if stream.asked:
            # libcurl's own second try, after a connection that died.
            good = stream.idempotent and stream.asked == 1 and (kept is None or stream.server.multiplexed)
        else:
            # libcurl looks at a kept connection only when it was idle for a second: an answer nobody asked for may wait there.
            good = kept is None or bool(stream.server.multiplexed) or not kept[1]()
        if not good:
            return pycurl.PREREQFUNC_ABORT
        stream.asked += 1
        stream.port = local_port
        stream.sent_at = perf_counter()
        return pycurl.PREREQFUNC_OK


class CurlStream(base.Stream):
    """The response of one exchange, filled by libcurl's callbacks."""

    __slots__ = (
        "_backend", "_handle", "_only_head", "_timing", "_waiter", "asked", "chunks", "dead", "done", "failure", "has_head", "idempotent", "interim",
        "lines", "paused", "port", "proxied", "reused", "sent_at", "server", "size", "target", "timeout",
    )  # fmt: skip

    def __init__(self, backend: CurlBackend, handle: _Handle, server: _Server, exchange: Exchange, timing: Timing) -> None:
        self._backend = backend
        self._handle: _Handle | None = handle
        self._timing = timing
        self._waiter: asyncio.Future[None] | None = None
        self._only_head = exchange.method == "HEAD" and bool(exchange.content)
        self.server = server
        target = exchange.target
        proxied = backend._proxy is not None and backend._proxy.scheme.startswith("http") and not server.encrypted
        self.target = target.url if proxied else target.path_query
        self.timeout = exchange.connect_timeout
        self.idempotent = exchange.method in IDEMPOTENT
        self.proxied = backend._proxy is not None
        self.reused: bool | None = None
        self.asked = self.dead = self.port = 0
        self.sent_at = nan
        self.lines: list[bytes] = []
        self.has_head = False
        self.interim = 0
        self.chunks: list[bytes] = []
        self.size = 0
        self.paused = False
        self.done = False
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
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        await waiter

    def wake(self) -> None:
        """End the wait, if there is one."""
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def end_head(self) -> int | None:
        """Read the head that has come; -1 ends the transfer."""
        version, status, reason = _status_line(self.lines[0])
        if 100 <= status < 200:  # noqa: PLR2004 - RFC 9110, 15.2
            self.lines.clear()
            self.interim += 1
            if self.interim <= MAX_INTERIM and status != SWITCHING:
                return None
            self.failure = switched_protocols() if status == SWITCHING else too_many_interim()
            return -1
        self.http_version, self.status, self.reason = version, status, reason
        self.fields = _fields(self.lines[1:])
        self.has_head = True
        if self.server.multiplexed is None:
            self.server.multiplexed = version in ("2", "3")
        self.wake()
        return -1 if self._only_head else None

    def end(self, code: int, message: str) -> None:
        """Take note of how libcurl ended."""
        handle = self._handle
        if handle is not None:
            self._mark(handle)
        if code and not (self._only_head and self.has_head) and self.failure is None:
            self.failure = _failure(self, handle, code, message)
        self.done = True
        self.wake()

    def fail(self, error: BackendError) -> None:
        """End with an error of ours."""
        self.failure = self.failure or error
        self.done = True
        self.wake()

    def _taken(self) -> bytes:
        chunks = self.chunks
        content = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self.size = 0
        return content

    def _resume(self) -> None:
        if self.paused and self._handle is not None and not self.done:
            self.paused = False
            self._handle.curl.pause(pycurl.PAUSE_CONT)

    def _mark(self, handle: _Handle) -> None:
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
        if timing.reused:
            return
        looked_up, connected, secured = info(pycurl.NAMELOOKUP_TIME), info(pycurl.CONNECT_TIME), info(pycurl.APPCONNECT_TIME)
        if timing.domain_lookup_end != timing.domain_lookup_end and "dns" in self._backend.phases:
            timing.domain_lookup_start, timing.domain_lookup_end = start, start + looked_up
        timing.connect_start, timing.connect_end = start + looked_up, start + (secured or connected)
        if secured:
            timing.secure_connection_start = start + connected


@lru_cache(maxsize=1024)
def _status_line(line: bytes) -> tuple[str, int, str]:
    version, _, rest = line.strip(b"\r\n").partition(b" ")
    code, _, reason = rest.strip(b" ").partition(b" ")
    return _VERSIONS.get(version, "1.1"), int(code) if code.isdigit() else 0, reason.decode("latin-1")


# Most answers of a run have most of their field lines in common.
@lru_cache(maxsize=2048)
def _short_field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name, value.strip(b" \t\r\n")


def _fields(lines: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    fields: list[tuple[bytes, bytes]] = []
    for line in lines:
        if line[0] in b" \t" and fields:
            # A folded line (RFC 9112, 5.2) goes on with the value before it.
            name, value = fields[-1]
            fields[-1] = name, value + b" " + line.strip(b" \t\r\n")
        else:
            fields.append(_short_field(line) if len(line) <= _SHORT else _short_field.__wrapped__(line))
    return fields


def _field_lines(exchange: Exchange) -> tuple[bytes, ...]:
    """Return the field lines in libcurl's words, the same object for equal requests.

    Raises:
        BackendError: See `framed`.
    """
    key = exchange.headers, exchange.method, not exchange.content
    known = _SPELLED.get(key)
    if known is not None:
        return known
    checked = framed(exchange)
    spelled = []
    names = set()
    for name, value in checked.fields if checked.host is None else [("Host", checked.host), *checked.fields]:
        names.add(name.lower())
        # libcurl counts the body itself; a value of nothing needs the semicolon.
        if name != "Content-Length":
            spelled.append((f"{name}: {value}" if value else f"{name};").encode("latin-1"))
    spelled += [f"{name}:".encode() for name in _UNASKED if name.lower() not in names]
    fields = tuple(spelled)
    if not any(name.lower() == "content-length" for name, _ in exchange.headers):
        if len(_SPELLED) >= _MOST_SPELLED:
            _SPELLED.clear()
        _SPELLED[key] = fields
    return fields


_UNASKED = ("Accept", "User-Agent", "Expect", "Content-Type", "Proxy-Connection")
"""Field lines that libcurl adds unless it is told not to."""
_SPELLED: dict[tuple[Headers, str, bool], tuple[bytes, ...]] = {}
_MOST_SPELLED = 256
_SHORT = 256


def _settings(key: SessionKey, proxy: ProxyServer | None) -> list[tuple[int, Any]]:
    """Return what holds for each transfer of a session."""
    version = {False: pycurl.CURL_HTTP_VERSION_1_1, True: pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE}
    settings: list[tuple[int, Any]] = [
        (pycurl.NOSIGNAL, 1),
        (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
        (pycurl.PATH_AS_IS, 1),
        (pycurl.HTTP_CONTENT_DECODING, 0),
        (pycurl.HTTP09_ALLOWED, 0),
        (pycurl.CONNECTTIMEOUT_MS, _FOREVER_MS),
        (pycurl.BUFFERSIZE, 128 * 1024),
        (pycurl.USERAGENT, ""),
        (pycurl.HTTP_VERSION, version.get(key.http2, pycurl.CURL_HTTP_VERSION_2TLS)),
        (pycurl.HEADEROPT, pycurl.HEADER_SEPARATE),
        (pycurl.PROXYHEADER, ["User-Agent:", "Proxy-Connection:"]),
    ]
    if key.http3:
        settings.append((pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_3ONLY))
    if key.cert is not None:
        chain, private = (key.cert, key.cert) if isinstance(key.cert, str) else key.cert
        settings += [(pycurl.SSLCERT, chain), (pycurl.SSLKEY, private)]
    settings += _trust(key.verify)
    return settings + _route(proxy)


def _trust(verify: bool | str) -> list[tuple[int, Any]]:  # noqa: FBT001 - the type of the option
    if verify is False:
        off = (pycurl.SSL_VERIFYPEER, pycurl.SSL_VERIFYHOST, pycurl.PROXY_SSL_VERIFYPEER, pycurl.PROXY_SSL_VERIFYHOST)
        return [(option, 0) for option in off]
    if verify is True and sys.platform in ("win32", "darwin") and hasattr(pycurl, "SSLOPT_NATIVE_CA"):
        return [(option, pycurl.SSLOPT_NATIVE_CA) for option in (pycurl.SSL_OPTIONS, pycurl.PROXY_SSL_OPTIONS)]
    file, folder = authorities(verify)
    files = [(option, file) for option in (pycurl.CAINFO, pycurl.PROXY_CAINFO)]
    return files + [(option, folder) for option in (pycurl.CAPATH, pycurl.PROXY_CAPATH)]


def _route(proxy: ProxyServer | None) -> list[tuple[int, Any]]:
    if proxy is None:
        # Without both libcurl would look into the environment.
        return [(pycurl.PROXY, ""), (pycurl.NOPROXY, "*")]
    # In libcurl's words: the names with a letter more leave resolving to the proxy.
    scheme = {"socks4": "socks4a", "socks5": "socks5h"}.get(proxy.scheme, proxy.scheme)
    settings: list[tuple[int, Any]] = [
        (pycurl.PROXY, f"{scheme}://{proxy.where}"),
        (pycurl.NOPROXY, ""),
    ]
    if proxy.user is not None:
        settings += [
            (pycurl.PROXYUSERNAME, proxy.user.encode()),
            (pycurl.PROXYPASSWORD, proxy.password.encode()),
            (pycurl.PROXYAUTH, pycurl.HTTPAUTH_BASIC),
        ]
    return settings


# What libcurl's codes mean; those not named are violations of the protocol.
_KINDS: dict[int, ErrorKind] = {
    pycurl.E_COULDNT_RESOLVE_PROXY: "proxy",
    pycurl.E_COULDNT_RESOLVE_HOST: "connect",
    pycurl.E_COULDNT_CONNECT: "connect",
    pycurl.E_OPERATION_TIMEDOUT: "timeout",
    pycurl.E_GOT_NOTHING: "connect",
    pycurl.E_SEND_ERROR: "connect",
    pycurl.E_RECV_ERROR: "connect",
    pycurl.E_ABORTED_BY_CALLBACK: "connect",
    pycurl.E_INTERFACE_FAILED: "connect",
    pycurl.E_SSL_CONNECT_ERROR: "tls",
    pycurl.E_PEER_FAILED_VERIFICATION: "tls",
    pycurl.E_SSL_CERTPROBLEM: "tls",
    pycurl.E_SSL_CIPHER: "tls",
    pycurl.E_SSL_CACERT_BADFILE: "tls",
    pycurl.E_SSL_ISSUER_ERROR: "tls",
    _E_PROXY: "proxy",
    _E_SSL_CLIENTCERT: "tls",
}
# libcurl gives one code to a dead connection and to an answer that it cannot read; its words tell them apart.
_DEAD = re.compile(r"(?:Recv|Send) failure|SSL_(?:read|write)|reset|[Cc]onnection (?:died|closed)|unexpected eof", re.IGNORECASE)


def _failure(stream: CurlStream, handle: _Handle | None, code: int, message: str) -> BackendError:
    where, sent = stream.server.where, stream.asked > 0
    kind: ErrorKind = _KINDS.get(code, "protocol")
    words = one_line(message) or pycurl.easy_strerror(code)
    number = handle.curl.getinfo(pycurl.OS_ERRNO) if handle is not None else 0
    if stream.has_head:
        return BackendError("tls" if "alert" in words else "protocol", f"{where}: the body broke off: {words}")
    if kind == "tls":
        return _tls_failure(stream, words, code)
    if kind == "timeout":
        return BackendError("timeout", f"{where}: no connection within connect_timeout, {stream.timeout:g} s", sent=sent)
    if not sent and stream.proxied:
        return proxy_error(words)
    if code == pycurl.E_RECV_ERROR and sent:
        if "alert" in words:
            return BackendError("tls", f"{where}: TLS failed: {words}")
        kind = "connect" if number or _DEAD.search(words) else "protocol"
    if kind == "connect":
        stale = bool(stream.reused) or code == pycurl.E_ABORTED_BY_CALLBACK
        if code in (pycurl.E_GOT_NOTHING, pycurl.E_ABORTED_BY_CALLBACK):
            words = "connection closed before an answer"
        elif number:
            words = os.strerror(number)
        return BackendError("connect", f"{where}: {words}", sent=sent, stale=stale)
    return BackendError(kind, f"{where}: {words}", sent=sent)


def _tls_failure(stream: CurlStream, words: str, code: int) -> BackendError:
    where, sent = stream.server.where, stream.asked > 0
    if code == pycurl.E_PEER_FAILED_VERIFICATION:
        words = words.removeprefix("SSL certificate problem: ").removeprefix("SSL: ")
        return BackendError("tls", f"{where}: certificate is not trusted: {words}", sent=sent)
    if _DEAD.search(words) or "SYSCALL" in words:
        kind: ErrorKind = "proxy" if stream.proxied else "connect"
        return BackendError(kind, f"{where}: connection closed in the TLS handshake", sent=sent)
    return BackendError("tls", f"{where}: TLS failed: {words}", sent=sent)
