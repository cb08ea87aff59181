"""What is libcurl's own: its handles, its callbacks, its connections."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fastreq_jupyter.backends.base import SessionKey, detect, open_backend
from fastreq_jupyter.errors import BackendError, OptionError
from fastreq_jupyter.exchange import Exchange, Timing
from fastreq_jupyter.url import parse_target

pycurl = pytest.importorskip("pycurl")


@pytest.fixture
def name():
    return "curl"


async def test_closing_with_two_hundred_in_flight_ends_them_all(wire, name):
    async def never(request, writer):
        await asyncio.sleep(60)

    async with wire.listening(never) as server, wire.session(name) as backend:
        tasks = [asyncio.create_task(wire.fetch(backend, server.url)) for _ in range(200)]
        await wire.until(lambda: server.in_flight == 200, 20)
        await backend.aclose()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert {(type(error), error.kind, error.sent) for error in ended} == {(BackendError, "connect", True)}
        with pytest.raises(BackendError, match="closed"):
            await wire.fetch(backend, server.url)


async def test_handles_are_used_again_after_failures(wire, name):
    async def turning(request, writer):
        if b"/bad" in request.line:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort")
            return False
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(request.line), request.line))
        return None

    async with wire.listening(turning) as server, wire.session(name) as backend:
        for number in range(20):
            await wire.failure(backend, f"{server.url}/bad", method="POST", content=b"x")
            for method in ("GET", "HEAD", "PUT", "GET", "OPTIONS"):
                stream, body = await wire.fetch(backend, f"{server.url}/{number}", method=method, headers=[("X", str(number))])
                assert (stream.status, body) == (200, b"" if method == "HEAD" else f"{method} /{number} HTTP/1.1".encode())
        assert {tuple(request.all("x")) for request in server.arrived if request.body} == {()}
        assert not backend._active
        assert len(backend._free) <= 2


async def test_head_with_a_body_ends_with_its_head(wire, name):
    async with wire.listening(wire.answering(wire.OK)) as server, wire.session(name) as backend:
        for _ in range(2):
            stream, body = await wire.fetch(backend, server.url, method="HEAD", content=b"x")
            assert (stream.status, body) == (200, b"")
        assert [request.body for request in server.arrived] == [b"x", b"x"]


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"hi")

    def log_message(self, *_):
        pass


@pytest.fixture
def beside():
    """A server on a thread of its own: an interrupt that leaves the loop does not touch it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


async def _opened(name):
    return open_backend(SessionKey(name))


CALLBACKS = {"_on_line": pycurl.HEADERFUNCTION, "_on_body": pycurl.WRITEFUNCTION, "_may_send": pycurl.PREREQFUNCTION}


@pytest.mark.parametrize("callback", CALLBACKS)
def test_interrupt_within_a_callback_comes_out_of_the_loop_and_leaves_the_session_usable(wire, name, callback, beside):
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        backend = loop.run_until_complete(_opened(name))
        loop.run_until_complete(wire.fetch(backend, beside))
        handle = backend._free[-1]

        interrupted = []

        def interrupt(*told):
            if not interrupted:
                interrupted.append(True)
                raise KeyboardInterrupt
            return getattr(handle, callback)(*told)

        handle.curl.setopt(CALLBACKS[callback], interrupt)
        task = loop.create_task(wire.fetch(backend, beside))
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
        loop.run_until_complete(asyncio.wait([task], timeout=10))
        assert isinstance(task.exception(), BackendError)
        assert loop.run_until_complete(wire.fetch(backend, beside))[1] == b"hi"
        loop.run_until_complete(backend.aclose())


@pytest.mark.parametrize("option", [pycurl.M_TIMERFUNCTION, pycurl.M_SOCKETFUNCTION])
def test_interrupt_that_makes_libcurl_give_up_all_costs_what_is_in_flight_and_no_more(wire, name, option, beside):
    interrupted = []

    def interrupt(*_):
        if not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        backend = loop.run_until_complete(_opened(name))
        backend._multi.setopt(option, interrupt)
        task = loop.create_task(wire.fetch(backend, beside))
        with suppress(KeyboardInterrupt):
            loop.run_until_complete(asyncio.wait([task], timeout=10))
        loop.run_until_complete(asyncio.wait([task], timeout=10))
        assert interrupted
        assert isinstance(task.exception(), BackendError | KeyboardInterrupt)
        assert loop.run_until_complete(wire.fetch(backend, beside))[1] == b"hi"
        loop.run_until_complete(backend.aclose())


