"""Where the cursor of the next page goes: ``{{next}}`` in URL, field lines and body, or a query parameter; or another URL.

On the first page ``{{next}}`` is left out with the query field, field line, JSON member, form field or line it stands in.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_plus

from fastreq_jupyter.model import Request, copy_request
from fastreq_jupyter.policy.redirect import carries_secret, is_bound_to_origin
from fastreq_jupyter.url import parse_target, resolve_reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastreq_jupyter.content import Headers
    from fastreq_jupyter.files import Upload

Cursor = str | int | float

_GAP = r"(?:\s|%20|\+)*"
_PLACE = re.compile(r"(?:\{\{|%7B%7B)" + _GAP + "next" + _GAP + r"(?:\}\}|%7D%7D)", re.IGNORECASE)
_PLACE_IN_BYTES = re.compile(_PLACE.pattern.encode(), re.IGNORECASE)
_STRING = r'"(?:[^"\\]|\\.)*"'
# A JSON member or list item whose value contains {{next}}, with the commas around it.
_MEMBER = re.compile(r"(?P<before>,\s*)?(?:" + _STRING + r'\s*:\s*)?"[^"\\{]*\{\{\s*next\s*\}\}[^"\\]*"(?P<after>\s*,)?', re.IGNORECASE)
_VARIABLE = re.compile(r"\$([A-Za-z_]\w*)\s*:")
_VALUE = re.compile(r'"\{\{\s*next\s*\}\}"|\{\{\s*next\s*\}\}', re.IGNORECASE)


def has_place(request: Request) -> bool:
    """Tell whether ``{{next}}`` stands in the request."""
    if _PLACE.search(request.url) or any(_PLACE.search(value) for _, value in request.headers):
        return True
    return isinstance(request.content, bytes) and _PLACE_IN_BYTES.search(request.content) is not None


def first_page(request: Request) -> Request:
    """Return the request without ``{{next}}`` and what it stands in; itself where there is none."""
    return _filled(request, None) if has_place(request) else request


def with_cursor(request: Request, cursor: Cursor) -> Request:
    """Return the request with the cursor in each place of ``{{next}}``."""
    return _filled(request, cursor)


def with_parameter(request: Request, name: str, value: Cursor) -> Request:
    """Return the request with a query parameter set: in its place where it is there, else behind the others."""
    field = f"{quote(name, safe='$[]')}={quote(str(value), safe='')}"

    def changed(url: str) -> str:
        head, mark, query, rest = _split(url)
        fields = query.split("&") if query else []
        places = [at for at, old in enumerate(fields) if _name_of(old) == name]
        remaining = [field if at in places[:1] else old for at, old in enumerate(fields) if at not in places[1:]]
        return f"{head}{mark or '?'}{'&'.join(remaining if places else [*fields, field])}{rest}"

    return _remade(request, changed(request.url), request.headers, request.content, changed)


def parameter_of(url: str, name: str) -> str | None:
    """Return the value of a query parameter, None where it is not there."""
    query = _split(url)[2]
    return next((unquote_plus(field.partition("=")[2]) for field in query.split("&") if _name_of(field) == name), None)


def variable_of(request: Request, names: tuple[str, ...]) -> str | None:
    """Return the first of these names that a GraphQL document in the body declares as a variable, or None."""
    if not isinstance(request.content, bytes) or b'"query"' not in request.content:
        return None
    try:
        document = json.loads(request.content).get("query")
    except (ValueError, AttributeError):
        return None
    declared = set(_VARIABLE.findall(document)) if isinstance(document, str) else set()
    return next((name for name in names if name in declared), None)


def with_variable(request: Request, name: str, value: Cursor) -> Request:
    """Return a GraphQL request with a variable set."""
    body = json.loads(request.content) if isinstance(request.content, bytes) else {}
    body["variables"] = {**(body.get("variables") or {}), name: value}
    return _remade(request, request.url, request.headers, json.dumps(body, ensure_ascii=False).encode())


def at_url(request: Request, url: str, base: str) -> tuple[Request, bool, bool]:
    """Return the request for the URL that an answer gave, whether that is the first page's origin, and whether credentials stayed behind.

    Another origin, and http after https is one, gets no secret field line.

    Raises:
        ValueError: No http or https URL, one with a user in it, or one of another origin that a secret of the body would go to;
            the message says why.
    """
    target, home = resolve_reference(parse_target(base), url), parse_target(request.url)
    if target.user is not None or target.password is not None:
        raise ValueError("user or password in it")
    if target.origin == home.origin:
        return _remade(request, _with_user(request.url, target.url), request.headers, request.content), True, False
    if request.content and carries_secret(request.content, request.headers, request.secrets):
        raise ValueError(f"secrets of the body would go to another origin, {target.origin}")
    headers = tuple(line for line in request.headers if not is_bound_to_origin(*line, request.secrets))
    dropped = home.user is not None or len(headers) < len(request.headers)
    return _remade(request, target.url, headers, request.content), False, dropped


def _with_user(own: str, url: str) -> str:
    """Return the URL with the userinfo that the request's own has."""
    userinfo = re.match(r"[^:/?#]+://([^/?#]*@)", own)
    return url if userinfo is None else re.sub("^([^:/?#]+://)", lambda match: match[1] + userinfo[1], url, count=1)


