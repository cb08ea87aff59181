"""The niquests backend: HTTP/1.1 and, over TLS, HTTP/2.

niquests' sessions, pools and connections do things of their own that one exchange must not do: they write the URL anew,
read the body of a redirect, follow Alt-Svc, ask OCSP servers, take a reset for the end of a body. So its protocol engine
(urllib3-future's hface, which does no I/O) is driven directly, over connections of ours. No HTTP/3, no cache of Alt-Svc.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastreq_jupyter.backends import base
from fastreq_jupyter.backends.dialing import Dialer
from fastreq_jupyter.backends.idle import IdleConnections
from fastreq_jupyter.backends.niquests_wire import Wire
from fastreq_jupyter.backends.proxy import read_proxy
from fastreq_jupyter.backends.resolver import Resolver
from fastreq_jupyter.backends.trust import client_context
from fastreq_jupyter.backends.wire import framed, place
from fastreq_jupyter.errors import BackendError

if TYPE_CHECKING:
    from fastreq_jupyter.backends.base import Backend, Exchange, SessionKey
    from fastreq_jupyter.backends.niquests_engine import Fields, Head
    from fastreq_jupyter.backends.wire import Lines
    from fastreq_jupyter.timing import Timing
    from fastreq_jupyter.url import Origin

__all__ = ["open_session"]

# RFC 9113, 8.2.2: these belong to a connection of HTTP/1.1 and cannot be sent over HTTP/2.
_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"upgrade", b"te", b"expect"})


def open_session(key: SessionKey) -> Backend:
    """Open a session on the running loop.

    Raises:
        OptionError: the proxy cannot be read, or a certificate cannot be read.
    """
    return NiquestsBackend(key)


class NiquestsBackend:
    """Be one session on one loop: warm connections, and niquests' engine on each."""

    name = "niquests"

    def __init__(self, key: SessionKey) -> None:
        self._proxy = read_proxy(key.proxy)
        self._must_be_2 = key.http2 is True
        protocols = ("http/1.1",) if key.http2 is False else ("h2", "http/1.1")
        self._dialer = Dialer(Resolver(), client_context(key, protocols), self._proxy)
        self._idle: IdleConnections[Wire] = IdleConnections()
        self._open: set[Wire] = set()
        self._closed = False
        seen = {"dns", "connect", "tls", "wait", "receive"}
        if self._proxy is not None and self._proxy.scheme == "socks5":
            seen.discard("dns")
        self.phases = frozenset(seen)

    def reserve(self, concurrency: int) -> None:
        """Need nothing: connections are opened as they are needed."""

    async def send(self, exchange: Exchange, marks: Timing) -> Stream:
        """Send one request, return when the final head is read (see `Backend.send`)."""
        lines = framed(exchange)
        origin = exchange.target.origin
        wire = await self._wire(exchange, marks)
        try:
            await wire.send(self._fields(exchange, lines, multiplexed=wire.multiplexed), exchange.content, marks)
            head = await wire.head()
        except BackendError as error:
            wire.discard()
            raise BackendError(error.kind, f"{place(origin.host, origin.port)}: {error.detail}", sent=error.sent) from error
        except BaseException:
            wire.discard()
            raise
        return Stream(self, wire, origin, head)

    async def aclose(self) -> None:
        """Close all connections; can be called twice."""
        self._closed = True
        self._idle.close()
        wires = list(self._open)
        for wire in wires:
            wire.discard()
        if wires:
            await asyncio.wait([wire.closed for wire in wires], timeout=2)

    def release(self, wire: Wire, origin: Origin) -> None:
        """Keep a connection for the next exchange, or close it."""
        if self._closed or not wire.reusable:
            wire.discard()
        else:
            self._idle.put(origin, wire)

    async def _wire(self, exchange: Exchange, marks: Timing) -> Wire:
        origin = exchange.target.origin
        if self._closed:
            raise BackendError("connect", "the session is closed", sent=False)
        if self._must_be_2 and origin.scheme == "http":
            raise BackendError("protocol", "http2=True needs an https URL", sent=False)
        kept = None if exchange.fresh else self._idle.take(origin)
        if kept is not None:
            marks.reused = True
            marks.encrypted = origin.scheme == "https"
            return kept
        wire = await self._dialer.dial(origin, marks, Wire)
        self._open.add(wire)
        wire.closed.add_done_callback(lambda _: self._open.discard(wire))
        if self._closed or (self._must_be_2 and not wire.multiplexed):
            wire.discard()
            detail = "the session is closed" if self._closed else "server does not speak HTTP/2 (http2=True)"
            raise BackendError("protocol", f"{place(origin.host, origin.port)}: {detail}", sent=False)
        return wire

    def _fields(self, exchange: Exchange, lines: Lines, *, multiplexed: bool) -> Fields:
        target = exchange.target
        host = _authority(target.origin) if lines.host is None else lines.host
        path = target.path_query
        pairs = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in lines.fields]
        if multiplexed:
            pairs = [pair for pair in pairs if pair[0] not in _HOP_BY_HOP]
        elif self._proxy is not None and self._proxy.scheme != "socks5" and target.origin.scheme == "http":
            path = target.url
            if self._proxy.authorization is not None:
                pairs.append((b"proxy-authorization", self._proxy.authorization.encode("ascii")))
        return [
            (b":method", exchange.method.encode("ascii")),
            (b":authority", host.encode("latin-1")),
            (b":scheme", target.origin.scheme.encode("ascii")),
            (b":path", path.encode("ascii")),
            *pairs,
        ]


class Stream(base.Stream):
    """Be one response, its body still to come."""

    __slots__ = ("_backend", "_origin", "_wire")

    def __init__(self, backend: NiquestsBackend, wire: Wire, origin: Origin, head: Head) -> None:
        self._backend = backend
        self._wire: Wire | None = wire
        self._origin = origin
        self.status = head.status
        self.reason = head.reason
        self.http_version = head.http_version
        self.fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in head.headers]

    async def read(self) -> bytes:
        """Return the next raw bytes of the body, b"" at its end (see `base.Stream.read`)."""
        wire = self._wire
        if wire is None:
            return b""
        try:
            data = await wire.read()
        except BackendError as error:
            raise BackendError(error.kind, f"{place(self._origin.host, self._origin.port)}: {error.detail}") from error
        if not data:
            self._wire = None
            self._backend.release(wire, self._origin)
        return data

    def close(self) -> None:
        """Close the connection unless the body was read whole, in which case it went back already."""
        if self._wire is not None:
            self._wire.discard()
            self._wire = None


def _authority(origin: Origin) -> str:
    return str(origin).partition("://")[2]
