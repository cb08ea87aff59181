"""The requests backend: a `requests.Session`, whose calls run on daemon threads, for those who trust a blocking library.

The loop knows which socket an exchange has, so that it can shut it down. While a name is looked up or TCP connects there is
none to be seen: that thread is left alone, and sends nothing when it wakes.
"""

from __future__ import annotations

import asyncio
import errno
import http.client
import socket
import ssl
import threading
from contextlib import suppress
from http import HTTPStatus
from math import isnan
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

import requests
import requests.adapters
import urllib3
from urllib3.util import SKIP_HEADER

from fastreq_jupyter.backends import base, pools, wire
from fastreq_jupyter.backends.names import on_thread, watch
from fastreq_jupyter.backends.trust import NamedContext, client_context
from fastreq_jupyter.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastreq_jupyter.backends.base import SessionKey
    from fastreq_jupyter.exchange import Exchange, Timing

T = TypeVar("T")

# Pieces that are read in one call.
MOST_PIECES = 8
# About as long as a kernel tries to connect; our own deadlines end before.
CONNECT_SECONDS = 120.0
# Where niquests is installed, urllib3 is its fork. That would switch to HTTP/2 where an answer offers it, and watch
# idle connections on a thread for each host.
_BESIDE_NIQUESTS: dict[str, Any] = (
    {"disabled_svn": {urllib3.HttpVersion.h2, urllib3.HttpVersion.h3}, "background_watch_delay": None}
    if hasattr(urllib3, "HttpVersion")
    else {}
)


class RequestsBackend(pools.PoolBackend):
    """One requests session on one loop, and a thread for each exchange in flight."""

    name = "requests"

    def __init__(self, key: SessionKey) -> None:
        super().__init__(key, getattr(requests.adapters, "SOCKSProxyManager", None), "PySocks")
        self.context = client_context(key, make=_Context)
        self.jobs: set[Job] = set()
        self.reserve(100)

    def mount(self, concurrency: int) -> None:
        """Make new pools."""
        self.adapter = _Adapter(self, concurrency)

    def discard(self, connection: Any) -> None:
        """Close an idle connection."""
        connection.close()

    async def send(self, exchange: Exchange, timing: Timing) -> Stream:
        """Send one request, return when the final head is read (see `Backend.send`)."""
        job = Job(self, exchange, timing)
        try:
            return Stream(job, await on_thread(self.name, job.perform))
        except BaseException:
            job.cut()
            raise

    async def aclose(self) -> None:
        """Close all connections; can be called twice."""
        self.closed = True
        for job in list(self.jobs):
            job.cut()
        # A thread that resolves a name or connects cannot be interrupted.
        for _ in range(100):
            if not self.jobs:
                break
            await asyncio.sleep(0.01)
        self.close_idle(0)
        self.adapter.close()


