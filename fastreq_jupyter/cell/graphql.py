"""Reads the body of a GraphQL request: the document, then a JSON object of variables, the only place for placeholders."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from fastreq_jupyter.cell.syntax import HeaderTemplate, Placeholder, Span, TextPiece, field_named
from fastreq_jupyter.cell.template import read_text
from fastreq_jupyter.options import Document, DocumentError, choose, read_document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastreq_jupyter.cell.request_line import RequestLine
    from fastreq_jupyter.cell.syntax import Parts

_TYPE = re.compile(r"x-request-type[ \t]*:[ \t]*graphql", re.IGNORECASE)
_NAME_FIELD = "x-graphql-operation"
_FILE = re.compile(r"<[ \t]+(\S.*?)[ \t]*")
_COMMENT = re.compile(r"(?m)^[ \t]*(?:#|//).*$")
_PLACEHOLDER = re.compile(r"\{\{.*?\}\}")
_LARGEST_FILE = 10 * 2**20


def asks_for_graphql(span: Span, line: RequestLine) -> bool:
    """Tell whether a field line is REST Client's ``X-REQUEST-TYPE: GraphQL``, which is not sent.

    Raises:
        CellSyntaxError: The request is no POST.
    """
    if not _TYPE.fullmatch(span.text):
        return False
    if line.method != "POST":
        raise span.error(f"GraphQL is sent by POST: write GRAPHQL or POST in place of {line.method}")
    return True


def read_graphql(
    line: RequestLine, lines: Sequence[Span], headers: tuple[HeaderTemplate, ...]
) -> tuple[tuple[HeaderTemplate, ...], tuple[TextPiece, ...], str]:
    """Read the body of a GraphQL request.

    Args:
        line: Its request line.
        lines: Of the body, comments among them.
        headers: Field lines; ``X-GraphQL-Operation`` names one of several operations and is not sent.

    Returns:
        Field lines to send, the body, and what it asks for: "query" or "mutation".

    Raises:
        CellSyntaxError: There is no document, it or the variables cannot be read, or a file cannot.
    """
    if not any(span.text.strip() for span in lines):
        raise line.error("GRAPHQL needs a document: query { ... } after a blank line")
    body = Span("\n".join(span.text for span in lines), lines[0].line)
    name_field = field_named(headers, _NAME_FIELD)
    name = None if name_field is None else "".join(map(str, name_field.parts))
    document, rest = _read(body)
    try:
        operation = choose(document.operations, name)
    except DocumentError as error:
        raise body.error(_with_hint(str(error)), error.offset if document.end else 0) from None
    parts: list[str] = ['{"query": ', json.dumps(document.text, ensure_ascii=False)]
    parts += [] if name is None else [', "operationName": ', json.dumps(name, ensure_ascii=False)]
    variables = _variables(rest)
    pieces: Parts = ("".join(parts) + (', "variables": ' if variables else ""), *variables, "}")
    return _with_type(headers), (TextPiece(pieces),), operation.kind


def _read(body: Span) -> tuple[Document, Span]:
    """Return the document, and what stands behind it."""
    first, _, rest = body.text.partition("\n")
    if match := _FILE.fullmatch(first):
        return _read_file(Path(match[1]).expanduser(), body), Span(rest, body.line + 1)
    try:
        document = read_document(body.text)
    except DocumentError as error:
        raise body.error(str(error), error.offset) from None
    return document, Span(body.text[document.end :], *body.at(document.end))


def _read_file(path: Path, body: Span) -> Document:
    text = _text_of(path, body)
    try:
        return read_document(text)._replace(end=0)
    except DocumentError as error:
        line, column = error.at(text)
        raise body.error(f"{path.name}, line {line}, column {column}: {error}") from None


def _text_of(path: Path, at: Span) -> str:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise at.error(f"{path}: more than 10 MiB is no document")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise at.error(f"{path} is not UTF-8") from None
    except (OSError, ValueError) as error:
        raise at.error(f"cannot read {str(path)[:200]}: {getattr(error, 'strerror', None) or 'not a file name'}") from None


def _variables(rest: Span) -> Parts:
    """Return the parts of the variables, empty where there are none."""
    text = _COMMENT.sub("", rest.text)
    start = len(text) - len(text.lstrip())
    if not text.strip():
        return ()
    span = Span(text[start:].rstrip(), *Span(text, rest.line, rest.column).at(start))
    parts = read_text(span)
    if len(parts) != 1 or not isinstance(parts[0], Placeholder):
        _check_object(span)
    return parts


def _check_object(span: Span) -> None:
    # A placeholder is a value or part of a string: digits of the same length fit both and keep the columns.
    plain = _PLACEHOLDER.sub(lambda match: "1" * len(match[0]), span.text)
    try:
        value = json.loads(plain)
    except ValueError as error:
        message, offset = getattr(error, "msg", "no JSON"), getattr(error, "pos", 0)
        raise span.error(f"the variables are no JSON: {message[:1].lower()}{message[1:]}", offset) from None
    except RecursionError:
        raise span.error("the variables are nested too deeply") from None
    if not isinstance(value, dict):
        raise span.error('variables are a JSON object, {"name": value}')


def _with_hint(message: str) -> str:
    return message.replace("name the one to run", "name the one to run, X-GraphQL-Operation: NAME")


def _with_type(headers: tuple[HeaderTemplate, ...]) -> tuple[HeaderTemplate, ...]:
    sent = tuple(header for header in headers if header.name.lower() != _NAME_FIELD)
    kind = field_named(sent, "content-type")
    if kind is None:
        return (*sent, HeaderTemplate("Content-Type", ("application/json",), 1, 1))
    if "json" not in kind.literal.lower():
        raise kind.error("GraphQL is sent as JSON: leave Content-Type out")
    return sent
