"""The niquests backend: a `niquests.AsyncSession`, HTTP/1.1 and, over TLS, HTTP/2, or HTTP/3 where it is asked for.

As with requests, what must not happen has no switch but methods and classes made for being derived from. A connection has
one request at a time, HTTP/2 too: niquests can send many on one, but waits for one answer at a time on it, so that a slow
one would hold up the others, and can end one that has no head yet only by closing the connection under all of them.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import OrderedDict
from contextlib import suppress
from contextvars import ContextVar
from datetime import timedelta
from importlib.util import find_spec
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import niquests
import niquests.adapters
from niquests.packages.urllib3 import HTTPHeaderDict, HttpVersion  # type: ignore[import-not-found] # made when it is imported
from niquests.packages.urllib3.contrib.resolver._async import AsyncBaseResolver  # type: ignore[import-not-found]
from niquests.packages.urllib3.util import SKIP_HEADER  # type: ignore[import-not-found]

from fastreq_jupyter.backends import base
from fastreq_jupyter.backends.causes import broken_off, translate
from fastreq_jupyter.backends.proxy import read_proxy
from fastreq_jupyter.backends.resolver import Resolver
from fastreq_jupyter.backends.trust import client_context
from fastreq_jupyter.backends.wire import MAX_INTERIM, framed, place, too_many_interim
from fastreq_jupyter.errors import BackendError, OptionError

if TYPE_CHECKING:
    from fastreq_jupyter.backends.base import Backend, Exchange, SessionKey
    from fastreq_jupyter.backends.proxy import ProxyServer
    from fastreq_jupyter.timing import Timing

__all__ = ["open_session"]

PIECE_BYTES = 64 * 1024
_HTTP_1 = 11
_VERSIONS = {_HTTP_1: "1.1", 20: "2", 30: "3"}
_TRIP: ContextVar[_Trip] = ContextVar("fastreq_niquests")


def open_session(key: SessionKey) -> Backend:
    """Open a session on the running loop.

    Raises:
        OptionError: A package for HTTP/3 or the proxy is missing, or the proxy or a certificate cannot be read.
    """
    return NiquestsBackend(key)


class NiquestsBackend:
    """One niquests session on one loop."""

    name = "niquests"

    def __init__(self, key: SessionKey) -> None:
        self.proxy = read_proxy(key.proxy)
        socks = self.proxy is not None and self.proxy.scheme == "socks5"
        if socks and not isinstance(getattr(niquests.adapters, "AsyncSOCKSProxyManager", None), type):
            raise OptionError("proxy=socks5:// needs a package with backend niquests: use backend curl, or pip install 'niquests[socks]'")
        if key.http3 and (self.proxy is not None or find_spec("qh3") is None):
            raise OptionError("http3=True needs qh3 and no proxy with backend niquests: pip install qh3, or use backend curl")
        self.phases = frozenset({"connect", "tls", "wait", "receive"} if socks else {"dns", "connect", "tls", "wait", "receive"})
        self.key = key
        self.required = HttpVersion.h3 if key.http3 else HttpVersion.h2 if key.http2 is True else None
        self.context = client_context(key, ("http/1.1",) if key.http2 is False else ("h2", "http/1.1"))
        self._proxies = {} if self.proxy is None else dict.fromkeys(("http", "https"), _proxy_url(self.proxy))
        self.resolver = _Resolver()
        self._session = _Session(resolver=self.resolver, headers={}, revocation_configuration=None, allow_incoming_cookies=False)
        self._session.trust_env = False
        self._idle: OrderedDict[Any, None] = OrderedDict()
        self._closing: set[asyncio.Future[None]] = set()
        self._reserved = 0
        self._closed = False
        self.reserve(100)

    def reserve(self, concurrency: int) -> None:
        """Size the pools (see `Backend.reserve`); where they must grow, exchanges in flight end on their old ones."""
        if concurrency <= self._reserved:
            return
        self._reserved = concurrency
        self._close_idle(0)
        for scheme in ("http", "https"):
            self._session.mount(f"{scheme}://", _Adapter(self, concurrency, scheme))

    async def send(self, exchange: Exchange, timing: Timing) -> Stream:
        """Send one request, return when the final head is read (see `Backend.send`)."""
        if self._closed:
            raise BackendError("connect", "the session is closed", sent=False)
        if self.required is not None and exchange.target.origin.scheme == "http":
            option = "http2" if self.required is HttpVersion.h2 else "http3"
            raise BackendError("protocol", f"{option}=True needs an https URL", sent=False)
        trip = _Trip(self, exchange, timing)
        _TRIP.set(trip)
        try:
            if exchange.connect_timeout is None:
                raw = await self._perform(trip)
            else:
                async with asyncio.timeout(exchange.connect_timeout) as trip.limit:
                    raw = await self._perform(trip)
        except BaseException as error:
            trip.end()
            if isinstance(error, BackendError) or not isinstance(error, Exception):
                raise
            raise trip.translate(error) from error
        timing.response_start = perf_counter()
        return Stream(trip, raw)

    async def _perform(self, trip: _Trip) -> Any:
        response = await self._session.send(
            trip.request, stream=True, allow_redirects=False, verify=False, cert=None, proxies=self._proxies, timeout=None
        )
        return response.raw

    async def aclose(self) -> None:
        """Close all connections; can be called twice."""
        self._closed = True
        self._idle.clear()
        await self._session.close()
        if self._closing:
            await asyncio.wait(self._closing, timeout=2)

    def claim(self, connection: Any) -> bool:
        """Take a kept connection for an exchange; False where that wants a new one."""
        self._idle.pop(connection, None)
        return not _TRIP.get().exchange.fresh

    def rest(self, connection: Any) -> None:
        """Count a connection as idle, and close the oldest where these are too many."""
        if connection is not None and connection.sock is not None:
            self._idle[connection] = None
            self._close_idle(2 * self._reserved)

    def close(self, connection: Any, trip: _Trip | None, thing: Any) -> None:
        """Close `thing`, a connection or the response on it, in the loop's next turn, unless another exchange has it by then."""

        async def close() -> None:
            if connection.trip is trip:
                # HTTP/2 says goodbye first, for which there may never be room.
                with suppress(OSError):
                    async with asyncio.timeout(1):
                        await thing.close()

        task = asyncio.ensure_future(close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _close_idle(self, most: int) -> None:
        while len(self._idle) > most:
            connection = self._idle.popitem(last=False)[0]
            self.close(connection, connection.trip, connection)


class _Trip:
    """One exchange, and the connection it has got."""

    def __init__(self, backend: NiquestsBackend, exchange: Exchange, timing: Timing) -> None:
        self.backend = backend
        self.exchange = exchange
        self.timing = timing
        self.request = _prepared(exchange)
        self.connection: Any = None
        self.connected = self.requested = False
        self.limit: asyncio.Timeout | None = None
        self._interim = 0
        self.request.hooks = {"early_response": [self._count]}

    def _count(self, _: Any) -> None:
        self._interim += 1
        if self._interim > MAX_INTERIM:
            raise too_many_interim()

    @property
    def where(self) -> str:
        """Return host:port of the origin for a message."""
        return place(*self.exchange.target.origin[1:])

    def begin(self, connection: Any) -> None:
        """Note the connection that the request is about to go out on."""
        if self.limit is not None:
            self.limit.reschedule(None)
        required = self.backend.required
        if required is not None and connection.conn_info.http_version is not required:
            version = "HTTP/3 (http3=True)" if required is HttpVersion.h3 else "HTTP/2 (http2=True)"
            raise BackendError("protocol", f"{self.where}: server does not speak {version}", sent=False)
        self.connection = connection
        self.connected = self.requested = True
        self.timing.reused = connection.served > 0
        self.timing.encrypted = self.exchange.target.origin.scheme == "https"
        connection.served += 1
        self.timing.request_start = perf_counter()

    def end(self, raw: Any = None, *, whole: bool = False) -> None:
        """Let go of the connection: keep it after a whole answer, else close it, with the response on it if there is one."""
        connection, self.connection = self.connection, None
        if connection is None or connection.trip is not self:
            return
        if whole:
            self.backend.rest(connection)
        else:
            self.backend.close(connection, self, raw or connection)

    def translate(self, error: Exception) -> BackendError:
        """Return what the exchange ended with before its answer."""
        if isinstance(error, TimeoutError) and self.limit is not None and self.limit.expired():
            seconds = self.exchange.connect_timeout
            return BackendError("timeout", f"{self.where}: no connection within {seconds:g} s", sent=False)
        if self.timing.reused and isinstance(error, RuntimeError):
            # Bytes that nobody asked for wait on it.
            return BackendError("connect", f"{self.where}: the kept connection cannot be used", sent=False, stale=True)
        reason = translate(error, self.where, connected=self.connected, sent=self.requested, proxy=self.backend.proxy)
        # What is no answer may be what the one before left behind: bytes beyond its length.
        reason.stale = bool(self.timing.reused) and reason.kind in ("connect", "protocol")
        return reason


class Stream(base.Stream):
    """The response of one niquests exchange, its body still to come."""

    __slots__ = ("_raw", "_trip")

    def __init__(self, trip: _Trip, raw: Any) -> None:
        self._trip: _Trip | None = trip
        self._raw = raw
        self.status = raw.status
        self.http_version = _VERSIONS.get(raw.version, "1.1")
        self.reason = raw.reason or ""
        self.fields = [(name.encode("latin-1"), value.strip(" \t").encode("latin-1")) for name, value in raw.headers.items()]
        if raw.version == _HTTP_1:
            # An offer of another protocol, which niquests would take at the end of the body.
            raw.headers.discard("alt-svc")

    async def read(self) -> bytes:
        """Return the next raw bytes of the body, b"" at its end (see `base.Stream.read`)."""
        trip = self._trip
        if trip is None:
            return b""
        try:
            data: bytes = await self._raw.read1(PIECE_BYTES, decode_content=False)
        except Exception as error:
            self.close()
            raise broken_off(trip.where, error) from error
        if not data:
            self._trip = None
            trip.end(whole=True)
        return data

    def close(self) -> None:
        """Close the connection unless the body was read whole, in which case it went back already."""
        trip, self._trip = self._trip, None
        if trip is not None:
            trip.end(self._raw)


class _Session(niquests.AsyncSession):
    """A session that takes nothing from the environment and follows nothing."""

    def get_redirect_target(self, resp: Any) -> None:
        """Find none: niquests would read the body of a redirect to tell where it leads."""


class _Adapter(niquests.adapters.AsyncHTTPAdapter):
    """The session's transport: urllib3-future's pools, with our TLS context and our class of connection."""

    def __init__(self, backend: NiquestsBackend, concurrency: int, scheme: str) -> None:
        self._backend = backend
        required = backend.required
        super().__init__(
            max_retries=0,
            pool_connections=max(64, 2 * concurrency),
            pool_maxsize=concurrency,
            resolver=backend.resolver,
            revocation_configuration=None,
            allow_incoming_cookies=False,
            disable_http1=required is HttpVersion.h3,
            # Over plain TCP it could only be an upgrade that nobody asked for.
            disable_http2=backend.key.http2 is False or scheme == "http" or required is HttpVersion.h3,
            disable_http3=required is not HttpVersion.h3,
            # No pings on idle connections.
            keepalive_idle_window=None,
        )
        _note(self.poolmanager)

    def init_poolmanager(self, connections: int, maxsize: int, **more: Any) -> None:  # type: ignore[override] # all by name
        """Make the pools, with our TLS context."""
        super().init_poolmanager(connections, maxsize, **more, ssl_context=self._backend.context, background_watch_delay=None)

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        """Return the pools behind a proxy, with our TLS context for it too."""
        if proxy not in self.proxy_manager:
            context = self._backend.context
            tls = {} if proxy.startswith("socks") else {"proxy_ssl_context": context}
            manager: Any = super().proxy_manager_for(proxy, ssl_context=context, background_watch_delay=None, **tls, **more)
            # niquests does so itself after the first tunnel, and knows the pool no more, of which this is part of the name.
            manager.connection_pool_kw["disabled_svn"].add(HttpVersion.h3)
            _note(manager)
        return self.proxy_manager[proxy]

    def cert_verify(self, *_: Any, **__: Any) -> bool:
        """Leave it to the TLS context."""
        return False

    def proxy_headers(self, proxy: str) -> dict[str, str]:  # noqa: ARG002 - niquests' signature
        """Return our credentials for the proxy, which may hold any character."""
        authorization = None if self._backend.proxy is None else self._backend.proxy.authorization
        return {} if authorization is None else {"Proxy-Authorization": authorization}


class _Resolver(AsyncBaseResolver):  # type: ignore[misc] # the alias hides its type
    """Our daemon threads as a resolver of niquests."""

    def __init__(self) -> None:
        super().__init__(None, None)
        self._resolver = Resolver()

    async def getaddrinfo(self, host: Any, port: Any, family: Any, *_: Any, **__: Any) -> list[Any]:
        """Return addresses as the standard library does."""
        found = await self._resolver.lookup(host, port)
        return [
            (address.family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address.host, address.port))
            for address in found
            if family in (socket.AF_UNSPEC, address.family)
        ]

    def recycle(self) -> _Resolver:
        """Return a new one."""
        return _Resolver()

    def is_available(self) -> bool:
        """Tell that it can be asked."""
        return True

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""


