"""Content codings (RFC 9110, 8.4.1): coded bytes go in as they arrive, decoded ones come out in small steps.

    gzip, x-gzip    RFC 1952; several members one after the other are one body
    deflate         RFC 1950 (zlib); without its two header bytes RFC 1951, as some servers send it
    br              RFC 7932, where brotli (1.2 or later) is installed
    zstd            RFC 8878, window of 8 MiB at most (RFC 9659), where Python has it (3.14) or backports.zstd is installed

The law: no step puts out more than `STEP` bytes (br: twice that), however small what came in; a stream cut off is an
error, never a shorter body. Bytes behind a complete stream are ignored, as browsers do; but
for br, whose decoder takes them for an error.
"""

from __future__ import annotations

import sys
import zlib
from typing import TYPE_CHECKING, Any, Protocol

from fastreq_jupyter.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

try:
    import brotli
except ImportError:
    brotli = None
try:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
except ImportError:
    zstd = None  # type: ignore[assignment] # absent

STEP = 64 * 1024
_SLICE = 16 * 1024  # of input: what zlib has not read yet is copied at each step
_MOST_CODINGS = 5
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPED = b"\x2a\x4d\x18"  # behind a byte from 0x50 to 0x5f; RFC 8878, 3.1.2
_ZSTD_WINDOW_LOG = 23


class Decoder(Protocol):
    """The decoder of one content coding."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Give what `data` decodes to, step by step; must be read to its end before the next call.

        Raises:
            BackendError: "decoding": the stream is not what it claims to be.
        """
        ...

    def finish(self) -> None:
        """Say that no more data comes.

        Raises:
            BackendError: "decoding": the stream is cut off.
        """
        ...


def make_decoder(codings: Sequence[str]) -> Decoder:
    """Return the decoder of the codings, given in the order they were applied.

    Raises:
        BackendError: "decoding": the library of one is not installed, or there are more than five.
    """
    if len(codings) > _MOST_CODINGS:
        raise BackendError("decoding", f"{len(codings)} content codings, at most {_MOST_CODINGS} are read")
    decoders = [_make_one(coding) for coding in reversed(codings)]
    return decoders[0] if len(decoders) == 1 else _Stack(decoders)


def _make_one(coding: str) -> Decoder:
    if coding in _MAKERS:
        return _MAKERS[coding]()
    raise BackendError("decoding", f"content coding {coding[:40]} needs: pip install 'fastreq-jupyter[decode]'")


def _cut_off(coding: str) -> BackendError:
    return BackendError("decoding", f"the {coding} stream is cut off")


def _broken(coding: str, error: Exception) -> BackendError:
    return BackendError("decoding", f"broken {coding} stream: {str(error)[:120]}")


class _Stack:
    """The decoder of several codings, the last applied first."""

    def __init__(self, decoders: list[Decoder]) -> None:
        self._decoders = decoders

    def decode(self, data: bytes) -> Iterator[bytes]:
        pieces: Iterator[bytes] = iter((data,))
        for decoder in self._decoders:
            pieces = _decode_each(decoder, pieces)
        return pieces

    def finish(self) -> None:
        for decoder in self._decoders:
            decoder.finish()


