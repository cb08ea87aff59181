"""Connections: how many, how they are reused, how they die, and that a cancelled exchange takes its own along."""

import asyncio
import gc
import threading
import time
from math import isnan

import pytest

from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.exchange import Timing


async def test_connection_is_reused(wire, name):
    async with wire.listening(wire.answering(wire.OK)) as server, wire.session(name) as backend:
        for _ in range(5):
            await wire.fetch(backend, server.url)
        assert (server.connections, len(server.arrived)) == (1, 5)


async def test_fresh_exchange_has_a_connection_of_its_own(wire, name):
    async with wire.listening(wire.answering(wire.OK)) as server, wire.session(name) as backend:
        for _ in range(3):
            await wire.fetch(backend, server.url)
            await wire.fetch(backend, server.url, method="POST", content=b"x", fresh=True)
        seen = [request.connection for request in server.arrived if request.line.startswith(b"POST")]
        assert len(set(seen)) == 3
        assert all(request.number == 0 for request in server.arrived if request.line.startswith(b"POST"))


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH"])
@pytest.mark.parametrize("content", [None, b"x"])
@pytest.mark.parametrize("fresh", [False, True])
async def test_only_an_idempotent_request_goes_out_again_when_its_kept_connection_dies(wire, name, method, content, fresh):
    async def dying(request, writer):
        if request.number == 0 and not request.line.startswith(method.encode() + b" /die"):
            writer.write(wire.OK)
            return None
        return False

    async with wire.listening(dying) as server, wire.session(name) as backend:
        await wire.fetch(backend, server.url + "/warm")
        error = await wire.failure(backend, server.url + "/die", method=method, content=content, fresh=fresh)
        await asyncio.sleep(0.1)
        arrived = [request for request in server.arrived if b"/die" in request.line]
        # By the library itself, or by the engine, which is told; a second time only on a new connection.
        again = method not in ("POST", "PATCH") and not fresh
        assert 1 <= len(arrived) <= (2 if again else 1)
        assert all(request.number == 0 for request in arrived[1:])
        assert not again or error.stale == (len(arrived) == 1)
        assert error.kind in ("connect", "protocol")
        assert error.sent


async def test_connection_closed_while_idle_is_not_used(wire, name):
    async def closing(request, writer):
        writer.write(wire.OK)
        await writer.drain()
        return False

    async with wire.listening(closing) as server, wire.session(name) as backend:
        for _ in range(4):
            await wire.fetch(backend, server.url)
            # The loop is blocked meanwhile, as a busy cell does: nobody was told of the end yet.
            await wire.until(lambda: server.open == 0)
            await asyncio.sleep(0.02)
            time.sleep(0.02)
        assert server.connections == 4


async def test_two_hundred_are_in_flight_at_once(wire, name):
    gate = asyncio.Event()

    async def waiting(request, writer):
        await gate.wait()
        writer.write(wire.OK)

    async with wire.listening(waiting) as server, wire.session(name) as backend:
        backend.reserve(200)
        tasks = [asyncio.create_task(wire.fetch(backend, server.url)) for _ in range(200)]
        await wire.until(lambda: server.in_flight == 200)
        gate.set()
        await asyncio.gather(*tasks)
        assert server.peak == 200


@pytest.mark.parametrize("when", ["head", "body"])
async def test_cancelling_closes_the_socket_at_once(wire, name, when):
    async def hanging(request, writer):
        if when == "body":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            await writer.drain()
        await asyncio.Event().wait()

    async with wire.listening(hanging) as server, wire.session(name) as backend:
        task = asyncio.create_task(wire.fetch(backend, server.url))
        await wire.until(lambda: server.in_flight == 1)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await wire.until(lambda: server.writers[0].transport.is_closing() or _ended(server.writers[0]))


def _ended(writer):
    import select

    sock = writer.get_extra_info("socket")
    return sock is None or sock.fileno() < 0 or bool(select.select([sock], [], [], 0)[0])


