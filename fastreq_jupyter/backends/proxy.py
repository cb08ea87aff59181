"""An explicit proxy, taken apart. There is never a direct connection in place of one through it."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from fastreq_jupyter.backends.wire import place
from fastreq_jupyter.errors import BackendError, OptionError

__all__ = ["ProxyServer", "proxy_error", "read_proxy"]

DEFAULT_PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks5": 1080}


@dataclass(frozen=True, slots=True)
class ProxyServer:
    """Hold where a proxy is and how we authenticate there."""

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
        if self.user is None:
            return None
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")


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
    # socks5h and socks4a are curl's names for what our socks5 and socks4 do: names are resolved there.
    scheme = {"socks5h": "socks5", "socks4a": "socks4"}.get(parts.scheme, parts.scheme)
    if scheme not in DEFAULT_PORTS or not parts.hostname:
        message = "proxy cannot be read: give http://host:port, https://host:port or socks5://host:port"
        raise OptionError(message)
    user = None if parts.username is None else unquote(parts.username)
    return ProxyServer(scheme, parts.hostname, port or DEFAULT_PORTS[scheme], user, unquote(parts.password or ""))


def proxy_error(detail: str) -> BackendError:
    """Return the ``proxy`` error: the proxy could not be reached or refused, so our request did not leave."""
    return BackendError("proxy", detail, sent=False)
