"""Which field of the form an error is about, and the error in the form's words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastreq_jupyter.errors import CellSyntaxError, JournalError
from fastreq_jupyter.notebook.form.checks import without_excerpt
from fastreq_jupyter.notebook.form.words import label_of, labelled
from fastreq_jupyter.options import TABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastreq_jupyter.errors import FastreqError
    from fastreq_jupyter.notebook.form.cell import CellText

__all__ = ["ABOVE", "blame"]

ABOVE = 3
"""Lines above the text of the cell when it is built: 1 is the magic's, 2 stands for the values of its flags."""

_HEAD = re.compile(r"(?:--)?([a-z][a-z0-9_-]*)(?:=(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\S+))?(:?)(?= )")
_PLACEHOLDER = re.compile(r"\{\{[^{}]*\}\}")
_NAMED = ("--each", "--auth", "--session", "--cert")


def blame(error: FastreqError, cell: CellText, texts: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the field, None where it is nobody's, and the message.

    Args:
        error: What building or launching raised.
        cell: What was built; its first line was given as line `ABOVE`.
        texts: Field -> content, for those with text.
    """
    message = error.message if isinstance(error, CellSyntaxError) else str(error)
    found = _HEAD.match(message)
    option = found[1].replace("-", "_") if found else ""
    if found and option in TABLE and (option in texts or not isinstance(error, CellSyntaxError)):
        rest = message[found.end() :].strip()
        name = "data" if option == "json" else option
        colon = ":" if found[2] or message.startswith(_NAMED) else ""
        return name, labelled(f"{label_of(name)}{colon} {rest}")
    if isinstance(error, JournalError):
        return "journal", f"{label_of('journal')}: {message}"
    if not isinstance(error, CellSyntaxError):
        return None, labelled(message)
    name, line = _place(error, cell, texts)
    where = f"{label_of(name)}, line {line}" if line else label_of(name)
    return name, f"{where}: {labelled(without_excerpt(message))}"


def _place(error: CellSyntaxError, cell: CellText, texts: Mapping[str, str]) -> tuple[str, int | None]:
    """Return the field, and its line."""
    if error.line >= ABOVE:
        return cell.origin(error.line - ABOVE + 1)
    if error.line == ABOVE - 1:
        # Headers and a body of the magic's line: the one in which a placeholder stands at that column.
        for number, line in enumerate(texts.get("headers", "").split("\n"), 1):
            value = line.partition(":")[2].strip()
            if _PLACEHOLDER.match(value, error.column - 1):
                return "headers", number
        if _PLACEHOLDER.search(texts.get("data", "")):
            return "data", 1
        return "requests", None
    return ("each" if texts.get("each", "").strip() else "requests"), None
