"""What every backend agrees on: field lines, framing and target before a byte is sent, proxies, and how a cause is told.

Nothing here touches a socket. A request that HTTP cannot carry is refused with ``sent=False``, on each backend alike.
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from functools import lru_cache
from math import isnan
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from fastreq_jupyter.content import NO_FIELD_VALUE, TOKEN
from fastreq_jupyter.errors import BackendError, OptionError
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from fastreq_jupyter.content import Headers
    from fastreq_jupyter.exchange import Exchange, Timing
    from fastreq_jupyter.url import Origin

MAX_INTERIM = 32
"""Interim (1xx) answers before the final one; more is an error, so that an endless row of them ends."""
MAX_FIELD_BYTES = 65_536
"""Longest field line of an answer, as in the standard library's http.client."""
PIECE_BYTES = 64 * 1024
"""Of a body, at a time."""
SWITCHING = 101
"""A final answer that only a client which asked for it can use; we never do."""

# RFC 9110, 8.6: a method that does not anticipate content sends no Content-Length of 0.
BODYLESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_SPECIAL = frozenset({"host", "content-length"})
# inet_aton's old forms of an IPv4 address (127.1, 2130706433, 0x7f.1): refused, since libraries read them differently.
_NUMERIC_HOST = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)(?:\.(?:0[xX][0-9a-fA-F]*|[0-9]+))*\.?")
_WIDE = re.compile(r"[^\x00-\xff]")
_PROXY_PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks5": 1080}
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}")

# A connection that ended without a word: urllib3's words, and aiohttp's.
_CLOSED = ("Remote end closed connection without response", "Server disconnected")


@lru_cache(maxsize=1024)
def shared(line: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """Return a field line of an answer, the same object for equal ones: rows that have it in common share it."""
    return line


@lru_cache(maxsize=128)
def shared_fields(fields: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[bytes, bytes], ...]:
    """Return all field lines of an answer, the same object for equal ones: those of the same second often are."""
    return tuple(map(shared, fields))


class Lines(NamedTuple):
    """The field lines of a request, checked: without Host, Content-Length included where one belongs.

    Attributes:
        fields: Name and value, in order.
        host: An explicit Host, else None.
        plain: Everything is ASCII.
        length: An explicit Content-Length, which is the body's, else None.
    """

    fields: tuple[tuple[str, str], ...]
    host: str | None
    plain: bool
    length: str | None


def framed(exchange: Exchange) -> Lines:
    """Return the field lines to send, framing included.

    Raises:
        BackendError: ``invalid value``, ``sent=False``: HTTP cannot carry the method, a field, or the framing asked for.
    """
    method, host = exchange.method, exchange.target.origin.host
    if not _is_method(method):
        raise _refused(f"method {method[:40]!r} cannot be sent")
    if host[0] in "0123456789" and _is_old_form(host):
        raise BackendError("invalid URL", f"host {host!r} is no IPv4 address in its usual form", sent=False)
    lines = check_fields(exchange.headers)
    length = str(len(exchange.content or b""))
    if lines.length not in (None, length):
        raise _refused(f"header Content-Length {str(lines.length)[:20]!r} is not the body's length, {length}")
    if exchange.content or method not in BODYLESS:
        return lines._replace(fields=(*lines.fields, ("Content-Length", length)))
    return lines


@lru_cache(maxsize=256)
def _is_old_form(host: str) -> bool:
    return _NUMERIC_HOST.fullmatch(host) is not None and not _IPV4.fullmatch(host)


# Most requests of a run have the same field lines.
@lru_cache(maxsize=64)
def check_fields(headers: Headers) -> Lines:
    """Return the field lines of a request, without framing; see `framed`."""
    fields: list[tuple[str, str]] = []
    special: dict[str, str] = {}
    for name, text in headers:
        lower, value = name.lower(), text.strip(" \t")
        if not TOKEN.fullmatch(name):
            raise _refused(f"header name {name[:40]!r} is no token")
        if NO_FIELD_VALUE.search(value):
            raise _refused(f"header {name} holds a control character")
        if lower == "transfer-encoding":
            raise _refused("header Transfer-Encoding cannot be set: bodies are sent with Content-Length")
        if wide := _WIDE.search(value):
            raise _refused(f"header {name} holds {wide[0]!r}, which HTTP cannot carry (latin-1 only)")
        if lower not in _SPECIAL:
            fields.append((name, value))
        elif special.setdefault(lower, value) != value:
            raise _refused(f"header {name} is given twice")
    return Lines(tuple(fields), special.get("host"), all(value.isascii() for _, value in fields), special.get("content-length"))


@lru_cache(maxsize=64)
def _is_method(method: str) -> bool:
    return method != "CONNECT" and TOKEN.fullmatch(method) is not None


@dataclass(frozen=True, slots=True)
class ProxyServer:
    """Where an explicit proxy is and how we authenticate there; there is never a direct connection in its place."""

    scheme: str
    host: str
    port: int
    user: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)

    @property
    def where(self) -> str:
        """Return host:port for a message; never the credentials."""
        return place(self.host, self.port)

    @property
    def url(self) -> str:
        """Return the proxy's URL without credentials."""
        return f"{self.scheme}://{self.where}"

    @property
    def authorization(self) -> str | None:
        """Return the value of Proxy-Authorization, for http and https proxies."""
        return None if self.user is None else "Basic " + b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")


