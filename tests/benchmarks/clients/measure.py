"""One sample: what a client costs its own process. Standard library alone, so that it runs in every environment.

A client is a file with `run(job)`, plain or async, that returns what it kept, one item per URL. Started as a script it
takes the arguments of `job` and prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import inspect
import json
import resource
import sys
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable


def job(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return what a client is to do: `urls`, `concurrency` and the options below."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url", help="requested `count` times, each time with another query")
    parser.add_argument("count", type=int)
    parser.add_argument("concurrency", type=int)
    parser.add_argument("--warm", help="another origin: late imports and caches are paid there, before the clock runs")
    parser.add_argument("--ca", help="PEM file of the authority to trust")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--progress", default="none")
    parsed = parser.parse_args(arguments)
    parsed.urls = [f"{parsed.url}?n={i}" for i in range(parsed.count)]
    return parsed


def warm_job(of: argparse.Namespace) -> argparse.Namespace:
    """Return the few requests that go before."""
    count = min(of.count, 2 * of.concurrency)
    return argparse.Namespace(**{**vars(of), "urls": [f"{of.warm or of.url}?warm={i}" for i in range(count)], "count": count})


class Clock:
    """CPU time, wall time and memory of this process within a `with` block."""

    def __enter__(self) -> Self:
        gc.collect()
        self._resident = _kib("VmRSS")
        self._cpu, self._wall = _cpu(), perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.cpu = perf_counter() - self._wall, _cpu() - self._cpu
        self.peak = _kib("VmHWM")

    def figures(self, kept: Any, count: int) -> dict[str, float]:
        """Return the sample; `kept` is what the client gave back, held in memory until now."""
        gc.collect()
        return {
            "count": count,
            "kept": len(kept),
            "cpu": self.cpu,
            "wall": self.wall,
            "peak_kib": self.peak,
            "held_kib": _kib("VmRSS") - self._resident,
        }


def main(run: Callable[[argparse.Namespace], Any]) -> None:
    """Measure `run` in this process and print the sample."""
    todo = job()

    def work(some: argparse.Namespace) -> Any:
        result = run(some)
        return asyncio.run(result) if inspect.iscoroutine(result) else result

    work(warm_job(todo))
    with Clock() as clock:
        kept = work(todo)
    print(json.dumps(clock.figures(kept, todo.count)))


async def sample(run: Callable[[argparse.Namespace], Any], arguments: list[str]) -> None:
    """Do the same on a running loop: a notebook's."""
    todo = job(arguments)
    for some, clock in ((warm_job(todo), Clock()), (todo, Clock())):
        with clock:
            kept = run(some)
            if inspect.isawaitable(kept):
                kept = await kept
    print(json.dumps(clock.figures(kept, todo.count)))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _kib(field: str) -> int:
    # Not ru_maxrss of getrusage on Linux: it begins with the parent's.
    status = Path("/proc/self/status")
    if status.exists():
        return int(next(line.split()[1] for line in status.read_text().splitlines() if line.startswith(field)))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most // 1024 if sys.platform == "darwin" else most
