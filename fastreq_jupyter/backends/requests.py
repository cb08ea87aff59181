"""The requests backend: a `requests.Session`, an exchange a daemon thread, for those who trust a blocking library.

What a session must not do here has no switch, but methods and classes made for being derived from: the adapter makes pools
and responses, a urllib3 pool names its class of connection. Ours does what theirs does, and notes which socket an exchange
has, so that the loop can shut it down. While a name is looked up or TCP connects there is none to be seen: that thread is
left alone, and sends nothing when it wakes.
"""

from __future__ import annotations

import asyncio
import errno
import http.client
import socket
import ssl
import threading
from collections import OrderedDict
from contextlib import suppress
from http import HTTPStatus
from math import isnan
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests
import requests.adapters
import urllib3
from requests.cookies import RequestsCookieJar
from urllib3.util import SKIP_HEADER

from fastreq_jupyter.backends import base
from fastreq_jupyter.backends.causes import broken_off, translate
from fastreq_jupyter.backends.proxy import read_proxy
from fastreq_jupyter.backends.threads import DaemonPool, Handover
from fastreq_jupyter.backends.trust import client_context
from fastreq_jupyter.backends.wire import MAX_INTERIM, SWITCHING, framed, place, too_many_interim
from fastreq_jupyter.errors import BackendError, OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastreq_jupyter.backends.base import Backend, Exchange, SessionKey
    from fastreq_jupyter.timing import Timing

__all__ = ["open_session"]

# The engine's workers are the only limit; this one is never met.
THREADS = 100_000
# Of a body, at a time.
PIECE_BYTES = 64 * 1024
# About as long as a kernel tries to connect; our own deadlines end before.
CONNECT_SECONDS = 120.0
# Beside niquests urllib3 is another library of the same name. It would move to HTTP/2 where an answer offers that, and watch
# idle connections on a thread for each host.
_BESIDE_NIQUESTS: dict[str, Any] = (
    {"disabled_svn": {urllib3.HttpVersion.h2, urllib3.HttpVersion.h3}, "background_watch_delay": None}
    if hasattr(urllib3, "HttpVersion")
    else {}
)


class _Local(threading.local):
    """What the running thread is busy with."""

    job: Job | None = None


_LOCAL = _Local()


def open_session(key: SessionKey) -> Backend:
    """Open a session on the running loop.

    Raises:
        OptionError: HTTP/2 or HTTP/3 is required, a package for the proxy is missing, or a certificate cannot be read.
    """
    for name in ("http2", "http3"):
        if getattr(key, name) is True:
            raise OptionError(f"{name}=True is not possible with backend requests, which speaks HTTP/1.1: use backend curl or niquests")
    return RequestsBackend(key)


