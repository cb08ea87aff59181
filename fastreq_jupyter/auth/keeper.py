"""One token per (auth, origin): kept in memory between runs, renewed by one flight however many wait, on whatever loops."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import Future
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.auth.oauth2 import OAuth2
from fastreq_jupyter.auth.sources import Door, source_of

if TYPE_CHECKING:
    from collections.abc import Hashable

    from fastreq_jupyter.auth.sources import Source
    from fastreq_jupyter.auth.token import Token
    from fastreq_jupyter.url import Origin

__all__ = ["Keeper", "keeper_of"]

_MOST_KEPT = 64


class Keeper:
    """The token of one auth for one origin, and its renewal. Thread-safe: runs on several loops may share it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lock = Lock()
        self._token: Token | None = None
        self._flight: Future[Token] | None = None

    @property
    def ready(self) -> Token | None:
        """Return the token if it can be used as it is."""
        token = self._token
        return token if token is not None and monotonic() < token.renew_at else None

    def refuse(self, token: Token) -> None:
        """Forget a token that a server refused; a newer one stays."""
        with self._lock:
            if self._token is token:
                self._token = None

    async def token(self, door: Door, tasks: set[asyncio.Task[None]]) -> Token:
        """Return the token, got or renewed before if need be.

        Args:
            door: Lent to the source if it is asked.
            tasks: Takes the task that asks; whoever gave the set cancels what is in it at the end.

        Raises:
            AuthError: There is none.
        """
        while True:
            with self._lock:
                if (ready := self.ready) is not None:
                    return ready
                flight = self._flight
                if flight is None:
                    flight = self._flight = Future()
                    flight.set_running_or_notify_cancel()
                    task = asyncio.get_running_loop().create_task(self._fly(flight, door))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                    task.add_done_callback(lambda _, flight=flight: self._landed(flight))  # type: ignore[misc] # a default of a lambda has no type
            try:
                return await asyncio.wrap_future(flight)
            except _GivenUpError:
                # The run that requested the token was ended: the next one requests it.
                continue

    async def _fly(self, flight: Future[Token], door: Door) -> None:
        try:
            token = await self._source.ask(door)
        except Exception as error:  # noqa: BLE001 - told to all who wait
            self._end(flight, None, error)
        else:
            self._end(flight, token, None)

    def _landed(self, flight: Future[Token]) -> None:
        # Also where the task was cancelled before its first step.
        self._end(flight, None, _GivenUpError())

    def _end(self, flight: Future[Token], token: Token | None, error: Exception | None) -> None:
        with self._lock:
            if self._flight is not flight:
                return
            self._flight = None
            self._token = token
        if error is None:
            assert token is not None  # noqa: S101 - one of the two
            flight.set_result(token)
        else:
            flight.set_exception(error)


class _GivenUpError(Exception):
    """What those who wait get when nobody asks any more."""


_KEPT: OrderedDict[Hashable, tuple[Any, Keeper]] = OrderedDict()
_KEPT_LOCK = Lock()


def keeper_of(auth: Any, origin: Origin) -> Keeper:
    """Return the one keeper of an auth for an origin; that of an OAuth2 server is for all origins that it was given for."""
    where = None if isinstance(auth, OAuth2) else origin
    try:
        # Bound methods are new objects at each access, but compare equal.
        key: Hashable = (hash(auth), auth, where)
    except TypeError:
        key = (id(auth), where)
    with _KEPT_LOCK:
        entry = _KEPT.get(key)
        if entry is None:
            entry = _KEPT[key] = (auth, Keeper(source_of(auth, str(origin))))
            while len(_KEPT) > _MOST_KEPT:
                _KEPT.popitem(last=False)
        _KEPT.move_to_end(key)
        return entry[1]
