"""The door of the cell: text, tables and variables become the items of a plan.

Order: row, request, item of its ranges. Whatever can be known before sending is checked before sending.
"""

from __future__ import annotations

from collections import ChainMap
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.cell.compiling import Compiled, compile_requests, requested_options
from fastreq_jupyter.cell.environment import read_environment
from fastreq_jupyter.cell.fill import Binder, Surroundings
from fastreq_jupyter.cell.grammar import parse
from fastreq_jupyter.cell.items import Dedup, Duplicates, Rendering, check_constants, check_rows, check_used, in_directory, save_names_of
from fastreq_jupyter.cell.rows import RowJoin, Rows, renamed
from fastreq_jupyter.cell.syntax import Entry, ParsedCell, RequestTemplate, Variable
from fastreq_jupyter.cell.unfilled import name_hints
from fastreq_jupyter.errors import CellSyntaxError
from fastreq_jupyter.model import Unsendable
from fastreq_jupyter.options import own_columns
from fastreq_jupyter.values import NoPlaceError, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from fastreq_jupyter.cell.rows import Source
    from fastreq_jupyter.model import Item, Join
    from fastreq_jupyter.options import Options

_CLASHES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class CellPlan:
    """What a cell asks for.

    Attributes:
        items: Requests in order, lazy; iterating again starts again, but for an iterator as source.
        total: How many items, None where an iterator is the source.
        per_row: Requests for each row of the sources.
        run_options: Options of the run that the text asks for (curl's -k, ``HTTP/2``): ``Options.of(options, **run_options)``.
        join: Puts input columns and index onto the frame; None without ``--each``.
        notes: Lines to say at the end.
        names: Names of the requests.
        late_notes: Gives lines that are known after the run.
        chained: Requests need answers of others.
    """

    items: Iterable[Item]
    total: int | None
    per_row: int
    run_options: Mapping[str, Any]
    join: Join | None
    notes: tuple[str, ...]
    names: tuple[str, ...]
    late_notes: Callable[[], tuple[str, ...]]
    chained: bool

    def row_of(self, position: int) -> int:
        """Return the number of the row that an item belongs to."""
        return position // self.per_row


def build(  # noqa: PLR0913 - the door: text, and what it is filled with
    text: str,
    *,
    options: Options,
    namespace: Mapping[str, Any] = MappingProxyType({}),
    sources: Sequence[Source] = (),
    base_url: str | None = None,
    first_line: int = 1,
    set_by_user: Collection[str] = (),
    surroundings: Surroundings | None = None,
) -> CellPlan:
    """Read a cell and tie it to its values.

    Args:
        text: The cell without its magic line, or the URL of the line magic.
        options: The run's options; headers, method, data, json, params, save_to, limit, dedup, zip are used here.
        namespace: The notebook's variables; looked up, never evaluated.
        sources: What ``--each`` named, with values.
        base_url: Origin and path that lines like ``GET /x`` are put behind.
        first_line: Number of the text's first line in the cell.
        set_by_user: Options that the user set: a curl line that asks otherwise is refused.
        surroundings: What dynamic values are read from.

    Raises:
        CellSyntaxError: The only exception that a text can cause.
        OptionError: An environment that cannot be read.
    """
    if options.pages is not None:
        # Filled in for each page, when it is known.
        namespace = ChainMap({"next": "{{next}}"}, dict(namespace))
    rows = Rows(sources, in_step=options.zip)
    outer = read_environment(options.env_file, options.env)
    lookup = None if rows.tables else lambda name: _text(outer, namespace, name)
    parsed = parse(text, first_line=first_line, lookup=lookup, content_type=_content_type(options), outer=outer)
    if not parsed.entries:
        raise CellSyntaxError("no request in the cell: write a URL, METHOD URL, or a curl command", first_line)
    labels = {entry.label: entry.line for entry in parsed.entries if isinstance(entry, RequestTemplate) and entry.label}
    binder = Binder(parsed.variables, labels, rows, namespace, surroundings or Surroundings())
    run_options = requested_options(parsed.entries, options, set_by_user)
    names = save_names_of(options.save_to, binder.bind)
    compiled = compile_requests(parsed, binder, options, names=names, base_url=base_url, first_line=first_line)
    if options.to is not None and any(plan.parents for plan in compiled.plans):
        message = "to is not possible where a request uses the answer of another, which must stay in memory: send that one before"
        raise CellSyntaxError(message, first_line, option="to")
    parsed.notes += _idle_marks(parsed.entries, options)
    parsed.notes += name_hints(parsed.entries, lambda name: rows.has(name) or name in parsed.variables or _has_text(namespace.get(name)))
    rendering = Rendering(compiled, rows, caches=options.caches)
    check_used(compiled, rows, first_line=first_line)
    check_constants(compiled)
    check_rows(compiled, rows)
    rendering.check_first()
    plan = _assemble(parsed, compiled, rendering, rows=rows, options=options, run_options=run_options)
    if options.save_to is not None and plan.total is not None:
        _check_files(plan.items, first_line)
    return plan


