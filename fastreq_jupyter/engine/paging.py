"""The pages of a run: each request is a chain, each page a row of its own that goes through the ordinary scheduler.

`policy.pages` decides what follows an answer; here the rows of pages are numbered, kept in order and counted.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.engine.progress import Outcomes
from fastreq_jupyter.engine.reading import parse_json
from fastreq_jupyter.model import Deferred, Link, Outcome, Page, Request, Response
from fastreq_jupyter.policy import Answer, Chain, Step, hint_of, read_how, read_total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastreq_jupyter.engine.source import Source
    from fastreq_jupyter.model import Item, Plan

_SHORT_BODY = 2**20
_BROKEN = frozenset({"loop", "invalid value", "invalid URL"})
HINTING = 20
"""Answers of a run that are looked at for more pages."""


class Paging:
    """The follower of the pages of a run's requests.

    Args:
        plan: What to do; its options say how pages are followed.
        source: Numbers the rows.
        outcomes: Where they are kept.
        handed: Bodies are given to the user while they arrive, and not kept.

    Attributes:
        due: Pages that are to be sent next, or cannot be: position and request, or outcome.
        links: Which page of which request a row is, by position.
    """

    def __init__(self, plan: Plan, source: Source, outcomes: PagedOutcomes, *, handed: bool = False) -> None:
        options = plan.options
        self._options = options
        self._how = read_how(str(options.pages))
        self._total = read_total(options.total)
        # Credentials that each attempt gets anew, for their own origin alone.
        self._tokens = plan.auth is not None
        self._handed = handed
        self._source = source
        self._outcomes = outcomes
        self.due: deque[tuple[int, Request | Outcome]] = deque()
        self.links = outcomes.links
        self._requests = outcomes.tally.total
        outcomes.tally.total = None
        self._chains: dict[int, _Pages] = {}
        self._known_chains = self._ended = self._expected = 0
        self._places: list[int] = []
        # A retry of failures has the known pages as rows: they are not fetched twice.
        items = plan.requests if isinstance(plan.requests, list) else ()
        linked = [item.link for item in items if isinstance(item, (Outcome, Page)) and item.link is not None]
        self._known_pages = {(link.place, link.page) for link in linked}
        if self._requests is not None:
            # Rows of later pages are numbered behind the items, whose numbers are then their places.
            source.reserve_from(self._requests)
            outcomes.make_room(self._requests)
        if linked:
            self._requests = len({link.place for link in linked})

    @property
    def chains(self) -> list[Chain]:
        """Return the chains in order of their requests."""
        return [pages.chain for _, pages in sorted(self._chains.items()) if pages.chain is not None]

    def expected(self, place: int) -> int | None:
        """Return how many pages a request has, or will have by what its answers said; None while nobody knows."""
        pages = self._chains.get(place)
        return None if pages is None else pages.expected

    def begin(self, position: int, item: Item) -> Item:
        """Return what is to be done for an item that was drawn, or a page that is due; its row gets its place."""
        if position in self.links:
            return self._first(position, item) if isinstance(item, Request) else item
        link = item.link if isinstance(item, (Page, Outcome)) else None
        place = len(self._places) if link is None else link.place
        self._places.append(position)
        shown = item.request if isinstance(item, Outcome) else item if isinstance(item, Request) else item.shown
        pages = self._chains.setdefault(place, _Pages())
        if link is not None:
            page, template = link.page, link.template
        else:
            page, template = 1, shown
        pages.rows[page] = position
        self.links[position] = Link(pages.rows.get(1, position), place, page, template)
        if isinstance(item, Page):
            self._begin(pages, template)
            return item.shown
        if isinstance(item, Deferred):
            return replace(item, needs=tuple(self._places[need] for need in item.needs))
        return self._first(position, item) if isinstance(item, Request) else item

    def follow(self, outcome: Outcome) -> Outcome | None:
        """Return the outcome as a row keeps it, None where it is no row; what follows it is due now."""
        position = outcome.position
        if position not in self.links:
            self.begin(position, outcome)
        link = self.links[position]
        outcome = self.judged(outcome)
        if outcome.link != link:
            outcome = replace(outcome, link=link)
        pages = self._chains[link.place]
        chain = self._begin(pages, link.template)
        if outcome.error is None:
            step = chain.step(link.page, outcome.request, _answer_of(outcome))
        else:
            status = outcome.status if outcome.error.startswith("http ") else None
            step = chain.failed(link.page, status, sent=bool(outcome.attempts))
        if step.restart:
            self._start_anew(pages, link)
            return None
        for page, request in step.pages:
            self._ask(pages, link, page, request)
        if step.broken is not None:
            page, kind, detail = step.broken
            self._ask(pages, link, page, Outcome(-1, outcome.request, error=kind, error_detail=detail))
        if step.drop:
            self._outcomes.take_out(position)
        self._recount(pages)
        if chain.ended:
            chain.close()
        return None if step.drop else self._with_notes(outcome, chain, step, link.page)

    def judged(self, outcome: Outcome) -> Outcome:
        """Return the outcome of a page as it is to be kept: one that is none of its chain's pages is an error."""
        link = self.links.get(outcome.position)
        chain = None if link is None else self._chains[link.place].chain
        if link is None or chain is None or outcome.error is not None:
            return outcome
        why = chain.no_page(link.page, _answer_of(outcome))
        return outcome if why is None else replace(outcome, error=why[0], error_detail=why[1])

    def _with_notes(self, outcome: Outcome, chain: Chain, step: Step, page: int) -> Outcome:
        """Return the outcome with what is to be said of this page."""
        if step.loop is not None:
            outcome = replace(outcome, error="loop", error_detail=step.loop)
        if page in self._bare(chain):
            note = "sent without credentials: another origin than that of page 1"
            outcome = replace(outcome, error_detail=note if outcome.error_detail is None else f"{outcome.error_detail}; {note}")
        return replace(outcome, data=None) if self._handed else outcome

    def _bare(self, chain: Chain) -> set[int]:
        """Return the pages that were sent without credentials."""
        return chain.elsewhere if self._tokens else chain.dropped

    def is_fresh(self, position: int) -> bool:
        """Tell whether a page must be asked for whatever a journal knows: its chain started anew."""
        chain = self._chains[self.links[position].place].chain
        return chain is not None and chain.restarted

    # Rows

    def _first(self, position: int, request: Request) -> Request:
        """Return a request as its first page asks; a page that is due already stays as it is."""
        link = self.links[position]
        pages = self._chains[link.place]
        if link.page > 1 or pages.chain is not None:
            return request
        if link.template is not request:
            # A request that depends on another one's answer is known only now.
            self.links[position] = replace(link, template=request)
        return self._begin(pages, request).first

    def _begin(self, pages: _Pages, template: Request) -> Chain:
        if pages.chain is None:
            pages.chain = Chain(template, self._how, self._total, self._options.max_pages)
        return pages.chain

    def _ask(self, pages: _Pages, link: Link, page: int, item: Request | Outcome) -> None:
        """Put a page into the queue: what is to be sent, or the error row of one that cannot be asked for."""
        if (link.place, page) in self._known_pages:
            return
        position = self._row(pages, link, page)
        self._outcomes.expect(position, item.request if isinstance(item, Outcome) else item)
        self.due.append((position, item if isinstance(item, Request) else replace(item, position=position)))

    def _row(self, pages: _Pages, link: Link, page: int) -> int:
        position = pages.rows.get(page)
        if position is None:
            position = pages.rows[page] = self._source.reserve()
            self.links[position] = Link(link.parent, link.place, page, link.template)
        return position

    def _start_anew(self, pages: _Pages, link: Link) -> None:
        """Begin a chain again whose cursor had expired; the rows that it had are replaced."""
        chain = Chain(link.template, self._how, self._total, self._options.max_pages, restarted=True)
        pages.chain, pages.expired = chain, link.page
        for page, position in pages.rows.items():
            self._known_pages.discard((link.place, page))
            self._outcomes.take_out(position)
        first = pages.rows[1]
        self._outcomes.expect(first, chain.first)
        self.due.append((first, chain.first))
        self._recount(pages)

    def _recount(self, pages: _Pages) -> None:
        """Tell how many rows there will be, as soon as something is known of every request."""
        chain = pages.chain
        expected, ended = (None, False) if chain is None else (chain.pages_expected, chain.ended)
        self._known_chains += (expected is not None) - (pages.expected is not None)
        self._expected += (expected or 0) - (pages.expected or 0)
        self._ended += ended - pages.ended
        pages.expected, pages.ended = expected, ended
        live = self._outcomes.live
        total = live if self._ended == self._requests else max(live, self._expected)
        self._outcomes.tally.total = total if self._known_chains == self._requests else None

    # What came of it

    def figures(self) -> dict[str, Any]:
        """Return what ``summary["pages"]`` says: requests, pages, items, total, distinct, short, truncated, anew, unstable."""
        chains = self.chains
        totals = [chain.stated_items for chain in chains if chain.answered]
        distinct = [chain.distinct for chain in chains]
        return {
            "requests": len(chains),
            "pages": sum(chain.pages for chain in chains),
            "items": sum(chain.items for chain in chains),
            "total": None if not totals or None in totals else sum(filter(None, totals)),
            "distinct": None if None in distinct else sum(filter(None, distinct)),
            "unstable": any(chain.unstable for chain in chains),
            "short": len(self.short()),
            "truncated": sum(chain.truncated for chain in chains),
            "anew": sum(pages.expired is not None for pages in self._chains.values()),
        }

    def short(self) -> list[Chain]:
        """Return the chains of which less came than the server said there is, or than `max_pages` let through unasked."""
        limited_by_user = "max_pages" in self._options.explicit
        return [chain for chain in self.chains if (not limited_by_user if chain.truncated else chain.short)]

    def notes(self) -> list[str]:
        """Return lines a person should read."""
        lines = []
        truncated = [place for place, pages in self._chains.items() if pages.chain is not None and pages.chain.truncated]
        if truncated:
            more = f" and {len(truncated) - 1:,} more" if len(truncated) > 1 else ""
            lines.append(f"request {truncated[0]}{more} has more pages than max_pages={self._options.max_pages:,}: they were not fetched")
        stalled = [(place, pages.chain.stalled) for place, pages in self._chains.items() if pages.chain and pages.chain.stalled]
        if stalled:
            more = f" and {len(stalled) - 1:,} more" if len(stalled) > 1 else ""
            how = f"pages={str(self._options.pages)!r} found nothing to follow"
            lines.append(f"request {stalled[0][0]}{more}: page {stalled[0][1]}, but {how}: give page, offset=0 or NAME=EXPR")
        for place, pages in self._chains.items():
            if pages.expired is not None:
                lines.append(f"request {place}: the cursor of page {pages.expired} had expired, its pages were fetched anew")
        dropped = sum(len(self._bare(chain)) for chain in self.chains)
        if dropped:
            lines.append(f"{dropped:,} {'page was' if dropped == 1 else 'pages were'} sent without credentials: another origin than page 1")
        return lines


