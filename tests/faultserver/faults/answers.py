"""Statuses, waits that servers ask for, bodies that are not what they say, answers that have none."""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from email.utils import formatdate
from time import time
from typing import TYPE_CHECKING, Any

from faultserver import bombs
from faultserver.bombs import zstd
from faultserver.faults.fault import Fault, table
from faultserver.scripts import chunks, each, head, raw, reply, whole

if TYPE_CHECKING:
    from faultserver.server import Call, Script

__all__ = ["EMPTIES", "ENCODINGS", "JSON", "RETRY_AFTER", "STATUSES"]

TEXT = ("Content-Type", "text/plain")
IS_JSON = ("Content-Type", "application/json")


def coded(coding: str, body: bytes, kind: tuple[str, str] = TEXT) -> Script:
    """Answer with a Content-Encoding; keep the connection."""
    return raw(whole(200, body, kind, ("Content-Encoding", coding)), keep=True)


def later(make: Any) -> Script:
    """Build the script when it is first used: bombs are not made for runs that do not throw them."""
    made: list[Script] = []

    async def script(call: Call) -> None:
        if not made:
            made.append(make())
        await made[0](call)

    return script


def asks(status: int, value: str) -> Script:
    """Answer with a Retry-After."""
    return reply(status, b"later", ("Retry-After", value))


def _retry_after() -> dict[str, Fault]:
    forms = {
        "in seconds": "1", "0": "0", "as a date": formatdate(time() + 3600 * 24 * 3650, usegmt=True), "in the past": formatdate(0, usegmt=True),
        "huge": "999999999999", "of 50 digits": "9" * 50, "negative": "-5", "nan": "nan", "infinite": "inf", "in words": "soon", "empty": "",
        "fractional": "1.5", "with digits that are not ASCII": "\u00b2", "as a date of year 0": "Mon, 00 Jan 0000 00:00:00 GMT",
        "as a date of year 99999": "Mon, 01 Jan 99999 00:00:00 GMT", "a list": "1, 2",
    }  # fmt: skip
    return table(
        *(
            Fault(f"{status} with Retry-After {form}", f"http {status}", asks(status, value), status=status)
            for status in (429, 503)
            for form, value in forms.items()
        )
    )


# fmt: off
STATUSES = table(
    *(Fault(f"status {code}", f"http {code}", reply(code, b"no"), status=code, data="no") for code in (400, 401, 403, 404, 410, 418, 429, 451, 500, 502, 503, 504, 599)),
    Fault("status 999", "http 999", reply(999, b"no"), status=999),
    Fault("a big error page", "http 500", reply(500, b"<p>no</p>" * 5000, ("Content-Type", "text/html")), status=500),
    Fault("an error page that breaks off", "protocol", raw(head(500, TEXT, ("Content-Length", "100")) + b"so")),
    Fault("a part nobody asked for", "http 206", raw(whole(206, b"part", TEXT, ("Content-Range", "bytes 0-3/9")), keep=True), status=206, data="part"),
    Fault("503, then an answer", None, each(reply(503, b"no"), reply(200, b"yes")), data="yes", options={"max_retries": 1}),
    Fault("closes, then an answer", None, each(raw(), reply(200, b"yes")), data="yes", options={"max_retries": 1}),
    Fault("half a body, then an answer", None, each(raw(head(200, TEXT, ("Content-Length", "9")) + b"half"), reply(200, b"yes")), data="yes", options={"max_retries": 1}),
)
# fmt: on
RETRY_AFTER = _retry_after()

_TEXT = b"hello " * 100
_GZIP = gzip.compress(_TEXT, mtime=0)


def _brotli(data: bytes) -> bytes:
    import brotli

    packed: bytes = brotli.compress(data)
    return packed


def _zstd(data: bytes) -> bytes:
    return zstd.compress(data)


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


