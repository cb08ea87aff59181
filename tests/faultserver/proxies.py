"""Proxies: HTTP (CONNECT and absolute form) and SOCKS5; open, with credentials, wrong, hanging up.

Each is a raw script for `FaultServer.open(raw=...)`; what it was told stands in `ProxyLog`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from faultserver.wire import Parsed, read_request

if TYPE_CHECKING:
    from faultserver.server import Door, Link, RawScript

__all__ = ["Fault", "ProxyLog", "http_proxy", "socks_proxy"]

Fault = Literal["", "silent", "closes", "resets", "garbage", "refuses", "half"]


@dataclass(slots=True)
class ProxyLog:
    """Log what a proxy was asked for.

    Attributes:
        targets: `host:port` of tunnels and requests, as the client named them (a name, where it left resolving to us).
        credentials: `user:password`, or None where none was given, in the same order.
        methods: CONNECT, GET ... or SOCKS.
        headers: All field lines that the proxy itself saw, in order.
    """

    targets: list[str] = field(default_factory=list)
    credentials: list[str | None] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)


async def _misbehave(fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, garbage: bytes) -> bool:
    if fault == "silent":
        while await reader.read(65536):
            pass
    elif fault == "resets":
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    elif fault == "garbage":
        writer.write(garbage)
        await writer.drain()
    return fault in {"silent", "resets", "garbage", "closes"}


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()


async def _splice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int, first: bytes = b"") -> None:
    far_reader, far_writer = await asyncio.open_connection(_where(host), port)
    try:
        far_writer.write(first)
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
    finally:
        far_writer.close()


def _where(host: str) -> str:
    # A name under .test exists for the proxy alone: so a test can tell who resolved it.
    host = host.removesuffix(".")
    return "127.0.0.1" if host.endswith(".test") else host


def http_proxy(log: ProxyLog, *, credentials: str | None = None, fault: Fault = "", after: int = 0) -> RawScript:
    """Make an HTTP proxy.

    Args:
        log: What it was asked goes here.
        credentials: `user:password` it wants; without them it answers 407.
        fault: `silent` never answers, `closes` and `resets` hang up on the request, `garbage` answers nonsense, `refuses`
            answers 502, `half` accepts the tunnel and hangs up after `after` bytes of the answer.
        after: Bytes of the answer let through.
    """
    wanted = None if credentials is None else "Basic " + base64.b64encode(credentials.encode()).decode()

    async def script(_door: Door, _link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parsed = await read_request(reader)
        if parsed is None:
            return
        method, target, headers = parsed[:3]
        said = next((value for name, value in headers if name.lower() == "proxy-authorization"), None)
        log.methods.append(method)
        log.targets.append(target)
        log.headers.extend(headers)
        log.credentials.append(base64.b64decode(said.partition(" ")[2]).decode() if said else None)
        if await _misbehave(fault, reader, writer, b"\x00\xffSSH-2.0-nonsense\r\n\r\n"):
            return
        if said != wanted and wanted is not None:
            await _say(writer, b"407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=x")
        elif fault == "refuses":
            await _say(writer, b"502 Bad Gateway")
        elif method == "CONNECT":
            host, _, port = target.rpartition(":")
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.drain()
            if fault != "half":
                await _splice(reader, writer, host.strip("[]"), int(port))
        else:
            await _forward(writer, parsed, after if fault == "half" else None)

    return script


async def _say(writer: asyncio.StreamWriter, status: bytes) -> None:
    writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()


async def _forward(writer: asyncio.StreamWriter, parsed: Parsed, cut: int | None) -> None:
    method, target, headers, body, _head = parsed
    authority, _, path = target.removeprefix("http://").partition("/")
    host, _, port = authority.partition(":")
    lines = [f"{k}: {v}" for k, v in headers if not k.lower().startswith("proxy-") and k.lower() != "connection"]
    first = "\r\n".join([f"{method} /{path} HTTP/1.1", *lines, "Connection: close"]).encode("latin-1") + b"\r\n\r\n" + body
    far_reader, far_writer = await asyncio.open_connection(_where(host), int(port or 80))
    try:
        far_writer.write(first)
        answer = await far_reader.read(-1)
        writer.write(answer if cut is None else answer[:cut])
        await writer.drain()
    finally:
        far_writer.close()


def socks_proxy(log: ProxyLog, *, credentials: str | None = None, fault: Fault = "", remote_only: bool = False) -> RawScript:
    """Make a SOCKS5 proxy (RFC 1928, 1929); faults as for `http_proxy`, `refuses` answers "connection refused".

    Args:
        log: What it was asked goes here.
        credentials: `user:password` it wants.
        fault: See `http_proxy`.
        remote_only: Refuse addresses: the name must be left to the proxy.
    """

    async def script(_door: Door, _link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await _misbehave(fault, reader, writer, b"HTTP/1.1 400 Bad Request\r\n\r\n"):
            return
        _version, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        said = await _authenticate(reader, writer, methods, credentials)
        if said is False:
            log.credentials.append(None)
            return
        _v, _command, _zero, kind = await reader.readexactly(4)
        host = await _address(reader, kind)
        port = int.from_bytes(await reader.readexactly(2))
        log.methods.append("SOCKS")
        log.targets.append(f"{host}:{port}")
        log.credentials.append(said or None)
        code = 5 if fault == "refuses" else 8 if remote_only and kind != 3 else 0
        writer.write(bytes([5, code, 0, 1, 0, 0, 0, 0, 0, 0]))
        await writer.drain()
        if code == 0 and fault != "half":
            await _splice(reader, writer, host, port)

    return script


async def _address(reader: asyncio.StreamReader, kind: int) -> str:
    if kind == 3:
        return (await reader.readexactly((await reader.readexactly(1))[0])).decode()
    if kind == 1:
        return socket.inet_ntop(socket.AF_INET, await reader.readexactly(4))
    return socket.inet_ntop(socket.AF_INET6, await reader.readexactly(16))


async def _authenticate(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, methods: bytes, credentials: str | None
) -> str | Literal[False]:
    """Return `user:password`, "" where none was wanted, False where it was refused."""
    wanted = 0 if credentials is None else 2
    if wanted not in methods:
        writer.write(b"\x05\xff")
        await writer.drain()
        return False
    writer.write(bytes([5, wanted]))
    await writer.drain()
    if wanted == 0:
        return ""
    await reader.readexactly(1)
    user = await reader.readexactly((await reader.readexactly(1))[0])
    password = await reader.readexactly((await reader.readexactly(1))[0])
    said = f"{user.decode()}:{password.decode()}"
    good = said == credentials
    writer.write(bytes([1, 0 if good else 1]))
    await writer.drain()
    return said if good else False
