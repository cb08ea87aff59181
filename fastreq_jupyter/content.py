"""Bodies and field lines: what users give becomes bytes, bytes become text."""

from __future__ import annotations

import codecs
import json as jsonlib
import re
import uuid
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["charset_of", "decode_text", "encode_content", "encode_multipart", "field_lines", "media_type", "with_params"]

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SURROGATE = re.compile("[\ud800-\udfff]")
# Codecs of Python that are no charset of the web: slow on long texts (punycode is quadratic), or not what they seem.
_NO_CHARSETS = frozenset({"idna", "mbcs", "oem", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"})
# What servers call by the narrow name holds characters of the wide one (WHATWG Encoding, 4.2).
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "big5": "big5hkscs"}


def media_type(content_type: str | None) -> str | None:
    """Return the media type of a Content-Type in lower case without parameters, None where there is none."""
    return content_type.partition(";")[0].strip().lower() or None if content_type else None


def charset_of(content_type: str | None) -> str | None:
    """Return the codec that the charset parameter of a Content-Type names, None where absent or unknown."""
    for part in (content_type or "").split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset":
            try:
                found = codecs.lookup(value.strip().strip("\"'"))
            except (LookupError, ValueError):
                return None
            # Python's codecs also turn bytes into bytes (zlib, hex) and text into text (rot13): those are no charsets.
            is_text = getattr(found, "_is_text_encoding", True)
            if not is_text or found.name.replace("_", "-") in _NO_CHARSETS:
                return None
            return _WIDER.get(found.name, found.name)
    return None


def decode_text(content: bytes, content_type: str | None) -> str:
    """Decode a body by BOM, then charset, then UTF-8; bytes that do not fit become U+FFFD.

    A lone surrogate, which UTF-7 and friends can produce, becomes U+FFFD too: it could not be stored in a column.
    """
    for bom, codec in _BOMS:
        if content.startswith(bom):
            return content.decode(codec, "replace")
    codec = charset_of(content_type) or "utf-8"
    try:
        text = content.decode(codec, "replace")
    except (LookupError, ValueError, TypeError):
        text = content.decode("utf-8", "replace")
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def encode_multipart(
    fields: Iterable[tuple[str, str]], files: Mapping[str, Any] | Iterable[tuple[str, Any]], *, boundary: str
) -> tuple[bytes, str]:
    """Encode a form with files as multipart/form-data (RFC 7578).

    Args:
        fields: Name and text of the plain parts.
        files: Name -> path, bytes, or (filename, bytes or path[, content type]).
        boundary: Delimiter; must not occur in any part.

    Returns:
        The body and its Content-Type.

    Raises:
        OSError: A file cannot be read.
    """
    parts: list[bytes] = []
    for name, value in fields:
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{value}\r\n'.encode())
    items = files.items() if hasattr(files, "items") else files
    for name, given in items:
        filename, content, kind = _file_part(given)
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"; filename="{_quoted(filename)}"\r\n'
        parts.append(f"{head}Content-Type: {kind}\r\n\r\n".encode() + content + b"\r\n")
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _file_part(given: Any) -> tuple[str, bytes, str]:
    filename, source, *kind = given if isinstance(given, tuple) else (None, given)
    if isinstance(source, (str, Path)):
        path = Path(source)
        filename, content = filename or path.name, path.read_bytes()
    elif hasattr(source, "read"):
        content = _read(source)
        filename = filename or Path(str(getattr(source, "name", "file"))).name
    else:
        content = bytes(source)
    filename = filename or "file"
    return filename, content, kind[0] if kind else guess_type(filename)[0] or "application/octet-stream"


def _quoted(text: str) -> str:
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def field_lines(value: Mapping[str, Any] | Iterable[tuple[str, Any]] | None) -> list[tuple[str, str]]:
    """Return pairs of text from a mapping or pairs; None gives none, and a value of None leaves its name out."""
    if value is None:
        return []
    items = value.items() if hasattr(value, "items") else value
    return [(str(name), item if isinstance(item, str) else str(item)) for name, item in items if item is not None]


def with_params(url: str, params: Any) -> str:
    """Append `params` to the query of a URL; a list repeats its name, None is left out."""
    query = _form(params)
    if not query:
        return url
    base, mark, fragment = url.partition("#")
    joint = "&" if "?" in base else "?"
    return f"{base}{'' if base.endswith(('?', '&')) else joint}{query}{mark}{fragment}"


def encode_content(json: Any, data: Any, files: Any) -> tuple[bytes, str | None]:
    """Return body and Content-Type (None where the bytes are the user's own) of what a request was given.

    Raises:
        TypeError: Several were given that exclude each other, or one has a type that cannot be sent.
        ValueError: A number in `json` is NaN or infinite.
    """
    if json is not None and (data is not None or files is not None):
        message = "json excludes data and files: give one of them"
        raise TypeError(message)
    if json is not None:
        return jsonlib.dumps(json, ensure_ascii=False, allow_nan=False, default=_json_value).encode(), "application/json"
    if files is not None:
        return encode_multipart(field_lines(data), files, boundary=uuid.uuid4().hex)
    if isinstance(data, str):
        return data.encode(), None
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data), None
    if hasattr(data, "read"):
        return _read(data), None
    return _form(data).encode(), "application/x-www-form-urlencoded"


def _form(value: Any) -> str:
    items = value.items() if hasattr(value, "items") else value
    try:
        pairs = [(name, _without_none(item)) for name, item in items if item is not None]
    except (TypeError, ValueError):
        message = f"expected text, bytes, a mapping or pairs, not {type(value).__name__}"
        raise TypeError(message) from None
    return urlencode(pairs, doseq=True)


def _without_none(item: Any) -> Any:
    return [one for one in item if one is not None] if isinstance(item, (list, tuple)) else item


def _read(file: Any) -> bytes:
    content = file.read()
    return content.encode() if isinstance(content, str) else bytes(content)


def _json_value(value: Any) -> Any:
    """Return what stands for a value that JSON does not know: times, and scalars and arrays of numpy and pandas."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "tolist"):
        return value.tolist()
    message = f"{type(value).__name__} cannot be sent as JSON"
    raise TypeError(message)
