"""What the exceptions of urllib3 mean, under whichever of its two names it runs below requests and niquests.

They come wrapped, up to five deep, and the wrappers differ by version; what counts is the cause at the bottom.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import TYPE_CHECKING

from fastreq_jupyter.backends.proxy import proxy_error
from fastreq_jupyter.backends.wire import connect_error, lookup_error, tls_error
from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from fastreq_jupyter.backends.proxy import ProxyServer

__all__ = ["broken_off", "translate"]

_CLOSED = "Remote end closed connection without response"


def translate(error: BaseException, where: str, *, connected: bool, sent: bool, proxy: ProxyServer | None = None) -> BackendError:
    """Return what an exchange ended with before the head of its answer was read.

    Args:
        error: What the library raised.
        where: host:port of the origin.
        connected: The connection to the origin stood, a tunnel and TLS included.
        sent: The request may have left.
        proxy: Through which the connection was to be made.
    """
    causes = _causes(error)
    if proxy is not None and not connected and not _distrusted(causes):
        return _refused(causes, proxy)
    for cause in causes:
        if isinstance(cause, ssl.SSLError) and not connected:
            return tls_error(cause, where)
        if isinstance(cause, socket.gaierror | UnicodeError):
            return lookup_error(cause, where.rpartition(":")[0].strip("[]"))
        if isinstance(cause, http.client.RemoteDisconnected) or _CLOSED in str(cause):
            return BackendError("connect", f"{where}: connection closed before an answer", sent=sent)
        if isinstance(cause, OSError) and (isinstance(cause, ssl.SSLError) or cause.errno is not None):
            if connected or not isinstance(cause, ConnectionResetError):
                return connect_error(cause, where, sent=sent)
            return BackendError("connect", f"{where}: {cause.strerror}", sent=sent)
    words = next((str(cause) for cause in causes if str(cause)), type(error).__name__)
    return BackendError("protocol", f"{where}: malformed answer: {one_line(words, 120)}", sent=sent)


def broken_off(where: str) -> BackendError:
    """Return the error for a body that ended early or was malformed."""
    return BackendError("protocol", f"{where}: the body broke off or was malformed")


def _causes(error: BaseException) -> list[BaseException]:
    """Return an exception and all that it wraps, the innermost first."""
    seen: list[BaseException] = []
    todo: list[object] = [error]
    while todo:
        item = todo.pop(0)
        if isinstance(item, BaseException) and item not in seen:
            seen.append(item)
            todo += [getattr(item, "reason", None), getattr(item, "original_error", None), *item.args, item.__cause__, item.__context__]
    return seen[::-1]


def _distrusted(causes: list[BaseException]) -> bool:
    return any(isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError) for cause in causes)


def _refused(causes: list[BaseException], proxy: ProxyServer) -> BackendError:
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return proxy_error(lookup_error(cause, f"the proxy {proxy.host}").detail)
        if isinstance(cause, OSError) and cause.errno is not None:
            return proxy_error(connect_error(cause, f"proxy {proxy.where}").detail)
    words = next((str(cause) for cause in causes if "failed:" in str(cause)), None) or str(causes[0]) or type(causes[0]).__name__
    return proxy_error(f"proxy {proxy.where}: {one_line(words, 120)}")
