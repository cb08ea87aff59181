"""Chaining: requests that wait for the outcomes of earlier ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastreq_jupyter.model import Unsendable

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastreq_jupyter.engine.progress import Tally
    from fastreq_jupyter.model import Deferred, Item, Outcome, Request

__all__ = ["Chain"]


class Chain:
    """Requests that wait for the outcomes of earlier ones.

    Args:
        tally: Counts what waits here.
        outcome_at: Returns the outcome of a position, None while unfinished.
        go_on: Called with position and what a deferred request turned out to be.
    """

    def __init__(self, tally: Tally, outcome_at: Callable[[int], Outcome | None], go_on: Callable[[int, Item], None]) -> None:
        self._tally = tally
        self._outcome_at = outcome_at
        self._go_on = go_on
        self.deferred: dict[int, Deferred] = {}
        self._children: dict[int, list[int]] = {}

    def add(self, position: int, item: Deferred) -> None:
        """Keep a request until its parents are done; it goes on at once when they are."""
        self.deferred[position] = item
        self._tally.waiting += 1
        for parent in item.needs:
            if self._outcome_at(parent) is None:
                self._children.setdefault(parent, []).append(position)
        self._resolve(position)

    def parent_done(self, position: int) -> None:
        """Let those go on that waited for this one last."""
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
