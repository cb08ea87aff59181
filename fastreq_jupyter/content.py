"""Bodies and field lines: what users give becomes bytes, bytes become text."""

from __future__ import annotations

import codecs
import json as jsonlib
import re
import uuid
from mimetypes import MimeTypes
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from fastreq_jupyter.files import FilePart, Upload, file_part, joined, part_of_open_file
from fastreq_jupyter.values import NoPlaceError, fields_of, is_missing, items_of, json_of, plain, text_of, type_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "NO_FIELD_VALUE",
    "TOKEN",
    "Headers",
    "charset_of",
    "decode_fitting",
    "decode_text",
    "encode_content",
    "encode_multipart",
    "field_lines",
    "link_targets",
    "media_type",
    "read_text",
    "with_params",
]

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A method, or the name of a field or of a cookie (RFC 9110, 5.6.2)."""
NO_FIELD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What may stand in no field value (RFC 9110, 5.5): control characters, the tab left out."""
Headers = tuple[tuple[str, str], ...]
"""Field lines in order, names as given; values latin-1 text."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Python's own table, so that the result does not depend on the machine's.
_TYPES = MimeTypes()
_LINK = re.compile(r"<([^<>]*)>((?:\s*;\s*[\w!#$&+.^`|~*-]+(?:\s*=\s*(?:\"[^\"]*\"|[^\s;,\"]*))?)*)")
_REL = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s;,\"]+))", re.IGNORECASE)
_SURROGATE = re.compile("[\ud800-\udfff]")
# Python codecs that are no charsets of the web: slow on long texts (punycode is quadratic) or named misleadingly.
_NO_CHARSETS = frozenset({"idna", "mbcs", "oem", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"})
# Servers use the name of the narrow charset for texts in the wide one (WHATWG Encoding, 4.2).
_WIDER = {
    "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "big5": "big5hkscs",
    "iso8859-1": "cp1252", "iso8859-9": "cp1254", "tis-620": "cp874",
}  # fmt: skip
_CONTROLS = {0xDC00 + byte: byte for byte in range(0x80, 0x100)}
# Bytes in which browsers look for a charset declaration.
_HEAD_OF_DOCUMENT = 1024
_XML_DECLARATION = re.compile(rb"""\s*<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)""")
_HTML_META = re.compile(rb"""(?i)<meta\s[^>]*?charset\s*=\s*["']?\s*([a-z0-9._:-]+)""")
_HTML = frozenset({"text/html", "application/xhtml+xml", None})


def media_type(content_type: str | None) -> str | None:
    """Return the media type of a Content-Type in lower case without parameters, None where there is none."""
    return content_type.partition(";")[0].strip().lower() or None if content_type else None


def charset_of(content_type: str | None) -> str | None:
    """Return the codec that the charset parameter of a Content-Type names, None where absent or unknown."""
    for part in (content_type or "").split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset":
            try:
                codec = codecs.lookup(value.strip().strip("\"'"))
            except (LookupError, ValueError):
                return None
            # Python's codecs also turn bytes into bytes (zlib, hex) and text into text (rot13): those are no charsets.
            is_text = getattr(codec, "_is_text_encoding", True)
            if not is_text or codec.name.replace("_", "-") in _NO_CHARSETS:
                return None
            return codec.name
    return None


def link_targets(value: str | None) -> dict[str, str]:
    """Return the targets of a Link field (RFC 8288) by relation, lower-case names, the first of each as it stands there."""
    targets: dict[str, str] = {}
    for target, parameters in _LINK.findall(value or ""):
        rel = _REL.search(parameters)
        for name in (rel[1] or rel[2] or "").lower().split() if rel is not None else ():
            targets.setdefault(name, target)
    return targets


def decode_text(content: bytes, content_type: str | None) -> str:
    """Return the text of a body, as `read_text` reads it."""
    return read_text(content, content_type)[0]