def _decode_each(decoder: Decoder, pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield from decoder.decode(piece)


def _slices(data: bytes) -> Iterator[bytes]:
    if len(data) <= _SLICE:
        return iter((data,))
    return (data[start : start + _SLICE] for start in range(0, len(data), _SLICE))


def _inflate(stream: Any, data: bytes, coding: str) -> Iterator[bytes]:
    """Give what zlib makes of `data`, to its end or that of the stream."""
    while True:
        try:
            piece = stream.decompress(data, STEP)
        except zlib.error as error:
            raise _broken(coding, error) from error
        if piece:
            yield piece
        data = stream.unconsumed_tail
        # After a full step output may be pending although all input was read.
        if stream.eof or (not data and len(piece) < STEP):
            return


class _Gzip:
    def __init__(self) -> None:
        self._member: Any = zlib.decompressobj(wbits=31)
        self._between = b""
        self._over = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        for part in _slices(data):
            rest = part
            while rest and not self._over:
                if self._member is None:
                    rest = self._begin(rest)
                else:
                    yield from _inflate(self._member, rest, "gzip")
                    rest = self._member.unused_data
                    if self._member.eof:
                        self._member = None

    def _begin(self, data: bytes) -> bytes:
        """Look for a further member; return what it begins with."""
        data, self._between = self._between + data, b""
        if data == _GZIP[:1]:
            self._between = data
            return b""
        if data.startswith(_GZIP):
            self._member = zlib.decompressobj(wbits=31)
        else:
            self._over = True
        return data

    def finish(self) -> None:
        if self._member is not None:
            raise _cut_off("gzip")


class _Deflate:
    def __init__(self) -> None:
        self._stream: Any = None
        self._head = b""

    def decode(self, data: bytes) -> Iterator[bytes]:
        if self._stream is None:
            data = self._head = self._head + data
            if len(data) < 2:
                return
            wrapped = data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0
            self._stream = zlib.decompressobj(wbits=15 if wrapped else -15)
        for part in _slices(data):
            if not self._stream.eof:
                yield from _inflate(self._stream, part, "deflate")

    def finish(self) -> None:
        if self._stream is None or not self._stream.eof:
            raise _cut_off("deflate")


class _Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    def decode(self, data: bytes) -> Iterator[bytes]:
        for part in _slices(data):
            rest = part
            while True:
                try:
                    piece = self._stream.process(rest, output_buffer_limit=STEP)
                except brotli.error as error:
                    raise _broken("br", error) from error
                if piece:
                    yield piece
                rest = b""
                # After a full step output may be pending although all input was read.
                if self._stream.is_finished() or (len(piece) < STEP and self._stream.can_accept_more_data()):
                    break

    def finish(self) -> None:
        if not self._stream.is_finished():
            raise _cut_off("br")


class _Zstd:
    def __init__(self) -> None:
        self._frame: Any = None
        self._between = b""
        self._begun = False
        self._over = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        for part in _slices(data):
            rest = part
            while rest and not self._over:
                if self._frame is None:
                    rest = self._begin(rest)
                else:
                    yield from self._read(rest)
                    rest = self._frame.unused_data
                    if self._frame.eof:
                        self._frame = None

    def _begin(self, data: bytes) -> bytes:
        """Look for a further frame; return what it begins with."""
        data, self._between = self._between + data, b""
        if len(data) < len(_ZSTD):
            self._between = data
            return b""
        skipped = data[1:4] == _ZSTD_SKIPPED and data[0] & 0xF0 == 0x50
        if skipped or data.startswith(_ZSTD):
            self._begun = self._begun or not skipped
            self._frame = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})
        elif self._begun:
            self._over = True
        else:
            raise BackendError("decoding", "not a zstd stream")
        return data

    def _read(self, data: bytes) -> Iterator[bytes]:
        """Give what the frame makes of `data`, to its end or that of the frame."""
        while not self._frame.eof and (data or not self._frame.needs_input):
            try:
                piece = self._frame.decompress(data, STEP)
            except zstd.ZstdError as error:
                raise _broken("zstd", error) from error
            data = b""
            if piece:
                yield piece

    def finish(self) -> None:
        if self._frame is not None or not self._begun:
            raise _cut_off("zstd")


_MAKERS: dict[str, Callable[[], Decoder]] = {"gzip": _Gzip, "x-gzip": _Gzip, "deflate": _Deflate}
# Older versions of brotli return all output at once: a bomb of some hundred bytes would take a gigabyte.
if brotli is not None and hasattr(brotli.Decompressor, "can_accept_more_data"):
    _MAKERS["br"] = _Brotli
if zstd is not None:
    _MAKERS["zstd"] = _Zstd
ACCEPT_ENCODING = ", ".join(coding for coding in ("gzip", "deflate", "br", "zstd") if coding in _MAKERS)
"""What we ask for: the codings that can be undone here."""
