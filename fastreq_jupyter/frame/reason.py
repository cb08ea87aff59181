"""Why a request failed, in the words of the API that refused it."""

from __future__ import annotations

from typing import Any

from fastreq_jupyter.redact import one_line

__all__ = ["api_reason"]


def api_reason(body: Any) -> str | None:
    """Return the reason that the body of an answer from 400 on gives, None where it has none in a known place.

    RFC 9457 title and detail; message; error, a text or an object of these; error_description; errors[0].message.
    """
    if not isinstance(body, dict):
        return None
    parts = [_text(body.get("title")), _text(body.get("detail"))]
    if not any(parts):
        parts = [_text(body.get("message"))]
    if not any(parts):
        parts = _of_error(body)
    if not any(parts):
        parts = [_first(body.get("errors"))]
    return one_line(": ".join(part for part in dict.fromkeys(parts) if part)) or None


def _of_error(body: dict[Any, Any]) -> list[str | None]:
    error = body.get("error")
    inner = api_reason(error) if isinstance(error, dict) else _text(error)
    return [inner, _text(body.get("error_description"))]


def _first(errors: Any) -> str | None:
    if not isinstance(errors, list) or not errors:
        return None
    return _text(errors[0].get("message")) if isinstance(errors[0], dict) else _text(errors[0])


def _text(value: Any) -> str | None:
    return value.strip() if isinstance(value, str) and value.strip() else None
