"""Reading what clients send: requests of HTTP/1.1, leniently."""

from __future__ import annotations

import asyncio

__all__ = ["Parsed", "read_request"]

Parsed = tuple[str, str, tuple[tuple[str, str], ...], bytes, bytes]


async def read_request(reader: asyncio.StreamReader) -> Parsed | None:
    """Read one request, or None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head[:-4].split(b"\r\n")
    method, _, rest = first.decode("latin-1").partition(" ")
    target = rest.rpartition(" ")[0]
    headers = tuple((name.strip(), value.strip()) for name, _, value in (line.decode("latin-1").partition(":") for line in lines))
    lower = {name.lower(): value for name, value in headers}
    body = b""
    if "chunked" in lower.get("transfer-encoding", ""):
        body = await _read_chunks(reader)
    elif length := int(lower.get("content-length", 0)):
        body = await reader.readexactly(length)
    return method, target, headers, body, head


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readline()).partition(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body