class _Noting:
    """What our connections add to those of a pool: they tell an exchange which of them it has."""

    sock: Any
    conn_info: Any
    is_verified: bool
    trip: _Trip | None = None
    served = 0

    @property
    def is_connected(self) -> bool:
        """Tell whether it can be used again; asked when it is taken from the pool."""
        self.trip = _TRIP.get()
        return self.trip.backend.claim(self) and bool(super().is_connected)  # type: ignore[misc] # of the class it is mixed into

    async def connect(self) -> None:
        self.trip = trip = _TRIP.get()
        trip.connection, self.served = self, 0
        timing = trip.timing
        timing.domain_lookup_start = perf_counter()
        await super().connect()  # type: ignore[misc]
        timing.connect_end = perf_counter()
        # What we see ends here; how long the parts took is niquests' to tell.
        info = self.conn_info
        zero = timedelta()
        timing.domain_lookup_end = timing.connect_start = timing.domain_lookup_start + (info.resolution_latency or zero).total_seconds()
        if trip.exchange.target.origin.scheme == "https":
            timing.secure_connection_start = timing.connect_start + (info.established_latency or zero).total_seconds()
        trip.connected = True
        # Whether it is has been decided by our context; niquests would warn again for each connection.
        self.is_verified = True

    def putrequest(self, method: str, url: str, *args: Any, **more: Any) -> None:
        target = _TRIP.get().exchange.target
        super().putrequest(method, target.path_query if url.startswith("/") else target.url, *args, **more)  # type: ignore[misc]

    async def endheaders(self, *args: Any, **more: Any) -> Any:
        if self.sock is None:
            await self.connect()
        _TRIP.get().begin(self)
        return await super().endheaders(*args, **more)  # type: ignore[misc]

    async def send(self, *args: Any, **more: Any) -> Any:
        try:
            return await super().send(*args, **more)  # type: ignore[misc]
        except asyncio.CancelledError:
            # niquests closes the descriptor, and leaves a transport behind in which something waits to be written.
            if self.sock is not None:
                await _shut_down(self.sock.fileno())
            raise