def read_text(content: bytes, content_type: str | None) -> tuple[str, str | None]:
    """Decode a body by what fits first: BOM, charset, what the document declares of itself, UTF-8, windows-1252.

    Where a charset is named and most of what is not ASCII fits it, the bytes that do not become U+FFFD. A lone surrogate, which
    UTF-7 and friends can produce, becomes U+FFFD too: it could not be stored in a column.

    Returns:
        The text, and what a person should know of it, to be read behind "3 bodies", or None.
    """
    for bom, codec in _BOMS:
        if content.startswith(bom):
            return _replaced(content, codec)
    named = [codec for codec in (charset_of(content_type), _declared(content, content_type)) if codec is not None]
    for codec in (*named, "utf-8"):
        text = decode_fitting(content, codec)
        if text is not None:
            return text, None
    for codec in named:
        text, note = _replaced(content, codec)
        non_ascii = len(text) - len(text.encode("ascii", "ignore"))
        if 2 * text.count("\ufffd") < non_ascii:
            return text, note
    return decode_fitting(content, "cp1252") or "", "read as windows-1252: they are not UTF-8, and no charset that is named fits"


def _declared(content: bytes, content_type: str | None) -> str | None:
    """Return the codec of an XML declaration (RFC 7303, 3) or an HTML meta element (WHATWG HTML, 13.2.3.2), or None."""
    head = content[:_HEAD_OF_DOCUMENT]
    match = _XML_DECLARATION.match(head)
    if match is None and media_type(content_type) in _HTML:
        match = _HTML_META.search(head)
    codec = None if match is None else charset_of(f"; charset={match[1].decode('latin-1')}")
    # A declaration readable as ASCII cannot be in UTF-16.
    return "utf-8" if codec is not None and codec.startswith(("utf-16", "utf-32")) else codec


def decode_fitting(content: bytes, codec: str) -> str | None:
    """Return the text of bytes that all fit the codec, else None."""
    codec = _WIDER.get(codec, codec)
    try:
        # windows-1252 leaves five bytes undefined; they become the control characters of the same number (WHATWG Encoding, 9).
        text = content.decode(codec, "surrogateescape" if codec == "cp1252" else "strict")
    except (LookupError, ValueError, TypeError):
        return None
    if text.isascii():
        return text
    return text.translate(_CONTROLS) if codec == "cp1252" else _SURROGATE.sub("\ufffd", text)


def _replaced(content: bytes, codec: str) -> tuple[str, str | None]:
    """Return the text with U+FFFD for what does not fit the codec, and a note of it."""
    text = decode_fitting(content, codec)
    if text is not None:
        return text, None
    try:
        text = content.decode(codec, "replace")
    except (LookupError, ValueError, TypeError):
        codec, text = "utf-8", content.decode("utf-8", "replace")
    return _SURROGATE.sub("\ufffd", text), f"with bytes that are not {codec.removesuffix('-sig')}, shown as U+FFFD"


