"""--select and --expand: bodies become rows and typed columns."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import JSON_TYPE, failed, good

from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.frame.build import to_frame
from fastreq_jupyter.frame.shape import MAX_COLUMNS, explode_frame
from fastreq_jupyter.model import Request, Response
from fastreq_jupyter.options import Options

ITEMS = {"items": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}], "next": None}


def _select(expression, *outcomes, **more):
    return to_frame(outcomes, Options.of(select=expression, **more))


def _expand(*bodies, expression=True):
    return to_frame([good(i, body) for i, body in enumerate(bodies)], Options.of(expand=expression))


def _new(frame):
    base = set(to_frame([], Options()))
    return [name for name in frame if name not in base]


def _notes(frame):
    return frame.attrs["fastreq"]["notes"]


def test_select_gives_one_row_per_item_and_repeats_the_index():
    frame = _select("items", good(0, ITEMS), good(1, {"items": [{"id": 3}]}))
    assert frame.data.tolist() == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}, {"id": 3}]
    assert frame.item.tolist() == [0, 1, 0]
    assert frame.item.dtype == "Int32"
    assert frame.index.tolist() == [0, 0, 1]
    assert frame.url.tolist()[1:] == ["https://api.test/items/0", "https://api.test/items/1"]


def test_the_column_item_stands_before_data():
    columns = list(_select("items", good(0, ITEMS)))
    assert columns[columns.index("data") - 1] == "item"


@pytest.mark.parametrize("body", [{"items": None}, {}, {"value": [1]}, [], [1], "text", b"bytes"])
def test_where_nothing_is_selected_the_row_keeps_its_body_and_a_line_says_so(body):
    frame = _select("items", good(0, body), good(1, ITEMS))
    assert frame.data.tolist()[0] == body
    assert frame.item.tolist() == [pd.NA, 0, 1]
    assert frame.ok.tolist() == [True] * 3
    assert _notes(frame)[0].startswith("select: items found nothing in 1 of 2 bodies; they ")


def test_nothing_found_is_told_with_what_the_bodies_do_have():
    bodies = [{"@odata.context": "x", "value": []}, {"value": [], "next\x1b[31m": 1}, ITEMS]
    frame = _select("items", *(good(i, body) for i, body in enumerate(bodies)))
    assert _notes(frame) == ["select: items found nothing in 2 of 3 bodies; they have @odata.context, value, next"]


@pytest.mark.parametrize("body", [{"items": []}, None])
def test_an_empty_list_and_an_empty_body_keep_one_row_without_a_line(body):
    frame = _select("items", good(0, body))
    assert (frame.data.tolist(), frame.item.tolist(), _notes(frame)) == ([None], [pd.NA], [])


def _typed(kind, data, **options):
    response = Response(200, (("Content-Type", kind),), "http://a.test/", None, 2)
    return to_frame([good(0, data, response=response)], Options.of(**options))


@pytest.mark.parametrize(
    "kind", ["text/plain", "text/html; charset=utf-8", "application/octet-stream", "application/x-json", "text/javascript"]
)
@pytest.mark.parametrize("text", ['[{"id": 1}]', '\ufeff[{"id": 1}]'])
@pytest.mark.parametrize("as_bytes", [False, True])
def test_who_selects_or_expands_has_said_that_it_is_json(kind, text, as_bytes):
    frame = _typed(kind, text.encode() if as_bytes else text, columns="all")
    assert frame.fastreq.expand(select="[]").id.tolist() == [1]
    assert frame.drop(columns="content_type").fastreq.expand(select="[]").id.tolist() == [1]


@pytest.mark.parametrize("body", ["<h1>busy</h1>", b"\x00\xff", "[NaN]"])
def test_a_body_that_is_no_json_stays_in_data_with_a_line(body):
    frame = _typed("text/html", body, select="[].id")
    assert frame.data.tolist() == [body]
    assert _notes(frame) == ["select: [].id found nothing in 1 of 1 bodies; they are no JSON"]
    frame = _typed("text/html", body, expand=True)
    assert frame.data.tolist() == [body]
    assert _notes(frame) == ["expand: no body is an object, data stays as it is"]


def test_a_json_text_and_the_path_of_a_file_are_not_read_again():
    assert _select("@", good(0, "[1]")).data.tolist() == ["[1]"]
    assert _typed("text/plain", "5", select="@").data.tolist() == ["5"]
    assert _typed("application/json", "[1]", columns="all").fastreq.expand(select="@").data.tolist() == ["[1]"]
    assert _typed("text/plain", "5").fastreq.expand(select="@").data.tolist() == ["5"]
    response = Response(200, (), "http://a.test/", None, 2, path="7")
    assert to_frame([good(0, "7", response=response)], Options.of(expand=True)).data.tolist() == ["7"]


def test_a_hidden_body_is_not_looked_into():
    login = Request("POST", "http://api.test/login", hide_data=True)
    frame = _select("token", good(0, {"token": "abc"}, request=login), expand=True)
    assert (frame.data.tolist(), _notes(frame)) == (["***"], [])


def test_what_is_no_list_is_one_item():
    assert _select("items[0].id", good(0, ITEMS)).data.tolist() == [1]
    assert _select("items[0]", good(0, ITEMS)).item.tolist() == [0]


def test_a_failed_row_stays_with_its_body():
    frame = _select("items", failed(0, data={"items": [1], "error": "busy"}), good(1, ITEMS))
    assert frame.data.tolist()[0] == {"items": [1], "error": "busy"}
    assert frame.item.tolist() == [pd.NA, 0, 1]


def test_select_on_an_empty_run_still_has_its_column():
    frame = _select("items")
    assert len(frame) == 0
    assert frame.item.dtype == "Int32"


def test_headers_at_the_root_are_those_of_the_response():
    response = Response(200, (JSON_TYPE, ("X-Total", "42")), "http://a.test/", None, 2)
    body = {"headers": {"x-total": "of the body"}}
    assert _select('headers."X-Total"', good(0, body, response=response)).data.tolist() == ["42"]
    assert _select('@.headers."x-total"', good(0, body, response=response)).data.tolist() == ["of the body"]
    assert _select('{n: length(@), total: headers."x-total"}', good(0, [1], response=response)).data.tolist() == [{"n": 1, "total": "42"}]


def test_headers_of_an_item_are_the_items_own():
    assert _select("[].headers.x", good(0, [{"headers": {"x": 1}}])).data.tolist() == [1]


def test_secret_response_headers_cannot_be_selected():
    response = Response(200, (("Set-Cookie", "sid=abc"),), "http://a.test/", None, 2)
    assert _select('headers."set-cookie"', good(0, {}, response=response)).data.tolist() == ["***"]


def test_a_body_the_expression_cannot_be_applied_to_keeps_its_row_and_is_told():
    frame = _select("length(items)", good(0, ITEMS), good(1, {}))
    assert frame.data.tolist() == [2, {}]
    assert _notes(frame)[0].startswith("select: length(items) could not be applied to 1 of 2 bodies: In function length()")


def test_keys_are_repeated_with_their_items():
    frame = to_frame([good(0, ITEMS), good(1, ITEMS)], Options.of(select="items"), keys=["a", "b"])
    assert frame.index.tolist() == ["a", "a", "b", "b"]


def test_expand_gives_columns_with_stable_nullable_dtypes_in_front_of_data():
    frame = _expand({"id": 1, "price": 2.5, "on": True, "title": "x", "tags": ["a"]}, {"id": 2})
    assert {name: str(frame[name].dtype) for name in _new(frame)} == {
        "id": "Int64",
        "price": "Float64",
        "on": "boolean",
        "title": "string",
        "tags": "object",
    }
    assert list(frame)[:7] == ["id", "price", "on", "title", "tags", "data", "status"]
    assert frame.data.tolist() == [None, None]
    assert frame.title.tolist() == ["x", pd.NA]
    assert frame.tags.tolist() == [["a"], None]


def test_nested_objects_get_dotted_names():
    frame = _expand({"user": {"id": 1, "address": {"city": "x"}}, "z": 1})
    assert _new(frame) == ["user.id", "user.address.city", "z"]


def test_a_clashing_name_gets_the_prefix_data():
    frame = _expand({"request": "Ada", "url": "u", "data": [1], "name": 1})
    assert _new(frame) == ["data.request", "data.url", "data.data", "name"]
    assert frame["data.request"].tolist() == ["Ada"]


def test_two_paths_of_one_name_lose_nothing():
    frame = _expand({"a.b": 1, "a": {"b": 2}, "error": 3, "data": {"error": 4}})
    assert _new(frame) == ["a.b", "a.b_2", "data.error", "data.error_2"]
    assert frame.iloc[0][["a.b", "a.b_2", "data.error", "data.error_2"]].tolist() == [1, 2, 3, 4]


def test_mixed_types_stay_objects_and_are_named_in_one_line():
    frame = _expand({"x": 1, "y": "a", "z": 1}, {"x": "b", "y": [1], "z": 2})
    assert frame.x.tolist() == [1, "b"]
    assert frame.x.dtype == object
    assert _notes(frame) == ["expand: mixed types, kept as objects: x (int, str), y (list, str)"]


def test_whole_and_broken_numbers_are_one_kind():
    frame = _expand({"x": 1}, {"x": 1.5}, {"x": None})
    assert frame.x.dtype == "Float64"
    assert frame.x.tolist() == [1.0, 1.5, pd.NA]
    assert _notes(frame) == []


@pytest.mark.parametrize("values", [[2**63, 1], [2**53 + 1, 0.5]])
def test_no_digit_of_a_large_number_is_lost(values):
    frame = _expand(*({"x": value} for value in values))
    assert frame.x.tolist() == values
    assert "whole numbers beyond" in _notes(frame)[0]


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63)])
def test_the_whole_range_of_64_bits_is_kept(value):
    frame = _expand({"x": value})
    assert frame.x.dtype == "Int64"
    assert frame.x.tolist() == [value]


def test_a_field_that_is_null_here_and_an_object_there_is_the_objects():
    assert _new(_expand({"user": None}, {"user": {"id": 1}})) == ["user.id"]
    assert _new(_expand({"user": None})) == ["user"]


def test_a_field_that_is_text_here_and_an_object_there_has_both_columns():
    frame = _expand({"user": "Ada"}, {"user": {"id": 1}})
    assert frame["user"].tolist() == ["Ada", pd.NA]
    assert frame["user.id"].tolist() == [pd.NA, 1]


def test_bodies_that_are_no_objects_and_those_of_failures_stay_in_data():
    frame = to_frame([good(0, {"id": 1}), good(1, [1, 2]), failed(2, data={"error": "busy"})], Options.of(expand=True))
    assert frame.id.tolist() == [1, pd.NA, pd.NA]
    assert frame.data.tolist() == [None, [1, 2], {"error": "busy"}]
    assert _notes(frame) == ["expand: 1 of 2 bodies are no objects, they stay in data"]


@pytest.mark.parametrize("bodies", [[], [None], ["text"], [{}]])
def test_where_there_is_nothing_to_expand_the_columns_are_as_ever(bodies):
    assert list(_expand(*bodies)) == list(to_frame([], Options.of(expand=True)))


@pytest.mark.parametrize(
    ("body", "expression", "said"),
    [
        ([1, 2], True, "expand: no body is an object, data stays as it is; select='@' gives a row per item of a list"),
        (
            [["a"], [1]],
            True,
            "expand: no body is an object, data stays as it is; select='header(@)' makes rows of lists whose first one names the columns, select='@' a row of each",
        ),
        ("text", True, "expand: no body is an object, data stays as it is"),
        ({"name": "Ada"}, "name", "expand: name finds no object in 1 of 1 bodies, they stay in data"),
        ({"name": "Ada"}, "nmae", "expand: nmae found nothing in 1 of 1 bodies; they have name"),
    ],
)
def test_where_nothing_could_be_expanded_it_is_told(body, expression, said):
    assert _notes(_expand(body, expression=expression)) == [said]


@pytest.mark.parametrize("bodies", [[], [None], [{}]])
def test_where_nothing_was_there_to_expand_nothing_is_told(bodies):
    assert _notes(_expand(*bodies)) == []


def test_expand_takes_an_expression_and_works_after_select():
    assert _expand({"user": {"id": 1}, "x": 1}, expression="user").id.tolist() == [1]
    frame = _select("items", good(0, ITEMS), expand=True)
    assert frame.id.tolist() == [1, 2]
    assert frame.name.tolist() == ["a", "b"]
    assert frame.item.tolist() == [0, 1]


def test_a_map_with_very_many_keys_stays_whole():
    prices = {f"2026-{i}": i for i in range(MAX_COLUMNS + 1)}
    frame = _expand({"id": 1, "prices": prices})
    assert _new(frame) == ["id", "prices"]
    assert frame.prices[0] == prices
    assert _notes(frame) == [f"expand: objects below level 1 stay whole, they have more than {MAX_COLUMNS:,} different fields"]
    assert "data" in _expand(prices)


def test_deep_nesting_and_odd_names_do_no_harm():
    deep: dict[str, object] = {"x": 1}
    for _ in range(900):
        deep = {"n": deep}
    frame = _expand(deep)
    assert frame[".".join(["n"] * 900 + ["x"])].tolist() == [1]
    assert _new(_expand({"": 1, "\ud800": 2, "a b": 3})) == ["", "\ufffd", "a b"]


def test_lone_surrogates_in_values_become_replacement_characters():
    assert _expand({"x": "\ud800a"}).x.tolist() == ["\ufffda"]


def test_explode_gives_one_row_per_item_of_a_list():
    frame = _expand({"id": 1, "orders": [{"no": 1}, {"no": 2}]}, {"id": 2, "orders": []}, {"id": 3, "orders": None})
    exploded, places = explode_frame(frame, ["orders"], [])
    assert places == [0, 0, 1, 2]
    assert exploded.id.tolist() == [1, 1, 2, 3]
    assert exploded["orders.no"].tolist() == [1, 2, pd.NA, pd.NA]
    assert exploded.index.tolist() == [0, 0, 1, 2]


def test_explode_keeps_plain_items_under_the_name():
    frame, _ = explode_frame(_expand({"id": 1, "tags": ["a", "b"]}), ["tags"], [])
    assert frame.tags.tolist() == ["a", "b"]
    assert frame.tags.dtype == "string"


def test_lists_side_by_side_go_in_step():
    frame = _expand({"id": 1, "hourly": {"time": ["t0", "t1"], "degrees": [1.5, None], "rain": None}}, {"id": 2, "hourly": {}})
    exploded, _ = explode_frame(frame, ["hourly.time", "hourly.degrees"], [])
    assert exploded.id.tolist() == [1, 1, 2]
    assert exploded["hourly.time"].tolist() == ["t0", "t1", pd.NA]
    assert exploded["hourly.degrees"].tolist() == [1.5, pd.NA, pd.NA]


def test_a_list_within_a_list_follows_it():
    frame = _expand({"counties": [{"name": "a", "cities": ["x", "y"]}, {"name": "b", "cities": []}]})
    exploded, places = explode_frame(frame, ["counties", "counties.cities"], [])
    assert places == [0, 0, 0]
    assert exploded["counties.name"].tolist() == ["a", "a", "b"]
    assert exploded["counties.cities"].tolist() == ["x", "y", pd.NA]


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (["a", "b"], "explode: in row 1 a has 2 and b has 3 items: lists that go in step need equal lengths"),
        (["a", "c"], "explode='c': no such column; there are a, b, data, status, ok, error, error_detail, elapsed_ms"),
    ],
)
def test_what_cannot_be_exploded_is_told_in_one_line(columns, line):
    frame = _expand({"a": [1], "b": [1]}, {"a": [1, 2], "b": [1, 2, 3]})
    with pytest.raises(UsageError) as caught:
        explode_frame(frame, columns, [])
    assert str(caught.value) == line


def test_explode_is_an_option_and_keeps_index_and_order():
    outcomes = [good(0, {"id": 1, "tags": ["a", "b"]}), failed(1), good(2, {"id": 3, "tags": []})]
    frame = to_frame(outcomes, Options.of(expand=True, explode="tags"), keys=["x", "y", "z"])
    assert frame.index.tolist() == ["x", "x", "y", "z"]
    assert frame.tags.tolist() == ["a", "b", pd.NA, pd.NA]
    assert frame.id.tolist() == [1, 1, pd.NA, 3]


def test_what_cannot_be_exploded_costs_no_row():
    frame = to_frame([good(0, {"a": [1, 2], "b": [1]})], Options.of(expand=True, explode=["a", "b"]))
    assert frame.a.tolist() == [[1, 2]]
    assert frame.attrs["fastreq"]["problem"].startswith("explode: in row 0 a has 2 and b has 1 items")


@pytest.mark.parametrize(
    ("expression", "body", "rows"),
    [
        ("items(rates)", {"rates": {"EUR": 1.1, "CHF": 0.9}}, [{"key": "EUR", "value": 1.1}, {"key": "CHF", "value": 0.9}]),
        ("items(@)", {"2026-01-01": {"open": 1, "close": 2}}, [{"key": "2026-01-01", "open": 1, "close": 2}]),
        ("items(@)", {"a": {"key": 7}}, [{"key": "a", "value": {"key": 7}}]),
        (
            "table(hourly)",
            {"hourly": {"time": ["t0", "t1"], "rain": [1, None], "unit": "mm"}},
            [{"time": "t0", "rain": 1, "unit": "mm"}, {"time": "t1", "rain": None, "unit": "mm"}],
        ),
        (
            "header(@)",
            [["NAME", "pop"], ["California", "39"], ["Texas", "29"]],
            [{"NAME": "California", "pop": "39"}, {"NAME": "Texas", "pop": "29"}],
        ),
        ("header(@)[?pop > `1`]", [["n", "pop"], ["a", 1], ["b", 2]], [{"n": "b", "pop": 2}]),
    ],
)
def test_three_functions_make_records_of_what_are_none(expression, body, rows):
    assert _select(expression, good(0, body)).data.tolist() == rows


@pytest.mark.parametrize(
    ("expression", "body", "why"),
    [
        ("table(@)", {"a": [1], "b": [1, 2]}, "table() needs lists of one length: a has 1, b has 2"),
        ("header(@)", [["a"], [1, 2]], "header() has 1 names for a row of 2"),
        ("header(@)", [1, 2], "header() needs a list of lists"),
        ("items(@)", [1], "In function items()"),
    ],
)
def test_a_body_that_such_a_function_does_not_fit_is_told_and_kept(expression, body, why):
    frame = _select(expression, good(0, body))
    assert frame.data.tolist() == [body]
    assert f"{expression} could not be applied to 1 of 1 bodies: {why}" in _notes(frame)[0]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "error", "a.b"]), json_values, max_size=3), max_size=5))
@settings(max_examples=200, deadline=None)
def test_every_leaf_of_every_body_is_in_its_row(bodies):
    frame = _expand(*bodies)

    def leaves(value):
        if isinstance(value, dict):
            return [leaf for inner in value.values() for leaf in leaves(inner)]
        return [] if value is None else [value]

    for row, body in enumerate(bodies):
        cells = [frame[name].astype(object).iloc[row] for name in _new(frame)]
        found = [cell for cell in cells if cell is not None and cell is not pd.NA]
        for leaf in leaves(body):
            assert any(cell == leaf for cell in found), (leaf, found)


def test_the_request_of_an_expanded_row_is_still_told():
    frame = to_frame([good(0, {"id": 1}, request=Request("GET", "http://a.test/x"))], Options.of(expand=True, columns="all"))
    assert frame.url.tolist() == ["http://a.test/x"]
