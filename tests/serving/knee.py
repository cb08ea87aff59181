"""A server that does so many requests at once and no more: the rest wait there, or are refused with 503."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from serving.counting import CountingServer


@dataclass
class KneeServer(CountingServer):
    """As `CountingServer`, with a bound; use as a context manager.

    Attributes:
        knee: Requests done at once, None for any number.
        refuses: What is too many gets 503 at once, in place of waiting.
        statuses: How often each status was answered.
    """

    knee: int | None = None
    refuses: bool = False
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def refused_share(self) -> float:
        """Share of the answers that were 429 or 503."""
        return (self.statuses[429] + self.statuses[503]) / max(1, self.statuses.total())

    async def _serve(self, ready) -> None:
        self._places = asyncio.Semaphore(self.knee or 10_000)
        await super()._serve(ready)

    async def _answer(self, path: str) -> tuple[int, bytes]:
        if self.refuses and self._places.locked():
            answer = 503, b'{"status": 503}'
        else:
            async with self._places:
                answer = await super()._answer(path)
        self.statuses[answer[0]] += 1
        return answer
