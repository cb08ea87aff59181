"""Reads answers of GraphQL: ``data``, or ``errors``, which have status 200 (GraphQL, October 2021, section 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fastreq_jupyter.content import read_text
from fastreq_jupyter.engine.reading import Reading, parse_json, read_data
from fastreq_jupyter.engine.refusal import place_of
from fastreq_jupyter.options import PARSED
from fastreq_jupyter.redact import one_line, redact_text

if TYPE_CHECKING:
    from fastreq_jupyter.model import Request
    from fastreq_jupyter.options import Options

__all__ = ["LIMITS", "Answer", "read_graphql", "read_stored", "was_limited"]

LIMITS = frozenset({"RATE_LIMITED", "RATELIMITED", "THROTTLED"})
"""Codes (``extensions.code``, GitHub's ``type``) of servers that ask to go slower."""
_SHOWN = 300


class Answer(NamedTuple):
    """The body as read, and the status that the answer counts as; None for its own.

    The detail of the reading is not redacted yet.
    """

    reading: Reading
    counts_as: int | None = None


def read_graphql(content: bytes, content_type: str | None, options: Options, status: int, *, hidden: bool = False) -> Answer:
    """Read the body of an answer to a GraphQL request.

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
        text = read_text(content, content_type)[0]
        return Answer(Reading(text or None, None if status >= 400 else "invalid JSON", one_line(str(error))))
    return_type = options.return_type
    whole = body if return_type in PARSED else read_text(content, content_type)[0] if return_type == "text" else content
    errors = body.get("errors") if isinstance(body, dict) else None
    limited = isinstance(errors, list) and any(_code_of(error) in LIMITS for error in errors)
    if status >= 400:
        return Answer(Reading(whole), 429 if limited else None)
    data = body.get("data") if isinstance(body, dict) else None
    if not errors:
        if not isinstance(body, dict) or "data" not in body:
            return Answer(Reading(whole, "graphql", "the answer is none of GraphQL: it has neither data nor errors"))
        return Answer(Reading(data if return_type in PARSED else whole))
    detail = "the answer has errors" if hidden else _in_one_line(errors)
    if data is None:
        return Answer(Reading(whole, "graphql", detail), 429 if limited else None)
    return Answer(Reading(data if return_type in PARSED else whole, "graphql partial", detail), 429 if limited else None)


def read_stored(request: Request, content: bytes, content_type: str | None, options: Options, status: int) -> Reading:
    """Read a body that was kept as the answer to a request: of GraphQL, or by its type; the detail is redacted."""
    if request.operation is None:
        return read_data(content, content_type, options, status)
    reading = read_graphql(content, content_type, options, status, hidden=request.hide_data).reading
    return reading if reading.detail is None else reading._replace(detail=redact_text(reading.detail, request.secrets))


def was_limited(detail: str | None) -> bool:
    """Tell by the detail of an error whether the server asked to go slower."""
    return (detail or "").partition(":")[0] in LIMITS


def _in_one_line(errors: Any) -> str:
    """Return the errors in one line: a limit or the first, where it arose, and how many more there are."""
    several = errors if isinstance(errors, list) else [errors]
    first = next((error for error in several if _code_of(error) in LIMITS), several[0])
    message = first.get("message") if isinstance(first, dict) else first
    text = one_line(str(message or "no message"), _SHOWN)
    path = first.get("path") if isinstance(first, dict) else None
    if isinstance(path, list) and path:
        text += f" (at {one_line('.'.join(map(str, path)), 100)})"
    else:
        text += place_of(first)
    if (code := _code_of(first)) in LIMITS:
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
