"""What options `pages` and `total` ask for, and what an answer says of its items, of the whole, and of what comes next.

auto, link        what request and answer prove; Link rel=next alone
page, page=0      a count of pages from 1, or from a start; p=1: any other name needs a start
offset=0:100      a count of items: start and step; without a step as many as page 1 has
NAME=EXPR         a cursor for the query parameter NAME, found by JMESPath
EXPR              a URL, or a cursor for {{next}}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from fastreq_jupyter.content import link_targets
from fastreq_jupyter.errors import OptionError
from fastreq_jupyter.options import Selection
from fastreq_jupyter.url import parse_target, resolve_reference

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from fastreq_jupyter.exchange import Response

OFFSETS = frozenset({"offset", "skip", "$skip", "start", "startindex", "start_index", "from", "page[offset]"})
"""Names, lower case, of parameters that count items."""

_NAME = r"(?P<name>[A-Za-z_$][\w.$-]*(?:\[[\w.$-]*\])*)"
_COUNT = re.compile(_NAME + r"=(?P<start>[0-9]{1,15})(?::(?P<step>[0-9]{1,15}))?")
_NAMED = re.compile(_NAME + r"=(?!=)(?P<expression>.+)", re.DOTALL)
CURSORS = (
    "cursor", "page_token", "pageToken", "page_cursor", "pageCursor", "after", "starting_after", "start_cursor", "startCursor",
    "continuation", "continuation_token", "continuationToken", "marker", "bookmark", "next_token", "nextToken", "pagination_token",
    "paginationToken", "scroll_id", "scrollId", "resume_token", "resumeToken",
)  # fmt: skip
"""Names of parameters that `auto` takes for cursors, as X, nextX or next_x of the answer; never id or version."""
_ITEMS = (
    "items",
    "results",
    "data",
    "value",
    "values",
    "records",
    "rows",
    "entries",
    "hits",
    "objects",
    "nodes",
    "edges",
    "list",
    "elements",
)
_TOTALS = ("total", "total_count", "totalCount", "count")
_PAGES = ("total_pages", "totalPages", "pages", "last_page")
_MORE = frozenset({"has_more", "hasmore", "has_next", "hasnext", "has_next_page", "hasnextpage"})
_DEEPEST = 3
_MOST_MEMBERS = 200
# Longer numbers are no counts.
_MOST_DIGITS = 15
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
# A URL that already asks for a later page.
_LATER = re.compile(rf"[?&](?:page|p|page_?number|offset|skip|start|{'|'.join(CURSORS)})=(?![01]?(?:[&#]|$))", re.IGNORECASE)
_NEXT = re.compile(r"next.*(?:page|cursor|token|marker|offset|link|key|continuation|bookmark|after)", re.IGNORECASE)
_WEB = re.compile(r"https?://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class How:
    """How the pages of a request are followed.

    Attributes:
        kind: By what request and answer prove, by the Link header, by an expression, or by counting.
        name: The query parameter that a cursor or count goes to, None where none is named.
        find: The expression, for that kind.
        start: First value of a count, None where the user's own URL may say it.
        step: What a count grows by, None for as many as page 1 has items.
    """

    kind: Literal["auto", "link", "expression", "count"]
    name: str | None = None
    find: Selection | None = None
    start: int | None = None
    step: int | None = 1


@dataclass(frozen=True, slots=True)
class Total:
    """Where an answer says how much there is.

    Attributes:
        find: The expression, None where it is looked for.
        pages: It counts pages, not items.
        ignored: It is not to be looked for.
    """

    find: Selection | None = None
    pages: bool = False
    ignored: bool = False


def read_how(text: str) -> How:
    """Return what option `pages` asks for.

    Raises:
        OptionError: An expression that is none, or a step of 0; one line.
    """
    text = text.strip()
    word = text.lower()
    if word in ("auto", "link"):
        return How("auto" if word == "auto" else "link")
    if word in ("page", "offset"):
        return How("count", word, step=1 if word == "page" else None)
    count = _COUNT.fullmatch(text)
    if count is not None:
        by_items = count["name"].lower() in OFFSETS
        step = int(count["step"]) if count["step"] else None if by_items else 1
        if step == 0:
            raise OptionError(f"pages={text!r} never moves: give a step from 1", option="pages", value=text, reason="give a step from 1")
        return How("count", count["name"], start=int(count["start"]), step=step)
    named = _NAMED.fullmatch(text)
    if named is not None:
        return How("expression", named["name"], Selection(named["expression"], "pages"))
    return How("expression", None, Selection(text, "pages"))


def read_total(text: str | None) -> Total:
    """Return what option `total` asks for.

    Raises:
        OptionError: An expression that is none; one line.
    """
    if text is None:
        return Total()
    if text.strip().lower() == "none":
        return Total(ignored=True)
    prefix, colon, rest = text.partition(":")
    if colon and prefix.strip() == "pages":
        return Total(Selection(rest, "total"), pages=True)
    return Total(Selection(text, "total"))


_FOUND = Total()


class Answer(NamedTuple):
    """A good answer: its body as it was parsed, and the response's head."""

    body: Any
    response: Response


