"""Connections made on the loop: names, addresses, proxies and TLS, each step marked and cancellable.

Nothing of the request has left when anything here fails: every error has ``sent=False``.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from asyncio.staggered import staggered_race
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

from fastreq_jupyter.backends.proxy import proxy_addresses, proxy_error, tunnel_refusal, tunnel_request
from fastreq_jupyter.backends.socks import SocksError, negotiate
from fastreq_jupyter.backends.wire import connect_error, lookup_error, place, tls_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastreq_jupyter.backends.proxy import ProxyServer
    from fastreq_jupyter.backends.resolver import Address, Resolver
    from fastreq_jupyter.timing import Timing
    from fastreq_jupyter.url import Origin

__all__ = ["Dialer", "connect_socks"]

# RFC 8305, 5: start the next address when the one before has not answered for this long.
STAGGER_SECONDS = 0.25
MAX_TUNNEL_HEAD = 65_536

ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)


class Dialer:
    """Make connections for one session.

    Args:
        resolver: Resolves names.
        context: TLS context for origins (and https proxies).
        proxy: Goes through it, always, when given.
    """

    def __init__(self, resolver: Resolver, context: ssl.SSLContext, proxy: ProxyServer | None) -> None:
        self._resolver = resolver
        self._context = context
        self._proxy = proxy

    async def dial(self, origin: Origin, marks: Timing, make: Callable[[], ProtocolT]) -> ProtocolT:
        """Connect to an origin.

        Args:
            origin: Where to.
            marks: Gets the marks of lookup, connection and handshake.
            make: Makes the protocol, whose `connection_made` is called when everything, TLS included, is ready.

        Raises:
            BackendError: ``connect``, ``tls`` or ``proxy``, with ``sent=False``.
        """
        marks.reused = False
        marks.encrypted = origin.scheme == "https"
        sock = await self.connect(origin, marks)
        proxy = self._proxy
        if proxy is None or proxy.scheme == "socks5":
            protocol = await self._finish(origin, marks, make, sock)
        else:
            try:
                protocol = await self._through(proxy, origin, marks, make, sock)
            except OSError as error:
                raise proxy_error(connect_error(error, f"proxy {proxy.where}").detail) from error
        marks.connect_end = perf_counter()
        return protocol

    async def connect(self, origin: Origin, marks: Timing) -> socket.socket:
        """Return a non-blocking socket connected to the origin, or to the http proxy on the way; no TLS yet.

        Raises:
            BackendError: As `dial`.
        """
        proxy = self._proxy
        marks.connect_start = perf_counter()
        if proxy is not None and proxy.scheme == "socks5":
            return await connect_socks(proxy, origin.host, origin.port, self._resolver)
        marks.domain_lookup_start = marks.connect_start
        try:
            if proxy is None:
                addresses = await self._resolver.lookup(origin.host, origin.port)
            else:
                addresses = await proxy_addresses(proxy, self._resolver)
        except OSError as error:
            raise lookup_error(error, origin.host) from error
        marks.domain_lookup_end = marks.connect_start = perf_counter()
        try:
            return await _first(addresses)
        except OSError as error:
            if proxy is None:
                raise connect_error(error, place(origin.host, origin.port)) from error
            raise proxy_error(connect_error(error, f"proxy {proxy.where}").detail) from error

    async def _finish(self, origin: Origin, marks: Timing, make: Callable[[], ProtocolT], sock: socket.socket) -> ProtocolT:
        loop = asyncio.get_running_loop()
        if origin.scheme == "http":
            return (await loop.create_connection(make, sock=sock))[1]
        marks.secure_connection_start = perf_counter()
        where = place(origin.host, origin.port)
        try:
            return (await loop.create_connection(make, sock=sock, ssl=self._context, server_hostname=origin.host))[1]
        except ssl.SSLError as error:
            raise tls_error(error, where) from error
        except OSError as error:
            failure = connect_error(error, where)
            raise (failure if self._proxy is None else proxy_error(f"proxy {self._proxy.where}: {failure.detail}")) from error

    async def _through(
        self, proxy: ProxyServer, origin: Origin, marks: Timing, make: Callable[[], ProtocolT], sock: socket.socket
    ) -> ProtocolT:
        loop = asyncio.get_running_loop()
        secure: Any = {"ssl": self._context, "server_hostname": proxy.host} if proxy.scheme == "https" else {}
        try:
            if origin.scheme == "http":
                _, direct = await loop.create_connection(make, sock=sock, **secure)
                return direct
            transport, tunnel = await loop.create_connection(Tunnel, sock=sock, **secure)
        except ssl.SSLError as error:
            raise proxy_error(tls_error(error, f"proxy {proxy.where}").detail) from error
        try:
            await tunnel.open(proxy, origin)
            marks.secure_connection_start = perf_counter()
            protocol = make()
            secured = await loop.start_tls(transport, protocol, self._context, server_hostname=origin.host)
        except ssl.SSLError as error:
            raise tls_error(error, place(origin.host, origin.port)) from error
        except BaseException:
            transport.abort()
            raise
        if secured is None:
            raise proxy_error(f"proxy {proxy.where} closed the tunnel")
        protocol.connection_made(secured)
        return protocol


class Tunnel(asyncio.Protocol):
    """Ask a proxy for a tunnel (CONNECT) and read its answer, no byte more."""

    def __init__(self) -> None:
        self._answer = bytearray()
        self._answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        if isinstance(transport, asyncio.WriteTransport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Collect the answer's head."""
        self._answer += data
        if (b"\r\n\r\n" in self._answer or len(self._answer) > MAX_TUNNEL_HEAD) and not self._answered.done():
            self._answered.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """End the wait for an answer."""
        if not self._answered.done():
            self._answered.set_result(None)

    async def open(self, proxy: ProxyServer, origin: Origin) -> None:
        """Open the tunnel.

        Raises:
            BackendError: ``proxy``: it refused, or answered no HTTP.
        """
        if self._transport is not None:
            self._transport.write(tunnel_request(proxy, origin))
        await self._answered
        refusal = tunnel_refusal(bytes(self._answer), proxy)
        if refusal is not None:
            raise proxy_error(refusal)


