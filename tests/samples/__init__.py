"""Outcomes made by hand, for tests of what is built from them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from math import nan
from typing import Any

from fastreq_jupyter.exchange import Timing
from fastreq_jupyter.model import Attempt, Outcome, Request, Response

START = datetime(2026, 11, 3, 9, 12, 0, 123456, tzinfo=UTC)
JSON_TYPE = ("Content-Type", "application/json; charset=utf-8")


def timing(
    start: float, *, dns: float = 0.001, connect: float = 0.002, tls: float = 0.003, wait: float = 0.05, receive: float = 0.01
) -> Timing:
    """Return the marks of one hop whose phases follow each other without a gap."""
    looked_up = start + dns
    tcp = looked_up + connect
    ready = tcp + tls
    answered = ready + wait
    return Timing(start, start, looked_up, looked_up, tcp, ready, ready, answered, answered + receive, reused=False, encrypted=True)


def attempt(number: int = 1, start: float = 10.0, *, hops: tuple[Timing, ...] | None = None, **more: Any) -> Attempt:
    """Return a try that ends with its last hop."""
    hops = (timing(start),) if hops is None else hops
    end = hops[-1].response_end if hops else start + 0.1
    given = {"end": end, "queued": 0.004, "hops": hops, "status": 200} | more
    return Attempt(number, START + timedelta(seconds=start), start, **given)


def good(position: int = 0, data: Any = None, url: str = "https://api.test/items/{}", **more: Any) -> Outcome:
    """Return a request that was answered with 200 and JSON at the first try."""
    request = more.pop("request", None) or Request("GET", url.format(position))
    content = data if isinstance(data, bytes) else json.dumps(data).encode()
    response = more.pop("response", None) or Response(200, (JSON_TYPE,), request.url, None, len(content))
    given = {"attempts": (attempt(start=10.0 + position),), "response": response, "data": data} | more
    return Outcome(position, request, **given)


def failed(position: int = 0, error: str = "http 503", data: Any = None, **more: Any) -> Outcome:
    """Return a request that was answered with an error status, or not at all where the error is another."""
    request = more.pop("request", None) or Request("GET", f"https://api.test/items/{position}")
    status = int(error[5:]) if error.startswith("http ") else None
    response = None if status is None else Response(status, (JSON_TYPE,), request.url, None, 2)
    detail = more.pop("error_detail", "the server is busy")
    given = {"attempts": (attempt(start=10.0 + position, status=status, error=error),), "response": response} | more
    return Outcome(position, request, data=data, error=error, error_detail=detail, **given)


def unsent(position: int = 0, error: str = "cancelled") -> Outcome:
    """Return a request that never left."""
    return Outcome(position, Request("POST", f"https://api.test/items/{position}"), error=error, error_detail="the run was cancelled")


__all__ = ["JSON_TYPE", "START", "attempt", "failed", "good", "nan", "timing", "unsent"]
