"""--each: which rows, which names, how many requests."""

import dataclasses

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from samples.cells import answer, items, plan, urls

from fastreq_jupyter.cell.rows import EachSpec
from fastreq_jupyter.errors import CellSyntaxError, OptionError
from fastreq_jupyter.frame.build import to_frame
from fastreq_jupyter.model import Request, Unsendable
from fastreq_jupyter.options import Options


@dataclasses.dataclass
class Item:
    sku: str


def refused(text, **more):
    with pytest.raises(CellSyntaxError) as caught:
        items(text, **more)
    return str(caught.value)


def framed(made):
    outcomes = [answer(n, item if isinstance(item, Request) else item.shown, {}) for n, item in enumerate(made.items)]
    return to_frame(outcomes, Options(), join=made.join)


def test_a_spec_is_a_name_an_expression_or_a_named_one():
    assert EachSpec.parse("orders") == EachSpec("orders", None, "orders")
    assert EachSpec.parse("orders.head(10)").expression == "orders.head(10)"
    assert EachSpec.parse("url=links") == EachSpec("url=links", "url", "links")
    assert EachSpec.parse("a == b").element is None


@pytest.mark.parametrize("text", ["", "row=x", "index=x", "_a=x"])
def test_a_spec_without_source_or_with_a_taken_name_is_refused(text):
    with pytest.raises(OptionError):
        EachSpec.parse(text)


def test_columns_are_names_and_the_row_has_them_too():
    table = pd.DataFrame({"id": [1, 2], "order date": ["a b", "c"], "user.name": ["x", "y"], 7: ["p", "q"]}, index=["r", "s"])
    found = urls(
        "http://h/{{id}}/{{ row.order date }}/{{order date}}/{{user.name}}/{{row.user.name}}/{{row.7}}/{{index}}", each=[("t", table)]
    )
    assert found == ["http://h/1/a%20b/a%20b/x/x/p/r", "http://h/2/c/c/y/y/q/s"]


def test_integers_stay_integers_beside_floats():
    assert urls("http://h/{{a}}/{{b}}", each=[("t", pd.DataFrame({"a": [1], "b": [2.5]}))]) == ["http://h/1/2.5"]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (pd.Series(["x", "y"], name="link"), "link"),
        (pd.Series(["x", "y"]), "item"),
        (["x", "y"], "item"),
        (("x", "y"), "item"),
        (np.array(["x", "y"]), "item"),
        (pd.Index(["x", "y"], name="link"), "link"),
        (pl.Series("link", ["x", "y"]), "link"),
        (pl.Series(["x", "y"]), "item"),
        (pl.DataFrame({"link": ["x", "y"]}), "link"),
        (pa.table({"link": ["x", "y"]}), "link"),
        (pa.record_batch({"link": ["x", "y"]}), "link"),
        (pa.chunked_array([["x"], ["y"]]), "item"),
        ({"x": 1, "y": 2}.keys(), "item"),
        ((one for one in "xy"), "item"),
    ],
)
def test_elements_have_the_name_of_the_series_or_item(source, name):
    assert urls(f"http://h/{{{{{name}}}}}/{{{{index}}}}", each=[("s", source)]) == ["http://h/x/0", "http://h/y/1"]


def test_a_file_is_no_column_though_it_has_a_name(tmp_path):
    (tmp_path / "links.txt").write_text("x\ny\n")
    with (tmp_path / "links.txt").open() as lines:
        assert urls("http://h/{{item}}", each=[("lines", lines)]) == ["http://h/x%0A", "http://h/y%0A"]


GROUPED = pd.DataFrame({"id": [1, 1, 2], "kind": ["a", "b", "a"], "v": [1, 2, 3]}).groupby(["id", "kind"]).sum()


@pytest.mark.parametrize("source", [GROUPED, GROUPED["v"], GROUPED.index.to_frame()["kind"]], ids=["frame", "series", "own name too"])
def test_levels_of_the_index_are_names(source):
    made = plan("http://h/{{id}}/{{kind}}", each=[("grouped", source)])
    assert [item.url for item in made.items] == ["http://h/1/a", "http://h/1/b", "http://h/2/a"]
    assert framed(made).index.equals(source.index)


def test_a_column_goes_before_a_level_of_its_name_and_what_has_neither_is_told():
    table = pd.DataFrame({"id": [7]}, index=pd.Index([1], name="id"))
    assert urls("http://h/{{id}}/{{index}}", each=[("t", table)]) == ["http://h/7/1"]
    assert "it has {{v}}, {{id}}, {{kind}}" in refused("http://h/x", each=[("t", GROUPED)])


