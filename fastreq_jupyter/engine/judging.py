"""Finds what bodies say of failure: `fail_when` and `retry_when`, the reason that an API gives from 400 on, errors of GraphQL.

An answer of GraphQL has ``data``, or ``errors``, with status 200 (GraphQL, October 2021, section 7).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from fastreq_jupyter.content import decode_text
from fastreq_jupyter.engine.reading import Reading, parse_json, read_data
from fastreq_jupyter.options import PARSED, Selection
from fastreq_jupyter.redact import one_line, redact_text

if TYPE_CHECKING:
    from fastreq_jupyter.model import Request, Response
    from fastreq_jupyter.options import Options

_SHOWN = 300
# Longer bodies are not taken for a refusal.
_LARGEST_BODY = 64 * 1024
_LONGEST = 4000
# Codes (``extensions.code``, GitHub's ``type``) of servers that ask to go slower.
_LIMITS = frozenset({"RATE_LIMITED", "RATELIMITED", "THROTTLED"})


class _Finding(NamedTuple):
    """What was found in a body.

    Attributes:
        detail: What makes the answer a bad one, in one line, not redacted; None where it is good.
        retry: It is to be tried again.
        note: What a person should know, to be read behind "3 bodies", or None.
    """

    detail: str | None = None
    retry: bool = False
    note: str | None = None


class Conditions:
    """The expressions that turn a good answer into an error if they find anything but null, false, 0 or an empty value.

    Args:
        options: `fail_when`, `retry_when`; and `return_type`, which says what a body was read as.

    Raises:
        OptionError: An expression is none.
    """

    def __init__(self, options: Options) -> None:
        named = (("retry_when", options.retry_when), ("fail_when", options.fail_when))
        self._expressions = [(name, Selection(text, name)) for name, text in named if text is not None]
        self._parsed = options.return_type in PARSED

    @classmethod
    def of(cls, options: Options) -> Conditions | None:
        """Return the conditions, None where there are none."""
        return None if options.fail_when is None and options.retry_when is None else cls(options)

    def judge(self, response: Response, data: Any, content_type: str | None, *, hidden: bool) -> _Finding:
        """Return what the expressions find in the body of a good answer."""
        body = data if self._parsed else json_of(response.content, content_type)
        note = None
        for name, expression in self._expressions:
            try:
                value = expression.search(body, dict(response.headers) if expression.reads_headers else None)
            except ValueError as error:
                note = f"to which {name} could not be applied: {one_line(str(error), _SHOWN)}"
                continue
            if value:
                return _Finding(f"{name}: {expression.text if hidden or value is True else _shown(value)}", retry=name == "retry_when")
            if isinstance(body, (str, bytes)):
                note = f"without JSON for {name} to look into"
        return _Finding(note=note)


def json_of(content: bytes | None, content_type: str | None) -> Any:
    """Return the JSON of a body; its bytes if it is no JSON, None if there is no body."""
    if not content:
        return None
    try:
        return parse_json(content, content_type)
    except ValueError:
        return content


def _shown(value: Any) -> str:
    return one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str), _SHOWN)


def reason_in(response: Response, data: Any) -> str | None:
    """Return the reason that an answer from 400 on gives, not redacted, None where it has none in a known place.

    Args:
        response: The answer.
        data: Its body as it was read; where that is text or bytes of JSON, they are read here.
    """
    content = response.content
    if not isinstance(data, (dict, list)) and content and len(content) <= _LARGEST_BODY:
        kind = response.content_type or ""
        data = json_of(content, response.header("content-type")) if kind.endswith("json") else data
    return _api_reason(data)


def _api_reason(body: Any) -> str | None:
    """Return the reason in a body, not redacted, None where it has none in a known place.

    RFC 9457 title and detail; message; error, a text or an object of these; error_description; errors[0].message; detail[0].msg.
    """
    if not isinstance(body, dict):
        return None
    parts = [_text(body.get("title")), _text(body.get("detail")) or _first(body.get("detail"))]
    if not any(parts):
        parts = [_text(body.get("message"))]
    if not any(parts):
        parts = _of_error(body)
    if not any(parts):
        parts = [_first(body.get("errors"))]
    return ": ".join(part for part in dict.fromkeys(parts) if part) or None


def _of_error(body: dict[Any, Any]) -> list[str | None]:
    error = body.get("error")
    inner = _api_reason(error) if isinstance(error, dict) else _text(error)
    return [inner, _text(body.get("error_description"))]


def _first(errors: Any) -> str | None:
    """Return what the first of several errors says; FastAPI's say it in `msg`."""
    if not isinstance(errors, list) or not errors:
        return None
    first = errors[0]
    if not isinstance(first, dict):
        return _text(first)
    message = _text(first.get("message")) or _text(first.get("msg"))
    return message and message + _place_of(first)


