"""Daemon threads, and what runs on them: name resolution, and the calls of a library that blocks.

The loop's default executor is joined at its end, so one hung `getaddrinfo` would hold up the whole program. These threads
are never joined; whoever gives them work must see to it that a job which wakes late does no harm.
"""

from __future__ import annotations

import asyncio
import select
import socket
import threading
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT_SECONDS = 10.0
KEPT_NAMES = 1000
# More lookups at once would overload the system's resolver; those that wait end at their deadlines.
MOST_LOOKUPS = 64

T = TypeVar("T")


def on_thread(name: str, work: Callable[[], T]) -> asyncio.Future[T]:
    """Return the future of `work`, run on a daemon thread; its result is dropped if the loop was closed."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(settled: Callable[[Any], None], result: Any) -> None:
        if not future.done():
            settled(result)

    def job() -> None:
        settled: tuple[Callable[[Any], None], Any]
        try:
            settled = future.set_result, work()
        except Exception as error:  # noqa: BLE001 - whatever it raises belongs to the one who waits
            settled = future.set_exception, error
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, *settled)

    threading.Thread(target=job, name=name, daemon=True).start()
    return future


Address = tuple[int, str]
"""Family and host: what counts of an answer of `socket.getaddrinfo`."""


def _resolve(host: str) -> list[Address]:
    try:
        infos = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, f"not a valid name ({error})") from None
    return [(family, str(sockaddr[0])) for family, _, _, _, sockaddr in infos]


class Resolver:
    """The resolver of one event loop; equal lookups at the same time are one, answers are kept for ten seconds.

    Args:
        resolve: What answers, in a thread, blocking.
    """

    def __init__(self, resolve: Callable[[str], list[Address]] = _resolve) -> None:
        self._resolve = resolve
        self._lookups: dict[str, tuple[float, asyncio.Future[list[Address]]]] = {}
        self._room = threading.Semaphore(MOST_LOOKUPS)

    async def lookup(self, host: str) -> list[Address]:
        """Return the addresses of a host, at least one.

        Raises:
            OSError: The name has no address, or the resolver failed.
        """
        expires, answer = self._lookups.get(host, (0.0, None))
        if answer is None or (answer.done() and (expires < monotonic() or answer.exception() is not None)):
            if len(self._lookups) >= KEPT_NAMES:
                self._lookups.clear()
            answer = on_thread("fastreq-resolver", lambda: self._ask(host))
            self._lookups[host] = (monotonic() + KEPT_SECONDS, answer)
            answer.add_done_callback(asyncio.Future.exception)
        # Shielded: others may wait for the same answer.
        return await asyncio.shield(answer)

    def _ask(self, host: str) -> list[Address]:
        with self._room:
            return self._resolve(host)


def watch(descriptor: int) -> Callable[[], bool]:
    """Return a function that tells whether a socket is readable: an idle connection that is was closed or has unrequested data.

    The event loop would notice too, but only in its next turn, after our request was written.
    """
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return lambda: bool(poll.poll(0))
    # On Windows select has no limit on descriptor numbers.
    return lambda: bool(select.select([descriptor], [], [], 0)[0])
