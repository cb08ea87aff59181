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
        if (told := _translated(cause, where, connected=connected, sent=sent)) is not None:
            return told
    words = next((str(cause) for cause in causes if str(cause)), type(error).__name__)
    return BackendError("protocol", f"{where}: malformed answer: {one_line(words, 120)}", sent=sent)


def _translated(cause: BaseException, where: str, *, connected: bool, sent: bool) -> BackendError | None:
    if isinstance(cause, ssl.SSLError) and not connected:
        return tls_error(cause, where)
    if isinstance(cause, socket.gaierror | UnicodeError):
        return lookup_error(cause, where.rpartition(":")[0].strip("[]"))
    if isinstance(cause, http.client.RemoteDisconnected) or _CLOSED in str(cause):
        return BackendError("connect", f"{where}: connection closed before an answer", sent=sent)
    if isinstance(cause, ssl.SSLError | ConnectionError) or (isinstance(cause, OSError) and cause.errno is not None):
        return connect_error(cause, where, sent=sent)
    return None


def broken_off(where: str, error: Exception) -> BackendError:
    """Return the error for a body that ended early or was malformed.

    Args:
        where: host:port of the origin.
        error: What the library raised; it refuses a long chain of content codings though it is not to decode them.
    """
    if any(type(cause).__name__ == "DecodeError" for cause in _causes(error)):
        return BackendError("decoding", f"{where}: {one_line(str(error), 120)}")
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