def read_proxy(url: str | None) -> ProxyServer | None:
    """Take a proxy URL apart.

    Raises:
        OptionError: It is none; the line never shows credentials.
    """
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    # socks5h and socks4a are curl's names for what socks5 and socks4 mean here: the proxy resolves names.
    scheme = {"socks5h": "socks5", "socks4a": "socks4"}.get(parts.scheme, parts.scheme)
    if scheme not in _PROXY_PORTS or not parts.hostname:
        raise OptionError("proxy cannot be read: give http://host:port, https://host:port or socks5://host:port")
    user = None if parts.username is None else unquote(parts.username)
    return ProxyServer(scheme, parts.hostname, port or _PROXY_PORTS[scheme], user, unquote(parts.password or ""))


def proxy_error(detail: str) -> BackendError:
    """Return the ``proxy`` error: the proxy could not be reached or refused, so our request did not leave."""
    return BackendError("proxy", detail, sent=False)


def place(host: str, port: int) -> str:
    """Return host:port for a message."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def failure_of(  # noqa: PLR0913 - all that tells what an exception means
    error: BaseException, origin: Origin, timing: Timing, proxy: ProxyServer | None, *, connected: bool, refusal: str = ""
) -> BackendError:
    """Return our error for an exception of a library, raised before the head of an answer: what counts is what that wraps.

    Args:
        error: The exception.
        origin: Where the request goes.
        timing: Of the exchange, as far as it came.
        proxy: What it goes through.
        connected: There is a connection, a tunnel and TLS included: the request may have left.
        refusal: What the proxy said, where that is known.
    """
    where, causes = place(origin.host, origin.port), causes_of(error)
    if proxy is not None and not connected and not any(map(_distrusts, causes)):
        return _refused_by(proxy, causes, refusal)
    silent = isnan(timing.response_start)
    for cause in causes:
        if failure := _meaning(cause, origin.host, where, connected=connected, silent=silent):
            return failure
    words = next((words for cause in causes if (words := getattr(cause, "message", None) or str(cause))), type(error).__name__)
    return BackendError("protocol", f"{where}: malformed answer: {one_line(str(words), 120)}", sent=connected)


def broken_off(where: str) -> BackendError:
    """Return the error for a body that ended early or was malformed."""
    return BackendError("protocol", f"{where}: the body broke off or was malformed")


def causes_of(error: BaseException) -> list[BaseException]:
    """Return an exception and all that it wraps, the innermost first."""
    seen: list[BaseException] = []
    todo: list[object] = [error]
    while todo:
        item = todo.pop(0)
        if isinstance(item, BaseException) and item not in seen:
            seen.append(item)
            todo += [getattr(item, "reason", None), getattr(item, "original_error", None), *item.args, item.__cause__, item.__context__]
    return seen[::-1]


def lookup_error(error: BaseException, host: str) -> BackendError:
    """Return the ``connect`` error for a name that could not be resolved."""
    return BackendError("connect", f"cannot resolve {host}: {_reason(error)}", sent=False)


def _meaning(cause: BaseException, host: str, where: str, *, connected: bool, silent: bool) -> BackendError | None:
    # An alert of TLS may come late: a missing client certificate is told after the handshake. Errors of HTTP/3 are not those of ssl.
    if _distrusts(cause) or (not connected and "error TLS_" in str(cause)):
        return BackendError("tls", f"{where}: {one_line(_distrust(cause))}", sent=connected)
    if isinstance(cause, ssl.SSLError) and not connected:
        return BackendError("connect", f"{where}: connection closed in the TLS handshake", sent=False)
    if isinstance(cause, socket.gaierror | UnicodeError):
        return lookup_error(cause, host)
    if silent and (isinstance(cause, http.client.RemoteDisconnected) or any(words in str(cause) for words in _CLOSED)):
        return BackendError("connect", f"{where}: connection closed before an answer", sent=connected)
    if isinstance(cause, ssl.SSLError | ConnectionError) or (isinstance(cause, OSError) and cause.errno is not None):
        return BackendError("connect", f"{where}: {_reason(cause)}", sent=connected)
    return None


def _distrusts(cause: BaseException) -> bool:
    return isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError)


def _distrust(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate is not trusted: {error.verify_message or _reason(error)}"
    reason = getattr(error, "reason", None)
    return f"TLS failed: {reason.lower().replace('_', ' ') if isinstance(reason, str) else _reason(error)}"


def _refused_by(proxy: ProxyServer, causes: list[BaseException], words: str) -> BackendError:
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return proxy_error(lookup_error(cause, f"the proxy {proxy.host}").detail)
        if isinstance(cause, OSError) and cause.errno is not None:
            return proxy_error(f"proxy {proxy.where}: {_reason(cause)}")
    words = words or next((str(cause) for cause in causes if "failed:" in str(cause)), "") or str(causes[0]) or type(causes[0]).__name__
    return proxy_error(f"proxy {proxy.where}: {one_line(words, 120)}")


def too_many_interim() -> BackendError:
    """Return the error for a server that sends interim answers without end."""
    return BackendError("protocol", f"more than {MAX_INTERIM} interim (1xx) answers and no final one")


def _reason(error: BaseException) -> str:
    number = getattr(error, "errno", None)
    if isinstance(error, socket.gaierror | ssl.SSLError) or not isinstance(number, int):
        words = getattr(error, "strerror", None) or str(error)
    else:
        # asyncio puts "Connect call failed ('127.0.0.1', 1)" in place of the system's message.
        words = os.strerror(number)
    usual: dict[type[BaseException], str] = {
        TimeoutError: "timed out",
        ConnectionRefusedError: "Connection refused",
        ConnectionResetError: "Connection reset by peer",
    }
    return one_line(str(words)) or usual.get(type(error), type(error).__name__)


def _refused(detail: str) -> BackendError:
    return BackendError("invalid value", detail, sent=False)
