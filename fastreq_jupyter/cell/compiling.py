"""Templates of a cell, with the run's defaults, become plans of requests; what they ask of the run is gathered."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.cell.fill import BodyPlan, Bound, BoundParts, Check, Env, HeaderPlan, MisfitError, UrlPlan, check_order
from fastreq_jupyter.cell.request_line import make_header
from fastreq_jupyter.cell.syntax import (
    Entry,
    FilePiece,
    HeaderTemplate,
    OpenRange,
    ParsedCell,
    Part,
    Parts,
    Placeholder,
    Range,
    RequestTemplate,
    Span,
    TextPiece,
    field_named,
)
from fastreq_jupyter.cell.template import count_items, expand_ranges, read_text, with_query
from fastreq_jupyter.content import encode_content, with_params
from fastreq_jupyter.errors import CellSyntaxError, OptionError
from fastreq_jupyter.files import FilePart, Upload
from fastreq_jupyter.model import Request, Unsendable
from fastreq_jupyter.options import Options
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from fastreq_jupyter.cell.fill import Binder
    from fastreq_jupyter.cell.items import SaveNames


class RequestPlan:
    """One request of the cell, ready to be made for each row.

    Args:
        template: What the grammar read, defaults already added.
        bind: Ties placeholders to their values.
        names: Names files of answers, None where nothing is saved by template.

    Attributes:
        template: As given.
        parents: Names of the requests it waits for, in the order of its placeholders.
        count: Requests it makes for each row.
        hide_data: Its answer feeds a secret place.
        checks: Its placeholders, and what a value must pass at each.
        bound: The placeholders alone.

    Raises:
        CellSyntaxError: Something in it can never be sent.
    """

    def __init__(self, template: RequestTemplate, bind: Callable[[Parts], BoundParts], names: SaveNames | None = None) -> None:
        self.template = template
        self.url = UrlPlan(bind(template.url))
        self.count = count_items(self.url.parts, template)
        self.headers = [_header(header, bind) for header in template.headers]
        self.body = BodyPlan(template.body, template.headers, bind) if template.body is not None else None
        self._headers = [(header.name, header.fill(Env())) for header in self.headers] if all(h.fixed for h in self.headers) else None
        self.hide_data = False
        self.names = names
        self.checks: tuple[tuple[Bound, Check], ...] = (
            *self.url.checks,
            *(check for header in self.headers for check in header.checks),
            *(self.body.checks if self.body is not None else ()),
            *(names.checks if names is not None else ()),
        )
        self.bound = tuple(bound for bound, _ in self.checks)
        self._changes = any(bound.origin == "dynamic" for bound in self.bound)
        self.parents = tuple(dict.fromkeys(bound.parent for bound in self.bound if bound.parent is not None))

    def expand(self) -> Iterator[BoundParts]:
        """Give the URL's parts once for each item of its ranges."""
        yield from expand_ranges(self.url.parts)  # type: ignore[arg-type, misc] # of a URL there is text, or nothing to expand

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
            secrets=frozenset(env.secrets), hide_data=self.hide_data, save_as=save_as, identity=identity, operation=self.template.operation,
            cache=self.template.cache,
        )  # fmt: skip

    def _identity(self, parts: BoundParts, env: Env) -> tuple[str, bytes | Upload | None]:
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
        raise template.error(f"{template.name}: {error.detail}") from None


def _written(part: Part) -> str:
    if isinstance(part, Placeholder):
        return f"{{{{{part.text}}}}}"
    if isinstance(part, Range):
        return part.text(0)
    if isinstance(part, OpenRange):
        return f"[{'-'.join(''.join(map(_written, bound)) for bound in part.bounds[:2])}]"
    return part


@dataclass(frozen=True, slots=True)
class PlainUrls:
    """Neighbouring lines with nothing in them to fill, of one method; `arguments` are those of each `Request`."""

    method: str
    urls: tuple[str, ...]
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Compiled:
    """The requests of a cell.

    Attributes:
        entries: In the order of the text.
        plans: Those with something to look at.
        places: Name of a request -> its place within a row.
        per_row: Items for each row.
    """

    entries: tuple[RequestPlan | PlainUrls, ...]
    plans: tuple[RequestPlan, ...]
    places: Mapping[str, int]
    per_row: int


