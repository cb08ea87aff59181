"""Puts values into bodies: JSON, forms, XML, multipart with files, plain text."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, unquote_to_bytes
from xml.sax.saxutils import escape

from fastreq_jupyter.cell.fill.binding import Bound, BoundPart, BoundParts, Env, MisfitError, json_in, text_in, value_in
from fastreq_jupyter.cell.grammar import Body, content_type_of, is_json_lines
from fastreq_jupyter.cell.syntax import RESERVED, FilePiece, HeaderTemplate, Parts, Span, TextPiece, VarText
from fastreq_jupyter.cell.template import read_text
from fastreq_jupyter.files import FilePart, Upload, file_part, joined
from fastreq_jupyter.redact import is_secret_name
from fastreq_jupyter.values import is_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastreq_jupyter.cell.fill.binding import Check

Kind = Literal["json", "form", "xml", "text", "record"]
Inner = Literal["value", "string", "text"]

_JSON_SIGNS = re.compile(r'["\\]')
_MEMBER = re.compile(r'"([^"\\]{1,100})"\s{0,20}:\s{0,20}(?:"[^"]{0,200})?\Z')
_FIELD = re.compile(r"(?:\A|&)([^&=]{1,100})=[^&]{0,200}\Z")
_LARGEST_FILE = 100 * 2**20


@dataclass(frozen=True, slots=True)
class _Text:
    parts: tuple[tuple[BoundPart, Inner], ...]


@dataclass(frozen=True, slots=True)
class _File:
    path: BoundParts
    piece: FilePiece
    content: bytes | FilePart | None


class BodyPlan:
    """A request's body, filled for one row after another.

    Args:
        body: Pieces as the grammar read them.
        headers: The request's field lines: the Content-Type decides how values go in.
        bind: Ties placeholders to their values.

    Attributes:
        kind: How values go in.
        checks: Its placeholders, and what a value must pass at each.

    Raises:
        CellSyntaxError: A name is not there, or a file cannot be read.
    """

    def __init__(self, body: Body, headers: tuple[HeaderTemplate, ...], bind: Callable[[Parts], BoundParts]) -> None:
        self._bind = bind
        bound = tuple(bind(piece.parts) if isinstance(piece, TextPiece) else self._loaded(piece) for piece in body)
        self.kind = _kind_of(bound, headers)
        self._inside = False
        self._pieces = tuple(self._file(piece) if isinstance(piece, FilePiece) else self._text(piece) for piece in bound)
        self.checks = tuple(check for piece in self._pieces for check in self._checks_of(piece))
        constant = not self.checks and all(isinstance(piece, _Text) or piece.content is not None for piece in self._pieces)
        self._content = self._join(Env()) if constant else None

    def _checks_of(self, piece: _Text | _File) -> Iterator[tuple[Bound, Check]]:
        placed = piece.parts if isinstance(piece, _Text) else [(part, "text") for part in piece.path]
        for part, inner in placed:
            if isinstance(part, Bound):
                yield part, "json" if inner == "value" or (self.kind == "record" and isinstance(piece, _Text)) else "text"

    def fill(self, env: Env) -> bytes | Upload:
        """Return the body.

        Raises:
            MisfitError: A value is missing or does not fit, or a file cannot be read.
        """
        return self._content if self._content is not None else self._join(env)

    def _join(self, env: Env) -> bytes | Upload:
        return joined(self._fill_text(piece, env) if isinstance(piece, _Text) else _read(piece, env) for piece in self._pieces)

    def _text(self, parts: BoundParts) -> _Text:
        placed: list[tuple[BoundPart, Inner]] = []
        before = ""
        for part in parts:
            if isinstance(part, Bound):
                part = self._mark(part, before)  # noqa: PLW2901 - the same placeholder, marked
                placed.append((part, self._place() if not part.placeholder.verbatim else "text"))
                continue
            placed.append((part, "text"))
            text = part if isinstance(part, str) else ""
            before = text[-300:]
            if self.kind == "json":
                self._inside = _inside_after(text, inside=self._inside)
        return _Text(tuple(placed))

    def _place(self) -> Inner:
        return "text" if self.kind != "json" else "string" if self._inside else "value"

    def _mark(self, bound: Bound, before: str) -> Bound:
        pattern = {"json": _MEMBER, "form": _FIELD}.get(self.kind)
        match = pattern.search(before) if pattern and bound.parent else None
        return replace(bound, sensitive=True) if match and is_secret_name(match[1]) else bound

    def _loaded(self, piece: FilePiece) -> FilePiece | BoundParts:
        """Read a file with placeholders: from here on its text is as if it stood in the cell."""
        if not piece.templated:
            return piece
        path = self._bind(piece.path)
        if any(isinstance(part, Bound) and part.origin in ("row", "chain", "dynamic") for part in path):
            raise piece.error("the path of a file with placeholders cannot have placeholders itself")
        content = _read_now(_File(path, piece, None), read_all=True)
        assert isinstance(content, bytes)  # noqa: S101 - asked for
        try:
            text = content.decode(piece.encoding).replace("\r\n", "\n")
            text.encode()
        except (UnicodeError, LookupError):
            raise piece.error(f"the file is not {piece.encoding} text: name its encoding, <@latin1 path") from None
        return self._bind(read_text(Span(text, piece.line, piece.column)))

    def _file(self, piece: FilePiece) -> _File:
        path = self._bind(piece.path)
        if any(isinstance(part, Bound) and part.origin in ("row", "chain", "dynamic") for part in path):
            return _File(path, piece, None)
        return _File(path, piece, _read_now(_File(path, piece, None)))

    def _fill_text(self, text: _Text, env: Env) -> bytes:
        if self.kind == "record":
            part = text.parts[0][0]
            return self._record(part, env).encode() if isinstance(part, Bound) else b""
        return "".join(self._piece(part, inner, env) for part, inner in text.parts).encode()

    def _piece(self, part: BoundPart, inner: Inner, env: Env) -> str:
        if not isinstance(part, Bound):
            return quote(part, safe="") if isinstance(part, VarText) and self.kind == "form" and not part.raw else str(part)
        if inner == "value":
            return json_in(part, env)
        text = text_in(part, env)
        return text if part.placeholder.verbatim else self._escaped(text, inner, raw=part.placeholder.raw)

    def _escaped(self, text: str, inner: Inner, *, raw: bool) -> str:
        if inner == "string":
            return json.dumps(text, ensure_ascii=False)[1:-1]
        if self.kind == "form":
            return quote(text, safe=RESERVED if raw else "")
        return escape(text, {'"': "&quot;", "'": "&apos;"}) if self.kind == "xml" else text

    def _record(self, bound: Bound, env: Env) -> str:
        if bound.parent is not None and env.outcomes is None:
            return text_in(bound, env)
        value = value_in(bound, env)
        return json_in(bound, env) if is_record(value) or isinstance(value, (list, tuple)) else text_in(bound, env)


def _kind_of(body: tuple[BoundParts | FilePiece, ...], headers: tuple[HeaderTemplate, ...]) -> Kind:
    kind = (content_type_of(headers) or "").partition(";")[0].strip().lower()
    if kind:
        if kind.endswith(("/json", "+json")) or is_json_lines(kind):
            return "json"
        if kind == "application/x-www-form-urlencoded":
            return "form"
        return "xml" if kind.endswith(("/xml", "+xml", "/html")) else "text"
    first = body[0]
    if isinstance(first, FilePiece) or not first:
        return "text"
    if len(body) == 1 and len(first) == 1 and isinstance(first[0], Bound):
        return "record"
    start = first[0] if isinstance(first[0], str) else ""
    sign = start.lstrip()[:1]
    return "json" if sign and sign in '{["' else "xml" if sign == "<" else "text"


def _inside_after(text: str, *, inside: bool) -> bool:
    """Tell whether the end of a JSON text lies within quotes."""
    place = 0
    while match := _JSON_SIGNS.search(text, place):
        place = match.end()
        if match[0] == '"':
            inside = not inside
        elif inside:
            place += 1
    return inside


def _read_now(file: _File, *, read_all: bool = False) -> bytes | FilePart:
    try:
        return _read(file, Env(), read_all=read_all)
    except MisfitError as error:
        raise file.piece.error(error.detail) from None


def _read(file: _File, env: Env, *, read_all: bool = False) -> bytes | FilePart:
    """Return what is in a file; with `read_all` a large one too, otherwise what stands for it."""
    if file.content is not None:
        return file.content
    name = "".join(text_in(part, env) if isinstance(part, Bound) else str(part) for part in file.path)
    if name.startswith("data:"):
        return _inline(name)
    path = Path(name).expanduser()
    try:
        if not read_all:
            return file_part(path)
        if path.stat().st_size > _LARGEST_FILE:
            message = f"{name}: more than 100 MiB are no text with placeholders"
            raise MisfitError("file", message)
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a file name"
        varying = next((part for part in file.path if isinstance(part, Bound)), None)
        raise MisfitError("file", f"cannot read {name[:200]}: {reason}", varying) from None


def _inline(name: str) -> bytes:
    head, comma, text = name.partition(",")
    try:
        if comma:
            return base64.b64decode(text, validate=True) if head.endswith(";base64") else unquote_to_bytes(text)
    except ValueError:
        pass
    raise MisfitError("file", "a data: body is written data:;base64,...")
