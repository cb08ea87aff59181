"""The aiohttp backend: `aiohttp.ClientSession` over `aiohttp.TCPConnector`, by their public interface. HTTP/1.1.

aiohttp sends an idempotent request again when its connection dies, a new one too. A client middleware, which sees each
failure first, turns those into our error: the engine then sends again, and only where a kept connection had died.
"""

from __future__ import annotations

import asyncio
import io
import os
import socket
from contextlib import suppress
from contextvars import ContextVar
from functools import lru_cache
from math import isnan, nan
from time import perf_counter
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict
from yarl import URL

from fastreq_jupyter.backends import base, wire
from fastreq_jupyter.backends.names import Resolver, watch
from fastreq_jupyter.backends.trust import NamedContext, client_context
from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.files import Upload

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from aiohttp.abc import ResolveResult

    from fastreq_jupyter.backends.base import SessionKey
    from fastreq_jupyter.exchange import Exchange, Timing
    from fastreq_jupyter.url import Origin, Target

# aiohttp warns about larger bodies given as bytes.
LARGE_BODY = 2**20
# Bytes of chunk extensions and trailers in a row.
MAX_EMPTY = 2**20
# Methods for which aiohttp adds a content type where there is none.
TYPED = frozenset({"POST", "PUT", "PATCH"})
INTERIM = (b"HTTP/1.1 1", b"HTTP/1.0 1")
BODILESS = frozenset({204, 304})
FAILURES = (aiohttp.ClientError, OSError, ValueError, RuntimeError)


CURRENT: ContextVar[Stream] = ContextVar("fastreq_aiohttp_exchange")


