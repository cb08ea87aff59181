"""The common part of requests and niquests: pools of urllib3 or of its fork.

What a session must not do here has no switch, but methods and classes made for being derived from: the adapter makes pools,
a pool names its class of connection. Ours does what theirs does, and tells the exchange which connection it has.
"""

from __future__ import annotations

import http.client
import threading
from collections import OrderedDict
from contextvars import ContextVar
from functools import lru_cache
from math import nan
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastreq_jupyter.backends import base, wire
from fastreq_jupyter.errors import BackendError, OptionError
from fastreq_jupyter.files import Upload, UploadReader
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from fastreq_jupyter.backends.base import SessionKey
    from fastreq_jupyter.exchange import Exchange, Timing

TRIP: ContextVar[Trip] = ContextVar("fastreq_pools")
"""What the running task or thread is busy with."""


class PoolBackend:
    """One session of requests or niquests: its proxy, its pools, and which of their connections are idle."""

    name: str

    def __init__(self, key: SessionKey, socks: object, install: str) -> None:
        self.key = key
        self.proxy = wire.read_proxy(key.proxy)
        self.proxy_url = "" if self.proxy is None else self.proxy.url
        self.names_there = self.proxy is not None and self.proxy.scheme == "socks5"
        if self.proxy is not None and self.names_there:
            if not isinstance(socks, type):
                raise OptionError(f"proxy=socks5:// needs a package with backend {self.name}: use backend curl, or pip install {install}")
            user = "" if self.proxy.user is None else f"{quote(self.proxy.user, safe='')}:{quote(self.proxy.password, safe='')}@"
            self.proxy_url = f"socks5h://{user}{self.proxy.where}"
        self.lock = threading.Lock()
        self._idle: OrderedDict[Any, None] = OrderedDict()
        self._reserved = self._most_idle = 0
        self.closed = False

    def reserve(self, concurrency: int) -> None:
        """Size the pools (see `Backend.reserve`); where they must grow, exchanges in flight end on their old ones."""
        if concurrency > self._reserved:
            self._reserved = concurrency
            self._most_idle = base.most_idle(concurrency)
            self.close_idle(0)
            self.mount(concurrency)

    def mount(self, concurrency: int) -> None:
        """Make new pools."""
        raise NotImplementedError

    def discard(self, connection: Any) -> None:
        """Close an idle connection."""
        raise NotImplementedError

    def claim(self, connection: Any, trip: Trip) -> bool:
        """Take a kept connection for an exchange; False where that wants a new one."""
        with self.lock:
            self._idle.pop(connection, None)
            connection.trip = trip
        return not trip.exchange.fresh

    def rest(self, connection: Any, trip: Trip) -> None:
        """Count a connection as idle, and close the oldest where these are too many."""
        with self.lock:
            if connection is not None and connection.trip is trip and connection.sock is not None:
                self._idle[connection] = None
        self.close_idle(self._most_idle)

    def close_idle(self, most: int) -> None:
        """Close the oldest idle connections."""
        with self.lock:
            while len(self._idle) > most:
                self.discard(self._idle.popitem(last=False)[0])


