"""A raw server on loopback that does what a test says and notes what arrived; and backends to send to it."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec

import pytest
import trustme
from serving.counting import close_listener

from fastreq_jupyter.backends.base import SessionKey, open_backend, send
from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.exchange import Exchange, Timing
from fastreq_jupyter.model import IDEMPOTENT
from fastreq_jupyter.url import parse_target

BACKENDS = ("curl", "aiohttp", "niquests", "requests")
LIBRARIES = {"curl": "pycurl"}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@dataclass
class Arrived:
    """One request as it came."""

    head: bytes
    body: bytes
    connection: int
    number: int

    @property
    def line(self):
        return self.head.split(b"\r\n", 1)[0]

    @property
    def fields(self):
        return [tuple(part.strip() for part in line.split(b":", 1)) for line in self.head.split(b"\r\n")[1:] if line]

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower().encode()]


Handler = Callable[[Arrived, asyncio.StreamWriter], Awaitable[object]]


@dataclass
class RawServer:
    """Listen on loopback; `handler` answers each request, False from it closes the connection."""

    handler: Handler
    tls: ssl.SSLContext | None = None
    arrived: list[Arrived] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    in_flight: int = 0
    peak: int = 0
    port: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def serve(self, reader, writer):
        number, self.connections, self.open = self.connections, self.connections + 1, self.open + 1
        self.writers.append(writer)
        try:
            count = 0
            while (request := await self._next(reader, number, count)) is not None:
                count += 1
                self.arrived.append(request)
                self.in_flight += 1
                self.peak = max(self.peak, self.in_flight)
                try:
                    go_on = await self.handler(request, writer)
                    await writer.drain()
                finally:
                    self.in_flight -= 1
                if go_on is False:
                    break
        except (OSError, EOFError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()

    @staticmethod
    async def _next(reader, connection, number):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        request = Arrived(head[:-4], b"", connection, number)
        if length := request.all("content-length"):
            request.body = await reader.readexactly(int(length[0]))
        return request


@asynccontextmanager
async def listening(handler, tls=None, host="127.0.0.1"):
    server = RawServer(handler, tls)
    tasks = set()

    async def connected(reader, writer):
        task = asyncio.current_task()
        tasks.add(task)
        try:
            await server.serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            tasks.discard(task)

    listener = await asyncio.start_server(connected, host, 0, ssl=tls, limit=2**22, backlog=1024)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        await close_listener(listener)
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(list(tasks), timeout=60)
        await asyncio.sleep(0)


def answering(content, *, then=None):
    async def handler(request, writer):
        writer.write(content)
        return then

    return handler


def exchange(url, method="GET", headers=(), content=None, *, fresh=False, connect_timeout=None):
    return Exchange(method, parse_target(url), tuple(headers), content, fresh, connect_timeout)


async def read_all(stream):
    parts = []
    while part := await stream.read():
        parts.append(part)
    return b"".join(parts)


async def fetch(backend, url, method="GET", headers=(), content=None, *, fresh=False, marks=None):
    """One exchange, body read whole: (stream, body); like the engine, once more where a kept connection was dead."""
    try:
        stream = await send(backend, exchange(url, method, headers, content, fresh=fresh), marks or Timing())
    except BackendError as error:
        if not error.stale or (error.sent and method not in IDEMPOTENT):
            raise
        stream = await send(backend, exchange(url, method, headers, content, fresh=True), marks or Timing())
    try:
        return stream, await read_all(stream)
    finally:
        stream.close()


async def failure(backend, url, **more):
    """The BackendError that one exchange ends with."""
    with pytest.raises(BackendError) as caught:
        await asyncio.wait_for(fetch(backend, url, **more), 60)
    assert "\n" not in caught.value.detail
    return caught.value


async def refusal(backend, exchange):
    """The BackendError that `send` itself raises."""
    with pytest.raises(BackendError) as caught:
        await asyncio.wait_for(send(backend, exchange, Timing()), 10)
    return caught.value


@asynccontextmanager
async def session(name, **options):
    pytest.importorskip(LIBRARIES.get(name, name))
    backend = open_backend(SessionKey(name, **options))
    try:
        yield backend
    finally:
        await backend.aclose()
        await backend.aclose()
        # What a library closed by call_soon is gone after a turn or two.
        for _ in range(3):
            await asyncio.sleep(0)


async def until(condition, timeout=60.0):  # noqa: ASYNC109 - a bound, not a promise
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in foreign code
            await asyncio.sleep(0.01)


def headers(stream):
    """The field lines of an answer as text."""
    return [(key.decode("latin-1"), value.decode("latin-1")) for key, value in stream.fields]


def keeps_heads(name):
    """Whether the library hands on an answer's head as it came; urllib3-future, of niquests, does not."""
    return name != "niquests" and (name != "requests" or find_spec("urllib3_future") is None)


def is_plain(name):
    """Whether this is requests on urllib3 itself, over the standard library's http.client."""
    return name == "requests" and find_spec("urllib3_future") is None


class Tools:
    """What tests here use; conftest is no module to import from."""

    OK = OK
    listening = staticmethod(listening)
    answering = staticmethod(answering)
    exchange = staticmethod(exchange)
    read_all = staticmethod(read_all)
    fetch = staticmethod(fetch)
    failure = staticmethod(failure)
    refusal = staticmethod(refusal)
    session = staticmethod(session)
    is_plain = staticmethod(is_plain)
    keeps_heads = staticmethod(keeps_heads)
    send = staticmethod(send)
    headers = staticmethod(headers)
    until = staticmethod(until)


@pytest.fixture
def wire():
    return Tools


@pytest.fixture(params=BACKENDS)
def name(request):
    pytest.importorskip(LIBRARIES.get(request.param, request.param))
    return request.param


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture
def server_tls(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    context.set_alpn_protocols(["http/1.1"])
    return context


@pytest.fixture
def bundle(authority, tmp_path):
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)
