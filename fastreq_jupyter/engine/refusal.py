"""What a refusal says of itself: the reason that an API gives in the body of an answer from 400 on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastreq_jupyter.engine.judging import json_of

if TYPE_CHECKING:
    from fastreq_jupyter.model import Response

__all__ = ["api_reason", "place_of", "reason_in"]

# Longer bodies are not taken for a refusal.
_LARGEST_BODY = 64 * 1024
_LONGEST = 4000


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
    return api_reason(data)


def api_reason(body: Any) -> str | None:
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
    inner = api_reason(error) if isinstance(error, dict) else _text(error)
    return [inner, _text(body.get("error_description"))]


def _first(errors: Any) -> str | None:
    """Return what the first of several errors says; FastAPI's say it in `msg`."""
    if not isinstance(errors, list) or not errors:
        return None
    first = errors[0]
    if not isinstance(first, dict):
        return _text(first)
    message = _text(first.get("message")) or _text(first.get("msg"))
    return message and message + place_of(first)


def place_of(error: Any) -> str:
    """Return `` (line 2, column 3)`` for an error that says where in a GraphQL document it is, else an empty text."""
    locations = error.get("locations") if isinstance(error, dict) else None
    first = locations[0] if isinstance(locations, list) and locations else None
    line, column = (first.get("line"), first.get("column")) if isinstance(first, dict) else (None, None)
    return f" (line {line}, column {column})" if isinstance(line, int) and isinstance(column, int) else ""


def _text(value: Any) -> str | None:
    return value.strip()[:_LONGEST] if isinstance(value, str) and value.strip() else None
