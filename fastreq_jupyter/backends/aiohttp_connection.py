"""Connections of aiohttp as we need them: marked, bounded, closed at once, never used twice for one exchange."""

from __future__ import annotations

import functools
import socket
import ssl
from contextvars import ContextVar
from math import isnan, nan
from time import perf_counter
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler

from fastreq_jupyter.backends.dialing import connect_socks
from fastreq_jupyter.backends.sockets import watch
from fastreq_jupyter.backends.wire import MAX_INTERIM, too_many_interim
from fastreq_jupyter.errors import BackendError

if TYPE_CHECKING:
    import asyncio

    from aiohttp.abc import ResolveResult

    from fastreq_jupyter.backends.proxy import ProxyServer
    from fastreq_jupyter.backends.resolver import Resolver
    from fastreq_jupyter.timing import Timing

__all__ = ["TRIP", "Connector", "SocksConnector", "Trip"]


class Trip:
    """Follow one exchange through aiohttp.

    Attributes:
        marks: Recorder.
        head: The request's head as it must go out where aiohttp would write it otherwise, else None.
        connected: A connection was handed out: from here on bytes may have left.
    """

    __slots__ = ("connected", "head", "marks")

    def __init__(self, marks: Timing, head: bytes | None) -> None:
        self.marks = marks
        self.head = head
        self.connected = False


TRIP: ContextVar[Trip] = ContextVar("fastreq_aiohttp_trip")


class Protocol(ResponseHandler):
    """Be one connection's protocol: notes when it was made and when an answer began, and counts interim answers."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # The loop makes the protocol when TCP is there and before TLS begins.
        super().__init__(loop)
        self.made_at = perf_counter()
        self.ready_at = nan
        self.marks: Timing | None = None
        self.used = False
        self._interim = 0
        self._reading: dict[str, Any] = {}
        self._failure: list[Any] | None = None

    def begin(self, marks: Timing) -> None:
        """Start an exchange on this connection."""
        self.used = True
        self._interim = 0
        self.marks = marks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note when the connection, TLS included, was ready."""
        super().connection_made(transport)
        self.ready_at = perf_counter()
        self.encrypted = transport.get_extra_info("ssl_object") is not None
        sock = transport.get_extra_info("socket")
        self._readable = None if sock is None else watch(sock.fileno())

    @property
    def spent(self) -> bool:
        """Tell whether an idle connection has ended in the meantime."""
        # should_close: an answer nobody asked for has come, and would be taken for the next one.
        return self._readable is None or self.should_close or not self.is_connected() or self._readable()

    def set_response_params(self, **reading: Any) -> None:
        """Keep how the answer is to be read."""
        self._reading = reading
        super().set_response_params(**reading)

    def data_received(self, data: bytes) -> None:
        """Note the first byte of an answer, and take an answer that is followed by bytes nobody asked for.

        Where the parser meets those in the same segment it throws the good answer away with them: a body after a 204, a 304
        or an answer to HEAD, or one longer than its Content-Length.
        """
        if self.marks is None:
            super().data_received(data)
            return
        self.marks.response_start = perf_counter()
        self.marks = None
        self._failure = []
        super().data_received(data)
        failure, self._failure = self._failure, None
        if not failure:
            return
        end = end_of_message(data, bodiless=bool(self._reading.get("skip_payload")))
        if end is None:
            self.set_exception(*failure)
            return
        super().set_response_params(**self._reading)
        super().data_received(data[:end])
        self.force_close()

    def set_exception(self, *failure: Any) -> None:
        """Fail the exchange; while its first segment is read, wait for a second look."""
        if self._failure is None:
            super().set_exception(*failure)
        else:
            self._failure[:] = failure

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Count interim answers: a server may send them without end."""
        if data[0].code < 200 and data[0].code != 101:  # noqa: PLR2004 - 1xx; 101 is a final answer
            self._interim += 1
            if self._interim > MAX_INTERIM:
                self.set_exception(too_many_interim())
                if self.transport is not None:
                    self.transport.abort()
                return
        super().feed_data(data, size)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Keep a body that goes on until the connection ends from passing for whole when it was reset."""
        payload = self._payload
        if exc is not None and payload is not None and not payload.is_eof():
            payload.set_exception(aiohttp.ClientPayloadError("connection lost"), exc)
        super().connection_lost(exc)

    def close(self) -> None:
        """Close at once: no flush to a server that does not read, no waiting for its TLS good-bye."""
        if self.transport is not None:
            self.transport.abort()
        super().close()


