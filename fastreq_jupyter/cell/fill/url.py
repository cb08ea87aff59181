"""Puts values into URLs: where a placeholder stands decides how its value goes in.

Places::

    start of the URL   as it stands, the whole must be an http(s) URL
    authority          a host, a port, or both; before "@" percent-encoded
    path, query        percent-encoded, "/" included; a cell variable in a path keeps "/"; {{+x}} keeps reserved characters
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import quote

from fastreq_jupyter.cell.fill.binding import Bound, BoundPart, BoundParts, Env, MisfitError, shown_as, text_in
from fastreq_jupyter.cell.request_line import PLAIN_URL
from fastreq_jupyter.cell.syntax import Range, VarText
from fastreq_jupyter.redact import is_secret_name
from fastreq_jupyter.url import parse_target

__all__ = ["UrlPlan"]

Place = Literal["start", "user", "authority", "path", "query"]

# RFC 3986, 2.2: gen-delims and sub-delims, and "%", so that encoded text is not encoded twice.
_RESERVED = ":/?#[]@!$&'()*+,;=%"
_AUTHORITY = re.compile(r"[^\s/?#@\\%\[\]<>\"'{}|^`\x00-\x1f\x7f]*|\[[0-9A-Fa-f:.]+\](?::[0-9]*)?")
_DOTS = re.compile(r"/\.\.?(?=/|\Z)")
_FIELD = re.compile(r"(?:\A|[?&])([^?&=]{1,100})=[^&]{0,200}\Z")
_ENDS = {"authority": re.compile("[/?#]"), "path": re.compile("[?#]")}


class UrlPlan:
    """A URL, filled for one row after another.

    Attributes:
        parts: Its parts, chained values of secret places marked.
    """

    def __init__(self, parts: BoundParts) -> None:
        self.parts = _mark_user(_mark_fields(parts))
        self._bound = tuple(part for part in self.parts if isinstance(part, Bound))
        self._waits = any(bound.parent for bound in self._bound)
        self._secrets: set[str] = set()
        self._places = self._settle()

    @property
    def bound(self) -> tuple[Bound, ...]:
        """Return its placeholders."""
        return self._bound

    def fill(self, parts: BoundParts, env: Env) -> str:
        """Return the URL; `parts` are those of the plan with ranges replaced.

        Raises:
            MisfitError: A value is missing or does not fit, or the whole is no http(s) URL.
        """
        url = self._filled(parts, env) if self._places is None else self._filled_fast(parts, self._places, env)
        if PLAIN_URL.fullmatch(url) is None and not (env.outcomes is None and self._waits):
            self.check(url)
        return url

    def _settle(self) -> tuple[Place, ...] | None:
        """Put in what is the same for every row, and note the place of each part; None where places depend on values."""
        state, env = _UrlText(), Env()
        settled: list[BoundPart] = []
        places: list[Place] = []
        for part in self.parts:
            places.append(state.place)
            if isinstance(part, Bound) and part.origin not in ("notebook", "secret"):
                if state.place == "start" or part.placeholder.raw:
                    return None
                settled.append(part)
                continue
            if isinstance(part, Range):
                state.add("0")
                settled.append(part)
                continue
            try:
                text = _part_text(part, state.place, env)
            except MisfitError:
                return None
            if isinstance(part, Bound) and not text.strip("."):
                return None
            state.add(text)
            settled.append(text)
        self.parts, self._secrets = tuple(settled), env.secrets
        return tuple(places)

    def _filled_fast(self, parts: BoundParts, places: tuple[Place, ...], env: Env) -> str:
        dots: Bound | None = None
        pieces: list[str] = []
        for part, place in zip(parts, places, strict=True):
            if isinstance(part, str):
                pieces.append(part)
            elif isinstance(part, Bound):
                text = _bound_text(part, place, env)
                if text[:1] in (".", "") and place == "path" and not text.strip("."):
                    dots = part
                pieces.append(text)
        if self._secrets:
            env.secrets |= self._secrets
        url = "".join(pieces)
        _refuse_dots(url, dots)
        return url

    def _filled(self, parts: BoundParts, env: Env) -> str:
        state = _UrlText()
        for part in parts:
            text = _part_text(part, state.place, env)
            if isinstance(part, Bound) and state.place == "path" and not text.strip("."):
                state.dots = part
            state.add(text)
        url = "".join(state.pieces)
        _refuse_dots(url, state.dots)
        return url

    def check(self, url: str) -> None:
        """Check that a filled text is a URL.

        Raises:
            MisfitError: It is none.
        """
        try:
            parse_target(url)
        except ValueError as error:
            varying = next((bound for bound in self._bound if bound.origin in ("row", "chain")), None)
            raise MisfitError("url", str(error), varying) from None


class _UrlText:
    """A URL while it grows, and which part of it comes next."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.place: Place = "start"
        self.dots: Bound | None = None
        self._head = ""

    def add(self, text: str) -> None:
        self.pieces.append(text)
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


