"""All that the benchmarks know of the inside of fastreq_jupyter; the rest uses its public names."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from math import nan
from time import perf_counter

from fastreq_jupyter.backends.base import SessionKey, open_backend
from fastreq_jupyter.exchange import Exchange, Timing
from fastreq_jupyter.frame.build import to_frame
from fastreq_jupyter.model import Attempt, Outcome, Request, Response, SingleAttempt
from fastreq_jupyter.options import Options
from fastreq_jupyter.url import parse_target

HEADERS = (("User-Agent", "fastreq-jupyter"), ("Accept", "*/*"), ("Accept-Encoding", "gzip, deflate"))
START = datetime(2026, 11, 3, 9, 12, tzinfo=UTC)
FIELDS = (
    (b"Date", b"Tue, 03 Nov 2026 09:12:00 GMT"),
    (b"Server", b"nginx"),
    (b"Content-Type", b"application/json; charset=utf-8"),
    (b"Content-Length", b"200"),
    (b"Connection", b"keep-alive"),
)


async def bodies_of(urls: list[str], backend: str, concurrency: int, ca: str | None) -> list[bytes]:
    """Return the bodies, fetched by N workers on a backend without the engine."""
    session = open_backend(SessionKey(backend, verify=ca or True))
    session.reserve(concurrency)
    targets = map(parse_target, urls)
    bodies = []

    async def work() -> None:
        for target in targets:
            stream = await session.send(Exchange("GET", target, HEADERS), Timing(perf_counter()))
            body = stream.take()
            if body is None:
                parts = []
                while part := await stream.read():
                    parts.append(part)
                body = b"".join(parts)
            stream.close()
            bodies.append(body)

    try:
        await asyncio.gather(*[work() for _ in range(concurrency)])
    finally:
        await session.aclose()
    return bodies


def outcomes(count: int) -> list[Outcome]:
    """Return what a run of so many requests leaves behind, one in twenty a time-out."""
    return [_outcome(i) for i in range(count)]


def frame_of(rows: list[Outcome]):
    """Return the frame of a run."""
    return to_frame(rows, Options.of(columns="all"))


def _outcome(i: int) -> Outcome:
    request = Request("GET", f"http://127.0.0.1:8000/items/{i}?page={i % 7}")
    start = i * 0.001
    marks = Timing(start, nan, nan, nan, nan, nan, start + 0.0001, start + 0.015, start + 0.02, reused=True, encrypted=False)
    started_at = START + timedelta(microseconds=137 * i)
    if i % 20 == 0:
        attempt = Attempt(1, started_at, start, start + 0.02, 0.001, (marks,), 200)
        return Outcome(i, request, (attempt,), None, None, "timeout", "no answer in 30 s")
    single = SingleAttempt(int(started_at.timestamp()) * 1_000_000 + started_at.microsecond, start, 0.001, marks, 200)
    response = Response(200, FIELDS, request.url, None, 200, content_type="application/json; charset=utf-8")
    return Outcome(i, request, single, response, {"id": i, "tags": ["a", "b"]})
