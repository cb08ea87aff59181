"""Idle connections: how many may be kept, and a look at one before it is used again."""

from __future__ import annotations

import select
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

if sys.platform != "win32":
    import resource

__all__ = ["most_idle", "watch"]

# File descriptors left to everything else in the process, and idle connections that are kept however few there are.
_FOR_OTHERS = 64
_FEWEST_IDLE = 8


def most_idle(concurrency: int) -> int:
    """Return how many connections may stay idle beside so many in use.

    Twice as many, but that all of them have a file descriptor: macOS gives a process 256, and a crawl of many hosts leaves an
    idle connection to each.
    """
    if sys.platform == "win32":
        return 2 * concurrency
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return 2 * concurrency
    return max(_FEWEST_IDLE, min(2 * concurrency, limit - concurrency - _FOR_OTHERS))


def watch(descriptor: int) -> Callable[[], bool]:
    """Return what tells whether a socket can be read now.

    An idle connection that can be read is done: its end has come, or bytes nobody asked for. The event loop would notice
    too, but only in its next turn, after our request was written. A call costs one system call.
    """
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return lambda: bool(poll.poll(0))
    # Windows: select has no limit on the number itself there.
    return lambda: bool(select.select([descriptor], [], [], 0)[0])