def test_two_loops_in_two_threads_do_not_meet(wire, name):
    seen = []

    def one():
        async def scenario():
            async with wire.listening(wire.answering(wire.OK)) as server, wire.session(name) as backend:
                for _ in range(50):
                    await asyncio.gather(*(wire.fetch(backend, server.url) for _ in range(4)))
                seen.append(len(server.arrived))

        asyncio.run(scenario())

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seen == [200, 200, 200]


FORGOTTEN = """
import asyncio, gc, sys
from fastreq_jupyter.backends.base import SessionKey, open_backend
from fastreq_jupyter.exchange import Exchange
from fastreq_jupyter.exchange import Timing
from fastreq_jupyter.url import parse_target

async def main():
    backend = open_backend(SessionKey("curl"))
    stream = await backend.send(Exchange("GET", parse_target(sys.argv[1]), ()), Timing())
    return backend, stream

kept = asyncio.run(main())
del kept
gc.collect()
asyncio.run(main())
print("fine")
"""


async def test_session_that_outlives_its_loop_does_no_harm(wire, name):
    async with wire.listening(wire.answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")) as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", "-c", FORGOTTEN, server.url + "/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        said, _ = await asyncio.wait_for(process.communicate(), 60)
        assert (process.returncode, said) == (0, b"fine\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
async def test_forked_child_that_ends_leaves_its_parents_connections_alone(wire, name, server_tls, bundle):
    async with wire.listening(wire.answering(wire.OK), server_tls) as server, wire.session(name, verify=bundle) as backend:
        await wire.fetch(backend, server.url)
        child = os.fork()
        if child == 0:
            del backend
            # As a child of multiprocessing ends.
            os._exit(0)
        await asyncio.to_thread(os.waitpid, child, 0)
        for _ in range(3):
            await wire.fetch(backend, server.url)
        assert (server.connections, len(server.arrived)) == (1, 4)


async def test_body_that_nobody_reads_is_not_fetched(wire, name):
    written = 0

    async def gushing(request, writer):
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % 2**30)
        while written < 2**30:
            writer.write(bytes(2**16))
            written += 2**16
            await writer.drain()

    async with wire.listening(gushing) as server, wire.session(name) as backend:
        stream = await backend.send(wire.exchange(server.url), Timing())
        held = -1
        while held != written:
            held = written
            await asyncio.sleep(0.3)
        # What the system's buffers hold comes on top of the bound.
        assert written < 32 * 2**20
        read = 0
        while read < 64 * 2**20:
            read += len(await stream.read())
            assert stream.size <= 2**20
        stream.close()
        await wire.until(lambda: server.open == 0)


async def test_fifty_at_once_do_not_wait_for_each_other_where_the_server_has_no_http_2(wire, name, server_tls, bundle):
    gate = asyncio.Event()

    async def waiting(request, writer):
        await gate.wait()
        writer.write(wire.OK)

    async with wire.listening(waiting, server_tls) as server, wire.session(name, verify=bundle) as backend:
        tasks = [asyncio.create_task(wire.fetch(backend, server.url)) for _ in range(50)]
        await wire.until(lambda: server.in_flight == 50, 30)
        gate.set()
        await asyncio.gather(*tasks)


@pytest.mark.parametrize("missing", ["TLS", "age", "HTTP3"])
def test_poor_libcurl_is_told_in_one_line(wire, name, missing, monkeypatch):
    words = list(pycurl.version_info())
    if missing == "age":
        words[1] = "7.84.0"
    else:
        words[4] &= ~{"TLS": pycurl.VERSION_SSL, "HTTP3": pycurl.VERSION_HTTP3}[missing]
    monkeypatch.setattr(pycurl, "version_info", lambda: tuple(words))
    with pytest.raises(OptionError) as caught:
        detect("curl", http3=missing == "HTTP3")
    assert "\n" not in str(caught.value)
    assert ("niquests" if missing == "HTTP3" else "fastreq-jupyter[curl]") in str(caught.value)
    assert detect("auto", http3=missing == "HTTP3") != "curl"


HOSTS = """
import asyncio, json, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from fastreq_jupyter import fastreq
port = sys.argv[1]
frame = fastreq([f"http://127.0.{i // 250}.{i % 250 + 1}:{port}/" for i in range(1000)], backend="curl", progress="none", proxy="none")
print(json.dumps([int(frame["ok"].sum()), int(frame["attempts"].sum())]))
"""


@pytest.mark.slow
async def test_thousand_hosts_need_no_thousand_descriptors(wire, name):
    async with wire.listening(wire.answering(wire.OK), host="0.0.0.0") as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOSTS, str(server.port), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        said, errors = await asyncio.wait_for(process.communicate(), 100)
        assert process.returncode == 0, errors.decode()
        assert json.loads(said) == [1000, 1000]


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0, 0.0005, 0.002, 0.01])
async def test_servers_that_close_their_kept_connections_silently_cost_no_get(wire, name, delay):
    async def closing(request, writer):
        writer.write(wire.OK)
        await writer.drain()
        await asyncio.sleep(delay)
        return False

    from fastreq_jupyter import fastreq_async

    async with wire.listening(closing) as server:
        frame = await fastreq_async(
            [f"{server.url}/{number}" for number in range(400)], backend=name, max_retries=0, progress="none", proxy="none"
        )
        assert list(frame["ok"]) == [True] * 400