class Link(asyncio.Protocol):
    """A connection, seen as asyncio's protocol before aiohttp's: notes what comes, and passes it on.

    Heads are passed on one by one: aiohttp's parser throws a good answer away with bytes that follow it in the same piece
    (a body after a 204, or one longer than its length), and goes through interim answers without end.
    """

    def __init__(self, transport: asyncio.Transport, connector: Connector) -> None:
        inner: Any = transport.get_protocol()
        self.transport = transport
        self.stream: Stream | None = None
        self.ended = self.failed = False
        self._connector = connector
        self._inner = inner
        self._in_head = False
        self._interim = self._empty = self._brought = 0
        sock = transport.get_extra_info("socket")
        self._readable = watch(sock.fileno()) if sock is not None else bool
        self._pass_on: Callable[[bytes], None] = inner.data_received
        self.eof_received, self.pause_writing, self.resume_writing = inner.eof_received, inner.pause_writing, inner.resume_writing  # type: ignore[method-assign] # passed through unchanged

    def begin(self, stream: Stream) -> None:
        """Start an exchange."""
        self.stream, self._in_head, self._interim, self._empty, self._brought = stream, True, 0, 0, 0

    def released(self) -> None:
        """Take it back: aiohttp calls this when an exchange is done."""
        self.stream = None
        if not self._inner.should_close:
            self._connector.keep(self)

    def spent(self) -> bool:
        """Tell whether an idle connection has ended, or holds an answer nobody asked for."""
        return self.ended or bool(self._inner.should_close) or self._readable()

    def abort(self) -> None:
        """Close at once: no flush to a server that does not read."""
        if not self.ended:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Pass on what came; where nobody asked for it, end the connection."""
        if self.stream is None:
            self.abort()
        elif not self._in_head or (data := self._after_heads(data, self.stream.timing)):
            self._pass_on(data)
            if self.stream is not None and (content := self.stream.content) is not None:
                self._bound(content, len(data))

    def _after_heads(self, data: bytes, timing: Timing) -> bytes:
        if isnan(timing.response_start):
            timing.response_start = perf_counter()
        while self._in_head and (end := data.find(b"\r\n\r\n") + 4) >= 4:
            self._in_head = data.startswith(INTERIM)
            self._pass_on(data[:end])
            data = data[end:]
            self._interim += self._in_head
            if self._interim > wire.MAX_INTERIM:
                self._inner.set_exception(wire.too_many_interim())
                self.abort()
                return b""
        return data

    def _bound(self, content: aiohttp.StreamReader, size: int) -> None:
        """End a body that goes on and brings nothing: a chunk extension, or trailers, without end."""
        self._empty = self._empty + size if content.total_bytes == self._brought else 0
        self._brought = content.total_bytes
        if self._empty > MAX_EMPTY:
            content.set_exception(aiohttp.ClientPayloadError("nothing but framing"))
            self.abort()

    def _hear_out(self) -> None:
        """Read what came before the connection broke under our writing: asyncio leaves it, and it may be the answer, say a 413."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None and self.transport.get_extra_info("sslcontext") is None:
            with suppress(OSError), socket.socket(fileno=os.dup(sock.fileno())) as waiting:
                while data := waiting.recv(wire.MAX_FIELD_BYTES):
                    self.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note how it ended."""
        if exc is not None and self.stream is not None and isnan(self.stream.timing.response_start):
            self._hear_out()
        self.ended, self.failed = True, exc is not None
        self._connector.idle.pop(self, None)
        content = None if self.stream is None else self.stream.content
        self._inner.connection_lost(exc)
        # After a malformed chunk aiohttp would leave the reader of the body waiting.
        if content is not None and not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("malformed body"))


class Connector(aiohttp.TCPConnector):
    """aiohttp's connector: hands out living connections, notes how each was had, closes the oldest of too many idle ones."""

    def __init__(self, context: ssl.SSLContext) -> None:
        # Our resolver caches answers itself, and is called in the task of the exchange, which holds its record.
        super().__init__(resolver=Names(), use_dns_cache=False, limit=0, ssl=context, socket_factory=_socket)
        self.idle: dict[Link, None] = {}
        self.most_idle = 40

    async def connect(self, req: aiohttp.ClientRequest, traces: Any, timeout: aiohttp.ClientTimeout) -> Any:  # noqa: ASYNC109 - aiohttp's signature
        """Return a connection that is not known to have ended."""
        stream = CURRENT.get()
        while (transport := (connection := await super().connect(req, traces, timeout)).transport) is not None:
            link: Any = transport.get_protocol()
            if not (reused := type(link) is Link):
                link = Link(transport, self)
                transport.set_protocol(link)
            self.idle.pop(link, None)
            if not reused or not (stream.fresh or link.spent()):
                link.begin(stream)
                stream.link = link
                connection.add_callback(link.released)
                stream.connected(reused=reused, encrypted=req.is_ssl())
                break
            connection.close()
        return connection

    def keep(self, link: Link) -> None:
        """Count a connection among the idle ones."""
        self.idle[link] = None
        if len(self.idle) > self.most_idle:
            oldest = next(iter(self.idle))
            del self.idle[oldest]
            oldest.abort()


class Names(AbstractResolver):
    """Our resolver in the form that aiohttp asks for."""

    def __init__(self) -> None:
        self._resolver = Resolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """Return the addresses of a name, and note how long it took."""
        timing = CURRENT.get().timing
        timing.domain_lookup_start = perf_counter()
        addresses = await self._resolver.lookup(host)
        timing.domain_lookup_end = perf_counter()
        return [
            {"hostname": host, "host": address, "port": port, "family": its_family, "proto": 0, "flags": 0}
            for its_family, address in addresses
            if family in (socket.AF_UNSPEC, its_family)
        ]

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""


class TimedContext(NamedContext):
    """A TLS context that notes when a handshake begins."""

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """Begin TLS on a connection; through a proxy over TLS the second time counts, the server's."""
        CURRENT.get().timing.secure_connection_start = perf_counter()
        return super().wrap_bio(*args, **options)


