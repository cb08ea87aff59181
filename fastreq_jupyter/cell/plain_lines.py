r"""Knows lines that need no second look: a URL, method and URL, or either behind a ``{{base}}`` that is a plain URL itself.

They are most lines of big cells. What they give is what the grammar and the binder would give, some fifty times faster.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastreq_jupyter.cell.syntax import Entry, Variable

__all__ = ["PLAIN_URL", "PlainLines"]

PLAIN_URL = re.compile(
    r"https?://(?!-)[A-Za-z0-9-]{1,60}(?:\.[A-Za-z0-9-]{1,60}){0,3}(?::(?:[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}))?(?:[/?#][!#-Z_a-z|~]*)?"
)
"""A URL of ASCII without white space, quote, backslash, bracket or brace."""

_WITH_METHOD = re.compile(r"(GET|HEAD|DELETE|OPTIONS) (" + PLAIN_URL.pattern + ")")
_PREFIXED = re.compile(r"(?:(GET|HEAD|DELETE|OPTIONS) )?\{\{ ?([A-Za-z]\w*) ?\}\}((?:[/?#][!#-Z_a-z|~]*)?)")
_BEGINNINGS = ("http://", "https://", "{{", "###", "GET http", "GET {{")
_NAMED_IN_CELL = re.compile(r"@([A-Za-z][\w.-]*)(?:[ \t=]+([\w-]+))?")


class PlainLines:
    """Read such lines of one cell.

    Args:
        text: The cell, searched for names that it gives itself.
        known: Gives a variable of the notebook that is a text; None where names may be columns, so that they are left alone.
    """

    def __init__(self, text: str, known: Callable[[str], str | None] | None) -> None:
        self._own = {name for found in _NAMED_IN_CELL.finditer(text) for name in found.groups() if name} if "@" in text else set()
        self._known = known
        self._prefixes: dict[str, str] = {}

    def read(self, line: str, following: str | None, variables: Mapping[str, Variable]) -> Entry | None:
        """Return the request of a line; None where it or the line after it needs a look.

        Args:
            line: As it stands.
            following: The line after it, None for the last.
            variables: The cell's variables above the line.
        """
        entry: Entry | None
        if PLAIN_URL.fullmatch(line) is not None:
            entry = line
        elif line[:1] in ("G", "H", "D", "O") and (found := _WITH_METHOD.fullmatch(line)) is not None:
            entry = found[1], found[2]
        else:
            entry = self._prefixed(line, variables) if "{{" in line[:12] else None
        if entry is None or (following and not following.startswith(_BEGINNINGS)):
            return None
        return entry

    def _prefixed(self, line: str, variables: Mapping[str, Variable]) -> Entry | None:
        found = _PREFIXED.fullmatch(line)
        if found is None or (prefix := self._prefix(found[2], variables)) is None:
            return None
        url = prefix + found[3]
        if PLAIN_URL.fullmatch(url) is None:
            return None
        return url if found[1] is None else (found[1], url)

    def _prefix(self, name: str, variables: Mapping[str, Variable]) -> str | None:
        if self._known is None or name in self._prefixes:
            return self._prefixes.get(name)
        if name in self._own:
            parts = variables[name].parts if name in variables else ()
            text = parts[0] if len(parts) == 1 and isinstance(parts[0], str) else None
        else:
            text = self._known(name)
        if text is None or "?" in text or "#" in text or PLAIN_URL.fullmatch(text) is None:
            return None
        self._prefixes[name] = text
        return text
