import gzip
import tracemalloc
import zlib

import brotli
import pytest
from faultserver.bombs import BOMBS, zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from fastreq_jupyter.engine.decoding import ACCEPT_ENCODING, STEP, make_decoder
from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.policy.framing import read_head

TEXT = b"".join(b"line %d of a body that compresses\n" % i for i in range(20_000))
SHORT = TEXT[:2000]


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACK = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=4),
    "zstd": lambda data: zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}),
}
WAYS = [(coding, PACK[coding]) for coding in PACK] + [("deflate", raw_deflate)]


def decode(coding, *chunks):
    decoder = make_decoder(read_head(200, ((b"Content-Encoding", coding.encode()),)).codings)
    body = b"".join(piece for chunk in chunks for piece in decoder.decode(chunk))
    decoder.finish()
    return body


def is_refused(coding, *chunks):
    with pytest.raises(BackendError) as caught:
        decode(coding, *chunks)
    return caught.value.kind == "decoding"


def cut(data, size):
    return [data[i : i + size] for i in range(0, len(data), size)]


def test_all_codings_are_asked_for_where_they_can_be_undone():
    assert ACCEPT_ENCODING == "gzip, deflate, br, zstd"


@pytest.mark.parametrize(("coding", "pack"), WAYS)
@pytest.mark.parametrize("size", [1, 7, 1000, 10**9])
def test_body_is_decoded_however_it_is_cut(coding, pack, size):
    data = TEXT if size > 100 else SHORT
    assert decode(coding, *cut(pack(data), size)) == data


@pytest.mark.parametrize(("coding", "pack"), WAYS)
def test_incompressible_body_is_decoded(coding, pack):
    data = zlib.compress(b"".join(i.to_bytes(4) for i in range(0, 2**31, 12_345)), 9)
    assert decode(coding, *cut(pack(data), 5000)) == data


@pytest.mark.parametrize("coding", PACK)
def test_steps_are_small(coding):
    decoder = make_decoder([coding])
    assert max(len(piece) for piece in decoder.decode(PACK[coding](bytes(10 * 2**20)))) <= STEP * (1 + (coding == "br"))


@pytest.mark.parametrize("coding", PACK)
def test_name_of_a_coding_has_no_case(coding):
    assert decode(f" {coding.upper()} ", PACK[coding](SHORT)) == SHORT


def test_stacked_codings_are_undone_from_the_last():
    assert decode("gzip, br,, identity, zstd", *cut(PACK["zstd"](PACK["br"](gzip.compress(TEXT))), 100)) == TEXT


def test_codings_of_two_lines_are_one_list():
    fields = ((b"Content-Encoding", b"gzip"), (b"Accept", b"*/*"), (b"content-encoding", b"br, identity"))
    assert read_head(200, fields).codings == ("gzip", "br")


def test_more_codings_than_anybody_uses_are_refused():
    assert is_refused(", ".join(["gzip"] * 6), b"x")


@pytest.mark.parametrize(("coding", "pack"), WAYS)
def test_cut_off_stream_is_an_error_at_every_place(coding, pack):
    packed = pack(SHORT)
    assert all(is_refused(coding, packed[:length]) for length in range(len(packed)))


def test_cut_off_inner_coding_is_an_error():
    assert is_refused("gzip, br", PACK["br"](gzip.compress(TEXT)[:-9]))


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_flipped_byte_never_gives_another_body(coding):
    packed = PACK[coding](SHORT)
    for place in range(len(packed)):
        wrong = packed[:place] + bytes([packed[place] ^ 0x55]) + packed[place + 1 :]
        try:
            body = decode(coding, wrong)
        except BackendError:
            continue
        # Time and system in the header of gzip mean nothing.
        assert body == SHORT, place


@pytest.mark.parametrize("coding", PACK)
def test_plain_text_called_coded_is_an_error(coding):
    assert is_refused(coding, b"<html>this is not compressed at all</html>")


@pytest.mark.parametrize("size", [1, 19, 10**9])
def test_gzip_members_make_one_body(size):
    data = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two")
    assert decode("gzip", *cut(data, size)) == b"one two"


def test_cut_off_second_member_is_an_error():
    assert is_refused("gzip", gzip.compress(b"one") + gzip.compress(b"two")[:-3])


@pytest.mark.parametrize("size", [1, 5, 10**9])
def test_zstd_frames_make_one_body(size):
    skipped = b"\x53\x2a\x4d\x18" + (300).to_bytes(4, "little") + b"x" * 300
    empty = b"\x50\x2a\x4d\x18\x00\x00\x00\x00"
    assert decode("zstd", *cut(skipped + zstd.compress(b"one ") + empty + zstd.compress(b"two") + skipped, size)) == b"one two"


@pytest.mark.parametrize("coding", sorted(PACK.keys() - {"br"}))
@pytest.mark.parametrize("garbage", [b"\x00", b"\x00" * 600, b"garbage", b"\x1f"])
def test_bytes_behind_the_stream_are_ignored(coding, garbage):
    assert decode(coding, PACK[coding](TEXT) + garbage, garbage) == TEXT


@pytest.mark.parametrize("garbage", [(b"x",), (b"", b"x")])
def test_bytes_behind_a_br_stream_are_an_error(garbage):
    assert is_refused("br", PACK["br"](TEXT) + garbage[0], *garbage[1:])


def test_zstd_window_beyond_eight_mebibytes_is_refused():
    big = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 25})
    assert is_refused("zstd", big.compress(b"x" * 100) + big.flush())


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_bomb_comes_out_in_small_steps_and_takes_no_memory(coding):
    decoder = make_decoder([coding])
    bomb = BOMBS[coding](2**28)
    tracemalloc.start()
    try:
        assert sum(map(len, decoder.decode(bomb))) == 2**28
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    decoder.finish()


def test_bomb_of_many_small_zstd_frames_comes_out_in_small_steps():
    frame = zstd.compress(bytes(2**20))
    pieces = [len(piece) for piece in make_decoder(["zstd"]).decode(frame * 200)]
    assert sum(pieces) == 200 * 2**20
    assert max(pieces) <= STEP


def test_skippable_zstd_frames_alone_are_a_cut_off_stream():
    assert is_refused("zstd", b"\x50\x2a\x4d\x18\x00\x00\x00\x00")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(WAYS), st.integers(1, 50))
def test_any_body_comes_back_from_every_coding(data, way, size):
    coding, pack = way
    assert decode(coding, *cut(pack(data), size)) == data


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=100), st.sampled_from(sorted(PACK)))
def test_any_bytes_are_decoded_or_refused(data, coding):
    try:
        assert decode(coding, data) is not None
    except BackendError as error:
        if error.kind != "decoding":
            raise
