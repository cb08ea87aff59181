"""One warm session of libcurl on one loop: no thread, no polling."""

from __future__ import annotations

import asyncio
import re
import select
import sys
from contextlib import suppress
from math import inf
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any

import pycurl

from fastreq_jupyter.backends import base
from fastreq_jupyter.backends.curl.transfer import CurlStream, Handle, request_lines
from fastreq_jupyter.backends.names import Resolver, watch
from fastreq_jupyter.backends.trust import authorities, client_context
from fastreq_jupyter.backends.wire import framed, lookup_error, place, proxy_error, read_proxy
from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from fastreq_jupyter.backends.base import SessionKey
    from fastreq_jupyter.backends.wire import ProxyServer
    from fastreq_jupyter.exchange import Exchange, Timing
    from fastreq_jupyter.url import Origin

_BOTH = pycurl.CSELECT_IN | pycurl.CSELECT_OUT
# Epoll's flags for libcurl's, and the reverse; any other flag of epoll is reported as both.
_WANTED = {pycurl.POLL_NONE: 0, pycurl.POLL_IN: 1, pycurl.POLL_OUT: 4, pycurl.POLL_INOUT: 5}
_CAME = {1: pycurl.CSELECT_IN, 4: pycurl.CSELECT_OUT}
_CLOCK = ((pycurl.SOCKET_TIMEOUT, 0),)
OLDEST = (7, 85)
_BUILT_IN = {
    "http2": pycurl.VERSION_HTTP2,
    "http3": pycurl.VERSION_HTTP3,
    "ntlm": pycurl.VERSION_NTLM,
    "negotiate": pycurl.VERSION_SPNEGO,
}
KEPT_SECONDS = 60.0
KEPT_SERVERS = 4096
_LITERAL = re.compile(r"[0-9.]+|.*:.*")


def why_poor(needed: Mapping[str, str]) -> str | None:
    """Return in one line why this libcurl cannot be used, None where it can.

    Args:
        needed: What is asked for, "http2" or the scheme of credentials, and how a user spells it.
    """
    version, features = pycurl.version_info()[1], pycurl.version_info()[4]
    if tuple(map(int, version.split("-")[0].split(".")[:2])) < OLDEST or not features & pycurl.VERSION_SSL:
        return f"backend='curl' needs libcurl 7.85 or newer with TLS, this is {version}: pip install 'fastreq-jupyter[curl]'"
    for feature, words in needed.items():
        if feature in _BUILT_IN and not features & _BUILT_IN[feature]:
            way_out = "give backend='niquests'" if feature.startswith("http") else "no backend here has it"
            return f"{words} is not possible with this build of libcurl, {version}: {way_out}"
    return None