@pytest.mark.slow
@pytest.mark.parametrize("content", [None, b"x" * 1000])
async def test_two_hundred_posts_go_over_few_connections_each_once(wire, name, content):
    async with wire.listening(wire.answering(wire.OK)) as server, wire.session(name) as backend:
        numbers = iter(range(200))

        async def worker():
            for number in numbers:
                await wire.fetch(backend, f"{server.url}/{number}", method="POST", content=content)

        await asyncio.gather(*(worker() for _ in range(5)))
        assert server.connections <= 10
        assert len({request.line for request in server.arrived}) == len(server.arrived) == 200


async def test_socks4_proxy_resolves_the_name_itself(wire, name):
    asked = []

    async def socks(reader, writer):
        head = await reader.readexactly(8)
        user = await reader.readuntil(b"\0")
        asked.append((head[0], int.from_bytes(head[2:4], "big"), user[:-1], (await reader.readuntil(b"\0"))[:-1]))
        writer.write(b"\0\x5a" + bytes(6))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(wire.OK)
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(socks, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with wire.session(name, proxy=f"socks4://ann@127.0.0.1:{port}") as backend:
        assert (await wire.fetch(backend, "http://only.proxy.invalid:4711/x"))[1] == b"hi"
    listener.close()
    assert asked == [(4, 4711, b"ann", b"only.proxy.invalid")]


async def test_connect_timeout_ends_a_handshake_that_hangs(wire, name):
    async def mute(reader, writer):
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with wire.session(name) as backend:
        target = parse_target(f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}/")
        with pytest.raises(BackendError, match=r"no connection within 0\.2 s") as caught:
            await asyncio.wait_for(wire.send(backend, Exchange("GET", target, (), connect_timeout=0.2), Timing()), 20)
        assert (caught.value.kind, caught.value.sent) == ("timeout", False)
    listener.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
async def test_connection_that_a_forked_child_holds_open_does_not_keep_the_loop_busy(wire, name):
    """The kernel tells of a connection that is closed here, as long as somebody else has it open."""
    gate = asyncio.Event()

    async def ending(request, writer):
        writer.write(wire.OK)
        await writer.drain()
        if b"/last" not in request.line:
            await gate.wait()
        return False

    async with wire.listening(ending) as server, wire.session(name) as backend:
        descriptors = []
        watch = backend.drive._watch_epoll
        backend._multi.setopt(pycurl.M_SOCKETFUNCTION, lambda *told: (descriptors.append(told[1]), watch(*told))[1])
        stream = await backend.send(wire.exchange(server.url), Timing())
        descriptor = descriptors[-1]
        await wire.read_all(stream)
        child = os.fork()
        if child == 0:
            signal.pause()
            os._exit(0)
        try:
            # As libcurl does with an idle connection that is one too many.
            os.close(descriptor)
            gate.set()
            await wire.until(lambda: server.open == 0)
            await asyncio.sleep(0.1)
            polls = 0
            poll = backend.drive._poll

            def counted():
                nonlocal polls
                polls += 1
                poll()

            loop = asyncio.get_running_loop()
            loop.add_reader(backend.drive._epoll.fileno(), counted)
            await asyncio.sleep(0.3)
            assert polls <= 3
        finally:
            os.kill(child, signal.SIGKILL)
            await asyncio.to_thread(os.waitpid, child, 0)


async def test_a_new_connection_on_the_port_of_a_dead_one_is_not_taken_for_it(wire, name):
    class Everywhere(dict):
        def get(self, key, default=None):
            return 0

    async with wire.listening(wire.answering(wire.OK)) as server, wire.session(name) as backend:
        backend.idle_sockets = Everywhere()
        backend.drive.spoiled = lambda descriptor: True
        exchange = Exchange("GET", parse_target(server.url), (), fresh=True)
        stream = await backend.send(exchange, Timing(0.0))
        assert stream.status == 200
        stream.close()
        with pytest.raises(BackendError) as caught:
            await backend.send(Exchange("GET", parse_target(server.url), ()), Timing(0.0))
        assert (caught.value.stale, caught.value.sent) == (True, False)
        assert len(server.arrived) == 1
