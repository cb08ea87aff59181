"""Outcomes, and requests under way, with figures that can be told by heart."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import isnan, nan
from typing import TYPE_CHECKING

from fastreq_jupyter.engine.progress import Progress, UnderWay
from fastreq_jupyter.exchange import Timing
from fastreq_jupyter.model import Attempt, Outcome, Request, Response
from fastreq_jupyter.notebook.monitor.feed import Feed, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

BEGAN = 1000.0
NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


def timing(start: float, *, fresh: bool = True, wait: float = 0.05, receive: float = 0.01) -> Timing:
    """One hop: 2 ms of DNS, 3 of connect, 4 of TLS on a fresh connection."""
    if not fresh:
        return Timing(start, nan, nan, nan, nan, nan, start, start + wait, start + wait + receive, reused=True, encrypted=True)
    dns, connected, secured = start + 0.002, start + 0.005, start + 0.009
    sent = secured + wait
    return Timing(start, start, dns, dns, connected, secured, secured, sent, sent + receive, reused=False, encrypted=True)


def attempt(
    number: int, at: float, *, status: int | None = 200, error: str | None = None, retry_wait: float = 0.0, fresh: bool = True
) -> Attempt:
    """An attempt that began `at` seconds into the run, after 1 ms in the queue."""
    hop = timing(BEGAN + at, fresh=fresh)
    return Attempt(
        number,
        NOON + timedelta(seconds=at),
        BEGAN + at,
        hop.response_end,
        0.001,
        (hop,),
        status,
        error,
        error and f"cause of {error}",
        retry_wait,
    )


def outcome(position: int, request: Request, attempts: tuple[Attempt, ...], *, content: bytes = b'{"id": 1}') -> Outcome:
    """What became of a request, told by its last attempt."""
    last = attempts[-1]
    response = (
        None if last.status is None else Response(last.status, (("Content-Type", "application/json"),), request.url, content, len(content))
    )
    return Outcome(position, request, attempts, response, None, last.error, last.error_detail)


def in_flight(position: int, request: Request, at: float, *, ended: tuple[Attempt, ...] = (), head_after: float = nan) -> UnderWay:
    """A request whose newest try began `at` seconds into the run; the head came `head_after` that, or has not come."""
    return UnderWay(position, request, ended, BEGAN + at, None if isnan(head_after) else 200, BEGAN + at + head_after)


def parked(position: int, request: Request, ended: tuple[Attempt, ...]) -> UnderWay:
    """A request that waits for its next try."""
    return UnderWay(position, request, ended, None, None, nan)


def stages_of(one: Outcome) -> list[UnderWay]:
    """Everything that a request can be seen as before it has its outcome, in order."""
    stages = []
    for i, made in enumerate(one.attempts):
        at, before = made.start - BEGAN, one.attempts[:i]
        stages.append(in_flight(one.position, one.request, at, ended=before))
        if made.status is not None:
            stages.append(in_flight(one.position, one.request, at, ended=before, head_after=made.hops[-1].response_start - made.start))
        if made.retry_wait:
            stages.append(parked(one.position, one.request, one.attempts[: i + 1]))
    return stages


def many(count: int, *, host: str = "https://api.example.org", apart: float = 0.002) -> list[Outcome]:
    """As many good outcomes as asked for, every tenth with a retry, every fiftieth failed."""
    made = []
    for i in range(count):
        request = Request("GET", f"{host}/orders/{i}")
        first = attempt(1, i * apart, fresh=i < 20)
        if i % 50 == 7:
            attempts = (replace(first, status=404, error="http 404", error_detail="Not Found"),)
        elif i % 10 == 3:
            attempts = (replace(first, status=503, error="http 503", retry_wait=0.2), attempt(2, i * apart + 0.35, fresh=False))
        else:
            attempts = (first,)
        made.append(outcome(i, request, attempts))
    return made


def progress(**changed: object) -> Progress:
    """A progress with a figure of its own in each field."""
    base = Progress(
        total=10,
        done=4,
        ok=3,
        failed=1,
        retried=2,
        in_flight=5,
        waiting=1,
        bytes=1234,
        elapsed_s=1.5,
        per_second=2.5,
        eta_s=2.4,
        notice=None,
    )
    return replace(base, **changed)


def status(state: str = "RUNNING", **changed: object) -> Status:
    """What is said about such a run."""
    return Status(state, progress(**changed), {"concurrency": 20, "auto": "", "rate_limit": ""})


def fed(outcomes: Iterable[Outcome], *, row_limit: int = 1000) -> Feed:
    """A feed that has heard of a whole run."""
    feed = Feed("run-1", name="orders", row_limit=row_limit)
    feed.take(BEGAN, list(outcomes))
    return feed
