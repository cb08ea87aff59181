"""Where a body goes: decoded, counted, capped, then kept or written to a file; once for all backends.

The law: what is returned is whole. A body that is cut off, wrongly coded or longer than it may be is an error and never
a shorter body. Sizes count after decompression.
"""

from __future__ import annotations

from asyncio import sleep
from contextlib import aclosing, suppress
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple, Protocol

from fastreq_jupyter.engine.decoding import ACCEPT_ENCODING, STEP, Decoder, codings_of, make_decoder
from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.options import show_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from fastreq_jupyter.backends.base import Stream
    from fastreq_jupyter.model import Headers

__all__ = ["ACCEPT_ENCODING", "Body", "Destination", "Gate", "iter_body", "read_body"]

_WITHOUT_BODY = frozenset({204, 304})
# Other tasks run after this many decoded bytes, though all of them came in one read.
_TURN = 2**20


class Body(NamedTuple):
    """Hold what was read: the bytes (None where they went elsewhere) and how many there were, after decoding."""

    content: bytes | None
    size_bytes: int


class Gate(Protocol):
    """Bound the bytes in memory."""

    async def admit(self, size: int, /) -> None:
        """Return when `size` more bytes may be held."""
        ...


class Destination(Protocol):
    """Take the bytes of a body."""

    def write(self, data: bytes, /) -> object:
        """Take some bytes."""
        ...


async def read_body(stream: Stream, *, method: str, max_body: int, gate: Gate, file: Destination | None = None) -> Body:
    """Read a body to its end.

    Args:
        stream: A response, nothing of its body read yet.
        method: Of the request: an answer to HEAD has no body, nor has 204 or 304, whatever the header says.
        max_body: Bytes after decompression at most.
        gate: Asked before bytes are kept in memory.
        file: Gets the bytes in place of memory.

    Raises:
        BackendError: "too large", "decoding", or what the stream raises ("protocol").
        OSError: The file cannot be written.
    """
    if file is None and not codings_of(stream.headers) and stream.status not in _WITHOUT_BODY and method != "HEAD":
        return await _keep_plain(stream, max_body, gate)
    size, kept = 0, BytesIO()
    async with aclosing(iter_body(stream, method=method, max_body=max_body)) as pieces:
        async for piece in pieces:
            size += len(piece)
            if file is None:
                await gate.admit(len(piece))
                kept.write(piece)
            else:
                file.write(piece)
    return Body(kept.getvalue() if file is None else None, size)


async def iter_body(stream: Stream, *, method: str, max_body: int) -> AsyncGenerator[bytes, None]:
    """Give the decoded body in pieces as they arrive; arguments and errors are those of `read_body`."""
    if stream.status in _WITHOUT_BODY or method == "HEAD":
        # One read tells the backend that the exchange is over; what it says does not matter any more.
        with suppress(BackendError):
            await stream.read()
        return
    codings = codings_of(stream.headers)
    decoder = make_decoder(codings) if codings else None
    if decoder is None:
        _refuse_announced(stream.headers, max_body)
        size = 0
        while piece := await stream.read():
            size += len(piece)
            _refuse_beyond(size, max_body)
            yield piece
    else:
        async with aclosing(_decoded(stream, decoder, max_body)) as pieces:
            async for piece in pieces:
                yield piece


async def _decoded(stream: Stream, decoder: Decoder, max_body: int) -> AsyncGenerator[bytes, None]:
    coded = size = turn = 0
    while data := await stream.read():
        coded += len(data)
        # A coding can go on for ever without giving a byte.
        _refuse_beyond(coded - STEP, max_body)
        for piece in decoder.decode(data):
            size += len(piece)
            _refuse_beyond(size, max_body)
            yield piece
            turn += len(piece)
            if turn >= _TURN:
                turn = 0
                await sleep(0)
    # An empty body is empty whatever coding the header names.
    if coded:
        decoder.finish()


async def _keep_plain(stream: Stream, max_body: int, gate: Gate) -> Body:
    """Read a body without coding; most are one piece, which is kept as it is."""
    _refuse_announced(stream.headers, max_body)
    first = await stream.read()
    _refuse_beyond(len(first), max_body)
    await gate.admit(len(first))
    piece = await stream.read() if first else b""
    if not piece:
        return Body(first, len(first))
    # One growing buffer: joining a list would hold the body twice.
    kept = BytesIO()
    size = kept.write(first)
    del first
    while piece:
        _refuse_beyond(size + len(piece), max_body)
        await gate.admit(len(piece))
        size += kept.write(piece)
        piece = await stream.read()
    return Body(kept.getvalue(), size)


def _refuse_announced(headers: Headers, max_body: int) -> None:
    for name, value in headers:
        if len(name) == 14 and name.lower() == "content-length" and value.isdecimal() and value.isascii():  # noqa: PLR2004 - spares most the lower()
            _refuse_beyond(int(value[:18]), max_body)


def _refuse_beyond(size: int, max_body: int) -> None:
    if size > max_body:
        raise BackendError("too large", f"the body is longer than max_body, {show_bytes(max_body)}")
