"""What a body means: bytes become the `data` of an outcome, or the reason why they cannot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from fastreq_jupyter.content import charset_of, decode_text

if TYPE_CHECKING:
    from fastreq_jupyter.model import Response

__all__ = ["Reading", "parse_json", "read_data"]

_TEXT_TYPES = frozenset(
    {"application/xml", "application/javascript", "application/x-ndjson", "application/x-www-form-urlencoded", "application/yaml"}
)


class Reading(NamedTuple):
    """Hold what was read: the value, and kind and detail of the failure where it cannot be used."""

    data: Any
    error: str | None = None
    detail: str | None = None


def parse_json(content: bytes, content_type: str | None) -> Any:
    """Parse JSON strictly (RFC 8259): by BOM and charset, no NaN or Infinity, no byte that does not fit.

    Raises:
        ValueError: It is no JSON; the message says where.
    """
    encoding = charset_of(content_type) or json.detect_encoding(content)
    if encoding == "utf-8" and content.startswith(b"\xef\xbb\xbf"):
        encoding = "utf-8-sig"
    try:
        return json.loads(content.decode(encoding), parse_constant=_refuse_constant)
    except RecursionError:
        message = "nested too deeply"
        raise ValueError(message) from None


def read_data(response: Response, content: bytes, return_type: str, method: str) -> Reading:
    """Turn a body into what the return type asks for.

    Args:
        response: Its head.
        content: Decoded bytes.
        return_type: Value of the option of that name.
        method: Of the request: an answer to HEAD has no body.
    """
    bodiless = not content and (method == "HEAD" or response.status in (204, 205, 304))
    if return_type in ("content", "response"):
        return Reading(content)
    kind = response.content_type
    full = response.header("content-type")
    if return_type == "json":
        return Reading(None) if bodiless else _read_json(content, full)
    if return_type == "text":
        return Reading(decode_text(content, full))
    if bodiless:
        return Reading(None)
    if kind is not None and (kind == "application/json" or kind.endswith("+json")):
        return _read_json(content, full)
    if kind is None:
        return Reading(_text_or_bytes(content))
    if kind.startswith("text/") or kind.endswith("+xml") or kind in _TEXT_TYPES or charset_of(full):
        return Reading(decode_text(content, full))
    return Reading(content)


def _read_json(content: bytes, content_type: str | None) -> Reading:
    try:
        return Reading(parse_json(content, content_type))
    except (ValueError, LookupError) as error:
        cause = str(error) if content else "the body is empty"
        return Reading(decode_text(content, content_type), "invalid JSON", cause)


def _text_or_bytes(content: bytes) -> str | bytes:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return content
    return content if "\x00" in text else text


def _refuse_constant(name: str) -> Any:
    message = f"{name} is not JSON"
    raise ValueError(message)
