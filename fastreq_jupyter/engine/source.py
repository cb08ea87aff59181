"""What is drawn from the user's iterable, one item at a time and never ahead of need, and items that wait for earlier ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING

from fastreq_jupyter.errors import without_our_frames
from fastreq_jupyter.model import Unsendable

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastreq_jupyter.engine.progress import Tally
    from fastreq_jupyter.model import Deferred, Item, Outcome, Request

__all__ = ["Deferrals", "Source"]

# Seconds; an item that took longer came from a source that blocks the loop's thread.
_BLOCKING = 0.005


class Source:
    """The items a run is given, numbered as they are drawn.

    Attributes:
        drawn: Items drawn so far.
        taken: Numbers that were given out between the items' own (`reserve`).
        exhausted: Nothing more will come.
        ready: The source is a plain iterable that does not keep the loop waiting: `pull` gives the next item.
        error: What the source raised; drawing ended there.
    """

    def __init__(self, items: Iterable[Item] | AsyncIterable[Item], limit: int | None) -> None:
        self._iterator: Iterator[Item] | AsyncIterator[Item]
        self._iterator = items.__aiter__() if isinstance(items, AsyncIterable) else iter(items)
        self._plain = self._iterator if isinstance(self._iterator, Iterator) else None
        self._limit = limit
        self._turn = asyncio.Lock()
        self.drawn = self.reserved = 0
        self._pages_from: int | None = None
        self.exhausted = limit == 0
        self.ready = self._plain is not None and limit != 0
        self.error: BaseException | None = None

    def pull(self) -> tuple[int, Item] | None:
        """Return position and item of a plain source, or None at its end; only while `ready`."""
        if self._plain is None:
            return None
        began = perf_counter()
        try:
            item = next(self._plain, None)
        except Exception as error:  # noqa: BLE001 - the user's iterator: its failure ends the drawing, not the run
            self.error, item = without_our_frames(error), None
        if perf_counter() - began > _BLOCKING:
            self.ready = False
        return self._numbered(item)

    async def draw(self) -> tuple[int, Item] | None:
        """Return position and item, or None at the end."""
        async with self._turn:
            if self._plain is not None:
                # All draws together would block the loop, and interrupts would not be handled.
                await asyncio.sleep(0)
            if self.exhausted:
                return None
            if isinstance(self._iterator, Iterator):
                # Unless this item is slow, too.
                self.ready = True
                return self.pull()
            try:
                item: Item | None = await anext(self._iterator)
            except StopAsyncIteration:
                item = None
            except Exception as error:  # noqa: BLE001 - the user's iterator: its failure ends the drawing, not the run
                self.error, item = without_our_frames(error), None
            return self._numbered(item)

    def rest(self) -> Iterator[tuple[int, Item]]:
        """Give what is left of a synchronous source."""
        while not self.exhausted and self._plain is not None:
            numbered = self.pull()
            if numbered is not None:
                yield numbered

    def reserve(self) -> int:
        """Reserve the number of a row that is no item of the source: a later page of a request."""
        self.reserved += 1
        return self.reserved - 1 + (self.drawn if self._pages_from is None else self._pages_from)

    def reserve_from(self, number: int) -> None:
        """Number such rows from here on, so that items are numbered by their places."""
        self._pages_from = number

    async def close(self) -> None:
        """Close the user's generator; an exception from it is stored, not raised."""
        self.exhausted, self.ready = True, False
        try:
            if isinstance(self._iterator, AsyncIterator):
                if hasattr(self._iterator, "aclose"):
                    await self._iterator.aclose()
            elif hasattr(self._iterator, "close"):
                self._iterator.close()
        except Exception as error:  # noqa: BLE001 - see above
            self.error = self.error or error

    def _numbered(self, item: Item | None) -> tuple[int, Item] | None:
        if item is None:
            self.exhausted, self.ready = True, False
            return None
        position = self.drawn if self._pages_from is not None else self.drawn + self.reserved
        self.drawn += 1
        if self._limit is not None and self.drawn >= self._limit:
            self.exhausted, self.ready = True, False
        return position, item


class Deferrals:
    """Requests that wait for the outcomes of earlier ones.

    Args:
        tally: Counts what waits here.
        outcome_at: Returns the outcome of a position, None while unfinished.
        go_on: Called with position and what a deferred request turned out to be.

    Attributes:
        items: All that ever waited here, by position.
        deferred: Those that wait now.
    """

    def __init__(self, tally: Tally, outcome_at: Callable[[int], Outcome | None], go_on: Callable[[int, Item], None]) -> None:
        self._tally = tally
        self._outcome_at = outcome_at
        self._go_on = go_on
        self.items: dict[int, Deferred] = {}
        self.deferred: dict[int, Deferred] = {}
        self._children: dict[int, list[int]] = {}

    def add(self, position: int, item: Deferred) -> None:
        """Keep a request until its parents are done; it goes on at once when they are."""
        self.items[position] = self.deferred[position] = item
        self._tally.waiting += 1
        for parent in item.needs:
            if self._outcome_at(parent) is None:
                self._children.setdefault(parent, []).append(position)
        self._resolve(position)

    def parent_done(self, position: int) -> None:
        """Release the requests for which this was the last missing parent."""
        for child in self._children.pop(position, ()):
            self._resolve(child)

    def clear(self) -> list[tuple[int, Request]]:
        """Return, and forget, what still waits."""
        left = [(position, item.shown) for position, item in self.deferred.items()]
        self._tally.waiting -= len(left)
        self.deferred.clear()
        return left

    def _resolve(self, position: int) -> None:
        item = self.deferred.get(position)
        if item is None:
            return
        parents = [outcome for parent in item.needs if (outcome := self._outcome_at(parent)) is not None]
        if len(parents) < len(item.needs):
            return
        del self.deferred[position]
        self._tally.waiting -= 1
        try:
            resolved: Item = item.resolve(parents)
        except Exception as error:  # noqa: BLE001 - a user's template: whatever it raises is that row's failure
            resolved = Unsendable(item.shown, "invalid value", f"{type(error).__name__}: {error}")
        self._go_on(position, resolved)
