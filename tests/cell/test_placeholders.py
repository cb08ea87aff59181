"""Values in their places: where a placeholder stands decides how its value goes in."""

import base64
import dataclasses
import datetime as dt
import json
import uuid
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples.cells import items, one, plan, urls

from fastreq_jupyter.errors import CellSyntaxError
from fastreq_jupyter.model import Unsendable
from fastreq_jupyter.url import parse_target
from fastreq_jupyter.values import json_of, text_of


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class User:
    id: int
    name: str = "ada"


@dataclasses.dataclass(slots=True)
class Slotted:
    id: int


class Tempting:
    public = 1

    def __getattr__(self, name):
        raise AssertionError("a lookup ran code")

    @property
    def danger(self):
        raise AssertionError("a property ran")


class Colour(Enum):
    RED = "red"


def refused(text, **more):
    with pytest.raises(CellSyntaxError) as caught:
        items(text, **more)
    return caught.value


def filled(text, **namespace):
    return one(text, namespace=namespace)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a/b ?&#%", "a%2Fb%20%3F%26%23%25"),
        (5.0, "5"),
        (2.5, "2.5"),
        (True, "true"),
        (np.bool_(False), "false"),
        (np.int64(7), "7"),
        (np.float32(0.1), "0.1"),
        (Decimal("1.50"), "1.50"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (pd.Timestamp("2026-01-02 03:04"), "2026-01-02T03%3A04%3A00"),
        (np.datetime64("2026-01-02"), "2026-01-02"),
        (dt.timedelta(days=1, seconds=2.5), "P1DT2.500000S"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Colour.RED, "red"),
        (Fraction(1, 2), "1%2F2"),
        ("\U0001f600", "%F0%9F%98%80"),
        (10**30, "1" + "0" * 30),
    ],
)
def test_a_value_in_a_path_is_percent_encoded_text(value, text):
    assert filled("http://h/{{x}}", x=value).url == f"http://h/{text}"


def test_a_raw_value_keeps_reserved_characters():
    assert filled("http://h/{{+x}}?{{+q}}", x="a/b c", q="a=1&b=2").url == "http://h/a/b%20c?a=1&b=2"


def test_a_cell_variable_keeps_slashes_in_a_path_only():
    assert urls("@p = a/b c\nhttp://h/{{p}}?q={{p}}&r={{+p}}") == ["http://h/a/b%20c?q=a%2Fb%20c&r=a/b%20c"]


def test_a_value_within_a_cell_variable_is_encoded_where_it_is_used():
    assert urls("@p = users/{{name}}\nhttp://h/{{p}}", namespace={"name": "../x"}) == ["http://h/users/..%2Fx"]


def test_the_start_of_a_url_is_put_in_as_it_stands():
    assert filled("{{base}}/x/{{y}}?{{z}}", base="https://h:8/v1", y="a/b", z="c d").url == "https://h:8/v1/x/a%2Fb?c%20d"


def test_a_value_after_a_start_with_query_is_a_query_value():
    assert filled("{{base}}{{y}}", base="http://h/?a=", y="b&c").url == "http://h/?a=b%26c"


@pytest.mark.parametrize("host", ["h.example", "h.example:8080", "[::1]:80", "b\u00fccher.example"])
def test_a_host_or_host_and_port_fits_the_authority(host):
    assert filled("http://{{x}}/a", x=host).url == f"http://{host}/a"


@pytest.mark.parametrize("host", ["h/../x", "a@b", "h?x", "h#", "a b", "", "h\\x", "h\n"])
def test_nothing_else_fits_the_authority(host):
    assert "host" in str(refused("http://{{x}}/a", namespace={"x": host}))


def test_userinfo_is_encoded_and_secret():
    request = filled("http://{{u}}:{{p}}@h/x", u="ada", p="p@/w")
    assert request.url == "http://ada:p%40%2Fw@h/x"
    assert "p@/w" in request.secrets