_GOOD = {"gzip": _GZIP, "deflate": zlib.compress(_TEXT), "br": _brotli(_TEXT), "zstd": _zstd(_TEXT)}
# fmt: off
ENCODINGS = table(
    *(Fault(f"{name} body", None, coded(name, body), data=_TEXT.decode()) for name, body in _GOOD.items()),
    *(Fault(f"{name} without its end", "decoding", coded(name, body[:-4])) for name, body in _GOOD.items()),
    *(Fault(f"{name} cut in half", "decoding", coded(name, body[: len(body) // 2])) for name, body in _GOOD.items()),
    *(Fault(f"{name} that is plain text", "decoding", coded(name, b"this is no compressed body")) for name in _GOOD),
    *(Fault(f"{name} bomb of 1 GiB", "too large", later(lambda make=make, name=name: coded(name, make()))) for name, make in bombs.BOMBS.items()),
    Fault("bomb in a bomb", "too large", later(lambda: coded("gzip, gzip", bombs.nested_gzip()))),
    Fault("a hundred codings", "decoding", coded(", ".join(["gzip"] * 100), _GZIP)),
    Fault("deflate without its zlib head", None, coded("deflate", _raw_deflate(_TEXT)), data=_TEXT.decode()),
    Fault("gzip of two members", None, coded("gzip", gzip.compress(b"one ", mtime=0) + gzip.compress(b"two", mtime=0)), data="one two"),
    Fault("gzip with a wrong checksum", "decoding", coded("gzip", _GZIP[:-8] + b"\0\0\0\0" + _GZIP[-4:])),
    Fault("gzip with a wrong length", "decoding", coded("gzip", _GZIP[:-4] + b"\1\0\0\0")),
    Fault("gzip with a flipped byte", "decoding", coded("gzip", _GZIP[:15] + bytes([_GZIP[15] ^ 0xFF]) + _GZIP[16:])),
    Fault("gzip named x-gzip in capitals", None, coded("X-GZip", _GZIP), data=_TEXT.decode()),
    Fault("identity", None, coded("identity", b"plain"), data="plain"),
    Fault("a coding nobody knows", None, coded("x-unheard-of", b"plain"), data="plain"),
    *(Fault(f"{name} named as a coding", None, coded(name, b'{"a": 1}', IS_JSON), data={"a": 1}) for name in ("UTF-8", "none", "binary", "aws-chunked")),
    Fault("gzip beside a coding nobody knows", None, coded("aws-chunked, gzip", _GZIP), data=_TEXT.decode()),
    Fault("gzip in chunks", None, raw(head(200, TEXT, ("Content-Encoding", "gzip"), ("Transfer-Encoding", "chunked")) + chunks(_GZIP[:9], _GZIP[9:])), data=_TEXT.decode()),
    Fault("gzip in chunks that break off", "protocol", raw(head(200, TEXT, ("Content-Encoding", "gzip"), ("Transfer-Encoding", "chunked")) + chunks(_GZIP, end=b""))),
    Fault("close-delimited gzip cut short", "decoding", raw(head(200, TEXT, ("Content-Encoding", "gzip")) + _GZIP[:-5])),
)
# fmt: on


def says(body: bytes, kind: str = "application/json") -> Script:
    """Answer 200 with that Content-Type; keep the connection."""
    return raw(whole(200, body, ("Content-Type", kind)), keep=True)


_DEEP = b"[" * 100_000 + b"]" * 100_000
# fmt: off
JSON = table(
    Fault("JSON nested 100,000 deep", "invalid JSON", says(_DEEP), data=_DEEP.decode()),
    Fault("JSON with NaN", "invalid JSON", says(b'{"a": NaN}'), data='{"a": NaN}'),
    Fault("JSON with Infinity", "invalid JSON", says(b"[-Infinity]"), data="[-Infinity]"),
    Fault("JSON with duplicate keys", None, says(b'{"a": 1, "a": 2}'), data={"a": 2}),
    Fault("JSON integer of 10,000 digits", "invalid JSON", says(b"1" * 10_000), data="1" * 10_000),
    Fault("JSON integer of 30 digits", None, says(b"1" * 30), data=int("1" * 30)),
    Fault("empty JSON body", None, says(b""), data=None),
    *(Fault(f"empty JSON body of a {code}", None, raw(whole(code, b"", IS_JSON), keep=True), status=code, data=None) for code in (201, 202, 203)),
    Fault("empty JSON body without a length", None, raw(head(200, IS_JSON)), data=None),
    Fault("JSON as text/json", None, says(b'{"a": 1}', "text/json"), data={"a": 1}),
    Fault("lines of JSON", None, says(b'{"a": 1}\n[2]\n', "application/x-ndjson"), data=[{"a": 1}, [2]]),
    Fault("lines of JSON of which one is none", "invalid JSON", says(b"1\n{]\n", "application/jsonl"), data="1\n{]\n"),
    Fault("JSON with a BOM and another charset", None, says(codecs.BOM_UTF8 + b'{"a": 1}', "application/json; charset=iso-8859-1"), data={"a": 1}),
    Fault("JSON in UTF-8 that says latin-1", None, says('{"a": "\u00e9"}'.encode(), "application/json; charset=iso-8859-1"), data={"a": "\u00e9"}),
    Fault("XML in latin-1 by its declaration", None, says('<?xml version="1.0" encoding="ISO-8859-1"?><a>\u00fc</a>'.encode("latin-1"), "application/xml"), data='<?xml version="1.0" encoding="ISO-8859-1"?><a>\u00fc</a>'),
    Fault("HTML in windows-1251 by its meta element", None, says('<meta charset="windows-1251">\u041f'.encode("cp1251"), "text/html"), data='<meta charset="windows-1251">\u041f'),
    Fault("CSV in windows-1252 that does not say so", None, says("M\u00fcller;5 \u20ac".encode("cp1252"), "text/csv"), data="M\u00fcller;5 \u20ac"),
    Fault("HTML that says it is JSON", "invalid JSON", says(b"<html>hi</html>"), data="<html>hi</html>"),
    Fault("JSON that breaks off", "invalid JSON", says(b'{"a": [1, 2'), data='{"a": [1, 2'),
    Fault("JSON with something after it", "invalid JSON", says(b"{} {}"), data="{} {}"),
    Fault("JSON with a BOM", None, says(codecs.BOM_UTF8 + b'{"a": 1}'), data={"a": 1}),
    Fault("JSON in UTF-16", None, says('{"a": "\u00e9"}'.encode("utf-16"), "application/json; charset=utf-16"), data={"a": "\u00e9"}),
    Fault("JSON in UTF-16 that does not say so", None, says('{"a": "\u00e9"}'.encode("utf-16")), data={"a": "\u00e9"}),
    Fault("JSON in latin-1 that says so", None, says('{"a": "\u00e9"}'.encode("latin-1"), "application/json; charset=iso-8859-1"), data={"a": "\u00e9"}),
    Fault("JSON in latin-1 that does not say so", "invalid JSON", says('{"a": "\u00e9"}'.encode("latin-1")), data='{"a": "\u00e9"}'),
    Fault("JSON with an unknown charset", None, says(b'{"a": 1}', "application/json; charset=klingon"), data={"a": 1}),
    Fault("JSON with a codec that is no charset", None, says(b'{"a": 1}', "application/json; charset=rot13"), data={"a": 1}),
    Fault("problem+json of a 422", "http 422", raw(whole(422, b'{"title": "no"}', ("Content-Type", "application/problem+json")), keep=True), data={"title": "no"}),
    Fault("HTML that says it is JSON, of a 502", "http 502", raw(whole(502, b"<html>", IS_JSON), keep=True), data="<html>"),
    Fault("JSON with a lone surrogate", None, says(json.dumps("\ud800").encode())),
    Fault("text with an unknown charset", None, says(b"hello", "text/plain; charset=klingon"), data="hello"),
    Fault("text with a codec that is no charset", None, says(b"hello", "text/plain; charset=zlib"), data="hello"),
    Fault("text that is not in its charset", None, says(b"\xff\xfe\xfd", "text/plain; charset=ascii")),
    Fault("text in Shift JIS", None, says("\u65e5\u672c".encode("shift_jis"), "text/plain; charset=Shift_JIS"), data="\u65e5\u672c"),
    Fault("text in UTF-7 with surrogates", None, says(b"+2AA-", "text/plain; charset=utf-7")),
    Fault("Content-Type that is nonsense", None, says(b"hello", ";;;=,,charset="), data="hello"),
    Fault("two Content-Types", None, raw(head(200, ("Content-Type", "text/plain"), ("Content-Type", "text/html"), ("Content-Length", "5")) + b"hello")),
)
# fmt: on

# fmt: off
EMPTIES = table(
    Fault("204 with a body", None, raw(head(204, ("Content-Length", "5")) + b"hello"), status=204, data=None),
    Fault("304 with a body", None, raw(head(304, ("Content-Length", "5")) + b"hello"), status=304, data=None),
    Fault("304 that names the length it would have", None, raw(head(304, ("Content-Length", "5000")), keep=True), status=304, data=None),
    Fault("HEAD that names the length it would have", None, raw(head(200, IS_JSON, ("Content-Length", "5000")), keep=True), method="HEAD", data=None),
    Fault("HEAD with a body", None, raw(head(200, TEXT, ("Content-Length", "5")) + b"hello"), method="HEAD"),
    Fault("HEAD that names gzip", None, raw(head(200, IS_JSON, ("Content-Encoding", "gzip"), ("Content-Length", "500")), keep=True), method="HEAD", data=None),
    Fault("HEAD that names chunks", None, raw(head(200, TEXT, ("Transfer-Encoding", "chunked")), keep=True), method="HEAD"),
    Fault("empty body", None, raw(whole(200, b""), keep=True), status=200, data=None),
    Fault("gzip of nothing", None, coded("gzip", gzip.compress(b"", mtime=0)), data=None),
)
# fmt: on
