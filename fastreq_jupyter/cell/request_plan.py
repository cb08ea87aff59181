"""One request of the cell, ready to be made for each row."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fastreq_jupyter.cell.fill.body import BodyPlan
from fastreq_jupyter.cell.fill.bound import Bound, BoundParts, Check, Env, MisfitError
from fastreq_jupyter.cell.fill.headers import HeaderPlan
from fastreq_jupyter.cell.fill.places import UrlPlan
from fastreq_jupyter.cell.globs import count_items, expand_ranges
from fastreq_jupyter.cell.syntax import HeaderTemplate, Part, Parts, Placeholder, Range, RequestTemplate, VarText
from fastreq_jupyter.errors import CellSyntaxError
from fastreq_jupyter.model import Request, Unsendable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fastreq_jupyter.cell.save_names import SaveNames

__all__ = ["RequestPlan", "error_of", "unsendable"]


class RequestPlan:
    """Make requests out of one template.

    Args:
        template: What the grammar read, defaults already added.
        bind: Ties placeholders to their values.
        names: Names files of answers, None where nothing is saved by template.

    Attributes:
        template: As given.
        parents: Names of the requests it waits for, in the order of its placeholders.
        count: Requests it makes for each row.
        hide_data: Its answer feeds a secret place.

    Raises:
        CellSyntaxError: Something in it can never be sent.
    """

    def __init__(self, template: RequestTemplate, bind: Callable[[Parts], BoundParts], names: SaveNames | None = None) -> None:
        self.template = template
        self.count = count_items(template.url, template.line, template.column)
        self.url = UrlPlan(bind(template.url))
        self.headers = [_header(header, bind) for header in template.headers]
        self.body = BodyPlan(template.body, template.headers, bind) if template.body is not None else None
        self._headers = [(header.name, header.fill(Env())) for header in self.headers] if all(h.fixed for h in self.headers) else None
        self.hide_data = False
        self.names = names
        self.bound: tuple[Bound, ...] = tuple(bound for bound, _ in self.checks())
        self._changes = any(bound.origin == "dynamic" for bound in self.bound)
        self.parents = tuple(dict.fromkeys(bound.parent for bound in self.bound if bound.parent is not None))

    def checks(self) -> Iterator[tuple[Bound, Check]]:
        """Give each placeholder and what its value must pass."""
        for bound in self.url.bound:
            yield bound, "text"
        for header in self.headers:
            for bound in header.bound:
                yield bound, "header"
        if self.body is not None:
            yield from self.body.checks
        if self.names is not None:
            for bound in self.names.bound:
                yield bound, "text"

    def expand(self) -> Iterator[BoundParts]:
        """Give the URL's parts once for each item of its ranges."""
        yield from expand_ranges(self.url.parts)  # type: ignore[arg-type, misc]

    def make(self, parts: BoundParts, env: Env) -> Request:
        """Return the request of one row.

        Raises:
            MisfitError: A value is missing or does not fit.
        """
        url = self.url.fill(parts, env)
        headers = self._headers if self._headers is not None else [(header.name, header.fill(env)) for header in self.headers]
        content = self.body.fill(env) if self.body is not None else None
        save_as = self.names.fill(env) if self.names is not None else None
        identity = self._identity(parts, env) if self._changes else None
        return Request(
            self.template.method, url, headers=headers, data=content, label=self.template.label,
            secrets=frozenset(env.secrets), hide_data=self.hide_data, save_as=save_as, identity=identity,
        )  # fmt: skip

    def _identity(self, parts: BoundParts, env: Env) -> tuple[str, bytes | None]:
        """Return URL and body with what is made anew each time held fixed."""
        fixed = replace(env, secrets=set(), fixed=True)
        return self.url.fill(parts, fixed), self.body.fill(fixed) if self.body is not None else None

    def as_written(self) -> Request:
        """Return the request with its placeholders as they stand, for a row that cannot be filled."""
        url = "".join(_written(part) for part in self.template.url)
        return Request(self.template.method, url, label=self.template.label, hide_data=self.hide_data)


def unsendable(error: MisfitError, shown: Request) -> Unsendable:
    """Return the error row for a value that does not fit."""
    return Unsendable(shown, "invalid URL" if error.kind == "url" else "invalid value", error.detail)


def error_of(error: MisfitError, template: RequestTemplate) -> CellSyntaxError:
    """Return the error of the cell for a value that does not fit."""
    bound = error.bound
    if bound is None:
        return CellSyntaxError(error.detail, template.line, template.column)
    return CellSyntaxError(error.detail, bound.placeholder.line, bound.placeholder.column)


def references(plans: Sequence[RequestPlan]) -> Iterator[tuple[int, Bound]]:
    """Give each chained placeholder with the number of the request it stands in."""
    for number, plan in enumerate(plans):
        for bound in plan.bound:
            if bound.parent is not None:
                yield number, bound


def _header(template: HeaderTemplate, bind: Callable[[Parts], BoundParts]) -> HeaderPlan:
    try:
        return HeaderPlan(template, bind(template.parts))
    except MisfitError as error:
        raise CellSyntaxError(f"{template.name}: {error.detail}", template.line, template.column) from None


def _written(part: Part) -> str:
    if isinstance(part, Placeholder):
        return f"{{{{{part.text}}}}}"
    if isinstance(part, Range):
        return part.text(0)
    return part.text if isinstance(part, VarText) else part