def _variable_text(part: VarText, place: Place) -> str:
    if place in ("start", "authority", "user"):
        return part.text
    if part.raw:
        return quote(part.text, safe=_RESERVED, errors="replace")
    return quote(part.text, safe="/" if place == "path" else "", errors="replace")


def _part_text(part: BoundPart, place: Place, env: Env) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, VarText):
        return _variable_text(part, place)
    assert isinstance(part, Bound)  # noqa: S101 - ranges are replaced before
    return _bound_text(part, place, env)


def _refuse_dots(url: str, dots: Bound | None) -> None:
    if dots is not None and _DOTS.search(url.partition("?")[0]):
        raise MisfitError("url", f"{shown_as(dots)} is a dot segment, which would climb in the path", dots)


def _bound_text(bound: Bound, place: Place, env: Env) -> str:
    text = text_in(bound, env)
    if bound.parent is not None and env.outcomes is None:
        return text
    if place == "start" or (bound.placeholder.verbatim and place != "authority"):
        return text
    if place == "authority" and not isinstance(bound, _UserBound):
        if not text or not _AUTHORITY.fullmatch(text):
            raise MisfitError("url", f"{shown_as(bound)} stands where a host or host:port belongs and is none", bound)
        return text
    return quote(text, safe=_RESERVED if bound.placeholder.raw else "", errors="replace")


@dataclass(frozen=True, slots=True, eq=False)
class _UserBound(Bound):
    """A placeholder that stands before the "@" of a URL."""


def _mark_user(parts: BoundParts) -> BoundParts:
    """Mark placeholders of the userinfo: those between "://" and an "@" that comes before any "/"."""
    start: int | None = None
    for number, part in enumerate(parts):
        text = part if isinstance(part, str) else part.text if isinstance(part, VarText) else ""
        if start is None:
            if "://" not in text:
                continue
            start, text = number, text.partition("://")[2]
        head = re.split("[/?#]", text, maxsplit=1)[0]
        if "@" in head:
            return tuple(_as_user(other) if start < place < number else other for place, other in enumerate(parts))
        if head != text:
            break
    return parts


def _as_user(part: BoundPart) -> BoundPart:
    if not isinstance(part, Bound):
        return part
    return _UserBound(part.placeholder, part.origin, part.get, part.parent, sensitive=True, sources=part.sources, column=part.column)


def _mark_fields(parts: BoundParts) -> BoundParts:
    """Mark chained values that follow ``?token=`` and its like."""
    marked = list(parts)
    before = ""
    for number, part in enumerate(parts):
        if isinstance(part, Bound) and part.parent and (match := _FIELD.search(before)) and is_secret_name(match[1]):
            marked[number] = replace(part, sensitive=True)
        if isinstance(part, (str, VarText)):
            before = (part if isinstance(part, str) else part.text)[-300:]
    return tuple(marked)
