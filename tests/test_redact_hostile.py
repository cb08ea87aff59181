import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastreq_jupyter.redact import one_line, redact_body, redact_url


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\r\n\there", "two lines here"),
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07x\x1bcy", "red xy"),
        ("a\u202eb\u2066c", "a\ufffdb\ufffdc"),
        ("a\x00b\x9bc\ud800d", "a\ufffdb\ufffdc\ufffdd"),
        ("  spaced\u2028out  \n", "spaced out"),
        ("ä 漢 👩\u200d🔬", "ä 漢 👩\u200d🔬"),
        ("x" * 400, "x" * 299 + "…"),
    ],
)
def test_text_from_the_network_becomes_one_harmless_line(text, shown):
    assert one_line(text) == shown


@given(st.text(max_size=200))
def test_any_text_becomes_one_harmless_line(text):
    line = one_line(text)
    assert len(line) <= 300
    assert not any(c in line for c in "\n\r\x1b\x00\u202e\u2028")


@given(st.text(max_size=80))
def test_any_text_is_redacted_the_same_twice(text):
    assert redact_url(redact_url(text)) == redact_url(text)
    body = text.encode("utf-8", "replace")
    assert redact_body(body, None) is not None


EVIL = [
    "@",
    "//",
    "//a:b",
    "?a=1;",
    ";",
    "&token=",
    '"',
    '\\"',
    '"token":"',
    '{"token":',
    "[",
    '"token":[',
    "\x1b]",
    "%",
    "#?",
    'name="token"\r\n',
    'name="token"\r\n\r\n',
    "--",
]


@pytest.mark.parametrize("piece", EVIL)
def test_long_hostile_texts_are_shown_in_bounded_time(piece):
    size = 200_000
    text = "@" + piece * (size // len(piece))
    # What takes a quadratic time does not come back before pytest's own timeout.
    redact_url(text)
    one_line(text)
    for kind in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data"):
        redact_body(text.encode(), kind, ["canary-value"], limit=size)


def test_a_plain_url_costs_few_calls():
    calls = 0

    def count(frame, event, arg):
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        for number in range(100):
            redact_url(f"https://api.example.com/v1/items/{number}")
    finally:
        sys.setprofile(None)
    assert calls <= 300
