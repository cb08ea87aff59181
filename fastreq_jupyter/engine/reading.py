"""What a body means: bytes become the `data` of an outcome, or the reason why they cannot.

The law: what arrived is there. A body of length 0 is no data, not a bad one; one that cannot be read as what it is, or as what
`parse` says that it is, stays text or bytes. An answer from 400 on is read by its own type, whatever `parse` says of good ones.

    auto    JSON and lines of JSON by content type, else text or bytes; with an option that looks into bodies (`select`,
            `expand`, `fail_when`, `retry_when`) also what is JSON without its type saying so
    json    RFC 8259, by BOM, then UTF-8, then the charset named
    jsonl   a list: one value a line, or one behind each record separator (RFC 7464)
    csv     a list of records, as `pandas.read_csv` reads them; missing values are None
    xml     nested mappings, as `xmltodict.parse` makes them
"""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING, Any, NamedTuple

from fastreq_jupyter.content import charset_of, decode_fitting, decode_text, media_type, read_text
from fastreq_jupyter.options import PARSED

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastreq_jupyter.options import Options

try:
    from msgspec.json import decode as _decode
except ImportError:
    _loads: Callable[[bytes], Any] | None = None
else:
    _loads = _decode

_TEXT_TYPES = frozenset({"application/xml", "application/javascript", "application/x-www-form-urlencoded", "application/yaml"})
_JSON_TYPES = frozenset({"application/json", "text/json"})
_JSON_LINES = frozenset({
    "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonl", "application/jsonlines",
    "application/x-jsonlines", "application/json-lines", "application/json-seq", "application/stream+json", "text/x-ndjson", "text/jsonl",
})  # fmt: skip
UNREADABLE = frozenset({"invalid JSON", "invalid CSV", "invalid XML"})
"""Kinds of error of bodies that are not what they should be; with other options they may be good."""
LARGE = 64 * 1024
"""Bytes from which on it matters that a body `reads_slowly`: some ten milliseconds."""
_SLOW = frozenset({"csv", "xml", "jsonl"})
_RECORD_SEPARATOR = b"\x1e"

_PLAIN_JSON = frozenset({"application/json", "application/json; charset=utf-8", "application/json;charset=utf-8"})
_OPENING = frozenset({b"{", b"["})
_READ_AS_JSON = frozenset({"auto", "json"})


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


# Created once: json.loads creates a decoder at each call with a parse_constant.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _loads_plain(content: bytes) -> Any:
    return _DECODER.decode(content.decode())


# msgspec gives what the standard library gives, whole numbers of any length included. What it refuses is read once more by
# the standard library, which says where it goes wrong and takes a little more.
_loads_first = _loads or _loads_plain


class Reading(NamedTuple):
    """What was read: the value, kind and detail of the failure where it cannot be used, and what a person should know of it.

    The note is to be read behind "3 bodies".
    """

    data: Any
    error: str | None = None
    detail: str | None = None
    note: str | None = None


def parse_json(content: bytes, content_type: str | None) -> Any:
    """Parse JSON strictly (RFC 8259): by BOM, then UTF-8, then the charset named; no NaN or Infinity, no byte that does not fit.

    Raises:
        ValueError: It is no JSON; the message says where.
    """
    encoding = json.detect_encoding(content)
    try:
        text = content.decode(encoding)
    except ValueError as error:
        # A charset has no effect on JSON (RFC 8259, 11), but old servers rely on it.
        codec = charset_of(content_type)
        fitting = None if codec is None else decode_fitting(content, codec)
        if fitting is None:
            raise ValueError(str(error)) from None
        text = fitting
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_data(  # noqa: PLR0911 - one way out for each kind of body
    content: bytes, content_type: str | None, options: Options, status: int = 200
) -> Reading:
    """Turn a body into what the options ask for."""
    return_type = options.return_type
    usual = options.parse in _READ_AS_JSON and return_type in PARSED
    if usual and content[:1] in _OPENING and content_type in _PLAIN_JSON and content[1:2] != b"\0":
        # The usual body is UTF-8: its first two characters are ASCII (RFC 4627, 3).
        try:
            return Reading(_loads_first(content))
        except (ValueError, RecursionError):
            return _read_json(content, content_type)
    if return_type in ("content", "response"):
        return Reading(content)
    if return_type == "text":
        return _read_as_text(content, content_type)
    if not content:
        return Reading(None)
    if options.parse == "auto" or status >= 400:
        return _read_by_type(content, content_type, options)
    return _READERS[options.parse](content, content_type)


