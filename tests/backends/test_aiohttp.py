"""aiohttp by its public interface: what it does by itself elsewhere, it does not do here."""

import asyncio
import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fastreq_jupyter.backends.base import SessionKey, open_backend
from fastreq_jupyter.backends.wire import MAX_INTERIM
from fastreq_jupyter.errors import OptionError
from fastreq_jupyter.exchange import Timing

aiohttp = pytest.importorskip("aiohttp")
SOURCE = Path(__file__).parents[2] / "fastreq_jupyter" / "backends" / "aiohttp.py"


def test_nothing_private_of_aiohttp_is_touched():
    assert re.findall(r"(?<!self)\._[a-z]\w*|ClientRequest\)|ResponseHandler", SOURCE.read_text()) == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("kept", [True, False])
async def test_only_a_kept_connection_that_ended_in_silence_is_stale(wire, method, kept):
    async def dying(request, writer):
        if b"/die" in request.line:
            return False
        writer.write(wire.OK)
        return None

    async with wire.listening(dying) as server, wire.session("aiohttp") as backend:
        if kept:
            await wire.fetch(backend, server.url + "/warm")
        error = await wire.refusal(backend, wire.exchange(server.url + "/die", method))
        assert (error.kind, error.sent, error.stale) == ("connect", True, kept)
        assert len([request for request in server.arrived if b"/die" in request.line]) == 1


async def test_kept_connection_that_ends_after_the_first_byte_is_not_stale(wire):
    async def breaking(request, writer):
        writer.write(wire.OK if request.number == 0 else b"H")
        return request.number == 0

    async with wire.listening(breaking) as server, wire.session("aiohttp") as backend:
        await wire.fetch(backend, server.url)
        error = await wire.failure(backend, server.url)
        assert (error.kind, error.stale) == ("protocol", False)


async def test_two_hundred_posts_share_the_connections(wire):
    async with wire.listening(wire.answering(wire.OK)) as server, wire.session("aiohttp") as backend:
        left = iter(range(200))

        async def work():
            for number in left:
                await wire.fetch(backend, f"{server.url}/{number}", method="POST", content=b"x")

        await asyncio.gather(*(work() for _ in range(5)))
        assert sorted(int(request.line.split(b" ")[1][1:]) for request in server.arrived) == list(range(200))
        assert server.connections <= 10


@pytest.mark.parametrize("secure", [False, True])
async def test_no_more_idle_connections_than_twice_what_was_reserved(wire, secure, server_tls, bundle):
    gate = asyncio.Event()

    async def together(request, writer):
        await gate.wait()
        writer.write(wire.OK)

    async with wire.listening(together, server_tls if secure else None) as server, wire.session("aiohttp", verify=bundle) as backend:
        backend.reserve(4)
        backend.reserve(3)
        tasks = [asyncio.create_task(wire.fetch(backend, server.url)) for _ in range(30)]
        await wire.until(lambda: server.in_flight == 30, 20)
        gate.set()
        await asyncio.gather(*tasks)
        await wire.until(lambda: server.open == 8)
        await wire.fetch(backend, server.url)
        assert (server.open, server.connections) == (8, 30)