def _filled(request: Request, cursor: Cursor | None) -> Request:
    kind = (request.header("content-type") or "").lower()

    def url_of(url: str) -> str:
        head, mark, query, rest = _split(url)
        encoded = "" if cursor is None else quote(str(cursor), safe="")
        query = _fields(query, encoded, cursor)
        return f"{_PLACE.sub(encoded, head)}{mark if query else ''}{query}{rest}"

    headers = tuple(
        (name, _PLACE.sub(lambda _: str(cursor), value))
        for name, value in request.headers
        if cursor is not None or not _PLACE.search(value)
    )
    return _remade(request, url_of(request.url), headers, _content(request.content, kind, cursor), url_of, kind, cursor)


def _remade(  # noqa: PLR0913, PLR0917 - the parts of a request that change
    request: Request,
    url: str,
    headers: Headers,
    content: bytes | Upload | None,
    changed: Callable[[str], str] | None = None,
    kind: str = "",
    cursor: Cursor | None = None,
) -> Request:
    """Return the request with other parts; `changed` makes the URL of its identity, None where it is that of no other run."""
    identity = None
    if changed is not None and request.identity is not None:
        own_url, own_content = request.identity
        identity = changed(own_url), own_content if content == request.content else _content(own_content, kind, cursor)
    return copy_request(request, url=url, headers=headers, content=content, identity=identity)


def _split(url: str) -> tuple[str, str, str, str]:
    """Return what is before the query, its question mark, the query, and the fragment."""
    before, sign, fragment = url.partition("#")
    head, mark, query = before.partition("?")
    return head, mark, query, sign + fragment


def _name_of(field: str) -> str:
    return unquote_plus(field.partition("=")[0])


def _fields(text: str, encoded: str, cursor: Cursor | None) -> str:
    fields = text.split("&")
    if cursor is None:
        return "&".join(field for field in fields if not _PLACE.search(field))
    return "&".join(_PLACE.sub(lambda _: encoded, field) for field in fields)


def _content(content: bytes | Upload | None, kind: str, cursor: Cursor | None) -> bytes | Upload | None:
    if not isinstance(content, bytes) or not _PLACE_IN_BYTES.search(content):
        return content
    text = content.decode("utf-8", "surrogateescape")
    if "x-www-form-urlencoded" in kind:
        text = _fields(text, "" if cursor is None else quote(str(cursor), safe=""), cursor)
    elif "json" in kind or text.lstrip()[:1] in ("{", "["):
        text = _MEMBER.sub(_left_out, text) if cursor is None else _VALUE.sub(lambda match: _json_of(cursor, match[0]), text)
    elif cursor is None:
        text = "".join(line for line in text.splitlines(keepends=True) if not _PLACE.search(line))
    else:
        text = _PLACE.sub(lambda _: str(cursor), text)
    return text.encode("utf-8", "surrogateescape")


def _left_out(match: re.Match[str]) -> str:
    return match["before"] if match["before"] and match["after"] else ""


def _json_of(cursor: Cursor, place: str) -> str:
    """Return the cursor as a JSON value where it is the whole one, as a part of a JSON text elsewhere."""
    return json.dumps(cursor) if place.startswith('"') else json.dumps(str(cursor))[1:-1]
