"""Connections that break, heads and bodies that are not what HTTP/1.1 (RFC 9112) asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faultserver.faults.fault import Fault, Site, table
from faultserver.scripts import chunk, chunks, closes, drip, endless, hangs, head, raw, resets

if TYPE_CHECKING:
    import asyncio

    from faultserver.server import Door, FaultServer, Link

__all__ = ["BODIES", "CHUNKING", "CONNECTIONS", "HEADS"]

TEXT = ("Content-Type", "text/plain")
CHUNKED = ("Transfer-Encoding", "chunked")
# What was said is not HTTP, or ends before it is whole; or the connection ended before there was an answer.
BROKEN = "protocol"
GONE = "connect"


def length(value: object) -> tuple[str, str]:
    """Return a Content-Length field."""
    return ("Content-Length", str(value))


async def accepts_only(_door: Door, link: Link, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        link.received += data


async def hangs_up(_door: Door, _link: Link, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def tears_down(_door: Door, _link: Link, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    import socket
    import struct

    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def refuses_upload(door: Door, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer before the upload is over; what more of it comes is neither read nor waited for."""
    import asyncio

    await reader.readuntil(b"\r\n\r\n")
    writer.write(head(413, TEXT, length(7), ("Connection", "close")) + b"too big")
    await writer.drain()
    # until the client has filled all buffers, and waits
    await asyncio.sleep(0.3)
    await tears_down(door, link, reader, writer)


