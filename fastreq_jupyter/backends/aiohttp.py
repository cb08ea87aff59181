"""The aiohttp backend: `aiohttp.ClientSession` over `aiohttp.TCPConnector`, by their public interface. HTTP/1.1.

aiohttp sends an idempotent request again when its connection dies, a new one too. A client middleware, which sees each
failure first, turns those into our error: the engine then sends again, and only where a kept connection had died.
"""

from __future__ import annotations

import asyncio
import io
import socket
import ssl
from contextvars import ContextVar
from functools import lru_cache
from math import inf, isnan, nan
from time import perf_counter
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict
from yarl import URL

from fastreq_jupyter.backends import base
from fastreq_jupyter.backends.proxy import proxy_error, read_proxy
from fastreq_jupyter.backends.resolver import Resolver
from fastreq_jupyter.backends.sockets import watch
from fastreq_jupyter.backends.trust import client_context
from fastreq_jupyter.backends.wire import (
    MAX_FIELD_BYTES,
    MAX_INTERIM,
    SWITCHING,
    connect_error,
    framed,
    lookup_error,
    place,
    switched_protocols,
    tls_error,
    too_many_interim,
)
from fastreq_jupyter.errors import BackendError, OptionError
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult

    from fastreq_jupyter.backends.base import Backend, Exchange, SessionKey
    from fastreq_jupyter.backends.proxy import ProxyServer
    from fastreq_jupyter.backends.wire import Lines
    from fastreq_jupyter.target import Origin, Target
    from fastreq_jupyter.timing import Timing

__all__ = ["open_session"]

# aiohttp warns about larger bodies given as bytes.
LARGE_BODY = 2**20
MAX_FIELDS = 10_000
# Seconds in which the loop has surely turned since the last answer: what came meanwhile has been seen.
RECENT = 0.01
KEPT_URLS = 1000
UNSAFE = frozenset({"POST", "PATCH"})
# With these aiohttp names a content type where we name none.
TYPED = frozenset({"POST", "PUT", "PATCH"})
NO_TYPE = ("Content-Type",)
INTERIM = (b"HTTP/1.1 1", b"HTTP/1.0 1")
BODILESS = frozenset({204, 304})
FRAMING = frozenset({b"content-length", b"transfer-encoding"})


def open_session(key: SessionKey) -> Backend:
    """Open a session on the running loop.

    Raises:
        OptionError: HTTP/2 is required, the proxy cannot be used or read, or a certificate cannot be read.
    """
    if key.http2 is True or key.http3:
        wanted = "http3" if key.http3 else "http2"
        message = f"{wanted}=True is not possible with backend aiohttp, which speaks HTTP/1.1: use backend curl"
        raise OptionError(message)
    if (proxy := read_proxy(key.proxy)) is not None and proxy.scheme == "socks5":
        message = "proxy=socks5:// is not possible with backend aiohttp: use backend curl, or give http:// or https://"
        raise OptionError(message)
    return AiohttpBackend(key)


class Trip:
    """One exchange on its way through aiohttp.

    Attributes:
        exchange: What is sent.
        timing: Record to fill.
        fields: The field lines that go out.
        link: The connection that was handed out: from here on bytes may have left.
        content: The body, once the head has come.
    """

    __slots__ = ("content", "exchange", "fields", "link", "timing")

    def __init__(self, exchange: Exchange, timing: Timing, fields: CIMultiDict[str]) -> None:
        self.exchange = exchange
        self.timing = timing
        self.fields = fields
        self.link: Link | None = None
        self.content: aiohttp.StreamReader | None = None

    @property
    def where(self) -> str:
        """Return host:port for a message."""
        return place(self.exchange.target.origin.host, self.exchange.target.origin.port)


TRIP: ContextVar[Trip] = ContextVar("fastreq_aiohttp_trip")


