"""Daemon threads of our own, for calls that block: name resolution, and whole exchanges of a synchronous library.

The loop's default executor is joined at its end, so one hung `getaddrinfo` would hold up the whole program. These
threads are never joined; whoever gives them work must see to it that a job which wakes late does no harm.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DaemonPool"]

IDLE_SECONDS = 5.0


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
