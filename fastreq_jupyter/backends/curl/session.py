"""One warm session of libcurl on one loop."""

from __future__ import annotations

import asyncio
import re
from math import inf
from time import monotonic, perf_counter
from typing import TYPE_CHECKING

import pycurl

from fastreq_jupyter.backends.curl.drive import Drive
from fastreq_jupyter.backends.curl.transfer import CurlStream, Handle
from fastreq_jupyter.backends.curl.words import request_lines, settings
from fastreq_jupyter.backends.proxy import proxy_error, read_proxy
from fastreq_jupyter.backends.resolver import Resolver
from fastreq_jupyter.backends.sockets import watch
from fastreq_jupyter.backends.trust import client_context
from fastreq_jupyter.backends.wire import framed, lookup_error, place
from fastreq_jupyter.errors import BackendError, OptionError
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastreq_jupyter.backends.base import Exchange, SessionKey
    from fastreq_jupyter.timing import Timing
    from fastreq_jupyter.url import Origin

__all__ = ["CurlBackend", "open_session", "why_poor"]

OLDEST = (7, 85)
MOST_DEAD = 10
"""Kept connections found dead, one after the other, before a request fails for it."""
KEPT_SECONDS = 60.0
KEPT_SERVERS = 4096
_LITERAL = re.compile(r"[0-9.]+|.*:.*")


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


class Server:
    """What is known of an origin, and of the name that is looked up to reach it.

    Attributes:
        url: What libcurl connects to.
        where: host:port for messages.
        multiplexed: It speaks HTTP/2 or 3; None where that is not known yet.
        scout: Set when the first connection, which finds that out, is made or has failed; None where none is under way.
        name: Host and port whose name is resolved (of the proxy, where there is one), or None.
        line: What it resolved to, in libcurl's words; used until `expires`, in `loaded` libcurl's table has it.
    """

    __slots__ = ("encrypted", "expires", "line", "loaded", "multiplexed", "name", "scout", "url", "where")

    def __init__(self, origin: Origin, host: str, port: int, *, multiplexed: bool | None) -> None:
        self.where = place(origin.host, origin.port)
        self.url = f"{origin.scheme}://{self.where}/"
        self.encrypted = origin.scheme == "https"
        self.multiplexed = multiplexed
        self.scout: asyncio.Event | None = None
        self.name = None if _LITERAL.fullmatch(host) else (host, port)
        self.line = ""
        self.expires = -inf
        self.loaded = False