class RequestsBackend:
    """One requests session on one loop, and a thread for each exchange in flight."""

    name = "requests"

    def __init__(self, key: SessionKey) -> None:
        self.proxy = read_proxy(key.proxy)
        socks = self.proxy is not None and self.proxy.scheme == "socks5"
        if socks and not isinstance(getattr(requests.adapters, "SOCKSProxyManager", None), type):
            raise OptionError("proxy=socks5:// needs a package with backend requests: use backend curl, or pip install PySocks")
        self.phases = frozenset({"connect", "tls", "wait", "receive"} if socks else {"dns", "connect", "tls", "wait", "receive"})
        self.session = _Session()
        self._context = client_context(key, socket_class=_TlsSocket)
        self._threads = DaemonPool("fastreq-requests", THREADS)
        self._jobs: set[Job] = set()
        self._lock = threading.Lock()
        self._idle: OrderedDict[Any, None] = OrderedDict()
        self._reserved = 0
        self._closed = False
        self.reserve(100)

    def reserve(self, concurrency: int) -> None:
        """Size the pools (see `Backend.reserve`); where they must grow, exchanges in flight end on their old ones."""
        if concurrency <= self._reserved:
            return
        self._reserved = concurrency
        self._close_idle(0)
        adapter = _Adapter(self, self._context, concurrency)
        self.session.mount("http://", adapter)
        self.session.mount("https://", adapter)

    async def send(self, exchange: Exchange, timing: Timing) -> Stream:
        """Send one request, return when the final head is read (see `Backend.send`)."""
        if self._closed:
            raise BackendError("connect", "the session is closed", sent=False)
        job = Job(self, exchange, timing)
        self._jobs.add(job)
        late = None if exchange.connect_timeout is None else job.loop.call_later(exchange.connect_timeout, job.give_up)
        self._threads.submit(job.run)
        try:
            await job.wait(lambda: job.head)
        except BaseException:
            job.cut()
            raise
        finally:
            if late is not None:
                late.cancel()
        return Stream(job)

    async def aclose(self) -> None:
        """Close all connections; can be called twice."""
        self._closed = True
        for job in list(self._jobs):
            job.cut()
        # A thread that waits for a name or for TCP cannot be hurried.
        for _ in range(100):
            if not self._jobs:
                break
            await asyncio.sleep(0.01)
        self._close_idle(0)
        self.session.close()
        self._threads.close()

    def claim(self, connection: Any, job: Job) -> bool:
        """Take a kept connection for an exchange; False where that wants a new one."""
        with self._lock:
            self._idle.pop(connection, None)
            connection.job = job
        return not job.exchange.fresh

    def finished(self, job: Job, *, whole: bool) -> None:
        """Forget an exchange; its connection is idle now, and the oldest of these are closed where they are too many."""
        self._jobs.discard(job)
        connection = job.connection
        with self._lock:
            if whole and connection is not None and connection.job is job and connection.sock is not None:
                self._idle[connection] = None
        self._close_idle(2 * self._reserved)

    def _close_idle(self, most: int) -> None:
        with self._lock:
            while len(self._idle) > most:
                self._idle.popitem(last=False)[0].close()

    def shut_down(self, job: Job) -> None:
        """Shut down the socket of an exchange, if it still has one."""
        with self._lock:
            connection = job.connection
            if connection is None or connection.job is not job:
                return
            for sock in (job.handshake, connection.sock):
                if isinstance(sock, socket.socket):
                    # Not SSLSocket's own shutdown, which would pull the TLS state from under the thread.
                    with suppress(OSError):
                        socket.socket.shutdown(sock, socket.SHUT_RDWR)


class Job(Handover):
    """One exchange on its thread, watched from the loop.

    Attributes:
        head: urllib3's response, once there is one.
        lines: Its field lines where they were seen in their order.
        handshake: The socket while TLS shakes hands on it.
    """

    def __init__(self, backend: RequestsBackend, exchange: Exchange, timing: Timing) -> None:
        super().__init__()
        self.backend = backend
        self._request = _prepared(exchange)
        self._where = place(*exchange.target.origin[1:])
        self.exchange = exchange
        self.timing = timing
        self.connection: Any = None
        self.handshake: ssl.SSLSocket | None = None
        self.head: Any = None
        self.lines: list[tuple[str, str]] | None = None
        self.connected = self.requested = False

    def run(self) -> None:
        """Do the exchange; called on the thread."""
        _LOCAL.job = self
        try:
            self._perform()
        except BackendError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - whatever a library raises must reach the one who waits
            self.error = self.error or self._translate(error)
        whole = self.error is None and not self.is_cut
        if self.head is not None and not whole:
            with suppress(Exception):
                self.head.close()
        self.backend.finished(self, whole=whole)
        _LOCAL.job = None
        self.ended = True
        self.tell()

    def cut(self) -> None:
        """End the exchange at once, its socket included; called on the loop."""
        self.is_cut = True
        self.backend.shut_down(self)
        self.let_go_on()

    def give_up(self) -> None:
        """End it unless there is a connection."""
        if not self.connected:
            seconds = self.exchange.connect_timeout
            self.error = BackendError("timeout", f"{self._where}: no connection within {seconds:g} s", sent=False)
            self.cut()
            self.tell()

    def begin(self, connection: Any) -> None:
        """Note the connection that the request is about to go out on."""
        self.connection = connection
        self.connected = self.requested = True
        self.timing.reused = connection.served > 0
        self.timing.encrypted = self.exchange.target.origin.scheme == "https"
        connection.served += 1
        self.timing.request_start = perf_counter()
        self.stop_if_cut()

    def stop_if_cut(self) -> None:
        """Send nothing for somebody who has gone."""
        if self.is_cut:
            raise ConnectionAbortedError(errno.ECONNABORTED, "cancelled")

    def _perform(self) -> None:
        self.stop_if_cut()
        timeout = (CONNECT_SECONDS, None)
        response = self.backend.session.send(self._request, stream=True, timeout=timeout, allow_redirects=False, proxies={})
        raw = response.raw
        self.timing.response_start = perf_counter()
        length = raw.length_remaining
        # A short body arrives with its head: one message to the loop does for both.
        short = length is not None and length <= PIECE_BYTES
        self.head = raw
        if not short:
            self.tell()
        while piece := raw.read1(PIECE_BYTES, decode_content=False):
            self.parts.append(piece)
            if short and len(piece) == length:
                continue
            self.hand_over(len(piece))
            if self.is_cut:
                break

    def _translate(self, error: Exception) -> BackendError:
        if self.head is not None:
            return broken_off(self._where, error)
        if self.timing.reused and isinstance(error, RuntimeError):
            # Beside niquests: bytes that nobody asked for wait on it.
            return BackendError("connect", f"{self._where}: the kept connection cannot be used", sent=False, stale=True)
        reason = translate(error, self._where, connected=self.connected, sent=self.requested, proxy=self.backend.proxy)
        # What is no answer may be what the one before left behind: bytes beyond its length.
        reason.stale = bool(self.timing.reused) and reason.kind in ("connect", "protocol")
        return reason


