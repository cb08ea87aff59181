"""URLs and options become a plan: the functions' door.

Sized sources are checked before anything is sent; lazy ones (a generator of 10^6, an asynchronous iterable) stay lazy, and
what is wrong with one element becomes that element's row.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from fastreq_jupyter.client.elements import ItemMaker
from fastreq_jupyter.client.outfit import Outfit
from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.model import Item, Plan, Request
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from fastreq_jupyter.client.credentials import Home
    from fastreq_jupyter.engine.cookies import Jar
    from fastreq_jupyter.options import Options

__all__ = ["make_plan", "outfitted"]

_SCALARS = (bytes, bytearray, int, float, complex, type(None))


def make_plan(urls: Any, options: Options, *, jar: Jar, home: Home | None = None) -> Plan:
    """Return the plan of a function call.

    Args:
        urls: A str, a `Request`, or an iterable (asynchronous too) of these.
        options: Checked options.
        jar: Takes option `cookies` for the origin of each given URL.
        home: What a `FastRequests` adds.

    Raises:
        UsageError: One line: no URLs at all, keys that do not fit, one auth for several origins, equal file names.
    """
    single = isinstance(urls, (str, Request))
    source, index = _source_of((urls,) if single else urls)
    total = len(source) if isinstance(source, Sized) else None
    keys = None if options.keys is None else _labels(options.keys, total)
    maker = ItemMaker(options, Outfit(options, jar=jar, home=home), keys)
    if isinstance(source, Sequence):
        maker.check(source if options.limit is None else source[: options.limit])
    if options.limit is not None:
        total = None if total is None else min(total, options.limit)
    items: Iterable[Item] | AsyncIterable[Item]
    items = _draw_async(source, maker, options.limit) if isinstance(source, AsyncIterable) else _Drawn(source, maker, options.limit)
    return Plan(items, options, total=total, keys=index if keys is None else keys, single=single, notes=maker.notes)


def outfitted(items: Iterable[Item], options: Options, *, jar: Jar, home: Home | None, total: int | None) -> Iterable[Item]:
    """Return the requests of a cell with credentials and what a session adds.

    Args:
        items: What the cell gives; iterated twice unless `total` is None.
        options: Of the run.
        jar: Cookies.
        home: What a `FastRequests` adds.
        total: Number of items, None where they can be had only once.

    Raises:
        UsageError: One auth was given for requests to several origins.
    """
    outfit = Outfit(options, jar=jar, home=home)
    if outfit.single_auth and total is not None:
        outfit.check(item for item in items if isinstance(item, Request))
    return _Outfitted(items, outfit)


@dataclass(frozen=True, slots=True)
class _Outfitted:
    items: Iterable[Item]
    outfit: Outfit

    def __iter__(self) -> Iterator[Item]:
        return (self.outfit.dress(item) for item in self.items)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Make items one at a time from a synchronous source."""

    source: Iterable[Any]
    maker: ItemMaker
    limit: int | None

    def __iter__(self) -> Iterator[Item]:
        drawn = islice(self.source, self.limit)
        try:
            for position, value in enumerate(drawn):
                yield self.maker.make(position, value)
            self.maker.finish(limited=self.limit is not None)
        finally:
            if hasattr(self.source, "close") and not isinstance(self.source, Sized):
                self.source.close()


async def _draw_async(source: AsyncIterable[Any], maker: ItemMaker, limit: int | None) -> AsyncIterator[Item]:
    position = 0
    if limit == 0:
        return
    async for value in source:
        yield maker.make(position, value)
        position += 1
        if position == limit:
            return
    maker.finish(limited=limit is not None)


def _source_of(urls: Any) -> tuple[Iterable[Any] | AsyncIterable[Any], Any]:
    """Return what to iterate over, and the index of a Series."""
    if isinstance(urls, AsyncIterable):
        return urls, None
    kind = type(urls).__name__
    pandas = sys.modules.get("pandas")
    if pandas is not None:
        if isinstance(urls, pandas.DataFrame):
            raise UsageError('urls is a DataFrame: give one column, df["url"], or use df.fastreq.get("https://host/{{ column }}")')
        if isinstance(urls, (pandas.Series, pandas.Index)):
            return urls.tolist(), urls.index if isinstance(urls, pandas.Series) else None
    if isinstance(urls, Mapping):
        raise UsageError("urls is a mapping: give fastreq(list(d.values()), keys=list(d))")
    if isinstance(urls, _SCALARS) or not isinstance(urls, Iterable):
        raise UsageError(f"urls is {'None' if urls is None else f'of type {kind}'}: give a str, a Request, or an iterable of these")
    # A list may be changed while a run in the background still draws from it.
    return (tuple(urls) if isinstance(urls, (list, tuple)) else urls.tolist() if hasattr(urls, "tolist") else urls), None


def _labels(keys: Any, total: int | None) -> Sequence[Any]:
    if isinstance(keys, (str, bytes, Mapping)) or not isinstance(keys, Iterable):
        raise UsageError("keys cannot be read: give one label per URL, as a list")
    if total is None and not isinstance(keys, Sized):
        raise UsageError("keys of URLs that come one by one must be a list: their number is checked at the end")
    labels = list(keys if total is None else islice(keys, total + 1))
    if total is not None and len(labels) != total:
        count = f"more than {total}" if len(labels) > total else str(len(labels))
        raise UsageError(f"keys has {count} labels for {total} URLs: give one label per URL")
    seen: set[Any] = set()
    for label in labels:
        try:
            if label in seen:
                raise UsageError(f"keys has {one_line(repr(label), 60)} twice: give different labels")
            seen.add(label)
        except TypeError:
            raise UsageError(f"keys has a {type(label).__name__}: give labels that can be keys of a dict") from None
    # An Index keeps its name and levels.
    return cast("Sequence[Any]", keys) if hasattr(keys, "take") and hasattr(keys, "names") else labels
