"""The narrow door to an HTTP library.

The law of every backend: it is the library it is named after, told to do **one exchange and nothing else**. No redirect,
no cookie jar, no decompression, no environment or netrc look-up, no retry, no default header but what HTTP itself needs,
no traffic of its own (OCSP, HTTP/3 unasked). All of that is done once, above, so that it is the same on each.

An idempotent request whose *kept* connection was closed before any byte of the answer may go out once more (RFC 9112,
9.3.1): by the library itself, or by the engine, which the backend tells by ``BackendError(stale=True)``. Others never.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from math import isnan, nan
from typing import TYPE_CHECKING, NamedTuple, Protocol

from fastreq_jupyter.backends.wire import place
from fastreq_jupyter.errors import BackendError, OptionError

if sys.platform != "win32":
    import resource

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection, Mapping

    from fastreq_jupyter.exchange import Exchange, Timing


class Library(NamedTuple):
    """What is known of a backend's library: what is imported, what `pip install` needs, what not all can be asked for."""

    module: str
    install: str
    can: frozenset[str]


_AUTH = frozenset({"digest", "negotiate", "ntlm", "sigv4"})
_SPELLED = {"digest": "Digest", "negotiate": "Negotiate", "ntlm": "NTLM", "sigv4": "SigV4"}
LIBRARIES = {
    "curl": Library("pycurl", "'fastreq-jupyter[curl]'", _AUTH | {"http", "http2", "http3", "https", "socks4", "socks5"}),
    "aiohttp": Library("aiohttp", "aiohttp", frozenset({"http", "https"})),
    "niquests": Library("niquests", "niquests", frozenset({"http", "http2", "http3", "https", "socks5"})),
    "requests": Library("requests", "'fastreq-jupyter[requests]'", frozenset({"http", "https", "socks5"})),
}
"""One row per backend, in the order of auto-detection: options, schemes of proxies and of credentials that it can be asked for."""
NAMES = tuple(LIBRARIES)

# File descriptors left to the rest of the process, and the least number of idle connections that are kept.
_FOR_OTHERS = 64
_FEWEST_IDLE = 8


@dataclass(frozen=True, slots=True)
class SessionKey:
    """The name of a warm backend session: runs that agree in all of this share connections.

    Attributes:
        backend: One of `NAMES`.
        verify: True, False, or the path of a CA bundle.
        cert: Client certificate: a PEM file or (certificate, key).
        proxy: Explicit proxy URL with credentials, or None for a direct connection; "env" is resolved above.
        http2: True (required), False (HTTP/1.1 only), "auto".
        http3: HTTP/3 is required.
    """

    backend: str
    verify: bool | str = True
    cert: str | tuple[str, str] | None = None
    proxy: str | None = field(default=None, repr=False)
    http2: bool | str = "auto"
    http3: bool = False


class Stream:
    """The response of one exchange: its head is read, its body still to come. Each backend derives its own.

    Attributes:
        status: Status code as the library gives it; the engine refuses what is no final answer.
        reason: Reason phrase, latin-1 text; "" where HTTP has none.
        http_version: "1.0", "1.1", "2" or "3".
        fields: Field lines as they came, (name, value), white space around the value removed.
    """

    __slots__ = ("fields", "http_version", "reason", "status")

    status: int
    reason: str
    http_version: str
    fields: tuple[tuple[bytes, bytes], ...]

    def take(self) -> bytes | None:
        """Return the whole raw body if its end has arrived already, else None (then `read` it).

        After a body was given, `read` gives b"". Nothing is awaited: this is the way of most answers.

        Raises:
            BackendError: As `read`.
        """
        return None

    async def read(self) -> bytes:
        """Return the raw bytes of the body that have come (transfer coding removed, content coding kept), b"" at its end.

        Waits only while none are there. What is not read is not fetched without bound: the backend stops reading from the
        network while more than a few hundred KiB wait here.

        Raises:
            BackendError: The body broke off or was malformed; a body that ended early is never taken for whole.
        """
        raise NotImplementedError

    def close(self) -> None:
        """End the exchange: the connection goes back if the body was read whole, and is closed otherwise.

        Returns at once, never raises, can be called twice.
        """
        raise NotImplementedError


class Backend(Protocol):
    """One warm session of one HTTP library on one loop."""

    name: str

    def reserve(self, concurrency: int) -> None:
        """Prepare for a run with so many requests in flight: the library itself must never be the limit.

        At most twice the largest number reserved so far stay open as idle connections, the oldest are closed first.
        """
        ...

    async def send(self, exchange: Exchange, timing: Timing) -> Stream:
        """Send one request, return when the final (non-1xx) head is read.

        Cancelling the task that waits here ends the exchange at once, its socket included.

        Args:
            exchange: What to send; its `connect_timeout` is not looked at, see `send`.
            timing: Record of this exchange, written in place as far as the library lets us see; the engine sets
                `fetch_start` and `response_end`. `request_start` is set as soon as there is a connection, marks that come
                with the end of the body are written by then.

        Raises:
            BackendError: Nothing usable came; its `sent` tells whether the request may have left, its `stale` whether a
                kept connection was closed before any byte of the answer.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections; can be called twice."""
        ...


