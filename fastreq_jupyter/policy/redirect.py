"""Redirects (RFC 9110, 15.4): the next request, and the fields it may carry.

The law: no secret of ours goes to another origin, or from https to http, and only http and https are ever requested.

    status      method                       body
    301, 302    POST becomes GET             dropped with the method, kept otherwise
    303         all but HEAD become GET      dropped
    307, 308    stays                        kept; to another origin only without secrets in it, else refused

What was dropped once stays dropped, also when a later hop leads back.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.files import Upload
from fastreq_jupyter.redact import is_secret_header, one_line, redact_text, redact_url, secret_values
from fastreq_jupyter.url import Target, resolve_reference

if TYPE_CHECKING:
    from fastreq_jupyter.content import Headers
    from fastreq_jupyter.exchange import Exchange

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OF_CONTENT = frozenset({"digest", "expect", "last-modified", "repr-digest", "te", "trailer", "transfer-encoding", "want-digest"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HIGH_BYTE = re.compile("[\x80-\xff]")
_BETWEEN_WORDS = re.compile(r"[\s,;=:\"/&?]+")


def next_exchange(  # noqa: PLR0913 - one keyword for each thing the decision rests on
    exchange: Exchange,
    status: int,
    headers: Headers,
    *,
    followed: int = 0,
    max_redirects: int = 20,
    secrets: frozenset[str] = frozenset(),
) -> Exchange | None:
    """Return the exchange that a response asks for, or None where the response is the answer.

    Args:
        exchange: What was sent, without what the cookie jar and the auth of its origin added: these are added
            anew for each hop.
        status: Status code of the response.
        headers: Its field lines, latin-1 text.
        followed: Redirects followed before this one.
        max_redirects: How many may be followed in all.
        secrets: Values that must not reach another origin, besides those a secret name or header gives away.

    Raises:
        BackendError: "too many redirects", or "redirect refused": the Location is no http or https URI, holds
            userinfo or control characters, contradicts a second one, or the body would carry a secret elsewhere.
    """
    location = _location(status, headers) if status in REDIRECTS else None
    if location is None:
        return None
    if followed >= max_redirects:
        raise BackendError("too many redirects", f"more than {max_redirects} redirects, the last one to {_shown(location, secrets)}")
    target = _resolve(exchange.target, location, status, secrets)
    method = _next_method(exchange.method, status)
    keeps_body = method == exchange.method and status != 303
    fields = exchange.headers if keeps_body else tuple(line for line in exchange.headers if not _is_of_content(line[0]))
    content = exchange.content if keeps_body else None
    if target.origin != exchange.target.origin:
        if content and carries_secret(content, exchange.headers, secrets):
            raise BackendError("redirect refused", f"{status} would send secrets of the body to another origin, {target.origin}")
        fields = tuple(line for line in fields if not is_bound_to_origin(*line, secrets))
    auth = exchange.auth if target.origin == exchange.target.origin else None
    fresh = exchange.fresh and method == exchange.method
    return replace(exchange, method=method, target=target, headers=fields, content=content, fresh=fresh, auth=auth)


def _location(status: int, headers: Headers) -> str | None:
    """Return the Location as text, None where there is none or an empty one."""
    locations = {value.strip(" \t") for name, value in headers if name.lower() == "location"}
    locations.discard("")
    if len(locations) > 1:
        raise BackendError("redirect refused", f"{status} with {len(locations)} different Locations")
    return _as_sent(locations.pop()) if locations else None


def _as_sent(text: str) -> str:
    """Read the bytes of a header as UTF-8, else encode each high byte: it goes back as it came."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeEncodeError:
        return text
    except UnicodeDecodeError:
        return _HIGH_BYTE.sub(lambda match: f"%{ord(match[0]):02X}", text)


def _resolve(base: Target, location: str, status: int, secrets: frozenset[str]) -> Target:
    try:
        if _CONTROL.search(location):
            raise ValueError("control character in it")  # noqa: TRY301 - one way to refuse
        target = resolve_reference(base, location)
        if target.user is not None or target.password is not None:
            raise ValueError("user or password in it")  # noqa: TRY301 - one way to refuse
    except ValueError as error:
        raise BackendError("redirect refused", f"{status} to {_shown(location, secrets)}: {one_line(str(error), 120)}") from None
    return target


def _shown(location: str, secrets: frozenset[str]) -> str:
    return one_line(redact_text(redact_url(location), secrets), 160)


def _next_method(method: str, status: int) -> str:
    if status == 303:
        return method if method == "HEAD" else "GET"
    return "GET" if status in (301, 302) and method == "POST" else method


def _is_of_content(name: str) -> bool:
    lower = name.lower()
    return lower.startswith("content-") or lower in _OF_CONTENT


def is_bound_to_origin(name: str, value: str, secrets: frozenset[str]) -> bool:
    """Tell whether a field line is bound to its origin: Host, and whatever carries a secret by name or by value."""
    if name.lower() == "host" or is_secret_header(name):
        return True
    if redact_url(value) != value or redact_text(value, secrets) != value:
        return True
    return not secrets.isdisjoint(_BETWEEN_WORDS.split(value))


def carries_secret(content: bytes | Upload, headers: Headers, secrets: frozenset[str]) -> bool:
    """Tell whether a body has a secret in it, by the names of its fields or by value."""
    kind = next((value for name, value in headers if name.lower() == "content-type"), None)
    if secret_values("", (), content, kind):
        return True
    text = (content.shown if isinstance(content, Upload) else content).decode("utf-8", "replace")
    return redact_text(text, secrets) != text or any(secret in text for secret in secrets)