class Stated(NamedTuple):
    """How much there is, in items or in pages; None where the answer does not say."""

    items: int | None = None
    pages: int | None = None


def is_url(text: str) -> bool:
    """Tell whether a text is meant as a URL: absolute, or beginning with ``/`` or ``?``."""
    return text.startswith(("/", "?")) or _SCHEME.match(text) is not None


def link_next(answer: Answer) -> str | None:
    """Return the target of Link rel=next (RFC 8288), None where there is none."""
    return link_targets(answer.response.header("link")).get("next")


def next_url(body: Any) -> str | None:
    """Return a URL that stands under a key that begins with next, or in an object there (``{"next": {"href": ...}}``)."""
    for mapping in _mappings(body):
        for key, value in mapping.items():
            if str(key).lower().startswith("next") or key == "@odata.nextLink":
                url = value.get("href") if isinstance(value, Mapping) else value
                if isinstance(url, str) and (url.startswith(("/", "?")) or _WEB.match(url)):
                    return url
    return None


def next_cursor(body: Any, name: str | None = None) -> tuple[str, str | int] | None:
    """Return name and value of a cursor under X, nextX or next_x, for X of `CURSORS`; None where there is none or nothing more.

    Args:
        body: Of the answer.
        name: The one that earlier pages had.
    """
    names = CURSORS if name is None else (name,)
    if _more(body) is False:
        return None
    mappings = list(_mappings(body))
    for spell in range(3):
        for cursor in names:
            key = (f"next_{cursor}", f"next{cursor[0].upper()}{cursor[1:]}", cursor)[spell]
            for mapping in mappings:
                value = mapping.get(key)
                if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
                    return cursor, value
    return None


def page_info(body: Any) -> tuple[bool, str | None] | None:
    """Return hasNextPage and endCursor of the first ``pageInfo`` (GraphQL connections), None where there is none."""
    for mapping in _mappings(body, deepest=6):
        info = mapping.get("pageInfo")
        if isinstance(info, Mapping) and "hasNextPage" in info:
            cursor = info.get("endCursor")
            return bool(info["hasNextPage"]), cursor if isinstance(cursor, str) else None
    return None


def items_path(body: Any) -> tuple[str, ...] | None:
    """Return the keys that lead to the list of items, empty where the body is that list; None where there is no list."""
    if isinstance(body, list):
        return ()
    ranked = [(_rank(path, value), path) for path, value in _lists(body)]
    return min(ranked)[1] if ranked else None


def items_at(body: Any, path: tuple[str, ...] | None) -> list[Any] | None:
    """Return the list of items, None where there is none."""
    if path is None:
        return None
    for key in path:
        body = body.get(key) if isinstance(body, Mapping) else None
    return body if isinstance(body, list) else None


def lists_mark(body: Any) -> int | None:
    """Return a number that is the same for bodies whose lists, or who themselves where they have none, are equal; None for nothing.

    All lists count: beside the items there may be one that never changes.
    """
    lists = [body] if isinstance(body, list) else [values for _, values in _lists(body)]
    if lists:
        return hash(repr(lists)) if any(lists) else None
    return hash(repr(body)) if body else None


