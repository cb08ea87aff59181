"""An explicit proxy, taken apart; and a connection through a SOCKS5 proxy, which resolves the names itself."""

from __future__ import annotations

import asyncio
import base64
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from fastreq_jupyter.backends.wire import place
from fastreq_jupyter.errors import BackendError, OptionError
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from fastreq_jupyter.backends.resolver import Address, Resolver

__all__ = ["ProxyServer", "connect_socks", "proxy_error", "read_proxy", "socks_errors"]

DEFAULT_PORTS = {"http": 80, "https": 443, "socks5": 1080}
# python-socks has a timeout of 60 s; the engine's deadline ends an attempt by cancelling it.
FOREVER = 31 * 86_400.0


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
        OptionError: It is none, or SOCKS support is not installed; the line never shows credentials.
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
    if scheme == "socks5" and find_spec("python_socks") is None:
        message = "proxy=socks5:// needs python-socks: pip install 'fastreq-jupyter[socks]'"
        raise OptionError(message)
    user = None if parts.username is None else unquote(parts.username)
    return ProxyServer(scheme, parts.hostname, port or DEFAULT_PORTS[scheme], user, unquote(parts.password or ""))


def proxy_error(detail: str) -> BackendError:
    """Return the ``proxy`` error: the proxy could not be reached or refused, so our request did not leave."""
    return BackendError("proxy", detail, sent=False)


@contextmanager
def socks_errors(proxy: ProxyServer) -> Iterator[None]:
    """Turn what goes wrong on the way to and through a SOCKS proxy into the ``proxy`` error."""
    from python_socks import ProxyConnectionError, ProxyError  # noqa: PLC0415 - an extra

    try:
        yield
    except ProxyConnectionError as error:
        raise proxy_error(f"cannot connect to the proxy {proxy.where}") from error
    except ProxyError as error:
        raise proxy_error(f"proxy {proxy.where}: {one_line(str(error))}") from error
    except (OSError, EOFError) as error:
        raise proxy_error(f"proxy {proxy.where}: {one_line(str(error)) or 'connection lost'}") from error


async def connect_socks(proxy: ProxyServer, host: str, port: int, resolver: Resolver) -> socket.socket:
    """Connect to host:port through a SOCKS5 proxy; `host` is resolved there, the proxy's own name by `resolver`.

    Returns:
        The connected non-blocking socket.

    Raises:
        BackendError: ``proxy``, ``sent=False``. There is no direct connection instead.
    """
    from python_socks import ProxyType  # noqa: PLC0415 - an extra
    from python_socks.async_.asyncio import Proxy  # noqa: PLC0415

    addresses = await proxy_addresses(proxy, resolver)
    failed: BackendError | None = None
    for address in addresses:
        way = Proxy(
            ProxyType.SOCKS5,
            address.host,
            address.port,
            username=proxy.user,
            password=proxy.password if proxy.user is not None else None,
            rdns=True,
            loop=asyncio.get_running_loop(),
        )
        try:
            with socks_errors(proxy):
                return await way.connect(dest_host=host, dest_port=port, timeout=FOREVER)
        except BackendError as error:
            failed = error
    raise failed or proxy_error(f"proxy {proxy.where} has no address")


async def proxy_addresses(proxy: ProxyServer, resolver: Resolver) -> list[Address]:
    """Return the addresses of the proxy itself.

    Raises:
        BackendError: ``proxy``: its name cannot be resolved.
    """
    try:
        return await resolver.lookup(proxy.host, proxy.port)
    except OSError as error:
        raise proxy_error(f"cannot resolve the proxy {proxy.host}: {one_line(error.strerror or str(error))}") from error
