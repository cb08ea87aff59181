"""What a form says, as the line and the text of a ``%%fastreq`` cell."""

from __future__ import annotations

import re
from keyword import iskeyword
from typing import TYPE_CHECKING

from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.notebook.form import INSTEAD, quoted
from fastreq_jupyter.redact import redact_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastreq_jupyter.notebook.form import Field

__all__ = ["cell_line", "cell_text", "check_requests"]

_PLAIN_URL = re.compile(r"\s*(?:https?://|\{\{)\S+\s*", re.IGNORECASE)


def cell_line(name: str, method: str, body: str, fields: Mapping[str, Field]) -> str:
    """Return the magic's line: variable and flags, those of a plain URL among them."""
    words = [name.strip()] if name.strip() else []
    if method.strip().upper() not in ("", "GET") and not _in_text(body):
        words += ["-X", quoted(method.strip().upper())]
    if body.strip() and not _in_text(body):
        words += ["-d", quoted(body.strip())]
    for field in fields.values():
        words += field.words()
    return " ".join(words)


def cell_text(requests: str, method: str, body: str) -> str:
    """Return the cell's text: as it stands, or with a body of several lines below each plain URL."""
    text = requests.strip("\n")
    if not _in_text(body) or not is_plain(text):
        return text
    verb = method.strip().upper() or "GET"
    blocks = [f"{verb} {line.strip()}\n\n{body.strip()}" for line in text.splitlines() if line.strip()]
    return "\n\n###\n".join(blocks)


def check_requests(requests: str, body: str, name: str) -> None:
    """Refuse what no run should begin with.

    Raises:
        UsageError: No request, a name that is none, a body that has no place, or a secret that the form would keep.
    """
    if not requests.strip():
        raise UsageError("no request: write a URL, or the text of a cell")
    variable = name.strip()
    if variable and (not variable.isidentifier() or iskeyword(variable)):
        raise UsageError(f"variable: {variable[:60]!r} is no name of a Python variable")
    if body.strip() and _in_text(body) and not is_plain(requests):
        raise UsageError("a body of several lines goes below its request: write it there, and leave the field empty")
    for line in requests.splitlines():
        if "://" in line and "{{" not in line and redact_url(line) != line:
            raise UsageError(f"a URL holds a secret: {INSTEAD}")


def is_plain(requests: str) -> bool:
    """Tell whether the text is nothing but URLs, one a line."""
    return all(_PLAIN_URL.fullmatch(line) for line in requests.splitlines() if line.strip())


def _in_text(body: str) -> bool:
    return "\n" in body.strip()
