"""Name resolution on daemon threads, shared by the backends.

A loop that ends never waits for a hung lookup, and equal lookups at the same time are one. Answers are kept for ten
seconds, so that a thousand requests to a host are not a thousand questions.
"""

from __future__ import annotations

import asyncio
import socket
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from fastreq_jupyter.backends.threads import DaemonPool

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Address", "Resolver", "resolve_now"]

KEPT_SECONDS = 10.0
KEPT_NAMES = 1000

# More at once would flood the system's resolver; a deadline ends the wait of those behind.
_POOL = DaemonPool("fastreq-resolver", 64)


class Address(NamedTuple):
    """Hold one answer of `socket.getaddrinfo`."""

    family: int
    host: str
    port: int


def resolve_now(host: str, port: int) -> list[Address]:
    """Resolve in the calling thread, which blocks.

    Raises:
        OSError: The name has no address, or the resolver failed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        message = f"not a valid name ({error})"
        raise OSError(message) from None
    return [Address(family, str(where[0]), int(where[1])) for family, _, _, _, where in found]


class Resolver:
    """Resolve names for one event loop; must be made and used on it.

    Args:
        resolve: What answers, in a thread, blocking.
    """

    def __init__(self, resolve: Callable[[str, int], list[Address]] = resolve_now) -> None:
        self._loop = asyncio.get_running_loop()
        self._resolve = resolve
        self._kept: dict[str, tuple[float, list[Address]]] = {}
        self._asking: dict[str, asyncio.Future[list[Address] | OSError]] = {}

    async def lookup(self, host: str, port: int) -> list[Address]:
        """Return the addresses of a host, at least one.

        Raises:
            OSError: As `resolve_now`.
        """
        kept = self._kept.get(host)
        if kept is not None and kept[0] > monotonic():
            addresses = kept[1]
        else:
            asking = self._asking.get(host)
            if asking is None:
                asking = self._ask(host)
            # Shielded: others may wait for the same answer.
            answer = await asyncio.shield(asking)
            if isinstance(answer, OSError):
                raise answer
            addresses = answer
        return [Address(family, where, port) for family, where, _ in addresses]

    def _ask(self, host: str) -> asyncio.Future[list[Address] | OSError]:
        asking: asyncio.Future[list[Address] | OSError] = self._loop.create_future()
        self._asking[host] = asking

        def job() -> None:
            answer: list[Address] | OSError
            try:
                answer = self._resolve(host, 0)
            except OSError as error:
                answer = error
            try:
                self._loop.call_soon_threadsafe(self._answered, host, asking, answer)
            except RuntimeError:
                # The loop is closed: nobody waits any more.
                return

        _POOL.submit(job)
        return asking

    def _answered(self, host: str, asking: asyncio.Future[list[Address] | OSError], answer: list[Address] | OSError) -> None:
        self._asking.pop(host, None)
        if isinstance(answer, list):
            if len(self._kept) >= KEPT_NAMES:
                self._kept.clear()
            self._kept[host] = (monotonic() + KEPT_SECONDS, answer)
        if not asking.done():
            asking.set_result(answer)