class AiohttpBackend:
    """One aiohttp session on one loop."""

    name = "aiohttp"

    def __init__(self, key: SessionKey) -> None:
        self._proxy = wire.read_proxy(key.proxy)
        self._reserved = 0
        self._connector = Connector(client_context(key, make=TimedContext))
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            middlewares=(_send_once,),
            cookie_jar=aiohttp.DummyCookieJar(),
            # No timeout: who sends cancels at a deadline, which is cheaper and covers everything.
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            trust_env=False,
            max_line_size=wire.MAX_FIELD_BYTES,
            max_field_size=wire.MAX_FIELD_BYTES,
            max_headers=10_000,
        )

    def reserve(self, concurrency: int) -> None:
        """Prepare for so many requests in flight: connections are opened as they are needed, twice as many stay idle."""
        self._reserved = max(self._reserved, concurrency)
        self._connector.most_idle = base.most_idle(self._reserved)

    async def send(self, exchange: Exchange, timing: Timing) -> Stream:
        """Send one request, return when the final head is read (see `Backend.send`)."""
        stream = Stream(exchange, timing, _lines(exchange), self._proxy)
        options: dict[str, Any] = {} if self._proxy is None else _through(self._proxy, stream)
        if exchange.content or exchange.method in TYPED:
            options |= {"data": _payload(exchange.content), "skip_auto_headers": ("Content-Type",)}
        CURRENT.set(stream)
        try:
            response = await self._session.request(exchange.method, _url(exchange.target), allow_redirects=False, **options)
        except FAILURES as error:
            raise _translated(error, stream) from error
        except asyncio.CancelledError:
            if stream.link is not None:
                stream.link.abort()
            raise
        stream.start(response)
        return stream

    async def aclose(self) -> None:
        """Close all connections; can be called twice."""
        await self._session.close()


class Stream(base.Stream):
    """One exchange on its way through aiohttp, then its response.

    Attributes:
        method, origin, fresh: As in the exchange; its content is not held, for contexts of asyncio hold this.
        timing: Record to fill.
        lines: The field lines that go out.
        proxy: What it goes through.
        link: The connection that was handed out: from here on bytes may have left.
        content: The body, once the head has come.
    """

    __slots__ = ("_response", "content", "fresh", "lines", "link", "method", "origin", "proxy", "timing")

    def __init__(self, exchange: Exchange, timing: Timing, lines: CIMultiDict[str], proxy: wire.ProxyServer | None) -> None:
        self.method, self.origin, self.fresh = exchange.method, exchange.target.origin, exchange.fresh
        self.timing, self.lines, self.proxy = timing, lines, proxy
        self.link: Link | None = None
        self.content: aiohttp.StreamReader | None = None

    def connected(self, *, reused: bool, encrypted: bool) -> None:
        """Note that it has a connection."""
        timing = self.timing
        timing.reused, timing.encrypted, timing.response_start = reused, encrypted, nan
        timing.request_start = now = perf_counter()
        if not reused:
            if isnan(timing.domain_lookup_end):
                timing.domain_lookup_start = timing.domain_lookup_end = timing.connect_start
            timing.connect_end = now

    def start(self, response: aiohttp.ClientResponse) -> None:
        """Read the head."""
        self._response, self.content = response, response.content
        self.status, self.fields = response.status, wire.shared_fields(response.raw_headers)
        self.reason, self.http_version = _status_line(response.reason or "", response.version)

    def take(self) -> bytes | None:
        """Return the whole body if its end is here (see `base.Stream.take`)."""
        if not self._response.content.is_eof():
            return None
        try:
            body = self._response.content.read_nowait()
        except FAILURES as error:
            raise wire.broken_off(self.where()) from error
        self._end()
        return body

    async def read(self) -> bytes:
        """Return the next raw bytes of the body, b"" at its end (see `base.Stream.read`)."""
        try:
            return await self._response.content.readany() or self._end()
        except FAILURES as error:
            raise wire.broken_off(self.where()) from error

    def close(self) -> None:
        """Close the connection unless the body was read whole, in which case it went back already."""
        if self.link is not None and self.link.stream is self:
            self.link.abort()
        if not self._response.closed:
            self._response.close()

    def where(self) -> str:
        """Return host:port for a message."""
        return wire.place(self.origin.host, self.origin.port)

    def _end(self) -> bytes:
        """Keep a body that goes on until the connection ends from passing for whole when it was reset."""
        reset = self.link is not None and self.link.failed and self.method != "HEAD" and self.status not in BODILESS
        if reset and not any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self.fields):
            raise wire.broken_off(self.where())
        return b""


