"""A look at an idle connection before it is used again."""

from __future__ import annotations

import select

__all__ = ["has_something"]


def has_something(descriptor: int) -> bool:
    """Tell whether an idle connection can be read: its end has come, or bytes nobody asked for. Either way it is done.

    Costs one system call. The event loop would notice too, but only in its next turn, after our request was written.
    """
    if descriptor < 0:
        return True
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    # Windows: select has no limit on the number itself there.
    return bool(select.select([descriptor], [], [], 0)[0])