class Stream(base.Stream):
    """The response of one requests exchange, its body still to come."""

    __slots__ = ("_job",)

    def __init__(self, job: Job) -> None:
        self._job = job
        raw = job.head
        self.status = raw.status
        self.reason = raw.reason or ""
        self.http_version = "1.0" if raw.version == 10 else "1.1"  # noqa: PLR2004 - http.client's number for it
        lines = raw.headers.items() if job.lines is None else job.lines
        self.fields = [(name.encode("latin-1"), value.strip(" \t").encode("latin-1")) for name, value in lines]

    def take(self) -> bytes | None:
        """Return the whole raw body if it has arrived (see `base.Stream.take`)."""
        job = self._job
        if not job.ended:
            return None
        if job.error is not None:
            raise job.error
        return job.take()

    async def read(self) -> bytes:
        """Return the next raw bytes of the body, b"" at its end (see `base.Stream.read`)."""
        job = self._job
        await job.wait(lambda: job.parts or (job.ended and job.error is None))
        return job.take()

    def close(self) -> None:
        """Shut the connection down unless the body was read whole, in which case it went back already."""
        if not self._job.ended:
            self._job.cut()


class _Session(requests.Session):
    """A session that takes nothing from the environment and keeps nothing of an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.headers.clear()
        self.cookies = _NoCookies()

    def get_redirect_target(self, resp: Any) -> None:
        """Find none: requests would read the body of a redirect to tell where it leads."""


class _NoCookies(RequestsCookieJar):
    """A jar that stays empty."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Leave them in the answer."""


