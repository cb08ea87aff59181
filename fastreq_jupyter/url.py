"""Target URIs (RFC 9110, 7.1; RFC 3986): what a user wrote becomes what goes on the wire, encoded exactly once."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

__all__ = ["Origin", "Target", "parse_target", "resolve_reference", "target_of"]

DEFAULT_PORTS = {"http": 80, "https": 443}
# RFC 3986 unreserved and reserved characters, and "%", so that encoded text is not encoded twice.
_SAFE_PATH = "/%:@!$&'()*+,;=~-._|"
_SAFE_QUERY = _SAFE_PATH + "?[]{}"
_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f]")
# Common characters of URLs that need no encoding.
_PLAIN_ORIGIN = re.compile(r"https?://[A-Za-z0-9._-]+(?::[0-9]{1,5})?")
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@/|?]*")
_LARGEST_PORT = 65_535
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_AUTHORITY = re.compile(r"(?:\[([^\[\]]*)\]|([^\[\]:]*))(?::([^:]*))?")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_.-])?")


class Origin(NamedTuple):
    """A server: what limits, cookies and secrets are bound to."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Return host:port as it stands in a Host field: no default port, IPv6 in brackets."""
        return _text_of(self).partition("://")[2]

    @property
    def where(self) -> str:
        """Return host:port for a message, the port always."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return _text_of(self)


class Target(NamedTuple):
    """A target URI ready for the wire: ASCII, no fragment, no userinfo.

    Attributes:
        origin: Scheme, host (A-label, no brackets, lower case) and port.
        path_query: Path and query, percent-encoded, starting with "/".
        user, password: Decoded userinfo, or None; never part of `url`.
        text: The whole where it was given just so, else "".
    """

    origin: Origin
    path_query: str
    user: str | None = None
    password: str | None = None
    text: str = ""

    @property
    def url(self) -> str:
        """Return the absolute URI without userinfo and fragment."""
        return self.text or _text_of(self.origin) + self.path_query


@lru_cache(maxsize=4096)
def _text_of(origin: Origin) -> str:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    port = "" if origin.port == DEFAULT_PORTS[origin.scheme] else f":{origin.port}"
    return f"{origin.scheme}://{host}{port}"


@lru_cache(maxsize=4096)
def _plain_origin(text: str) -> tuple[Origin, bool] | None:
    """Return the origin, and whether the text is its usual form; None where it takes more to read it."""
    if not _PLAIN_ORIGIN.fullmatch(text):
        return None
    scheme, _, authority = text.partition("://")
    host, colon, port = authority.partition(":")
    origin = Origin(scheme, _encode_host(host), _port(port if colon else None, scheme))
    return origin, str(origin) == text


def parse_target(text: str) -> Target:
    """Read an absolute http or https URI.

    Non-ASCII letters in the host become A-labels (UTS 46), elsewhere percent-encoded UTF-8; what is encoded stays so.
    Dot segments of the path are removed (RFC 3986, 5.2.4), so that all backends send the same.

    Args:
        text: The URI; surrounding white space is ignored, spaces within are encoded.

    Raises:
        ValueError: It is none; the message says why in one line and never shows userinfo.
    """
    start = text.find("/", 8)
    if start > 0 and _PLAIN_PATH.fullmatch(text, start) and "/." not in text and (plain := _plain_origin(text[:start])):
        origin, usual = plain
        return Target(origin, text[start:], None, None, text if usual else "")
    text = text.strip()
    parts = _split(text)
    scheme = parts.scheme.lower()
    if scheme not in DEFAULT_PORTS:
        raise ValueError(
            f"scheme {scheme[:20]!r} is not http or https" if scheme and "//" in text else "no http:// or https:// at the start"
        )
    userinfo, at, authority = parts.netloc.rpartition("@")
    host, port = _host_and_port(authority)
    origin = Origin(scheme, host, _port(port, scheme))
    path = _percent(_without_dots(parts.path) or "/", _SAFE_PATH)
    # An empty query is one, too.
    query = f"?{_percent(parts.query, _SAFE_QUERY)}" if parts.query or text.partition("#")[0].endswith("?") else ""
    user, colon, password = userinfo.partition(":")
    return Target(origin, path + query, unquote(user) if at else None, unquote(password) if colon else None)


def target_of(text: str) -> Target | None:
    """Return what `parse_target` reads, None where it is no absolute http or https URI."""
    try:
        return parse_target(text)
    except ValueError:
        return None


def resolve_reference(base: Target, location: str) -> Target:
    """Resolve a Location against the URI that gave it (RFC 3986, 5).

    Raises:
        ValueError: The result is no http or https URI.
    """
    text = location.strip(" \t")
    _refuse_control(text)
    if text.startswith("//"):
        text = f"{base.origin.scheme}:{text}"
    if _ABSOLUTE.match(text):
        return parse_target(text)
    return parse_target(urljoin(base.url, text))


def _split(text: str) -> SplitResult:
    _refuse_control(text)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("the URL holds half a character (a lone surrogate)") from None
    try:
        parts = urlsplit(text.replace(" ", "%20"))
    except ValueError:
        # The original message shows the userinfo.
        raise ValueError("not a URL: the part between // and the next / cannot be read") from None
    if "\\" in parts.netloc:
        raise ValueError("a backslash before the path: clients do not agree on which host that is")
    return parts


def _refuse_control(text: str) -> None:
    if match := _FORBIDDEN.search(text):
        raise ValueError(f"control character {match[0]!r} in the URL")


def _host_and_port(text: str) -> tuple[str, str | None]:
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise ValueError("host and port cannot be read (an IPv6 address stands in brackets)")
    bracketed, name, port = match.groups()
    if bracketed is not None:
        return _encode_ipv6(bracketed), port or None
    return _encode_host(name), port or None


def _port(text: str | None, scheme: str) -> int:
    if text is None:
        return DEFAULT_PORTS[scheme]
    if not (text.isascii() and text.isdecimal() and len(text) <= 20 and int(text) <= _LARGEST_PORT):
        raise ValueError("the port is not a number from 0 to 65535 (is a user name or password not encoded?)")
    return int(text)


def _without_dots(path: str) -> str:
    if "/." not in path:
        return path
    parts: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            del parts[max(1, len(parts) - 1) :]
        elif segment != ".":
            parts.append(segment)
    if segments[-1] in (".", ".."):
        parts.append("")
    return "/".join(parts)


def _percent(text: str, safe: str) -> str:
    if "%" in text:
        text = _BARE_PERCENT.sub("%25", text)
    return quote(text, safe=safe)


@lru_cache(maxsize=4096)
def _encode_host(host: str) -> str:
    if not host:
        raise ValueError("no host in the URL")
    if "%" in host:
        host = unquote(host)
    if not host.isascii():
        host = _encode_international(host)
    if len(host) > 253 or not _HOST.fullmatch(host) or ".." in host:
        raise ValueError(f"host {host[:60]!r} is not valid")
    return host.lower()


def _encode_ipv6(host: str) -> str:
    address, zone, _ = host.partition("%")
    if zone:
        raise ValueError("an IPv6 address with a zone cannot be used")
    try:
        return str(ipaddress.IPv6Address(address))
    except ValueError:
        raise ValueError(f"{address[:50]!r} is not an IPv6 address") from None


def _encode_international(host: str) -> str:
    # Only such hosts need the tables of Unicode.
    import idna  # noqa: PLC0415 - loaded by whoever needs it

    if len(host) > 253:
        raise ValueError(f"host {host[:40]!r}... is too long")
    try:
        mapped = idna.uts46_remap(host, std3_rules=False, transitional=False)
        return ".".join(_encode_label(label) for label in re.split("[.\u3002\uff0e\uff61]", mapped))
    except (UnicodeError, ValueError):
        raise ValueError(f"host {host[:60]!r} is no valid internationalized name") from None


def _encode_label(label: str) -> str:
    import idna  # noqa: PLC0415 - loaded by whoever needs it

    if label.isascii():
        return label
    try:
        return idna.encode(label).decode("ascii")
    except idna.InvalidCodepoint:
        # An emoji: not allowed by IDNA 2008, but registries have such names and UTS 46 accepts them.
        encoded = "xn--" + label.encode("punycode").decode("ascii")
        if len(encoded) > 63:
            raise
        return encoded
