"""Parquet: load is the exact inverse of save, whatever a frame holds. CSV and JSON Lines: plain, as other programs expect them."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import failed, good, unsent

from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.frame import load, save
from fastreq_jupyter.frame.build import to_frame
from fastreq_jupyter.frame.parquet import decode_value, encode_value
from fastreq_jupyter.options import Options

pytest.importorskip("pyarrow")
PLAIN = pytest.mark.parametrize("ending", [".csv", ".jsonl"])


def _same(one, other):
    """Tell whether two values are the same in type and value, to the depth."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or (one == other and math.copysign(1, one) == math.copysign(1, other))
    return one is other or bool(one == other)


def _back(frame, path):
    save(frame, path)
    again = load(path)
    # Objects are compared below: pandas' own comparison knows no NaN within a list.
    typed = [
        number for number, dtype in enumerate(frame.dtypes) if dtype.kind != "O" or isinstance(dtype, pd.api.extensions.ExtensionDtype)
    ]
    pd.testing.assert_frame_equal(again.iloc[:, typed], frame.iloc[:, typed], check_exact=True)
    assert [repr(dtype) for dtype in again.dtypes] == [repr(dtype) for dtype in frame.dtypes]
    assert type(again.index) is type(frame.index)
    assert repr(again.columns) == repr(frame.columns)
    assert again.attrs == frame.attrs
    for number in range(len(frame.columns)):
        if number not in typed:
            assert all(map(_same, again.iloc[:, number], frame.iloc[:, number]))
    return again


@pytest.mark.parametrize(
    "outcomes", [[], [good(0, {"a": [1]}), good(1, "text"), good(2, b"\x00\xff"), failed(3), unsent(4)]], ids=["empty", "mixed"]
)
def test_a_frame_of_ours_comes_back_with_all_columns(tmp_path, outcomes):
    options = Options.of(timings=True, response_headers=True, columns="all")
    _back(to_frame(outcomes, options, summary={"ok": 3, "errors": {}}, run_id="abc"), tmp_path / "x.parquet")


def test_data_of_mixed_types_comes_back_exactly(tmp_path):
    values = [
        {"a": 1}, [1, "b", None], "text", b"\x00\xff", None, 1, 1.0, True, float("nan"), float("-inf"), -0.0, 2**70, "", "NA", "null", "nan",
        {}, [], (1, [2]), {1: "a", (2, 3): None}, {"$bytes": "trap"}, {"$x": {"$y": 1}}, 'a,b\r\n"c"\t\x00', "\ud800", {"k\udfff": "\udcff"},
        pd.NA, pd.NaT, pd.Timestamp("2026-01-01", tz="Europe/Zurich"), dt.date(2026, 1, 2), decimal.Decimal("1.10"),
        dt.datetime(2026, 1, 2, tzinfo=dt.UTC), dt.datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Zurich"), fold=1), dt.timedelta(days=-1, microseconds=1),
    ]  # fmt: skip
    frame = pd.DataFrame({"data": pd.Series(values, dtype=object)})
    save(frame, tmp_path / "x.parquet")
    again = load(tmp_path / "x.parquet")["data"].tolist()
    for one, other in zip(values, again, strict=True):
        assert _same(one, other), (one, other)


def test_every_dtype_comes_back(tmp_path):
    frame = pd.DataFrame(
        {
            "int8": np.array([1, -2, 3], "int8"),
            "uint64": np.array([0, 2**64 - 1, 1], "uint64"),
            "float32": np.array([0.1, np.nan, np.inf], "float32"),
            "float64": [0.1, np.nan, -0.0],
            "bool": [True, False, True],
            "Int64": pd.array([1, None, -(2**63)], "Int64"),
            "UInt64": pd.array([2**64 - 1, None, 0], "UInt64"),
            "Float64": pd.array([0.1, None, 1e300], "Float64"),
            "boolean": pd.array([True, None, False], "boolean"),
            "string": pd.array(["", None, "NA"], pd.StringDtype("python")),
            "category": pd.Categorical(["b", None, "a"], categories=["c", "b", "a"], ordered=True),
            "numbers": pd.Categorical([1, 2, None], categories=[2, 1]),
            "naive_s": np.array(["2026-01-01", "NaT", "1960-01-01"], "M8[s]"),
            "naive_ns": pd.to_datetime(["2026-01-01 00:00:00.123456789", None, "2026-01-02"], format="ISO8601"),
            "utc": pd.to_datetime(["2026-01-01", None, "2026-01-02"], utc=True),
            "zoned": pd.to_datetime(["2026-01-01", None, "2026-07-02"]).tz_localize("Europe/Zurich").as_unit("ms"),
            "span": pd.to_timedelta(["1s", None, "-2 days"]),
        }
    )
    _back(frame, tmp_path / "x.parquet")
    _back(frame.iloc[:0], tmp_path / "y.parquet")