async def test_cancelling_during_an_upload_closes_the_socket_at_once(wire, name):
    got = asyncio.Event()
    ended = asyncio.Event()

    async def stuck(reader, writer):
        try:
            await reader.read(10)
            got.set()
            await asyncio.sleep(0.2)
            while await reader.read(65_536):
                pass
        except OSError:
            pass
        finally:
            ended.set()
            writer.close()

    listener = await asyncio.start_server(stuck, "127.0.0.1", 0, limit=1024)
    async with wire.session(name) as backend:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
        task = asyncio.create_task(wire.fetch(backend, url, method="PUT", content=b"x" * 50_000_000))
        await asyncio.wait_for(got.wait(), 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(ended.wait(), 60)
    listener.close()


async def test_cancelling_ends_a_tls_handshake_that_hangs(wire, name):
    got = asyncio.Event()
    ended = asyncio.Event()

    async def mute(reader, writer):
        await reader.read(10)
        got.set()
        try:
            while await reader.read(65_536):
                pass
        except OSError:
            pass
        ended.set()
        writer.close()

    listener = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with wire.session(name) as backend:
        task = asyncio.create_task(wire.fetch(backend, f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"))
        await asyncio.wait_for(got.wait(), 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 60)
        await asyncio.wait_for(ended.wait(), 60)
    listener.close()


async def test_body_left_unread_takes_its_connection_along(wire, name):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n" + b"x" * 5_000_000
    async with wire.listening(wire.answering(answer)) as server, wire.session(name) as backend:
        stream = await backend.send(wire.exchange(server.url), Timing())
        await stream.read()
        stream.close()
        stream.close()
        await wire.until(lambda: server.open == 0)
        stream = await backend.send(wire.exchange(server.url), Timing())
        assert len(await wire.read_all(stream)) == 5_000_000
        stream.close()
        assert server.connections == 2


async def test_refused_connection_was_not_sent(wire, name):
    listener = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    listener.close()
    await listener.wait_closed()
    async with wire.session(name) as backend:
        error = await wire.failure(backend, f"http://127.0.0.1:{port}/?token=abc")
        assert (error.kind, error.sent) == ("connect", False)
        assert error.detail == f"127.0.0.1:{port}: Connection refused"


async def test_unknown_name_was_not_sent(wire, name):
    async with wire.session(name) as backend:
        error = await wire.failure(backend, "http://nowhere.invalid/?token=abc")
        assert (error.kind, error.sent) == ("connect", False)
        assert error.detail.startswith("cannot resolve nowhere.invalid: ")


async def test_silent_close_before_an_answer_may_have_been_sent(wire, name):
    async with wire.listening(wire.answering(b"", then=False)) as server, wire.session(name) as backend:
        error = await wire.failure(backend, server.url)
        assert (error.kind, error.sent) == ("connect", True)


async def test_closing_the_backend_closes_all_sockets(wire, name):
    async with wire.listening(wire.answering(wire.OK)) as server:
        async with wire.session(name) as backend:
            await asyncio.gather(*(wire.fetch(backend, server.url) for _ in range(10)))
            assert server.open > 0
        await wire.until(lambda: server.open == 0)
        gc.collect()


async def test_names_are_resolved_on_our_daemon_threads(wire, name):
    async with wire.listening(wire.answering(wire.OK)) as server, wire.session(name) as backend:
        marks = Timing()
        await wire.fetch(backend, f"http://localhost:{server.port}/", marks=marks)
        assert asyncio.get_running_loop()._default_executor is None
        ours = [thread for thread in threading.enumerate() if thread is not threading.main_thread() and "execnet" not in thread.name]
        assert all(thread.daemon for thread in ours)


async def test_marks_of_a_fresh_and_a_reused_connection(wire, name):
    async def slow(request, writer):
        await asyncio.sleep(0.05)
        writer.write(wire.OK)

    async with wire.listening(slow) as server, wire.session(name) as backend:
        began = time.perf_counter()
        first, second = Timing(), Timing()
        await wire.fetch(backend, f"http://localhost:{server.port}/", marks=first)
        await wire.fetch(backend, f"http://localhost:{server.port}/", marks=second)
        ended = time.perf_counter()
    assert (first.reused, second.reused, first.encrypted, second.encrypted) == (False, True, False, False)
    order = [began, first.domain_lookup_start, first.domain_lookup_end, first.connect_start, first.connect_end, first.request_start]
    known = [mark for mark in order if not isnan(mark)]
    assert known == sorted(known)
    for marks in (first, second):
        phases = marks.phases
        marks.response_end = ended
        for phase in ("dns", "connect", "tls"):
            assert getattr(phases, phase) >= 0
        assert phases.tls == 0
        assert phases.wait > 0.04
        assert began < marks.request_start < marks.response_start < ended


async def test_backend_error_carries_no_query(wire, name):
    async with wire.listening(wire.answering(b"garbage\r\n\r\n", then=False)) as server, wire.session(name) as backend:
        with pytest.raises(BackendError) as caught:
            await wire.fetch(backend, server.url + "/p?token=s3cr3t")
        assert "s3cr3t" not in caught.value.detail


@pytest.mark.parametrize("delay", [0, 0.05])
async def test_answer_nobody_asked_for_is_never_the_next_one(wire, name, delay):
    async def doubling(request, writer):
        writer.write(wire.OK)
        if delay:
            await writer.drain()
            await asyncio.sleep(delay)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON")

    async with wire.listening(doubling) as server, wire.session(name) as backend:
        for _ in range(4):
            assert (await wire.fetch(backend, server.url))[1] == b"hi"
            await asyncio.sleep(2 * delay)