def test_a_dot_segment_does_not_climb():
    found = items("http://h/a/{{x}}/b", each=[("x=values", ["ok", "..", "."])])
    assert [getattr(item, "error", None) for item in found] == [None, "invalid URL", "invalid URL"]


def test_a_variable_that_makes_no_url_is_refused():
    assert refused("{{x}}/a", namespace={"x": "ftp://h"}).column == 1


def test_a_row_that_makes_no_url_is_an_error_row():
    good, bad = items("{{link}}", each=[("link=links", ["http://h/1", "javascript:alert(1)"])])
    assert good.url == "http://h/1"
    assert isinstance(bad, Unsendable)
    assert bad.error == "invalid URL"


def test_missing_values_are_null_in_json_and_error_rows_elsewhere():
    table = pd.DataFrame({"a": [1.5, None], "t": [pd.Timestamp("2026-01-01"), pd.NaT], "n": pd.array([1, None], "Int64")})
    for name in "atn":
        first, second = items(f'POST http://h/\n\n{{"v": {{{{{name}}}}}}}', each=[("table", table)])
        assert json.loads(first.content)["v"] is not None
        assert json.loads(second.content) == {"v": None}
        _, second = items(f"http://h/{{{{{name}}}}}", each=[("table", table)])
        assert second.error == "invalid value"
        _, second = items(f'POST http://h/\n\n{{"v": "{{{{{name}}}}}"}}', each=[("table", table)])
        assert second.error == "invalid value"


def test_a_missing_constant_is_refused_at_once():
    assert "None" in str(refused("http://h/{{x}}", namespace={"x": None}))


def test_json_text_is_escaped_within_quotes():
    request = filled('POST http://h/\n\n{"a": "<{{x}}>", "b\\"{": {{y}}}', x='q"\\\n\u2028', y='z"')
    assert json.loads(request.content) == {"a": '<q"\\\n\u2028>', 'b"{': 'z"'}


def test_json_values_outside_quotes_keep_their_type():
    request = filled(
        'POST http://h/\n\n{"a": {{i}}, "b": {{f}}, "c": {{t}}, "d": {{n}}, "e": {{l}}, "g": {{d}}, "h": {{w}}}',
        i=np.int64(3), f=2.0, t=True, n=None, l=[1, {"x": (2, "y")}], d=dt.date(2026, 1, 2), w=Decimal("1.10"),
    )  # fmt: skip
    assert request.content == b'{"a": 3, "b": 2.0, "c": true, "d": null, "e": [1, {"x": [2, "y"]}], "g": "2026-01-02", "h": 1.10}'


def test_the_row_is_the_whole_record():
    table = pd.DataFrame({"id": [1], "order date": pd.to_datetime(["2026-01-02"]), "x": [None]})
    assert json.loads(one("POST http://h/\n\n{{ row }}", each=[("table", table)]).content) == {
        "id": 1,
        "order date": "2026-01-02T00:00:00",
        "x": None,
    }


def test_a_cell_variable_goes_into_json_as_it_stands():
    assert one('@v = {"a": "{{x}}"}\nPOST http://h/\n\n{{v}}', namespace={"x": 'q"'}).content == b'{"a": "q\\""}'


def test_forms_are_encoded():
    text = "POST http://h/\nContent-Type: application/x-www-form-urlencoded\n\na={{x}}&b={{+x}}"
    assert filled(text, x="1&2 3").content == b"a=1%262%203&b=1&2%203"


def test_xml_is_escaped_and_plain_text_is_not():
    for kind, text in (("application/xml", b"<a>1 &lt; &amp;</a>"), ("text/plain", b"<a>1 < &</a>")):
        assert filled(f"POST http://h/\nContent-Type: {kind}\n\n<a>{{{{x}}}}</a>", x="1 < &").content == text


