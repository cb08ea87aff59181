"""--each: input columns in front, joined by position, whatever the labels are."""

from __future__ import annotations

import pandas as pd
import pytest
from samples import failed, good

from fastreq_jupyter.cell.rows import EachSpec, RowJoin, Rows, Source
from fastreq_jupyter.frame.build import to_frame
from fastreq_jupyter.options import Options

PLAIN = Options()


def _join(*values, per_row=1, name=None, zipped=False, options=PLAIN, outcomes=None):
    sources = [Source(EachSpec(f"source{k}", name, f"source{k}"), value) for k, value in enumerate(values)]
    combined = Rows(sources, in_step=zipped)
    outcomes = outcomes or [good(i, {"id": i, "tags": [1, 2]}) for i in range(combined.size * per_row)]
    return to_frame(outcomes, options, join=RowJoin(combined, per_row))


def test_input_columns_stand_in_front_and_keep_dtype_and_index():
    table = pd.DataFrame({"sku": pd.array([7, 8], "Int64"), "kind": pd.Categorical(["a", "b"])}, index=pd.Index(["x", "y"], name="key"))
    frame = _join(table)
    assert list(frame)[:3] == ["sku", "kind", "data"]
    assert frame.sku.dtype == "Int64"
    assert frame.kind.dtype == table.kind.dtype
    assert frame.index.equals(table.index)
    assert frame.index.name == "key"


def test_a_repeated_index_joins_by_position():
    table = pd.DataFrame({"sku": ["a", "b", "c"]}, index=[5, 5, 5])
    frame = _join(table)
    assert frame.sku.tolist() == ["a", "b", "c"]
    assert frame.url.tolist() == [f"https://api.test/items/{i}" for i in range(3)]
    assert frame.index.tolist() == [5, 5, 5]


def test_rows_made_of_one_input_row_repeat_it():
    frame = _join(pd.DataFrame({"sku": ["a", "b"]}), per_row=2)
    assert frame.sku.tolist() == ["a", "a", "b", "b"]
    assert frame.index.tolist() == [0, 0, 1, 1]


def test_selected_items_repeat_the_input_row():
    frame = _join(pd.DataFrame({"sku": ["a", "b"]}), options=Options.of(select="tags"))
    assert frame.sku.tolist() == ["a", "a", "b", "b"]
    assert frame.item.tolist() == [0, 1, 0, 1]


def test_the_product_of_two_sources_is_numbered():
    one, two = pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "y"], name="one")), pd.Series([10, 20], name="b")
    frame = _join(one, two)
    assert frame.index.equals(pd.RangeIndex(4))
    assert frame[["a", "b"]].to_numpy().tolist() == [[1, 10], [1, 20], [2, 10], [2, 20]]
    assert _join(one, two, options=Options.of(select="tags")).index.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_sources_in_step_have_the_index_of_the_first():
    frame = _join(pd.Series([1, 2], name="a", index=["x", "y"]), [3, 4], zipped=True)
    assert frame.index.tolist() == ["x", "y"]
    assert frame[["a", "item"]].to_numpy().tolist() == [[1, 3], [2, 4]]


def test_a_multiindex_of_the_source_is_kept():
    index = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["k", "n"])
    assert _join(pd.DataFrame({"sku": [1, 2]}, index=index)).index.equals(index)


@pytest.mark.parametrize(
    ("value", "name", "label"),
    [
        (pd.Series(["u", "v"], name="link"), None, "link"),
        (pd.Series(["u", "v"]), None, "item"),
        (pd.Series(["u", "v"], name="link"), "href", "href"),
        (["u", "v"], None, "item"),
        (("u", "v"), "href", "href"),
    ],
)
def test_a_plain_source_is_one_column(value, name, label):
    frame = _join(value, name=name)
    assert frame.columns[0] == label
    assert frame[label].tolist() == ["u", "v"]


def test_a_range_is_a_column_of_numbers():
    assert _join(range(10, 12)).item.tolist() == [10, 11]


def test_clashing_input_columns_get_in():
    frame = _join(pd.DataFrame({"url": ["x"], "status": ["new"]}))
    assert list(frame)[:2] == ["url_in", "status_in"]
    assert frame.iloc[0][["url_in", "status_in"]].tolist() == ["x", "new"]
    assert frame.url.tolist() == ["https://api.test/items/0"]


def test_a_field_of_the_answer_makes_room_for_an_input_column():
    frame = _join(pd.DataFrame({"id": ["mine"], "data.id": ["too"]}), options=Options.of(expand=True))
    assert list(frame)[:5] == ["id", "data.id", "data.id_2", "tags", "data"]
    assert frame.iloc[0][["id", "data.id", "data.id_2"]].tolist() == ["mine", "too", 0]


@pytest.mark.parametrize("columns", ["data", "short", "all"])
def test_names_do_not_depend_on_which_columns_are_shown(columns):
    options = Options.of(expand=True, columns=columns)
    outcomes = [good(0, {"method": "card", "sku": 7})]
    frame = _join(pd.DataFrame({"request": ["r"], "sku": ["a"], "method_in": ["m"], "method": ["n"]}), options=options, outcomes=outcomes)
    assert list(frame)[:7] == ["request_in", "sku", "method_in", "method_in_in", "data.method", "data.sku", "data"]


def test_labels_that_are_no_text_stay_what_they_are():
    table = pd.DataFrame([[1, 2]], columns=[0, ("a", "b")])
    assert list(_join(table))[:2] == [0, ("a", "b")]


def test_columns_of_two_levels_become_tuples():
    table = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]))
    assert list(_join(table))[:2] == [("a", "x"), ("a", "y")]


def test_an_empty_source_keeps_its_columns_and_dtypes():
    frame = _join(pd.DataFrame({"sku": pd.array([], "Int64")}))
    assert frame.sku.dtype == "Int64"
    assert len(frame) == 0


def test_the_source_itself_is_left_alone():
    table = pd.DataFrame({"url": ["x"]}, index=["k"])
    before = table.copy()
    _join(table)
    pd.testing.assert_frame_equal(table, before)


def test_failed_rows_join_like_the_others():
    frame = _join(pd.DataFrame({"sku": ["a", "b"]}), outcomes=[failed(0), good(1)])
    assert frame[["sku", "ok"]].to_numpy().tolist() == [["a", False], ["b", True]]


def test_a_very_wide_source_joins_without_a_warning():
    frame = _join(pd.DataFrame({f"c{i}": [i] for i in range(150)}))
    assert list(frame)[:2] == ["c0", "c1"]
    assert len(frame.columns) == 158
