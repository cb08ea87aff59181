"""The items of a cell, row after row, lazily; the names of files that their answers go to."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.cell.compiling import Compiled, PlainUrls, RequestPlan, unsendable
from fastreq_jupyter.cell.fill import Bound, BoundParts, Check, Env, MisfitError, text_in
from fastreq_jupyter.cell.syntax import Parts, Span
from fastreq_jupyter.cell.template import read_text
from fastreq_jupyter.errors import CellSyntaxError
from fastreq_jupyter.files import FILENAME, file_name_of, safe_segment
from fastreq_jupyter.model import Chained, Deferred, Item, Outcome, Page, Request, Unsendable, copy_request
from fastreq_jupyter.redact import is_secret_header, redact_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from fastreq_jupyter.cell.rows import Rows
    from fastreq_jupyter.options import Options

# RFC 9110, 9.2.1
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_MOST = 1_000_000

_ANSWERS_NAME = re.compile(r"\{\{\s*\$filename\s*\}\}")


class Dedup:
    """Lets equal safe requests wait for the outcome of the first one; called with one item after the other.

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
    """The count of equal safe requests among items that go by.

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
    if not isinstance(item, Request) or (item.method not in _SAFE and item.operation != "query"):
        return None
    return item.method, item.url, item.headers, item.content, item.save_as


def _copy_of(request: Request, first: int, position: int) -> Deferred:
    def resolve(outcomes: Sequence[Outcome]) -> Outcome:
        return replace(outcomes[0], position=position, request=request)

    return Deferred((first,), resolve, request)


class SaveNames:
    """The template of ``save_to``, filled for one row after another.

    Args:
        parts: The template, bound.
    """

    def __init__(self, parts: BoundParts) -> None:
        self._parts = parts
        self.checks: tuple[tuple[Bound, Check], ...] = tuple((part, "text") for part in parts if isinstance(part, Bound))

    def fill(self, env: Env) -> str:
        """Return the path for one row; a value never adds a directory, nor leaves the one it stands in.

        Raises:
            MisfitError: A value is missing or empty.
        """
        texts: list[str] = []
        for part in self._parts:
            if isinstance(part, Bound):
                text = text_in(part, env)
                if not text.strip():
                    raise MisfitError("missing", f"{part.placeholder.shown} is empty, so no file can be named by it", part)
                texts.append(safe_segment(text))
            else:
                texts.append(str(part))
        return "".join(texts)


def save_names_of(save_to: str | None, bind: Callable[[Parts], BoundParts]) -> SaveNames | None:
    """Return what names files by the template `save_to`; None where it is none, or a directory.

    Raises:
        CellSyntaxError: A name in it is not there, or is an answer.
    """
    if save_to is None or "{{" not in save_to:
        return None
    try:
        names = SaveNames(tuple(_save_parts(save_to, bind)))
    except CellSyntaxError as error:
        raise CellSyntaxError(f"save_to: {error.message}", 1, option="save_to") from None
    if any(bound.parent for bound, _ in names.checks):
        raise CellSyntaxError("save_to cannot use an answer: name the file by a value of the row", 1, option="save_to")
    return names


def _save_parts(save_to: str, bind: Callable[[Parts], BoundParts]) -> Iterator[Any]:
    end = 0
    for match in _ANSWERS_NAME.finditer(save_to):
        yield from bind(read_text(Span(save_to[end : match.start()], 1, 1 + end)))
        yield FILENAME
        end = match.end()
    yield from bind(read_text(Span(save_to[end:], 1, 1 + end)))


def in_directory(items: Iterable[Item], directory: str) -> Iterator[Item]:
    """Give the items with a file each, named by the URL; what would overwrite an earlier one's file becomes an error row."""
    first_at: dict[str, int] = {}

    def named(item: Any, position: int) -> Any:
        if not isinstance(item, Request):
            return item
        path = f"{directory.rstrip('/')}/{file_name_of(redact_url(item.url, item.secrets))}"
        first = first_at.setdefault(path.casefold(), position)
        if first != position:
            clash = f"requests {first} and {position} would both be saved to {path!r}"
            return Unsendable(item, "save_to", f"{clash}: name them by a column, --save-to 'DIR/{{{{column}}}}'")
        return copy_request(item, save_as=path)

    def later(item: Deferred, position: int) -> Deferred:
        def resolve(outcomes: Sequence[Outcome]) -> Any:
            return named(item.resolve(outcomes), position)

        return Deferred(item.needs, resolve, item.shown)

    for position, item in enumerate(items):
        if isinstance(item, Page):
            yield item
        else:
            yield later(item, position) if isinstance(item, Deferred) else named(item, position)


