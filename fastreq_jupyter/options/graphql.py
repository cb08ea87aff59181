"""GraphQL documents: where one ends, which operations it has, and where its text goes wrong.

Only as much of the language is read as that takes (GraphQL, October 2021, section 2): tokens, brackets, and the beginnings of
definitions. What a field or an argument means, the server's schema knows.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["query", "mutation", "subscription"]

_TOKEN = re.compile(
    r'(?P<block>"""(?:\\"""|(?!""").)*""")|(?P<string>"(?!"")(?:[^"\\\n\r]|\\.)*")|(?P<name>[A-Za-z_]\w*)'
    r"|(?P<number>-?[0-9][0-9.eE+-]*)|(?P<comment>#[^\n\r]*)|(?P<slashes>//[^\n\r]*)|(?P<mark>\.\.\.|[!$&():=@\[\]{}|])|[\s,\ufeff]+",
    re.DOTALL | re.ASCII,
)
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_OPERATIONS = frozenset({"query", "mutation", "subscription"})
# The start of the variables: a JSON object or a placeholder. No selection starts with these.
_VARIABLES = re.compile(r'\{\s*["}]|\{\{')


class DocumentError(ValueError):
    """A document that cannot be read; `offset` is the place of what is wrong."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset

    def at(self, text: str) -> tuple[int, int]:
        """Return line and column, from 1, of the place in the text that was read."""
        return text.count("\n", 0, self.offset) + 1, self.offset - text.rfind("\n", 0, self.offset)


class Operation(NamedTuple):
    """What a document can be asked to do: its kind, its name (None without one), and where it begins."""

    kind: Kind
    name: str | None
    offset: int


class Document(NamedTuple):
    """A document that was read: its text, its operations, and where it ended in what was given."""

    text: str
    operations: tuple[Operation, ...]
    end: int


def read_document(text: str) -> Document:
    """Read a document up to its end, or to the JSON object of variables behind it.

    Args:
        text: The document; lines that begin with ``//`` are comments, as in a cell, and left out.

    Raises:
        DocumentError: An open string, a bracket without its partner, something that is no GraphQL, or no operation.
    """
    reader = _Reader(text)
    reader.read()
    return Document("".join([*reader.pieces, text[reader.kept_to : reader.place]]).strip(), tuple(reader.operations), reader.place)


def read_operation(text: str, name: str | None) -> tuple[str, Operation]:
    """Return the text of a document that nothing follows, and the operation that is asked for.

    Raises:
        DocumentError: As `read_document` and `choose`; or something follows it.
    """
    document = read_document(text)
    if rest := text[document.end :].strip():
        raise DocumentError(f"{rest[:20]!r} behind the document: give variables as an argument", document.end)
    return document.text, choose(document.operations, name)


def choose(operations: Sequence[Operation], name: str | None) -> Operation:
    """Return the operation that is asked for.

    Args:
        operations: Those of a document.
        name: What the user named, None where there is only one to take.

    Raises:
        DocumentError: None has that name, several are there and none was named, or it is a subscription.
    """
    matching = [operation for operation in operations if name is None or operation.name == name]
    names = ", ".join(operation.name or "one without a name" for operation in operations)
    if not matching:
        raise DocumentError(f"no operation is named {(name or '')[:60]}: the document has {names}", operations[0].offset)
    if len(matching) > 1:
        raise DocumentError(f"the document has several operations ({names}): name the one to run", matching[1].offset)
    if matching[0].kind == "subscription":
        raise DocumentError("a subscription needs a lasting connection: only queries and mutations are sent", matching[0].offset)
    return matching[0]


class _Reader:
    """The tokens of a document, its open brackets, and the definition that is being read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.operations: list[Operation] = []
        self.pieces: list[str] = []
        self.kept_to = 0
        self._open: list[tuple[str, int]] = []
        # Parentheses that are open: braces within them are values, not selections.
        self._arguments = 0
        # Where the current definition starts; None between definitions.
        self._definition: int | None = None
        self._last = ""

    def read(self) -> None:
        """Read all tokens."""
        while self.place < len(self.text):
            match = _TOKEN.match(self.text, self.place)
            if match is None:
                raise self._strange()
            if match["mark"] == "{" and not self._open and self._definition is None and _VARIABLES.match(self.text, self.place):
                break
            self._take(match)
            self.place = match.end()
        self._finish()

    def _take(self, match: re.Match[str]) -> None:
        kind, text = match.lastgroup, match[0]
        if kind in (None, "comment"):
            return
        if kind == "slashes":
            self.pieces.append(self.text[self.kept_to : match.start()])
            self.kept_to = match.end()
            return
        if kind in ("string", "block") and "{{" in text:
            raise self._placeholder(match.start() + text.index("{{"))
        if kind in ("string", "block", "number") and not self._arguments:
            raise DocumentError(f"{text.split(chr(10), 1)[0][:40]} is no field: values stand within ( )", match.start())
        if self._definition is None:
            self._begin(text, match.start())
        elif not self._open and kind == "name" and self._last in _OPERATIONS and self.operations[-1].name is None:
            self.operations[-1] = self.operations[-1]._replace(name=text)
        if text in _CLOSING:
            if self._open and text == "{" and self.text.startswith("{{", match.start()):
                raise self._placeholder(match.start())
            self._open.append((text, match.start()))
            self._arguments += text == "("
        elif text in (")", "]", "}"):
            self._close(text, match.start())
        self._last = text

    def _begin(self, text: str, offset: int) -> None:
        if text in _OPERATIONS or text == "{":
            self.operations.append(Operation("query" if text == "{" else text, None, offset))  # type: ignore[arg-type] # one of the three
        elif text in (")", "]", "}"):
            raise DocumentError(f"{text} without a bracket that it closes", offset)
        elif text != "fragment":
            shown = text.split("\n", 1)[0][:40]
            raise DocumentError(f"{shown!r} begins no definition: query, mutation, fragment or {{ does", offset)
        self._definition = offset

    def _close(self, text: str, offset: int) -> None:
        if not self._open:
            raise DocumentError(f"{text} without a bracket that it closes", offset)
        opened, start = self._open.pop()
        self._arguments -= opened == "("
        if _CLOSING[opened] != text:
            raise DocumentError(f"{text} closes {opened} of {self._where(start)}: a bracket is missing between them", offset)
        if text == "}" and self._last == "{" and not self._arguments:
            raise DocumentError("{ } selects nothing: name at least one field", start)
        if not self._open and text == "}":
            self._definition = None

    def _finish(self) -> None:
        if self._open:
            opened, start = self._open[-1]
            raise DocumentError(f"{opened} is never closed", start)
        if self._definition is not None:
            raise DocumentError("this definition selects nothing: { fields } are missing", self._definition)
        if not self.operations:
            message = "no operation in the document: write query { ... } or mutation { ... }, then the variables"
            raise DocumentError(message, self.place if self.text[self.place :].strip() else 0)

    def _strange(self) -> DocumentError:
        text = self.text[self.place : self.place + 3]
        if text.startswith('"'):
            return DocumentError("the string is never closed", self.place)
        return DocumentError(f"{text[0]!r} is no GraphQL", self.place)

    def _placeholder(self, offset: int) -> DocumentError:
        return DocumentError("a placeholder in the document: declare a variable, query($x: ...), and put {{ }} into the variables", offset)

    def _where(self, offset: int) -> str:
        line, column = DocumentError("", offset).at(self.text)
        return f"line {line}, column {column}" if line > 1 else f"column {column}"
