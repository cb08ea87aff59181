"""A journal and a cache together: the journal is asked first, and keeps what the cache gave as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastreq_jupyter.model import Look

if TYPE_CHECKING:
    from fastreq_jupyter.exchange import Exchange
    from fastreq_jupyter.journal.cache import Cache
    from fastreq_jupyter.journal.journal import Journal
    from fastreq_jupyter.model import Outcome, Request

__all__ = ["Both"]


class Both:
    """A run's journal and its cache. An `engine.store.Store`."""

    def __init__(self, journal: Journal, cache: Cache) -> None:
        self._journal = journal
        self._cache = cache

    def find(self, request: Request, position: int) -> Outcome | Look | None:
        """Return what the journal knows, else what the cache does."""
        outcome = self._journal.find(request, position)
        if outcome is not None:
            if isinstance(outcome, Look):
                self._cache.note_sender(request)
            return outcome
        answered = self._cache.find_with_body(request, position)
        if answered is None:
            return None
        self._journal.take(*answered)
        return answered[0]

    def renew(self, request: Request, position: int) -> None:
        """Take note in both that a request is sent anew."""
        self._journal.renew(request, position)
        self._cache.renew(request, position)

    def make_conditional(self, exchange: Exchange, position: int) -> Exchange:
        """Return the exchange with what the cache adds."""
        return self._cache.make_conditional(exchange, position)

    async def begin(self, request: Request, position: int) -> None:
        """Mark an unsafe request."""
        await self._journal.begin(request, position)

    async def look(self, request: Request, position: int, url: str) -> None:
        """Keep a job's status URL."""
        await self._journal.look(request, position, url)

    async def finish(self, outcome: Outcome, content: bytes | None) -> Outcome:
        """Keep an outcome in both."""
        settled, body = self._cache.settle(outcome, content)
        await self._cache.catch_up()
        return await self._journal.finish(settled, body)

    def figures(self) -> dict[str, Any] | None:
        """Return what the cache did."""
        return self._cache.figures()

    def notes(self) -> list[str]:
        """Return the lines of both."""
        return [*self._journal.notes(), *self._cache.notes()]

    def news(self) -> list[str]:
        """Return the news of both."""
        return [*self._journal.news(), *self._cache.news()]

    async def close(self) -> None:
        """Close both."""
        await self._cache.close()
        await self._journal.close()
