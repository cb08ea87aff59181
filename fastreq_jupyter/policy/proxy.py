"""Which proxy an origin is reached through; a pure function of the option and an environment.

    HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY    each in both spellings, lower case wins
    NO_PROXY    host suffixes ("example.com", ".example.com", "*.example.com": the name and all below it), "host:port",
                addresses, CIDR blocks, "*"; separated by commas or white space

Upper-case HTTP_PROXY is not read where REQUEST_METHOD is set: in a CGI program it is the client's ``Proxy`` header.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fastreq_jupyter.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastreq_jupyter.url import Origin

_SCHEMES = frozenset({"http", "https", "socks4", "socks4a", "socks5", "socks5h"})
_SEPARATOR = re.compile(r"[\s,]+")


def proxy_for(origin: Origin, option: str, environ: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy with its credentials, None for a direct connection.

    Args:
        origin: The server to reach.
        option: "env", "none", or a proxy URL, which then serves every origin.
        environ: Environment variables as the run found them when it began.

    Raises:
        OptionError: A variable holds something that is no proxy URL; its value is not shown.
    """
    if option == "none":
        return None
    if option != "env":
        return _checked(option, "proxy")
    for name in (f"{origin.scheme}_proxy", "all_proxy"):
        variable, value = _variable(name, environ)
        if variable:
            exempt = _SEPARATOR.split(_variable("no_proxy", environ)[1].lower())
            if not value or any(_matches(origin, entry) for entry in exempt if entry):
                return None
            return _checked(value, variable)
    return None


def _variable(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return spelling and value of a variable, two empty texts where it is not set; lower case wins, even when empty."""
    if name in environ:
        return name, environ[name].strip()
    upper = name.upper()
    if upper in environ and not (name == "http_proxy" and "REQUEST_METHOD" in environ):
        return upper, environ[upper].strip()
    return "", ""


def _checked(url: str, variable: str) -> str:
    text = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(text)
        fine = parts.scheme.lower() in _SCHEMES and parts.hostname and (parts.port is None or parts.port > 0)
        # Text behind the port belongs to a user or password with a raw "/", "?" or "#", or the value is no proxy.
        fine = fine and parts.path in ("", "/") and not parts.query and not parts.fragment
    except ValueError:
        fine = False
    if not fine or not text.isprintable() or " " in text:
        raise OptionError(
            f"{variable} is no proxy URL: give http://host:port or socks5://host:port, in a password # / ? @ as %23 %2F %3F %40, "
            "or proxy='none'"
        )
    return text


def _matches(origin: Origin, entry: str) -> bool:
    if entry == "*":
        return True
    entry, port = _split_port(entry)
    if port is not None and port != origin.port:
        return False
    host = origin.host.rstrip(".")
    address = _address(host)
    if address is not None:
        return _holds(entry, address)
    name = entry.removeprefix("*").removeprefix(".").rstrip(".")
    return bool(name) and (host == name or host.endswith("." + name))


def _split_port(entry: str) -> tuple[str, int | None]:
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host, int(rest[1:]) if rest[1:].isdecimal() else None
    host, colon, port = entry.rpartition(":")
    if colon and ":" not in host and port.isdecimal():
        return host, int(port)
    return entry, None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _holds(entry: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
