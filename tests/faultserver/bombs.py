"""Bodies that decode to 1 GiB of zeros, made in a blink: compressed blocks are repeated, never the gigabyte itself."""

from __future__ import annotations

import gzip
import struct
import sys
import zlib
from functools import cache

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["BOMBS", "GIB", "brotli_bomb", "gzip_bomb", "make_all", "nested_gzip", "zstd", "zstd_bomb"]

GIB = 2**30
_BLOCK = 2**20


@cache
def gzip_bomb(size: int = GIB) -> bytes:
    """Return about a thousandth of `size` bytes of valid gzip."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = bytes(_BLOCK)
    first = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(size // _BLOCK):
        checksum = zlib.crc32(zeros, checksum)
    body = first + again * (size // _BLOCK - 1) + packer.flush()
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff" + body + struct.pack("<II", checksum, size % 2**32)


@cache
def brotli_bomb(size: int = GIB) -> bytes:
    """Return some kilobytes of brotli."""
    import brotli

    packer = brotli.Compressor(quality=1, lgwin=22)
    block = bytes(16 * _BLOCK)
    return b"".join([packer.process(block) for _ in range(size // len(block))]) + packer.finish()


@cache
def zstd_bomb(size: int = GIB) -> bytes:
    """Return some kilobytes of zstd, one frame."""
    packer = zstd.ZstdCompressor(level=1)
    packer.set_pledged_input_size(size)
    block = bytes(16 * _BLOCK)
    return b"".join([packer.compress(block) for _ in range(size // len(block))]) + packer.flush()


@cache
def nested_gzip() -> bytes:
    """Return a gzip bomb packed once more: `Content-Encoding: gzip, gzip`."""
    return gzip.compress(gzip_bomb(), 9, mtime=0)


BOMBS = {"gzip": gzip_bomb, "br": brotli_bomb, "zstd": zstd_bomb}


def make_all() -> None:
    """Make all bombs now: made while a server answers they would hold up its other answers."""
    for make in (*BOMBS.values(), nested_gzip):
        make()
