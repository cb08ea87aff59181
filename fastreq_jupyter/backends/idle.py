"""Idle connections of one session: kept for fifteen seconds, looked at before they are used again."""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from fastreq_jupyter.url import Origin

__all__ = ["IdleConnections", "Keepable"]

# Shorter than the idle time of the usual servers, so that we are first to close.
KEPT_SECONDS = 15.0


class Keepable(Protocol):
    """Be a connection that can wait for its next exchange."""

    idle_since: float

    @property
    def spent(self) -> bool:
        """Tell whether the connection has ended, or can't be trusted any more."""
        ...

    def discard(self) -> None:
        """Close it at once."""
        ...


KeepableT = TypeVar("KeepableT", bound=Keepable)


class IdleConnections(Generic[KeepableT]):
    """Keep idle connections by origin; for use on one loop."""

    def __init__(self) -> None:
        self._kept: dict[Origin, deque[KeepableT]] = {}
        self._sweeping: asyncio.TimerHandle | None = None

    def take(self, origin: Origin) -> KeepableT | None:
        """Return a living connection, the one used last first, or None."""
        kept = self._kept.get(origin)
        while kept:
            connection = kept.pop()
            if monotonic() - connection.idle_since < KEPT_SECONDS and not connection.spent:
                return connection
            connection.discard()
        return None

    def put(self, origin: Origin, connection: KeepableT) -> None:
        """Keep a connection whose exchange is done."""
        connection.idle_since = monotonic()
        self._kept.setdefault(origin, deque()).append(connection)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._sweep)

    def close(self) -> None:
        """Close all."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for kept in self._kept.values():
            for connection in kept:
                connection.discard()
        self._kept.clear()

    def _sweep(self) -> None:
        self._sweeping = None
        limit = monotonic() - KEPT_SECONDS
        for origin, kept in list(self._kept.items()):
            while kept and (kept[0].idle_since <= limit or kept[0].spent):
                kept.popleft().discard()
            if not kept:
                del self._kept[origin]
        if self._kept:
            self._sweeping = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._sweep)
