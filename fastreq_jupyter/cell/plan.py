"""The door of the cell: text, tables and variables become the items of a plan.

Order: row, request, item of its ranges. Whatever can be known before sending is checked before sending.
"""

from __future__ import annotations

import json
import re
from collections import ChainMap
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.cell.checks import check_constants, check_rows, check_used, name_hints
from fastreq_jupyter.cell.compiling import Compiled, compile_requests, requested_options
from fastreq_jupyter.cell.fill import Binder, Surroundings
from fastreq_jupyter.cell.grammar import parse
from fastreq_jupyter.cell.items import Items, save_names_of
from fastreq_jupyter.cell.rows import RowJoin, Rows
from fastreq_jupyter.cell.syntax import VARIABLE_NAME, Entry, ParsedCell, RequestTemplate, Span, Variable
from fastreq_jupyter.cell.template import read_text
from fastreq_jupyter.errors import CellSyntaxError, OptionError
from fastreq_jupyter.model import Unsendable
from fastreq_jupyter.options import own_columns
from fastreq_jupyter.values import NoPlaceError, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from fastreq_jupyter.cell.rows import Source
    from fastreq_jupyter.model import Item, Join
    from fastreq_jupyter.options import Options

_CLASHES_SHOWN = 5
# What Visual Studio and REST Client give to every environment.
_SHARED = "$shared"


@dataclass(frozen=True, slots=True)
class CellPlan:
    """What a cell asks for.

    Attributes:
        items: Requests in order, lazy; iterating again starts again, but for an iterator as source.
        total: How many items, None where an iterator is the source.
        run_options: Options of the run that the text asks for (curl's -k, ``HTTP/2``): ``Options.of(options, **run_options)``.
        join: Puts input columns and index onto the frame; None without ``--each``.
        notes: Lines to say at the end.
        late_notes: Gives lines that are known after the run.
        chained: Requests need answers of others.
    """

    items: Iterable[Item]
    total: int | None
    run_options: Mapping[str, Any]
    join: Join | None
    notes: tuple[str, ...]
    late_notes: Callable[[], tuple[str, ...]]
    chained: bool


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
    lookup = None if rows.tables else lambda name: _text_named(outer, namespace, name)
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
    items = Items(compiled, rows, options)
    check_used(compiled, rows, first_line=first_line)
    check_constants(compiled)
    check_rows(compiled, rows)
    items.check_first()
    plan = _assemble(parsed, compiled, items, rows=rows, options=options, run_options=run_options)
    if options.save_to is not None and plan.total is not None:
        _check_files(items, first_line)
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


def _text_named(outer: Mapping[str, Variable], namespace: Mapping[str, Any], name: str) -> str | None:
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
    parsed: ParsedCell, compiled: Compiled, items: Items, *, rows: Rows, options: Options, run_options: Mapping[str, Any]
) -> CellPlan:
    total = None if rows.size is None else rows.size * compiled.per_row
    if total is not None and options.limit is not None:
        total = min(total, options.limit)
    join = RowJoin(rows, compiled.per_row) if rows.tables else None
    return CellPlan(
        items=items,
        total=total,
        run_options=run_options,
        join=join,
        notes=(*parsed.notes, *_notes(join, options)),
        late_notes=lambda: _saving(items.duplicates.count),
        chained=any(plan.parents for plan in compiled.plans),
    )


def _notes(join: RowJoin | None, options: Options) -> tuple[str, ...]:
    if join is None:
        return ()
    clashes = join.renamed(own_columns(options))
    if not clashes:
        return ()
    shown = ", ".join(str(name) for name in clashes[:_CLASHES_SHOWN])
    more = f" and {len(clashes) - _CLASHES_SHOWN} more" if len(clashes) > _CLASHES_SHOWN else ""
    return (f"input columns whose names the result has too got _in: {shown}{more}",)


def _saving(duplicates: int) -> tuple[str, ...]:
    if not duplicates:
        return ()
    count = "1 request was" if duplicates == 1 else f"{duplicates:,} requests were"
    return (f"{count} equal to an earlier one: --dedup sends them once",)


def read_environment(file: str | None, name: str | None) -> dict[str, Variable]:
    """Return the variables of an environment, as editors keep them in ``http-client.env.json``; none without a file.

    They stand above the cell, as it were: they may use earlier ones, and ``@name = value`` of the cell goes before them.

    Args:
        file: Its path.
        name: The environment; may be left out where there is one only.

    Raises:
        OptionError: The file cannot be read, or has no such environment; one line.
        CellSyntaxError: A value is no text of a cell.
    """
    if file is None:
        if name is not None:
            raise OptionError("--env names an environment of a file: add --env-file FILE", option="env")
        return {}
    environments = _environments(file)
    values = {**environments.pop(_SHARED, {}), **_chosen(environments, file, name)}
    texts = {key: _text(value) for key, value in values.items() if re.fullmatch(VARIABLE_NAME, key)}
    return {key: Variable(key, read_text(Span(text, 1)), 1, 1) for key, text in texts.items() if text is not None}


def _environments(file: str) -> dict[str, Any]:
    try:
        content = json.loads(Path(file).expanduser().read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise OptionError(f"--env-file {file}: {error.strerror or error}", option="env_file") from None
    except ValueError:
        raise OptionError(f"--env-file {file} is no JSON in UTF-8", option="env_file") from None
    if not isinstance(content, dict) or not all(isinstance(value, dict) for value in content.values()):
        raise OptionError(f'--env-file {file}: an object of environments is needed: {{"dev": {{"host": "..."}}}}', option="env_file")
    return content


def _chosen(environments: dict[str, Any], file: str, name: str | None) -> dict[str, Any]:
    names = ", ".join(environments)
    if name is None and len(environments) > 1:
        raise OptionError(f"--env-file {file} has {names}: add --env NAME", option="env")
    if name is not None and name not in environments:
        raise OptionError(f"--env {name}: {file} has {names or 'no environment'}", option="env")
    chosen: dict[str, Any] = environments[name] if name is not None else next(iter(environments.values()), {})
    return chosen


def _text(value: Any) -> str | None:
    """Return a value as a cell would write it; None for what is no value of a request (settings of an editor, null)."""
    if value is None or isinstance(value, (dict, list)):
        return None
    return value if isinstance(value, str) else json.dumps(value)