def test_nan_and_na_of_one_column_stay_apart(tmp_path):
    column = pd.array([0.0, 1.0, None], "Float64")
    column = column / pd.array([0.0, 1.0, 1.0], "Float64")
    save(pd.DataFrame({"x": column}), tmp_path / "x.parquet")
    again = load(tmp_path / "x.parquet")["x"].array
    assert [value is pd.NA for value in again] == [value is pd.NA for value in column]


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(10, 4, -3, name="r"),
        pd.Index(["a", "a"], name="k"),
        pd.Index([2.5, 1.5]),
        pd.Index([("a", 1), ("b", 2)], tupleize_cols=False),
        pd.Index(["x", 1], dtype=object),
        pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["k", None]),
        pd.MultiIndex.from_arrays(
            [pd.to_datetime(["2026-01-01", "2026-01-02"], utc=True), pd.Categorical(["p", "q"], categories=["q", "p"])]
        ),
        pd.MultiIndex.from_arrays([pd.Index(["a", 1], dtype=object), ["x", "y"]], names=["same", "same"]),
        pd.date_range("2026-01-01", periods=2, freq="D", tz="UTC"),
        pd.CategoricalIndex(["b", "a"], categories=["a", "b"]),
    ],
    ids=["range", "repeated", "float", "tuples", "mixed", "multi", "multi typed", "multi object", "dates", "category"],
)
def test_every_index_comes_back(tmp_path, index):
    _back(pd.DataFrame({"x": [1, 2]}, index=index), tmp_path / "x.parquet")


@pytest.mark.parametrize(
    "columns",
    [
        ["a", "a"],
        [0, 1],
        ["fastreq", "index"],
        [("a", 1), ("b", 2)],
        ["", "é\n,"],
        pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")], names=["p", "q"]),
    ],
    ids=["repeated", "numbers", "own names", "tuples", "odd", "levels"],
)
def test_every_kind_of_label_comes_back(tmp_path, columns):
    if isinstance(columns, list) and isinstance(columns[0], tuple):
        columns = pd.Index(columns, tupleize_cols=False)
    _back(pd.DataFrame([[1, "x"], [2, "y"]], index=pd.Index(["i", "j"], name="index"), columns=columns), tmp_path / "x.parquet")


def test_frames_without_columns_or_rows_come_back(tmp_path):
    _back(pd.DataFrame(index=range(3)), tmp_path / "a.parquet")
    _back(pd.DataFrame(), tmp_path / "b.parquet")


def test_attrs_come_back(tmp_path):
    frame = pd.DataFrame({"x": [1]})
    frame.attrs = {"fastreq": {"run_id": "a", "summary": {"at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}}, 1: (2, 3)}
    _back(frame, tmp_path / "x.parquet")


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=4)
    | st.binary(max_size=3)
    | st.decimals(allow_nan=False)
    | st.dates()
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(), max_size=3) | st.integers(), inner, max_size=3)
        | st.tuples(inner, inner)
    ),
    max_leaves=6,
)


@pytest.mark.slow
@given(values)
@settings(max_examples=500)
def test_any_value_survives_json(value):
    assert _same(decode_value(json.loads(json.dumps(encode_value(value)))), value)


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(values, st.none() | st.text(st.characters(), max_size=5), st.floats(), st.none() | st.integers(-(2**63), 2**63 - 1)),
        max_size=4,
    )
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_frame_survives_a_file(tmp_path, rows):
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    frame = pd.DataFrame(
        {
            "data": pd.Series(list(columns[0]), dtype=object),
            "text": pd.array(list(columns[1]), dtype=pd.StringDtype("python")),
            "float": pd.Series(list(columns[2]), dtype="float64"),
            "int": pd.array(list(columns[3]), dtype="Int64"),
        }
    )
    _back(frame, tmp_path / "x.parquet")


def test_others_can_read_the_csv(tmp_path):
    frame = to_frame([good(0, {"a": "é"}), failed(1), good(2, b"\x00\xff"), good(3, 'a "quoted"\ntext')], Options(columns="all"))
    save(frame, tmp_path / "x.csv")
    plain = pd.read_csv(tmp_path / "x.csv")
    assert list(plain) == list(frame)
    assert plain["status"].tolist() == [200, 503, 200, 200]
    assert plain["ok"].tolist() == [True, False, True, True]
    assert plain["data"].fillna("").tolist() == ['{"a": "é"}', "", "AP8=", 'a "quoted"\ntext']
    assert plain["error"].isna().tolist() == [True, False, True, True]
    assert pd.to_datetime(plain["started_at"]).tolist() == frame["started_at"].tolist()


