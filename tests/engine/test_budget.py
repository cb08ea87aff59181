"""What a plain good request may cost in our own Python: calls a request, counted, not timed."""

from __future__ import annotations

import sys
import threading
from importlib.util import find_spec

import pytest
from benchmarks.server import small_server

import fastreq_jupyter
from fastreq_jupyter import fastreq_async

PACKAGE = fastreq_jupyter.__name__
FEW, MANY = 100, 300
# Calls a request of functions of this package from URL to frame: the backend, at 1 at a time, at 50.
# aiohttp and niquests are exact to one; with threads and libcurl it depends on how many events the loop finds at once.
BUDGETS = {"curl": (90, 85), "aiohttp": (65, 66), "niquests": (83, 83), "requests": (98, 98)}
LIBRARIES = {"curl": "pycurl"}


class Counter:
    """Calls of Python functions, resumed coroutines included, in this thread and those that start within.

    What dataclasses generate counts as ours: its file is "<string>", but its module is known.
    """

    def __init__(self):
        self.ours = self.all = 0

    def __call__(self, frame, event, argument):
        if event == "call":
            self.all += 1
            self.ours += frame.f_globals.get("__name__", "").startswith(PACKAGE)

    def __enter__(self):
        threading.setprofile(self)
        sys.setprofile(self)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)
        threading.setprofile(None)


async def calls_a_request(url: str, backend: str, concurrency: int) -> tuple[float, float]:
    """Return what a further request costs, ours and all; what a run, a connection or an import costs falls out."""

    async def marks() -> list[tuple[int, int]]:
        marks = []
        for number in (FEW, FEW, MANY):
            urls = [f"{url}/200.json?n={i}" for i in range(number)]
            frame = await fastreq_async(urls, backend=backend, concurrency=concurrency, timings=True, progress="none")
            assert frame["ok"].all()
            marks.append((counter.ours, counter.all))
        return marks

    with Counter() as counter:
        warm, few, many = await marks()
    ours, total = (((many[i] - few[i]) - (few[i] - warm[i])) / (MANY - FEW) for i in (0, 1))
    return ours, total


@pytest.fixture(scope="module")
def url():
    with small_server(0) as url:
        yield url


@pytest.mark.parametrize("concurrency", [1, 50])
@pytest.mark.parametrize("backend", BUDGETS)
async def test_a_plain_good_request_keeps_to_its_budget_of_calls(url, backend, concurrency, measured):
    if find_spec(LIBRARIES.get(backend, backend)) is None or find_spec(f"fastreq_jupyter.backends.{backend}") is None:
        pytest.skip(f"{backend} is not installed")
    ours, total = await calls_a_request(url, backend, concurrency)
    measured("Python calls a request", f"{backend}, {concurrency} at a time", f"{ours:.1f} ours, {total:.1f} with the libraries'")
    assert ours <= BUDGETS[backend][0 if concurrency == 1 else 1]
