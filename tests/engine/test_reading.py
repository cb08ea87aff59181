"""Bodies are read by what they are, or by what the options say that they are; JSON alike with and without the extra [fast]."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastreq_jupyter.engine import reading
from fastreq_jupyter.options import Options

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)


def read(content, content_type="application/json", status=200, **options):
    return reading.read_data(content, content_type, Options.of(**options), status)


def by_standard_library(content):
    def refuse(name):
        raise ValueError(name)

    try:
        return json.loads(content.decode(), parse_constant=refuse)
    except ValueError:
        return "refused"


@given(VALUES, st.booleans())
def test_what_json_dumps_writes_comes_back_equal(value, ascii_only):
    content = json.dumps([value], ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert repr(read(content).data) == repr([value])


ODD = [
    b"[18446744073709551616]", b"[-9223372036854775809]", b"[" + b"7" * 40 + b"]", b"[-0]", b"[-0.0]", b"[1e999]", b"[-1E400]",
    b'["\\ud800"]', b'["\\ud83d\\ude00"]', b'{"a": 1, "a": 2}', b"[NaN]", b"[Infinity]", b"[1,]", b"[01]", b'["\t"]', b'["\xff"]',
    b'["\xed\xa0\x80"]', b"[] []", b"[1] ", b"[5e-324, 2.2250738585072011e-308]", b"{", b"[12345678901234567890.5]",
]  # fmt: skip


@pytest.mark.parametrize("content", ODD)
def test_odd_bodies_are_read_or_refused_as_the_standard_library_does(content):
    outcome = read(content)
    assert repr("refused" if outcome.error else outcome.data) == repr(by_standard_library(content))


def test_a_body_nested_too_deeply_is_an_error_not_a_crash():
    assert read(b"[" * 200_000).error == "invalid JSON"


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
def test_json_in_another_encoding_is_found_out(charset):
    assert read('{"a": "ü"}'.encode(charset)).data == {"a": "ü"}


@pytest.mark.parametrize("kind", [None, "application/json", "text/plain", "application/octet-stream", "text/csv", "application/x-ndjson"])
@pytest.mark.parametrize("parse", ["auto", "json", "jsonl", "csv", "xml", "text", "bytes"])
def test_a_body_of_length_0_is_no_data_not_a_bad_one(kind, parse):
    assert read(b"", kind, parse=parse) == (None, None, None, None)


@pytest.mark.parametrize(("return_type", "data"), [("json", None), ("text", ""), ("content", b""), ("response", b"")])
def test_a_body_of_length_0_is_good_for_every_return_type(return_type, data):
    assert read(b"", "application/json", return_type=return_type) == (data, None, None, None)


@pytest.mark.parametrize(
    "kind", ["application/json", "text/json", "application/problem+json", "application/geo+json; x=y", "Application/JSON;charset=UTF-8"]
)
def test_json_types_are_read_as_json(kind):
    assert read(b'"7"', kind).data == "7"


@pytest.mark.parametrize(
    "kind", ["text/plain", "text/html; charset=utf-8", "application/octet-stream", "json", "text/javascript", None, "text/csv"]
)
@pytest.mark.parametrize(
    "options", [{"parse": "json"}, {"select": "a"}, {"expand": True}, {"fail_when": "b"}, {"retry_when": "b"}, {"return_type": "json"}]
)
def test_who_looks_into_bodies_has_said_that_they_are_json(kind, options):
    assert read(b'{"a": 1}', kind, **options) == ({"a": 1}, None, None, None)


@pytest.mark.parametrize(("kind", "data"), [("text/plain", "<p>no"), ("application/octet-stream", b"<p>no"), (None, "<p>no")])
def test_what_is_no_json_stays_what_it_is_for_who_looks_into_it(kind, data):
    assert read(b"<p>no", kind, select="a") == (data, None, None, None)


def test_what_is_said_to_be_json_and_is_none_is_an_error_and_stays():
    assert read(b"<p>no", "text/html", parse="json")[:2] == ("<p>no", "invalid JSON")


@pytest.mark.parametrize(
    "kind", ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/jsonlines", "text/x-ndjson; charset=utf-8"]
)
def test_lines_of_json_are_a_list(kind):
    assert read('{"a": "ü"}\r\n\n[1]\n2'.encode(), kind).data == [{"a": "ü"}, [1], 2]


@pytest.mark.parametrize("kind", ["application/json-seq", "application/geo+json-seq"])
def test_a_sequence_of_json_is_a_list(kind):
    assert read(b'\x1e{"a":\n 1}\n\x1e[2]\n', kind).data == [{"a": 1}, [2]]


def test_lines_of_json_are_a_list_for_who_says_so():
    assert read(b"1\n2\n", "text/plain", parse="jsonl").data == [1, 2]
    assert read(b"\xef\xbb\xbf1\n2\n", "text/plain", parse="jsonl").data == [1, 2]
    assert read("1\n2\n".encode("utf-16"), "text/plain", parse="jsonl").data == [1, 2]


def test_a_line_that_is_no_json_is_named_and_nothing_is_lost():
    outcome = read(b"1\n{]\n3", "application/x-ndjson")
    assert (outcome.data, outcome.error) == ("1\n{]\n3", "invalid JSON")
    assert outcome.detail.startswith("line 2: ")


@pytest.mark.parametrize(
    ("content", "kind", "value"),
    [
        ('{"a": "ü"}'.encode(), "application/json; charset=iso-8859-1", {"a": "ü"}),
        ('{"a": "ü"}'.encode(), "application/json; charset=us-ascii", {"a": "ü"}),
        ('{"a": "ü"}'.encode("utf-8-sig"), "application/json; charset=iso-8859-1", {"a": "ü"}),
        ('{"a": "ü"}'.encode("utf-8-sig"), "application/json; charset=utf-8", {"a": "ü"}),
        ('{"a": "ü"}'.encode("latin-1"), "application/json; charset=iso-8859-1", {"a": "ü"}),
        ('{"a": "日"}'.encode("shift_jis"), "application/json; charset=shift_jis", {"a": "日"}),
        ('{"a": "ü"}'.encode("utf-16"), "application/json; charset=utf-8", {"a": "ü"}),
    ],
)
def test_json_is_read_by_its_mark_then_utf8_then_the_charset(content, kind, value):
    assert read(content, kind).data == value


def test_csv_is_one_record_a_line_with_types_and_none():
    assert read(b"id,name,x\n1,Ada,\n,Bob,2.5\n", "text/csv", parse="csv").data == [
        {"id": 1, "name": "Ada", "x": None}, {"id": None, "name": "Bob", "x": 2.5},
    ]  # fmt: skip
    assert json.dumps(read(b"a,b\n1,true\n", None, parse="csv").data) == '[{"a": 1, "b": true}]'


def test_csv_in_another_encoding_keeps_its_letters_and_says_so():
    outcome = read("name\nMüller €\n".encode("cp1252"), "text/csv", parse="csv")
    assert outcome.data == [{"name": "Müller €"}]
    assert "windows-1252" in outcome.note


@pytest.mark.parametrize("content", [b"a,b\n1,2\n3,4,5\n", b"a\n1,2\n3,4\n", b"\n", b'a\n"open'])
def test_what_is_no_csv_is_an_error_and_stays(content):
    outcome = read(content, "text/csv", parse="csv")
    assert (outcome.data, outcome.error) == (content.decode(), "invalid CSV")


@pytest.mark.parametrize(
    "content",
    [
        '<?xml version="1.0" encoding="ISO-8859-1"?><a x="1"><b>Müller</b><b/></a>'.encode("latin-1"),
        '<a x="1"><b>Müller</b><b/></a>'.encode(),
    ],
)
def test_xml_is_nested_mappings(content):
    assert read(content, "application/xml", parse="xml").data == {"a": {"@x": "1", "b": ["Müller", None]}}


LAUGHS = b'<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]><a>&y;</a>'


@pytest.mark.parametrize("content", [b"<a>", b"no", LAUGHS, b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'])
def test_what_is_no_xml_or_has_entities_is_an_error_and_stays(content):
    outcome = read(content, "application/xml", parse="xml")
    assert (outcome.data, outcome.error) == (content.decode(), "invalid XML")


def test_text_and_bytes_are_what_who_asks_for_them_gets():
    assert read(b'{"a": 1}', "application/json", parse="text").data == '{"a": 1}'
    assert read(b'{"a": 1}', "application/json", parse="bytes").data == b'{"a": 1}'


@pytest.mark.parametrize("parse", ["csv", "xml", "text", "bytes", "jsonl"])
def test_a_refusal_is_read_by_its_own_type(parse):
    assert read(b'{"message": "no"}', "application/json", status=404, parse=parse).data == {"message": "no"}


def test_text_that_is_read_as_windows_1252_is_told():
    assert read("Müller;5 €".encode("cp1252"), "text/csv").data == "Müller;5 €"
    assert "windows-1252" in read("Müller;5 €".encode("cp1252"), "text/csv").note
    assert read("Müller".encode(), "text/csv").note is None
