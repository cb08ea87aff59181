"""Equal safe requests: send them once, or count what that would save."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fastreq_jupyter.model import Deferred, Item, Outcome, Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Duplicates", "dedup"]

# RFC 9110, 9.2.1
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_MOST = 1_000_000


def dedup(items: Iterable[Item]) -> Iterator[Item]:
    """Give the items with each equal safe request after the first waiting for the first one's outcome.

    Rows stay one to one: each such row gets that outcome, attempts and all, at its own position.
    """
    first: dict[object, int] = {}
    for position, item in enumerate(items):
        key = _identity(item)
        if key is None or first.setdefault(key, position) == position:
            yield item
            continue
        assert isinstance(item, Request)  # noqa: S101 - only requests have an identity
        yield _copy_of(item, first[key], position)


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
