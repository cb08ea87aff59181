"""Items of a plan, row after row, lazily."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastreq_jupyter.cell.compiling import Compiled, PlainUrls
from fastreq_jupyter.cell.fill.bound import BoundParts, Env, MisfitError
from fastreq_jupyter.cell.request_plan import RequestPlan, error_of, unsendable
from fastreq_jupyter.cell.save_names import equal_names
from fastreq_jupyter.errors import CellSyntaxError
from fastreq_jupyter.model import Deferred, Item, Outcome, Request, Unsendable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from fastreq_jupyter.cell.each.rows import Rows

__all__ = ["Rendering"]

_FIRST = 1
_STEP = 2000


class Rendering:
    """Make the items of a compiled cell."""

    def __init__(self, compiled: Compiled, rows: Rows) -> None:
        self._compiled = compiled
        self._rows = rows
        self._once: dict[Any, Any] = {}

    def __iter__(self) -> Iterator[Item]:
        """Give the items in order: row, request, item of its ranges."""
        compiled = self._compiled
        for number, rows in enumerate(self._rows):
            base = number * compiled.per_row
            for entry in compiled.entries:
                if isinstance(entry, PlainUrls):
                    yield from self._plain(entry)
                else:
                    for parts in entry.expand():
                        yield self._item(entry, parts, rows, base)

    def check_first(self) -> Generator[None, None, None]:
        """Fill each request once, and all names of files, before anything is sent.

        Raises:
            CellSyntaxError: A value fits no place, whatever the row; or two rows would be saved to one file.
        """
        rows = next(iter(self._rows), None) if self._rows.size != 0 else None
        for number, plan in enumerate(self._compiled.plans):
            if number % _STEP == 0:
                yield
            if rows is None and any(bound.origin == "row" for bound in plan.bound):
                continue
            try:
                plan.make(next(plan.expand()), Env(rows or (), None, self._once))
            except MisfitError as error:
                if error.bound is None or error.bound.origin not in ("row", "chain") or error.kind == "type":
                    raise error_of(error, plan.template) from None
        yield from self._check_names()

    def _plain(self, entry: PlainUrls) -> Iterator[Item]:
        if entry.method is not None:
            headers = self._compiled.defaults.get("headers")
            for url in entry.urls:
                yield Request(entry.method, url, headers=headers)
            return
        defaults, method = self._compiled.defaults, self._compiled.method
        for url in entry.urls:
            yield Request(method, url, **defaults)

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
                return plan.make(parts, Env(rows, answers, self._once))
            except MisfitError as error:
                return unsendable(error, request)

        return Deferred(tuple(needs), resolve, request)

    def _check_names(self) -> Generator[None, None, None]:
        plans = [plan for plan in self._compiled.plans if plan.names is not None]
        if not plans or self._rows.size is None:
            return
        names: list[str | None] = []
        for rows in self._rows:
            for plan in plans:
                names += [self._name(plan, rows)] * plan.count
            if len(names) % _STEP < len(plans):
                yield
        if found := equal_names(names):
            name, first, second = found
            message = f"save_to: requests {first} and {second} would both be saved to {name!r}: use a value that differs"
            raise CellSyntaxError(message, plans[0].template.line)

    def _name(self, plan: RequestPlan, rows: tuple[int, ...]) -> str | None:
        assert plan.names is not None  # noqa: S101 - the caller chose such plans
        try:
            return plan.names.fill(Env(rows, None, self._once))
        except MisfitError:
            return None
