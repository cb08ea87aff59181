"""A token: its field lines, its lifetime and its secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isfinite
from time import monotonic, time
from typing import Any, ClassVar

from fastreq_jupyter.content import TOKEN
from fastreq_jupyter.errors import BackendError

__all__ = ["AuthError", "Token", "bearer_line", "lifetime_of", "token_of"]

_SCHEMES = ("bearer", "basic", "token")
# Characters of a bearer token (RFC 6750, 2.1, read generously): no blanks, no control characters, ASCII.
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_VALUE = re.compile(r"[\x20-\x7e\t\x80-\xff]*")
# Seconds before its end, or share of its life, at which a token is renewed.
_MARGIN = 30.0
_SHARE = 0.1


class AuthError(BackendError):
    """There are no credentials; it ends the run."""

    def __init__(self, detail: str) -> None:
        super().__init__("auth", detail, sent=False, lasting=True)


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """What a token endpoint, a function or an object gave.

    Attributes:
        lines: Field lines that go with each request.
        secrets: Texts in them that must not be shown.
        renew_at: From when on it is renewed before it is used, seconds of `time.monotonic`.
    """

    lines: tuple[tuple[str, str], ...] = field(repr=False)
    secrets: frozenset[str] = field(repr=False)
    renew_at: float = inf
    scheme: ClassVar[str] = ""
    user: ClassVar[str] = ""
    password: ClassVar[str] = ""
    signed_for: ClassVar[str] = ""


def bearer_line(text: str) -> str:
    """Return the value of Authorization for a token: as it stands where it begins with a scheme, else as a bearer token."""
    return text if text.partition(" ")[0].lower() in _SCHEMES and " " in text else f"Bearer {text}"


def token_of(value: Any, giver: str, life: float | None = None) -> Token:
    """Return the token in what somebody gave.

    Args:
        value: A text is a bearer token, a mapping field lines, an object with `token` (and `expires_on`) an access token.
        giver: Who gave it, for the message.
        life: Seconds for which it is good; None where that is not known.

    Raises:
        AuthError: It is none of them, or cannot be sent; nothing of it is shown.
    """
    if isinstance(value, str):
        return _of_lines((("Authorization", bearer_line(_checked(value, giver))),), life)
    if isinstance(value, Mapping):
        if "access_token" in value:
            raise AuthError(f'{giver} gave the whole answer of a token endpoint: give answer["access_token"]')
        return _of_lines(tuple(_line(name, text, giver) for name, text in value.items()), life, giver)
    inner = getattr(value, "token", None)
    if isinstance(inner, str):
        ends = getattr(value, "expires_on", None)
        return token_of(inner, giver, life if ends is None else (lifetime_of(ends, time()) or life))
    kind = "None" if value is None else f"a {type(value).__name__}"
    raise AuthError(f"{giver} gave {kind}: give a token as text, or a mapping of header lines")


def lifetime_of(value: Any, since: float = 0.0) -> float | None:
    """Return the seconds in `expires_in` (or, with `since`, in a time of the clock); None where that is no such number."""
    try:
        seconds = float(value) - since
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if isfinite(seconds) and seconds > 0 else None


def _of_lines(lines: tuple[tuple[str, str], ...], life: float | None, giver: str = "") -> Token:
    if not lines:
        raise AuthError(f"{giver} gave no header lines")
    secrets = {text for _, text in lines} | {
        text.partition(" ")[2].strip() for name, text in lines if name.lower().endswith("authorization")
    }
    renew_at = inf if life is None else monotonic() + life - min(_MARGIN, life * _SHARE)
    return Token(lines, frozenset(secrets - {""}), renew_at)


def _checked(text: str, giver: str) -> str:
    bare = bearer_line(text.strip()).partition(" ")[2].strip()
    if not bare:
        raise AuthError(f"{giver} gave an empty token")
    if not _VISIBLE.fullmatch(bare):
        raise AuthError(f"{giver} gave a token with a blank, a control character or a letter outside ASCII")
    return text.strip()


def _line(name: Any, text: Any, giver: str) -> tuple[str, str]:
    if not isinstance(name, str) or not TOKEN.fullmatch(name):
        raise AuthError(f"{giver} gave a header name that is no token")
    if not isinstance(text, str) or not _VALUE.fullmatch(text):
        kind = "with a control character" if isinstance(text, str) else f"of type {type(text).__name__}"
        raise AuthError(f"{giver} gave a value {kind} for the header {name}")
    return name, text
