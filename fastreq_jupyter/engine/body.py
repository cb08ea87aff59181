"""Reads bodies for all backends: counts, decodes and limits them, and keeps them or writes them to a file.

The law: what is returned is whole. A body that is cut off, wrongly coded, of another length than its Content-Length or
longer than it may be is an error and never a shorter body. Sizes count after decompression.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import aclosing, suppress
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from fastreq_jupyter.content import media_type
from fastreq_jupyter.engine.decoding import STEP, Decoder, make_decoder
from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.options import show_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from fastreq_jupyter.backends import Stream
    from fastreq_jupyter.engine.saving import Transfer
    from fastreq_jupyter.policy import Head

# Decoded bytes after which other tasks get a turn, even if all came in one read.
_TURN = 2**20
# Joining pieces is quicker than a growing buffer but holds a body twice for a moment: a longer one goes into the buffer.
_JOINED_BYTES = 8 * 2**20
# Encoded bytes that are decoded in one go: their output has about the size of one turn.
_CODED_AT_ONCE = 4096
# Files that are compressed themselves: the coding that servers name for them, by file extension and by media type.
_PACKED_NAMES = {"gzip": (".gz", ".tgz", ".gzip", ".svgz", ".taz"), "br": (".br",), "zstd": (".zst", ".zstd", ".tzst")}
_PACKED_TYPES = {
    "gzip": frozenset({"application/gzip", "application/x-gzip", "application/x-tgz", "application/x-gtar-compressed"}),
    "br": frozenset({"application/x-brotli"}),
    "zstd": frozenset({"application/zstd", "application/x-zstd"}),
}
_SIGNATURES = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}


class Body(NamedTuple):
    """What was read: the bytes (None where they went elsewhere) and how many there were, after decoding."""

    content: bytes | None
    size_bytes: int


def whole_body(stream: Stream, head: Head, *, method: str, max_body: int) -> bytes | None:
    """Return the decoded body of an answer that has arrived whole, None where it must be read (`read_body`).

    Raises:
        BackendError: As `read_body`.
    """
    if method == "HEAD" or stream.status in (204, 304):
        return None
    length = head.length
    if length is not None and length > max_body:
        _refuse_beyond(length, max_body)
    if head.codings and (length is None or length > _CODED_AT_ONCE):
        return None
    raw = stream.take()
    if raw is None:
        return None
    size = len(raw)
    if size != length and length is not None:
        raise _other_length(size, length)
    if head.codings and raw:
        return _decode_at_once(raw, head, max_body)
    if size > max_body:
        _refuse_beyond(size, max_body)
    return raw


async def read_body(  # noqa: PLR0913 - what a body is read from, how, and where it goes
    stream: Stream | _Replayed, head: Head, *, method: str, max_body: int, gate: Ticket | None = None, file: Transfer | None = None
) -> Body:
    """Read a body to its end.

    Args:
        stream: A response, nothing of its body read yet.
        head: What its head says of the body.
        method: Of the request: an answer to HEAD has no body, nor has 204 or 304, whatever the header says.
        max_body: Bytes after decompression at most.
        gate: Asked before bytes are kept in memory, None for no bound.
        file: Gets the bytes in place of memory.

    Raises:
        BackendError: "too large", "decoding", or what the stream raises ("protocol").
        OSError: The file cannot be written.
    """
    size = 0
    kept: list[bytes] = []
    buffer: BytesIO | None = None
    async with aclosing(iter_body(stream, head, method=method, max_body=max_body)) as pieces:
        async for piece in pieces:
            size += len(piece)
            if file is not None:
                file.write(piece)
                continue
            if gate is not None:
                await gate.admit(len(piece))
            if buffer is not None:
                buffer.write(piece)
                continue
            kept.append(piece)
            if size > _JOINED_BYTES:
                buffer = BytesIO()
                buffer.writelines(kept)
                kept.clear()
    if file is not None:
        return Body(None, size)
    return Body(b"".join(kept) if buffer is None else buffer.getvalue(), size)


async def iter_body(stream: Stream | _Replayed, head: Head, *, method: str, max_body: int) -> AsyncGenerator[bytes, None]:
    """Give the decoded body in pieces as they arrive; arguments and errors are those of `read_body`."""
    if stream.status in (204, 304) or method == "HEAD":
        # One more read lets the backend finish the exchange; its result is not needed.
        with suppress(BackendError):
            await stream.read()
        return
    if head.codings:
        async with aclosing(_decoded(stream, head, max_body)) as pieces:
            async for piece in pieces:
                yield piece
        return
    if head.length is not None:
        _refuse_beyond(head.length, max_body)
    size = 0
    while piece := await stream.read():
        size += len(piece)
        _refuse_beyond(size, max_body)
        yield piece
    if head.length is not None and size != head.length:
        raise _other_length(size, head.length)


async def as_file(stream: Stream, head: Head, path: str) -> tuple[Stream | _Replayed, Head]:
    """Return the source and the head of a body as it is stored in a file.

    Servers name as Content-Encoding what is the format of the file itself: ``synop.csv.gz`` with Content-Encoding gzip would
    come out as CSV under that name. So a file whose name or type says that it is compressed stays as it was sent; but where what
    its coding hides is compressed again, the server has compressed the file.

    Args:
        stream: A response, nothing of its body read yet.
        head: What its head says of the body.
        path: Where the file will be.

    Raises:
        BackendError: "decoding", or what the stream raises.
    """
    coding = head.codings[0].removeprefix("x-") if len(head.codings) == 1 else ""
    kind = media_type(head.content_type)
    if not coding or not (path.lower().endswith(_PACKED_NAMES.get(coding, ())) or kind in _PACKED_TYPES.get(coding, ())):
        return stream, head
    signature = _SIGNATURES.get(coding)
    decoder, read, hidden = make_decoder(head.codings), [], b""
    while signature is not None and len(hidden) < len(signature) and (data := await stream.read()):
        read.append(data)
        hidden += b"".join(decoder.decode(data[:_CODED_AT_ONCE]))[: len(signature)]
        if len(data) > _CODED_AT_ONCE:
            break
    packed_twice = signature is not None and hidden.startswith(signature)
    return _Replayed(stream, read), head if packed_twice else head._replace(codings=())


class _Replayed:
    """An answer some pieces of whose body were read already."""

    def __init__(self, stream: Stream, read: list[bytes]) -> None:
        self.status = stream.status
        self._stream = stream
        self._read = read

    async def read(self) -> bytes:
        return self._read.pop(0) if self._read else await self._stream.read()


async def _decoded(stream: Stream | _Replayed, head: Head, max_body: int) -> AsyncGenerator[bytes, None]:
    decoder = make_decoder(head.codings)
    coded = size = turn = 0
    while data := await stream.read():
        coded += len(data)
        # A coding can consume input without end and output nothing.
        _refuse_beyond(coded - STEP, max_body)
        for piece in decoder.decode(data):
            size += len(piece)
            _refuse_beyond(size, max_body)
            yield piece
            turn += len(piece)
            if turn >= _TURN:
                turn = 0
                await asyncio.sleep(0)
    _finish(decoder, head, coded)


def _decode_at_once(raw: bytes, head: Head, max_body: int) -> bytes:
    decoder = make_decoder(head.codings)
    size, pieces = 0, []
    for piece in decoder.decode(raw):
        size += len(piece)
        _refuse_beyond(size, max_body)
        pieces.append(piece)
    _finish(decoder, head, len(raw))
    return b"".join(pieces)


def _finish(decoder: Decoder, head: Head, coded: int) -> None:
    if head.length is not None and coded != head.length:
        raise _other_length(coded, head.length)
    # An empty body is valid whatever coding the header names.
    if coded:
        decoder.finish()


def _other_length(size: int, length: int) -> BackendError:
    return BackendError("protocol", f"the body has {size:,} bytes, its Content-Length says {length:,}")


def _refuse_beyond(size: int, max_body: int) -> None:
    if size > max_body:
        raise BackendError("too large", f"the body is longer than max_body, {show_bytes(max_body)}")


class MemoryGate:
    """A bound on the bytes of bodies in flight: reading waits beyond the limit.

    One reader, the first that had to wait, is always let through, so that full memory never stops a run; the others
    share what its largest possible body leaves.

    Args:
        limit: Bytes in flight at most.
        largest: Bytes of one body at most.
    """

    def __init__(self, limit: int, largest: int) -> None:
        self._shared = max(limit - largest, limit // 2)
        self._used = 0
        self._first: Ticket | None = None
        self._waiting: deque[tuple[Ticket, asyncio.Future[None]]] = deque()

    async def admit(self, ticket: Ticket, size: int) -> None:
        """Return when `size` more bytes may be held."""
        while self._first is not ticket and self._used + size > self._shared:
            if self._first is None:
                self._first = ticket
                break
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((ticket, future))
            await future
        ticket.held_bytes += size
        self._used += size

    def release(self, ticket: Ticket) -> None:
        """Give back all that a ticket holds and wake those who wait."""
        self._used -= ticket.held_bytes
        ticket.held_bytes = 0
        if self._first is ticket:
            self._first = None
        while self._waiting:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)


class Ticket:
    """The account of the bytes one attempt holds in memory."""

    __slots__ = ("_gate", "held_bytes")

    def __init__(self, gate: MemoryGate) -> None:
        self._gate = gate
        self.held_bytes = 0

    async def admit(self, size: int) -> None:
        """Return when `size` more bytes may be held."""
        await self._gate.admit(self, size)

    def release(self) -> None:
        """Give all of them back."""
        if self.held_bytes or self._gate._first is self:  # noqa: SLF001 - the two are one thing
            self._gate.release(self)