def load_readers(options: Options) -> None:
    """Import what reading bodies as these options ask needs: at a run's end there may be no file descriptor left for it."""
    if options.parse == "csv":
        import pandas as pd  # noqa: F401, PLC0415 - paid for by whoever reads CSV
    elif options.parse == "xml":
        import xmltodict  # noqa: F401, PLC0415 - loaded ahead of its need


def reads_slowly(content_type: str | None, options: Options, status: int) -> bool:
    """Tell whether reading takes Python code, which another thread can interrupt; one text of JSON is read in one step of C."""
    if options.return_type not in PARSED:
        return False
    if options.parse == "auto" or status >= 400:
        return media_type(content_type) in _JSON_LINES
    return options.parse in _SLOW


def _read_by_type(content: bytes, content_type: str | None, options: Options) -> Reading:
    kind = media_type(content_type)
    if kind in _JSON_LINES or (kind is not None and kind.endswith("+json-seq")):
        return _read_lines(content, content_type)
    if options.return_type == "json" or (kind is not None and (kind in _JSON_TYPES or kind.endswith("+json"))):
        return _read_json(content, content_type)
    if options.looks_into_bodies:
        # Expressions apply to JSON only; other bodies stay as they are, and the option's note says so.
        try:
            return Reading(parse_json(content, content_type))
        except ValueError:
            pass
    return _read_text_or_bytes(content, content_type)


def _read_json(content: bytes, content_type: str | None) -> Reading:
    try:
        return Reading(parse_json(content, content_type))
    except ValueError as error:
        return _unread(content, content_type, "invalid JSON", error)


def _read_lines(content: bytes, content_type: str | None) -> Reading:
    separator = _RECORD_SEPARATOR if content.lstrip().startswith(_RECORD_SEPARATOR) else b"\n"
    if json.detect_encoding(content) not in ("utf-8", "utf-8-sig"):
        content = (decode_fitting(content, json.detect_encoding(content)) or "").encode()
    values = []
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(separator), 1):
        if not line.strip():
            continue
        try:
            values.append(parse_json(line, content_type))
        except ValueError as error:
            return _unread(content, content_type, "invalid JSON", f"line {number}: {error}")
    return Reading(values)


def _read_csv(content: bytes, content_type: str | None) -> Reading:
    import pandas as pd  # noqa: PLC0415 - paid for by whoever reads CSV

    text, note = read_text(content, content_type)
    try:
        table = pd.read_csv(StringIO(text), dtype_backend="numpy_nullable")
    except (ValueError, pd.errors.ParserError) as error:
        return _unread(content, content_type, "invalid CSV", error)
    if not isinstance(table.index, pd.RangeIndex):
        return _unread(content, content_type, "invalid CSV", "its lines have more fields than the first one")
    records: Any = table.astype(object).where(table.notna(), None).to_dict("records")
    return Reading(records, note=note)


def _read_xml(content: bytes, content_type: str | None) -> Reading:
    from xml.parsers.expat import ExpatError  # noqa: PLC0415 - paid for by whoever reads XML

    import xmltodict  # noqa: PLC0415 - loaded by whoever needs it

    text, note = read_text(content, content_type)
    try:
        return Reading(xmltodict.parse(text), note=note)
    except (ExpatError, ValueError, RecursionError) as error:
        return _unread(content, content_type, "invalid XML", error)


def _unread(content: bytes, content_type: str | None, kind: str, cause: object) -> Reading:
    return Reading(decode_text(content, content_type), kind, " ".join(str(cause).split()))


def _read_as_text(content: bytes, content_type: str | None) -> Reading:
    text, note = read_text(content, content_type)
    return Reading(text, note=note)


def _read_text_or_bytes(content: bytes, content_type: str | None) -> Reading:
    kind = media_type(content_type)
    if kind is None:
        return Reading(_guessed(content))
    if kind.startswith("text/") or kind.endswith("+xml") or kind in _TEXT_TYPES or charset_of(content_type):
        return _read_as_text(content, content_type)
    return Reading(content)


def _guessed(content: bytes) -> str | bytes:
    """Return text where an untyped body is plain UTF-8; never JSON, which would be a guess at its meaning."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return content
    return content if "\x00" in text else text


_READERS: dict[str, Callable[[bytes, str | None], Reading]] = {
    "json": _read_json,
    "jsonl": _read_lines,
    "csv": _read_csv,
    "xml": _read_xml,
    "text": _read_as_text,
    "bytes": lambda content, _: Reading(content),
}
