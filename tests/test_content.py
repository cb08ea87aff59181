import io
import json
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastreq_jupyter.content import charset_of, decode_text, encode_content, encode_multipart, field_lines, with_params


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
        ("ä".encode(), None, "ä"), (b"\xe4", "text/plain; charset=latin-1", "ä"), (b"\xe4", None, "\ufffd"), (b"\xe4", "text/plain; charset=klingon", "\ufffd"),
        ("ä".encode("utf-8-sig"), "text/plain; charset=latin-1", "ä"), ("ä".encode("utf-16"), None, "ä"), ("ä".encode("utf-32"), None, "ä"),
        ("①".encode("cp932"), "x; charset=shift_jis", "①"), ("漢字€".encode("gb18030"), "x; charset=gb2312", "漢字€"), (b"", None, ""),
        (b"+2AA-", "x; charset=utf-7", "\ufffd"),
    ],
)  # fmt: skip
def test_text_is_decoded_by_mark_then_charset_then_utf8(content, content_type, text):
    assert decode_text(content, content_type) == text


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
        ("http://h/", {"a": 1, "b": None, "c": ["x", None, "y"], "d": "ä b&"}, "http://h/?a=1&c=x&c=y&d=%C3%A4+b%26"),
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
    with pytest.raises(ValueError, match="JSON"):
        encode_content(float("nan"), None, None)
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
