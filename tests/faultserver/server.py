"""The machine: listeners on a thread with a loop of its own, one origin per door, scripts that get raw connections."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from serving.counting import close_listener

from faultserver.certificates import server_context
from faultserver.wire import read_request

__all__ = ["Arrival", "Call", "Door", "FaultServer", "Link", "Script", "routes"]

MAX_HEAD = 1 << 20


@dataclass(slots=True)
class Link:
    """Log one TCP connection; times are `time.monotonic` seconds."""

    number: int
    opened_at: float
    peer_port: int
    closed_at: float | None = None
    received: bytearray = field(default_factory=bytearray)
    """What came in where the script speaks no HTTP (silent doors, proxies, tunnels)."""
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Arrival:
    """Log one request as it arrived."""

    at: float
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    link: Link
    number: int
    """How many requests this door had got, this one included."""
    nth_on_link: int
    raw_head: bytes = b""

    def header(self, name: str) -> str | None:
        """Return the first field value of that name, any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def path(self) -> str:
        """Return the target without its query."""
        return self.target.partition("?")[0]


class Call:
    """Let a script answer one request, byte by byte."""

    def __init__(self, door: Door, arrival: Arrival, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.door, self.request, self.reader, self.writer = door, arrival, reader, writer
        self.keep = True

    @property
    def number(self) -> int:
        """Return how many requests this door had got, this one included."""
        return self.request.number

    @property
    def random(self) -> random.Random:
        """Return the door's generator: seeded, so that failures come in the same order each time."""
        return self.door.random

    async def send(self, data: bytes) -> None:
        """Write and wait until the system took it."""
        self.writer.write(data)
        await self.writer.drain()

    def close(self) -> None:
        """Close after what was written (FIN)."""
        self.keep = False
        self.writer.close()

    def reset(self) -> None:
        """Tear the connection down at once (RST)."""
        self.keep = False
        raw = self.writer.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def gone(self) -> None:
        """Wait until the client closes; what it still sends is logged."""
        with contextlib.suppress(OSError, ssl.SSLError):
            while data := await self.reader.read(65536):
                self.request.link.received += data
        self.keep = False


Script = Callable[[Call], Awaitable[None]]
RawScript = Callable[["Door", Link, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Door:
    """Be one origin: a listener with its own port, script and log."""

    def __init__(
        self, server: FaultServer, name: str, script: Script | None, raw: RawScript | None, *, tls: str | ssl.SSLContext | None, seed: int
    ) -> None:
        self.server, self.name, self.script, self.raw, self.tls = server, name, script, raw, tls
        self.random = random.Random(seed)
        self.arrivals: list[Arrival] = []
        self.links: list[Link] = []
        self.in_flight = 0
        self.peak = 0
        self.host = "127.0.0.1"
        self.port = 0
        self.listener: asyncio.Server | None = None

    def url(self, path: str = "/", host: str | None = None) -> str:
        """Return the URL of a path at this door."""
        return f"{self.origin(host)}{path}"

    def origin(self, host: str | None = None) -> str:
        """Return scheme, host and port; `host` may be another name of this machine."""
        return f"{'https' if self.tls else 'http'}://{host or self.host}:{self.port}"

    def count(self, method: str | None = None, path: str | None = None) -> int:
        """Return how many requests arrived, by method and path where given."""
        return sum((method in (None, a.method)) and (path in (None, a.path)) for a in tuple(self.arrivals))

    def times(self, path: str | None = None) -> list[float]:
        """Return when requests arrived, monotonic seconds."""
        return [a.at for a in tuple(self.arrivals) if path in (None, a.path)]

    @property
    def open_links(self) -> int:
        """Return how many connections are open now."""
        return sum(link.closed_at is None for link in tuple(self.links))

    def wait(self, predicate: Callable[[Door], bool], timeout: float = 60) -> bool:
        """Block another thread until the log says so; returns whether it did in time."""
        end = time.monotonic() + timeout
        while not predicate(self):
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        return True

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        peer = writer.get_extra_info("peername") or ("", 0)
        link = Link(len(self.links) + 1, time.monotonic(), peer[1])
        self.links.append(link)
        try:
            if self.raw is not None:
                await self.raw(self, link, reader, writer)
            else:
                await self._serve(link, reader, writer)
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            # The server ends: nobody waits for what a closing would still have to write.
            writer.transport.abort()
        finally:
            link.closed_at = time.monotonic()
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()

    async def _serve(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self.script is not None
        while (call := await self._next_call(link, reader, writer)) is not None:
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
            try:
                await self.script(call)
            finally:
                self.in_flight -= 1
            if not call.keep or (call.request.header("connection") or "").lower() == "close":
                return

    async def _next_call(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Call | None:
        parsed = await read_request(reader)
        if parsed is None:
            return None
        link.requests += 1
        method, target, headers, body, head = parsed
        arrival = Arrival(
            time.monotonic(), method, target, headers, body, link, len(self.arrivals) + 1, link.requests, head,
        )  # fmt: skip
        self.arrivals.append(arrival)
        return Call(self, arrival, reader, writer)


def routes(table: Mapping[str, Script], default: Script | None = None) -> Script:
    """Return a script that chooses by path; an unknown one is answered 404."""

    async def choose(call: Call) -> None:
        script = table.get(call.request.path, default)
        if script is None:
            await call.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        else:
            await script(call)

    return choose


class FaultServer:
    """Run doors on a daemon thread of its own, so that blocking clients and other loops can be tested."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.doors: list[Door] = []
        self._thread = threading.Thread(target=self.loop.run_forever, name="faultserver", daemon=True)
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        self.loop.set_exception_handler(lambda _loop, _context: None)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close every listener and connection, end the thread."""
        asyncio.run_coroutine_threadsafe(self._stop(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()
        for raw in self._sockets:
            raw.close()

    async def _stop(self) -> None:
        await close_listener(*(door.listener for door in self.doors if door.listener is not None))
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # What is closed by call_soon is gone after a turn or two.
        for _ in range(3):
            await asyncio.sleep(0)

    def open(
        self, script: Script | None = None, *, raw: RawScript | None = None, name: str = "", tls: str | ssl.SSLContext | None = None, seed: int = 1, host: str = "127.0.0.1",
    ) -> Door:  # fmt: skip
        """Open a door.

        Args:
            script: Answers each request; `raw` gets the bare connection instead.
            tls: Kind of certificate (see `certificates.KINDS`) or a context of one's own; None for plain HTTP.
            seed: Of the door's random generator.
            host: Address to listen on, another of 127.0.0.0/8 for another host.
        """
        door = Door(self, name, script, raw, tls=tls, seed=seed)
        door.host = host
        asyncio.run_coroutine_threadsafe(self._listen(door), self.loop).result(10)
        self.doors.append(door)
        return door

    async def _listen(self, door: Door) -> None:
        context = server_context(door.tls) if isinstance(door.tls, str) else door.tls
        door.listener = await asyncio.start_server(door.handle, door.host, 0, limit=MAX_HEAD, ssl=context, backlog=1024)
        door.port = door.listener.sockets[0].getsockname()[1]

    def close(self, door: Door) -> None:
        """Stop listening at a door: its port then refuses connections."""
        assert door.listener is not None
        self.loop.call_soon_threadsafe(door.listener.close)

    def refused_port(self) -> int:
        """Return a port that is bound but not listened on: connections are refused, nobody else can take it."""
        raw = socket.socket()
        raw.bind(("127.0.0.1", 0))
        self._sockets.append(raw)
        return int(raw.getsockname()[1])

    def full_port(self) -> int:
        """Return a port whose queue of connections is full: a connect gets no answer."""
        raw = socket.socket()
        raw.bind(("127.0.0.1", 0))
        raw.listen(0)
        self._sockets.append(raw)
        port = int(raw.getsockname()[1])
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(("127.0.0.1", port))
            self._sockets.append(filler)
        time.sleep(0.05)
        return port
