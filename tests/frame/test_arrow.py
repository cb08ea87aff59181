"""Frames of polars and Arrow tables: the same columns and types as the frame of pandas, whatever came."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastreq_jupyter import OptionError, fastreq
from fastreq_jupyter.frame.files import to_arrow

TYPES = {
    "data": pa.string(), "status": pa.int16(), "ok": pa.bool_(), "error": pa.string(), "error_detail": pa.string(),
    "elapsed_ms": pa.float64(), "attempts": pa.uint8(), "url": pa.string(), "queued_ms": pa.float64(), "wait_ms": pa.float64(),
    "size_bytes": pa.int64(), "content_type": pa.string(), "final_url": pa.string(), "request": pa.string(),
    "started_at": pa.timestamp("us", tz="UTC"),
}  # fmt: skip


def test_columns_and_types_are_those_of_the_frame_empty_runs_included(demo_server):
    url = demo_server.url
    for urls in ([f"{url}/orders/1", f"{url}/nope", "no url"], []):
        table = fastreq(urls, return_type="arrow", columns="all")
        frame = fastreq(urls, columns="all")
        assert table.column_names == list(frame.columns)
        assert {name: table.schema.field(name).type for name in TYPES} == TYPES
        assert pa.types.is_dictionary(table.schema.field("method").type)
        assert table.num_rows == len(frame)


def test_values_are_the_same(demo_server):
    urls = [f"{demo_server.url}/orders/{number}" for number in (1, 2)]
    frame, table = (fastreq(urls, expand=True, columns="all", return_type=kind) for kind in ("dataframe", "polars"))
    assert isinstance(table, pl.DataFrame)
    for name in ("id", "total", "status", "ok", "url"):
        assert table[name].to_list() == frame[name].tolist()
    assert table["error"].null_count() == 2
    assert table["total"].dtype == pl.Float64
    assert fastreq(urls, return_type="polars", columns="all")["started_at"].dtype == pl.Datetime("us", "UTC")


def test_an_index_that_says_something_is_the_first_column(demo_server):
    table = fastreq([f"{demo_server.url}/orders/1"], keys=pd.Index(["first"], name="which"), return_type="polars")
    assert (table.columns[0], table["which"].to_list()) == ("which", ["first"])


@settings(deadline=None)
@given(
    st.lists(
        st.none()
        | st.text(max_size=3)
        | st.binary(max_size=3)
        | st.integers()
        | st.dictionaries(st.text(max_size=2), st.floats(), max_size=2)
    )
)
def test_any_objects_are_a_column_of_texts(values):
    frame = pd.DataFrame({"a": pd.Series(values, dtype=object), "b": pd.Series(range(len(values)), dtype="category")})
    column = to_arrow(frame).column("a")
    assert column.type == pa.string()
    assert [value is None for value in column.to_pylist()] == [value is None for value in values]


def test_options_of_lists_do_not_go_with_it():
    with pytest.raises(OptionError, match="return_none_on_failure needs return_type json"):
        fastreq([], return_type="polars", return_none_on_failure=True)


def test_what_failed_beyond_check_raises_with_the_frame_of_pandas():
    with pytest.raises(Exception, match="1 of 1 requests failed") as raised:
        fastreq(["no url"], return_type="arrow", check=True)
    assert isinstance(raised.value.df, pd.DataFrame)


@pytest.mark.parametrize(("kind", "missing"), [("polars", "polars"), ("polars", "pyarrow"), ("arrow", "pyarrow")])
def test_where_it_is_not_installed_one_line_says_what_to_install(kind, missing):
    code = (
        f"import importlib.util as u, sys; find = u.find_spec; u.find_spec = lambda name, *a: None if name == {missing!r} else find(name, *a)\n"
        f"from fastreq_jupyter import fastreq\n"
        f"try: fastreq(['http://127.0.0.1:9/'], return_type={kind!r})\n"
        f"except ValueError as error: print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert ran.stdout == f"return_type='{kind}' needs {missing}: pip install 'fastreq-jupyter[{kind}]'\n"


def test_a_cell_gives_it_too(demo_server, ipython, capsys):
    ipython.user_ns["numbers"] = [1, 2]
    ipython.run_cell_magic("fastreq", "orders --as polars --each n=numbers --progress none", f"{demo_server.url}/orders/{{{{n}}}}")
    assert ipython.user_ns["orders"]["n"].to_list() == [1, 2]
    assert isinstance(ipython.user_ns["orders"], pl.DataFrame)
    assert "2 of 2 ok" in capsys.readouterr().out