class Drive:
    """libcurl's multi handle, called by the loop when a socket or a clock is ready.

    Its sockets stand in an epoll set of their own, which the loop watches as one: one event a turn, however many are ready.
    They stay there while they are idle, so that a request changes nothing in it. Where there is no epoll, the loop watches each.

    Args:
        finished: Called with a handle that has ended, libcurl's code and words.
        broken: Called when an interrupt came out of one of libcurl's callbacks.
    """

    def __init__(self, finished: Callable[[Any, int, str], None], broken: Callable[[], None]) -> None:
        self.multi = pycurl.CurlMulti()
        self._finished, self._broken = finished, broken
        self._loop = asyncio.get_running_loop()
        self._due = inf
        self._timer: asyncio.TimerHandle | None = None
        self._soon = self._closed = False
        # Descriptor -> its flags in the epoll set; descriptors that libcurl waits for; idle ones on which data has arrived.
        self._epoll_flags: dict[int, int] = {}
        self._watched: set[int] = set()
        self._spoiled: set[int] = set()
        self._epoll: Any = select.epoll() if hasattr(select, "epoll") else None
        if self._epoll is not None:
            self._loop.add_reader(self._epoll.fileno(), self._poll)
        self.multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch if self._epoll is None else self._watch_epoll)
        self.multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)

    def close(self) -> None:
        """Close all connections; no handle may be in use."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self.multi.close()
        if self._epoll is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def opened(self, descriptor: int, _purpose: int) -> int:
        """Note a new socket: what was known of one with this number is of another."""
        self._epoll_flags.pop(descriptor, None)
        return 0

    def spoiled(self, descriptor: int) -> bool:
        """Tell whether a connection had something to say while it was idle: its end, or an answer that nobody asked for."""
        return descriptor in self._spoiled if self._epoll is not None else watch(descriptor)()

    def _watch_epoll(self, poll: int, descriptor: int, _multi: object, _data: object) -> None:
        if poll == pycurl.POLL_REMOVE:
            self._watched.discard(descriptor)
            if self._epoll_flags.get(descriptor, 1) != 1:
                # An idle descriptor is watched for reading only; a closed one has left the set.
                self._epoll_flags[descriptor] = 1
                with suppress(OSError, ValueError):
                    self._epoll.modify(descriptor, 1)
            return
        self._watched.add(descriptor)
        events = _WANTED[poll]
        if self._epoll_flags.get(descriptor) != events and not self._closed:
            self._epoll_flags[descriptor] = events
            self._spoiled.discard(descriptor)
            try:
                self._epoll.modify(descriptor, events)
            except FileNotFoundError:
                self._epoll.register(descriptor, events)

    def _watch(self, poll: int, descriptor: int, _multi: object, _data: object) -> None:
        loop = self._loop
        if loop.is_closed():
            return
        loop.remove_reader(descriptor)
        loop.remove_writer(descriptor)
        if poll in (pycurl.POLL_IN, pycurl.POLL_INOUT):
            loop.add_reader(descriptor, self._act, ((descriptor, pycurl.CSELECT_IN),))
        if poll in (pycurl.POLL_OUT, pycurl.POLL_INOUT):
            loop.add_writer(descriptor, self._act, ((descriptor, pycurl.CSELECT_OUT),))

    def _poll(self, more: tuple[tuple[int, int], ...] = ()) -> None:
        ready = []
        for descriptor, events in self._epoll.poll(0):
            if descriptor in self._watched:
                ready.append((descriptor, _CAME.get(events, _BOTH)))
            else:
                self._spoil(descriptor)
        self._act((*ready, *more))

    def _spoil(self, descriptor: int) -> None:
        """Stop watching an idle connection on which data has arrived; libcurl notices it at the next use."""
        self._spoiled.add(descriptor)
        self._epoll_flags.pop(descriptor, None)
        try:
            self._epoll.unregister(descriptor)
        except OSError:
            # Closed here, but open in a forked child: the epoll set cannot drop it and is replaced.
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = select.epoll()
            self._loop.add_reader(self._epoll.fileno(), self._poll)
            self._epoll_flags = {watched: self._epoll_flags.get(watched, _BOTH) for watched in self._watched}
            for watched, events in self._epoll_flags.items():
                self._epoll.register(watched, events)

    def _set_timer(self, milliseconds: int) -> None:
        if self._closed or self._loop.is_closed():
            return
        if milliseconds == 0:
            if not self._soon:
                self._soon = True
                self._loop.call_soon(self._act_soon)
            return
        self._due = self._loop.time() + milliseconds / 1000 if milliseconds > 0 else inf
        # A timer that fires too early costs less than one set anew for each request.
        if self._due < inf and (self._timer is None or self._timer.when() > self._due):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._due, self._act_timed)

    def _act_soon(self) -> None:
        self._soon = False
        if self._closed:
            return
        if self._epoll is None:
            self._act(_CLOCK)
        else:
            # Requests are about to be sent: check the idle connections for data first.
            self._poll(_CLOCK)

    def _act_timed(self) -> None:
        self._timer = None
        if self._loop.time() >= self._due - 0.001:
            self._due = inf
            self._act(_CLOCK)
        elif self._due < inf:
            self._timer = self._loop.call_at(self._due, self._act_timed)

    def _act(self, events: Iterable[tuple[int, int]]) -> None:
        if self._closed:
            return
        act = self.multi.socket_action
        try:
            for descriptor, mask in events:
                act(descriptor, mask)
        except BaseException:
            # An interrupt was raised in a callback: libcurl has given up, or waits for a socket that nobody watches.
            self._broken()
            raise
        waiting = 1
        while waiting:
            waiting, good, bad = self.multi.info_read()
            for curl in good:
                self._finished(curl.handle, 0, "")
            for curl, code, words in bad:
                self._finished(curl.handle, code, words)


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
        names_there: The proxy looks names up, so that nobody here sees how long that takes.
        idle_sockets: Local port of each HTTP/1.1 connection that was used -> its descriptor.
    """

    name = "curl"

    def __init__(self, key: SessionKey) -> None:
        self.proxy = read_proxy(key.proxy)
        if key.cert is not None or isinstance(key.verify, str):
            # Read once by Python, so that unreadable files are reported now, in our words.
            client_context(key)
        self.http2 = key.http2
        self._key = key
        self.settings = settings(key, self.proxy)
        self.idle_sockets: dict[int, int] = {}
        self.forwarded = self.proxy is not None and self.proxy.scheme in ("http", "https")
        self.names_there = self.proxy is not None and self.proxy.scheme.startswith("socks")
        self._loop = asyncio.get_running_loop()
        self._resolver = Resolver()
        self._servers: dict[Origin, Server] = {}
        self._free: list[Handle] = []
        self._active: set[Handle] = set()
        self._closed = False
        self._reserved = 20
        self._begin()

    def _begin(self) -> None:
        self.drive = Drive(self._finished, self._broken)
        self._multi = self.drive.multi
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        # As many streams on a connection as the server allows.
        self._multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, 1000)
        self._limit_connections()

    def reserve(self, concurrency: int) -> None:
        """Prepare for a run with so many requests in flight (see `Backend.reserve`)."""
        if concurrency > self._reserved:
            self._reserved = concurrency
            self._limit_connections()

    def _limit_connections(self) -> None:
        # The limit includes connections in use.
        self._multi.setopt(pycurl.M_MAXCONNECTS, min(2 * self._reserved, self._reserved + base.most_idle(self._reserved)))

    async def send(self, exchange: Exchange, timing: Timing) -> CurlStream:
        """Send one request, return when the final head is read (see `Backend.send`)."""
        framed(exchange)
        fields = request_lines(exchange.headers)
        server = self._servers.get(exchange.target.origin) or self._server(exchange)
        if server.name is not None and server.expires < monotonic():
            await self._resolve(server, server.name, timing)
        while server.multiplexed is None and server.scout is not None:
            # Whether one connection may serve all of them is known when the first is established.
            await server.scout.wait()
        if self._closed:
            raise BackendError("connect", f"{server.where}: the session is closed", sent=False)
        # A used handle keeps the options of its last request.
        handle = self._free.pop() if self._free and exchange.auth is None else Handle(self)
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
                stream.fail(BackendError("connect", f"{stream.server.where}: {why}", sent=stream.permitted > 0))
            self.release(handle)
        self.drive.close()
        for handle in self._free:
            handle.curl.close()
        self._free.clear()
        self._servers.clear()
        self.idle_sockets.clear()

    def _broken(self) -> None:
        self._end("an interrupt broke this off")
        self._begin()

    def _add(self, handle: Handle) -> None:
        try:
            self._multi.add_handle(handle.curl)
        except pycurl.error:
            # An interrupt was raised in a callback of the multi handle: libcurl has given up both.
            self._broken()

    def release(self, handle: Handle) -> None:
        """Take a handle out of libcurl; a transfer that is not done takes its connection along."""
        self._active.discard(handle)
        handle.stream = None
        try:
            self._multi.remove_handle(handle.curl)
        except pycurl.error:
            # It was never added: an interrupt made libcurl give up its work.
            return
        if handle.personal:
            # It keeps the credentials, and the challenge of the server that asked for them.
            handle.curl.close()
            return
        self._free.append(handle)

    def _finished(self, handle: Handle, code: int, words: str) -> None:
        stream = handle.stream
        if stream is None:
            return
        stream.end(code, words)
        if not stream.reused and stream.port and not stream.server.multiplexed:
            descriptor = handle.curl.getinfo(pycurl.ACTIVESOCKET)
            if descriptor < 0:
                self.idle_sockets.pop(stream.port, None)
            else:
                self.idle_sockets[stream.port] = descriptor
        self.release(handle)

    def _server(self, exchange: Exchange) -> Server:
        origin = exchange.target.origin
        if self.http2 is True and origin.scheme == "http":
            raise BackendError("protocol", f"{place(origin.host, origin.port)}: http2=True needs https", sent=False)
        if len(self._servers) >= KEPT_SERVERS:
            self._servers.clear()
        host, port = (origin.host, origin.port) if self.proxy is None else (self.proxy.host, self.proxy.port)
        multiplexed = True if self._key.http3 else None if origin.scheme == "https" and self.http2 is not False else False
        server = self._servers[origin] = Server(origin, host, port, multiplexed=multiplexed)
        return server

    async def _resolve(self, server: Server, name: tuple[str, int], timing: Timing) -> None:
        """Fill the entry for libcurl's own table of names, so that libcurl never asks a resolver."""
        timing.domain_lookup_start = perf_counter()
        host, port = name
        try:
            addresses = await self._resolver.lookup(host)
        except OSError as error:
            if self.proxy is not None:
                raise proxy_error(f"cannot resolve the proxy {host}: {one_line(error.strerror or str(error))}") from error
            raise lookup_error(error, host) from error
        timing.domain_lookup_end = perf_counter()
        shown = [f"[{address}]" if ":" in address else address for _, address in addresses]
        server.line = f"{host}:{port}:{','.join(dict.fromkeys(shown))}"
        server.expires, server.loaded = monotonic() + KEPT_SECONDS, False