class Rewriting:
    """Stand for a transport while one head is written, and put our bytes in place of aiohttp's.

    aiohttp writes header text as UTF-8 (ours is latin-1) and loses an empty query's "?". Only such requests come here.
    """

    def __init__(self, protocol: Protocol, transport: asyncio.Transport, head: bytes) -> None:
        self._protocol = protocol
        self._transport = transport
        self._head = head

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write our head and what follows aiohttp's, then step aside."""
        self._protocol.transport = self._transport
        self._transport.write(self._head + bytes(data).partition(b"\r\n\r\n")[2])

    def writelines(self, chunks: Any) -> None:
        """Write several chunks as one."""
        self.write(b"".join(chunks))


class Connector(aiohttp.TCPConnector):
    """Hand out a living connection, one for each exchange, and mark how it was had."""

    def __init__(self, resolver: Resolver, **options: Any) -> None:
        # Our resolver keeps answers itself and is then called in the exchange's own task, where its marks are.
        super().__init__(resolver=Names(resolver), use_dns_cache=False, limit=0, limit_per_host=0, **options)
        self._factory: Any = functools.partial(Protocol, loop=self._loop)

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        """Return a connection that is not known to be dead.

        Raises:
            BackendError: aiohttp asks for a second one: it would send the request again.
        """
        trip = TRIP.get()
        if trip.connected:
            raise BackendError("connect", "connection closed by the server before it answered")
        trip.marks.connect_start = perf_counter()
        connection: Any = await super().connect(*args, **kwargs)
        while (protocol := connection.protocol).used and protocol.spent:
            connection.close()
            trip.marks.connect_start = perf_counter()
            connection = await super().connect(*args, **kwargs)
        trip.connected = True
        _mark(trip.marks, protocol)
        protocol.begin(trip.marks)
        if trip.head is not None:
            protocol.transport = Rewriting(protocol, protocol.transport, trip.head)
        return connection


class SocksConnector(Connector):
    """Connect through a SOCKS5 proxy, which resolves the names."""

    def __init__(self, resolver: Resolver, proxy: ProxyServer, **options: Any) -> None:
        super().__init__(resolver, **options)
        self._resolver = Unresolved()
        self._names = resolver
        self._proxy = proxy

    async def _wrap_create_connection(self, *args: Any, addr_infos: Any, req: Any, **kwargs: Any) -> Any:
        host, port = addr_infos[0][4][:2]
        for unused in ("timeout", "client_error"):
            kwargs.pop(unused, None)
        sock = await connect_socks(self._proxy, host, port, self._names)
        try:
            # From here on the transport owns the socket.
            return await self._loop.create_connection(*args, sock=sock, **kwargs)
        except ssl.CertificateError as error:
            raise aiohttp.ClientConnectorCertificateError(req.connection_key, error) from error
        except ssl.SSLError as error:
            raise aiohttp.ClientConnectorSSLError(req.connection_key, error) from error
        except OSError as error:
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error


class Names(AbstractResolver):
    """Be our resolver in the form aiohttp asks for."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """Return the addresses of a name, and mark how long it took."""
        marks = TRIP.get().marks
        marks.domain_lookup_start = perf_counter()
        found = await self._resolver.lookup(host, port)
        marks.domain_lookup_end = perf_counter()
        return [
            {"hostname": host, "host": one.host, "port": port, "family": one.family, "proto": 0, "flags": 0}
            for one in found
            if family in (socket.AF_UNSPEC, one.family)
        ]

    async def close(self) -> None:
        """Do nothing: the backend owns the resolver."""


class Unresolved(AbstractResolver):
    """Hand a name on as it is."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """Return the name in place of an address."""
        return [{"hostname": host, "host": host, "port": port, "family": family, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        """Do nothing."""


def end_of_message(data: bytes, *, bodiless: bool) -> int | None:
    """Return where the first final answer in a segment ends, None where its head does not tell.

    Args:
        data: What came in first after a request.
        bodiless: The request was HEAD.
    """
    start = 0
    while (head := data.find(b"\r\n\r\n", start)) >= 0:
        lines = data[start:head].split(b"\r\n")
        start = head + 4
        status = lines[0].partition(b" ")[2][:3]
        if status[:1] == b"1":
            continue
        fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines[1:])]
        if bodiless or status in (b"204", b"304"):
            return start
        lengths = {value for name, value in fields if name == b"content-length"}
        length = next(iter(lengths), b"")
        if len(lengths) != 1 or not length.isdigit() or any(name == b"transfer-encoding" for name, _ in fields):
            return None
        return start + int(length) if start + int(length) <= len(data) else None
    return None


def _mark(marks: Timing, protocol: Protocol) -> None:
    marks.reused = protocol.used
    marks.encrypted = protocol.encrypted
    if protocol.used:
        marks.connect_start = nan
    else:
        if isnan(marks.domain_lookup_end):
            marks.domain_lookup_start = marks.domain_lookup_end = marks.connect_start
        marks.connect_start = marks.domain_lookup_end
        marks.connect_end = protocol.ready_at
        if marks.encrypted:
            marks.secure_connection_start = protocol.made_at
    marks.request_start = perf_counter()
