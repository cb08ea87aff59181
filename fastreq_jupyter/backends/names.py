"""Daemon threads of our own, and what runs on them: name resolution, and the calls of a library that blocks.

The loop's default executor is joined at its end, so one hung `getaddrinfo` would hold up the whole program. These threads
are never joined; whoever gives them work must see to it that a job which wakes late does no harm.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import threading
from collections import deque
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Address", "DaemonPool", "Resolver", "readable"]

IDLE_SECONDS = 5.0
KEPT_SECONDS = 10.0
KEPT_NAMES = 1000

T = TypeVar("T")


class DaemonPool:
    """Run jobs on daemon threads that are started when needed and end when idle.

    Args:
        name: Prefix of the threads' names.
        limit: Most threads at once; further jobs wait in order.
    """

    def __init__(self, name: str, limit: int) -> None:
        self._name, self._limit = name, limit
        self._start_over()

    def _start_over(self) -> None:
        self._pid = os.getpid()
        self._jobs: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._idle = self._threads = 0
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

    def call(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Return the future of what `work` gives or raises on a thread; nobody hears of it where the loop is gone."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def job() -> None:
            result: T | None = None
            failure: Exception | None = None
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - whatever it raises belongs to the one who waits
                failure = error
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, future, result, failure)

        self.submit(job)
        return future

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


def _settle(future: asyncio.Future[T], result: T, failure: Exception | None) -> None:
    if future.done():
        return
    if failure is None:
        future.set_result(result)
    else:
        future.set_exception(failure)


class Address(NamedTuple):
    """Hold one answer of `socket.getaddrinfo`."""

    family: int
    host: str


# More at once would flood the system's resolver; a deadline ends the wait of those behind.
_POOL = DaemonPool("fastreq-resolver", 64)


def _resolve(host: str) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        message = f"not a valid name ({error})"
        raise OSError(message) from None
    return [Address(family, str(where[0])) for family, _, _, _, where in found]


class Resolver:
    """Resolve names for one event loop; equal lookups at the same time are one, answers are kept for ten seconds.

    Args:
        resolve: What answers, in a thread, blocking.
    """

    def __init__(self, resolve: Callable[[str], list[Address]] = _resolve) -> None:
        self._resolve = resolve
        self._asked: dict[str, tuple[float, asyncio.Future[list[Address]]]] = {}

    async def lookup(self, host: str) -> list[Address]:
        """Return the addresses of a host, at least one.

        Raises:
            OSError: The name has no address, or the resolver failed.
        """
        expires, asked = self._asked.get(host, (0.0, None))
        if asked is None or (asked.done() and (expires < monotonic() or asked.exception() is not None)):
            if len(self._asked) >= KEPT_NAMES:
                self._asked.clear()
            asked = _POOL.call(lambda: self._resolve(host))
            self._asked[host] = (monotonic() + KEPT_SECONDS, asked)
            asked.add_done_callback(asyncio.Future.exception)
        # Shielded: others may wait for the same answer.
        return await asyncio.shield(asked)


def readable(descriptor: int) -> bool:
    """Tell whether a socket can be read now; an idle connection that can be is done, its end has come or bytes nobody asked for.

    The event loop would notice too, but only in its next turn, after our request was written.
    """
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    # Windows: select has no limit on the number itself there.
    return bool(select.select([descriptor], [], [], 0)[0])
