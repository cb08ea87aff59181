"""Target URIs (RFC 9110, 7.1; RFC 3986): what a user wrote becomes what goes on the wire, encoded exactly once."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote, urljoin, urlsplit

__all__ = ["Origin", "Target", "parse_target", "resolve_reference"]

DEFAULT_PORTS = {"http": 80, "https": 443}
# RFC 3986 unreserved and reserved characters, and "%": what is encoded already stays as it is.
_SAFE_PATH = "/%:@!$&'()*+,;=~-._|"
_SAFE_QUERY = _SAFE_PATH + "?[]{}"
_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f]")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_.-])?")


class Origin(NamedTuple):
    """Name a server: what limits, cookies and secrets are bound to."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


@dataclass(frozen=True, slots=True)
class Target:
    """Hold a target URI ready for the wire: ASCII, no fragment, no userinfo.

    Attributes:
        origin: Scheme, host (A-label, no brackets, lower case) and port.
        path_query: Path and query, percent-encoded, starting with "/".
        user, password: Decoded userinfo, or None; never part of `url`.
    """

    origin: Origin
    path_query: str
    user: str | None = None
    password: str | None = None

    @property
    def url(self) -> str:
        """Return the absolute URI without userinfo and fragment."""
        return f"{self.origin}{self.path_query}"


def parse_target(text: str) -> Target:
    """Read an absolute http or https URI.

    Non-ASCII letters in the host become A-labels (IDNA), elsewhere percent-encoded UTF-8; what is encoded stays so.

    Args:
        text: The URI; surrounding white space is ignored.

    Raises:
        ValueError: It is none; the message says why in one line and never shows userinfo.
    """
    text = text.strip()
    if found := _FORBIDDEN.search(text):
        text = text.replace(" ", "%20") if found[0] == " " else text
        if _FORBIDDEN.search(text):
            message = f"control character {found[0]!r} in the URL"
            raise ValueError(message)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        message = f"not a URL: {error}"
        raise ValueError(message) from None
    scheme = parts.scheme.lower()
    if scheme not in DEFAULT_PORTS:
        message = f"scheme {scheme!r} is not http or https" if scheme and "//" in text else "no http:// or https:// at the start"
        raise ValueError(message)
    origin = Origin(scheme, _encode_host(parts.hostname or ""), DEFAULT_PORTS[scheme] if port is None else port)
    path = _percent(parts.path or "/", _SAFE_PATH)
    query = f"?{_percent(parts.query, _SAFE_QUERY)}" if parts.query or _has_empty_query(text) else ""
    user = unquote(parts.username) if parts.username is not None else None
    password = unquote(parts.password) if parts.password is not None else None
    return Target(origin, path + query, user, password)


def resolve_reference(base: Target, location: str) -> Target:
    """Resolve a Location against the URI that gave it (RFC 3986, 5).

    Raises:
        ValueError: The result is no http or https URI.
    """
    text = location.strip()
    if text.startswith("//"):
        text = f"{base.origin.scheme}:{text}"
    if _ABSOLUTE.match(text):
        return parse_target(text)
    return parse_target(urljoin(base.url, text))


def _has_empty_query(text: str) -> bool:
    return text.partition("#")[0].endswith("?")


def _percent(text: str, safe: str) -> str:
    if "%" in text:
        text = _BARE_PERCENT.sub("%25", text)
    return quote(text, safe=safe, errors="replace")


@lru_cache(maxsize=4096)
def _encode_host(host: str) -> str:
    if not host:
        message = "no host in the URL"
        raise ValueError(message)
    if ":" in host:
        return str(ipaddress.IPv6Address(host.partition("%")[0]))
    host = unquote(host)
    if not host.isascii():
        try:
            host = ".".join(_encode_label(label) for label in re.split("[.\u3002\uff0e\uff61]", host))
        except UnicodeError:
            message = f"host {host!r} is no valid internationalized name"
            raise ValueError(message) from None
    if len(host) > 253 or not _HOST.fullmatch(host) or ".." in host:  # noqa: PLR2004 - RFC 1035, 2.3.4
        message = f"host {host[:80]!r} is not valid"
        raise ValueError(message)
    return host.lower()


def _encode_label(label: str) -> str:
    try:
        return label.encode("idna").decode("ascii")
    except UnicodeError:
        # Emoji labels are not in IDNA 2003 as Python has it, but registries hold them: plain Punycode.
        return "xn--" + label.lower().encode("punycode").decode("ascii")
