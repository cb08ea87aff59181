"""Puts values into field lines: text without CR, LF and other control characters; Basic credentials are encoded."""

from __future__ import annotations

import base64
import re
from dataclasses import replace

from fastreq_jupyter.cell.fill.binding import Bound, BoundPart, BoundParts, Env, MisfitError, shown_as, text_in
from fastreq_jupyter.cell.syntax import HeaderTemplate, VarText
from fastreq_jupyter.redact import is_secret_header

__all__ = ["HeaderPlan", "check_header_text"]

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class HeaderPlan:
    """Fill one field line again and again.

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
        raise MisfitError("type", f"{shown_as(bound)} holds {what}, which no header takes", bound)
    if text.isascii():
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
    encoded = base64.b64encode(f"{user.strip()}:{password.strip()}".encode()).decode()
    env.secrets.update(text for text in (password.strip(), encoded) if text)
    return f"{scheme} {encoded}"


def _sensitive(part: BoundPart) -> BoundPart:
    return replace(part, sensitive=True) if isinstance(part, Bound) and part.parent else part
