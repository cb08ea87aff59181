import datetime as dt
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import parse_qsl

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastreq_jupyter.content import charset_of, decode_text, encode_content, encode_multipart, field_lines, read_text, with_params
from fastreq_jupyter.engine.preparing import prepare
from fastreq_jupyter.model import Request


@pytest.mark.parametrize(
    ("content_type", "codec"),
    [
        (None, None), ("", None), ("text/html", None), ("text/html; charset=utf-8", "utf-8"), ("text/html;CHARSET=Latin1;x=y", "iso8859-1"),
        ('text/html; charset="utf-16"', "utf-16"), ("text/html; charset='cp1252'", "cp1252"), ("text/html; charset=klingon", None), ("x; charset=", None),
        ("x; charset=a\x00b", None), ("x; charset=\xff", None), ("x; charset=zlib", None), ("x; charset=rot13", None), ("x; charset=hex", None),
        ("x; charset=punycode", None), ("x; charset=idna", None), ("x; charset=unicode_escape", None), ("x; charset=undefined", None),
    ],
)  # fmt: skip
def test_charset_is_a_codec_of_the_web_or_none(content_type, codec):
    assert charset_of(content_type) == codec


@pytest.mark.parametrize(
    ("content", "content_type", "text"),
    [
        ("ä".encode(), None, "ä"), (b"\xe4", "text/plain; charset=latin-1", "ä"), (b"\xe4", None, "ä"), (b"\xe4", "text/plain; charset=klingon", "ä"),
        ("ä".encode("utf-8-sig"), "text/plain; charset=latin-1", "ä"), ("ä".encode("utf-16"), None, "ä"), ("ä".encode("utf-32"), None, "ä"),
        ("①".encode("cp932"), "x; charset=shift_jis", "①"), ("漢字€".encode("gb18030"), "x; charset=gb2312", "漢字€"), (b"", None, ""),
        (b"+2AA-", "x; charset=utf-7", "\ufffd"),
    ],
)  # fmt: skip
def test_text_is_decoded_by_mark_then_charset_then_utf8(content, content_type, text):
    assert decode_text(content, content_type) == text


@pytest.mark.parametrize(
    ("content", "content_type", "text"),
    [
        ('<?xml version="1.0" encoding="ISO-8859-1"?><a>Müller</a>'.encode("latin-1"), "application/xml", "Müller"),
        ("<?xml version='1.0' encoding='windows-1251'?><a>Привет</a>".encode("cp1251"), "text/xml", "Привет"),
        ('<?xml version="1.0" encoding="windows-1251"?><a>Привет</a>'.encode(), "text/xml; charset=utf-8", "Привет"),
        ('<meta charset="windows-1251"><p>Привет'.encode("cp1251"), "text/html", "Привет"),
        ('<META http-equiv=Content-Type content="text/html; charset=gb2312"><p>汉字'.encode("gb2312"), "text/html", "汉字"),
        ('<meta charset="utf-16"><p>Привет'.encode(), "text/html", "Привет"),
        ('<meta charset="utf-8"><p>Müller'.encode("latin-1"), "text/html; charset=iso-8859-1", "Müller"),
        ("5 €".encode("cp1252"), "text/plain; charset=iso-8859-1", "5 €"),
        ("Müller;5 €".encode("cp1252"), "text/csv", "Müller;5 €"),
        ("Müller;5 €".encode("cp1252"), "text/csv; charset=utf-8", "Müller;5 €"),
        ("Müller".encode(), "text/csv; charset=us-ascii", "Müller"),
        ("Привет, мир".encode() + b"\xff", "text/plain; charset=utf-8", "Привет, мир\ufffd"),
    ],
)
def test_text_without_a_charset_is_read_by_what_it_says_of_itself(content, content_type, text):
    assert text in decode_text(content, content_type)


@pytest.mark.parametrize(
    ("content", "content_type", "told"),
    [
        (b"plain", None, None), ("ä".encode(), None, None), (b"\xe4", "x; charset=latin-1", None), (b"\xe4", None, "windows-1252"),
        (b"\xe4 \x81", "text/csv; charset=utf-8", "windows-1252"), ("ä".encode("utf-16") + b"\0", None, "U+FFFD"),
        ("Привет".encode() + b"\xff", "x; charset=utf-8", "U+FFFD"),
    ],
)  # fmt: skip
def test_a_guess_and_a_loss_are_told(content, content_type, told):
    note = read_text(content, content_type)[1]
    assert note is None if told is None else told in note


@given(st.binary(max_size=60).filter(lambda content: content[:2] not in (b"\xff\xfe", b"\xfe\xff")))
def test_what_is_read_as_windows_1252_can_be_had_back(content):
    text, note = read_text(content, "text/plain")
    if note is not None:
        assert b"".join(c.encode("cp1252") if c not in "\x81\x8d\x8f\x90\x9d" else c.encode("latin-1") for c in text) == content


