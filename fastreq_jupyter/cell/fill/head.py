"""Puts values into the head of a request: its URL, and its field lines.

Where a placeholder of a URL stands decides how its value goes in::

    start of the URL   as it stands, the whole must be an http(s) URL
    authority          a host, a port, or both; before "@" percent-encoded
    path, query        percent-encoded, "/" included; a cell variable in a path keeps "/"; {{+x}} keeps reserved characters

Field lines take text without CR, LF and other control characters; Basic credentials are encoded.
"""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from fastreq_jupyter.cell.fill.binding import Bound, BoundPart, BoundParts, Check, Env, MisfitError, shown_as, text_in
from fastreq_jupyter.cell.request_line import PLAIN_URL
from fastreq_jupyter.cell.syntax import RESERVED, Range, VarText
from fastreq_jupyter.content import NO_FIELD_VALUE
from fastreq_jupyter.redact import is_secret_header, is_secret_name
from fastreq_jupyter.url import parse_target

if TYPE_CHECKING:
    from fastreq_jupyter.cell.syntax import HeaderTemplate

Place = Literal["start", "authority", "path", "query"]

_AUTHORITY = re.compile(r"[^\s/?#@\\%\[\]<>\"'{}|^`\x00-\x1f\x7f]*|\[[0-9A-Fa-f:.]+\](?::[0-9]*)?")
_DOTS = re.compile(r"/\.\.?(?=/|\Z)")
_FIELD = re.compile(r"(?:\A|[?&])([^?&=]{1,100})=[^&]{0,200}\Z")
_ENDS = {"authority": re.compile("[/?#]"), "path": re.compile("[?#]")}


class UrlPlan:
    """A URL, filled for one row after another.

    Attributes:
        parts: Its parts, chained values of secret places marked.
        checks: Its placeholders, and what a value must pass at each.
    """

    def __init__(self, parts: BoundParts) -> None:
        self.parts = _mark_user(_mark_fields(parts))
        self._bound = tuple(part for part in self.parts if isinstance(part, Bound))
        self.checks: tuple[tuple[Bound, Check], ...] = tuple((bound, "text") for bound in self._bound)
        self._waits = any(bound.parent for bound in self._bound)
        self._secrets: set[str] = set()
        self._places = self._settle()

    def fill(self, parts: BoundParts, env: Env) -> str:
        """Return the URL; `parts` are those of the plan with ranges replaced.

        Raises:
            MisfitError: A value is missing or does not fit, or the whole is no http(s) URL.
        """
        grown = _UrlText() if self._places is None else None
        dots: Bound | None = None
        pieces: list[str] = []
        for number, part in enumerate(parts):
            place = grown.place if grown is not None else self._places[number]  # type: ignore[index] # one of the two is there
            text = part if type(part) is str else _part_text(part, place, env)
            if place == "path" and isinstance(part, Bound) and not text.strip("."):
                dots = part
            pieces.append(text)
            if grown is not None:
                grown.add(text)
        env.secrets |= self._secrets
        url = "".join(pieces)
        if dots is not None and _DOTS.search(url.partition("?")[0]):
            raise MisfitError("url", f"{shown_as(dots)} is a dot segment, which would climb in the path", dots)
        if PLAIN_URL.fullmatch(url) is None and not (env.outcomes is None and self._waits):
            self._check(url)
        return url

    def _settle(self) -> tuple[Place, ...] | None:
        """Put in what is the same for every row, and note the place of each part; None where places depend on values."""
        grown, env = _UrlText(), Env()
        settled: list[BoundPart] = []
        places: list[Place] = []
        for part in self.parts:
            places.append(grown.place)
            if isinstance(part, Bound) and part.origin not in ("notebook", "secret"):
                if grown.place == "start" or part.placeholder.raw:
                    return None
                settled.append(part)
                continue
            if isinstance(part, Range):
                grown.add("0")
                settled.append(part)
                continue
            try:
                text = _part_text(part, grown.place, env)
            except MisfitError:
                return None
            if isinstance(part, Bound) and not text.strip("."):
                return None
            grown.add(text)
            settled.append(str(text))
        self.parts, self._secrets = tuple(settled), env.secrets
        return tuple(places)

    def _check(self, url: str) -> None:
        try:
            parse_target(url)
        except ValueError as error:
            varying = next((bound for bound in self._bound if bound.origin in ("row", "chain")), None)
            raise MisfitError("url", str(error), varying) from None


class _UrlText:
    """Which part of a URL comes next while it grows."""

    def __init__(self) -> None:
        self.place: Place = "start"
        self._head = ""

    def add(self, text: str) -> None:
        start = 0
        if self.place == "start":
            length = len(self._head)
            self._head = (self._head + text)[:200]
            mark = self._head.find("://")
            if mark < 0:
                return
            self.place = "authority"
            start = mark + 3 - length
        while (ends := _ENDS.get(self.place)) and (end := ends.search(text, max(start, 0))):
            self.place = "path" if end[0] == "/" else "query"
            start = end.end()


def _part_text(part: BoundPart, place: Place, env: Env) -> str:
    """Return the text of a part at its place; ranges are replaced before."""
    if isinstance(part, Bound):
        return _bound_text(part, place, env)
    if not isinstance(part, VarText) or place in ("start", "authority"):
        return str(part)
    return quote(part, safe=RESERVED if part.raw else "/" if place == "path" else "", errors="replace")