class Job(pools.Trip):
    """One exchange on threads: its head and a short body in one call, the rest of a longer one in another.

    Attributes:
        lines: Field lines where they were seen in their order.
        handshake: The socket while TLS shakes hands on it.
        body: A short body, or its beginning, that came with the head.
        error: Why the rest of it never comes.
        ended: The connection is not ours any more.
    """

    backend: RequestsBackend
    lines: list[tuple[str, str]] | None = None
    handshake: ssl.SSLSocket | None = None
    body = b""
    error: BackendError | None = None
    raw: Any = None
    ended = is_cut = False

    def __init__(self, backend: RequestsBackend, exchange: Exchange, timing: Timing) -> None:
        super().__init__(
            backend, exchange, timing, pools.prepare(exchange, requests.PreparedRequest(), urllib3.HTTPHeaderDict(), SKIP_HEADER)
        )
        self._alone = threading.Lock()
        backend.jobs.add(self)

    def perform(self) -> Any:
        """Return urllib3's response; called on a thread."""
        token = pools.TRIP.set(self)
        try:
            return self._guarded(self._perform, self.failed)
        finally:
            pools.TRIP.reset(token)

    async def read_more(self) -> bytes:
        """Return what has come of a longer body, b"" at its end."""
        return await on_thread("requests", lambda: self._guarded(self._pieces, self.broken_off))

    def _pieces(self) -> bytes:
        """Read all available pieces: one thread per piece would cost more than the reading."""
        pieces, sock = [self._piece()], self.connection.sock
        ready = bool if sock is None else watch(sock.fileno())
        try:
            while len(pieces) < MOST_PIECES and not self.ended and ready():
                pieces.append(self._piece())
        except Exception as error:  # noqa: BLE001 - told by the next read: what came before is handed on first
            self._break_off(error)
        return b"".join(pieces)

    def cut(self) -> None:
        """End the exchange at once, its socket included; called on the loop."""
        if self.ended:
            return
        self.is_cut = True
        with self.backend.lock:
            connection = self.connection
            if connection is not None and connection.trip is self:
                for sock in (self.handshake, connection.sock):
                    if isinstance(sock, socket.socket):
                        # SSLSocket's own shutdown would free the TLS state that the thread still uses.
                        with suppress(OSError):
                            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        if self.raw is not None:
            threading.Thread(target=self._drop, daemon=True).start()

    def begin(self, connection: Any) -> None:
        """Note the connection that the request is about to go out on."""
        super().begin(connection)
        self.stop_if_cut()

    def stop_if_cut(self) -> None:
        """Raise if the exchange was cut, before anything is sent."""
        if self.is_cut:
            raise ConnectionAbortedError(errno.ECONNABORTED, "cancelled")

    def _guarded(self, work: Callable[[], T], meaning: Callable[[Exception], BackendError]) -> T:
        with self._alone:
            try:
                self.stop_if_cut()
                result = work()
                self.stop_if_cut()
            except Exception as error:
                self._end()
                if isinstance(error, BackendError):
                    raise
                raise meaning(error) from error
            return result

    def _perform(self) -> Any:
        self.raw = raw = self.backend.adapter.send(self.request, stream=True, timeout=(CONNECT_SECONDS, None)).raw
        self.timing.response_start = perf_counter()
        length = raw.length_remaining
        if length is not None and length <= wire.PIECE_BYTES:
            # The body arrives together with the head: one call reads both.
            try:
                self.body = self._piece()
                if len(self.body) == length and not self.ended:
                    self._piece()
            except Exception as error:  # noqa: BLE001 - whatever the library raises must reach the one who reads
                self._break_off(error)
        return raw

    def _break_off(self, error: Exception) -> None:
        self.error = self.broken_off(error)
        self._end()

    def _piece(self) -> bytes:
        data: bytes = self.raw.read1(wire.PIECE_BYTES, decode_content=False)
        if not data:
            self._end(whole=True)
        return data

    def _drop(self) -> None:
        with self._alone:
            self._end()

    def _end(self, *, whole: bool = False) -> None:
        if self.ended:
            return
        self.ended = True
        self.close_upload()
        self.backend.jobs.discard(self)
        if whole and not self.is_cut:
            self.backend.rest(self.connection, self)
        elif self.raw is not None:
            with suppress(Exception):
                self.raw.close()


class Stream(base.Stream):
    """The response of one requests exchange, its body still to come."""

    __slots__ = ("_job",)

    def __init__(self, job: Job, raw: Any) -> None:
        self._job = job
        self.status = raw.status
        self.reason = raw.reason or ""
        self.http_version = "1.0" if raw.version == 10 else "1.1"
        self.fields = pools.fields_of(tuple(raw.headers.items() if job.lines is None else job.lines))

    def take(self) -> bytes | None:
        """Return the whole raw body if it has arrived (see `base.Stream.take`)."""
        return self._arrived() if self._job.ended else None

    async def read(self) -> bytes:
        """Return the next raw bytes of the body, b"" at its end (see `base.Stream.read`)."""
        job = self._job
        return self._arrived() if job.body or job.ended else await job.read_more()

    def _arrived(self) -> bytes:
        body, self._job.body = self._job.body, b""
        if not body and self._job.error is not None:
            raise self._job.error
        return body

    def close(self) -> None:
        """Shut the connection down unless the body was read whole, in which case it went back already."""
        self._job.cut()


