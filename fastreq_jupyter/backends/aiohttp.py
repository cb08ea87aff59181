"""The aiohttp backend: HTTP/1.1, the cheapest of the three.

aiohttp sends GET and its kin again when a connection dies. Two locks prevent that: its own (private) switch where there
is one, and our connector, which hands out one connection for each exchange and refuses the second.
"""

from __future__ import annotations

import io
import ssl
from typing import TYPE_CHECKING, Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from fastreq_jupyter.backends import base
from fastreq_jupyter.backends.aiohttp_connection import TRIP, Connector, SocksConnector, Trip
from fastreq_jupyter.backends.proxy import proxy_error, read_proxy
from fastreq_jupyter.backends.resolver import Resolver
from fastreq_jupyter.backends.trust import client_context
from fastreq_jupyter.backends.wire import (
    MAX_FIELD_BYTES,
    SWITCHING,
    connect_error,
    framed,
    lookup_error,
    place,
    switched_protocols,
    tls_error,
)
from fastreq_jupyter.errors import BackendError, OptionError
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastreq_jupyter.backends.base import Backend, Exchange, SessionKey
    from fastreq_jupyter.backends.proxy import ProxyServer
    from fastreq_jupyter.backends.wire import Lines
    from fastreq_jupyter.timing import Timing
    from fastreq_jupyter.url import Origin

__all__ = ["open_session"]

OWN_FIELDS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
NO_FIELDS: Any = CIMultiDict((name, None) for name in OWN_FIELDS)
# aiohttp warns about larger bodies given as bytes.
LARGE_BODY = 2**20


def open_session(key: SessionKey) -> Backend:
    """Open a session on the running loop.

    Raises:
        OptionError: HTTP/2 is required, the proxy cannot be read, or a certificate cannot be read.
    """
    if key.http2 is True:
        message = "http2=True is not possible with backend aiohttp, which speaks HTTP/1.1: use backend niquests"
        raise OptionError(message)
    return AiohttpBackend(key)


class Request(aiohttp.ClientRequest):
    """Add no field of its own, and send the body at once also with ``Expect: 100-continue``, as the other backends do."""

    def update_auto_headers(self, skip_auto_headers: Iterable[str] | None) -> None:  # noqa: ARG002 - aiohttp's signature
        """Leave them all out; the session asks for the same, but then aiohttp works that out for each request."""
        self._skip_auto_headers = NO_FIELDS

    def update_expect_continue(self, expect: bool = False) -> None:  # noqa: FBT001, FBT002 - aiohttp's signature
        """Do not wait for a server that may never say 100."""


class AiohttpBackend:
    """Be one aiohttp session on one loop."""

    name = "aiohttp"

    def __init__(self, key: SessionKey) -> None:
        self._proxy = read_proxy(key.proxy)
        self._context = client_context(key)
        self._resolver = Resolver()
        self._session = self._open(force_close=False)
        self._fresh: aiohttp.ClientSession | None = None
        self._proxied: dict[str, Any] = {}
        seen = {"dns", "connect", "tls", "wait", "receive"}
        if self._proxy is not None and self._proxy.scheme == "socks5":
            seen.discard("dns")
        elif self._proxy is not None:
            self._proxied = {"proxy": URL(self._proxy.url, encoded=True)}
        self.phases = frozenset(seen)

    def reserve(self, concurrency: int) -> None:
        """Need nothing: connections are opened as they are needed."""

    async def send(self, exchange: Exchange, marks: Timing) -> Stream:
        """Send one request, return when the final head is read (see `Backend.send`)."""
        lines = framed(exchange)
        url = URL(exchange.target.url, encoded=True)
        proxied = self._proxied_for(exchange, lines) if self._proxied else self._proxied
        if lines.host is not None:
            lines.fields.insert(0, ("Host", lines.host))
        trip = Trip(marks, _own_head(exchange, url, lines, absolute=bool(proxied) and url.scheme == "http"))
        TRIP.set(trip)
        try:
            response = await self._session_for(exchange).request(
                exchange.method, url, headers=lines.fields, data=_payload(exchange.content), allow_redirects=False, **proxied
            )
        except BackendError:
            raise
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            raise self._translate(error, exchange, connected=trip.connected) from error
        if response.status == SWITCHING:
            response.close()
            raise switched_protocols()
        return Stream(response, exchange.target.origin)

    async def aclose(self) -> None:
        """Close all connections; can be called twice."""
        for session in (self._session, self._fresh):
            if session is not None and not session.closed:
                await session.close()

    def _session_for(self, exchange: Exchange) -> aiohttp.ClientSession:
        if not exchange.fresh:
            return self._session
        if self._fresh is None:
            self._fresh = self._open(force_close=True)
        return self._fresh

    def _open(self, *, force_close: bool) -> aiohttp.ClientSession:
        options: dict[str, Any] = {"ssl": self._context, "force_close": force_close}
        if self._proxy is not None and self._proxy.scheme == "socks5":
            connector: Connector = SocksConnector(self._resolver, self._proxy, **options)
        else:
            connector = Connector(self._resolver, **options)
        session = aiohttp.ClientSession(
            connector=connector,
            request_class=Request,
            cookie_jar=aiohttp.DummyCookieJar(),
            # No timeout at all: the engine cancels at its deadline, which is cheaper and covers everything.
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=OWN_FIELDS,
            max_line_size=MAX_FIELD_BYTES,
            max_field_size=MAX_FIELD_BYTES,
        )
        if hasattr(session, "_retry_connection"):
            session._retry_connection = False  # noqa: SLF001 - it has no public switch; Connector is the second lock
        return session

    def _proxied_for(self, exchange: Exchange, lines: Lines) -> dict[str, Any]:
        authorization = None if self._proxy is None else self._proxy.authorization
        if exchange.target.origin.scheme == "http":
            if authorization is not None:
                lines.fields.append(("Proxy-Authorization", authorization))
            return self._proxied
        headers = {name: value for name, value in lines.fields if name.lower() == "user-agent" and lines.plain}
        if authorization is not None:
            headers["Proxy-Authorization"] = authorization
        return {**self._proxied, "proxy_headers": headers}

    def _translate(self, error: Exception, exchange: Exchange, *, connected: bool) -> BackendError:
        origin = exchange.target.origin
        where = place(origin.host, origin.port)
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return tls_error(error.certificate_error, where)
        if isinstance(error, aiohttp.ClientConnectorSSLError):
            return tls_error(error.os_error, where)
        if self._proxy is not None and not connected:
            return _refused_by(self._proxy, error)
        return _broken(error, where, sent=True) if connected else _unconnected(error, origin.host, where)


