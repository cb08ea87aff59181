"""Fills ``{{ }}`` in the options of a magic's line, and refuses ``{x}`` and ``$x``, which IPython would have filled."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.cell.each.rows import Rows
from fastreq_jupyter.cell.fill.binding import Binder
from fastreq_jupyter.cell.fill.bound import Bound, Env, MisfitError, text_in, value_in
from fastreq_jupyter.cell.fill.dynamic import Surroundings
from fastreq_jupyter.cell.fill.values import plain
from fastreq_jupyter.cell.syntax import Span, VarText
from fastreq_jupyter.cell.template import read_text
from fastreq_jupyter.errors import CellSyntaxError, OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["fill_options"]

_LATER = frozenset({"headers", "data", "save_to"})
"""Options that are filled for each row."""

_UNREPLACED = re.compile(r"\\?\{\{.*?\}\}|\{([A-Za-z_]\w*)\}|\$\{?([A-Za-z_]\w*)\}?")


def fill_options(options: Mapping[str, Any], namespace: Mapping[str, Any], surroundings: Surroundings | None = None) -> dict[str, Any]:
    """Return a line's options with their placeholders filled; an option that is nothing but one gets the value itself.

    Args:
        options: Texts of flags, as the line was read.
        namespace: The notebook's variables; looked up, never evaluated.
        surroundings: What dynamic values are read from.

    Raises:
        OptionError: A name that is not there, a value that is no text, or ``{x}`` and ``$x`` of a variable; one line.
    """
    binder = Binder({}, (), Rows(()), namespace, surroundings or Surroundings())
    filled = dict(options)
    for name, value in options.items():
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and name != "each":
                _refuse_unreplaced(text, namespace)
        if isinstance(value, str) and "{{" in value and name not in _LATER:
            filled[name] = _filled(name, value, binder)
    return filled


def _filled(name: str, text: str, binder: Binder) -> Any:
    try:
        parts = binder.bind(read_text(Span(text, 1, 1)))
        if len(parts) == 1 and isinstance(parts[0], Bound):
            return plain(value_in(parts[0], Env()))
        return "".join(text_in(part, Env()) if isinstance(part, Bound) else _literal(part) for part in parts)
    except CellSyntaxError as error:
        reason = error.message
    except MisfitError as error:
        reason = error.detail
    raise OptionError(f"{name}: {reason}", option=name, reason=reason)


def _literal(part: Any) -> str:
    return part.text if isinstance(part, VarText) else str(part)


def _refuse_unreplaced(text: str, namespace: Mapping[str, Any]) -> None:
    for found in _UNREPLACED.finditer(text):
        name = found[1] or found[2]
        if name and name in namespace and not name.startswith("_"):
            message = f"{found[0]} is not replaced here: write {{{{{name}}}}} for the variable"
            raise OptionError(message)