@given(
    st.binary(max_size=60),
    st.sampled_from(["utf-8", "utf-7", "utf-16", "utf-32", "cp1252", "hz", "iso2022_jp", "big5", "cp037", "nonsense", "base64", "uu"]),
)
def test_any_bytes_become_text_that_can_be_stored(content, charset):
    assert decode_text(content, f"text/plain; charset={charset}").encode("utf-8") is not None


@pytest.mark.parametrize("charset", ["punycode", "idna", "utf-7", "unicode_escape", "hz", "utf-8"])
def test_a_megabyte_is_decoded_in_bounded_time(charset):
    # Quadratic codecs take hours here; pytest's own timeout ends them.
    assert decode_text(b"a-zz99+" * 150_000, f"text/plain; charset={charset}") is not None


@pytest.mark.parametrize(
    ("url", "params", "whole"),
    [
        ("http://h/", {"a": 1, "b": None, "c": ["x", None, "y"], "d": "ä b&"}, "http://h/?a=1&c=x&c=y&d=%C3%A4%20b%26"),
        ("http://h/?x=1", [("a", "1"), ("a", "2")], "http://h/?x=1&a=1&a=2"),
        ("http://h/?", {"a": 1}, "http://h/?a=1"),
        ("http://h/?x&", {"a": 1}, "http://h/?x&a=1"),
        ("http://h/#f", {"a": 1}, "http://h/?a=1#f"),
        ("http://h/#f?", {"a": 1}, "http://h/?a=1#f?"),
        ("http://h/", {}, "http://h/"),
        ("http://h/", {"a": None}, "http://h/"),
    ],
)
def test_params_are_appended_to_the_query(url, params, whole):
    assert with_params(url, params) == whole


@given(st.dictionaries(st.text(min_size=1, max_size=10), st.text(max_size=10), max_size=4))
def test_params_come_back_from_the_query(params):
    clean = {name: value for name, value in params.items() if (name + value).encode("utf-8", "ignore").decode() == name + value}
    query = with_params("http://h/", clean).partition("?")[2]
    assert dict(parse_qsl(query, keep_blank_values=True)) == clean


def test_field_lines_are_text_and_none_leaves_a_name_out():
    assert field_lines({"A": 1, "B": None, "C": "c"}) == [("A", "1"), ("C", "c")]
    assert field_lines([("A", "1"), ("A", "2")]) == [("A", "1"), ("A", "2")]
    assert field_lines(None) == []


def test_json_takes_scalars_of_numpy_and_times():
    value = {
        "a": np.int64(5),
        "b": np.float64(0.5),
        "c": np.bool_(True),
        "d": np.array([1, 2]),
        "e": datetime(2026, 1, 2, tzinfo=UTC),
        "f": "ä",
    }
    content, content_type = encode_content(value, None, None)
    assert content_type == "application/json"
    assert json.loads(content) == {"a": 5, "b": 0.5, "c": True, "d": [1, 2], "e": "2026-01-02T00:00:00+00:00", "f": "ä"}


def test_json_refuses_what_is_none():
    with pytest.raises(ValueError, match="not finite"):
        encode_content({"a": [float("nan"), float("inf")]}, None, None)
    with pytest.raises(TypeError, match="object cannot be sent as JSON"):
        encode_content({"a": object()}, None, None)


@pytest.mark.parametrize(
    ("data", "content", "content_type"),
    [
        ("ä", "ä".encode(), None),
        (b"x", b"x", None),
        (bytearray(b"x"), b"x", None),
        (io.BytesIO(b"file"), b"file", None),
        (io.StringIO("file"), b"file", None),
        ({"a": "b c", "n": None, "l": [1, 2]}, b"a=b+c&l=1&l=2", "application/x-www-form-urlencoded"),
        ([("a", "1"), ("a", "2")], b"a=1&a=2", "application/x-www-form-urlencoded"),
    ],
)
def test_data_goes_as_bytes_or_as_a_form(data, content, content_type):
    assert encode_content(None, data, None) == (content, content_type)


@pytest.mark.parametrize("data", [5, 1.5, object(), [1, 2], ["abc"]])
def test_data_of_a_wrong_type_is_refused_in_words(data):
    with pytest.raises(TypeError, match="expected text, bytes, a mapping or pairs"):
        encode_content(None, data, None)


def test_json_excludes_data_and_files():
    with pytest.raises(TypeError, match="excludes"):
        encode_content({}, "x", None)


