"""Puts values into URLs and field lines: where a placeholder stands decides how its value goes in.

Places::

    start of the URL   as it stands, the whole must be an http(s) URL
    authority          a host, a port, or both; before "@" percent-encoded
    path, query        percent-encoded, "/" included; a cell variable in a path keeps "/"; {{+x}} keeps reserved characters
    field line         text without CR, LF and other control characters
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import quote

from fastreq_jupyter.cell.bound import Bound, BoundPart, BoundParts, Env, MisfitError, text_in
from fastreq_jupyter.cell.request_line import PLAIN_URL
from fastreq_jupyter.cell.syntax import HeaderTemplate, VarText
from fastreq_jupyter.secret_names import is_secret_header, is_secret_name
from fastreq_jupyter.target import parse_target

__all__ = ["Check", "HeaderPlan", "UrlPlan", "check_header_text"]

Place = Literal["start", "user", "authority", "path", "query"]
Check = Literal["text", "header", "json"]

# RFC 3986, 2.2: gen-delims and sub-delims; "%" so that what is encoded already stays.
_RESERVED = ":/?#[]@!$&'()*+,;=%"
_AUTHORITY = re.compile(r"[^\s/?#@\\%\[\]<>\"'{}|^`\x00-\x1f\x7f]*|\[[0-9A-Fa-f:.]+\](?::[0-9]*)?")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_DOTS = re.compile(r"/\.\.?(?=/|\Z)")
_FIELD = re.compile(r"(?:\A|[?&])([^?&=]{1,100})=[^&]{0,200}\Z")
_ENDS = {"authority": re.compile("[/?#]"), "path": re.compile("[?#]")}


class UrlPlan:
    """Fill one URL again and again.

    Attributes:
        parts: Its parts, chained values of secret places marked.
    """

    def __init__(self, parts: BoundParts) -> None:
        self.parts = _mark_user(_mark_fields(parts))
        self.is_literal = all(isinstance(part, str) for part in self.parts)
        self._bound = tuple(part for part in self.parts if isinstance(part, Bound))
        self._varies = any(bound.origin in ("row", "chain") for bound in self._bound)

    @property
    def bound(self) -> tuple[Bound, ...]:
        """Return its placeholders."""
        return self._bound

    def fill(self, parts: BoundParts, env: Env) -> str:
        """Return the URL; `parts` are those of the plan with ranges replaced.

        Raises:
            MisfitError: A value is missing or does not fit, or the whole is no http(s) URL.
        """
        state = _UrlText()
        for part in parts:
            if isinstance(part, str):
                state.add(part)
            elif isinstance(part, VarText):
                state.add(_variable_text(part, state.place))
            elif isinstance(part, Bound):
                text = _bound_text(part, state.place, env)
                if text and not text.strip(".") and state.place == "path":
                    state.dots = part
                state.add(text)
        url = "".join(state.pieces)
        if state.dots is not None and _DOTS.search(url.partition("?")[0]):
            raise MisfitError("url", f"{_shown(state.dots)} is a dot segment, which would climb in the path", state.dots)
        if PLAIN_URL.fullmatch(url) is None and not (env.outcomes is None and any(bound.parent for bound in self._bound)):
            self.check(url)
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
    """Hold a URL while it grows, and which part of it comes next."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.place: Place = "start"
        self.dots: Bound | None = None
        self._head = ""

    def add(self, text: str) -> None:
        self.pieces.append(text)
        start = 0
        if self.place == "start":
            known = len(self._head)
            self._head = (self._head + text)[:200]
            found = self._head.find("://")
            if found < 0:
                return
            self.place = "authority"
            start = found + 3 - known
        while (ends := _ENDS.get(self.place)) and (end := ends.search(text, max(start, 0))):
            self.place = "path" if end[0] == "/" else "query"
            start = end.end()