class PagedOutcomes(Outcomes):
    """The outcomes of a run whose pages are followed: rows come in between, and may be replaced.

    Attributes:
        links: Which page of which request a row is, by position.
        live: Rows that there are.
        withdrawn: Positions that were rows, and are none now.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.links: dict[int, Link] = {}
        self.live = 0
        self.withdrawn: set[int] = set()
        self._replaced: dict[int, Outcome] = {}

    def make_room(self, number: int) -> None:
        """Keep the first places for rows that are drawn later than others come."""
        self._rows += [None] * number

    def expect(self, position: int, request: Request) -> None:
        """Take note of a request that is to be sent."""
        if position == len(self._rows):
            self._rows.append(None)
        if self._rows[position] is None:
            self._rows[position] = request
            self.live += 1
            self.withdrawn.discard(position)

    def keep(self, outcome: Outcome) -> None:
        """Keep an outcome and count it."""
        position = outcome.position
        if position == len(self._rows) or self._rows[position] is None:
            self.live += 1
        super().keep(outcome)

    def take_out(self, position: int) -> None:
        """Forget a row: it is none, or another one will take its place."""
        row = self._rows[position]
        if row is None:
            return
        self._rows[position] = None
        self.live -= 1
        self.withdrawn.add(position)
        if isinstance(row, Outcome):
            self._replaced[position] = row
            self._uncount(row)

    def completed(self, since: int, most: int | None) -> list[Outcome]:
        """Return outcomes in order of completion; of a row that was taken out what it was."""
        positions = self._order[since : None if most is None else since + most]
        return [self._amended.get(at) or self.at(at) or self._replaced[at] for at in positions]

    def rows(self, *, unfinished: bool) -> list[Outcome]:
        """Return one outcome per page, in order of the requests and, within each, of its pages."""
        rows = super().rows(unfinished=unfinished)
        for row in rows:
            row.link = self.links.get(row.position)
        return sorted(rows, key=_order_of)

    def _uncount(self, row: Outcome) -> None:
        tally = self.tally
        if row.error is None:
            tally.ok -= 1
        else:
            tally.failed -= 1
            tally.errors[row.error] -= 1
        if row.response is not None and row.response.path is None:
            tally.kept_bytes -= row.response.size_bytes


def _order_of(row: Outcome) -> tuple[int, int]:
    return (row.position, 1) if row.link is None else (row.link.place, row.link.page)


class _Pages:
    """The rows of one request's pages.

    Attributes:
        chain: What its pages are, None before its request is known.
        rows: Position by number of page.
        expected: How many pages there will be, None where nobody knows.
        ended: Nothing more will be asked for.
        expired: The page whose cursor had expired, or None.
    """

    __slots__ = ("chain", "ended", "expected", "expired", "rows")

    def __init__(self) -> None:
        self.chain: Chain | None = None
        self.rows: dict[int, int] = {}
        self.ended = False
        self.expected: int | None = None
        self.expired: int | None = None


def item_to_resend(row: Outcome) -> Item:
    """Return what a retry is to do for a failed page: send it; one that could not be asked for would be refused again, and stays."""
    refused = (row.page or 1) > 1 and not row.attempts and row.error in _BROKEN
    return row if refused or row.link is None else Page(row.request, row.link)


def hint(outcomes: Sequence[Outcome], flag: str) -> str | None:
    """Return ``page 1 of 25: add --pages`` where answers to a run that did not follow pages have more, else None.

    Args:
        outcomes: The first ones of the run; good answers to GET tell.
        flag: What is to be added.
    """
    good = [row for row in outcomes if row.ok and row.response is not None and row.request.method == "GET" and not row.request.hide_data]
    urls = {row.request.url for row in outcomes}
    hints = [text for row in good if (text := hint_of(_answer_of(row, _SHORT_BODY), row.request.url, urls)) is not None]
    if not hints:
        return None
    more = "" if len(hints) == 1 else f" ({len(hints)} of the first {len(outcomes)} answers have more)"
    return f"page {hints[0]}: add {flag}{more}"


def _answer_of(outcome: Outcome, longest: float = inf) -> Answer:
    """Return an answer with its body as JSON where it is that, whatever results are asked for, and no longer than so much."""
    data, response = outcome.data, outcome.response
    content_type = None if response is None else response.header("content-type")
    if isinstance(data, Response):
        data = data.content
    if isinstance(data, (str, bytes)) and 0 < len(data) <= longest and (response is None or response.path is None):
        with suppress(ValueError):
            data = parse_json(data.encode() if isinstance(data, str) else data, content_type)
    return Answer(data, response or Response(200))