def encode_multipart(fields: Any, files: Mapping[str, Any] | Iterable[tuple[str, Any]], *, boundary: str) -> tuple[bytes | Upload, str]:
    """Encode a form with files as multipart/form-data (RFC 7578).

    Args:
        fields: Name and value of the plain parts, a mapping or pairs; values as in a form.
        files: Name -> path, bytes, a file, or (filename, one of these[, content type[, field lines of the part]]); a filename of
            None makes a part without one.
        boundary: Delimiter; must not occur in any part.

    Returns:
        The body, which stands for its large files in place of holding them, and its Content-Type.

    Raises:
        OSError: A file cannot be read.
        TypeError: A value has no text.
    """
    parts: list[bytes | FilePart] = []
    for name, value in _form_pairs(fields or ()):
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n'
        parts.append(head.encode() + (value if isinstance(value, bytes) else value.encode()) + b"\r\n")
    items = files.items() if hasattr(files, "items") else files
    for name, source in items:
        lines, content = _file_part(source)
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(str(name))}"{lines}\r\n\r\n'
        parts += [head.encode(), content, b"\r\n"]
    return joined([*parts, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"


def _file_part(value: Any) -> tuple[str, bytes | FilePart]:
    """Return the rest of a part's head after its name, and its content."""
    named = isinstance(value, tuple)
    filename, source, *more = value if named else (None, value)
    content: bytes | FilePart
    if isinstance(source, (str, Path)):
        path = Path(source)
        content, own_name = file_part(path), path.name
    elif hasattr(source, "read"):
        content, own_name = _read(source), Path(str(getattr(source, "name", "file"))).name
    else:
        content, own_name = bytes(source), "file"
    if not named:
        filename = own_name
    kind = more[0] if more else None
    if kind is None and filename is not None:
        kind = _TYPES.guess_type(filename)[0] or "application/octet-stream"
    lines = "" if filename is None else f'; filename="{_quoted(filename)}"'
    lines += f"\r\nContent-Type: {kind}" if kind else ""
    for name, text in field_lines(more[1] if len(more) > 1 else None):
        lines += f"\r\n{name}: {text}"
    return lines, content


def _quoted(text: str) -> str:
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def field_lines(value: Mapping[str, Any] | Iterable[tuple[str, Any]] | None) -> list[tuple[str, str]]:
    """Return field lines from a mapping or pairs, as they were given; bytes are read as latin-1.

    A value of None leaves its name out; a User-Agent of None is sent as none at all, here an empty one.
    """
    if value is None:
        return []
    items = value.items() if hasattr(value, "items") else value
    lines = [(_field_text(name), item) for name, item in items]
    return [(name, "" if item is None else _field_text(item)) for name, item in lines if item is not None or name.lower() == "user-agent"]


def _field_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return bytes(value).decode("latin-1") if isinstance(value, (bytes, bytearray)) else str(value)


def with_params(url: str, params: Any) -> str:
    """Append `params` to the query of a URL, encoded as a cell's placeholders are; a list repeats its name, None is left out.

    Raises:
        TypeError: A value is missing (NaN, NaT, NA), a mapping, or has no text.
    """
    query = urlencode(_form_pairs(params), quote_via=quote)
    if not query:
        return url
    base, mark, fragment = url.partition("#")
    joint = "&" if "?" in base else "?"
    return f"{base}{'' if base.endswith(('?', '&')) else joint}{query}{mark}{fragment}"


def encode_content(json: Any, data: Any, files: Any) -> tuple[bytes | Upload, str | None]:
    """Return body and Content-Type (None where the bytes are the user's own) of what a request was given.

    Raises:
        TypeError: Several were given that exclude each other, or one has a type that cannot be sent.
        ValueError: A number in `json` is infinite.
        OSError: A file cannot be read.
    """
    if json is not None and (data is not None or files is not None):
        raise TypeError("json excludes data and files: give one of them")
    if json is not None:
        return _json_text(json).encode(), "application/json"
    if files is not None:
        return encode_multipart(data, files, boundary=uuid.uuid4().hex)
    if isinstance(data, str):
        return data.encode(), None
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data), None
    if isinstance(data, (Path, Upload)) or hasattr(data, "read"):
        return data if isinstance(data, Upload) else joined([file_part(data) if isinstance(data, Path) else _read(data)]), None
    return urlencode(_form_pairs(data)).encode(), "application/x-www-form-urlencoded"


def _form_pairs(value: Any) -> list[tuple[str, str | bytes]]:
    """Return name and text of each field, lists laid out, None left out."""
    try:
        items = list(value.items() if hasattr(value, "items") else value)
        pairs = [(name.decode("latin-1") if isinstance(name, bytes) else text_of(name), item) for name, item in items]
    except (TypeError, ValueError):
        raise TypeError(f"expected text, bytes, a mapping or pairs, not {type(value).__name__}") from None
    laid_out: list[tuple[str, str | bytes]] = []
    for name, item in pairs:
        several = None if fields_of(item) is not None else items_of(item)
        laid_out += [(name, _form_value(name, part)) for part in ((item,) if several is None else several) if part is not None]
    return laid_out


def _form_value(name: str, value: Any) -> str | bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    reason = "it is missing" if is_missing(plain(value)) else ""
    if not reason:
        try:
            return text_of(value)
        except NoPlaceError as error:
            reason = str(error)
    raise TypeError(f"{name[:60]!r} is a {type_name(value)}: {reason}")


def _read(file: Any) -> bytes | FilePart:
    part = part_of_open_file(file)
    if part is not None:
        return part
    content = file.read()
    return content.encode() if isinstance(content, str) else bytes(content)


def _json_text(value: Any) -> str:
    """Return JSON text; missing values are null."""
    try:
        return jsonlib.dumps(value, ensure_ascii=False, allow_nan=False, default=_json_value)
    except ValueError:
        # It contains NaN, an infinity or a reference to itself.
        pass
    try:
        return json_of(value)
    except NoPlaceError as error:
        raise ValueError(str(error)) from None


def _json_value(value: Any) -> Any:
    """Return what stands for a value that JSON does not know: missing ones, times, scalars and arrays of numpy and pandas."""
    if is_missing(plain(value)):
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")
