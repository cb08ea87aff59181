"""An explicit proxy, taken apart. There is never a direct connection in place of one through it."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from fastreq_jupyter.backends.wire import place
from fastreq_jupyter.errors import BackendError, OptionError
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from fastreq_jupyter.backends.resolver import Address, Resolver
    from fastreq_jupyter.url import Origin

__all__ = ["ProxyServer", "proxy_addresses", "proxy_error", "read_proxy", "tunnel_refusal", "tunnel_request"]

DEFAULT_PORTS = {"http": 80, "https": 443, "socks5": 1080}


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
    # socks5h is curl's name for what our socks5 does.
    scheme = "socks5" if parts.scheme == "socks5h" else parts.scheme
    if scheme not in DEFAULT_PORTS or not parts.hostname:
        message = "proxy cannot be read: give http://host:port, https://host:port or socks5://host:port"
        raise OptionError(message)
    user = None if parts.username is None else unquote(parts.username)
    return ProxyServer(scheme, parts.hostname, port or DEFAULT_PORTS[scheme], user, unquote(parts.password or ""))


def proxy_error(detail: str) -> BackendError:
    """Return the ``proxy`` error: the proxy could not be reached or refused, so our request did not leave."""
    return BackendError("proxy", detail, sent=False)


async def proxy_addresses(proxy: ProxyServer, resolver: Resolver) -> list[Address]:
    """Return the addresses of the proxy itself.

    Raises:
        BackendError: ``proxy``: its name cannot be resolved.
    """
    try:
        return await resolver.lookup(proxy.host, proxy.port)
    except OSError as error:
        raise proxy_error(f"cannot resolve the proxy {proxy.host}: {one_line(error.strerror or str(error))}") from error


def tunnel_request(proxy: ProxyServer, origin: Origin) -> bytes:
    """Return what asks a proxy for a tunnel to an origin (RFC 9110, 9.3.6)."""
    where = place(origin.host, origin.port)
    lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}"]
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def tunnel_refusal(answer: bytes, proxy: ProxyServer) -> str | None:
    """Return why a proxy's answer to CONNECT gives no tunnel, or None where it does."""
    head, end, rest = answer.partition(b"\r\n\r\n")
    words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
    if not end or not words[0].startswith("HTTP/1.") or len(words) < 2 or not words[1].isdigit():  # noqa: PLR2004 - two words
        return f"proxy {proxy.where} closed the connection or does not speak HTTP"
    if not words[1].startswith("2"):
        return one_line(f"proxy {proxy.where} answered {' '.join(words[1:])}")
    return f"proxy {proxy.where} sent more than its answer" if rest else None
