"""The table of faults and the bombs: complete, distinct, each set up and answering."""

import gzip
import socket
import zlib
from typing import get_args

import brotli
import pytest

from fastreq_jupyter.errors import ErrorKind
from fastreq_jupyter.options import Options
from faultserver import bombs
from faultserver.bombs import zstd
from faultserver.faults import ANY, FAULTS, GROUPS, base_options


def test_the_table_holds_over_a_hundred_faults_of_twelve_groups():
    assert len(FAULTS) > 100
    assert sum(map(len, GROUPS.values())) == len(FAULTS)


def test_every_expectation_is_a_kind_that_rows_can_have():
    kinds = {fault.error for fault in FAULTS.values() if fault.error is not ANY}
    assert {kind for kind in kinds if kind and not kind.startswith("http ")} <= set(get_args(ErrorKind))


def test_every_option_of_a_fault_is_one_the_table_of_options_takes():
    for fault in FAULTS.values():
        Options.of(**{**base_options(), **fault.options})


def test_every_fault_can_be_set_up_at_an_origin_of_its_own(faultserver):
    urls = [fault.set_up(faultserver).url for fault in FAULTS.values()]
    assert len({url.split("/")[2] for url in urls}) == len(FAULTS)


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.script is not None and fault.tls is None])
def test_a_scripted_fault_says_something_hangs_or_ends_but_never_breaks_the_server(faultserver, name):
    (door,) = FAULTS[name].set_up(faultserver).doors
    with socket.create_connection(("127.0.0.1", door.port), 0.3) as raw:
        raw.sendall(b"%s /0 HTTP/1.1\r\nHost: h\r\n\r\n" % FAULTS[name].method.encode())
        try:
            raw.recv(1000)
        except (TimeoutError, ConnectionError):
            assert FAULTS[name].error is not None
    assert door.wait(lambda d: d.open_links == 0)


def unpacked_size(unpack, packed):
    """Return how long the decoded body is, without holding it."""
    return sum(len(unpack(packed[start : start + 64])) for start in range(0, len(packed), 64))


def test_the_gzip_bomb_is_a_gigabyte_from_a_megabyte_and_valid():
    packed = bombs.gzip_bomb()
    assert 900_000 < len(packed) < 1_200_000
    unpacker, size, left = zlib.decompressobj(31), 0, packed
    while not unpacker.eof:
        size += len(unpacker.decompress(left, 2**24))
        left = unpacker.unconsumed_tail
    assert size == bombs.GIB


def test_the_brotli_bomb_is_valid():
    packed = bombs.brotli_bomb(2**26)
    assert brotli.decompress(packed) == bytes(2**26)


def test_the_zstd_bomb_is_valid():
    assert unpacked_size(zstd.ZstdDecompressor().decompress, bombs.zstd_bomb(2**26)) == 2**26


def test_the_bomb_in_a_bomb_unpacks_to_a_bomb():
    assert gzip.decompress(bombs.nested_gzip()) == bombs.gzip_bomb()