def _place_of(error: Any) -> str:
    """Return `` (line 2, column 3)`` for an error that says where in a GraphQL document it is, else an empty text."""
    locations = error.get("locations") if isinstance(error, dict) else None
    first = locations[0] if isinstance(locations, list) and locations else None
    line, column = (first.get("line"), first.get("column")) if isinstance(first, dict) else (None, None)
    return f" (line {line}, column {column})" if isinstance(line, int) and isinstance(column, int) else ""


def _text(value: Any) -> str | None:
    return value.strip()[:_LONGEST] if isinstance(value, str) and value.strip() else None


def read_graphql(
    content: bytes, content_type: str | None, options: Options, status: int, *, hidden: bool = False
) -> tuple[Reading, int | None]:
    """Read the body of an answer to a GraphQL request; return it, its detail not redacted, and the status that it counts as, or None.

    Args:
        content: Decoded bytes.
        content_type: Field value of Content-Type.
        options: `return_type`: text and bytes stay the whole body.
        status: Of the answer; from 400 on the body stays whole, for it tells why.
        hidden: The body must not be shown.
    """
    try:
        body = parse_json(content, content_type)
    except ValueError as error:
        text = decode_text(content, content_type)
        return Reading(text or None, None if status >= 400 else "invalid JSON", one_line(str(error))), None
    return_type = options.return_type
    whole = body if return_type in PARSED else decode_text(content, content_type) if return_type == "text" else content
    members = body if isinstance(body, dict) else {}
    errors, data = members.get("errors"), members.get("data")
    counts_as = 429 if isinstance(errors, list) and any(_code_of(error) in _LIMITS for error in errors) else None
    if status >= 400:
        return Reading(whole), counts_as
    shown = data if return_type in PARSED else whole
    if errors:
        detail = "the answer has errors" if hidden else _in_one_line(errors)
        return (Reading(whole, "graphql", detail) if data is None else Reading(shown, "graphql partial", detail)), counts_as
    if "data" not in members:
        return Reading(whole, "graphql", "the answer is none of GraphQL: it has neither data nor errors"), None
    return Reading(shown), None


def read_stored(request: Request, content: bytes, content_type: str | None, options: Options, status: int) -> Reading:
    """Read a body that was kept as the answer to a request: of GraphQL, or by its type; the detail is redacted."""
    if request.operation is None:
        return read_data(content, content_type, options, status)
    reading = read_graphql(content, content_type, options, status, hidden=request.hide_data)[0]
    return reading if reading.detail is None else reading._replace(detail=redact_text(reading.detail, request.secrets))


def was_limited(detail: str | None) -> bool:
    """Tell by the detail of an error whether the server asked to go slower."""
    return (detail or "").partition(":")[0] in _LIMITS


def _in_one_line(errors: Any) -> str:
    """Return the errors in one line: a limit or the first, where it arose, and how many more there are."""
    several = errors if isinstance(errors, list) else [errors]
    first = next((error for error in several if _code_of(error) in _LIMITS), several[0])
    message = first.get("message") if isinstance(first, dict) else first
    text = one_line(str(message or "no message"), _SHOWN)
    path = first.get("path") if isinstance(first, dict) else None
    if isinstance(path, list) and path:
        text += f" (at {one_line('.'.join(map(str, path)), 100)})"
    else:
        text += _place_of(first)
    if (code := _code_of(first)) in _LIMITS:
        text = f"{code}: {text}"
    more = len(several) - 1
    return f"{text}, and {more} more error{'s' if more > 1 else ''}" if more else text


def _code_of(error: Any) -> str | None:
    if not isinstance(error, dict):
        return None
    extensions = error.get("extensions")
    code = extensions.get("code") if isinstance(extensions, dict) else None
    code = error.get("type") if code is None else code
    return code.upper() if isinstance(code, str) else None
