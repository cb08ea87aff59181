"""niquests and requests by their public interface: what they do by themselves elsewhere, they do not do here."""

import asyncio
import threading

import pytest

from fastreq_jupyter.backends.base import SessionKey, open_backend
from fastreq_jupyter.errors import OptionError
from fastreq_jupyter.exchange import Timing


@pytest.fixture(params=["niquests", "requests"])
def name(request):
    pytest.importorskip(request.param)
    return request.param


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_unsafe_requests_go_out_once_on_kept_connections(wire, name, method):
    async def dying(request, writer):
        if request.number == 3:
            return False
        writer.write(wire.OK)
        return None

    async with wire.listening(dying) as server, wire.session(name) as backend:
        backend.reserve(5)

        async def worker(number):
            for turn in range(40):
                await asyncio.gather(
                    wire.fetch(backend, f"{server.url}/{number}-{turn}", method=method, content=b"x"), return_exceptions=True
                )

        await asyncio.gather(*map(worker, range(5)))
        lines = [request.line for request in server.arrived]
        assert len(lines) == len(set(lines)) == 200


async def test_200_posts_at_concurrency_5_use_few_connections(wire, name):
    async with wire.listening(wire.answering(wire.OK)) as server, wire.session(name) as backend:
        backend.reserve(5)

        async def worker():
            for _ in range(40):
                await wire.fetch(backend, server.url, method="POST", content=b"x")

        await asyncio.gather(*(worker() for _ in range(5)))
        assert len(server.arrived) == 200
        assert server.connections <= 10


async def test_dead_kept_connection_is_told_as_stale(wire, name):
    async def dying(request, writer):
        if b"/die" in request.line:
            return False
        writer.write(wire.OK)
        return None

    async with wire.listening(dying) as server, wire.session(name) as backend:
        fresh = await wire.failure(backend, server.url + "/die", method="POST", content=b"x")
        await wire.fetch(backend, server.url)
        kept = await wire.failure(backend, server.url + "/die", method="POST", content=b"x")
        assert (fresh.kind, fresh.stale, kept.kind, kept.stale) == ("connect", False, "connect", True)


async def test_idle_connections_are_capped_the_oldest_first(wire, name):
    async with wire.session(name) as backend:
        backend.reserve(101)
        backend._most_idle = 6
        servers = [wire.listening(wire.answering(wire.OK)) for _ in range(10)]
        opened = [await server.__aenter__() for server in servers]
        try:
            for server in opened:
                await wire.fetch(backend, server.url)
            await wire.until(lambda: sum(server.open for server in opened) <= 6)
            assert [server.open for server in opened] == [0] * 4 + [1] * 6
        finally:
            for server in servers:
                await server.__aexit__(None, None, None)


async def test_redirects_cookies_and_bodies_are_left_alone(wire, name):
    answer = b"HTTP/1.1 302 Found\r\nLocation: /next\r\nSet-Cookie: a=1\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"
    async with wire.listening(wire.answering(answer)) as server, wire.session(name) as backend:
        for _ in range(2):
            stream, body = await wire.fetch(backend, server.url)
            assert (stream.status, body) == (302, b"abc")
        assert [request.line for request in server.arrived] == [b"GET / HTTP/1.1"] * 2
        assert server.arrived[1].all("cookie") == []


async def test_hung_lookup_sends_nothing_when_it_wakes(wire, name, monkeypatch):
    import socket

    real, wake, asked = socket.getaddrinfo, threading.Event(), threading.Event()

    def hanging(host, *args, **more):
        if host in ("hung.example", b"hung.example"):
            asked.set()
            wake.wait(60)
            return real("127.0.0.1", *args, **more)
        return real(host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    async with wire.listening(wire.answering(wire.OK)) as server:
        async with wire.session(name) as backend:
            task = asyncio.create_task(wire.fetch(backend, f"http://hung.example:{server.port}/"))
            await wire.until(asked.is_set)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            wake.set()
            # Another request by the same threads comes after what the first might still do.
            await wire.fetch(backend, server.url)
            await asyncio.sleep(0.05)
        assert (len(server.arrived), server.connections) == (1, 1)


async def test_connect_timeout_covers_the_handshake(wire, name):
    async def mute(reader, writer):
        while await reader.read(65_536):
            pass
        writer.close()

    listener = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with wire.session(name) as backend:
        url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
        with pytest.raises(Exception, match="no connection within") as caught:
            await wire.send(backend, wire.exchange(url, connect_timeout=0.05), Timing())
        assert (caught.value.kind, caught.value.sent) == ("timeout", False)
    listener.close()


async def test_what_requests_cannot_do_is_refused_naming_who_can(wire):
    pytest.importorskip("requests")
    for option in ("http2", "http3"):
        with pytest.raises(OptionError, match="curl"):
            open_backend(SessionKey("requests", **{option: True}))