class HeaderPlan:
    """Fill one field line again and again."""

    def __init__(self, template: HeaderTemplate, parts: BoundParts) -> None:
        secret = is_secret_header(template.name)
        self.template = template
        self.name = template.name
        self.parts = tuple(_sensitive(part) if secret else part for part in parts)
        self._basic = template.basic
        self._colon = any(isinstance(part, str) and ":" in part for part in parts)
        literal = all(isinstance(part, (str, VarText)) for part in parts)
        self._value = self.fill(Env()) if literal else None

    @property
    def bound(self) -> tuple[Bound, ...]:
        """Return its placeholders."""
        return tuple(part for part in self.parts if isinstance(part, Bound))

    def fill(self, env: Env) -> str:
        """Return the field value.

        Raises:
            MisfitError: A value is missing, or has control characters or such that no field line takes.
        """
        known: str | None = getattr(self, "_value", None)
        if known is not None and not self._basic:
            return known
        texts: list[str] = []
        for part in self.parts:
            if isinstance(part, Bound):
                text = text_in(part, env)
                check_header_text(text, part)
                texts.append(text)
            elif isinstance(part, (str, VarText)):
                texts.append(part if isinstance(part, str) else part.text)
        value = "".join(texts).strip()
        check_header_text(value, None)
        return _encode_basic(value, env, colon=self._colon) if self._basic else value


def check_header_text(text: str, bound: Bound | None) -> None:
    """Check that a text fits into a field line (RFC 9110, 5.5).

    Raises:
        MisfitError: It does not.
    """
    if found := _CONTROL.search(text):
        what = "a line break" if found[0] in "\r\n" else f"the control character {found[0]!r}"
        raise MisfitError("type", f"{_shown(bound)} holds {what}, which no header takes", bound)
    if text.isascii():
        return
    try:
        text.encode("latin-1")
    except UnicodeEncodeError as error:
        letter = text[error.start]
        raise MisfitError("type", f"{_shown(bound)} holds {letter!a}: headers take latin-1 text only, encode it", bound) from None


def _shown(bound: Bound | None) -> str:
    return "the value" if bound is None else f"{{{{{bound.placeholder.text[:80]}}}}}"


def _encode_basic(value: str, env: Env, *, colon: bool) -> str:
    scheme, _, rest = value.partition(" ")
    user, sign, password = rest.strip().partition(":" if colon else " ")
    if not sign:
        user, _, password = rest.strip().partition(":")
    encoded = base64.b64encode(f"{user.strip()}:{password.strip()}".encode()).decode()
    env.secrets.update(text for text in (password.strip(), encoded) if text)
    return f"{scheme} {encoded}"


def _variable_text(part: VarText, place: Place) -> str:
    if place in ("start", "authority", "user"):
        return part.text
    if part.raw:
        return quote(part.text, safe=_RESERVED, errors="replace")
    return quote(part.text, safe="/" if place == "path" else "", errors="replace")


def _bound_text(bound: Bound, place: Place, env: Env) -> str:
    text = text_in(bound, env)
    if bound.parent is not None and env.outcomes is None:
        return text
    if place == "start":
        return text
    if place == "authority" and not isinstance(bound, _UserBound):
        if not text or not _AUTHORITY.fullmatch(text):
            raise MisfitError("url", f"{_shown(bound)} stands where a host or host:port belongs and is none", bound)
        return text
    return quote(text, safe=_RESERVED if bound.placeholder.raw else "", errors="replace")


@dataclass(frozen=True, slots=True, eq=False)
class _UserBound(Bound):
    """Mark a placeholder that stands before the "@" of a URL."""


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
            return tuple(_as_user(one) if start < place < number else one for place, one in enumerate(parts))
        if head != text:
            break
    return parts


def _as_user(part: BoundPart) -> BoundPart:
    if not isinstance(part, Bound):
        return part
    return _UserBound(part.placeholder, part.origin, part.get, part.parent, sensitive=True, sources=part.sources)


def _mark_fields(parts: BoundParts) -> BoundParts:
    """Mark chained values that follow ``?token=`` and its like."""
    marked = list(parts)
    before = ""
    for number, part in enumerate(parts):
        if isinstance(part, Bound) and part.parent and (found := _FIELD.search(before)) and is_secret_name(found[1]):
            marked[number] = replace(part, sensitive=True)
        if isinstance(part, (str, VarText)):
            before = (part if isinstance(part, str) else part.text)[-300:]
    return tuple(marked)


def _sensitive(part: BoundPart) -> BoundPart:
    return replace(part, sensitive=True) if isinstance(part, Bound) and part.parent else part