def test_a_header_takes_text():
    assert filled("http://h/\nX-A: a {{x}}{{y}}", x="caf\u00e9", y=5.0).headers == (("X-A", "a caf\u00e95"),)


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b"])
def test_a_header_takes_no_control_characters_from_any_row(value):
    error = refused("http://h/\nX: {{v}}", each=[("v=values", ["fine", value])])
    assert (error.line, error.column) == (2, 4)
    assert "row 1" in str(error)


@pytest.mark.parametrize(
    "value",
    [[1], {"a": 1}, (n for n in [1]), pd.DataFrame({"a": [1]}), pd.Series([1]), np.array([1]), object(), b"x", float("inf"), "\ud800"],
)
def test_a_value_that_has_no_text_is_refused_with_type_and_place(value):
    error = refused("http://h/{{ x }}", namespace={"x": value})
    assert type(value).__name__ in str(error) or "lone" in str(error)
    assert (error.line, error.column) == (1, 10)


def test_an_object_is_refused_without_running_it():
    assert "Tempting" in str(refused("http://h/{{ x }}", namespace={"x": Tempting()}))


def test_a_value_that_fits_no_place_in_one_row_stops_all():
    assert "list" in str(refused("http://h/{{v}}", each=[("v=values", ["a", [1]])]))


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("user.name", "ada"),
        ("slotted.id", "2"),
        ("point.y", "4"),
        ("d.a.b", "5"),
        ("d['a b']", "6"),
        ('d["_id"]', "7"),
        ("items[0].id", "8"),
        ("items[-1].id", "9"),
        ("series.k", "10"),
        ("frame.c[1]", "12"),
        ("numbers[1]", "14"),
    ],
)
def test_attributes_and_items_are_read_statically(expression, value):
    namespace = {
        "user": User(1), "slotted": Slotted(2), "point": Point(3, 4), "d": {"a": {"b": 5}, "a b": 6, "_id": 7},
        "items": [{"id": 8}, {"id": 9}], "series": pd.Series({"k": 10}), "frame": pd.DataFrame({"c": [11, 12]}), "numbers": np.array([13, 14]),
    }  # fmt: skip
    assert one(f"http://h/{{{{{expression}}}}}", namespace=namespace).url == f"http://h/{value}"


@pytest.mark.parametrize(
    "expression",
    [
        "x.danger", "x.public", "x.anything", "x.__class__", "d.__class__", "d._id", "_secret", "__builtins__", "d.keys", "module.environ",
        "d['__class__']", "text.upper", "f(1)", "1 + 1", "d.a()", "text[0]", "d[0]", "items[9]", "space.a",
    ],
)  # fmt: skip
def test_nothing_is_evaluated_and_nothing_hidden_is_reached(expression):
    import os

    namespace = {"x": Tempting(), "d": {"_id": 1}, "_secret": "s", "module": os, "text": "abc", "items": [1], "space": SimpleNamespace(a=1)}
    refused(f"http://h/{{{{{expression}}}}}", namespace=namespace)


def test_a_near_name_is_offered():
    assert "did you mean customer?" in str(refused("http://h/{{custmer}}", namespace={"customer": 1}))


def test_escaped_braces_are_literal():
    assert one("POST http://h/\n\n\\{{x}} {{y}}", namespace={"y": 1}).content == b"{{x}} 1"
    assert urls("http://h/\\{{x}}/\\{a}/\\[1-3]") == ["http://h/{{x}}/{a}/[1-3]"]


def test_dynamic_values():
    text = "http://h/{{$env USER}}/{{$dotenv FILE_KEY}}/{{$secret RING}}/{{$timestamp}}/{{$randomInt 1 6}}"
    request = one(text)
    assert request.url == "http://h/ada/from-dotenv/from-keyring/1700000000/6"
    assert request.secrets == {"ada", "from-dotenv", "from-keyring"}


def test_a_secret_may_be_a_variable_of_the_notebook():
    request = one("http://h/?k={{$secret mine}}", namespace={"mine": "abc"})
    assert request.url == "http://h/?k=abc"
    assert request.secrets == {"abc"}


