"""The niquests backend: a `niquests.AsyncSession`, HTTP/1.1 and, over TLS, HTTP/2, or HTTP/3 where it is asked for.

A connection has one request at a time, HTTP/2 too: niquests can send many on one, but waits for one answer at a time on it, so
that a slow one would hold up the others, and can end one that has no head yet only by closing the connection under all of them.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from datetime import timedelta
from importlib.util import find_spec
from time import perf_counter
from typing import TYPE_CHECKING, Any

import niquests
import niquests.adapters
from niquests.packages.urllib3 import HTTPHeaderDict, HttpVersion  # type: ignore[import-not-found] # made when it is imported
from niquests.packages.urllib3.contrib.resolver._async import AsyncBaseResolver  # type: ignore[import-not-found] # a fork of urllib3, known by no stub
from niquests.packages.urllib3.util import SKIP_HEADER  # type: ignore[import-not-found] # a fork of urllib3, known by no stub

from fastreq_jupyter.backends import base, pools, wire
from fastreq_jupyter.backends.names import Resolver
from fastreq_jupyter.backends.trust import client_context
from fastreq_jupyter.errors import BackendError, OptionError

if TYPE_CHECKING:
    from fastreq_jupyter.backends.base import SessionKey
    from fastreq_jupyter.exchange import Exchange, Timing

_HTTP_1 = 11
_VERSIONS = {_HTTP_1: "1.1", 20: "2", 30: "3"}


class NiquestsBackend(pools.PoolBackend):
    """One niquests session on one loop."""

    name = "niquests"

    def __init__(self, key: SessionKey) -> None:
        super().__init__(key, getattr(niquests.adapters, "AsyncSOCKSProxyManager", None), "'niquests[socks]'")
        if key.http3 and (self.proxy is not None or find_spec("qh3") is None):
            raise OptionError("http3=True needs qh3 and no proxy with backend niquests: pip install qh3, or use backend curl")
        self.required = HttpVersion.h3 if key.http3 else HttpVersion.h2 if key.http2 is True else None
        self.context = client_context(key, ("http/1.1",) if key.http2 is False else ("h2", "http/1.1"))
        self._proxies = dict.fromkeys(("http", "https"), self.proxy_url) if self.proxy_url else {}
        self.resolver = _Resolver()
        self._closing: set[asyncio.Future[None]] = set()
        self.reserve(100)

    def mount(self, concurrency: int) -> None:
        """Make new pools."""
        self._adapters = {scheme: _Adapter(self, concurrency, scheme) for scheme in ("http", "https")}

    async def send(self, exchange: Exchange, timing: Timing) -> Stream:
        """Send one request, return when the final head is read (see `Backend.send`)."""
        trip = _Trip(self, exchange, timing, pools.prepare(exchange, niquests.PreparedRequest(), HTTPHeaderDict(), SKIP_HEADER))
        if self.required is not None and exchange.target.origin.scheme == "http":
            option = "http2" if self.required is HttpVersion.h2 else "http3"
            raise BackendError("protocol", f"{option}=True needs an https URL", sent=False)
        pools.TRIP.set(trip)
        try:
            adapter = self._adapters[exchange.target.origin.scheme]
            raw = (await adapter.send(trip.request, stream=True, proxies=self._proxies, on_early_response=trip.count)).raw
        except BaseException as error:
            trip.end()
            if isinstance(error, BackendError) or not isinstance(error, Exception):
                raise
            raise trip.failed(error) from error
        timing.response_start = perf_counter()
        return Stream(trip, raw)

    async def aclose(self) -> None:
        """Close all connections; can be called twice."""
        self.closed = True
        self.close_idle(0)
        if self._closing:
            await asyncio.wait(self._closing, timeout=2)
        for adapter in self._adapters.values():
            await adapter.close()

    def discard(self, connection: Any) -> None:
        """Close an idle connection."""
        self.close(connection, connection.trip, connection)

    def close(self, connection: Any, trip: pools.Trip | None, closeable: Any) -> None:
        """Close `closeable`, a connection or the response on it, in the loop's next turn, unless another exchange has it by then."""

        async def close() -> None:
            if connection.trip is trip:
                # HTTP/2 sends a GOAWAY frame first, for which the socket may never have room.
                with suppress(OSError):
                    async with asyncio.timeout(1):
                        await closeable.close()

        task = asyncio.ensure_future(close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


class _Trip(pools.Trip):
    """One exchange, and the interim answers that came."""

    backend: NiquestsBackend
    _interim = 0

    async def count(self, _: Any) -> None:
        """Count an interim answer."""
        self._interim += 1
        if self._interim > wire.MAX_INTERIM:
            raise wire.too_many_interim()

    def begin(self, connection: Any) -> None:
        """Note the connection that the request is about to go out on."""
        required = self.backend.required
        if required is not None and connection.conn_info.http_version is not required:
            version = "HTTP/3 (http3=True)" if required is HttpVersion.h3 else "HTTP/2 (http2=True)"
            raise BackendError("protocol", f"{self.where}: server does not speak {version}", sent=False)
        super().begin(connection)

    def end(self, raw: Any = None, *, whole: bool = False) -> None:
        """Let go of the connection: keep it after a whole answer, else close it, with the response on it if there is one."""
        self.close_upload()
        connection, self.connection = self.connection, None
        if connection is None or connection.trip is not self:
            return
        if whole:
            self.backend.rest(connection, self)
        else:
            self.backend.close(connection, self, raw or connection)


class Stream(base.Stream):
    """The response of one niquests exchange, its body still to come."""

    __slots__ = ("_raw", "_trip")

    def __init__(self, trip: _Trip, raw: Any) -> None:
        self._trip: _Trip | None = trip
        self._raw = raw
        self.status = raw.status
        self.http_version = _VERSIONS.get(raw.version, "1.1")
        self.reason = raw.reason or ""
        self.fields = pools.fields_of(tuple(raw.headers.items()))
        if raw.version == _HTTP_1:
            # An offer of another protocol, which niquests would accept at the end of the body.
            raw.headers.discard("alt-svc")

    async def read(self) -> bytes:
        """Return the next raw bytes of the body, b"" at its end (see `base.Stream.read`)."""
        trip = self._trip
        if trip is None:
            return b""
        try:
            data: bytes = await self._raw.read1(wire.PIECE_BYTES, decode_content=False)
        except Exception as error:
            self.close()
            raise trip.broken_off(error) from error
        if not data:
            self._trip = None
            trip.end(whole=True)
        return data

    def close(self) -> None:
        """Close the connection unless the body was read whole, in which case it went back already."""
        trip, self._trip = self._trip, None
        if trip is not None:
            trip.end(self._raw)


class _Adapter(pools.AdapterRules, niquests.adapters.AsyncHTTPAdapter):
    """The session's transport: urllib3-future's pools, with our TLS context and our class of connection."""

    def __init__(self, backend: NiquestsBackend, concurrency: int, scheme: str) -> None:
        self.backend = backend
        required = backend.required
        super().__init__(
            max_retries=0,
            pool_connections=max(64, 2 * concurrency),
            pool_maxsize=concurrency,
            resolver=backend.resolver,
            revocation_configuration=None,
            allow_incoming_cookies=False,
            disable_http1=required is HttpVersion.h3,
            # Over plain TCP it would be an upgrade that nobody asked for.
            disable_http2=backend.key.http2 is False or scheme == "http" or required is HttpVersion.h3,
            disable_http3=required is not HttpVersion.h3,
            # Sends no pings on idle connections.
            keepalive_idle_window=None,
        )
        pools.note(self.poolmanager, _Connection)

    def init_poolmanager(self, connections: int, maxsize: int, **more: Any) -> None:  # type: ignore[override] # all by name
        """Make the pools, with our TLS context."""
        super().init_poolmanager(connections, maxsize, **more, ssl_context=self.backend.context, background_watch_delay=None)

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        """Return the pools behind a proxy, with our TLS context for it too."""
        if proxy not in self.proxy_manager:
            context = self.backend.context
            tls = {} if proxy.startswith("socks") else {"proxy_ssl_context": context}
            manager: Any = super().proxy_manager_for(proxy, ssl_context=context, background_watch_delay=None, **tls, **more)
            # niquests does so itself after the first tunnel, but then does not find the pool, whose key includes this.
            manager.connection_pool_kw["disabled_svn"].add(HttpVersion.h3)
            pools.note(manager, _Connection)
        return self.proxy_manager[proxy]


class _Resolver(AsyncBaseResolver):  # type: ignore[misc] # the alias hides its type
    """Our daemon threads as a resolver of niquests."""

    def __init__(self) -> None:
        super().__init__(None, None)
        self._resolver = Resolver()

    async def getaddrinfo(self, host: Any, port: Any, family: Any, kind: Any, *_: Any, **__: Any) -> list[Any]:
        """Return addresses as the standard library does."""
        return [
            (its_family, kind, 0, "", (address, port))
            for its_family, address in await self._resolver.lookup(host)
            if family in (socket.AF_UNSPEC, its_family)
        ]

    def recycle(self) -> _Resolver:
        """Return a new one."""
        return _Resolver()

    def is_available(self) -> bool:
        """Tell that it can be asked."""
        return True

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""


class _Connection(pools.NotingConnection):
    """A connection that tells its trip what it does."""

    conn_info: Any

    async def connect(self) -> None:
        trip: Any = pools.TRIP.get()
        trip.dial(self)
        timing = trip.timing
        await super().connect()  # type: ignore[misc] # of the class it is mixed into
        timing.connect_end = perf_counter()
        # Our own marks end here; niquests reports how long the parts took.
        info = self.conn_info
        zero = timedelta()
        timing.domain_lookup_end = timing.connect_start = timing.domain_lookup_start + (info.resolution_latency or zero).total_seconds()
        if trip.exchange.target.origin.scheme == "https":
            timing.secure_connection_start = timing.connect_start + (info.established_latency or zero).total_seconds()
        trip.connected = True
        # Our context decides about verification; niquests would warn again for each connection.
        self.is_verified = True

    async def endheaders(self, *args: Any, **more: Any) -> Any:
        if self.sock is None:
            await self.connect()
        pools.TRIP.get().begin(self)
        return await super().endheaders(*args, **more)  # type: ignore[misc] # a mixin: the method is of the class beside it

    async def send(self, *args: Any, **more: Any) -> Any:
        try:
            return await super().send(*args, **more)  # type: ignore[misc] # a mixin: the method is of the class beside it
        except asyncio.CancelledError:
            # niquests closes the descriptor but leaves a transport with pending data.
            if self.sock is not None:
                await _shut_down(self.sock.fileno())
            raise


async def _shut_down(descriptor: int) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as sock:
        sock.shutdown(socket.SHUT_RDWR)
    for _ in range(3):
        await asyncio.sleep(0)


open_session = NiquestsBackend
