"""SOCKS5 as a client speaks it (RFC 1928, RFC 1929): what to send and how much to read, without I/O.

Names are handed to the proxy, which resolves them. The same few bytes serve the loop and the threads.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["SocksError", "negotiate"]

_VERSION = 5
_NO_AUTH, _PASSWORD = 0, 2
_IPV4, _NAME, _IPV6 = 1, 3, 4
_LONGEST = 255
_REPLIES = {
    1: "general failure",
    2: "connection not allowed",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "timed out",
    7: "command not supported",
    8: "address type not supported",
}


class SocksError(Exception):
    """Report why a SOCKS proxy gives no connection."""


def negotiate(host: str, port: int, user: str | None, password: str) -> Generator[tuple[bytes, int], bytes, None]:
    """Yield (bytes to send, number of bytes to read), be sent what was read; done when it ends.

    Args:
        host: Name or address; a name is resolved by the proxy.
        port: Port there.
        user: User name, or None for no authentication.
        password: Password.

    Raises:
        SocksError: The proxy refuses, or speaks something else.
    """
    methods = bytes([_NO_AUTH, _PASSWORD]) if user is not None else bytes([_NO_AUTH])
    version, method = yield bytes([_VERSION, len(methods)]) + methods, 2
    if version != _VERSION:
        raise SocksError("does not speak SOCKS5")
    if method == _PASSWORD and user is not None:
        _, refused = yield b"\x01" + _counted(user) + _counted(password), 2
        if refused:
            raise SocksError("refused the credentials")
    elif method != _NO_AUTH:
        raise SocksError("asks for credentials" if user is None else "accepts no way to authenticate")
    _, reply, _, kind = yield bytes([_VERSION, 1, 0]) + _address(host) + port.to_bytes(2, "big"), 4
    if reply:
        raise SocksError(_REPLIES.get(reply, f"error {reply}"))
    length = {_IPV4: 4, _IPV6: 16}.get(kind)
    if length is None:
        (length,) = yield b"", 1
    yield b"", length + 2


def _counted(text: str) -> bytes:
    data = text.encode()
    if not 0 < len(data) <= _LONGEST:
        raise SocksError("cannot take credentials of that length")
    return bytes([len(data)]) + data


def _address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return bytes([_NAME]) + _counted(host)
    return bytes([_IPV4 if address.version == 4 else _IPV6]) + address.packed  # noqa: PLR2004 - IP version 4