def compile_requests(  # noqa: PLR0913 - a cell, and what it is compiled with
    parsed: ParsedCell, binder: Binder, options: Options, *, names: SaveNames | None, base_url: str | None, first_line: int
) -> Compiled:
    """Compile all entries.

    Raises:
        CellSyntaxError: Something can never be sent.
    """
    maker = _Maker(options, base_url, first_line)
    maker.check_plain(parsed.entries)
    entries: list[RequestPlan | PlainUrls] = []
    simple = not maker.has_templates and names is None
    for method, group in groupby(parsed.entries, _plain_method):
        if method is not _TEMPLATE and simple:
            entries.append(maker.plain(method, tuple(_plain_url(entry) for entry in group)))
            continue
        entries += [RequestPlan(maker.template(entry), binder.bind, names) for entry in group]
    return _arranged(entries)


def requested_options(entries: Sequence[Entry], options: Options, set_by_user: Collection[str]) -> Mapping[str, Any]:
    """Return the options of the run that the requests ask for.

    Raises:
        CellSyntaxError: They do not agree, a request does not ask for it, or the user asked otherwise.
    """
    requesting = [entry for entry in entries if isinstance(entry, RequestTemplate) and entry.run_options]
    if not requesting:
        return {}
    run_options = dict(requesting[0].run_options)
    for entry in entries:
        asked = entry.run_options if isinstance(entry, RequestTemplate) else {}
        for name in {**run_options, **asked}:
            if asked.get(name) == run_options.get(name):
                continue
            at = entry if isinstance(entry, RequestTemplate) and name in asked else requesting[0]
            raise at.error(f"{name} holds for the whole run, but the requests of this cell ask for different ones: split the cell")
    for name, value in run_options.items():
        _check_requested(name, value, options, set_by_user=name in set_by_user, at=requesting[0])
    return run_options


def _check_requested(name: str, value: Any, options: Options, *, set_by_user: bool, at: RequestTemplate) -> None:
    try:
        checked = getattr(Options.of(None, **{name: value}), name)
    except OptionError as error:
        raise at.error(str(error)) from None
    if set_by_user and checked != getattr(options, name):
        raise at.error(f"{name} is given twice: by the option and, differently, by this request")


class _Maker:
    """The run's defaults, which are added to templates."""

    def __init__(self, options: Options, base_url: str | None, first_line: int) -> None:
        self._options = options
        self._line = first_line
        self._base = base_url.rstrip("/") if base_url else None
        self._headers = tuple(make_header(name, Span(value, first_line), Span(value, first_line)) for name, value in options.headers or ())
        self._query = _option_query(options, first_line)
        self._body = _option_body(options, first_line)
        body = self._body[0] if self._body else None
        templates = [header.parts for header in self._headers] + ([body.parts] if isinstance(body, TextPiece) else [])
        self.has_templates = any(not isinstance(part, str) for parts in templates for part in parts)

    def check_plain(self, entries: Sequence[Entry]) -> None:
        """Refuse options for plain URLs in a cell that has none."""
        options = self._options
        names = [name for name in ("json", "data", "params") if getattr(options, name) is not None]
        names += ["method"] if options.method != "GET" else []
        if names and not any(isinstance(entry, str) or (isinstance(entry, RequestTemplate) and entry.plain) for entry in entries):
            line = next((entry.line for entry in entries if isinstance(entry, RequestTemplate)), self._line)
            message = f"{names[0]} is for lines that are a URL alone, and this cell has none: write it with the request"
            raise CellSyntaxError(message, line, option=names[0])

    def plain(self, method: str | None, urls: tuple[str, ...]) -> PlainUrls:
        """Return plain lines with defaults; those that are a URL alone have no method."""
        names = ("headers",) if method else ("headers", "params", "json", "data")
        arguments = {name: value for name in names if (value := getattr(self._options, name)) is not None}
        return PlainUrls(method or self._options.method, urls, arguments)

    def template(self, entry: Entry) -> RequestTemplate:
        """Return the template with defaults and an absolute URL."""
        if isinstance(entry, str):
            entry = RequestTemplate("GET", (entry,), self._line, 1, plain=True)
        elif isinstance(entry, tuple):
            entry = RequestTemplate(entry[0], (entry[1],), self._line, 1)
        headers = entry.headers
        if entry.plain:
            entry = replace(entry, method=self._options.method)
            if entry.body is None and self._body is not None:
                piece, kind = self._body
                headers = _with_default(headers, kind)
                entry = replace(entry, body=(piece,))
        url, headers = self._absolute(entry, headers)
        own = {header.name.lower() for header in headers} | entry.no_default
        headers += tuple(header for header in self._headers if header.name.lower() not in own)
        return replace(entry, url=url, headers=headers)

    def _absolute(self, entry: RequestTemplate, headers: tuple[HeaderTemplate, ...]) -> tuple[Parts, tuple[HeaderTemplate, ...]]:
        url = with_query(entry.url, (self._query,)) if entry.plain and self._query else entry.url
        first = url[0] if url else ""
        if not isinstance(first, str) or not first.startswith("/"):
            return url, headers
        if self._base is not None:
            return (self._base, *url), headers
        host = field_named(headers, "host")
        if host is None or first.startswith("//"):
            raise entry.error("a path alone needs its server: a Host header, or --session with a base_url")
        last = host.parts[-1] if host.parts else ""
        scheme = "https://" if isinstance(last, str) and last.endswith((":443", ":8443")) else "http://"
        return (scheme, *host.parts, *url), tuple(header for header in headers if header is not host)