def test_a_uuid_is_new_each_time_but_once_in_a_variable():
    first, second = urls("@id = {{$uuid}}\nhttp://h/{{id}}/{{$uuid}}\nhttp://h/{{id}}/{{$uuid}}")
    assert first.split("/")[3] == second.split("/")[3]
    assert first.split("/")[4] != second.split("/")[4]


@pytest.mark.parametrize(
    "call", ["$env NOPE", "$env", "$nope", "$randomInt 5", "$randomInt 6 1", "$randomInt a b", "$dotenv X", "$secret X", "$aadToken", "$"]
)
def test_a_dynamic_value_that_cannot_be_made_is_refused(call):
    assert refused(f"http://h/{{{{{call}}}}}").column == 10


def test_secrets_never_stand_in_messages():
    error = refused("http://{{$env TOKEN}}\n/", namespace={})
    assert "s3cret" not in str(error)


@settings(deadline=None)
@given(st.text())
def test_any_text_in_path_and_query_comes_out_again(text):
    from urllib.parse import unquote

    try:
        text.encode()
    except UnicodeEncodeError:
        return
    if text in (".", ".."):
        return
    target = parse_target(one("http://h/{{x}}?q={{x}}", namespace={"x": text}).url)
    path, query = target.path_query.split("?")
    assert unquote(path[1:]) == text
    assert unquote(query[2:]) == text


@pytest.mark.slow
@settings(deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(codec="utf-8")),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner)))  # fmt: skip
def test_json_of_is_what_json_says(value):
    assert json.loads(json_of(value)) == value


def test_text_of_never_calls_unknown_classes():
    class Sneaky(str):
        __slots__ = ()

        def __str__(self):
            raise AssertionError

    assert text_of(Sneaky("a")) == "a"


HINTS = {
    'POST http://h/\nA: Bearer {token}\n\n{"a": "$token", "b": {n}}': ["line 2: {token}", "line 1: {n}"],
    "http://h/$token/x": ["$token"],
    "GET http://h/$n\nB: 1": ["line 1: $n"],
    "http://h/?$top=1&$n=2": [],
    "http://h/{{n}}/$other": [],
    'POST http://h/\nC: $ n {n }\n\n\\{{n}} {{n}} $$n {print} \\$n {"n": 1}': [],
    'POST http://h/\n\n{"query": "query($n: ID!) { x(id: $n) { n } }"}': [],
    "curl http://h/ -H 'A: {token}' -d '$n'": ["line 1: {token}", "line 1: $n"],
}


@pytest.mark.parametrize("text", HINTS)
def test_names_in_single_braces_or_behind_a_dollar_are_told(text):
    notes = plan(text, namespace={"token": "x", "n": 5, "top": 1, "print": print, "other": [1]}).notes
    assert [note.partition(" is sent")[0] for note in notes] == HINTS[text]
    assert all(note.partition("write ")[2].startswith("{{") for note in notes)


def test_columns_and_cell_variables_are_told_too():
    text = "@v = 1\nPOST http://h/{{sku}}\n\n{v} {sku}"
    assert len(plan(text, each=[("rows", [{"sku": "a"}])]).notes) == 2


def test_braces_that_name_nothing_may_be_meant_as_they_stand():
    with pytest.raises(CellSyntaxError, match=r"\\\{\{ is for the braces themselves"):
        items("POST http://h/\n\n{{doc.title}}")


def test_credentials_that_are_encoded_take_any_letter():
    request = one("GET http://h/\nAuthorization: Basic {{u}} {{p}}", namespace={"u": "ada", "p": "p\u20ac"})
    assert request.header("authorization") == "Basic " + base64.b64encode("ada:p\u20ac".encode()).decode()
    with pytest.raises(CellSyntaxError, match="line break"):
        items("GET http://h/\nAuthorization: Basic {{u}} {{p}}", namespace={"u": "ada", "p": "a\nb"})
