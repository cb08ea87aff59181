"""Lines that need no second look mean the same as those that get one."""

import pytest
from samples.cells import items, urls

from fastreq_jupyter.errors import CellSyntaxError

BASES = ("http://h.example", "http://h:41285/v1", "http://h/?q=", "http://h/a b", "http://h:70000", "h.example", "", 7, None)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("line", ["{{base}}", "{{base}}/x?y=1", "GET {{ base }}/x", "DELETE {{base}}/x", "{{base}}?q=1", "{{base}}.b/x"])
def test_a_line_behind_a_variable_means_what_the_grammar_would_make_of_it(base, line):
    def made(text):
        try:
            return items(text, namespace={"base": base, "none": ""})
        except CellSyntaxError as error:
            return error.message

    # A blank before the line: it is no plain one any more.
    assert made(line) == made(f" {line}")


def test_variables_of_the_cell_go_before_those_of_the_notebook_wherever_they_stand():
    above = "@base = http://cell\n{{base}}/1\n{{base}}/2"
    below = "{{base}}/1\n{{base}}/2\n\n@base = http://cell"
    for text in (above, below):
        assert urls(text, namespace={"base": "http://notebook"}) == ["http://cell/1", "http://cell/2"]
    assert urls("{{name}}/1\n@name = http://cell", namespace={"name": "http://notebook"}) == ["http://cell/1"]


def test_a_variable_made_of_another_is_followed():
    assert urls("@host = http://h\n@base = {{host}}/v1\n{{base}}/1") == ["http://h/v1/1"]


def test_columns_go_before_variables():
    each = [("t", [{"base": "http://row"}])]
    assert urls("{{base}}/1", each=each, namespace={"base": "http://notebook"}) == ["http://row/1"]
    assert urls("@base = http://cell\n{{base}}/1", each=each) == ["http://row/1"]


def test_named_answers_go_before_variables():
    first, second = items("# @name base\nhttp://h/1\n###\nGET {{base.data.next}}", namespace={"base": "http://notebook"})
    assert (first.url, second.needs) == ("http://h/1", (0,))
    with pytest.raises(CellSyntaxError, match="name a part of its answer"):
        items("# @name base\nhttp://h/1\n###\n{{base}}/x", namespace={"base": "http://notebook"})


def test_headers_and_queries_below_such_a_line_belong_to_it():
    (item,) = items("{{base}}/x\n?a=1\nA: b", namespace={"base": "http://h"})
    assert (item.url, item.headers) == ("http://h/x?a=1", (("A", "b"),))


def test_the_options_for_urls_alone_apply_to_such_a_line():
    (item,) = items("{{base}}/x", namespace={"base": "http://h"}, method="POST", data="d", params={"p": 1}, headers={"A": "b"})
    assert (item.method, item.url, item.content, item.headers) == ("POST", "http://h/x?p=1", b"d", (("A", "b"),))
