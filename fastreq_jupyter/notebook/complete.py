"""Completion on the magic's line and in its cell: flags, their values, variables after ``--each``, placeholders."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.cell import EachSpec
from fastreq_jupyter.options import METHODS, TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from IPython.core.completer import CompletionContext, SimpleMatcherResult

    from fastreq_jupyter.options import Option

_MAGIC = re.compile(r"\s*(?:\w+\s*=\s*)?%%?fastreq(?:\s|$)")
_PLACEHOLDER = re.compile(r"\{\{[ +]*([^{}]*)$")
_EACH = re.compile(r"--each[ =](?:(\"[^\"]*\"|'[^']*'|\S+))")
_DYNAMIC = ("$env ", "$dotenv ", "$secret ", "$uuid", "$timestamp", "$randomInt ")


def register(completer: Any) -> None:
    """Let IPython's completer ask us, where it is one that hands over the whole cell: from IPython 8.6 on."""
    try:
        from IPython.core.completer import context_matcher  # noqa: PLC0415 - older ones lack it
    except ImportError:
        return
    context_matcher()(complete_fastreq)
    completer.custom_matchers.append(complete_fastreq)


def unregister(completer: Any) -> None:
    """Take back what `register` did."""
    matchers = getattr(completer, "custom_matchers", [])
    matchers[:] = [matcher for matcher in matchers if matcher is not complete_fastreq]


def complete_fastreq(context: CompletionContext) -> SimpleMatcherResult | dict[str, Any]:
    """Return what fits at the cursor of a cell or line of ours; nothing elsewhere."""
    from IPython import get_ipython  # noqa: PLC0415 - the shell in use now, not the one at import
    from IPython.core.completer import SimpleCompletion, SimpleMatcherResult  # noqa: PLC0415 - older ones lack them

    shell = get_ipython()
    suggested = suggestions(context.full_text, context.cursor_line, context.cursor_position, {} if shell is None else shell.user_ns)
    if suggested is None:
        return {"completions": []}
    fragment, texts = suggested
    return SimpleMatcherResult(
        completions=[SimpleCompletion(text, type="fastreq") for text in texts],
        matched_fragment=fragment,
        suppress=bool(texts),
    )


def suggestions(text: str, row: int, column: int, variables: Mapping[str, Any]) -> tuple[str, list[str]] | None:
    """Return the fragment before the cursor and what may stand in its place, or None where this is no text of ours.

    Args:
        text: The whole cell.
        row: Line of the cursor, from 0.
        column: Its column, from 0.
        variables: The notebook's.
    """
    lines = text.split("\n")
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    before = lines[row][:column] if row < len(lines) else ""
    on_magic = _MAGIC.match(before) is not None
    in_cell = row > first and lines[first].lstrip().startswith("%%fastreq")
    if not (on_magic or in_cell):
        return None
    placeholder = _PLACEHOLDER.search(before)
    if placeholder:
        return _in_placeholder(placeholder[1], "\n".join(lines[first:]), variables)
    if on_magic:
        return _on_line(before, variables)
    word = before.strip()
    return (word, [f"{name} " for name in METHODS if word and name.startswith(word)]) if before.lstrip() == word else (word, [])


def _on_line(before: str, variables: Mapping[str, Any]) -> tuple[str, list[str]]:
    fragment = re.search(r"\S*$", before)[0]  # type: ignore[index] # always matches
    words = before[: len(before) - len(fragment)].split()
    if fragment.startswith("-"):
        return fragment, sorted(flag for flag in _flags() if flag.startswith(fragment) and (fragment != "-" or flag.startswith("--")))
    row = _flags().get(words[-1]) if words else None
    if row is None:
        return fragment, []
    if row.lookup or row.name == "each":
        return fragment, _starting(fragment, _public(variables))
    return fragment, _starting(fragment, row.choices or row.examples)


def _in_placeholder(fragment: str, cell: str, variables: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Complete a name, or a column of the sources of --each."""
    names: list[str] = ["row", "index", *_public(variables), *_DYNAMIC]
    names += re.findall(r"^@(\w+)\s*=", cell, re.MULTILINE)
    names += re.findall(r"^(?:#|//)\s*@name\s+(\w+)", cell, re.MULTILINE)
    columns: list[str] = []
    for match in _EACH.finditer(cell.split("\n", 1)[0]):
        spec = EachSpec.parse(match[1].strip("\"'"))
        names.append(spec.element or "item")
        source = variables.get(spec.expression.split(".")[0].split("[")[0])
        columns += [str(column) for column in getattr(source, "columns", ())]
    base, dot, _ = fragment.rpartition(".")
    if dot:
        return fragment, _starting(fragment, (f"{base}.{column}" for column in columns)) if base == "row" else []
    return fragment, _starting(fragment, [*columns, *names])


def _flags() -> dict[str, Option | None]:
    flags: dict[str, Option | None] = {"--help": None, "--examples": None}
    for row in TABLE.values():
        if "magic" not in row.doors:
            continue
        takes_value = row.check.__name__ != "strict_bool"
        if takes_value:
            flags |= dict.fromkeys((row.long_flag, *row.flags), row)
        flags |= {switch: flags.get(switch) for switch in row.switches}
    return flags


def _public(variables: Mapping[str, Any]) -> list[str]:
    return [name for name in variables if not name.startswith("_") and name not in ("In", "Out", "exit", "quit", "get_ipython", "open")]


def _starting(fragment: str, texts: Iterable[str]) -> list[str]:
    return sorted({text for text in texts if text.startswith(fragment)})