class Stream(base.Stream):
    """Be one aiohttp response, its body still to come."""

    __slots__ = ("_origin", "_response")

    def __init__(self, response: aiohttp.ClientResponse, origin: Origin) -> None:
        self._response = response
        self._origin = origin
        self.status = response.status
        self.reason = _latin1(response.reason or "")
        version = response.version
        self.http_version = "1.1" if version is None else f"{version.major}.{version.minor}"
        self.fields = response.raw_headers

    async def read(self) -> bytes:
        """Return the next raw bytes of the body, b"" at its end (see `base.Stream.read`)."""
        try:
            return await self._response.content.readany()
        except BackendError:
            raise
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            raise BackendError("protocol", f"{place(self._origin.host, self._origin.port)}: the body broke off or was malformed") from error

    def close(self) -> None:
        """Close the connection unless the body was read whole, in which case it went back already."""
        self._response.close()


def _payload(content: bytes | None) -> Any:
    if not content:
        return None
    return io.BytesIO(content) if len(content) > LARGE_BODY else content


def _own_head(exchange: Exchange, url: URL, lines: Lines, *, absolute: bool) -> bytes | None:
    # What aiohttp would write differently: text beyond ASCII, and a target that yarl does not give back as it was.
    target = exchange.target
    exact = str(url) == target.url if absolute else url.raw_path_qs == target.path_query
    if exact and lines.plain:
        return None
    host = [] if lines.host is not None else [("Host", str(target.origin).partition("://")[2])]
    wanted = target.url if absolute else target.path_query
    more = [("Connection", "close")] if exchange.fresh else []
    text = "".join(f"{name}: {value}\r\n" for name, value in [*host, *lines.fields, *more])
    return f"{exchange.method} {wanted} HTTP/1.1\r\n{text}\r\n".encode("latin-1")


def _latin1(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def _refused_by(proxy: ProxyServer, error: Exception) -> BackendError:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return proxy_error(f"proxy {proxy.where} answered {error.status} {one_line(error.message)}".rstrip())
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return proxy_error(connect_error(cause, f"proxy {proxy.where}").detail)


def _unconnected(error: Exception, host: str, where: str) -> BackendError:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return lookup_error(error.os_error, host)
    if isinstance(error, aiohttp.ClientConnectorError):
        return connect_error(error.os_error, where)
    if isinstance(error, aiohttp.InvalidURL):
        return BackendError("invalid URL", f"{where} is refused by aiohttp", sent=False)
    return _broken(error, where, sent=False)


def _broken(error: Exception, where: str, *, sent: bool) -> BackendError:
    if isinstance(error, aiohttp.ClientResponseError):
        return BackendError("protocol", f"{where}: malformed answer: {one_line(error.message)}", sent=sent)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        if not isinstance(error.message, str):
            return BackendError("protocol", f"{where}: malformed answer: its head broke off", sent=sent)
        return BackendError("connect", f"{where}: connection closed before an answer", sent=sent)
    if isinstance(error, ssl.SSLError):
        return tls_error(error, where, sent=sent)
    if isinstance(error, OSError):
        return connect_error(error.__cause__ if isinstance(error.__cause__, OSError) else error, where, sent=sent)
    return BackendError("protocol", f"{where}: {type(error).__name__}", sent=sent)