def test_a_range_and_a_given_name():
    assert urls("http://h/{{n}}/{{row}}", each=[("n=range(2)", range(2))]) == ["http://h/0/0", "http://h/1/1"]


def test_fields_of_records_are_names():
    for source in ([{"sku": "a"}, {"sku": "b"}], [Item("a"), Item("b")], iter([Item("a"), Item("b")])):
        assert urls("http://h/{{sku}}/{{row.sku}}", each=[("s", source)]) == ["http://h/a/a", "http://h/b/b"]


def test_a_key_that_a_record_lacks_is_missing():
    first, second = items("http://h/{{b}}", each=[("s", [{"a": 1}, {"b": 2}])])
    assert isinstance(first, Unsendable)
    assert second.url == "http://h/2"


def test_the_row_wins_over_variables_and_they_over_the_notebook():
    each = [("t", [{"x": "row"}])]
    assert urls("@x = cell\nhttp://h/{{x}}", each=each, namespace={"x": "notebook"}) == ["http://h/row"]
    assert urls("@x = cell\nhttp://h/{{x}}", namespace={"x": "notebook"}) == ["http://h/cell"]


def test_order_is_row_request_item():
    found = urls("http://h/{{n}}/[1-2]\nhttp://h/{{n}}/b", each=[("n=range(2)", range(2))])
    assert found == [f"http://h/{n}/{end}" for n in range(2) for end in ("1", "2", "b")]


def test_the_total_is_rows_times_requests():
    assert plan("http://h/{{n}}/[1-2]\nhttp://h/{{n}}/b", each=[("n=range(2)", range(2))]).total == 6


def test_an_iterator_has_no_total_and_is_drawn_lazily():
    drawn = []
    source = (drawn.append(n) or n for n in range(1000))
    made = plan("http://h/{{item}}", each=[("s", source)])
    assert made.total is None
    assert next(iter(made.items)).url == "http://h/0"
    assert len(drawn) < 5


def test_a_long_source_is_never_expanded_at_once():
    made = plan("http://h/{{n}}/[0-999999]", each=[("n=range(2)", range(2))])
    assert made.total == 2_000_000
    assert next(iter(made.items)).url == "http://h/0/0"


def test_two_sources_are_multiplied():
    each = [("a", pd.DataFrame({"x": [1, 2]})), ("b=range(2)", range(2))]
    assert urls("http://h/{{x}}/{{b}}", each=each) == ["http://h/1/0", "http://h/1/1", "http://h/2/0", "http://h/2/1"]


def test_zip_takes_them_in_step():
    each = [("a", pd.DataFrame({"x": [1, 2]})), ("b=range(2)", range(2))]
    assert urls("http://h/{{x}}/{{b}}", each=each, zip=True) == ["http://h/1/0", "http://h/2/1"]


def test_zip_needs_one_length():
    assert "a has 2, b has 3" in refused("http://h/{{x}}", each=[("a", [{"x": 1}] * 2), ("b", [1, 2, 3])], zip=True)


def test_a_column_of_both_sources_must_say_which():
    each = [("a", pd.DataFrame({"x": [1]})), ("b", pd.DataFrame({"x": [2]}))]
    assert "a or b" in refused("http://h/{{x}}", each=each)
    assert urls("http://h/{{a.x}}/{{b.x}}", each=each) == ["http://h/1/2"]


def test_an_iterator_cannot_be_multiplied():
    assert "list" in refused("http://h/{{a}}/{{b}}", each=[("a=x", iter([1])), ("b=y", [1])])


@pytest.mark.parametrize("value", [5, 2.5, None, "text", b"bytes", {"a": [1]}, True])
def test_what_has_no_rows_is_refused(value):
    assert "no rows" in refused("http://h/{{item}}", each=[("x", value)])


def test_a_cell_that_uses_nothing_of_its_source_is_refused():
    assert "5,000 equal requests" in refused("http://h/x", each=[("orders", pd.DataFrame({"id": range(5000)}))])


def test_a_second_source_that_is_not_used_is_refused():
    assert "--each b" in refused("http://h/{{x}}", each=[("a", [{"x": 1}]), ("b", [1, 2])])


def test_an_unknown_column_names_the_nearest():
    assert "did you mean customer?" in refused("http://h/{{custmer}}", each=[("t", pd.DataFrame({"customer": [1]}))])
    assert "did you mean customer?" in refused("http://h/{{row.custmer}}", each=[("t", pd.DataFrame({"customer": [1]}))])


def test_two_columns_of_one_name_are_refused_when_used():
    table = pd.DataFrame([[1, 2, 3]], columns=["a", "a", "b"])
    assert "2 columns" in refused("http://h/{{a}}", each=[("t", table)])
    assert urls("http://h/{{b}}", each=[("t", table)]) == ["http://h/3"]


