"""A look at an idle connection before it is used again."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["watch"]


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
