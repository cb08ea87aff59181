"""A run that is only played: as many requests as wanted, at any pace, without a network. For pictures and measurements."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.engine import Gist, gist_of
from fastreq_jupyter.engine.progress import Progress, UnderWay
from fastreq_jupyter.options import Options
from synthetic import runs

if TYPE_CHECKING:
    from fastreq_jupyter.model import Outcome


class PlayedRun:
    """Be as much of a run as a panel shows.

    Args:
        count: Number of requests.
        seconds: How long it plays; 0 means that all is over when it is made.
    """

    def __init__(self, count: int, seconds: float = 0.0, *, name: str = "played") -> None:
        self.id = f"{name}-{count}-{perf_counter()}"
        self.name = name
        self.options = Options()
        self.auto = self.sink = None
        self.forgotten = 0
        self.state = "RUNNING" if seconds else "DONE"
        self.finished: Future[None] = Future()
        self.outcomes: list[Outcome] = []
        self._count, self._seconds = count, seconds
        self._flying: list[UnderWay] = []
        self.began = perf_counter()
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        if seconds:
            self.loop.call_soon_threadsafe(lambda: self.loop.create_task(self._play()))
        else:
            self.began = runs.BEGAN
            self.outcomes = runs.many(count)
            self.finished.set_result(None)

    @property
    def done(self) -> bool:
        return self.finished.done()

    @property
    def progress(self) -> Progress:
        done = len(self.outcomes)
        elapsed = perf_counter() - self.began if not self.done else self._seconds or self._count * 0.002
        failed = done // 50
        return Progress(self._count, done, done - failed, failed, done // 10, 20, 3, done * 9, elapsed, done / max(elapsed, 0.1), 1.0, None)

    @property
    def rows(self) -> list[Outcome]:
        return self.outcomes

    def gist(self) -> Gist:
        return gist_of(self.outcomes)

    def summary(self) -> dict[str, Any]:
        return {"notes": []}

    def completed(self, since: int, most: int | None = None) -> list[Outcome]:
        return self.outcomes[since : None if most is None else since + most]

    def under_way(self) -> list[UnderWay]:
        return self._flying

    def closing_line(self) -> str:
        return f"{self.name}: {len(self.outcomes):,} requests played"

    def cancel(self) -> None:
        self.state = "CANCELLING"

    async def _play(self) -> None:
        self.began = perf_counter()
        shift = self.began - runs.BEGAN
        made = runs.many(self._count, apart=self._seconds / self._count)
        for i, one in enumerate(made):
            self.outcomes.append(_moved(one, shift))
            ahead = self.began + i * self._seconds / self._count - perf_counter()
            if ahead > 0.005 or i % 50 == 0:
                self._flying = [runs.stages_of(_moved(later, shift))[0] for later in made[i + 1 : i + 4]]
                await asyncio.sleep(max(0, ahead))
            if self.state == "CANCELLING":
                break
        self._flying = []
        self.state = "CANCELLED" if self.state == "CANCELLING" else "DONE"
        self.finished.set_result(None)


def _moved(one: Outcome, by: float) -> Outcome:
    """Put an outcome to another time."""
    times = ("fetch_start", "domain_lookup_start", "domain_lookup_end", "connect_start", "secure_connection_start", "connect_end", "request_start", "response_start", "response_end")  # fmt: skip
    attempts: list[Any] = []
    for made in one.attempts:
        hops = tuple(replace(hop, **{name: getattr(hop, name) + by for name in times}) for hop in made.hops)
        attempts.append(replace(made, start=made.start + by, end=made.end + by, hops=hops))
    return replace(one, attempts=tuple(attempts))
