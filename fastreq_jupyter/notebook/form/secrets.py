"""Finds secrets that were written out in a form: in URLs, field lines and bodies, curl's among them.

Such a form is refused before anything is sent, and the value is not repeated. What the user typed stays in the page's
field for as long as the page lives: taking it out of their hands would be the kernel writing into what is theirs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastreq_jupyter.cell import Placeholder, Ref, RequestTemplate, TextPiece, content_type_of
from fastreq_jupyter.redact import is_secret_header, is_secret_name, redact_url, secret_part, secret_spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from fastreq_jupyter.cell import ParsedCell, Part, Variable

__all__ = ["FILLED", "secret_in_body", "secret_in_header", "secret_in_url", "secrets_of_cell"]

FILLED = "\0"
"""Stands for a placeholder: a value that has one is not written out."""

_USERINFO = re.compile(r"//[^/?#\s]*@")
_PAIRS = re.compile(r"[?#&]")
_NOTHING = frozenset({"", "null", "true", "false"})
_DEEPEST = 5
# As a name "key" mostly opens no lock: {"key": "colour"} is data.
_SHORTEST_KEY = 16
_SHORT_KEY = re.compile(rf"(?<=[?&])key=[^&#\0]{{0,{_SHORTEST_KEY - 1}}}(?=[&#]|\Z)")


def secret_in_url(url: str) -> bool:
    """Tell whether a URL has a secret written out; `FILLED` stands for placeholders."""
    url = _SHORT_KEY.sub("", url)
    if FILLED not in url:
        return redact_url(url) != url
    info = _USERINFO.search(url)
    if info is not None and FILLED not in info[0]:
        return True
    return any(FILLED not in value for pair in _PAIRS.split(url)[1:] if (value := secret_part(pair)))


def secret_in_header(name: str, value: str) -> bool:
    """Tell whether a field line has a secret written out."""
    if not value.strip() or FILLED in value:
        return False
    return is_secret_header(name) or ("://" in value and secret_in_url(value))


def secret_in_body(text: str, content_type: str | None) -> bool:
    """Tell whether a JSON, form or multipart text has a secret written out."""
    for start, end in secret_spans(text, content_type):
        value = text[start:end].strip().strip('"')
        key = text[:start].rstrip().endswith(('"key":', "key="))
        if value not in _NOTHING and FILLED not in value and not (key and len(value) < _SHORTEST_KEY):
            return True
    return False


def secrets_of_cell(cell: ParsedCell, content_type: str | None = None) -> Iterator[tuple[int | None, str]]:
    """Give line and place of each secret written out in a cell; None where the line is not known.

    Args:
        cell: As the grammar read it.
        content_type: Of bodies that name none themselves.
    """
    for name, variable in cell.variables.items():
        value = _rendered(variable.parts, cell.variables)
        if is_secret_name(name) and FILLED not in value and value:
            yield variable.line, f"@{name}"
    for entry in cell.entries:
        if not isinstance(entry, RequestTemplate):
            if secret_in_url(entry if isinstance(entry, str) else entry[1]):
                yield None, "a URL"
            continue
        if secret_in_url(_rendered(entry.url, cell.variables)):
            yield entry.line, "the URL"
        for header in entry.headers:
            if secret_in_header(header.name, _rendered(header.parts, cell.variables)):
                yield header.line if header.line > 0 else entry.line, header.name
        body = "".join(_rendered(piece.parts, cell.variables) for piece in entry.body or () if isinstance(piece, TextPiece))
        if body and secret_in_body(body, content_type_of(entry.headers) or content_type):
            yield entry.line, "the body"


def _rendered(parts: Iterable[Part], variables: Mapping[str, Variable], depth: int = 0) -> str:
    """Return the text, a variable of the cell by its own."""
    return "".join(_piece(part, variables, depth) for part in parts)


def _piece(part: Part, variables: Mapping[str, Variable], depth: int) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, Placeholder):
        return "1"
    name = part.expression.keys[0] if isinstance(part.expression, Ref) else None
    if depth < _DEEPEST and isinstance(name, str) and name in variables:
        return _rendered(variables[name].parts, variables, depth + 1)
    return FILLED
