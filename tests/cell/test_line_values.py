"""Placeholders in the options of a magic's line."""

import pytest

from fastreq_jupyter.cell.line import fill_options, parse_line
from fastreq_jupyter.errors import OptionError


def filled(line, **namespace):
    return fill_options(parse_line(line, cell=True).options, namespace)


def refused(line, **namespace):
    with pytest.raises(OptionError) as caught:
        filled(line, **namespace)
    return str(caught.value)


def test_an_option_that_is_one_placeholder_gets_the_value_itself():
    assert filled("-c {{n}} --timeout {{limits.slow}}", n=3, limits={"slow": 2.5}) == {"concurrency": 3, "timeout": 2.5}


def test_within_other_text_the_value_is_text():
    assert filled("--journal runs-{{day}}.db", day=7) == {"journal": "runs-7.db"}


def test_the_environment_can_be_named(monkeypatch):
    monkeypatch.setenv("PROXY_HOST", "p.example")
    assert filled("--proxy http://{{$env PROXY_HOST}}:1") == {"proxy": "http://p.example:1"}


def test_what_is_filled_for_each_row_is_left():
    line = "-H 'A: {{x}}' -d {{y}} --save-to img/{{z}}"
    assert filled(line) == {"headers": ("A: {{x}}",), "data": "{{y}}", "save_to": "img/{{z}}"}


def test_a_name_that_is_not_there_is_told_with_its_option():
    assert (
        refused("-c {{m}}", n=3)
        == "concurrency: {{m}}: nothing in the cell or the notebook is named 'm'; \\{{ is for the braces themselves"
    )


@pytest.mark.parametrize(("line", "shown"), [("-c {n}", "{n}"), ("-c $n", "$n"), ("-H 'A: x{n}'", "{n}"), ("-d '{\"a\": ${n}}'", "${n}")])
def test_what_ipython_would_have_replaced_is_refused(line, shown):
    assert refused(line, n=3) == f"{shown} is not replaced here: write {{{{n}}}} for the variable"


@pytest.mark.parametrize("line", ["-H 'A: $5 {}'", "-d '{\"n\": 1}'", "--select '{n: m}'", "-d '{{n}}'", "--select '{a: x}.$n'"])
def test_other_braces_and_signs_are_text(line):
    assert filled(line, a=3, x=1)
