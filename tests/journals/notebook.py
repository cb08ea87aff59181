"""A journal in use: requests, answers, and who plays the engine."""

import sqlite3
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import time

from fastreq_jupyter.exchange import Timing
from fastreq_jupyter.journal import Journal
from fastreq_jupyter.model import Attempt, Outcome, Request, Response
from fastreq_jupyter.options import Options

NOON = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)


def answer(
    request, position=0, *, body=b'{"a": 1}', status=200, error=None, headers=(("Content-Type", "application/json"),), sent=True, path=None
):
    hop = Timing(fetch_start=100.0, request_start=100.1, response_start=100.3, response_end=100.4, reused=False, encrypted=None)
    attempt = Attempt(1, NOON, 100.0, 100.5, queued=0.25, hops=(hop,), status=status, error=error, sent=sent)
    response = None
    if status is not None:
        response = Response(status, headers, request.url, size_bytes=len(body or b""), reason="OK", path=path)
    return Outcome(position, request, (attempt,), response, error=error, error_detail=error and "why")


class Notebook:
    """Runs requests against one journal, as an engine would; `sent` collects what left."""

    def __init__(self, path):
        self.path = path
        self.sent = []
        self.notes = []
        self.news = []

    async def run(self, requests, *, reply=None, clock=time, again=None, positions=None, **options):
        journal = partial(Journal, Options.of(journal=str(self.path), **options), clock, resent=again)
        reply = reply or (lambda request, position: (answer(request, position), b'{"a": 1}'))
        return await self.go(journal, zip(positions or range(len(requests)), requests, strict=True), reply)

    async def go(self, opened, numbered, reply):
        journal = opened()
        try:
            rows = [await self.one(journal, request, position, reply) for position, request in numbered]
        finally:
            await journal.close()
            self.notes = journal.notes()
            self.news = journal.news()
        return rows

    async def one(self, journal, request, position, reply):
        known = journal.find(request, position)
        if known is not None:
            return known
        if not request.idempotent:
            await journal.begin(request, position)
        self.sent.append(request.url)
        said = reply(request, position)
        if said is None:
            return None
        outcome, content = said
        await journal.finish(outcome, content)
        return outcome


def rows_in(path):
    with sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT url, done FROM answers").fetchall()
    connection.close()
    return rows


def get(number):
    return Request("GET", f"http://h.example/items/{number}")


def post(number):
    return Request("POST", f"http://h.example/orders/{number}", data=b"x")
