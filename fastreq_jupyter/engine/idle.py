"""Workers that have nothing to do, and what wakes them."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Idle"]


class Idle:
    """The workers of a run that sleep until there may be something to do; on the run's loop only.

    Attributes:
        futures: One per sleeper, the longest first; looked at on the hot path.
    """

    def __init__(self) -> None:
        self.futures: deque[asyncio.Future[None]] = deque()

    async def sleep(self) -> None:
        """Return when woken."""
        future = asyncio.get_running_loop().create_future()
        self.futures.append(future)
        await future

    def wake(self) -> None:
        """Wake the worker that has slept longest, if any."""
        while self.futures:
            future = self.futures.popleft()
            if not future.done():
                future.set_result(None)
                return

    def wake_all(self) -> None:
        """Wake all."""
        while self.futures:
            self.wake()
