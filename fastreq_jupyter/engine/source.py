"""The items of a run: drawn from the user's iterable, one at a time and never ahead of need; waiting for others; sent again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.engine.progress import GIVEN_UP
from fastreq_jupyter.errors import OptionError, without_our_frames
from fastreq_jupyter.model import Look, Unsendable
from fastreq_jupyter.options import TABLE, Options

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from fastreq_jupyter.engine.progress import Tally
    from fastreq_jupyter.model import Deferred, Item, Outcome, Request

# Seconds; an item that took longer came from a source that blocks the loop's thread.
_BLOCKING = 0.005
# Groups of options, and single options, that may change when requests are sent again.
_HOW = frozenset({"Transport", "Speed", "Failures"})
_MORE = frozenset({"auth", "refresh_on", "every", "patience", "progress", "columns", "timings", "response_headers"})
# Errors of rows that never became a request.
_NO_REQUEST = frozenset({"invalid value", "save_to", "skipped"})


class Source:
    """The items a run is given, numbered as they are drawn.

    Attributes:
        drawn: Items drawn so far.
        reserved: Numbers that were given out between the items' own (`reserve`).
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


def _is_unsent(outcome: Outcome) -> bool:
    return outcome.error in GIVEN_UP and not outcome.attempts


SELECTIONS: dict[str, Callable[[Outcome], bool]] = {
    "all": lambda _: True,
    "sent": lambda outcome: not _is_unsent(outcome),
    "unsent": _is_unsent,
}
"""Which failures `only` means."""


def changed_options(options: Options, changes: Mapping[str, Any]) -> Options:
    """Return the options of a run that sends requests again.

    Raises:
        OptionError: A wrong value, or an option that would make other requests of them; one line.
    """
    for name in changes:
        if name in TABLE and TABLE[name].group not in _HOW and name not in _MORE:
            raise OptionError(f"{name} is not possible here: retry_failed sends the requests that the run had", option=name)
    return Options.of(options, **changes)


def to_resend(rows: Sequence[Outcome], chosen: Collection[int], waiting: Mapping[int, Deferred], jobs: Mapping[int, str]) -> list[Item]:
    """Return the items of the next run, one for each row.

    Args:
        rows: Of the run before, in order.
        chosen: Positions of those that are sent again.
        waiting: Requests that needed answers of others; they are made anew of what these say now.
        jobs: Status URLs of jobs that were begun: they are looked at again, not begun again.
    """
    places = set(chosen)
    # Also send what they depend on: logins (hidden, since their answers feed secret places) and failed parents.
    left = [at for at in chosen if at in waiting]
    while left:
        needs = [at for at in waiting[left.pop()].needs if at not in places and (rows[at].request.hide_data or not rows[at].ok)]
        places.update(needs)
        left += [at for at in needs if at in waiting]
    items: list[Item] = []
    for row in rows:
        at = row.position
        if at not in places or (at not in waiting and not row.attempts and row.error in _NO_REQUEST):
            items.append(row)
        elif at in jobs:
            items.append(Look(row.request, jobs[at]))
        else:
            items.append(waiting.get(at, row.request))
    return items
