"""JSON is read alike with and without the extra [fast]."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastreq_jupyter.engine import reading

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)


def read(content, content_type="application/json"):
    return reading.read_data(content, content_type, status=200, return_type="dataframe", method="GET")


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
