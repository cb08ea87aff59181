"""Puts values into field lines: text without CR, LF and other control characters; Basic credentials are encoded."""

from __future__ import annotations

import base64
from dataclasses import replace

from fastreq_jupyter.cell.fill.binding import Bound, BoundPart, BoundParts, Check, Env, MisfitError, shown_as, text_in
from fastreq_jupyter.cell.syntax import HeaderTemplate, VarText
from fastreq_jupyter.content import NO_FIELD_VALUE
from fastreq_jupyter.redact import is_secret_header

__all__ = ["HeaderPlan", "header_text"]


class HeaderPlan:
    """A field line, filled for one row after another.

    Attributes:
        fixed: The value is the same for every row, and holds no secret that was inserted.
    """

    def __init__(self, template: HeaderTemplate, parts: BoundParts) -> None:
        secret = is_secret_header(template.name)
        self.template = template
        self.name = template.name
        self.parts = tuple(_sensitive(part) if secret else part for part in parts)
        self._basic = template.basic
        self._colon = any(isinstance(part, str) and ":" in part for part in parts)
        literal = all(isinstance(part, (str, VarText)) for part in parts)
        self._value = self.fill(Env()) if literal else None
        self.fixed = literal and not self._basic

    @property
    def check(self) -> Check:
        """Return what a value must pass."""
        return "basic" if self._basic else "header"

    @property
    def bound(self) -> tuple[Bound, ...]:
        """Return its placeholders."""
        return tuple(part for part in self.parts if isinstance(part, Bound))

    def fill(self, env: Env) -> str:
        """Return the field value.

        Raises:
            MisfitError: A value is missing, or has control characters or such that no field line takes.
        """
        constant: str | None = getattr(self, "_value", None)
        if constant is not None and not self._basic:
            return constant
        texts: list[str] = []
        for part in self.parts:
            if isinstance(part, Bound):
                texts.append(header_text(part, env, encoded=self._basic))
            elif isinstance(part, (str, VarText)):
                texts.append(part if isinstance(part, str) else part.text)
        value = "".join(texts) if self.template.exact else "".join(texts).strip()
        _check_text(value, None, encoded=self._basic)
        if self.template.exact:
            return _encoded(*value.removeprefix("Basic ").partition(":")[::2], env)
        return _encode_basic(value, env, colon=self._colon) if self._basic else value


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


def _sensitive(part: BoundPart) -> BoundPart:
    return replace(part, sensitive=True) if isinstance(part, Bound) and part.parent else part
