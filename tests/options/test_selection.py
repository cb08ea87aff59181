"""JMESPath is checked before anything is sent, in one line."""

from __future__ import annotations

import pytest

from fastreq_jupyter.errors import OptionError
from fastreq_jupyter.options.selection import Selection, check_expression


@pytest.mark.parametrize("text", ["items", "items[].{id: id}", "headers.etag", "sort_by(items, &id)[0]", "merge(a, b, c)", "@", "a || b"])
def test_good_expressions_pass(text):
    check_expression(text)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("items[", "select='items[' is no JMESPath at column 7: it ends too early"),
        ("a b", "select='a b' is no JMESPath at column 3: unexpected 'b'"),
        ("", "select='' is no JMESPath: it is empty"),
        ("$.items", "select='$.items' is no JMESPath: '$' is JSONPath; write items"),
        ("lenght(@)", "select='lenght(@)': JMESPath has no function lenght(): did you mean length()?"),
        ("length(a, b)", "select='length(a, b)': length() takes 1 argument, not 2"),
    ],
)
def test_a_bad_expression_is_refused_in_one_line(text, line):
    with pytest.raises(OptionError) as caught:
        check_expression(text)
    assert str(caught.value) == line


@pytest.mark.parametrize("text", ["(" * 100_000, "(" * 9_000, "[?a=1]", "a#b", "\x00"])
def test_no_text_gets_through_as_another_error(text):
    with pytest.raises(OptionError) as caught:
        check_expression(text, "expand")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_an_expression_that_does_not_fit_the_body_is_a_value_error_in_one_line():
    with pytest.raises(ValueError, match="length"):
        Selection("length(a)").search({})


def test_it_is_known_whether_headers_are_read():
    assert Selection("headers.x").reads_headers
    assert Selection("{a: x, b: headers.y}").reads_headers
    assert not Selection("[].headers.x").reads_headers
    assert not Selection("@.headers.x").reads_headers
