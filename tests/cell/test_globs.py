"""Numeric ranges in URLs."""

import re

import pytest
from samples.cells import items, plan, urls

from fastreq_jupyter.errors import CellSyntaxError


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("[0-3]", ["0", "1", "2", "3"]),
        ("[08-10]", ["08", "09", "10"]),
        ("[0-20:5]", ["0", "5", "10", "15", "20"]),
        ("[0-9:4]", ["0", "4", "8"]),
        ("[5-5]", ["5"]),
        ("[1-2]/[8-9]", ["1/8", "1/9", "2/8", "2/9"]),
    ],
)
def test_ranges_count(text, ends):
    assert urls(f"http://h/{text}") == [f"http://h/{end}" for end in ends]


def test_ranges_work_in_hosts_and_queries():
    assert urls("http://h[1-2].example/?p=[1-2]") == [f"http://h{h}.example/?p={p}" for h in (1, 2) for p in (1, 2)]


def test_addresses_and_brackets_without_range_are_left():
    assert urls("http://[::1]:80/x?a[]=1&filter[name]=2&b[0]=3") == ["http://[::1]:80/x?a[]=1&filter[name]=2&b[0]=3"]


def test_a_range_in_a_value_is_no_range():
    assert urls("http://h/{{x}}", namespace={"x": "[1-3]"}) == ["http://h/%5B1-3%5D"]


@pytest.mark.parametrize("text", ["[5-1]", "[0-5:0]", "[a-z]", "[0-1000000000]", "[0-9999]/[0-9999]", f"[0-{'9' * 200}]"])
def test_a_range_that_is_none_or_too_many_is_refused(text):
    with pytest.raises(CellSyntaxError) as caught:
        items(f"GET http://h/{text}")
    assert caught.value.line == 1


@pytest.mark.parametrize("text", ["[1..5]", "[1...5]", "[1 - 5]", "[ 1-5 ]", "[1\u20135]", "[1..{{n}}]", "[{{m}} - {{n}}]"])
def test_what_was_meant_as_a_range_is_told(text):
    with pytest.raises(CellSyntaxError) as caught:
        items(f"http://h/{text}", namespace={"n": 5, "m": 1})
    written = re.sub(r" |\.\.\.?|\u2013", "-", text).replace("---", "-").replace("[-", "[").replace("-]", "]")
    assert f"write {written} for a range" in str(caught.value)


def test_what_was_not_meant_as_a_range_can_be_sent():
    assert urls(r"http://h/\[1..5\]?a=[1]&b=[x..y]") == ["http://h/[1..5]?a=[1]&b=[x..y]"]


def test_ten_million_are_lazy():
    made = plan("http://h/[0-9999999]")
    assert made.total == 10_000_000
    assert next(iter(made.items)).url == "http://h/0"


def test_bounds_of_a_range_may_be_values_of_the_cell_or_the_notebook():
    text = "@first = 08\nGET http://h/[{{first}}-{{ n }}]?p={{q}}\nGET http://h/[0-{{n}}:{{step}}]/a[1-1]"
    assert urls(text, namespace={"n": 10, "step": 5, "q": "x"}) == [
        "http://h/08?p=x", "http://h/09?p=x", "http://h/10?p=x", "http://h/0/a1", "http://h/5/a1", "http://h/10/a1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("http://h/[1-{{n}}]", "line 1, column 10: '2.5' is no bound of a range"),
        ("http://h/[1-{{i}}]", "{{i}} bounds a range, so it must be the same for every row"),
        ("http://h/[1-{{$randomInt 1 2}}]", "must be the same for every row"),
        ("http://h/[9-{{small}}]", "[9-5] holds nothing"),
        ("http://h/[1-{{nope}}]", "column 13: {{nope}}"),
    ],
)
def test_bounds_that_do_not_fit_are_refused_with_their_place(text, message):
    with pytest.raises(CellSyntaxError, match=re.escape(message)):
        plan(text, namespace={"n": 2.5, "small": 5}, each=[("rows", [{"i": 1}])])