class _FilePayload(aiohttp.Payload):
    """A body that stands in files."""

    def __init__(self, upload: Upload) -> None:
        super().__init__(upload.open())
        self._size = len(upload)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002 - aiohttp's signature
        """Return nothing of it: whoever wants a text for a log."""
        return ""

    async def write(self, writer: Any) -> None:
        """Write it, a piece at a time."""
        try:
            while piece := self._value.read(wire.PIECE_BYTES):
                await writer.write(piece)
        finally:
            self._value.close()


def _payload(content: bytes | Upload | None) -> Any:
    if isinstance(content, Upload):
        return _FilePayload(content)
    return io.BytesIO(content) if content and len(content) > LARGE_BODY else content or None


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send our field lines in place of aiohttp's, and let it see no failure after which it would send again."""
    stream = CURRENT.get()
    request.headers = stream.lines
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _translated(error, stream) from error


def _socket(address: Any) -> socket.socket:
    """Open a socket for aiohttp, and note when the first one of an exchange was."""
    timing = CURRENT.get().timing
    if isnan(timing.connect_start):
        timing.connect_start = perf_counter()
    return socket.socket(*address[:3])


# Rows share what it returns.
@lru_cache(maxsize=64)
def _status_line(reason: str, version: aiohttp.HttpVersion | None) -> tuple[str, str]:
    text = reason if reason.isascii() else reason.encode("utf-8", "surrogateescape").decode("latin-1")
    return text, "1.1" if version is None else f"{version.major}.{version.minor}"


@lru_cache(maxsize=1000)
def _server(origin: Origin) -> URL:
    return URL(f"{origin}/", encoded=True)


def _url(target: Target) -> URL:
    """Return a URL that goes out as it stands: path and query are its path, for yarl drops the "?" of an empty query."""
    return _server(target.origin).with_path(target.path_query, encoded=True)


def _lines(exchange: Exchange) -> CIMultiDict[str]:
    """Return the field lines to send. aiohttp writes text as UTF-8: what it gets is what comes out as the right bytes.

    Raises:
        BackendError: ``invalid value``: Nothing does, the bytes are no UTF-8; or `wire.framed` refuses it.
    """
    framed = wire.framed(exchange)
    lines = CIMultiDict([("Host", framed.host or str(exchange.target.origin).partition("://")[2]), *framed.fields])
    if not framed.plain:
        try:
            lines = CIMultiDict([(name, value.encode("latin-1").decode("utf-8")) for name, value in lines.items()])
        except UnicodeDecodeError:
            detail = "a header holds bytes that are no UTF-8, which backend aiohttp cannot send: use backend curl"
            raise BackendError("invalid value", detail, sent=False) from None
    return lines


def _through(proxy: wire.ProxyServer, stream: Stream) -> dict[str, Any]:
    options: dict[str, Any] = {"proxy": URL(proxy.url, encoded=True)}
    credentials = {} if proxy.authorization is None else {"Proxy-Authorization": proxy.authorization}
    if stream.origin.scheme == "http":
        stream.lines = CIMultiDict([*stream.lines.items(), *credentials.items()])
        return options
    agent = {name: value for name, value in stream.lines.items() if name.lower() == "user-agent"}
    return {**options, "proxy_headers": {**agent, **credentials}}


def _translated(error: Any, stream: Stream) -> BackendError:
    """Return our error for one of aiohttp's before the head of an answer."""
    if isinstance(error.__cause__, BackendError):
        # The file to upload failed.
        return error.__cause__
    if isinstance(error, aiohttp.InvalidURL):
        return BackendError("invalid URL", f"{stream.where()} is refused by aiohttp", sent=False)
    proxy_said = isinstance(error, aiohttp.ClientHttpProxyError)
    refusal = f"answered {error.status} {error.message}" if proxy_said else "closed the connection or does not speak HTTP"
    failure = wire.failure_of(error, stream.origin, stream.timing, stream.proxy, connected=stream.link is not None, refusal=refusal)
    failure.stale = failure.kind == "connect" and stream.timing.reused is True and isnan(stream.timing.response_start)
    return failure


open_session = AiohttpBackend
