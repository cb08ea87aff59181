"""What a server can say. A script is an async function of one `Call`; these make the usual ones.

A script that returns normally keeps the connection for the next request; `closing` ones end it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faultserver.server import Call, Script

__all__ = [
    "chunk", "chunks", "closes", "drip", "each", "echo", "endless", "fail_then", "hangs", "head", "once_per_link", "raw",
    "reply", "resets", "sometimes", "stalls_after",
]  # fmt: skip

REASONS = {200: "OK", 204: "No Content", 206: "Partial Content", 301: "Moved Permanently", 302: "Found", 303: "See Other",
           304: "Not Modified", 307: "Temporary Redirect", 308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized",
           403: "Forbidden", 404: "Not Found", 408: "Request Timeout", 425: "Too Early", 429: "Too Many Requests",
           500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}  # fmt: skip

Fields = Sequence[tuple[str, str]]


def head(status: int, *fields: tuple[str, str], reason: str | None = None) -> bytes:
    """Return a status line and field lines, blank line included."""
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, '') if reason is None else reason}", *(f"{k}: {v}" for k, v in fields)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def whole(status: int, body: bytes, *fields: tuple[str, str]) -> bytes:
    """Return a well-formed response with Content-Length; text/plain unless a Content-Type is given."""
    given = {name.lower() for name, _ in fields}
    more = [] if "content-type" in given else [("Content-Type", "text/plain")]
    return head(status, *fields, *more, ("Content-Length", str(len(body)))) + body


def reply(status: int = 200, body: bytes = b"ok", *fields: tuple[str, str], after: float = 0.0) -> Script:
    """Answer properly, `after` seconds."""

    async def script(call: Call) -> None:
        if after:
            await asyncio.sleep(after)
        await call.send(
            head(status, *fields, ("Content-Length", str(len(body)))) if call.request.method == "HEAD" else whole(status, body, *fields)
        )

    return script


def raw(*parts: bytes, keep: bool = False, pause: float = 0.0) -> Script:
    """Send exactly these bytes, then close (FIN), or keep the connection."""

    async def script(call: Call) -> None:
        for part in parts:
            await call.send(part)
            await asyncio.sleep(pause)
        if not keep:
            call.close()

    return script


def hangs(said: bytes = b"") -> Script:
    """Say something, or nothing, and then never more; the connection stays open."""

    async def script(call: Call) -> None:
        if said:
            await call.send(said)
        await call.gone()

    return script


stalls_after = hangs


def resets(said: bytes = b"", after: float = 0.02) -> Script:
    """Say something, or nothing, then tear the connection down (RST)."""

    async def script(call: Call) -> None:
        if said:
            await call.send(said)
            # what was said must leave before the reset discards it
            await asyncio.sleep(after)
        call.reset()

    return script


def closes(said: bytes = b"") -> Script:
    """Say something, or nothing, then close (FIN)."""
    return raw(*([said] if said else []))


def drip(start: bytes, more: bytes, every: float = 0.05) -> Script:
    """Send `start` at once, then `more` byte by byte, round and round until the client leaves."""

    async def script(call: Call) -> None:
        await call.send(start)
        while not call.writer.is_closing() and not call.reader.at_eof():
            for byte in more:
                await call.send(bytes([byte]))
                await asyncio.sleep(every)
        call.keep = False

    return script


def endless(start: bytes, more: bytes, limit: int = 2**28) -> Script:
    """Send `start`, then `more` as fast as the client takes it; ends at `limit` bytes or when the client leaves."""

    async def script(call: Call) -> None:
        call.keep = False
        await call.send(start)
        for _ in range(limit // len(more)):
            if call.reader.at_eof():
                return
            await call.send(more)
            await asyncio.sleep(0)

    return script


def chunk(data: bytes) -> bytes:
    """Return one chunk of the chunked transfer coding."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def chunks(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """Return a chunked body."""
    return b"".join(chunk(part) for part in parts) + end


def each(*scripts: Script) -> Script:
    """Use the first script for the first request of the door, and so on; the last one for all that follow."""

    async def script(call: Call) -> None:
        await scripts[min(call.number, len(scripts)) - 1](call)

    return script


def fail_then(times: int, failure: Script, success: Script) -> Script:
    """Fail that many times *per target*, then succeed."""
    seen: dict[str, int] = {}

    async def script(call: Call) -> None:
        seen[call.request.target] = seen.get(call.request.target, 0) + 1
        await (failure if seen[call.request.target] <= times else success)(call)

    return script


def sometimes(share: float, failure: Script, success: Script) -> Script:
    """Fail at random with this probability, from the door's seeded generator."""

    async def script(call: Call) -> None:
        await (failure if call.random.random() < share else success)(call)

    return script


def once_per_link(good: Script, then: Script) -> Script:
    """Be good on the first request of each connection and use `then` on every further one: the keep-alive race."""

    async def script(call: Call) -> None:
        await (good if call.request.nth_on_link == 1 else then)(call)

    return script


def echo(make: Callable[[Call], bytes]) -> Script:
    """Answer 200 with what `make` gives of the call."""

    async def script(call: Call) -> None:
        await call.send(whole(200, make(call)))

    return script