def _arranged(entries: Sequence[RequestPlan | PlainUrls]) -> Compiled:
    places: dict[str, int] = {}
    total = 0
    for entry in entries:
        if isinstance(entry, RequestPlan) and entry.template.label:
            places[entry.template.label] = total
        total += entry.count if isinstance(entry, RequestPlan) else len(entry.urls)
    plans = tuple(entry for entry in entries if isinstance(entry, RequestPlan))
    _check_chains(plans)
    return Compiled(tuple(entries), plans, places, total)


def _check_chains(plans: Sequence[RequestPlan]) -> None:
    named = {plan.template.label: plan for plan in plans if plan.template.label}
    keys = [plan.template.label or f" {number}" for number, plan in enumerate(plans)]
    needs: dict[str, list[tuple[str, Placeholder]]] = {}
    for number, bound in references(plans):
        parent = bound.parent or ""
        if named[parent].count > 1:
            raise bound.placeholder.error(f"{parent} is sent {named[parent].count} times for each row: its answer is not one")
        needs.setdefault(keys[number], []).append((parent, bound.placeholder))
        if bound.sensitive and not named[parent].template.keep:
            named[parent].hide_data = True
    check_order(needs, keys)


def _option_query(options: Options, line: int) -> str:
    try:
        return with_params("", options.params or ()).removeprefix("?")
    except TypeError as error:
        raise CellSyntaxError(f"params cannot be sent: {one_line(str(error), 120)}", line) from None


def _option_body(options: Options, line: int) -> tuple[TextPiece | FilePiece, str | None] | None:
    if options.json is None and options.data is None:
        return None
    if isinstance(options.data, str):
        return TextPiece(read_text(Span(options.data, line, 1))), None
    try:
        content, kind = encode_content(options.json, options.data, None)
    except (TypeError, ValueError, OSError) as error:
        raise CellSyntaxError(f"{'data' if options.json is None else 'json'} cannot be sent: {one_line(str(error), 120)}", line) from None
    if isinstance(content, Upload):
        return FilePiece((_whole_file(content, line),), line, 1), kind
    inline = "data:;base64," + b64encode(content or b"").decode()
    return FilePiece((inline,), line, 1), kind


def _whole_file(content: Upload, line: int) -> str:
    part = content.parts[0]
    if isinstance(part, FilePart) and not part.start:
        return part.path
    raise CellSyntaxError("data cannot be sent: a file that was read from already; open it anew", line)


def _with_default(headers: tuple[HeaderTemplate, ...], kind: str | None) -> tuple[HeaderTemplate, ...]:
    if kind is None or field_named(headers, "content-type"):
        return headers
    return (*headers, HeaderTemplate("Content-Type", (kind,), 1, 1))


_TEMPLATE = "\0"


def _plain_method(entry: Entry) -> str | None:
    """Return None for a URL alone, the method of a line with method and URL, `_TEMPLATE` for anything else."""
    return None if isinstance(entry, str) else entry[0] if isinstance(entry, tuple) else _TEMPLATE


def _plain_url(entry: Entry) -> str:
    assert not isinstance(entry, RequestTemplate)  # noqa: S101 - the group has plain lines only
    return entry if isinstance(entry, str) else entry[1]