def equal_names(names: Iterable[str | None]) -> tuple[str, int, int] | None:
    """Return the first name that occurs twice, upper and lower case alike, and its two positions; None where all differ."""
    seen: dict[str, int] = {}
    for position, name in enumerate(names):
        if name is None:
            continue
        before = seen.setdefault(name.casefold(), position)
        if before != position:
            return name, before, position
    return None


def _with_chained_secrets(request: Request, template: Request, outcomes: Sequence[Outcome]) -> Request:
    """Return the request with a note of its field lines that hold secrets of earlier answers, for the key of a cache."""
    pairs = zip(request.headers, template.headers, strict=True)
    lines = tuple((line, as_written) for line, as_written in pairs if line != as_written and is_secret_header(line[0]))
    return copy_request(request, chained=Chained(lines, tuple(outcome.request for outcome in outcomes))) if lines else request


class Items:
    """The items of a compiled cell, made anew for each iteration.

    Attributes:
        duplicates: Counts equal requests among those that were made.
    """

    def __init__(self, compiled: Compiled, rows: Rows, options: Options) -> None:
        self._compiled = compiled
        self._rows = rows
        self._options = options
        self._once: dict[Any, Any] = {}
        self.duplicates = Duplicates()

    def __iter__(self) -> Iterator[Item]:
        """Give the items: the first ones, equal ones once, with the names of their files, as the options say."""
        options = self._options
        items = self._made()
        if options.limit is not None:
            items = islice(items, options.limit)
        items = map(Dedup(), items) if options.dedup else self.duplicates.watch(items)
        return items if options.save_to is None or "{{" in options.save_to else in_directory(items, options.save_to)

    def _made(self) -> Iterator[Item]:
        """Give the items in order: row, request, item of its ranges."""
        compiled = self._compiled
        for number, rows in enumerate(self._rows):
            base = number * compiled.per_row
            for entry in compiled.entries:
                if isinstance(entry, PlainUrls):
                    yield from (Request(entry.method, url, **entry.arguments) for url in entry.urls)
                else:
                    for parts in entry.expand():
                        yield self._item(entry, parts, rows, base)

    def check_first(self) -> None:
        """Fill each request once, and all names of files, before anything is sent.

        Raises:
            CellSyntaxError: A value fits no place, whatever the row; or two rows would be saved to one file.
        """
        rows = next(iter(self._rows), None) if self._rows.size != 0 else None
        for plan in self._compiled.plans:
            if rows is None and any(bound.origin == "row" for bound in plan.bound):
                continue
            try:
                plan.make(next(plan.expand()), Env(rows or (), None, self._once))
            except MisfitError as error:
                if error.bound is None or error.bound.origin not in ("row", "chain") or error.kind == "type":
                    raise error.of_cell(plan.template) from None
        self._check_names()

    def _item(self, plan: RequestPlan, parts: BoundParts, rows: tuple[int, ...], base: int) -> Item:
        env = Env(rows, None, self._once)
        try:
            request = plan.make(parts, env)
        except MisfitError as error:
            return unsendable(error, plan.as_written())
        if not plan.parents:
            return request
        places = self._compiled.places
        needs = sorted({base + places[parent] for parent in plan.parents})
        order = {base + places[parent]: parent for parent in plan.parents}
        names = [order[position] for position in needs]

        def resolve(outcomes: Sequence[Outcome]) -> Request | Unsendable | Outcome:
            answers = dict(zip(names, outcomes, strict=True))
            for name, outcome in answers.items():
                if not outcome.ok:
                    return Unsendable(request, "skipped", f"{name} failed")
            try:
                filled = plan.make(parts, Env(rows, answers, self._once))
            except MisfitError as error:
                return unsendable(error, request)
            return _with_chained_secrets(filled, request, outcomes) if self._options.caches else filled

        return Deferred(tuple(needs), resolve, request)

    def _check_names(self) -> None:
        plans = [plan for plan in self._compiled.plans if plan.names is not None]
        if not plans or self._rows.size is None:
            return
        names: list[str | None] = []
        for rows in self._rows:
            for plan in plans:
                names += [self._name(plan, rows)] * plan.count
        if equal := equal_names(names):
            name, first, second = equal
            message = f"save_to: requests {first} and {second} would both be saved to {name!r}: use a value that differs"
            raise CellSyntaxError(message, plans[0].template.line)

    def _name(self, plan: RequestPlan, rows: tuple[int, ...]) -> str | None:
        assert plan.names is not None  # noqa: S101 - the caller chose such plans
        try:
            name = plan.names.fill(Env(rows, None, self._once))
        except MisfitError:
            return None
        # A name that the answer gives is not known yet.
        return None if FILENAME in name else name
