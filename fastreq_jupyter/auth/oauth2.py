"""OAuth2 (RFC 6749, RFC 8628): what is sent to a token endpoint, and what its answer means. No await here."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from urllib.parse import quote

from fastreq_jupyter.auth.schemes import AuthError, Token, lifetime_of, token_of
from fastreq_jupyter.errors import OptionError, hide_frames, hide_frames_of_init
from fastreq_jupyter.model import Request
from fastreq_jupyter.redact import one_line, redact_text
from fastreq_jupyter.url import parse_target

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fastreq_jupyter.exchange import Response

_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
# RFC 8628, 3.2 and 3.5
_INTERVAL = 5.0
_SLOWER = 5.0
_LONGEST_SIGN_IN = 1800.0
_LONGEST_INTERVAL = 60.0


@hide_frames_of_init
@dataclass(frozen=True, slots=True, eq=False)
class OAuth2:
    """Tokens of an OAuth2 server: got when the first request needs one, renewed before they end, kept in memory only.

    Args:
        token_url: The token endpoint.
        client_id: Who asks.
        client_secret: Its secret; None for a public client.
        scope: One text, or several.
        audience: For servers that want one.
        refresh_token: Tokens are got with it (grant refresh_token) in place of client credentials.
        in_body: Send client_id and client_secret as fields of the body; by default they go as Basic.

    Raises:
        OptionError: A URL or a value that cannot be sent; no secret is shown.
    """

    token_url: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    scope: str | Iterable[str] | None = None
    audience: str | None = None
    refresh_token: str | None = field(default=None, repr=False)
    in_body: bool = False
    device_url: str | None = field(default=None, kw_only=True)
    fastreq_auth: ClassVar[str] = "tokens"

    def __post_init__(self) -> None:
        _check_url("token_url", self.token_url)
        for name in ("client_id", "client_secret", "audience", "refresh_token"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value or not value.isprintable()):
                raise OptionError(f"OAuth2: {name} is a text without control characters", option="auth")
        if self.client_id is None:
            raise OptionError("OAuth2 needs a client_id", option="auth")
        if self.scope is not None and not isinstance(self.scope, str):
            object.__setattr__(self, "scope", " ".join(map(str, self.scope)))
        if self.device_url is not None:
            _check_url("device_url", self.device_url)
        elif self.client_secret is None and self.refresh_token is None:
            raise OptionError("OAuth2 needs client_secret or refresh_token; OAuth2.device(...) lets a person sign in", option="auth")

    @classmethod
    @hide_frames
    def device(  # noqa: PLR0913 - the fields of the two requests
        cls,
        device_url: str,
        token_url: str,
        client_id: str,
        *,
        client_secret: str | None = None,
        scope: str | Iterable[str] | None = None,
        audience: str | None = None,
        in_body: bool = False,
    ) -> OAuth2:
        """Return tokens that a person grants: a link and a code are printed, the run goes on after the sign-in (RFC 8628).

        Args:
            device_url: The device authorization endpoint.
            token_url: The token endpoint.
            client_id: Who asks.
            client_secret: Its secret, where there is one.
            scope: One text, or several.
            audience: For servers that want one.
            in_body: As for the class.

        Raises:
            OptionError: A URL or a value that cannot be sent.
        """
        return cls(token_url, client_id, client_secret, scope, audience, in_body=in_body, device_url=device_url)

    @property
    def secrets(self) -> frozenset[str]:
        """Return what must not be shown."""
        return frozenset(value for value in (self.client_secret, self.refresh_token) if value)


class Grant(NamedTuple):
    """What a token endpoint granted: the token, and with what the next one is got."""

    token: Token
    refresh_token: str | None


class SignIn(NamedTuple):
    """A sign-in that waits for its person.

    Attributes:
        device_code: Secret; what the token is asked for with.
        words: What the person is told.
        until: When it ends, seconds of `time.monotonic`.
        interval: Seconds between two questions.
    """

    device_code: str
    words: str
    until: float
    interval: float


def token_request(oauth: OAuth2, *, refresh_token: str | None = None, device_code: str | None = None) -> Request:
    """Return the request for a token: by refresh token, by device code, else by client credentials."""
    fields: dict[str, str | None] = {"grant_type": "client_credentials", "scope": _scope(oauth), "audience": oauth.audience}
    if device_code is not None:
        fields = {"grant_type": _DEVICE_GRANT, "device_code": device_code}
    elif refresh_token is not None:
        fields |= {"grant_type": "refresh_token", "refresh_token": refresh_token}
    return _to_server(oauth, oauth.token_url, fields)


def device_request(oauth: OAuth2) -> Request:
    """Return the request that begins a sign-in (RFC 8628, 3.1)."""
    assert oauth.device_url is not None  # noqa: S101 - asked for by the caller
    return _to_server(oauth, oauth.device_url, {"scope": _scope(oauth), "audience": oauth.audience})


def read_grant(oauth: OAuth2, answer: Response, secrets: frozenset[str] = frozenset()) -> Grant:
    """Return what a token endpoint granted.

    Args:
        oauth: Who asked.
        answer: What the endpoint said.
        secrets: What was sent besides the secrets of `oauth`.

    Raises:
        AuthError: It granted nothing; the line says what it answered, without secrets.
    """
    where = _place(oauth.token_url)
    body = _body(where, answer, oauth.secrets | secrets)
    kind = body.get("token_type")
    if isinstance(kind, str) and kind.lower() != "bearer":
        raise AuthError(f"{where} granted a token of the type {one_line(kind, 40)!r}, only bearer can be sent")
    text = body.get("access_token")
    if not isinstance(text, str):
        raise AuthError(f"{where} answered 200 without an access_token")
    following = body.get("refresh_token")
    return Grant(token_of(f"Bearer {text}", where, lifetime_of(body.get("expires_in"))), following if isinstance(following, str) else None)


def read_sign_in(oauth: OAuth2, answer: Response) -> SignIn:
    """Return the sign-in that a device authorization endpoint began.

    Raises:
        AuthError: It began none.
    """
    assert oauth.device_url is not None  # noqa: S101 - asked for by the caller
    where = _place(oauth.device_url)
    body = _body(where, answer, oauth.secrets)
    # Some servers say verification_url, as before RFC 8628.
    code, link, user_code = (body.get(name) for name in ("device_code", "verification_uri", "user_code"))
    link = link or body.get("verification_url")
    if not all(isinstance(value, str) and value for value in (code, link, user_code)):
        raise AuthError(f"{where} answered without device_code, user_code and verification_uri")
    try:
        parse_target(str(link))
    except ValueError:
        raise AuthError(f"{where} gave a verification_uri that is no http or https URL") from None
    life = min(lifetime_of(body.get("expires_in")) or _LONGEST_SIGN_IN, _LONGEST_SIGN_IN)
    interval = min(lifetime_of(body.get("interval")) or _INTERVAL, _LONGEST_INTERVAL)
    shown = f"{life / 60:.0f} min" if life >= 120 else f"{life:.0f} s"
    words = f"To sign in, open {one_line(str(link), 300)} and enter the code {one_line(str(user_code), 40)} (good for {shown})"
    return SignIn(str(code), words, monotonic() + life, interval)


def polled(sign_in: SignIn, answer: Response) -> SignIn | None:
    """Return the sign-in, slower perhaps, while its person has not decided (RFC 8628, 3.5); None where the answer is final."""
    error = _error_of(_json(answer)) if answer.status >= 400 else None
    if error == "slow_down":
        return sign_in._replace(interval=sign_in.interval + _SLOWER)
    return sign_in if error == "authorization_pending" else None


def is_refused(answer: Response) -> bool:
    """Tell whether a refresh token is no good any more (RFC 6749, 5.2)."""
    return answer.status >= 400 and _error_of(_json(answer)) == "invalid_grant"


def _to_server(oauth: OAuth2, url: str, fields: Mapping[str, str | None]) -> Request:
    headers = {"Accept": "application/json"}
    sent = {name: value for name, value in fields.items() if value}
    if oauth.client_secret is None or oauth.in_body:
        sent["client_id"] = oauth.client_id
        if oauth.client_secret is not None:
            sent["client_secret"] = oauth.client_secret
    else:
        # RFC 6749, 2.3.1: both are form-encoded first; every server decodes %20 to a blank, not every one "+".
        pair = f"{quote(oauth.client_id, safe='')}:{quote(oauth.client_secret, safe='')}"
        headers["Authorization"] = "Basic " + b64encode(pair.encode()).decode("ascii")
    return Request("POST", url, headers=headers, data=sent, secrets=oauth.secrets)


def _body(where: str, answer: Response, secrets: frozenset[str]) -> dict[str, Any]:
    """Return the members of a good answer."""
    body = _json(answer)
    if answer.status != 200 or _error_of(body) is not None:
        words = [str(body.get(name)) for name in ("error", "error_description") if isinstance(body.get(name), str)] if body else []
        raise AuthError(one_line(redact_text(f"{where} answered {answer.status} {': '.join(words) or answer.reason}".strip(), secrets)))
    if body is None:
        kind = one_line(answer.content_type or "a body of no type", 60)
        raise AuthError(f"{where} answered {answer.status} with {kind}, not with a token as JSON")
    return body


def _json(answer: Response) -> dict[str, Any] | None:
    try:
        body = json.loads(answer.content or b"")
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _error_of(body: dict[str, Any] | None) -> str | None:
    error = None if body is None else body.get("error")
    return error if isinstance(error, str) else None


def _scope(oauth: OAuth2) -> str | None:
    return None if oauth.scope is None else str(oauth.scope)


def _place(url: str) -> str:
    target = parse_target(url)
    return f"{target.origin}{target.path_query.partition('?')[0]}"


def _check_url(name: str, url: object) -> None:
    try:
        target = parse_target(url if isinstance(url, str) else "")
    except ValueError as error:
        raise OptionError(f"OAuth2: {name} is not possible ({error})", option="auth") from None
    if target.user is not None:
        raise OptionError(f"OAuth2: {name} has a user in it: give client_id and client_secret", option="auth")
