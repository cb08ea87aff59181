"""The zstd content coding (RFC 8878), block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastreq_jupyter.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

try:
    import zstandard
except ImportError:
    zstandard = None  # type: ignore[assignment]

__all__ = ["ZstdDecoder", "zstandard"]

_FRAME = b"\x28\xb5\x2f\xfd"
_SKIPPED = b"\x2a\x4d\x18"
_BLOCK = 128 * 1024
_WINDOW = 8 * 2**20


class ZstdDecoder:
    """Hand zstd one block at a time: it would put out all that its input holds, up to 32,000 times as much."""

    def __init__(self) -> None:
        self._frame: Any = None
        self._frames = 0
        self._pending = b""
        self._skip = 0
        self._checksum = False
        self._over = False
        self._read: Callable[[bytes, int], int] = self._magic

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Give what `data` decodes to, block by block; must be read to its end before the next call."""
        if self._over:
            return
        data, at = self._pending + data if self._pending else data, 0
        while not self._over:
            size = self._read(data, at)
            if not size:
                break
            if self._frame is not None:
                yield from self._push(data[at : at + size])
            at += size
        self._pending = data[at:]

    def finish(self) -> None:
        """Say that no more data comes; raises BackendError where the stream is cut off."""
        if self._read != self._magic or not self._frames:
            raise BackendError("decoding", "the zstd stream is cut off")

    def _push(self, unit: bytes) -> Iterator[bytes]:
        try:
            piece = self._frame.decompress(unit)
        except zstandard.ZstdError as error:
            raise BackendError("decoding", f"broken zstd stream: {str(error)[:120]}") from error
        if self._read == self._magic:
            self._frame = None
        if piece:
            yield piece

    # Each reader below looks at the unit that begins at `at` and returns its length, 0 where it is not all there yet.

    def _magic(self, data: bytes, at: int) -> int:
        head = data[at : at + 8]
        if len(head) < 5:  # noqa: PLR2004 - magic number and descriptor
            return 0
        if head.startswith(_FRAME):
            return self._frame_header(head[4], len(data) - at)
        if head[1:4] == _SKIPPED and head[0] & 0xF0 == 0x50:  # noqa: PLR2004 - RFC 8878, 3.1.2
            if len(head) < 8:  # noqa: PLR2004 - magic number and size
                return 0
            self._skip = int.from_bytes(head[4:], "little")
            self._read = self._skipped if self._skip else self._magic
            return 8
        if not self._frames:
            raise BackendError("decoding", "not a zstd stream")
        self._over = True
        return 0

    def _frame_header(self, descriptor: int, available: int) -> int:
        single = descriptor >> 5 & 1
        size_field = (single, 2, 4, 8)[descriptor >> 6]
        length = 4 + 1 + (1 - single) + (0, 1, 2, 4)[descriptor & 3] + size_field
        if available < length:
            return 0
        self._checksum = bool(descriptor & 4)
        self._frame = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()
        self._read = self._block
        return length

    def _block(self, data: bytes, at: int) -> int:
        header = int.from_bytes(data[at : at + 3], "little")
        kind, size = header >> 1 & 3, header >> 3
        length = 3 + (1 if kind == 1 else size)
        if len(data) - at < 3:  # noqa: PLR2004 - the block header
            return 0
        if size > _BLOCK:
            raise BackendError("decoding", "broken zstd stream: block too large")
        if len(data) - at < length:
            return 0
        if header & 1:
            self._read = self._check if self._checksum else self._end()
        return length

    def _check(self, data: bytes, at: int) -> int:
        if len(data) - at < 4:  # noqa: PLR2004 - the checksum
            return 0
        self._read = self._end()
        return 4

    def _end(self) -> Callable[[bytes, int], int]:
        self._frames += 1
        return self._magic

    def _skipped(self, data: bytes, at: int) -> int:
        length = min(self._skip, len(data) - at)
        self._skip -= length
        if not self._skip:
            self._read = self._magic
        return length