def send(backend: Backend, exchange: Exchange, timing: Timing) -> Awaitable[Stream]:
    """Return what `Backend.send` does, ended where there is no connection within the exchange's `connect_timeout`."""
    return backend.send(exchange, timing) if exchange.connect_timeout is None else _send_in_time(backend, exchange, timing)


async def _send_in_time(backend: Backend, exchange: Exchange, timing: Timing) -> Stream:
    loop, limit, origin = asyncio.get_running_loop(), exchange.connect_timeout or 0.0, exchange.target.origin

    def give_up() -> None:
        if isnan(timing.request_start):
            scope.reschedule(loop.time())

    # The mark of an earlier sending is not that of this one.
    timing.request_start = nan
    try:
        async with asyncio.timeout(None) as scope:
            timer = loop.call_later(limit, give_up)
            try:
                return await backend.send(exchange, timing)
            finally:
                timer.cancel()
    except TimeoutError:
        raise BackendError("timeout", f"{place(origin.host, origin.port)}: no connection within {limit:g} s", sent=False) from None


def most_idle(concurrency: int) -> int:
    """Return how many connections may stay idle beside so many in use.

    Twice as many, but that all of them have a file descriptor: macOS gives a process 256, and a crawl of many hosts leaves an
    idle connection to each.
    """
    if sys.platform == "win32":
        return 2 * concurrency
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return 2 * concurrency
    return max(_FEWEST_IDLE, min(2 * concurrency, limit - concurrency - _FOR_OTHERS))


def detect(
    name: str = "auto",
    *,
    http2: bool | str = "auto",
    http3: bool = False,
    proxy: str | None = None,
    schemes: Collection[str] = (),
) -> str:
    """Return the backend to use: the one named, or the first installed, in the order of `NAMES`, that can do what is asked.

    Args:
        name: One of `NAMES`, or "auto".
        http2: True where HTTP/2 is required.
        http3: HTTP/3 is required.
        proxy: URL of an explicit proxy, or None.
        schemes: Of credentials that its library must know: digest, sigv4, negotiate, ntlm.

    Raises:
        OptionError: It is not installed, or cannot do that; the line says what to install, or which backend can.
    """
    needed = {option: f"{option}=True" for option, value in (("http2", http2), ("http3", http3)) if value is True}
    if proxy is not None:
        scheme = proxy.partition(":")[0].lower()
        scheme = {"socks5h": "socks5", "socks4a": "socks4"}.get(scheme, scheme)
        # An unknown scheme is reported by the code that reads the URL.
        if any(scheme in library.can for library in LIBRARIES.values()):
            needed[scheme] = f"a {scheme} proxy"
    needed |= {scheme: f"auth={_SPELLED[scheme]}(...)" for scheme in sorted(schemes)}
    reasons = []
    for candidate in NAMES if name == "auto" else (name,):
        why = _why_not(candidate, needed)
        if why is None:
            return candidate
        reasons.append(why)
    # The first is that of the backend that can do most.
    raise OptionError(reasons[0])


def _why_not(name: str, needed: Mapping[str, str]) -> str | None:
    """Return in one line why a backend cannot be taken, None where it can."""
    library = LIBRARIES[name]
    if find_spec(library.module) is None:
        return f"backend={name!r} is not installed: pip install {library.install}"
    for feature, words in needed.items():
        if feature not in library.can:
            able = [other for other in NAMES if feature in LIBRARIES[other].can]
            return f"{words} is not possible with backend={name!r}: give backend={' or '.join(map(repr, able))}"
    if name != "curl":
        return None
    if not watches_sockets():
        return "backend='curl' needs an event loop that watches sockets, and this one does not: give backend='aiohttp'"
    try:
        curl = import_module("fastreq_jupyter.backends.curl")
    except ImportError as error:
        return f"backend='curl' cannot be loaded ({error}): pip install {library.install}"
    why: str | None = curl.why_poor(needed)
    return why


def watches_sockets() -> bool:
    """Tell whether the running loop has `add_reader`; Windows' default loop has not. True where no loop runs."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return True
    return type(loop).add_reader is not asyncio.AbstractEventLoop.add_reader


def open_backend(key: SessionKey) -> Backend:
    """Open a session; must be called on the loop it will live on. Imports the library at first use.

    Raises:
        OptionError: The library cannot do what the key asks for, or a proxy or certificate cannot be read.
    """
    detect(key.backend, http2=key.http2, http3=key.http3, proxy=key.proxy)
    module = import_module(f"fastreq_jupyter.backends.{key.backend}")
    backend: Backend = module.open_session(key)
    return backend