HOSTS = """
import asyncio, json, resource, sys
from fastreq_jupyter import fastreq_async
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
urls = [f"http://127.0.{i // 250}.{i % 250 + 1}:{sys.argv[1]}/" for i in range(1000)]
frame = asyncio.run(fastreq_async(urls, backend="aiohttp", progress="none", proxy="none", max_retries=0))
print(json.dumps([int(frame["ok"].sum()), frame["error_detail"].dropna().unique().tolist()[:3]]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs all of 127.0.0.0/8")
async def test_a_thousand_hosts_with_256_descriptors(wire):
    async def answer(reader, writer):
        while await reader.readline():
            writer.write(wire.OK if (await reader.readuntil(b"\r\n\r\n")) else b"")
        writer.close()

    listener = await asyncio.start_server(answer, "0.0.0.0", 0, backlog=1024)
    port = listener.sockets[0].getsockname()[1]
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", HOSTS, str(port), stdout=subprocess.PIPE)
    told, _ = await child.communicate()
    listener.close()
    assert json.loads(told) == [1000, []]


async def test_connect_timeout_covers_the_handshake(wire):
    ended = asyncio.Event()

    async def mute(reader, writer):
        while await reader.read(65_536):
            pass
        ended.set()
        writer.close()

    listener = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with wire.session("aiohttp") as backend:
        slow = wire.exchange(f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}/", connect_timeout=0.2)
        error = await wire.refusal(backend, slow)
        assert (error.kind, error.sent) == ("timeout", False)
        assert "no connection within 0.2 s" in error.detail
        await asyncio.wait_for(ended.wait(), 10)
    listener.close()


async def test_connect_timeout_does_not_bound_the_answer(wire):
    async def slow(request, writer):
        await asyncio.sleep(0.3)
        writer.write(wire.OK)

    async with wire.listening(slow) as server, wire.session("aiohttp") as backend:
        stream = await wire.send(backend, wire.exchange(server.url, connect_timeout=0.1), Timing())
        assert await wire.read_all(stream) == b"hi"


@pytest.mark.parametrize("chunk", [b"zz\r\nhello\r\n0\r\n\r\n", b"5\r\nhelloXX3\r\nabc\r\n0\r\n\r\n"])
async def test_malformed_chunk_in_a_later_piece_ends_the_exchange(wire, chunk):
    async def late(request, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(chunk)

    async with wire.listening(late) as server, wire.session("aiohttp") as backend:
        assert (await wire.failure(backend, server.url)).kind == "protocol"


@pytest.mark.parametrize("apart", [False, True])
async def test_as_many_interim_answers_as_are_allowed_and_no_more(wire, apart):
    async def patient(request, writer):
        for _ in range(int(request.line.split(b" ")[1][1:])):
            writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            if apart:
                await writer.drain()
                await asyncio.sleep(0.002)
        writer.write(wire.OK)

    async with wire.listening(patient) as server, wire.session("aiohttp") as backend:
        assert (await wire.fetch(backend, f"{server.url}/{MAX_INTERIM}"))[1] == b"hi"
        assert (await wire.failure(backend, f"{server.url}/{MAX_INTERIM + 1}")).kind == "protocol"


@pytest.mark.parametrize("lingering", [False, True])
async def test_answer_that_comes_before_the_upload_is_over_is_the_answer(wire, lingering):
    def too_large(connection):
        with connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 7\r\n\r\ntoo big")
            if lingering:
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65_536):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        async with wire.session("aiohttp") as backend:
            for _ in range(10):
                answering = asyncio.create_task(asyncio.to_thread(lambda: too_large(listener.accept()[0])))
                stream, body = await wire.fetch(backend, url, method="POST", content=b"x" * 20_000_000)
                assert (stream.status, body) == (413, b"too big")
                await answering


async def test_whole_body_that_is_there_is_taken_at_once(wire):
    async with wire.listening(wire.answering(wire.OK)) as server, wire.session("aiohttp") as backend:
        stream = await backend.send(wire.exchange(server.url), Timing())
        assert (stream.take(), await stream.read()) == (b"hi", b"")
        stream.close()
        await wire.fetch(backend, server.url)
        assert server.connections == 1


async def test_body_still_to_come_is_not_taken(wire):
    async def dripping(request, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        await writer.drain()
        await gate.wait()
        writer.write(b"cd")

    gate = asyncio.Event()
    async with wire.listening(dripping) as server, wire.session("aiohttp") as backend:
        stream = await backend.send(wire.exchange(server.url), Timing())
        assert stream.take() is None
        gate.set()
        assert await wire.read_all(stream) == b"abcd"
        stream.close()


async def test_header_bytes_that_are_no_utf_8_are_refused_unsent(wire):
    async with wire.listening(wire.answering(wire.OK)) as server, wire.session("aiohttp") as backend:
        error = await wire.failure(backend, server.url, headers=[("X-Name", "M\xfcller")])
        assert (error.kind, error.sent, server.connections) == ("invalid value", False, 0)
        assert "use backend curl" in error.detail


@pytest.mark.parametrize("key", [{"proxy": "socks5://user:s3cr3t@127.0.0.1:1"}, {"http2": True}, {"http3": True}])
async def test_what_aiohttp_cannot_do_is_refused_naming_the_backend_that_can(wire, key):
    with pytest.raises(OptionError, match="give backend='curl'") as caught:
        open_backend(SessionKey("aiohttp", **key))
    assert "s3cr3t" not in str(caught.value)