class _Adapter(requests.adapters.HTTPAdapter):
    """The session's transport: urllib3's pools, with our TLS context and our class of connection."""

    def __init__(self, backend: RequestsBackend, context: ssl.SSLContext, concurrency: int) -> None:
        super().__init__(max_retries=0, pool_connections=max(64, 2 * concurrency), pool_maxsize=concurrency)
        proxy = self._proxy = backend.proxy
        options = _SocketOptions([(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)])
        more: dict[str, Any] = {"ssl_context": context, "socket_options": options, **_BESIDE_NIQUESTS}
        if proxy is None:
            self.init_poolmanager(self._pool_connections, concurrency, **more)
            manager: Any = self.poolmanager
        elif proxy.scheme == "socks5":
            userinfo = "" if proxy.user is None else f"{quote(proxy.user, safe='')}:{quote(proxy.password, safe='')}@"
            manager = self.proxy_manager_for(f"socks5h://{userinfo}{proxy.where}", **more)
        else:
            manager = self.proxy_manager_for(proxy.url, proxy_ssl_context=context, **more)
        manager.pool_classes_by_scheme = {
            scheme: type(pool.__name__, (pool,), {"ConnectionCls": _connection_class(pool.ConnectionCls)})
            for scheme, pool in manager.pool_classes_by_scheme.items()
        }
        self._manager = manager

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> Any:
        """Return the pool of the exchange's origin."""
        origin = _job().exchange.target.origin
        return self._manager.connection_from_host(origin.host, origin.port, origin.scheme)

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Leave it to the TLS context."""

    def request_url(self, *_: Any, **__: Any) -> str:
        """Return an URL that urllib3 has nothing to write anew in; the true one goes out by `putrequest`."""
        origin = _job().exchange.target.origin
        forwards = self._proxy is not None and self._proxy.scheme != "socks5" and origin.scheme == "http"
        return f"{origin}/" if forwards else "/"

    def proxy_headers(self, proxy: str) -> dict[str, str]:  # noqa: ARG002 - requests' signature
        """Return our credentials for the proxy, which may hold any character."""
        authorization = None if self._proxy is None else self._proxy.authorization
        return {} if authorization is None else {"Proxy-Authorization": authorization}

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """Return a response without the cookies and the second copy of its fields."""
        response = requests.Response()
        response.raw, response.status_code, response.reason = resp, resp.status, resp.reason
        response.request, response.url = req, req.url
        return response


class _Noting:
    """What our connections add to those of a pool: they tell an exchange which of them it has."""

    sock: Any
    is_verified: bool
    job: Job | None = None
    served = 0

    @property
    def is_connected(self) -> bool:
        """Tell whether it can be used again; asked when it is taken from the pool."""
        job = _LOCAL.job
        return (job is None or job.backend.claim(self, job)) and bool(super().is_connected)  # type: ignore[misc] # of the class it is mixed into

    def connect(self) -> None:
        self.job = job = _job()
        job.connection, self.served = self, 0
        timing = job.timing
        timing.domain_lookup_start = timing.connect_start = perf_counter()
        job.stop_if_cut()
        super().connect()  # type: ignore[misc]
        timing.connect_end = perf_counter()
        job.connected, job.handshake = True, None
        # Whether it is has been decided by our context; urllib3 would warn again for each request.
        self.is_verified = True

    def putrequest(self, method: str, url: str, *args: Any, **more: Any) -> None:
        target = _job().exchange.target
        super().putrequest(method, target.path_query if url == "/" else target.url, *args, **more)  # type: ignore[misc]

    def endheaders(self, *args: Any, **more: Any) -> Any:
        if self.sock is None:
            self.connect()
        _job().begin(self)
        return super().endheaders(*args, **more)  # type: ignore[misc]


def _connection_class(kind: Any) -> Any:
    more = {"response_class": _Answer} if issubclass(kind, http.client.HTTPConnection) else {}
    return type("Connection", (_Noting, kind), more)


class _Answer(http.client.HTTPResponse):
    """An answer that waits for the final one, and has its field lines noted in their order."""

    def begin(self) -> None:
        """Read the head of the final answer."""
        super().begin()
        for _ in range(MAX_INTERIM):
            if not HTTPStatus.CONTINUE <= self.status < HTTPStatus.OK or self.status == SWITCHING:
                _job().lines = self.msg.items()
                return
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()
        raise too_many_interim()


class _SocketOptions(list[tuple[int, int, int]]):
    """What urllib3 sets on a new socket: between the look-up of a name and the attempt to connect."""

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        job = _LOCAL.job
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


def _job() -> Job:
    job = _LOCAL.job
    if job is None:
        raise RuntimeError("a connection of the requests backend was used outside of its threads")
    return job


def _prepared(exchange: Exchange) -> requests.PreparedRequest:
    lines = framed(exchange)
    request = requests.PreparedRequest()
    request.method, request.url, request.body = exchange.method, exchange.target.url, exchange.content or None
    # Unlike requests' own kind of mapping it can hold a name twice.
    headers: Any = urllib3.HTTPHeaderDict()
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