async def speaks_ssh(_door: Door, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.9\r\n")
    link.received += await reader.read(65536)


def _refused(server: FaultServer) -> Site:
    return Site(f"http://127.0.0.1:{server.refused_port()}/")


def _full(server: FaultServer) -> Site:
    return Site(f"http://127.0.0.1:{server.full_port()}/")


# fmt: off
CONNECTIONS = table(
    Fault("connection refused", "connect", build=_refused),
    Fault("connect gets no answer", "timeout", build=_full),
    Fault("accepts and never reads", "timeout", raw=accepts_only),
    Fault("hangs up on connect", GONE, raw=hangs_up),
    Fault("resets on connect", GONE, raw=tears_down),
    Fault("speaks ssh", BROKEN, raw=speaks_ssh),
    Fault("never answers", "timeout", hangs()),
    Fault("closes before the head", GONE, closes()),
    Fault("resets before the head", GONE, resets()),
    Fault("closes in mid head", BROKEN, closes(b"HTTP/1.1 200 OK\r\nContent-Le")),
    Fault("closes after the status line", BROKEN, closes(b"HTTP/1.1 200 OK\r\n")),
    Fault("resets in mid head", GONE, resets(b"HTTP/1.1 200 OK\r\nContent-Le")),
    Fault("stalls in mid head", "timeout", hangs(b"HTTP/1.1 200 OK\r\nContent-Le")),
    Fault("413 in mid upload, then resets", "http 413", raw=refuses_upload, method="POST", content="a" * 20_000_000),
    Fault("drips the head", "timeout", drip(b"HTTP/1.1 200 OK\r\n", b"X-More: a\r\n")),
)
# fmt: on

# fmt: off
HEADS = table(
    Fault("garbage instead of a head", BROKEN, raw(bytes(range(256)) * 4 + b"\r\n\r\n")),
    Fault("answers as HTTP/0.9", BROKEN, raw(b"<html>hello</html>")),
    Fault("empty status line", BROKEN, raw(b"\r\n\r\nhello")),
    Fault("status is no number", BROKEN, raw(b"HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nok")),
    Fault("status of two digits", BROKEN, raw(b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok")),
    Fault("status of four digits", BROKEN, raw(b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok")),
    Fault("status 099", BROKEN, raw(b"HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok")),
    Fault("version is no version", BROKEN, raw(b"HTTP/one 200 OK\r\nContent-Length: 2\r\n\r\nok")),
    Fault("another protocol's name", BROKEN, raw(b"ICY 200 OK\r\nContent-Length: 2\r\n\r\nok")),
    Fault("no reason phrase", None, raw(b"HTTP/1.1 200\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"), status=200, data="ok"),
    Fault("a reason in latin-1", None, raw(b"HTTP/1.1 200 tr\xe8s bien\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"), data="ok"),
    Fault("a header line without colon", BROKEN, raw(b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 5\r\n\r\nhello")),
    Fault("space before the colon", BROKEN, raw(b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello")),
    Fault("NUL in a header", BROKEN, raw(b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 5\r\n\r\nhello")),
    Fault("bare CR in a header", BROKEN, raw(b"HTTP/1.1 200 OK\r\nX-A: a\rX-B: b\r\nContent-Length: 5\r\n\r\nhello")),
    Fault("byte 0xFF in a header", None, raw(head(200, TEXT, length(5), ("X-A", "\xff")) + b"hello"), data="hello"),
    Fault("a vertical tab in a header", None, raw(head(200, TEXT, length(5), ("X-A", "a\x0bb")) + b"hello"), data="hello", refusal=BROKEN),
    Fault("a header of 60 KB", None, raw(head(200, TEXT, ("X-A", "a" * 60_000), length(2)) + b"ok"), data="ok"),
    Fault("a head of 200 KB", None, raw(head(200, TEXT, *[(f"X-{n}", "a" * 1000) for n in range(200)], length(2)) + b"ok"), data="ok", refusal=BROKEN),
    Fault("900 headers", None, raw(head(200, TEXT, *[(f"X-{n}", "a") for n in range(900)], length(2)) + b"ok"), data="ok"),
    Fault("a header of 1 MiB", BROKEN, raw(head(200, ("X-A", "a" * 2**20), length(2)) + b"ok")),
    Fault("100,000 headers", BROKEN, raw(head(200, *[(f"X-{n}", "a") for n in range(100_000)], length(2)) + b"ok")),
    Fault("endless header lines", BROKEN, endless(b"HTTP/1.1 200 OK\r\n", b"X-Endless: yes\r\n" * 1000)),
    Fault("one endless header line", BROKEN, endless(b"HTTP/1.1 200 OK\r\nX-Endless: ", b"a" * 16384)),
    Fault("an endless status line", BROKEN, endless(b"HTTP/1.1 200 ", b"a" * 16384)),
    Fault("endless 100 Continue", BROKEN, endless(b"", head(100) * 100, 2**24)),
    Fault("endless 103 Early Hints", BROKEN, endless(b"", head(103, ("Link", "</a.css>")) * 100, 2**24)),
    Fault("100 Continue, then an answer", None, raw(head(100) + head(200, TEXT, length(2)) + b"ok"), status=200, data="ok"),
    Fault("103 Early Hints, then an answer", None, raw(head(103, ("Link", "</a.css>")) + head(200, TEXT, length(2)) + b"ok"), status=200, data="ok"),
    Fault("101 that nobody asked for", BROKEN, raw(head(101, ("Upgrade", "websocket"), ("Connection", "Upgrade")) + b"\x81\x02hi")),
)
# fmt: on

# fmt: off
BODIES = table(
    Fault("close-delimited body", None, raw(head(200, TEXT, ("Connection", "close")) + b"hello"), data="hello"),
    Fault("HTTP/1.0 answer", None, raw(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello"), data="hello"),
    Fault("closes in mid body", BROKEN, closes(head(200, TEXT, length(10)) + b"hello")),
    Fault("closes before the body", BROKEN, closes(head(200, TEXT, length(10)))),
    Fault("closes one byte early", BROKEN, closes(head(200, ("Content-Type", "application/json"), length(5)) + b"1234")),
    Fault("resets in mid body", BROKEN, resets(head(200, TEXT, length(10)) + b"hello")),
    Fault("resets in a close-delimited body", BROKEN, resets(head(200, TEXT) + b"hello")),
    Fault("stalls before the body", "timeout", hangs(head(200, TEXT, length(10)))),
    Fault("stalls in mid body", "timeout", hangs(head(200, TEXT, length(10)) + b"hello")),
    Fault("stalls in a close-delimited body", "timeout", hangs(head(200, TEXT) + b"hello")),
    Fault("drips the body", "timeout", drip(head(200, TEXT, length(10_000)), b"a")),
    Fault("endless body without length", "too large", endless(head(200, TEXT), b"a" * 65536)),
    Fault("Content-Length of 1 TB", "too large", endless(head(200, TEXT, length(10**12)), b"a" * 65536)),
    Fault("Content-Length shorter than the body", None, raw(head(200, TEXT, length(3)) + b"hello"), data="hel"),
    Fault("two Content-Lengths that agree", None, raw(head(200, TEXT, length(5), length(5)) + b"hello"), data="hello", refusal=BROKEN),
    Fault("a list of Content-Lengths that agree", None, raw(head(200, TEXT, length("5, 5")) + b"hello"), data="hello", refusal=BROKEN),
    Fault("transfer coding identity", None, raw(head(200, TEXT, ("Transfer-Encoding", "identity")) + b"hello"), data="hello", refusal=BROKEN),
    Fault("negative Content-Length", BROKEN, raw(head(200, TEXT, length(-1)) + b"hello")),
    Fault("Content-Length is no number", BROKEN, raw(head(200, TEXT, length("abc")) + b"hello")),
    Fault("Content-Length with a sign", BROKEN, raw(head(200, TEXT, length("+5")) + b"hello")),
    Fault("Content-Length in hexadecimal", BROKEN, raw(head(200, TEXT, length("0x5")) + b"hello")),
    Fault("Content-Length with an underscore", BROKEN, raw(head(200, TEXT, length("1_0")) + b"hellohello")),
    Fault("Content-Length of 40 digits", BROKEN, raw(head(200, TEXT, length("9" * 40)) + b"hello")),
    Fault("two Content-Lengths that differ", BROKEN, raw(head(200, TEXT, length(3), length(5)) + b"hello")),
    Fault("a list of Content-Lengths that differ", BROKEN, raw(head(200, TEXT, length("3, 5")) + b"hello")),
    Fault("an unasked second answer", None, raw((head(200, TEXT, length(5)) + b"first"), head(200, TEXT, length(6)) + b"second"), data="first"),
)
# fmt: on

# fmt: off
CHUNKING = table(
    Fault("chunked body", None, raw(head(200, TEXT, CHUNKED) + chunks(b"hel", b"lo")), data="hello"),
    Fault("chunk extensions", None, raw(head(200, TEXT, CHUNKED) + b"5;name=value\r\nhello\r\n0\r\n\r\n"), data="hello"),
    Fault("trailer fields", None, raw(head(200, TEXT, CHUNKED) + chunks(b"hello", end=b"0\r\nX-Sum: 1\r\n\r\n")), data="hello"),
    Fault("chunk sizes in capitals with zeros", None, raw(head(200, TEXT, CHUNKED) + b"000A\r\n" + b"a" * 10 + b"\r\n0\r\n\r\n"), data="a" * 10),
    Fault("no last chunk", BROKEN, raw(head(200, TEXT, CHUNKED) + chunks(b"hello", end=b""))),
    Fault("closes in the last chunk", BROKEN, raw(head(200, TEXT, CHUNKED) + chunks(b"hello", end=b"0"))),
    Fault("closes in mid chunk", BROKEN, raw(head(200, TEXT, CHUNKED) + b"a\r\nhello")),
    Fault("closes before the first chunk", BROKEN, raw(head(200, TEXT, CHUNKED))),
    Fault("closes after a chunk size", BROKEN, raw(head(200, TEXT, CHUNKED) + chunk(b"hello") + b"5\r\n")),
    Fault("resets between chunks", BROKEN, resets(head(200, TEXT, CHUNKED) + chunk(b"hello"))),
    Fault("stalls between chunks", "timeout", hangs(head(200, TEXT, CHUNKED) + chunk(b"hello"))),
    Fault("stalls before the last chunk's end", "timeout", hangs(head(200, TEXT, CHUNKED) + chunk(b"hello") + b"0\r\n")),
    Fault("chunk size is no number", BROKEN, raw(head(200, TEXT, CHUNKED) + b"xyz\r\nhello\r\n0\r\n\r\n")),
    Fault("chunk size is empty", BROKEN, raw(head(200, TEXT, CHUNKED) + b"\r\nhello\r\n0\r\n\r\n")),
    Fault("chunk size is negative", BROKEN, raw(head(200, TEXT, CHUNKED) + b"-5\r\nhello\r\n0\r\n\r\n")),
    Fault("chunk size with a sign", BROKEN, raw(head(200, TEXT, CHUNKED) + b"+5\r\nhello\r\n0\r\n\r\n")),
    Fault("chunk size with 0x", BROKEN, raw(head(200, TEXT, CHUNKED) + b"0x5\r\nhello\r\n0\r\n\r\n")),
    Fault("chunk size with an underscore", BROKEN, raw(head(200, TEXT, CHUNKED) + b"1_0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n")),
    Fault("chunk size of 2^72", BROKEN, raw(head(200, TEXT, CHUNKED) + b"fffffffffffffffff1\r\nhello")),
    Fault("chunk longer than its size", BROKEN, raw(head(200, TEXT, CHUNKED) + b"3\r\nhello\r\n0\r\n\r\n")),
    Fault("chunk shorter than its size", BROKEN, raw(head(200, TEXT, CHUNKED) + b"7\r\nhello\r\n0\r\n\r\n")),
    Fault("no line end after a chunk", BROKEN, raw(head(200, TEXT, CHUNKED) + b"5\r\nhello0\r\n\r\n")),
    Fault("endless chunk extension", BROKEN, endless(head(200, TEXT, CHUNKED) + b"5;", b"a" * 2**18, limit=2**26)),
    Fault("endless trailers", BROKEN, endless(head(200, TEXT, CHUNKED) + chunk(b"hello") + b"0\r\n", b"X-More: yes\r\n" * 1000)),
    Fault("endless chunks", "too large", endless(head(200, TEXT, CHUNKED), chunk(b"a" * 65536))),
    Fault("endless chunks of one byte", "too large", endless(head(200, TEXT, CHUNKED), chunk(b"a") * 10_000), options={"max_body": 20_000}),
    Fault("unknown transfer coding", BROKEN, raw(head(200, TEXT, ("Transfer-Encoding", "rot13")) + b"uryyb")),
    Fault("chunked and Content-Length", BROKEN, raw(head(200, TEXT, CHUNKED, length(3)) + chunks(b"hello"))),
)
# fmt: on