def test_files_are_sent_as_multipart(tmp_path):
    path = tmp_path / 'na"me.txt'
    path.write_bytes(b"from disk")
    with path.open("rb") as opened:
        body, content_type = encode_multipart(
            [("field", "value ä")],
            {"a": path, "b": b"bytes", "c": ("c.json", b"{}"), "d": ("d", b"x", "x/y"), "e": opened},
            boundary="BB",
        )
    assert content_type == "multipart/form-data; boundary=BB"
    parts = body.split(b"--BB")
    assert parts[1] == '\r\nContent-Disposition: form-data; name="field"\r\n\r\nvalue ä\r\n'.encode()
    assert b'filename="na%22me.txt"\r\nContent-Type: text/plain\r\n\r\nfrom disk\r\n' in parts[2]
    assert b'filename="file"\r\nContent-Type: application/octet-stream\r\n\r\nbytes\r\n' in parts[3]
    assert b'filename="c.json"\r\nContent-Type: application/json\r\n\r\n{}\r\n' in parts[4]
    assert b"Content-Type: x/y\r\n\r\nx\r\n" in parts[5]
    assert b'filename="na%22me.txt"' in parts[6]
    assert parts[7] == b"--\r\n"


@pytest.mark.parametrize(
    "door", [lambda value: with_params("", {"a": value})[3:], lambda value: encode_content(None, {"a": value}, None)[0].decode()[2:]]
)
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (1.0, "1"),
        (np.float32(0.1), "0.1"),
        (np.bool_(False), "false"),
        (Decimal("1.50"), "1.50"),
        (pd.Timestamp("2026-01-02T03:04:05"), "2026-01-02T03%3A04%3A05"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (b"\xff", "%FF"),
        ([True, None, 2], "true&a=2"),
        (np.array([1.0, 2.5]), "1&a=2.5"),
        (pd.Series([1, 2]).array, "1&a=2"),
    ],
)
def test_values_of_params_and_forms_go_in_as_placeholders_do(door, value, text):
    assert door(value) == text


@pytest.mark.parametrize("value", [float("nan"), pd.NaT, pd.NA, np.nan, {"b": 1}, [[1]], [float("nan")], float("inf"), object()])
@pytest.mark.parametrize("door", [lambda data: with_params("http://h/", data), lambda data: encode_content(None, data, None)])
def test_values_that_fit_no_query_are_refused_with_their_name(door, value):
    with pytest.raises(TypeError, match="'a' is a "):
        door({"a": value})


def test_missing_values_in_json_are_null():
    value = {
        "a": pd.NaT,
        "b": [float("nan"), pd.NA, None],
        "c": np.array([1.0, np.nan]),
        "d": np.datetime64("NaT", "s"),
        True: 1,
        None: 2,
        3: 4,
    }
    assert json.loads(encode_content(value, None, None)[0]) == {
        "a": None, "b": [None, None, None], "c": [1.0, None], "d": None, "true": 1, "null": 2, "3": 4,
    }  # fmt: skip


def test_field_lines_are_sent_as_given():
    assert field_lines({"X-Signature": b"a\xe9", b"X-B": "b", "SOAPAction": "c"}) == [
        ("X-Signature", "a\u00e9"),
        ("X-B", "b"),
        ("SOAPAction", "c"),
    ]
    assert field_lines([("X-Id", "1"), ("x-id", "2"), ("X-None", None)]) == [("X-Id", "1"), ("x-id", "2")]


def test_a_user_agent_of_none_is_none():
    exchange = prepare(Request("GET", "http://h/", headers={"User-Agent": None, "Accept": ""}))
    assert [name for name, _ in exchange.headers] == ["Accept-Encoding"]


def test_a_part_of_files_without_a_name_is_no_file():
    body = encode_multipart(
        {"t": True, "u": b"\xff", "v": [1, 2]}, {"meta": (None, b"{}", "application/json"), "n": (None, b"x")}, boundary="b"
    )[0]
    assert body == (
        b'--b\r\nContent-Disposition: form-data; name="t"\r\n\r\ntrue\r\n'
        b'--b\r\nContent-Disposition: form-data; name="u"\r\n\r\n\xff\r\n'
        b'--b\r\nContent-Disposition: form-data; name="v"\r\n\r\n1\r\n'
        b'--b\r\nContent-Disposition: form-data; name="v"\r\n\r\n2\r\n'
        b'--b\r\nContent-Disposition: form-data; name="meta"\r\nContent-Type: application/json\r\n\r\n{}\r\n'
        b'--b\r\nContent-Disposition: form-data; name="n"\r\n\r\nx\r\n--b--\r\n'
    )


def test_a_part_of_files_has_its_own_field_lines():
    body = encode_multipart((), {"f": ("a.csv", b"x", None, {"X-Part": "1"})}, boundary="b")[0]
    assert body.startswith(
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.csv"\r\nContent-Type: text/csv\r\nX-Part: 1\r\n\r\nx'
    )
