"""What a body means: bytes become the `data` of an outcome, or the reason why they cannot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from fastreq_jupyter.content import charset_of, decode_text, media_type

if TYPE_CHECKING:
    from collections.abc import Callable

try:
    from msgspec.json import decode as _decode
except ImportError:
    _loads: Callable[[bytes], Any] | None = None
else:
    _loads = _decode

__all__ = ["Reading", "parse_json", "read_data"]

_TEXT_TYPES = frozenset(
    {"application/xml", "application/javascript", "application/x-ndjson", "application/x-www-form-urlencoded", "application/yaml"}
)

_PLAIN_JSON = frozenset({"application/json", "application/json; charset=utf-8", "application/json;charset=utf-8"})
_OPENING = frozenset({b"{", b"["})
_BODILESS = frozenset({204, 205, 304})


def _refuse_constant(name: str) -> Any:
    message = f"{name} is not JSON"
    raise ValueError(message)


# Made once: json.loads makes one for each call that has a parse_constant.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _loads_plain(content: bytes) -> Any:
    return _DECODER.decode(content.decode())


# msgspec gives what the standard library gives, whole numbers of any length included. What it refuses is read once more by
# the standard library, which says where it goes wrong and takes a little more.
_loads_first = _loads or _loads_plain


class Reading(NamedTuple):
    """What was read: the value, and kind and detail of the failure where it cannot be used."""

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
        return _DECODER.decode(content.decode(encoding))
    except RecursionError:
        message = "nested too deeply"
        raise ValueError(message) from None


def read_data(  # noqa: PLR0911 - one way out for each kind of body
    content: bytes, content_type: str | None, *, status: int, return_type: str, method: str
) -> Reading:
    """Turn a body into what the return type asks for.

    Args:
        content: Decoded bytes.
        content_type: Field value of Content-Type.
        status: Of the response.
        return_type: Value of the option of that name.
        method: Of the request: an answer to HEAD has no body.
    """
    if return_type in ("dataframe", "json") and content[:1] in _OPENING and content_type in _PLAIN_JSON and content[1:2] != b"\0":
        # The usual body: UTF-8, since its first two characters are ASCII (RFC 4627, 3).
        try:
            return Reading(_loads_first(content))
        except (ValueError, RecursionError):
            return _read_json(content, content_type)
    if return_type in ("content", "response"):
        return Reading(content)
    if return_type == "text":
        return Reading(decode_text(content, content_type))
    if not content and (method == "HEAD" or status in _BODILESS):
        return Reading(None)
    if return_type == "json" or _is_json(media_type(content_type)):
        return _read_json(content, content_type)
    return Reading(_text_or_bytes(content, content_type))


def _is_json(kind: str | None) -> bool:
    return kind is not None and (kind == "application/json" or kind.endswith("+json"))


def _read_json(content: bytes, content_type: str | None) -> Reading:
    try:
        return Reading(parse_json(content, content_type))
    except (ValueError, LookupError) as error:
        cause = str(error) if content else "the body is empty"
        return Reading(decode_text(content, content_type), "invalid JSON", cause)


def _text_or_bytes(content: bytes, content_type: str | None) -> str | bytes:
    kind = media_type(content_type)
    if kind is None:
        return _guessed(content)
    if kind.startswith("text/") or kind.endswith("+xml") or kind in _TEXT_TYPES or charset_of(content_type):
        return decode_text(content, content_type)
    return content


def _guessed(content: bytes) -> str | bytes:
    """Return text where an untyped body is plain UTF-8; never JSON, which would be a guess at its meaning."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return content
    return content if "\x00" in text else text
