import asyncio
import gzip
import io
import tracemalloc
import zlib
from contextlib import aclosing

import brotli
import pytest
from faultserver.bombs import zstd

from fastreq_jupyter.engine.body import Body, iter_body, read_body
from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.policy.framing import Head, read_head

TEXT = b"".join(b"line %d of a body that compresses\n" % i for i in range(20_000))
ROOM = 100 * 2**20


PACK = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=4),
    "zstd": zstd.compress,
}


class Answer:
    """A response whose body is a list of chunks; an exception among them is raised."""

    reason = ""
    http_version = "1.1"

    def __init__(self, *chunks, status=200, **headers):
        self.status = status
        self.fields = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
        self.chunks = list(chunks)
        self.reads = 0

    async def read(self):
        self.reads += 1
        chunk = self.chunks.pop(0) if self.chunks else b""
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    async def aclose(self):
        pass


def head_of(answer):
    return read_head(answer.status, answer.fields)


class OpenGate:
    def __init__(self):
        self.admitted = 0

    async def admit(self, size):
        self.admitted += size


async def read(answer, *, method="GET", max_body=ROOM, gate=None, file=None):
    return await read_body(answer, head_of(answer), method=method, max_body=max_body, gate=gate or OpenGate(), file=file)


async def failure(answer, **more):
    with pytest.raises(BackendError) as caught:
        await read(answer, **more)
    return caught.value.kind


def pieces(data, size):
    return [data[i : i + size] for i in range(0, len(data), size)]


@pytest.mark.parametrize("chunks", [[], [b"one"], [b"one", b"two", b"three"]])
async def test_plain_body_is_kept_whole(chunks):
    body = b"".join(chunks)
    assert await read(Answer(*chunks)) == Body(body, len(body))


async def test_identity_is_no_coding():
    assert (await read(Answer(b"plain", content_encoding="identity"))).content == b"plain"


@pytest.mark.parametrize("coding", PACK)
async def test_empty_body_is_empty_whatever_its_coding(coding):
    assert await read(Answer(content_encoding=coding)) == Body(b"", 0)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304), ("POST", 204)])
async def test_answer_without_body_has_none_whatever_the_header_says(method, status):
    answer = Answer(b"unasked", status=status, content_encoding="gzip", content_length="5000")
    assert await read(answer, method=method) == Body(b"", 0)


async def test_answer_without_body_does_not_fail_for_what_comes_in_its_place():
    assert await read(Answer(BackendError("protocol", "x"), status=204)) == Body(b"", 0)


async def test_body_of_the_largest_size_is_kept():
    assert (await read(Answer(b"x" * 60, b"x" * 40), max_body=100)).size_bytes == 100


@pytest.mark.parametrize("chunks", [[b"x" * 101], [b"x" * 60, b"x" * 41]])
async def test_body_beyond_the_largest_size_is_an_error(chunks):
    assert await failure(Answer(*chunks), max_body=100) == "too large"


async def test_announced_size_beyond_the_largest_is_refused_without_reading():
    answer = Answer(b"x", content_length="101")
    assert await failure(answer, max_body=100) == "too large"
    assert answer.reads == 0


@pytest.mark.parametrize("coding", PACK)
async def test_size_counts_after_decompression(coding):
    packed = PACK[coding](TEXT)
    assert len(packed) < 200_000 < len(TEXT)
    assert await failure(Answer(*pieces(packed, 1000), content_encoding=coding), max_body=200_000) == "too large"


@pytest.mark.slow
@pytest.mark.parametrize("coding", PACK)
async def test_bomb_takes_no_more_memory_than_the_cap(coding):
    packed = PACK[coding](bytes(256 * 2**20))
    tracemalloc.start()
    try:
        kind = await failure(Answer(packed, content_encoding=coding), max_body=2**20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert kind == "too large"
    assert peak < 2 * 2**20 + 500_000


@pytest.mark.slow
async def test_bomb_within_a_bomb_takes_no_more_memory_than_the_cap():
    packed = gzip.compress(gzip.compress(bytes(256 * 2**20)))
    tracemalloc.start()
    try:
        kind = await failure(Answer(packed, content_encoding="gzip, gzip"), max_body=2**20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert kind == "too large"
    assert peak < 2 * 2**20 + 1_000_000


async def test_coded_stream_that_gives_nothing_is_ended_by_the_cap():
    empty_block = b"\x00\x00\x00\xff\xff" * 10_000
    head = gzip.compress(b"")[:10]
    assert await failure(Answer(head, *[empty_block] * 1000, content_encoding="gzip"), max_body=1000) == "too large"


async def test_kept_bytes_are_asked_for_at_the_gate():
    for answer in (Answer(TEXT), Answer(TEXT[:5], TEXT[5:]), Answer(gzip.compress(TEXT), content_encoding="gzip")):
        gate = OpenGate()
        await read(answer, gate=gate)
        assert gate.admitted == len(TEXT)


@pytest.mark.parametrize("headers", [{}, {"content_encoding": "gzip"}])
async def test_body_goes_to_a_file_in_place_of_memory(headers):
    file, gate = io.BytesIO(), OpenGate()
    packed = gzip.compress(TEXT) if headers else TEXT
    assert await read(Answer(*pieces(packed, 999), **headers), file=file, gate=gate) == Body(None, len(TEXT))
    assert file.getvalue() == TEXT
    assert gate.admitted == 0


async def test_error_of_the_stream_is_passed_on():
    assert await failure(Answer(b"half", BackendError("protocol", "broke off"))) == "protocol"
    assert await failure(Answer(gzip.compress(TEXT), BackendError("timeout", "x"), content_encoding="gzip")) == "timeout"


async def test_body_comes_in_pieces_to_who_iterates():
    async def collect():
        async with aclosing(
            iter_body(Answer(gzip.compress(TEXT), content_encoding="gzip"), Head(codings=("gzip",)), method="GET", max_body=ROOM)
        ) as body:
            return [len(piece) async for piece in body]

    sizes = await collect()
    assert sum(sizes) == len(TEXT)
    assert max(sizes) <= 65_536


async def test_other_tasks_run_while_one_chunk_decodes():
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(count())
    await read_body(
        Answer(gzip.compress(bytes(20 * 2**20)), content_encoding="gzip"),
        Head(codings=("gzip",)),
        method="GET",
        max_body=ROOM,
        gate=OpenGate(),
    )
    task.cancel()
    assert turns >= 15


async def test_cut_off_coded_body_is_an_error():
    assert await failure(Answer(gzip.compress(TEXT)[:-1], content_encoding="gzip")) == "decoding"