def stated_total(answer: Answer, total: Total, received: int | None) -> Stated:
    """Return what an answer says of the whole.

    Args:
        answer: Of a page.
        total: Where it stands.
        received: Items of this page; a ``count`` of just as many counts the page, as likely as not.
    """
    if total.ignored:
        return Stated()
    if total.find is not None:
        try:
            number = _number(total.find.search(answer.body, dict(answer.response.headers) if total.find.reads_headers else None))
        except ValueError:
            number = None
        return Stated(pages=number) if total.pages else Stated(items=number)
    mappings = list(_mappings(answer.body, deepest=2))
    items = _first_number(mappings, _TOTALS, lambda key, number: key != "count" or number != received)
    pages = _first_number(mappings, _PAGES, lambda _, number: number > 0)
    items = _number(answer.response.header("x-total-count")) if items is None else items
    pages = _number(answer.response.header("x-total-pages")) if pages is None else pages
    if items is not None and pages is not None and received and not (pages - 1) * received < max(items, 1):
        # As a number of pages it would need more items than there are, so it counts something else.
        pages = None
    return Stated(items, pages)


def first_of_more(answer: Answer, stated: Stated, received: int) -> str | None:
    """Return ``1 of 25`` or ``1 of more`` where an answer says that there is more than it has, None where it does not.

    A total, a next link, ``has_more``, or a value under a key like next_page or NextMarker say so.
    """
    pages = stated.pages if stated.pages is not None else -(-stated.items // received) if received and stated.items is not None else None
    if pages is not None and pages > 1:
        return f"1 of {pages:,}"
    marked = _more(answer.body, deepest=2)
    if marked is None:
        marked = any(
            _NEXT.match(str(key)) and isinstance(value, (str, int)) and value is not False and value != ""
            for mapping in _mappings(answer.body, deepest=2)
            for key, value in mapping.items()
        )
    return "1 of more" if marked or link_next(answer) is not None or next_url(answer.body) is not None else None


def hint_of(answer: Answer, url: str, urls: Collection[str] = ()) -> str | None:
    """Return ``1 of 25`` or ``1 of more`` for an answer that is the first of several pages, None where nothing says so.

    Args:
        answer: To a GET that was not followed.
        url: What was asked.
        urls: All URLs of the run: whose next one is among them is followed already.
    """
    if not isinstance(answer.body, (list, dict)) or _LATER.search(url):
        return None
    following = link_next(answer) or next_url(answer.body)
    if following is not None and _resolved(url, following) in urls:
        return None
    received = len(items_at(answer.body, items_path(answer.body)) or ())
    if following is None and not received:
        return None
    return first_of_more(answer, stated_total(answer, _FOUND, received) if received else Stated(), received)


def _resolved(url: str, following: str) -> str | None:
    try:
        return resolve_reference(parse_target(url), following).url
    except ValueError:
        return None


def _more(body: Any, *, deepest: int = _DEEPEST) -> bool | None:
    for mapping in _mappings(body, deepest=deepest):
        for key, value in mapping.items():
            if isinstance(value, bool) and str(key).lower() in _MORE:
                return value
    return None


def _mappings(body: Any, *, deepest: int = _DEEPEST) -> Iterator[Mapping[str, Any]]:
    """Give the objects of a body, outer ones first, lists left out."""
    level = [body] if isinstance(body, Mapping) else []
    for _ in range(deepest):
        yield from level
        level = [inner for outer in level for inner in list(outer.values())[:_MOST_MEMBERS] if isinstance(inner, Mapping)]


def _lists(body: Any) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    level: list[tuple[tuple[str, ...], Any]] = [((), body)] if isinstance(body, Mapping) else []
    for _ in range(_DEEPEST + 1):
        following: list[tuple[tuple[str, ...], Any]] = []
        for path, outer in level:
            for key, inner in list(outer.items())[:_MOST_MEMBERS]:
                if isinstance(inner, list):
                    yield (*path, str(key)), inner
                elif isinstance(inner, Mapping):
                    following.append(((*path, str(key)), inner))
        level = following


def _rank(path: tuple[str, ...], values: list[Any]) -> tuple[bool, int, int, int]:
    """Return what the list of items has least of: no known name with nothing in it, depth, strangeness, shortness."""
    rank = _ITEMS.index(path[-1]) if path[-1] in _ITEMS else len(_ITEMS)
    records = bool(values) and isinstance(values[0], (Mapping, list))
    return not (records or rank < len(_ITEMS)), len(path), rank, -len(values)


def _first_number(mappings: list[Mapping[str, Any]], names: tuple[str, ...], fits: Any) -> int | None:
    for name in names:
        for mapping in mappings:
            number = _number(mapping.get(name))
            if number is not None and fits(name, number):
                return number
    return None


def _number(value: Any) -> int | None:
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < _MOST_DIGITS:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**_MOST_DIGITS else None
