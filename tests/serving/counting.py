"""A server that answers and measures: what arrived, when, on which connection, and how much at once.

Byte level and of our own, so that nothing under test also does the measuring. Its paths:

    /delay/SECONDS     200 after that time
    /status/CODE       that status
    /flaky/N/...       503 for the first N requests of this path, then 200
    anything else      200 at once
Each 200 is JSON: {"path": target, "number": which request of this path it was}.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Self

BODILESS = {204, 304}


async def close_listener(*servers: asyncio.Server) -> None:
    """Close servers of the running loop; asyncio loses a socket that was accepted just before: accept no more, let those arrive."""
    loop = asyncio.get_running_loop()
    for server in servers:
        for sock in server.sockets:
            loop.remove_reader(sock.fileno())
    for _ in range(5):
        await asyncio.sleep(0)
    for server in servers:
        server.close()


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request as it was read; `at` is seconds of `time.monotonic`, `connection` counts from 1."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    connection: int


@dataclass
class CountingServer:
    """Serve on 127.0.0.1 from a thread of its own; use as a context manager."""

    delay: float = 0.0
    together: int = 0
    """No answer leaves before so many requests were in flight at once."""
    arrivals: list[Arrival] = field(default_factory=list)
    peak: int = 0
    in_flight: int = 0
    connections: int = 0
    url: str = ""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve(ready)), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    @property
    def paths(self) -> Counter[str]:
        """How often each path was asked for."""
        return Counter(arrival.path for arrival in self.arrivals)

    @property
    def times(self) -> list[float]:
        """Arrival times in seconds, from the first request."""
        return [arrival.at - self.arrivals[0].at for arrival in self.arrivals]

    def most_within(self, window: float) -> int:
        """Largest number of requests that arrived in any half-open window of so many seconds."""
        times = self.times
        return max((sum(start <= at < start + window for at in times) for start in times), default=0)

    def reset(self) -> None:
        """Forget what was measured."""
        self.arrivals.clear()
        self.peak = self.in_flight

    async def _serve(self, ready: threading.Event) -> None:
        transports: set[asyncio.BaseTransport] = set()

        class Connection(asyncio.StreamReaderProtocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                transports.add(transport)
                super().connection_made(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                transports.discard(self._transport)
                super().connection_lost(exc)

        server = await self._loop.create_server(
            lambda: Connection(asyncio.StreamReader(limit=2**20), self._connection), "127.0.0.1", 0, backlog=2048
        )
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        await self._stop.wait()
        await close_listener(server)
        mine = asyncio.current_task()
        open_ones = [task for task in asyncio.all_tasks() if task is not mine]
        for task in open_ones:
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)
        while transports:
            for transport in list(transports):
                transport.abort()
            await asyncio.sleep(0)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                arrival = await self._read(reader, number)
                self.arrivals.append(arrival)
                self.in_flight += 1
                self.peak = max(self.peak, self.in_flight)
                try:
                    status, body = await self._answer(arrival.path)
                finally:
                    self.in_flight -= 1
                writer.write(_response(status, b"" if arrival.method == "HEAD" else body, len(body)))
                await writer.drain()
        writer.close()

    async def _read(self, reader: asyncio.StreamReader, connection: int) -> Arrival:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await _read_body(reader, headers)
        return Arrival(method, path, headers, body, time.monotonic(), connection)

    async def _answer(self, path: str) -> tuple[int, bytes]:
        kind, _, rest = path.lstrip("/").partition("?")[0].partition("/")
        number = self.paths[path]
        while self.peak < self.together:  # noqa: ASYNC110 - a server's thread
            await asyncio.sleep(0.005)
        await asyncio.sleep(float(rest) if kind == "delay" else self.delay)
        if kind == "status":
            return int(rest), b"" if int(rest) in BODILESS else json.dumps({"status": int(rest)}).encode()
        if kind == "flaky" and number <= int(rest.partition("/")[0]):
            return 503, b'{"status": 503}'
        return 200, json.dumps({"path": path, "number": number}).encode()


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    body = b""
    while size := int((await reader.readline()).partition(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    while (await reader.readline()).strip():
        pass
    return body


def _response(status: int, body: bytes, length: int) -> bytes:
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
    if status not in BODILESS:
        head += f"Content-Type: application/json\r\nContent-Length: {length}\r\n"
    return head.encode() + b"\r\n" + body