class Link(asyncio.Protocol):
    """A connection as asyncio's protocol before aiohttp's: notes what comes, and passes it on.

    aiohttp's parser throws a good answer away with bytes that follow it in the same piece (a body after a 204, or one
    longer than its length), and goes through interim answers without end: so heads are passed on one by one.
    """

    def __init__(self, transport: asyncio.Transport, idle: Idle) -> None:
        self.transport = transport
        self.trip: Trip | None = None
        self.failed = False
        self._idle = idle
        self._inner: Any = transport.get_protocol()
        self._pass_on = self._inner.data_received
        self._in_head = False
        self._interim = 0
        self._ended = False
        sock = transport.get_extra_info("socket")
        self._readable = None if sock is None else watch(sock.fileno())

    def begin(self, trip: Trip) -> None:
        """Start an exchange."""
        self.trip = trip
        self._in_head = True
        self._interim = 0

    def spent(self, *, look: bool) -> bool:
        """Tell whether an idle connection has ended, or holds an answer nobody asked for."""
        return self._ended or bool(self._inner.should_close) or (look and self._readable is not None and self._readable())

    def released(self) -> None:
        """Take it back: aiohttp calls this when an exchange is done."""
        self.trip = None
        self._idle.add(self)

    def abort(self) -> None:
        """Close at once: no flush to a server that does not read."""
        if not self._ended:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Pass on what came; where nobody asked for it, end the connection."""
        if self.trip is None:
            self.abort()
        elif not self._in_head or (data := self._without_heads(data, self.trip.timing)):
            self._pass_on(data)

    def _without_heads(self, data: bytes, timing: Timing) -> bytes:
        if isnan(timing.response_start):
            timing.response_start = perf_counter()
        while (end := data.find(b"\r\n\r\n") + 4) > 3:  # noqa: PLR2004 - found
            self._pass_on(data[:end])
            interim, data = data.startswith(INTERIM), data[end:]
            if not interim:
                self._in_head = False
                break
            self._interim += 1
            if self._interim > MAX_INTERIM:
                self._inner.set_exception(too_many_interim())
                self.abort()
                return b""
        return data

    def connection_lost(self, exc: Exception | None) -> None:
        """Note how it ended."""
        self._ended, self.failed = True, exc is not None
        self._idle.remove(self)
        content = None if self.trip is None else self.trip.content
        self._inner.connection_lost(exc)
        # After a malformed chunk aiohttp would leave the reader of the body waiting.
        if content is not None and not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("malformed body"))

    def eof_received(self) -> bool | None:
        """Pass on."""
        ended: bool | None = self._inner.eof_received()
        return ended

    def pause_writing(self) -> None:
        """Pass on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        self._inner.resume_writing()


class Idle:
    """The connections that nobody uses; beyond `most` the oldest are closed."""

    def __init__(self) -> None:
        self.most = 40
        self._links: dict[Link, None] = {}

    def remove(self, link: Link) -> None:
        """Forget a connection: it is in use, or has ended."""
        self._links.pop(link, None)

    def add(self, link: Link) -> None:
        """Count a connection among the idle ones."""
        self._links[link] = None
        if len(self._links) > self.most:
            oldest = next(iter(self._links))
            del self._links[oldest]
            oldest.abort()


class Connector(aiohttp.TCPConnector):
    """aiohttp's connector, told to hand out living connections only, and to note how each was had."""

    def __init__(self, resolver: Resolver, context: ssl.SSLContext, idle: Idle, *, force_close: bool) -> None:
        # Our resolver keeps answers itself and is then called in the exchange's own task, where its record is.
        super().__init__(
            resolver=Names(resolver), use_dns_cache=False, limit=0, ssl=context, force_close=force_close, socket_factory=_socket
        )
        self.idle = idle
        self.active_at = 0.0

    async def connect(self, req: aiohttp.ClientRequest, traces: Any, timeout: aiohttp.ClientTimeout) -> Any:  # noqa: ASYNC109 - aiohttp's signature
        """Return a connection that is not known to have ended."""
        trip = TRIP.get()
        look = req.method in UNSAFE or perf_counter() - self.active_at > RECENT
        while True:
            connection = await super().connect(req, traces, timeout)
            transport = connection.transport
            if transport is None:
                # It has ended already: aiohttp will say so.
                return connection
            link: Any = transport.get_protocol()
            kept = type(link) is Link
            if not kept:
                link = Link(transport, self.idle)
                transport.set_protocol(link)
                break
            self.idle.remove(link)
            if not link.spent(look=look):
                break
            connection.close()
        link.begin(trip)
        trip.link = link
        connection.add_callback(link.released)
        self.active_at = _note_connection(trip.timing, kept=kept, encrypted=req.is_ssl())
        return connection


def _note_connection(timing: Timing, *, kept: bool, encrypted: bool) -> float:
    now = perf_counter()
    timing.reused = kept
    timing.encrypted = encrypted
    timing.request_start = now
    timing.response_start = nan
    if not kept:
        if isnan(timing.domain_lookup_end):
            timing.domain_lookup_start = timing.domain_lookup_end = timing.connect_start
        timing.connect_end = now
    return now


