"""The narrow door to an HTTP library.

The law of every backend: **one exchange and nothing else**. No resend, no redirect, no cookie jar, no decompression, no
environment or netrc look-up, no retry, no default header but what HTTP itself needs, no traffic of its own (OCSP,
HTTP/3). All of that is done once, above, so that it is the same on each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from fastreq_jupyter.errors import BackendError, OptionError

if TYPE_CHECKING:
    from fastreq_jupyter.response import Headers
    from fastreq_jupyter.timing import Marks
    from fastreq_jupyter.url import Target

__all__ = ["NAMES", "Backend", "Exchange", "SessionKey", "Stream", "detect", "open_backend", "translate"]

NAMES = ("niquests", "aiohttp", "requests")
"""Order of auto-detection."""


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Name a warm backend session: runs that agree in all of this share connections.

    Attributes:
        backend: One of `NAMES`.
        verify: True, False, or the path of a CA bundle.
        cert: Client certificate: a PEM file or (certificate, key).
        proxy: Explicit proxy URL with credentials, or None for a direct connection; "env" is resolved above.
        http2: True (required), False (HTTP/1.1 only), "auto".
    """

    backend: str
    verify: bool | str = True
    cert: str | tuple[str, str] | None = None
    proxy: str | None = field(default=None, repr=False)
    http2: bool | str = "auto"


@dataclass(frozen=True, slots=True)
class Exchange:
    """Hold one request as it goes on the wire; the engine has added cookies, auth, Host-independent headers.

    Attributes:
        method: Token.
        target: Where to; `target.url` has no userinfo and no fragment, and must be sent as it is.
        headers: All field lines, User-Agent, Accept, Accept-Encoding included; the backend adds only Host,
            Content-Length and Connection. An explicit Host is passed on.
        content: Body or None.
        fresh: Use a connection of its own: the request is unsafe and must not meet a dying reused one.
    """

    method: str
    target: Target
    headers: Headers
    content: bytes | None = None
    fresh: bool = False


class Stream(Protocol):
    """Be the response of one exchange, head read, body still to come."""

    status: int
    reason: str
    http_version: str
    headers: Headers

    async def read(self) -> bytes:
        """Return the next raw bytes of the body (transfer coding removed, content coding kept), b"" at its end.

        Raises:
            BackendError: The body broke off or was malformed; a body that ended early is never taken for whole.
        """
        ...

    async def aclose(self) -> None:
        """Give the connection back when the body was read whole, close it otherwise; never raises, can be called twice."""
        ...


class Backend(Protocol):
    """Be one warm session of one HTTP library on one loop. It sets no limit of its own on connections."""

    name: str
    phases: frozenset[str]
    """Durations it can see: of dns, connect, tls, wait, receive."""

    async def send(self, exchange: Exchange, marks: Marks) -> Stream:
        """Send one request, return when the final (non-1xx) head is read.

        Cancelling the task that waits here ends the exchange at once, its socket included.

        Args:
            exchange: What to send.
            marks: Recorder; written as far as the library lets us see.

        Raises:
            BackendError: Nothing usable came; its `sent` tells whether the request may have left.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections; can be called twice."""
        ...


def detect(name: str = "auto") -> str:
    """Return the backend to use.

    Raises:
        OptionError: It is not installed; the line says what to install.
    """
    if name == "auto":
        for candidate in NAMES:
            if find_spec(candidate) is not None:
                return candidate
        message = "backend=auto found none of niquests, aiohttp, requests: pip install niquests"
        raise OptionError(message)
    if find_spec(name) is None:
        message = f"backend={name!r} is not installed: pip install {name}"
        raise OptionError(message)
    return name


def open_backend(key: SessionKey) -> Backend:
    """Open a session; must be called on the loop it will live on. Imports the library at first use.

    Raises:
        OptionError: The library cannot do what the key asks for (HTTP/2 on aiohttp and requests, an https proxy on requests).
    """
    module = import_module(f"fastreq_jupyter.backends.{key.backend}")
    backend: Backend = module.open_session(key)
    return backend


Rule = tuple[type[BaseException], Callable[[Any], BackendError]]


def translate(error: BaseException, rules: tuple[Rule, ...]) -> BackendError:
    """Return the `BackendError` for a library's exception, by the first rule whose class fits; ``protocol`` by default."""
    for kind, make in rules:
        if isinstance(error, kind):
            return make(error)
    return BackendError("protocol", f"{type(error).__name__}: {error}".splitlines()[0][:300])