class CurlBackend:
    """libcurl's connections, and the handles that are not in use.

    Attributes:
        kept: Local port of each connection that was used -> what tells whether it can be read.
    """

    name = "curl"

    def __init__(self, key: SessionKey) -> None:
        self.proxy = read_proxy(key.proxy)
        if key.cert is not None or isinstance(key.verify, str):
            # Read once by Python: what cannot be read is told now, in our words.
            client_context(key)
        self.http2 = key.http2
        self._key = key
        self.settings = settings(key, self.proxy)
        self.kept: dict[int, Callable[[], bool]] = {}
        names_there = self.proxy is not None and self.proxy.scheme.startswith("socks")
        self.phases = frozenset({"dns", "connect", "tls", "wait", "receive"} - ({"dns"} if names_there else set()))
        self._loop = asyncio.get_running_loop()
        self._resolver = Resolver()
        self._servers: dict[Origin, Server] = {}
        self._free: list[Handle] = []
        self._active: set[Handle] = set()
        self._reserved = 0
        self._closed = False
        self._reserved = 20
        self._begin()

    def _begin(self) -> None:
        self._drive = Drive(self._finished, self._broken)
        self._multi = self._drive.multi
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        # As many streams on a connection as the server allows.
        self._multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, 1000)
        self._multi.setopt(pycurl.M_MAXCONNECTS, 2 * self._reserved)

    def reserve(self, concurrency: int) -> None:
        """Prepare for a run with so many requests in flight (see `Backend.reserve`)."""
        if concurrency > self._reserved:
            self._reserved = concurrency
            self._multi.setopt(pycurl.M_MAXCONNECTS, 2 * concurrency)

    async def send(self, exchange: Exchange, timing: Timing) -> CurlStream:
        """Send one request, return when the final head is read (see `Backend.send`)."""
        server = self._servers.get(exchange.target.origin) or self._server(exchange)
        fields = request_lines(exchange)
        if server.name is not None and server.expires < monotonic():
            await self._resolve(server, server.name, exchange.connect_timeout, timing)
        while server.multiplexed is None and server.scout is not None:
            # Whether one connection may serve them all is known when the first is made.
            await server.scout.wait()
        if self._closed:
            raise BackendError("connect", f"{server.where}: the session is closed", sent=False)
        handle = self._free.pop() if self._free else Handle(self)
        self._active.add(handle)
        stream = CurlStream(self, handle, server, exchange, timing)
        try:
            handle.start(stream, exchange, fields)
            self._add(handle)
            if not stream.done:
                waiter = stream.waiter = self._loop.create_future()
                await waiter
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
        self._end("the session was closed")

    def _end(self, why: str) -> None:
        for handle in list(self._active):
            if (stream := handle.stream) is not None:
                stream.fail(BackendError("connect", f"{stream.server.where}: {why}", sent=stream.asked > 0))
            self.release(handle)
        self._drive.close()
        for handle in self._free:
            handle.curl.close()
        self._free.clear()
        self._servers.clear()
        self.kept.clear()

    def _broken(self) -> None:
        self._end("an interrupt broke this off")
        self._begin()

    def _add(self, handle: Handle) -> None:
        try:
            self._multi.add_handle(handle.curl)
        except pycurl.error:
            # An interrupt came out of a callback of the multi handle: libcurl has given it up, and this one with it.
            self._broken()

    def release(self, handle: Handle) -> None:
        """Take a handle out of libcurl; a transfer that is not done takes its connection along."""
        self._active.discard(handle)
        handle.stream = None
        try:
            self._multi.remove_handle(handle.curl)
        except pycurl.error:
            # It never came in: an interrupt made libcurl give up its work.
            return
        self._free.append(handle)

    def _finished(self, handle: Handle, code: int, words: str) -> None:
        stream = handle.stream
        if stream is None:
            return
        if code == pycurl.E_ABORTED_BY_CALLBACK and not stream.asked and stream.failure is None and stream.dead < MOST_DEAD:
            # Nothing was sent: the kept connection was dead, and is closed now. The next may be better.
            stream.dead += 1
            self._multi.remove_handle(handle.curl)
            self._multi.add_handle(handle.curl)
            return
        stream.end(code, words)
        if not stream.reused and stream.port and not stream.server.multiplexed:
            descriptor = handle.curl.getinfo(pycurl.ACTIVESOCKET)
            if descriptor < 0:
                self.kept.pop(stream.port, None)
            else:
                self.kept[stream.port] = watch(descriptor)
        self.release(handle)

    def _server(self, exchange: Exchange) -> Server:
        framed(exchange)
        origin = exchange.target.origin
        if self.http2 is True and origin.scheme == "http":
            raise BackendError("protocol", f"{place(origin.host, origin.port)}: http2=True needs https", sent=False)
        if len(self._servers) >= KEPT_SERVERS:
            self._servers.clear()
        host, port = (origin.host, origin.port) if self.proxy is None else (self.proxy.host, self.proxy.port)
        multiplexed = True if self._key.http3 else None if origin.scheme == "https" and self.http2 is not False else False
        server = self._servers[origin] = Server(origin, host, port, multiplexed=multiplexed)
        return server

    async def _resolve(self, server: Server, name: tuple[str, int], limit: float | None, timing: Timing) -> None:
        """Fill the entry for libcurl's own table of names, so that libcurl never asks a resolver."""
        timing.domain_lookup_start = perf_counter()
        host, port = name
        try:
            addresses = await asyncio.wait_for(self._resolver.lookup(host, port), limit)
        except TimeoutError:
            raise BackendError("timeout", f"{server.where}: no address within connect_timeout, {limit:g} s", sent=False) from None
        except OSError as error:
            if self.proxy is not None:
                raise proxy_error(f"cannot resolve the proxy {host}: {one_line(error.strerror or str(error))}") from error
            raise lookup_error(error, host) from error
        timing.domain_lookup_end = perf_counter()
        shown = [f"[{address.host}]" if ":" in address.host else address.host for address in addresses]
        server.line = f"{host}:{port}:{','.join(dict.fromkeys(shown))}"
        server.expires, server.loaded = monotonic() + KEPT_SECONDS, False