def _bound_text(bound: Bound, place: Place, env: Env) -> str:
    text = text_in(bound, env)
    if bound.parent is not None and env.outcomes is None:
        return text
    if place == "start" or (bound.placeholder.verbatim and place != "authority"):
        return text
    if place == "authority" and not bound.in_userinfo:
        if not text or not _AUTHORITY.fullmatch(text):
            raise MisfitError("url", f"{shown_as(bound)} stands where a host or host:port belongs and is none", bound)
        return text
    return quote(text, safe=RESERVED if bound.placeholder.raw else "", errors="replace")


def _mark_user(parts: BoundParts) -> BoundParts:
    """Mark placeholders of the userinfo: those between "://" and an "@" that comes before any "/"."""
    start: int | None = None
    for number, part in enumerate(parts):
        text = part if isinstance(part, str) else ""
        if start is None:
            if "://" not in text:
                continue
            start, text = number, text.partition("://")[2]
        head = re.split("[/?#]", text, maxsplit=1)[0]
        if "@" in head:
            return tuple(
                replace(other, sensitive=True, in_userinfo=True) if isinstance(other, Bound) and start < place < number else other
                for place, other in enumerate(parts)
            )
        if head != text:
            break
    return parts


def _mark_fields(parts: BoundParts) -> BoundParts:
    """Mark chained values that follow ``?token=`` and its like."""
    marked = list(parts)
    before = ""
    for number, part in enumerate(parts):
        if isinstance(part, Bound) and part.parent and (match := _FIELD.search(before)) and is_secret_name(match[1]):
            marked[number] = replace(part, sensitive=True)
        if isinstance(part, str):
            before = part[-300:]
    return tuple(marked)


class HeaderPlan:
    """A field line, filled for one row after another.

    Attributes:
        name: As written.
        checks: Its placeholders, and what a value must pass at each.
        fixed: The value is the same for every row, and holds no secret that was inserted.

    Raises:
        MisfitError: Its literal text is not possible in a field line.
    """

    def __init__(self, template: HeaderTemplate, parts: BoundParts) -> None:
        secret = is_secret_header(template.name)
        self.name = template.name
        self._template = template
        self._parts = tuple(replace(part, sensitive=True) if secret and isinstance(part, Bound) and part.parent else part for part in parts)
        check: Check = "basic" if template.basic else "header"
        self.checks = tuple((part, check) for part in self._parts if isinstance(part, Bound))
        self._colon = any(type(part) is str and ":" in part for part in parts)
        self._value: str | None = None
        literal = not self.checks
        value = self.fill(Env()) if literal else None
        self.fixed = literal and not template.basic
        self._value = value if self.fixed else None

    def fill(self, env: Env) -> str:
        """Return the field value.

        Raises:
            MisfitError: A value is missing, or has control characters or such that no field line takes.
        """
        if self._value is not None:
            return self._value
        basic, exact = self._template.basic, self._template.exact
        value = "".join(header_text(part, env, encoded=basic) if isinstance(part, Bound) else str(part) for part in self._parts)
        value = value if exact else value.strip()
        _check_text(value, None, encoded=basic)
        if exact:
            return _encoded(*value.removeprefix("Basic ").partition(":")[::2], env)
        return _encode_basic(value, env, colon=self._colon) if basic else value


def header_text(bound: Bound, env: Env, *, encoded: bool) -> str:
    """Return the text of a placeholder in a field line.

    Args:
        bound: The placeholder.
        env: What the row is filled with.
        encoded: It is encoded afterwards, so it may hold more than latin-1.

    Raises:
        MisfitError: It does not fit into one (RFC 9110, 5.5).
    """
    text = text_in(bound, env)
    if bound.placeholder.verbatim and not encoded and not text.isascii():
        # A shell passes bytes; field lines are latin-1 text here.
        text = text.encode().decode("latin-1")
        env.secrets.add(text)
    _check_text(text, bound, encoded=encoded)
    return text


def _check_text(text: str, bound: Bound | None, *, encoded: bool) -> None:
    if match := NO_FIELD_VALUE.search(text):
        what = "a line break" if match[0] in "\r\n" else f"the control character {match[0]!r}"
        raise MisfitError("type", f"{shown_as(bound)} holds {what}, which no header takes", bound)
    if encoded or text.isascii():
        return
    try:
        text.encode("latin-1")
    except UnicodeEncodeError as error:
        letter = text[error.start]
        raise MisfitError("type", f"{shown_as(bound)} holds {letter!a}: headers take latin-1 text only, encode it", bound) from None


def _encode_basic(value: str, env: Env, *, colon: bool) -> str:
    scheme, _, rest = value.partition(" ")
    user, sign, password = rest.strip().partition(":" if colon else " ")
    if not sign:
        user, _, password = rest.strip().partition(":")
    return scheme + _encoded(user.strip(), password.strip(), env).removeprefix("Basic")


def _encoded(user: str, password: str, env: Env) -> str:
    encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
    env.secrets.update(text for text in (password, encoded) if text)
    return f"Basic {encoded}"