def _content_type(options: Options) -> str | None:
    return next((value for name, value in options.headers or () if name.lower() == "content-type"), None)


def _idle_marks(entries: Sequence[Entry], options: Options) -> list[str]:
    marked = [entry for entry in entries if isinstance(entry, RequestTemplate) and entry.cache]
    return [f"line {marked[0].line}: # @cache marks what --cache may keep, and this run has none"] if marked and not options.caches else []


def _has_text(value: Any) -> bool:
    try:
        return value is not None and bool(text_of(value))
    except NoPlaceError:
        return False


def _text(outer: Mapping[str, Variable], namespace: Mapping[str, Any], name: str) -> str | None:
    if name in outer:
        parts = outer[name].parts
        return parts[0] if len(parts) == 1 and isinstance(parts[0], str) else None
    value = namespace.get(name)
    return value if type(value) is str else None


def _check_files(items: Iterable[Item], first_line: int) -> None:
    for item in items:
        if isinstance(item, Unsendable) and item.error == "save_to":
            raise CellSyntaxError(f"save_to: {item.detail}", first_line, option="save_to")


def _assemble(  # noqa: PLR0913 - what was built, side by side
    parsed: ParsedCell, compiled: Compiled, rendering: Rendering, *, rows: Rows, options: Options, run_options: Mapping[str, Any]
) -> CellPlan:
    total = None if rows.size is None else rows.size * compiled.per_row
    if total is not None and options.limit is not None:
        total = min(total, options.limit)
    duplicates = Duplicates()
    join = RowJoin(rows, lambda position: position // compiled.per_row) if rows.tables else None
    names = tuple(entry.label for entry in parsed.entries if isinstance(entry, RequestTemplate) and entry.label)
    return CellPlan(
        items=_Items(rendering, options, duplicates),
        total=total,
        per_row=compiled.per_row,
        run_options=run_options,
        join=join,
        notes=(*parsed.notes, *_notes(join, options)),
        names=names,
        late_notes=lambda: _saving(duplicates, options),
        chained=any(plan.parents for plan in compiled.plans),
    )


class _Items:
    """The items of a cell, made anew for each iteration."""

    def __init__(self, rendering: Rendering, options: Options, duplicates: Duplicates) -> None:
        self._rendering = rendering
        self._limit = options.limit
        self._dedup = options.dedup
        self._directory = None if options.save_to is None or "{{" in options.save_to else options.save_to
        self._duplicates = duplicates

    def __iter__(self) -> Iterator[Item]:
        items: Iterator[Item] = iter(self._rendering)
        if self._limit is not None:
            items = islice(items, self._limit)
        items = map(Dedup(), items) if self._dedup else self._duplicates.watch(items)
        return items if self._directory is None else in_directory(items, self._directory)


def _notes(join: RowJoin | None, options: Options) -> tuple[str, ...]:
    if join is None:
        return ()
    clashes = renamed(join.columns(), own_columns(options))
    if not clashes:
        return ()
    shown = ", ".join(str(name) for _, name in clashes[:_CLASHES_SHOWN])
    more = f" and {len(clashes) - _CLASHES_SHOWN} more" if len(clashes) > _CLASHES_SHOWN else ""
    return (f"input columns whose names the result has too got _in: {shown}{more}",)


def _saving(duplicates: Duplicates, options: Options) -> tuple[str, ...]:
    if options.dedup or not duplicates.count:
        return ()
    count = "1 request was" if duplicates.count == 1 else f"{duplicates.count:,} requests were"
    return (f"{count} equal to an earlier one: --dedup sends them once",)
