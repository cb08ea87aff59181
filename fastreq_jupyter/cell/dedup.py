"""Equal safe requests: send them once, or count what that would save."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fastreq_jupyter.model import Deferred, Item, Outcome, Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Dedup", "Duplicates"]

# RFC 9110, 9.2.1
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_MOST = 1_000_000


class Dedup:
    """The first of equal safe requests as it is, those after it waiting for its outcome; called with one item after the other.

    Rows stay one to one: each such row gets that outcome, attempts and all, at its own position.
    """

    def __init__(self) -> None:
        self._first: dict[object, int] = {}
        self._next = 0

    def __call__(self, item: Item) -> Item:
        """Return the next item, or what waits in its place."""
        position = self._next
        self._next += 1
        key = _identity(item)
        if key is None or self._first.setdefault(key, position) == position:
            return item
        assert isinstance(item, Request)  # noqa: S101 - only requests have an identity
        return _copy_of(item, self._first[key], position)


class Duplicates:
    """Count equal safe requests while items go by.

    Attributes:
        count: Requests that --dedup would have saved; counted among the first million different ones.
    """

    def __init__(self) -> None:
        self.count = 0

    def watch(self, items: Iterable[Item]) -> Iterator[Item]:
        """Give the items as they are."""
        self.count = 0
        seen: set[int] = set()
        for item in items:
            key = _identity(item)
            if key is not None:
                mark = hash(key)
                if mark in seen:
                    self.count += 1
                elif len(seen) < _MOST:
                    seen.add(mark)
            yield item


def _identity(item: Item) -> object | None:
    if not isinstance(item, Request) or item.method not in _SAFE:
        return None
    return item.method, item.url, item.headers, item.content, item.save_as


def _copy_of(request: Request, first: int, position: int) -> Deferred:
    def resolve(outcomes: Sequence[Outcome]) -> Outcome:
        return replace(outcomes[0], position=position, request=request)

    return Deferred((first,), resolve, request)