class Trip:
    """One exchange, and the connection it has got.

    Attributes:
        request: As the library has prepared it.
        connected: The connection to the origin stands, a tunnel and TLS included: the request may have left.
    """

    def __init__(self, backend: PoolBackend, exchange: Exchange, timing: Timing, request: Any) -> None:
        if backend.closed:
            raise BackendError("connect", "the session is closed", sent=False)
        self.backend, self.exchange, self.timing, self.request = backend, exchange, timing, request
        self.where = wire.place(*exchange.target.origin[1:])
        self.connection: Any = None
        self.connected = False

    def dial(self, connection: Any) -> None:
        """Note that a new connection is about to be made."""
        connection.trip, connection.served, self.connection = self, 0, connection
        self.timing.domain_lookup_start = self.timing.connect_start = perf_counter()

    def begin(self, connection: Any) -> None:
        """Note the connection that the request is about to go out on."""
        self.connection = connection
        self.connected = True
        self.timing.reused = connection.served > 0
        self.timing.encrypted = self.exchange.target.origin.scheme == "https"
        if self.backend.names_there:
            # The proxy looks names up: nobody here sees how long that takes.
            self.timing.domain_lookup_start = self.timing.domain_lookup_end = nan
        connection.served += 1
        self.timing.request_start = perf_counter()

    def close_upload(self) -> None:
        """Close the file that the request was being read from."""
        if isinstance(self.request.body, UploadReader):
            self.request.body.close()

    def failed(self, error: BaseException) -> BackendError:
        """Return what the exchange ended with before its answer."""
        if self.timing.reused and isinstance(error, RuntimeError):
            # urllib3-future: unrequested bytes have arrived on it.
            return BackendError("connect", f"{self.where}: the kept connection cannot be used", sent=False, stale=True)
        failure = wire.failure_of(error, self.exchange.target.origin, self.timing, self.backend.proxy, connected=self.connected)
        # A malformed answer may be the rest of the one before: bytes beyond its length.
        failure.stale = bool(self.timing.reused) and failure.kind in ("connect", "protocol")
        return failure

    def broken_off(self, error: Exception) -> BackendError:
        """Return the error for a body that ended early or was malformed."""
        if any(type(cause).__name__ == "DecodeError" for cause in wire.causes_of(error)):
            # urllib3 refuses a long chain of content codings even where it does not decode them.
            return BackendError("decoding", f"{self.where}: {one_line(str(error), 120)}")
        return wire.broken_off(self.where)


class AdapterRules:
    """What an adapter leaves to us: trust, and the credentials for a proxy, which may hold any character."""

    backend: Any

    def cert_verify(self, *_: Any, **__: Any) -> bool:
        """Do nothing: the TLS context verifies."""
        return False

    def proxy_headers(self, proxy: str) -> dict[str, str]:  # noqa: ARG002 - the library's signature
        """Return our credentials for the proxy."""
        authorization = None if self.backend.proxy is None else self.backend.proxy.authorization
        return {} if authorization is None else {"Proxy-Authorization": authorization}


class NotingConnection:
    """What our connections add to those of a pool."""

    sock: Any
    is_verified: bool
    trip: Trip | None = None
    served = 0

    @property
    def is_connected(self) -> bool:
        """Tell whether it can be used again; asked when it is taken from the pool."""
        trip = TRIP.get(None)
        return (trip is None or trip.backend.claim(self, trip)) and bool(super().is_connected)  # type: ignore[misc] # of the class it is mixed into

    def putrequest(self, method: str, url: str, *args: Any, **more: Any) -> None:
        """Send the URL as it is."""
        target = TRIP.get().exchange.target
        super().putrequest(method, target.path_query if url.startswith("/") else target.url, *args, **more)  # type: ignore[misc] # a mixin: the method is of the class beside it


def note(manager: Any, kind: type[NotingConnection], **more: Any) -> None:
    """Have the pools of a manager make connections of a kind of ours; those of http.client get more attributes."""
    for scheme, pool in manager.pool_classes_by_scheme.items():
        plain = issubclass(pool.ConnectionCls, http.client.HTTPConnection)
        connection = type("Connection", (kind, pool.ConnectionCls), more if plain else {})
        manager.pool_classes_by_scheme = manager.pool_classes_by_scheme | {
            scheme: type(pool.__name__, (pool,), {"ConnectionCls": connection})
        }


def prepare(exchange: Exchange, request: Any, headers: Any, skip: str) -> Any:
    """Fill a prepared request of the library, and the mapping of headers that can hold a name twice."""
    lines = wire.framed(exchange)
    content = exchange.content
    request.method, request.url = exchange.method, f"{exchange.target.origin}/"
    request.body = content.open() if isinstance(content, Upload) else content or None
    names = {name.lower() for name, _ in lines.fields}
    for name in ("User-Agent", "Accept-Encoding"):
        if name.lower() not in names:
            headers.add(name, skip)
    if lines.host is not None:
        headers.add("Host", lines.host)
    for name, value in lines.fields:
        headers.add(name, value)
    request.headers = headers
    return request


@lru_cache(maxsize=128)
def fields_of(lines: tuple[tuple[str, str], ...]) -> tuple[tuple[bytes, bytes], ...]:
    """Return the field lines of an answer, equal ones the same objects."""
    return tuple([wire.shared((name.encode("latin-1"), value.strip(" \t").encode("latin-1"))) for name, value in lines])