class Names(AbstractResolver):
    """Our resolver in the form that aiohttp asks for."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """Return the addresses of a name, and note how long it took."""
        timing = TRIP.get().timing
        timing.domain_lookup_start = perf_counter()
        addresses = await self._resolver.lookup(host, port)
        timing.domain_lookup_end = perf_counter()
        return [
            {"hostname": host, "host": address.host, "port": port, "family": address.family, "proto": 0, "flags": 0}
            for address in addresses
            if family in (socket.AF_UNSPEC, address.family)
        ]

    async def close(self) -> None:
        """Do nothing: the backend owns the resolver."""


class TimedContext(ssl.SSLContext):
    """A TLS context that notes when a handshake begins."""

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """Begin TLS on a connection; through a proxy over TLS the second time counts, the server's."""
        TRIP.get().timing.secure_connection_start = perf_counter()
        return super().wrap_bio(*args, **options)


class AiohttpBackend:
    """One aiohttp session on one loop, and a second one for exchanges that need a new connection."""

    name = "aiohttp"
    phases = frozenset({"dns", "connect", "tls", "wait", "receive"})

    def __init__(self, key: SessionKey) -> None:
        self._proxy = read_proxy(key.proxy)
        self._context = client_context(key, make=TimedContext)
        self._resolver = Resolver()
        self._idle = Idle()
        self._session = self._open(force_close=False)
        self._fresh: aiohttp.ClientSession | None = None
        self._proxied: dict[str, Any] = {} if self._proxy is None else {"proxy": URL(self._proxy.url, encoded=True)}

    def reserve(self, concurrency: int) -> None:
        """Prepare for so many requests in flight: connections are opened as they are needed, twice as many stay idle."""
        self._idle.most = max(self._idle.most, 2 * concurrency)

    async def send(self, exchange: Exchange, timing: Timing) -> Stream:
        """Send one request, return when the final head is read (see `Backend.send`)."""
        lines = framed(exchange)
        target = exchange.target
        options: dict[str, Any] = {"allow_redirects": False}
        if self._proxy is not None:
            options |= self._through(self._proxy, exchange, lines)
        if exchange.content is not None or exchange.method in TYPED:
            options |= {"data": _payload(exchange.content), "skip_auto_headers": NO_TYPE}
        if exchange.connect_timeout is not None:
            options["timeout"] = _patience(exchange.connect_timeout)
        trip = Trip(exchange, timing, CIMultiDict([("Host", lines.host or _authority(target.origin)), *_sendable(lines)]))
        TRIP.set(trip)
        try:
            response = await self._session_for(exchange).request(exchange.method, _url(target), **options)
        except BackendError:
            raise
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            raise _translated(error, trip, self._proxy) from error
        except asyncio.CancelledError:
            if trip.link is not None:
                trip.link.abort()
            raise
        if response.status == SWITCHING:
            response.close()
            raise switched_protocols()
        return Stream(response, trip)

    async def aclose(self) -> None:
        """Close all connections; can be called twice."""
        for session in (self._session, self._fresh):
            if session is not None:
                await session.close()

    def _session_for(self, exchange: Exchange) -> aiohttp.ClientSession:
        if not exchange.fresh:
            return self._session
        if self._fresh is None:
            self._fresh = self._open(force_close=True)
        return self._fresh

    def _open(self, *, force_close: bool) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=Connector(self._resolver, self._context, self._idle, force_close=force_close),
            middlewares=(self._once,),
            cookie_jar=aiohttp.DummyCookieJar(),
            # No timeout at all: the engine cancels at its deadline, which is cheaper and covers everything.
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            trust_env=False,
            max_line_size=MAX_FIELD_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            max_headers=MAX_FIELDS,
        )

    async def _once(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Send our field lines in place of aiohttp's; let it see no failure after which it would send again."""
        trip = TRIP.get()
        request.headers = trip.fields
        try:
            return await handler(request)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            raise _translated(error, trip, self._proxy) from error

    def _through(self, proxy: ProxyServer, exchange: Exchange, lines: Lines) -> dict[str, Any]:
        own = {} if proxy.authorization is None else {"Proxy-Authorization": proxy.authorization}
        if exchange.target.origin.scheme == "http":
            lines.fields.extend(own.items())
            return self._proxied
        own |= {name: value for name, value in lines.fields if name.lower() == "user-agent" and lines.plain}
        return {**self._proxied, "proxy_headers": own}


class Stream(base.Stream):
    """One aiohttp response, its body still to come."""

    __slots__ = ("_content", "_response", "_trip")

    def __init__(self, response: aiohttp.ClientResponse, trip: Trip) -> None:
        self._response = response
        self._content = trip.content = response.content
        self._trip = trip
        self.status = response.status
        self.reason = _latin1(response.reason or "")
        version = response.version
        self.http_version = "1.1" if version is None else f"{version.major}.{version.minor}"
        self.fields = response.raw_headers

    def take(self) -> bytes | None:
        """Return the whole body if its end is here (see `base.Stream.take`)."""
        content = self._content
        if not content.is_eof():
            return None
        try:
            body = content.read_nowait()
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            raise self._broken_off() from error
        self._check_end()
        return body

    async def read(self) -> bytes:
        """Return the next raw bytes of the body, b"" at its end (see `base.Stream.read`)."""
        try:
            data = await self._content.readany()
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            raise self._broken_off() from error
        if not data:
            self._check_end()
        return data

    def close(self) -> None:
        """Close the connection unless the body was read whole, in which case it went back already."""
        link = self._trip.link
        if link is not None and link.trip is self._trip:
            link.abort()
        if not self._response.closed:
            self._response.close()

    def _check_end(self) -> None:
        """Keep a body that goes on until the connection ends from passing for whole when it was reset."""
        link = self._trip.link
        if link is None or not link.failed or self._trip.exchange.method == "HEAD" or self.status in BODILESS:
            return
        if not any(name.lower() in FRAMING for name, _ in self.fields):
            raise self._broken_off()

    def _broken_off(self) -> BackendError:
        return BackendError("protocol", f"{self._trip.where}: the body broke off or was malformed")


def _socket(address: Any) -> socket.socket:
    """Open a socket for aiohttp, and note when the first one of an exchange was."""
    timing = TRIP.get().timing
    if isnan(timing.connect_start):
        timing.connect_start = perf_counter()
    return socket.socket(*address[:3])


def _payload(content: bytes | None) -> Any:
    if not content:
        return None
    return io.BytesIO(content) if len(content) > LARGE_BODY else content


def _authority(origin: Origin) -> str:
    return str(origin).partition("://")[2]


@lru_cache(maxsize=KEPT_URLS)
def _server(origin: Origin) -> URL:
    return URL(f"{origin}/", encoded=True)


def _url(target: Target) -> URL:
    """Return a URL whose path is path and query as they stand: yarl would drop the "?" of an empty query."""
    return _server(target.origin).with_path(target.path_query, encoded=True)


@lru_cache(maxsize=64)
def _patience(seconds: float) -> aiohttp.ClientTimeout:
    # Above its threshold aiohttp rounds up to whole seconds.
    return aiohttp.ClientTimeout(total=None, connect=seconds, ceil_threshold=inf)


def _sendable(lines: Lines) -> list[tuple[str, str]]:
    """Return field lines that aiohttp, which writes text as UTF-8, puts on the wire as the bytes they stand for.

    Raises:
        BackendError: ``invalid value``: The bytes are no UTF-8.
    """
    if lines.plain:
        return lines.fields
    fields = []
    for name, value in lines.fields:
        try:
            fields.append((name, value.encode("latin-1").decode("utf-8")))
        except UnicodeDecodeError:
            detail = f"header {name} holds bytes that are no UTF-8, which backend aiohttp cannot send: use backend curl"
            raise BackendError("invalid value", detail, sent=False) from None
    return fields


def _latin1(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def _translated(error: Exception, trip: Trip, proxy: ProxyServer | None) -> BackendError:
    """Return our error for one of aiohttp's."""
    where = trip.where
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return tls_error(error.certificate_error, where)
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return tls_error(error.os_error, where)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return BackendError("timeout", f"{where}: no connection within {trip.exchange.connect_timeout:g} s", sent=False)
    if trip.link is not None:
        return _broken(error, trip)
    if proxy is not None:
        return _refused_by(proxy, error)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return lookup_error(error.os_error, trip.exchange.target.origin.host)
    if isinstance(error, aiohttp.ClientConnectorError):
        return connect_error(error.os_error, where)
    if isinstance(error, aiohttp.InvalidURL):
        return BackendError("invalid URL", f"{where} is refused by aiohttp", sent=False)
    return connect_error(error, where)


def _refused_by(proxy: ProxyServer, error: Exception) -> BackendError:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return proxy_error(f"proxy {proxy.where} answered {error.status} {one_line(error.message)}".rstrip())
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return proxy_error(connect_error(cause, f"proxy {proxy.where}").detail)


def _broken(error: Exception, trip: Trip) -> BackendError:
    """Return our error for a connection that was there: the request may have been read."""
    where, kept = trip.where, trip.timing.reused is True and isnan(trip.timing.response_start)
    if isinstance(error, aiohttp.ClientResponseError):
        return BackendError("protocol", f"{where}: malformed answer: {one_line(error.message)}")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        if not isnan(trip.timing.response_start):
            return BackendError("protocol", f"{where}: malformed answer: its head broke off")
        return BackendError("connect", f"{where}: connection closed before an answer", stale=kept)
    if isinstance(error, OSError):
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        told = connect_error(cause, where, sent=True)
        told.stale = kept and told.kind == "connect"
        return told
    return BackendError("protocol", f"{where}: {type(error).__name__}")