async def connect_socks(proxy: ProxyServer, host: str, port: int, resolver: Resolver) -> socket.socket:
    """Connect to host:port through a SOCKS5 proxy; `host` is resolved there, the proxy's own name by `resolver`.

    Returns:
        The connected non-blocking socket.

    Raises:
        BackendError: ``proxy``, ``sent=False``. There is no direct connection instead.
    """
    addresses = await proxy_addresses(proxy, resolver)
    try:
        sock = await _first(addresses)
    except OSError as error:
        raise proxy_error(connect_error(error, f"proxy {proxy.where}").detail) from error
    try:
        await _speak_socks(sock, proxy, host, port)
    except SocksError as error:
        sock.close()
        raise proxy_error(f"proxy {proxy.where}: {error}") from error
    except OSError as error:
        sock.close()
        raise proxy_error(connect_error(error, f"proxy {proxy.where}").detail) from error
    except BaseException:
        sock.close()
        raise
    return sock


async def _speak_socks(sock: socket.socket, proxy: ProxyServer, host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    steps = negotiate(host, port, proxy.user, proxy.password)
    step = next(steps, None)
    while step is not None:
        sent, wanted = step
        if sent:
            await loop.sock_sendall(sock, sent)
        read = b""
        while len(read) < wanted:
            part = await loop.sock_recv(sock, wanted - len(read))
            if not part:
                raise SocksError("closed the connection")
            read += part
        try:
            step = steps.send(read)
        except StopIteration:
            step = None


async def _first(addresses: Sequence[Address]) -> socket.socket:
    if len(addresses) == 1:
        return await _reach(addresses[0])
    won: socket.socket | None
    won, _, errors = await staggered_race([partial(_reach, address) for address in addresses], STAGGER_SECONDS)
    if won is None:
        # The first address is what a person would try.
        raise next((error for error in errors if error is not None), OSError("no address"))
    return won


async def _reach(address: Address) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
        await asyncio.get_running_loop().sock_connect(sock, (address.host, address.port))
    except BaseException:
        sock.close()
        raise
    return sock