def _note(manager: Any) -> None:
    """Have the connections of a manager's pools tell an exchange which of them it has."""
    manager.pool_classes_by_scheme = {
        scheme: type(pool.__name__, (pool,), {"ConnectionCls": type("Connection", (_Noting, pool.ConnectionCls), {})})
        for scheme, pool in manager.pool_classes_by_scheme.items()
    }


async def _shut_down(descriptor: int) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as sock:
        sock.shutdown(socket.SHUT_RDWR)
    for _ in range(3):
        await asyncio.sleep(0)


def _proxy_url(proxy: ProxyServer) -> str:
    if proxy.scheme != "socks5":
        return proxy.url
    userinfo = "" if proxy.user is None else f"{quote(proxy.user, safe='')}:{quote(proxy.password, safe='')}@"
    return f"socks5h://{userinfo}{proxy.where}"


def _prepared(exchange: Exchange) -> niquests.PreparedRequest:
    lines = framed(exchange)
    request = niquests.PreparedRequest()
    request.method, request.url, request.body = exchange.method, f"{exchange.target.origin}/", exchange.content or None
    headers = HTTPHeaderDict()
    names = {name.lower() for name, _ in lines.fields}
    for name in ("User-Agent", "Accept-Encoding"):
        if name.lower() not in names:
            headers.add(name, SKIP_HEADER)
    if lines.host is not None:
        headers.add("Host", lines.host)
    for name, value in lines.fields:
        headers.add(name, value)
    request.headers = headers
    return request