class _Adapter(pools.AdapterRules, requests.adapters.HTTPAdapter):  # type: ignore[misc] # the result of cert_verify is nobody's
    """The session's transport: urllib3's pools, with our TLS context and our class of connection."""

    def __init__(self, backend: RequestsBackend, concurrency: int) -> None:
        super().__init__(max_retries=0, pool_connections=max(64, 2 * concurrency), pool_maxsize=concurrency)
        self.backend = backend
        options = _SocketOptions([(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)])
        more: dict[str, Any] = {"ssl_context": backend.context, "socket_options": options, **_BESIDE_NIQUESTS}
        if backend.proxy is None:
            self.init_poolmanager(self._pool_connections, concurrency, **more)
            self._manager: Any = self.poolmanager
        else:
            tls = {} if backend.proxy_url.startswith("socks") else {"proxy_ssl_context": backend.context}
            self._manager = self.proxy_manager_for(backend.proxy_url, **tls, **more)
        pools.note(self._manager, _Connection, response_class=_Answer)

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> Any:
        """Return the pool of the exchange's origin."""
        origin = _job().exchange.target.origin
        return self._manager.connection_from_host(origin.host, origin.port, origin.scheme)

    def request_url(self, *_: Any, **__: Any) -> str:
        """Return an URL that urllib3 has nothing to write anew in; the true one goes out by `putrequest`."""
        origin = _job().exchange.target.origin
        return f"{origin}/" if self.backend.proxy_url.startswith("http") and origin.scheme == "http" else "/"


class _Connection(pools.NotingConnection):
    """A connection that tells its job what it does."""

    def connect(self) -> None:
        job = _job()
        job.dial(self)
        job.stop_if_cut()
        super().connect()  # type: ignore[misc] # of the class it is mixed into
        job.timing.connect_end = perf_counter()
        job.connected, job.handshake = True, None
        # Our context decides about verification; urllib3 would warn again for each request.
        self.is_verified = True

    def endheaders(self, *args: Any, **more: Any) -> Any:
        if self.sock is None:
            self.connect()
        _job().begin(self)
        return super().endheaders(*args, **more)  # type: ignore[misc] # a mixin: the method is of the class beside it


class _Answer(http.client.HTTPResponse):
    """An answer that waits for the final one, and has its field lines noted in their order."""

    def begin(self) -> None:
        """Read the head of the final answer."""
        super().begin()
        for _ in range(wire.MAX_INTERIM):
            if not HTTPStatus.CONTINUE <= self.status < HTTPStatus.OK or self.status == wire.SWITCHING:
                _job().lines = self.msg.items()
                return
            self.headers = self.msg = None  # type: ignore[assignment] # as http.client does
            super().begin()
        raise wire.too_many_interim()


class _SocketOptions(list[tuple[int, int, int]]):
    """What urllib3 sets on a new socket: between the look-up of a name and the attempt to connect."""

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        job: Any = pools.TRIP.get(None)
        if job is not None and job.connection is not None and isnan(job.timing.domain_lookup_end):
            job.timing.domain_lookup_end = job.timing.connect_start = perf_counter()
            job.stop_if_cut()
        return super().__iter__()


class _TlsSocket(ssl.SSLSocket):
    """A socket that is known before TLS has shaken hands on it."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - the standard library's signature
        job = _job()
        job.handshake = self
        job.timing.secure_connection_start = perf_counter()
        job.stop_if_cut()
        super().do_handshake(block)


class _Context(NamedContext):
    """A TLS context whose sockets are such."""

    sslsocket_class = _TlsSocket


def _job() -> Any:
    return pools.TRIP.get()


open_session = RequestsBackend