def test_others_can_read_the_json_lines(tmp_path):
    frame = to_frame([good(0, {"a": [1, None]}), good(1, "é"), failed(2)], Options(columns="all"))
    save(frame, tmp_path / "x.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [list(line) for line in lines] == [list(frame)] * 3
    assert [line["data"] for line in lines] == [{"a": [1, None]}, "é", None]
    assert [line["error"] for line in lines] == [None, None, "http 503"]
    assert lines[0]["started_at"] == frame["started_at"][0].isoformat()


@PLAIN
def test_a_plain_export_has_the_index_where_it_says_something(tmp_path, ending):
    frame = pd.DataFrame({"x": [1, 2]}, index=pd.Index(["a", "b"], name="sku"))
    path = save(frame, tmp_path / f"x{ending}")
    plain = pd.read_csv(path) if ending == ".csv" else pd.read_json(path, lines=True)
    assert plain.to_dict("list") == {"sku": ["a", "b"], "x": [1, 2]}


@PLAIN
@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(),
        pd.DataFrame({"x": [object()]}),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame({"x": pd.Series(["\ud800"], dtype=object), "y": [float("nan")], "z": [{("a", 1): np.int64(3)}]}),
    ],
    ids=["empty", "objects", "repeated labels", "odd values"],
)
def test_any_frame_can_be_exported(tmp_path, ending, frame):
    save(frame, tmp_path / f"x{ending}").read_bytes().decode()


@PLAIN
def test_a_plain_export_is_not_loaded_back(tmp_path, ending):
    save(pd.DataFrame({"x": [1]}), tmp_path / f"x{ending}")
    with pytest.raises(UsageError, match=r"only \.parquet gives a frame back exactly; read this one with pandas\.read_"):
        load(tmp_path / f"x{ending}")


def test_others_can_read_the_parquet(tmp_path):
    save(to_frame([good(0, {"a": 1}), failed(1)], Options(columns="all")), tmp_path / "x.parquet")
    plain = pd.read_parquet(tmp_path / "x.parquet")
    assert plain["data"][0] == '{"a":1}'
    assert str(plain["started_at"].dtype) == "datetime64[us, UTC]"


def test_a_cut_file_is_told_in_one_line(tmp_path):
    path = tmp_path / "x.parquet"
    save(to_frame([good(i, {"a": i}) for i in range(20)], Options()), path)
    whole = path.read_bytes()
    for end in (len(whole) // 2, len(whole) - 3, 10, 0):
        path.write_bytes(whole[:end])
        with pytest.raises(UsageError) as caught:
            load(path)
        assert "\n" not in str(caught.value)


def test_a_foreign_file_is_told_in_one_line(tmp_path):
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(UsageError, match=r"read it with pandas\.read_parquet"):
        load(tmp_path / "x.parquet")


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"\.parquet, \.csv, \.jsonl, \.xlsx or \.har"):
        save(pd.DataFrame(), tmp_path / "x.pickle")


def test_excel_opens_it(tmp_path):
    pytest.importorskip("openpyxl")
    frame = to_frame([good(0, {"a": [1]}), failed(1), good(2, "bell \x07\nand more")], Options(columns="all"))
    plain = pd.read_excel(save(frame, tmp_path / "x.xlsx"))
    assert list(plain) == list(frame)
    assert plain["data"].fillna("").tolist() == ['{"a": [1]}', "", "bell \ufffd\nand more"]
    assert plain["status"].tolist() == [200, 503, 200]
    assert plain["started_at"].dt.tz_localize("UTC").dt.floor("s").tolist() == frame["started_at"].dt.floor("s").tolist()


def test_a_text_that_no_cell_of_excel_holds_is_told(tmp_path):
    pytest.importorskip("openpyxl")
    with pytest.raises(UsageError, match="column 'data' has a text of 40,000 characters"):
        save(to_frame([good(0, "x" * 40_000)], Options()), tmp_path / "x.xlsx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [object(), lambda: 0, np.array([1])], ids=["object", "function", "array"])
def test_a_value_that_cannot_be_stored_is_named_and_nothing_is_written(tmp_path, value):
    with pytest.raises(UsageError, match="column 'thing' holds"):
        save(pd.DataFrame({"thing": pd.Series([value], dtype=object)}), tmp_path / "x.parquet")
    assert list(tmp_path.iterdir()) == []


def test_saving_again_replaces_the_file_in_one_step(tmp_path):
    save(pd.DataFrame({"x": [1]}), tmp_path / "x.parquet")
    save(pd.DataFrame({"x": [2]}), tmp_path / "x.parquet")
    assert load(tmp_path / "x.parquet")["x"].tolist() == [2]
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]


def test_columns_backed_by_arrow_come_back(tmp_path):
    frame = pd.DataFrame({"i": pd.array([1, None], "int64[pyarrow]"), "s": pd.array(["a", None], pd.StringDtype("pyarrow"))})
    _back(frame, tmp_path / "x.parquet")
