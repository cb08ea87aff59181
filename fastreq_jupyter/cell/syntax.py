"""The nouns of a cell's text: what the grammar reads, with the place where each piece stood.

    Span             text and where it begins              Placeholder      one ``{{ ... }}``
    VarText          text that came from ``@var = value``  Range            one ``[0-99]``
    RequestTemplate  one request before its placeholders are filled

Nothing here reads a value: a template is the same for every row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from fastreq_jupyter.errors import CellSyntaxError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VARIABLE_NAME = r"[A-Za-z][\w.-]*"
FORM_TYPE = "application/x-www-form-urlencoded"
RESERVED = ":/?#[]@!$&'()*+,;=%"
"""RFC 3986, 2.2: gen-delims and sub-delims, and "%", so that encoded text is not encoded twice."""


class Placed:
    """What stands at a place of the cell: `line` and `column`, from 1."""

    __slots__ = ()
    line: int
    column: int

    def error(self, message: str) -> CellSyntaxError:
        """Return the error that names its place."""
        return CellSyntaxError(message, self.line, self.column)


@dataclass(frozen=True, slots=True)
class Span(Placed):
    """Text and the place of its first character.

    Attributes:
        text: May hold line breaks; each following line is taken to begin at column 1.
        line: Line in the cell, from 1.
        column: Column in that line, from 1.
    """

    text: str
    line: int
    column: int = 1

    def at(self, offset: int) -> tuple[int, int]:
        """Return line and column of the character at `offset`."""
        breaks = self.text.count("\n", 0, offset)
        if not breaks:
            return self.line, self.column + offset
        return self.line + breaks, offset - self.text.rindex("\n", 0, offset)

    def error(self, message: str, offset: int = 0) -> CellSyntaxError:
        """Return the error that names the place of `offset`."""
        return CellSyntaxError(message, *self.at(offset))


class BracketKey(str):
    """A key written ``["name"]``: any text, with a leading underscore or dots too."""

    __slots__ = ()


Keys = tuple[str | int, ...]
"""Name first; then str for ``.name``, `BracketKey` for ``["name"]``, int for ``[0]``."""


@dataclass(frozen=True, slots=True)
class Ref:
    """What names a value: a name, then attributes and items."""

    keys: Keys


@dataclass(frozen=True, slots=True)
class DynamicCall:
    """What names a dynamic value, ``$env HOME``: the name without ``$`` and its arguments."""

    name: str
    args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Placeholder(Placed):
    """One ``{{ ... }}``.

    Attributes:
        expression: What it names.
        text: What stood between the braces, for messages.
        line, column: Where the braces begin.
        raw: Written ``{{+x}}``: reserved characters are kept in a URL.
        once: Stands in a cell variable, so that a dynamic value is made once for the cell.
    """

    expression: Ref | DynamicCall
    text: str
    line: int
    column: int
    raw: bool = False
    once: bool = False

    @property
    def shown(self) -> str:
        """Return it as messages show it."""
        return f"{{{{{self.text[:80]}}}}}"

    @property
    def verbatim(self) -> bool:
        """Tell whether its text goes in as it stands, whatever the place: a variable of the shell."""
        return isinstance(self.expression, DynamicCall) and self.expression.name == "shell"


class VarText(str):
    """Literal text that a cell variable brought in; `raw` where it was written ``{{+x}}``."""

    __slots__ = ("raw",)
    raw: bool

    def __new__(cls, text: str, *, raw: bool = False) -> Self:
        """Mark a text."""
        marked = super().__new__(cls, text)
        marked.raw = raw
        return marked


@dataclass(frozen=True, slots=True)
class Range:
    """One numeric range of a URL, ``[01-10:3]``; `width` is 0 without leading zeros."""

    start: int
    stop: int
    step: int = 1
    width: int = 0

    @property
    def size(self) -> int:
        """Return how many items it stands for."""
        return (self.stop - self.start) // self.step + 1

    def text(self, index: int) -> str:
        """Return the text of the item at `index`, from 0."""
        return str(self.start + index * self.step).zfill(self.width)


@dataclass(frozen=True, slots=True)
class OpenRange(Placed):
    """One numeric range with placeholders among its bounds, ``[1-{{n}}]``; start, stop and, if written, step."""

    bounds: tuple[Parts, ...]
    line: int
    column: int


Part = str | Placeholder | Range | OpenRange
Parts = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class HeaderTemplate(Placed):
    """One field line.

    Attributes:
        name: As written.
        parts: Its value.
        line, column: Where it stands.
        basic: ``Basic user password``, which is encoded when it is filled.
        exact: Blanks of such credentials are part of them (curl's -u).
    """

    name: str
    parts: Parts
    line: int
    column: int
    basic: bool = False
    exact: bool = False

    @property
    def literal(self) -> str:
        """Return its value without what placeholders put in."""
        return "".join(part for part in self.parts if isinstance(part, str))


@dataclass(frozen=True, slots=True)
class TextPiece:
    """Text of a body."""

    parts: Parts


@dataclass(frozen=True, slots=True)
class FilePiece(Placed):
    """A file that is read into a body; `templated` marks ``<@``, whose text has placeholders of its own."""

    path: Parts
    line: int
    column: int
    templated: bool = False
    encoding: str = "utf-8"


@dataclass(frozen=True, slots=True)
class RequestTemplate(Placed):
    """One request of the cell.

    Attributes:
        method: Method token in upper case.
        url: Parts of the target URI.
        line, column: Where the request line begins.
        headers: Field lines.
        body: Pieces of the body, None where there is none.
        label: Its ``# @name``.
        keep: ``# @keep``: show its answer although it feeds a secret place.
        cache: ``# @cache``: it only asks, its answer may be cached whatever its method.
        plain: Written as a URL alone: the options method, data, json and params apply.
        run_options: Options of the run that it asks for (``HTTP/2``, curl's -k) -> value.
        no_default: Lower-case names of headers that no default may add.
        operation: Of GraphQL, "query" or "mutation"; None for other requests.
    """

    method: str
    url: Parts
    line: int
    column: int
    headers: tuple[HeaderTemplate, ...] = ()
    body: tuple[TextPiece | FilePiece, ...] | None = None
    label: str | None = None
    keep: bool = False
    cache: bool = False
    plain: bool = False
    run_options: Mapping[str, Any] = field(default_factory=dict)
    no_default: frozenset[str] = frozenset()
    operation: str | None = None


def field_named(headers: Iterable[HeaderTemplate], name: str) -> HeaderTemplate | None:
    """Return the first field line of a name, given in lower case."""
    return next((header for header in headers if header.name.lower() == name), None)


Entry = str | tuple[str, str] | RequestTemplate
"""A request of the cell: a URL alone, or method and URL, with nothing in them to look at; or a template."""


@dataclass(frozen=True, slots=True)
class Variable(Placed):
    """One ``@name = value``."""

    name: str
    parts: Parts
    line: int
    column: int


@dataclass(slots=True)
class ParsedCell:
    """What the grammar read: requests and variables in the order of the text, and what of it is not done."""

    entries: list[Entry] = field(default_factory=list)
    variables: dict[str, Variable] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
