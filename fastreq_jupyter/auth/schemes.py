"""Credentials: an API key, what the backend's library works out for each exchange, and tokens with lifetime and secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isfinite
from time import monotonic, time
from typing import Any, ClassVar, Literal

from fastreq_jupyter.content import TOKEN
from fastreq_jupyter.errors import BackendError, OptionError, hide_frames_of_init
from fastreq_jupyter.exchange import Credential

_WORD = re.compile(r"[A-Za-z0-9_.-]+")
_AWS_VARIABLES = {"access_key": "AWS_ACCESS_KEY_ID", "secret_key": "AWS_SECRET_ACCESS_KEY", "session_token": "AWS_SESSION_TOKEN"}
_SCHEMES = ("bearer", "basic", "token")
# Characters of a bearer token (RFC 6750, 2.1, read generously): no blanks, no control characters, ASCII.
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_VALUE = re.compile(r"[\x20-\x7e\t\x80-\xff]*")
# Seconds before its end, or share of its life, at which a token is renewed.
_MARGIN = 30.0
_SHARE = 0.1


@hide_frames_of_init
@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that goes with each request, in a header or in the query.

    Args:
        name: Of the header or of the query parameter.
        value: The key.
        where: "header" or "query".

    Raises:
        OptionError: The name or the key cannot be sent; the key is not shown.
    """

    name: str
    value: str = field(repr=False)
    where: Literal["header", "query"] = "header"
    fastreq_auth: ClassVar[str] = "key"

    def __post_init__(self) -> None:
        if self.where not in ("header", "query"):
            raise OptionError("ApiKey: where is header or query", option="auth")
        if not isinstance(self.name, str) or not self.name or (self.where == "header" and not TOKEN.fullmatch(self.name)):
            raise OptionError(f"ApiKey: the name is no name of a {self.where} field", option="auth")
        _check_text("ApiKey", "value", self.value)

    @property
    def secrets(self) -> frozenset[str]:
        """Return what must not be shown."""
        return frozenset({self.value})


class Native(Credential):
    """Credentials of which the backend's library makes what goes on the wire; `scheme` is the feature that a backend must have."""

    __slots__ = ()

    fastreq_auth: ClassVar[str] = "native"
    lines: tuple[tuple[str, str], ...] = ()

    @property
    def secrets(self) -> frozenset[str]:
        """Return what must not be shown."""
        return frozenset({self.password, *(value for _, value in self.lines)} - {""})


@dataclass(frozen=True, slots=True)
class _Login(Native):
    """A user and a password."""

    user: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        for part in ("user", "password"):
            _check_text(type(self).__name__, part, getattr(self, part))


@hide_frames_of_init
@dataclass(frozen=True, slots=True)
class Digest(_Login):
    """User and password, sent as a digest of the server's challenge (RFC 7616), for which each exchange asks anew.

    Args:
        user: Name.
        password: Never sent itself.

    Raises:
        OptionError: One of them is no text.
    """

    scheme: ClassVar[str] = "digest"


@hide_frames_of_init
@dataclass(frozen=True, slots=True)
class NTLM(_Login):
    r"""User (``DOMAIN\user``) and password for NTLM, where libcurl was built with it.

    Args:
        user: Name, with or without its domain.
        password: Never sent itself.

    Raises:
        OptionError: One of them is no text.
    """

    scheme: ClassVar[str] = "ntlm"


@dataclass(frozen=True, slots=True)
class Negotiate(Native):
    """The ticket of a Kerberos login (``kinit``), where libcurl was built with it."""

    scheme: ClassVar[str] = "negotiate"
    user: ClassVar[str] = ""  # type: ignore[misc] # a constant here, a field elsewhere
    password: ClassVar[str] = ""  # type: ignore[misc] # a constant here, a field elsewhere


@hide_frames_of_init
@dataclass(frozen=True, slots=True)
class SigV4(Native):
    """An AWS signature, version 4.

    Args:
        service: As in "execute-api", "es", "s3".
        region: As in "eu-central-1".
        access_key: Access key id; AWS_ACCESS_KEY_ID by default, read when this is made.
        secret_key: Secret access key; AWS_SECRET_ACCESS_KEY by default.
        session_token: Of temporary credentials; AWS_SESSION_TOKEN by default, where the keys come from there, too.

    Raises:
        OptionError: There are no keys, or a name cannot be sent.
    """

    scheme: ClassVar[str] = "sigv4"
    service: str
    region: str
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("service", "region"):
            if not isinstance(value := getattr(self, name), str) or not _WORD.fullmatch(value):
                raise OptionError(
                    f"SigV4: {name} is a word such as {'execute-api' if name == 'service' else 'eu-central-1'}", option="auth"
                )
        if self.access_key is None and self.secret_key is None:
            for name, variable in _AWS_VARIABLES.items():
                object.__setattr__(self, name, getattr(self, name) or os.environ.get(variable) or None)
        if self.access_key is None or self.secret_key is None:
            raise OptionError("SigV4 needs access_key and secret_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", option="auth")
        for name in _AWS_VARIABLES:
            if getattr(self, name) is not None:
                _check_text("SigV4", name, getattr(self, name))

    @property
    def user(self) -> str:  # type: ignore[override] # made of the fields
        """Return the access key."""
        return self.access_key or ""

    @property
    def password(self) -> str:  # type: ignore[override] # made of the fields
        """Return the secret key."""
        return self.secret_key or ""

    @property
    def signed_for(self) -> str:  # type: ignore[override] # made of the fields
        """Return provider, region and service."""
        return f"aws:amz:{self.region}:{self.service}"

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:  # type: ignore[override] # made of the fields
        """Return the line of a session token."""
        return (("X-Amz-Security-Token", self.session_token),) if self.session_token else ()


def _check_text(what: str, part: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise OptionError(f"{what}: {part} is {'empty' if value == '' else f'a {type(value).__name__}'}, give a text", option="auth")
    if not value.isprintable():
        raise OptionError(f"{what}: {part} has a control character", option="auth")


class AuthError(BackendError):
    """There are no credentials; it ends the run."""

    def __init__(self, detail: str) -> None:
        super().__init__("auth", detail, sent=False, lasting=True)


@dataclass(frozen=True, slots=True, eq=False)
class Token(Credential):
    """What a token endpoint, a function or an object gave.

    Attributes:
        lines: Field lines that go with each request.
        secrets: Texts in them that must not be shown.
        renew_at: From when on it is renewed before it is used, seconds of `time.monotonic`.
    """

    lines: tuple[tuple[str, str], ...] = field(repr=False)
    secrets: frozenset[str] = field(repr=False)
    renew_at: float = inf


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
