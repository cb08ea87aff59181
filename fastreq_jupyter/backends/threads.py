"""Daemon threads of our own, for calls that block: name resolution, and whole exchanges of a synchronous library.

The loop's default executor is joined at its end, so one hung `getaddrinfo` would hold up the whole program. These
threads are never joined; whoever gives them work must see to it that a job which wakes late does no harm.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastreq_jupyter.errors import BackendError

__all__ = ["DaemonPool", "Handover"]

IDLE_SECONDS = 5.0
# Held for a reader that is slow, before the thread waits.
HELD_BYTES = 512 * 1024


class DaemonPool:
    """Run jobs on daemon threads that are started when needed and end when idle.

    Args:
        name: Prefix of the threads' names.
        limit: Most threads at once; further jobs wait in order.
    """

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._start_over()

    def _start_over(self) -> None:
        self._pid = os.getpid()
        self._jobs: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._idle = 0
        self._threads = 0
        self._closed = False

    def submit(self, job: Callable[[], None]) -> None:
        """Run `job` on a thread soon; what it raises goes to `threading.excepthook`, so it should not."""
        if self._pid != os.getpid():
            # A forked child has the pool but none of its threads, and perhaps a lock that one of them held.
            self._start_over()
        with self._changed:
            self._jobs.append(job)
            if self._idle >= len(self._jobs) or self._threads >= self._limit:
                self._changed.notify()
                return
            self._threads += 1
        threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def close(self) -> None:
        """Let idle threads end now, and busy ones when their job is done."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            job()
            # The next wait may be long: hold nothing of the last job alive meanwhile.
            del job

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._jobs:
                self._idle += 1
                woken = not self._closed and self._changed.wait(IDLE_SECONDS)
                self._idle -= 1
                if not woken and not self._jobs:
                    self._threads -= 1
                    return None
            return self._jobs.popleft()


class Handover:
    """What a thread hands over to the loop on which it was made: bytes, and how it ended.

    Attributes:
        parts: What has come and was not taken.
        ended: The thread is done, with `error` or without.
        is_cut: Nobody waits any more.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.parts: deque[bytes] = deque()
        self.error: BackendError | None = None
        self.ended = self.is_cut = False
        self._waiter: _Waiter | None = None
        self._room = threading.Condition()
        self._held = 0

    async def wait(self, ready: Callable[[], object]) -> None:
        """Wait until the thread has made something true.

        Raises:
            BackendError: The exchange failed before.
        """
        while not ready():
            if self.error is not None:
                raise self.error
            self._waiter = waiter = _Waiter(self.loop.create_future())
            # The thread may have come between; it tells whom it sees waiting.
            if not ready() and self.error is None:
                await waiter.future

    def take(self) -> bytes:
        """Return the body that waits here, and let the thread go on."""
        data = self.parts.popleft() if len(self.parts) == 1 else b"".join([self.parts.popleft() for _ in range(len(self.parts))])
        if self._held:
            with self._room:
                self._held -= len(data)
                self._room.notify()
        return data

    def hand_over(self, size: int) -> None:
        """Tell of so many more bytes, and wait while too many are held; called on the thread."""
        with self._room:
            self._held += size
        self.tell()
        with self._room:
            self._room.wait_for(lambda: self._held <= HELD_BYTES or self.is_cut)

    def let_go_on(self) -> None:
        """Wake the thread where it waits for room."""
        with self._room:
            self._room.notify()

    def tell(self) -> None:
        """Wake the loop where it waits; once, however often it is told before it runs."""
        waiter = self._waiter
        if waiter is not None and not waiter.told:
            waiter.told = True
            # A closed loop has nobody who waits.
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(waiter.wake)


class _Waiter:
    """One wait of the loop for a thread."""

    __slots__ = ("future", "told")

    def __init__(self, future: asyncio.Future[None]) -> None:
        self.future = future
        self.told = False

    def wake(self) -> None:
        if not self.future.done():
            self.future.set_result(None)