def settings(key: SessionKey, proxy: ProxyServer | None) -> list[tuple[int, Any]]:
    """Return what holds for each transfer of a session."""
    version = pycurl.CURL_HTTP_VERSION_1_1 if key.http2 is False else pycurl.CURL_HTTP_VERSION_2TLS
    settled: list[tuple[int, Any]] = [
        (pycurl.NOSIGNAL, 1),
        (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
        (pycurl.PATH_AS_IS, 1),
        (pycurl.HTTP_CONTENT_DECODING, 0),
        (pycurl.HTTP09_ALLOWED, 0),
        # Otherwise libcurl ends a connection attempt after 300 s; deadlines are set above.
        (pycurl.CONNECTTIMEOUT_MS, 2**31 - 1),
        (pycurl.BUFFERSIZE, 128 * 1024),
        (pycurl.USERAGENT, ""),
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_3ONLY if key.http3 else version),
        (pycurl.HEADEROPT, pycurl.HEADER_SEPARATE),
        (pycurl.PROXYHEADER, ["User-Agent:", "Proxy-Connection:"]),
    ]
    if key.cert is not None:
        chain, private = (key.cert, key.cert) if isinstance(key.cert, str) else key.cert
        settled += [(pycurl.SSLCERT, chain), (pycurl.SSLKEY, private)]
    return settled + _trust(key.verify) + _route(proxy)


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
        # Without both libcurl would read the environment.
        return [(pycurl.PROXY, ""), (pycurl.NOPROXY, "*")]
    # libcurl's names: socks5h and socks4a let the proxy resolve names.
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


open_session = CurlBackend
