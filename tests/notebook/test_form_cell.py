"""A body means the same however long it is, and the cell of a form says exactly what the form sends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ipywidgets import Widget

from fastreq_jupyter.cell.line import parse_line
from fastreq_jupyter.notebook.form.cell import BodyError, cell_text
from fastreq_jupyter.notebook.form.panel import Panel
from fastreq_jupyter.notebook.order import draft

URL = "http://127.0.0.1:9/x"
VALUES = {"price": 7, "x": "y"}


@pytest.fixture(autouse=True)
def _closed():
    yield
    Widget.close_all()


def sent(requests, method, body, headers=()):
    """Return the bodies that the cell of a form sends."""
    text = cell_text(requests, method, body, headers)
    line = " ".join([*text.flags, *(f"-H '{header}'" for header in headers)])
    order = draft(parse_line(line, cell=True), text.text, namespace=VALUES, outer={}, first_line=2).order()
    return [(request.method, (request.content or b"").decode()) for request in order.call.plan.requests]


@pytest.mark.parametrize(
    "body",
    [
        "x", "  two blanks around  ", "{x}", "cost $price", "${x}", "it's \"so\"", "back\\slash", "# no comment", "// none", "@x = 1", "-d", "--help",
        "a\nb", "  a\n\n\n   b  ", "a\n@x", '{\n  "a": 1\n}', "a\n<b>", "<?xml version='1.0'?>\n<a/>", "a\n?b=1\n&c=2",
        "a; b", "a\u2028b\x0cc", "GET", "curl", "a\tb", "ä\n€",
    ],
)  # fmt: skip
def test_a_body_is_sent_as_it_stands(body):
    assert sent(f"{URL}\n\n{URL}/2", "POST", body) == [("POST", body)] * 2


ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00"), max_size=60)
TELLING = st.lists(
    st.sampled_from(
        [
            "\n",
            " ",
            "#",
            "###",
            "<",
            "< ",
            "/",
            "{",
            "}",
            "{{x}}",
            "\\",
            "'",
            '"',
            "$x",
            "@",
            "GET ",
            "http://a",
            "-d",
            "?",
            "&",
            "\u2028",
            "a",
        ]
    ),
    max_size=14,
).map("".join)


@given(ANY | TELLING)
def test_any_body_is_sent_as_it_stands_or_refused(body):
    lines = body.split("\n")
    if "{{" in body or not any(line.strip() for line in lines) or body.strip("\n").startswith("<"):
        return
    try:
        found = sent(URL, "PUT", body)
    except BodyError:
        return
    while not lines[0].strip():
        lines.pop(0)
    while not lines[-1].strip():
        lines.pop()
    assert found == [("PUT", "\n".join(lines))]


def test_placeholders_are_filled_in_a_line_and_in_several():
    assert sent(URL, "POST", "{{x}}") == [("POST", "y")]
    assert sent(URL, "POST", "{{x}}\n{{price}} \\{{x}}") == [("POST", "y\n7 {{x}}")]


def test_blank_lines_at_the_ends_are_left_out():
    assert sent(URL, "POST", "\n\n a\nb \n\n") == [("POST", " a\nb ")]
    assert sent(URL, "POST", "\n a \n") == [("POST", " a ")]


def test_a_file_line_sends_the_file(tmp_path):
    (tmp_path / "body.json").write_text("[1]")
    assert sent(URL, "POST", f"< {tmp_path}/body.json") == [("POST", "[1]")]


@pytest.mark.parametrize("body", ["a\n### b", f"a\nPOST {URL}", "a\n# @name b", "< no/file\nb", "> {% x %}\nb", f"{{\n{URL}\n}}"])
def test_what_a_cell_would_read_as_something_else_is_refused(body):
    with pytest.raises(BodyError, match=r"line [12]"):
        cell_text(URL, "POST", body)


def test_other_methods_send_a_body_with_a_content_type():
    assert sent(URL, "DELETE", "a\nb", ["Content-Type: text/plain"]) == [("DELETE", "a\nb")]
    assert sent(URL, "GET", "a", ["Content-Type: text/plain"]) == [("GET", "a")]
    with pytest.raises(BodyError, match="DELETE sends no body"):
        cell_text(URL, "DELETE", "a\nb")


def test_comments_variables_and_names_stay_with_their_url():
    text = cell_text(f"@base = {URL}\n# @name first\n{{{{base}}}}/1\n// second\n{{{{ base }}}}/2", "PUT", "a\nb")
    assert text.text == (f"@base = {URL}\n# @name first\nPUT {{{{base}}}}/1\n\na\nb\n\n###\n// second\nPUT {{{{ base }}}}/2\n\na\nb")
    assert [text.origin(line) for line in (3, 5, 6, 10, 13)] == [("requests", 3), ("data", 1), ("data", 2), ("requests", 5), ("data", 2)]


def test_the_cell_of_a_form_gives_the_order_of_the_form():
    made = Panel(f"{URL}/[1-2]", "rows", namespace=VALUES, method="POST", concurrency=2)
    made.fields["data"].control.value = '{"id": {{price}}}'
    head, _, text = made.cell.partition("\n")
    line = parse_line(head.removeprefix("%%fastreq"), cell=True)
    again = draft(line, text, namespace=VALUES, outer={}, first_line=2).order()
    assert list(again.call.plan.requests) == list(made.order().call.plan.requests)
    assert again.call.options == made.order().call.options


def test_a_comment_within_a_body_is_told_with_its_line():
    with pytest.raises(BodyError, match="line 2: a cell would not read this as it stands"):
        cell_text(URL, "POST", "a\n  # b\nc")
