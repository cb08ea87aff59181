"""Whatever a cell holds, it is read or refused with its place, in linear time."""

import contextlib

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from samples.cells import plan

from fastreq_jupyter.cell.plan import build
from fastreq_jupyter.errors import CellSyntaxError
from fastreq_jupyter.options import Options

PIECES = st.sampled_from(
    [
        "http://h/", "https://h:1/a?b=c#d", "GET ", "POST ", "curl ", "curl -X POST http://h/ ", "\n", "\n\n", "###", "### x\n", "# @name a\n", "# @keep\n",
        "@a = ", "@b = {{a}}\n", "{{", "}}", "{{a}}", "{{$uuid}}", "{{$env ", "{{row.a}}", "{{a.data.x}}", "\\{{", "\\", "^", "'", '"', "$'", "`", "$", "[0-3]",
        "[9-1]", "[0-", "{x}", "Content-Type: application/json\n", "Authorization: Basic a b\n", ": ", "< ./f", "<@ f", "> {%", '{"a": ', "-H ", "-d ", "-F a=b ",
        "--data-urlencode ", " HTTP/1.1", " HTTP/2", "\t", "  ?a=b", "&c", "\r", "\x00", "\ud800", "\u2028", "\U0001f600", "a", "0", "=", "@", "//", "multipart/form-data",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=5), max_size=25).map("".join)
EACH = [("t", [{"a": 1, "b": "x"}, {"a": None, "b": [1]}])]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS, st.booleans())
@example("\ud800", False)
@example("http://h/{{a", True)
@example("POST http://h/\n\n\ud800", False)
@example("curl $'\\xff'", False)
@example("curl -d $'\\xff{{a}}' http://h/", False)
def test_a_text_gives_requests_or_a_cell_syntax_error(text, each):
    refused = None
    try:
        made = plan(text, each=EACH if each else (), namespace={"a": 1})
        for item, _ in zip(made.items, range(50), strict=False):
            assert repr(item)
    except CellSyntaxError as error:
        refused = error
    assert refused is None or (refused.line >= 1 and refused.column >= 1 and "\n" not in refused.message)


def read_or_refused(text, **more):
    with contextlib.suppress(CellSyntaxError):
        return plan(text, **more)


MEGA = 250_000
"""Characters: what takes a quadratic time with them does not come back before pytest's own timeout."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "http://h/" + "a" * MEGA,
        "http://h/" + "{{a}}" * (MEGA // 5),
        "http://h/" + "{" * MEGA,
        "http://h/" + "[" * MEGA,
        "http://h/" + "[0-" * (MEGA // 3),
        "http://h/" + "{a" * (MEGA // 2),
        "{{" + "a." * (MEGA // 2) + "}}",
        "{{a" + "[0]" * (MEGA // 3) + "}}",
        "http://h/\nA: " + "x " * (MEGA // 2),
        "POST http://h/\n\n" + '"\\' * (MEGA // 2),
        "POST http://h/\n\n{" + '"a": {{a}},' * 50_000,
        "POST http://h/\n\n" + "x\n" * (MEGA // 2),
        "curl 'http://h/" + "x" * MEGA + "'",
        "curl http://h/ " + "-H 'a: b' " * 20_000,
        "curl http://h/ " + "'\n" * 50_001,
        "curl http://h/ " + "\\\n" * 100_000,
        "curl $'" + "\\x41" * (MEGA // 4) + "' ",
        'curl ^"http://h/^" ' + "^\n" * 100_000,
        "@a0 = x\n" + "".join(f"@a{n + 1} = {{{{a{n}}}}}{{{{a{n}}}}}\n" for n in range(60)) + "http://h/{{a60}}",
        "".join(f"@a{n} = {{{{a{n + 1}}}}}\n" for n in range(20_000)) + "@a20000 = {{a0}}\nhttp://h/{{a0}}",
        "# @name " + "a" * MEGA + "\nhttp://h/",
        " " * MEGA + "http://h/",
        "@" * MEGA,
        "GET " + " " * MEGA + "x",
        "http://" + "a." * (MEGA // 2) + "/",
        "http://h/?" + "&".join(["token={{a}}"] * 20_000),
    ],
)  # fmt: skip
def test_a_huge_text_is_read_or_refused_in_bounded_time(text):
    read_or_refused(text, namespace={"a": 1})


@pytest.mark.slow
def test_variables_that_double_are_refused_not_expanded():
    text = "@a0 = x\n" + "".join(f"@a{n + 1} = {{{{a{n}}}}}{{{{a{n}}}}}\n" for n in range(60)) + "http://h/{{a60}}"
    with pytest.raises(CellSyntaxError, match="grow"):
        plan(text)


@pytest.mark.slow
def test_thirty_thousand_lines_of_each_kind_are_read():
    for line in ("http://h/{}", "# comment {}", "GET http://h/{}", "@v{} = x"):
        text = "\n".join(line.format(n) for n in range(30_000)) + "\nhttp://h/"
        assert read_or_refused(text) is not None, line


@pytest.mark.slow
@pytest.mark.parametrize("head", ["", "@base = https://api.example.com\n"])
def test_two_hundred_thousand_urls_are_read(head):
    text = head + "\n".join(
        f"{'{{base}}' if head else 'https://api.example.com'}/v1/customers/{n:08d}/orders?p={n % 10}" for n in range(200_000)
    )
    made = build(text, options=Options())
    assert made.total == 200_000
    assert next(iter(made.items)).url == "https://api.example.com/v1/customers/00000000/orders?p=0"
