"""The pages of one request: what is asked for next, and whether all came.

    sequential    each answer leads to the next page: by a URL, a cursor, or a count without a total
    counted       page 1 tells a total: all other pages are asked for at once

A count ends at the total, or at the first page without items, never at a short page: servers clamp limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from fastreq_jupyter.policy.pages.answer import (
    CURSORS,
    OFFSETS,
    Answer,
    How,
    Stated,
    Total,
    first_of_more,
    is_url,
    items_at,
    items_path,
    link_next,
    lists_mark,
    next_cursor,
    next_url,
    page_info,
    read_how,
    read_total,
    stated_total,
)
from fastreq_jupyter.policy.pages.placing import (
    Cursor,
    at_url,
    first_page,
    has_place,
    parameter_of,
    variable_of,
    with_cursor,
    with_parameter,
    with_variable,
)
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastreq_jupyter.model import Request
    from fastreq_jupyter.options import Options

MOST_KEPT = 1_000_000
"""Items of one chain that are told apart; of more it is not said how many are distinct."""

_TRUSTED = 100
_EXPIRED = frozenset({400, 404, 410})
_COUNTS = ("page", "page_number", "pageNumber", "page[number]", "offset", "skip", "$skip", "page[offset]")


class Step(NamedTuple):
    """What follows the answer to a page.

    Attributes:
        pages: Pages to be asked for, with their numbers.
        loop: Why this answer is an error row `loop`.
        broken: Number, kind of error and cause of a page that cannot be asked for.
        drop: This page is no row: it is empty, and only ended the count.
        restart: The chain starts again at its first page.
    """

    pages: tuple[tuple[int, Request], ...] = ()
    loop: str | None = None
    broken: tuple[int, str, str] | None = None
    drop: bool = False
    restart: bool = False


class _Next(NamedTuple):
    """Where the next page is: a URL or a cursor; or why it cannot be told."""

    kind: Literal["url", "cursor", "bad"]
    value: Any
    name: str | None = None


class Chain:
    """The pages of one request.

    Args:
        template: The request, with ``{{next}}`` in it or without.
        how: How its pages are followed.
        total: Where the total stands.
        max_pages: Pages at most, >= 1.
        restarted: It starts anew after its cursor had expired.

    Attributes:
        first: The request of page 1.
        pages, items: How many came.
        distinct: How many different items came, None where that was not counted.
        ended: Nothing more will be asked for.
        truncated: There is more than `max_pages`.
        stalled: ``1 of 25`` or ``1 of more`` where page 1 says that there is more, and nothing led to it; else None.
        dropped: Pages that were sent without credentials, to another origin.
        elsewhere: Pages that were sent to another origin.
    """

    __slots__ = (
        "_by_items", "_counting", "_distinct", "_done", "_empty", "_failed", "_follow", "_how", "_items_before", "_looped",
        "_marked", "_marks", "_most", "_pages_before", "_parameter", "_path", "_repeats_within", "_requested", "_seen", "_size",
        "_start", "_stated", "_step", "_structured", "_template", "_total", "distinct", "dropped", "elsewhere", "ended", "first",
        "items", "pages", "restarted", "stalled", "truncated",
    )  # fmt: skip

    def __init__(self, template: Request, how: How, total: Total, max_pages: int, *, restarted: bool = False) -> None:
        self._template = template
        self._how = how
        self._total = total
        self._most = max_pages
        self._marked = has_place(template)
        # First value of the counter, its step, and what lies before page 1: pages and items.
        self._start, self._step, self._by_items, self._pages_before, self._items_before = 0, how.step, False, 0, 0
        self._parameter = how.name
        self._follow: Callable[[Request, Answer], _Next | None] | None = None
        self._counting = how.kind == "count"
        self.restarted = restarted
        self.pages = self.items = 0
        self.ended = self.truncated = False
        self.stalled: str | None = None
        self.dropped: set[int] = set()
        self.elsewhere: set[int] = set()
        self._stated = Stated()
        self._size = 0
        self._path: tuple[str, ...] | None = None
        self._requested, self._done, self._failed, self._empty = 1, 0, 0, 0
        self._looped = self._structured = False
        self._marks: dict[int, int] = {}
        self._distinct: set[int] = set()
        self.distinct: int | None = 0
        self._repeats_within = False
        self.first = self._counted_first(how.name or "") if self._counting else first_page(template)
        self._seen = {hash(self.first.url)} if self.first.method in ("GET", "HEAD") else set()

    # What came of it

    @property
    def stated_items(self) -> int | None:
        """Return how many items the server said there are from page 1 on, None where it did not."""
        if self._stated.items is None:
            return None
        return max(0, self._stated.items - self._items_before - self._pages_before * self._size)

    @property
    def pages_expected(self) -> int | None:
        """Return how many pages there are, or will be by what the server said last; None while nobody knows."""
        if self.ended:
            return self.pages
        needed = self._needed()
        return None if needed is None else min(max(needed, self._requested), self._most)

    @property
    def answered(self) -> bool:
        """Tell whether a good page came."""
        return self._done > self._failed

    @property
    def unstable(self) -> bool:
        """Tell whether items came again on another page, though they are different within each: the order changed meanwhile."""
        return self.distinct is not None and not self._repeats_within and self.distinct < self.items

    @property
    def short(self) -> bool:
        """Tell whether less came than the server said there is."""
        stated_items = self.stated_items
        if stated_items is None:
            return self._stated.pages is not None and self.pages < self._stated.pages - self._pages_before
        received = self.distinct if self.unstable and self.distinct is not None else self.items
        return received < stated_items

    # Decisions

    def step(self, page: int, request: Request, answer: Answer) -> Step:
        """Return what follows a good answer."""
        self._done += 1
        if page == 1:
            self._path = items_path(answer.body)
        items = items_at(answer.body, self._path)
        repeated = self._repeated(page, answer)
        if repeated is not None:
            self._looped = True
            self._end_of_bad()
            return Step(loop=repeated)
        self._stated = self._newer(stated_total(answer, self._total, None if items is None else len(items)))
        if page == 1:
            self._size = len(items or ())
            self._structured = isinstance(answer.body, (list, dict))
            self._choose(request, answer)
        if self._counting and page > 1 and self._is_empty(answer, items):
            self._empty = min(self._empty or page, page)
            return self._after_count(drop=True)
        self.pages += 1
        self._keep(items or [])
        if self._counting:
            if page == 1 and self._is_empty(answer, items):
                self.ended = True
                return Step()
            return self._after_count(drop=False)
        return self._after_sequence(page, request, answer)

    def no_page(self, page: int, answer: Answer) -> tuple[str, str] | None:
        """Return kind of error and cause where a good answer is none of this chain's pages, None where it is one.

        A text where page 1 was JSON (a page to sign in, a maintenance notice), or an error in place of the items, tells of no next
        page, and so of no end either.
        """
        body = answer.body
        if page == 1 or not self._structured:
            return None
        if isinstance(body, (str, bytes)) and body.strip():
            kind = one_line(answer.response.content_type or "text", 60)
            return "invalid JSON", f"page {page} is {kind}, not JSON as page 1 is: whether more follows is unknown"
        if (
            isinstance(body, dict)
            and self._path is not None
            and items_at(body, self._path) is None
            and (body.get("error") or body.get("errors"))
        ):
            return "body", f"page {page} has an error in place of items: whether more follows is unknown"
        return None

    def failed(self, page: int, status: int | None, *, sent: bool) -> Step:
        """Return what follows a page that failed: nothing, unless its cursor had expired.

        Args:
            page: Its number.
            status: Of its answer, or None.
            sent: It was tried; False where it was given up before.
        """
        if sent and page > 1 and not self._counting and not self.restarted and status in _EXPIRED:
            return Step(restart=True)
        self._done += 1
        self._end_of_bad(sent=sent)
        return Step()

    def _end_of_bad(self, *, sent: bool = True) -> None:
        """Count a page that is an error row; what was asked for beside it still comes."""
        self._failed += 1
        self.pages += sent
        self.ended = self._done >= self._requested

    # Sequences: by URL or cursor

    def _choose(self, request: Request, answer: Answer) -> None:
        """Settle at page 1 how this chain goes on."""
        how = self._how
        if how.kind == "link":
            self._follow = _by_url(link_next)
        elif how.kind == "expression":
            self._follow = self._by_expression
        elif how.kind == "auto":
            self._follow = self._proved(request, answer)

    def _proved(self, request: Request, answer: Answer) -> Callable[[Request, Answer], _Next | None] | None:
        """Return how an automatic chain goes on: what request and answer prove."""
        body = answer.body
        if link_next(answer) is not None:
            return _by_url(link_next)
        if next_url(body) is not None:
            return _by_url(lambda answer: next_url(answer.body))
        if page_info(body) is not None and (self._marked or self._cursor_of(request) is not None):
            return self._by_page_info
        name = next((name for name in _COUNTS if (parameter_of(request.url, name) or "").isdecimal()), None)
        if name is not None and (self._stated.items or self._stated.pages):
            self._counting = True
            self._step = None if name.lower() in OFFSETS else 1
            self._counted_first(name)
            return None
        cursor = next_cursor(body)
        if cursor is None:
            return None
        name = cursor[0]
        return lambda _, answer: None if (at := next_cursor(answer.body, name)) is None else _Next("cursor", at[1], name)

    def _after_sequence(self, page: int, request: Request, answer: Answer) -> Step:
        following = None if self._follow is None else self._follow(request, answer)
        if following is None:
            self.ended = True
            if page == 1:
                self.stalled = first_of_more(answer, self._stated, self._size)
            return Step()
        if page >= self._most:
            self.ended = self.truncated = True
            return Step()
        result = self._request_after(following, page + 1, answer.response.final_url or request.url)
        if isinstance(result, tuple):
            self.ended = True
            return Step(broken=(page + 1, *result))
        self._requested = page + 1
        return Step(((page + 1, result),))

    def _request_after(self, following: _Next, page: int, base: str) -> Request | tuple[str, str]:
        """Return the request of the next page, or kind and cause of the error that it is."""
        if following.kind == "bad":
            return "invalid value", f"pages: {following.value}"
        if following.kind == "url":
            try:
                request, at_home, dropped = at_url(self.first, following.value, base)
            except ValueError as error:
                return "invalid URL", f"pages: the next page cannot be asked for: {one_line(str(error), 120)}"
            mark, shown = hash(request.url), "its URL"
            self.elsewhere |= set() if at_home else {page}
            self.dropped |= {page} if dropped else set()
        else:
            try:
                request = self._with(following.value, following.name)
            except ValueError:
                return "invalid value", f"pages: the cursor {one_line(ascii(following.value), 60)} cannot be sent"
            mark, shown = hash((type(following.value), following.value)), f"cursor {one_line(str(following.value), 60)}"
        if mark in self._seen:
            return "loop", f"page {page} would be one that was there before: {shown} came again"
        self._seen.add(mark)
        return request

    def _with(self, cursor: Cursor, name: str | None) -> Request:
        if self._marked:
            return with_cursor(self._template, cursor)
        self._parameter = name
        if name is not None and variable_of(self.first, (name,)) is not None:
            return with_variable(self.first, name, cursor)
        return with_parameter(self.first, name or "", cursor)

    def _by_expression(self, _: Request, answer: Answer) -> _Next | None:
        find = self._how.find
        assert find is not None  # noqa: S101 - that kind has one
        try:
            value = find.search(answer.body, dict(answer.response.headers) if find.reads_headers else None)
        except ValueError as error:
            return _Next("bad", f"{find.text} could not be applied: {error}")
        if value is None or value is False or value == "":
            return None
        if value is True or not isinstance(value, (str, int, float)):
            kind = "an object" if isinstance(value, dict) else "a list" if isinstance(value, list) else "true"
            return _Next("bad", f"{find.text} gave {kind}, no URL and no cursor")
        name = self._how.name
        if name is not None or self._marked:
            return _Next("cursor", value, name)
        if isinstance(value, str) and is_url(value):
            return _Next("url", value)
        shown = one_line(str(value), 60)
        return _Next("bad", f"{find.text} gave {shown}, no URL: for a cursor give NAME={find.text}, or put {{{{next}}}} into the request")

    def _by_page_info(self, request: Request, answer: Answer) -> _Next | None:
        more, cursor = page_info(answer.body) or (False, None)
        return _Next("cursor", cursor, self._cursor_of(request)) if more and cursor is not None else None

    def _cursor_of(self, request: Request) -> str | None:
        """Return the GraphQL variable, or the query parameter, that takes a cursor."""
        return variable_of(request, CURSORS) or next((name for name in CURSORS if parameter_of(request.url, name) is not None), None)

    # Counts

    def _counted_first(self, name: str) -> Request:
        """Return the request of page 1 of a count, and note where it starts."""
        number = parameter_of(self._template.url, name)
        self._by_items = self._step is None or self._step > 1 or name.lower() in OFFSETS
        start = self._how.start if self._counting and self._how.start is not None else None
        if start is None:
            start = int(number) if number and number.isdecimal() else 0 if self._by_items else 1
        before = start if start > 1 else 0
        self._start, self._parameter = start, name
        self._items_before, self._pages_before = (before, 0) if self._by_items else (0, max(0, before - 1))
        return with_cursor(self._template, start) if self._marked else with_parameter(self._template, name, start)

    def _needed(self) -> int | None:
        """Return how many pages there are by what the server said last, None where it did not or was wrong."""
        if self._stated.pages is not None:
            return max(1, self._stated.pages - self._pages_before)
        stated_items = self.stated_items
        if stated_items is None or not self._size or self.items > stated_items:
            return None
        return max(1, -(-stated_items // self._size))

    def _after_count(self, *, drop: bool) -> Step:
        """Ask for all pages that the total tells of; without one, or where less came than it tells, for the next one."""
        needed = self._needed()
        last = self._requested
        if needed is not None and not self._empty and not self._looped:
            # A stated total may be wrong: it is trusted further as more items arrive.
            last = max(last, min(needed, self._most, _TRUSTED + 2 * self._done))
        if last == self._requested and self._done >= self._requested:
            if self._is_complete(needed):
                self.ended = True
            elif self._requested >= self._most:
                self.ended = self.truncated = True
            else:
                last += 1
        pages = tuple((number, self._page(number)) for number in range(self._requested + 1, last + 1))
        self._requested = max(self._requested, last)
        return Step(pages, drop=drop)

    def _is_complete(self, needed: int | None) -> bool:
        if self._empty or self._failed:
            return True
        if self._stated.pages is not None:
            return needed is not None and self._requested >= needed
        return self.items == self.stated_items

    def _page(self, number: int) -> Request:
        step = self._step or self._size
        if self._by_items and self._size:
            # A server may send fewer items per page than asked for; its counter goes on by what it sent.
            step = min(step, self._size)
        value = self._start + (number - 1) * step
        if self._marked:
            return with_cursor(self._template, value)
        return with_parameter(self._template, self._parameter or "", value)

    # What came

    def _repeated(self, page: int, answer: Answer) -> str | None:
        """Return why a page is no new one: its lists are those of page 1, or of the page before."""
        mark = lists_mark(answer.body)
        earlier = next((at for at in (1, page - 1) if page > 1 and mark is not None and self._marks.get(at) == mark), None)
        if page == 1 or not self._counting or self._requested == page:
            self._marks = {1: self._marks.get(1, 0), page: mark or 0}
        if earlier is None:
            return None
        ignored = f"{self._parameter}=" if self._parameter else "{{next}}" if self._marked else "its own next URL"
        return f"page {page} has the items of page {earlier} again: the server ignored {ignored}"

    def _newer(self, new: Stated) -> Stated:
        return Stated(*(before if now is None else now for before, now in zip(self._stated, new, strict=True)))

    @staticmethod
    def _is_empty(answer: Answer, items: list[Any] | None) -> bool:
        return not answer.body if items is None else not items

    def _keep(self, items: list[Any]) -> None:
        """Count the items of a page, and tell them apart."""
        self.items += len(items)
        if self.distinct is None:
            return
        marks = {hash(repr(item)) for item in items}
        self._repeats_within = self._repeats_within or len(marks) < len(items)
        self._distinct |= marks
        self.distinct = len(self._distinct)
        if self.distinct > MOST_KEPT:
            self.distinct, self._distinct = None, set()

    def close(self) -> None:
        """Forget what only an open chain needs; a run may have a hundred thousand of them."""
        self._seen, self._distinct, self._marks = set(), set(), {}


def first_of(request: Request, options: Options) -> Request:
    """Return page 1 of a request, as the options say its pages are followed."""
    return Chain(request, read_how(str(options.pages)), read_total(options.total), options.max_pages).first


def _by_url(find: Callable[[Answer], str | None]) -> Callable[[Request, Answer], _Next | None]:
    """Return how a chain goes on whose answers give the URL of the next page."""
    return lambda _, answer: None if (url := find(answer)) is None else _Next("url", url)
