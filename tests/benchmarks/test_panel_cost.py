"""What the panel costs the engine, in the panel's worst case: a server that answers at once, so that nothing hides in waiting.

The promise is a tenth of the throughput. It is held by the share of the CPU time that goes into watching, since engine and
panel are then measured in the same seconds; with and without a panel, interleaved, is measured beside it and scatters more.
"""

from __future__ import annotations

import asyncio
import json
import time
from statistics import median

import pytest

from fastreq_jupyter.engine.engine import engine_here
from fastreq_jupyter.model import Plan, Request
from fastreq_jupyter.notebook.monitor.watch import Watch
from fastreq_jupyter.options import Options

REQUESTS = 2000
ROUNDS = 6
MOST = 1.10


class Timed(Watch):
    """A watch that knows what CPU time it took; its messages are laid out as a kernel lays them out, and go nowhere."""

    def __init__(self, run):
        self.seconds = 0.0
        self.told = 0
        super().__init__(run, self._pack)
        run.finished.add_done_callback(lambda _: self._clocked(self.finish, run))
        self.start()

    def _pack(self, message):
        self.told += len(json.dumps({"method": "custom", "content": message.content})) + sum(map(len, message.buffers))

    def _look(self):
        self._clocked(super()._look)

    def _clocked(self, work, *given):
        before = time.process_time()
        work(*given)
        self.seconds += time.process_time() - before


def cpu(urls: list[str], backend: str, *, watched: bool) -> tuple[float, float]:
    """Return the CPU seconds of a run, and those of them that watching took."""

    async def go() -> float:
        plan = Plan([Request("GET", url) for url in urls], Options.of(backend=backend, concurrency=50), total=len(urls))
        run = engine_here().submit(plan, present=lambda run: run.rows)
        watch = Timed(run) if watched else None
        assert all(row.ok for row in await run)
        assert watch is None or watch.told > 100 * len(urls)
        return 0.0 if watch is None else watch.seconds

    before = time.process_time()
    watching = asyncio.run(go())
    return time.process_time() - before, watching


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aiohttp", "niquests", "requests"])
def test_the_panel_costs_the_engine_at_most_a_tenth(instant, backend, measured):
    urls = [f"{instant}/orders/{i}?page=1" for i in range(REQUESTS)]
    cpu(urls, backend, watched=True)
    watched, alone = [], []
    for turn in range(ROUNDS):
        for with_panel in (True, False) if turn % 2 else (False, True):
            (watched if with_panel else alone).append(cpu(urls, backend, watched=with_panel))
    share = median(spent / (spent - watching) for spent, watching in watched)
    least = min(spent for spent, _ in watched) / min(spent for spent, _ in alone)
    each = median(watching for _, watching in watched) / REQUESTS * 1e6
    measured(
        "CPU with the panel / without", backend, f"{share:.3f} by share ({each:.0f} us a request), {least:.3f} best of {ROUNDS} rounds"
    )
    assert share <= MOST