def test_a_near_name_is_offered_whatever_its_case():
    table = pd.DataFrame({"id": [1]})
    assert "did you mean id?" in refused("http://h/{{ID}}", each=[("t", table)])
    assert "did you mean id?" in refused("http://h/{{row.Id}}", each=[("t", table)])


def test_without_a_near_name_the_rows_own_are_told():
    table = pd.DataFrame({"id": [1], "order date": [2]})
    said = "nothing in the row or the cell is named 'zzz'; the row has {{id}}, {{order date}}, {{row}}"
    assert refused("http://h/{{zzz}}", each=[("t", table)]).endswith(said)
    said = said.replace("the row or the cell", "the row, the cell or the notebook")
    assert refused("http://h/{{zzz}}", each=[("t", table)], namespace={"x": 1}).endswith(said)
    assert refused("http://h/{{row.zzz}}", each=[("t", table)]).endswith("the row has no 'zzz'; it has {{id}}, {{order date}}")


def test_a_function_is_no_name_to_offer():
    assert "did you mean" not in refused("http://h/{{opn}}", namespace={"open": open, "pd": pd})


def test_the_record_of_a_table_with_equal_labels_is_refused():
    table = pd.DataFrame([[1, 2]], columns=["a", "a"])
    said = refused("POST http://h/\nContent-Type: application/json\n\n{{row}}", each=[("t", table)])
    assert said.endswith("{{row}}: 2 columns are named 'a': a record keeps one only")


def test_columns_of_several_levels_are_named_with_dots():
    table = pd.DataFrame({("price", "net"): [1], ("price", "gross"): [2], ("id", ""): [7]})
    assert urls("http://h/{{id}}/{{price.net}}/{{row.price.gross}}", each=[("t", table)]) == ["http://h/7/1/2"]
    (item,) = items("POST http://h/\nContent-Type: application/json\n\n{{row}}", each=[("t", table)])
    assert item.content == b'{"price.net": 1, "price.gross": 2, "id": 7}'


def test_periods_have_a_text():
    table = pd.DataFrame({"month": pd.period_range("2025-01", periods=1, freq="M")})
    assert urls("http://h/{{month}}", each=[("t", table)]) == ["http://h/2025-01"]


def test_what_of_a_record_fits_no_place_is_named():
    said = refused("POST http://h/\nContent-Type: application/json\n\n{{row}}", each=[("t", [{"id": 1, "tags": ["x", b"y"]}])])
    assert said.endswith("{{row}} is a dict: 'tags' is a list: item 1 is a bytes: bytes are no text: decode them first")


def test_an_empty_source_sends_nothing():
    for source in (pd.DataFrame({"x": []}), []):
        made = plan("http://h/{{x}}", each=[("t", source)])
        assert made.total == 0
        assert list(made.items) == []
        assert len(framed(made)) == 0


def test_a_clashing_input_column_gets_in_with_a_line_saying_so():
    made = plan("{{url}}", each=[("t", pd.DataFrame({"url": ["http://h/1"], "x": [1]}))])
    assert "url_in" in made.notes[0]
    assert list(framed(made))[:3] == ["url_in", "x", "data"]


def test_a_clash_with_an_optional_column_counts_only_when_it_is_there():
    each = [("t", pd.DataFrame({"headers": ["x"]}))]
    assert plan("http://h/{{headers}}", each=each).notes == ()
    assert plan("http://h/{{headers}}", each=each, response_headers=True).notes != ()


def test_input_columns_keep_dtype_and_the_index_repeats():
    table = pd.DataFrame({"id": pd.array([1, 2], "Int64"), "c": pd.Categorical(["a", "b"])}, index=["r", "s"])
    frame = framed(plan("http://h/{{id}}/[1-2]", each=[("t", table)]))
    assert frame.id.dtype == "Int64"
    assert frame.c.dtype == "category"
    assert frame.index.tolist() == ["r", "r", "s", "s"]


def test_the_product_is_numbered_for_it_has_no_index_of_its_own():
    made = plan("http://h/{{x}}/{{b}}", each=[("a", pd.DataFrame({"x": [1, 2]}, index=["r", "s"])), ("b=range(2)", range(2))])
    frame = framed(made)
    assert frame.index.tolist() == [0, 1, 2, 3]


def test_records_become_columns():
    frame = framed(plan("http://h/{{a}}", each=[("s", [{"a": 1}, {"a": 2, "b": "x"}])]))
    assert list(frame)[:3] == ["a", "b", "data"]


def test_each_source_is_not_changed():
    table = pd.DataFrame({"url": ["http://h/1"]})
    framed(plan("{{url}}", each=[("t", table)]))
    assert list(table) == ["url"]
