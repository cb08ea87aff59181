"""df.fastreq: one request per row, and what can be done with the frame of a run."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fastreq_jupyter
from fastreq_jupyter import fastreq, last_run
from fastreq_jupyter.client.plan import json_template
from fastreq_jupyter.errors import CellSyntaxError, UsageError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def base(demo_server):
    return demo_server.url.rstrip("/")


@pytest.fixture
def table():
    return pd.DataFrame({"id": pd.array([1, 2, 99999], "Int64"), "url": ["a", "b", "c"]}, index=["x", "x", "y"])


@pytest.fixture
def answers(base):
    return fastreq([f"{base}/customers/{i}" for i in (1, 2, 99999)], columns="all")


def test_get_sends_one_request_per_row_and_joins_by_position(base, table):
    frame = table.fastreq.get(f"{base}/customers/{{{{ id }}}}")
    assert frame.columns[:3].tolist() == ["id", "url_in", "data"]
    assert frame.index.tolist() == ["x", "x", "y"]
    assert frame["status"].tolist() == [200, 200, 404]
    assert [data.get("id") for data in frame["data"]] == [1, 2, None]
    assert frame["id"].dtype == "Int64"


def test_the_frame_itself_is_left_alone(base, table):
    before = table.copy()
    table.fastreq.get(f"{base}/customers/{{{{ id }}}}")
    pd.testing.assert_frame_equal(table, before)


def test_options_are_those_of_fastreq(base, table):
    frame = table.fastreq.get(f"{base}/customers/{{{{ id }}}}", timings=True, expand=True, headers={"X-Row": "{{ index }}"})
    assert frame["address.city"].notna().tolist() == [True, True, False]
    assert "dns_ms" in frame


def test_placeholders_in_json_become_values_and_in_texts_text(base, table):
    body = {"n": "{{ id }}", "text": 'no "{{ id }}"', "list": ["{{ url }}", 1, None, True], "{{ url }}": {}}
    shown = table.fastreq.post(f"{base}/echo", json=body, dry_run=True)
    assert json.loads(shown["body"][0]) == {"n": 1, "text": 'no "1"', "list": ["a", 1, None, True], "a": {}}
    assert shown["method"].tolist() == ["POST"] * 3
    assert shown["headers"][0] == {"Content-Type": "application/json"}


def test_placeholders_in_a_form_are_encoded(base):
    table = pd.DataFrame({"q": ["a&b c", "ü"]})
    shown = table.fastreq.post(f"{base}/echo", data={"q": "{{ q }}", "x y": "1&2"}, dry_run=True)
    assert shown["body"].tolist() == ["q=a%26b%20c&x+y=1%262", "q=%C3%BC&x+y=1%262"]


def test_a_brace_that_an_f_string_took_is_told(base, table):
    with pytest.raises(CellSyntaxError, match=r"in an f-string \{\{\{\{id\}\}\}\} gives \{\{id\}\}"):
        table.fastreq.get(f"{base}/customers/{{id}}")


@pytest.mark.parametrize(("name", "missing"), [("get", "method"), ("post", "method"), ("request", None)])
def test_signatures_name_the_options(table, name, missing):
    named = inspect.signature(getattr(table.fastreq, name)).parameters
    assert {"template", "concurrency", "headers", "expand"} <= named.keys()
    assert not named.keys() & {"keys", "return_type", missing}
    assert all(option.kind is option.KEYWORD_ONLY for option in list(named.values())[1:])


def test_request_takes_a_whole_cell(base, table):
    shown = table.fastreq.request(f"PUT {base}/echo/{{{{ id }}}}\nX-A: {{{{ url }}}}\n\nbody {{{{ id }}}}", dry_run=True)
    assert shown["method"].tolist() == ["PUT"] * 3
    assert shown["url"][2] == f"{base}/echo/99999"
    assert shown["headers"][1] == {"X-A": "b"}
    assert shown["body"][0] == "body 1"


@pytest.mark.parametrize(
    ("template", "options", "said"),
    [
        ("http://127.0.0.1:9/x", {}, "equal requests"),
        ("http://127.0.0.1:9/{{ nothing }}", {}, "nothing"),
        ("http://127.0.0.1:9/{{ id }}", {"keys": [1]}, "keys"),
        ("http://127.0.0.1:9/{{ id }}", {"return_type": "json"}, "return_type"),
        ("http://127.0.0.1:9/{{ id }}", {"each": "x"}, "each"),
        ("http://127.0.0.1:9/{{ id }}", {"select": "items["}, "JMESPath"),
        ("http://127.0.0.1:9/{{ id }}", {"verify": False}, "verify_ssl"),
        ("http://127.0.0.1:9/{{ id }}", {"json": {"x": {1, 2}}}, "json cannot be sent"),
        (5, {}, "template is a int"),
    ],
)
def test_misuse_is_refused_in_one_line_before_anything_is_sent(table, template, options, said):
    with pytest.raises(UsageError, match=said) as caught:
        table.fastreq.get(template, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("{{ a }}", "{{ a }}"),
        (" {{ a.b[0] }} ", "{{ a.b[0] }}"),
        ('x {{ r["a b"] }} "y"', '"x {{ r["a b"] }} \\"y\\""'),
        ({"a": [1, None, "é"]}, '{"a": [1, null, "é"]}'),
        ((), "[]"),
    ],
)
def test_json_templates_leave_placeholders_as_a_cell_reads_them(value, text):
    assert json_template(value) == text


def test_failed_gives_the_rows_that_are_not_ok(answers):
    assert answers.fastreq.failed["status"].tolist() == [404]
    assert answers.fastreq.failed.index.tolist() == [2]


def test_retry_failed_sends_only_what_failed_counted_at_the_server(counting_server):
    frame = fastreq([f"{counting_server.url}/good", f"{counting_server.url}/flaky/1/x"], max_retries=0)
    again = frame.fastreq.retry_failed()
    assert frame["status"].tolist() == [200, 503]
    assert again["status"].tolist() == [200, 200]
    assert counting_server.paths == {"/good": 1, "/flaky/1/x": 2}


def test_retry_failed_gives_the_whole_frame_and_leaves_good_rows_untouched(answers):
    again = answers.fastreq.retry_failed()
    assert again["status"].tolist() == [200, 200, 404]
    assert again["started_at"].iloc[:2].tolist() == answers["started_at"].iloc[:2].tolist()
    assert again["started_at"].iloc[2] > answers["started_at"].iloc[2]
    assert again.attrs["fastreq"]["run_id"] != answers.attrs["fastreq"]["run_id"]
    assert last_run().summary()["attempts"] == 1


def test_retry_failed_keeps_input_columns_and_index(base, table):
    frame = table.fastreq.get(f"{base}/customers/{{{{ id }}}}")
    again = frame.fastreq.retry_failed()
    assert list(again) == list(frame)
    assert again.index.equals(frame.index)


def test_summary_counts_the_rows_that_are_here(answers):
    summary = answers.fastreq.summary()
    assert (summary["rows"], summary["ok"], summary["failed"], summary["errors"]) == (3, 2, 1, {"http 404": 1})
    assert summary["run"]["done"] == 3
    assert answers.fastreq.failed.fastreq.summary()["ok"] == 0
    json.dumps(summary)


def test_summary_of_no_rows_is_json_too(answers):
    assert json.loads(json.dumps(answers.iloc[:0].fastreq.summary()))["p50_ms"] is None


def test_expand_selects_explodes_and_reports(base, capsys):
    frame = fastreq([f"{base}/customers/1", f"{base}/orders?customer=1"])
    customers = frame.iloc[:1].fastreq.expand()
    assert customers["address.city"].tolist() == ["Lisbon"]
    assert customers.attrs == frame.attrs
    mixed = frame.copy()
    mixed["data"] = pd.Series([{"x": 1, "l": [{"a": 1}, {"a": 2}]}, {"x": "1", "l": []}], dtype=object)
    assert mixed.fastreq.expand(explode="l")["l.a"].tolist() == [1, 2, pd.NA]
    assert "mixed types, kept as objects: x (int, str)" in capsys.readouterr().out
    assert mixed.fastreq.expand("l[]")["a"].tolist() == [1, 2, pd.NA]


def test_expand_refuses_what_it_cannot_do_in_one_line(answers):
    with pytest.raises(UsageError, match="response_headers=True"):
        answers.fastreq.expand("headers.etag")
    with pytest.raises(UsageError, match="no such column"):
        answers.fastreq.expand(explode="nothing")
    with pytest.raises(UsageError, match="no column error"):
        pd.DataFrame({"a": [1]}).fastreq.expand()


def test_expand_reads_the_column_of_headers(base):
    frame = fastreq([f"{base}/customers/1"], response_headers=True)
    assert frame.fastreq.expand('{kind: headers."content-type"}')["kind"][0].startswith("application/json")


def test_timings_are_one_row_per_attempt_and_phase(answers):
    frame = answers.fastreq.timings()
    assert len(frame) == 3 * 7
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        "position": "Int64",
        "url": "string",
        "attempt": "UInt8",
        "phase": "category",
        "ms": "float64",
        "status": "Int16",
        "error": "string",
        "started_at": "datetime64[us, UTC]",
    }
    waits = frame[frame["phase"] == "wait"]["ms"].to_numpy()
    assert np.allclose(waits, answers["wait_ms"].to_numpy())


def test_timings_of_a_part_are_those_of_its_rows(answers):
    assert answers.fastreq.failed.fastreq.timings()["position"].unique().tolist() == [2]
    assert len(answers.iloc[:0].fastreq.timings()) == 0


def test_requests_go_back_to_text(answers, base):
    assert answers.fastreq.failed.fastreq.to_curl().strip() == f"curl '{base}/customers/99999'"
    assert f"{base}/customers/1" in answers.fastreq.to_http()


def test_the_waterfall_says_what_it_shows(answers):
    assert "2 of 3 ok" in repr(answers.fastreq.waterfall())
    assert "1 of 3 requests" in repr(answers.fastreq.failed.fastreq.waterfall())


def test_rows_that_repeat_labels_are_told_apart_or_refused(base, table):
    frame = table.fastreq.get(f"{base}/customers/{{{{ id }}}}")
    assert frame.fastreq.to_curl().count("curl ") == 3
    with pytest.raises(UsageError, match="cannot tell which requests"):
        frame.fastreq.failed.fastreq.to_curl()


def test_selected_rows_lead_back_to_each_request_once(base):
    frame = fastreq([f"{base}/customers/1", f"{base}/customers/2"], select="[address.city, address.country]")
    assert len(frame) == 4
    assert frame.fastreq.to_curl().count("curl ") == 2


def test_all_columns_gives_the_rows_in_the_order_of_the_frame(base):
    frame = fastreq([f"{base}/customers/{i}" for i in (1, 2, 3)], expand=True)
    turned = frame[frame.id > 1].iloc[::-1]
    assert turned.fastreq.all_columns().url.tolist() == [f"{base}/customers/3", f"{base}/customers/2"]
    anew = frame.iloc[::-1].reset_index(drop=True)
    assert anew.fastreq.all_columns().url.to_dict() == {place: f"{base}/customers/{3 - place}" for place in range(3)}
    plain = frame.assign(elapsed_ms=frame.elapsed_ms.round(1)).convert_dtypes()
    assert plain.fastreq.all_columns().elapsed_ms.equals(frame.elapsed_ms)


def test_all_columns_of_selected_rows_are_those_rows(base):
    frame = fastreq(f"{base}/customers?per_page=50", pages="auto", select="items", expand=True)
    some = frame.sort_values("id", ascending=False).iloc[[0, 60, 100]]
    shown = some.fastreq.all_columns()
    assert shown.id.tolist() == some.id.tolist()
    assert shown.page.tolist() == [3, 2, 1]


def test_all_columns_of_rows_whose_labels_all_repeat_are_those_rows(base):
    people = fastreq(f"{base}/customers?per_page=4", select="items[].{customer: id}", expand=True)[["customer"]]
    frame = people.fastreq.get(base + "/customers/{{customer}}/orders", select="[]", expand=True)
    turned = frame.sort_values("total").iloc[:-2]
    shown = turned.fastreq.all_columns()
    assert shown.id.tolist() == turned.id.tolist()
    assert shown.url.tolist() == [f"{base}/customers/{customer}/orders" for customer in turned.customer]


def test_all_columns_of_labels_made_anew_is_refused_where_nothing_was_sent():
    frame = fastreq(["http://", "ftp://there", "http://127.0.0.1:9/"], max_retries=0, expand=True)
    assert frame.iloc[::-1].fastreq.all_columns().url.tolist() == ["http://127.0.0.1:9/", "ftp://there", "http://"]
    with pytest.raises(UsageError, match=r"all_columns\(\) cannot tell which requests"):
        frame.iloc[::-1].reset_index(drop=True).fastreq.all_columns()


def test_all_columns_of_rows_that_took_equally_long_are_found_by_label_alone(base):
    frame = fastreq([f"{base}/customers/1"] * 2 + [f"{base}/customers/2"], dedup=True, expand=True)
    assert frame.elapsed_ms[0] == frame.elapsed_ms[1]
    assert frame.iloc[::-1].fastreq.all_columns().index.tolist() == [2, 1, 0]
    assert frame.iloc[[2]].reset_index(drop=True).fastreq.all_columns().url.tolist() == [f"{base}/customers/2"]
    with pytest.raises(UsageError, match=r"all_columns\(\) cannot tell which requests"):
        frame.iloc[::-1].reset_index(drop=True).fastreq.all_columns()


def test_all_columns_of_exploded_rows_are_all_of_their_requests(base):
    frame = fastreq([f"{base}/orders/{i}" for i in (1, 2, 3)], select="[@]", expand=True, explode="lines")
    assert set(frame.iloc[[0]].fastreq.all_columns().url) == {f"{base}/orders/1"}
    assert len(frame.fastreq.all_columns()) == len(frame)


@pytest.mark.parametrize("name", ["retry_failed", "timings", "waterfall", "to_http", "to_curl"])
def test_a_frame_that_knows_no_run_says_so_in_one_line(answers, name):
    merged = pd.DataFrame(answers.to_dict("list"))
    with pytest.raises(UsageError, match=rf"{name}\(\) needs the frame that a run gave") as caught:
        getattr(merged.fastreq, name)()
    assert "\n" not in str(caught.value)


def test_outcomes_that_are_gone_are_told_in_one_line(answers, base):
    for _ in range(10):
        fastreq(f"{base}/customers/1")
    with pytest.raises(UsageError, match="they are gone: the last 10 runs"):
        answers.fastreq.waterfall()
    assert answers.fastreq.summary()["rows"] == 3


def test_what_was_expanded_can_be_exploded_afterwards(base):
    frame = fastreq(f"{base}/customers?per_page=2", select="items", expand=True)
    assert frame.fastreq.expand()["id"].tolist() == frame["id"].tolist()
    orders = fastreq(f"{base}/orders?per_page=1", select="items", expand=True)
    exploded = orders.fastreq.expand(explode="lines")
    assert len(set(exploded["id"])) == 1
    assert "lines.sku" in exploded


def test_save_and_load_are_inverse(base, table, tmp_path):
    frame = table.fastreq.get(f"{base}/customers/{{{{ id }}}}", timings=True, response_headers=True)
    again = fastreq_jupyter.load(frame.fastreq.save(tmp_path / "x.parquet"))
    pd.testing.assert_frame_equal(again, frame)
    assert again.attrs == frame.attrs


def test_a_loaded_frame_still_leads_to_its_run(answers, tmp_path):
    again = fastreq_jupyter.load(answers.fastreq.save(tmp_path / "x.parquet"))
    assert again.fastreq.to_curl() == answers.fastreq.to_curl()


def _python(program, *flags):
    return subprocess.run(
        [sys.executable, *flags, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{program}"],
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("order", ["import fastreq_jupyter, pandas", "import pandas, fastreq_jupyter"])
def test_the_accessor_is_there_whichever_is_imported_first(order):
    done = _python(f"{order}\nprint(pandas.DataFrame({{'a': [1]}}).fastreq)", "-W", "error")
    assert done.stdout.startswith("<df.fastreq of 1 rows"), done.stderr


@pytest.mark.slow
def test_waiting_for_pandas_imports_nothing_and_leaves_nothing():
    program = (
        "import fastreq_jupyter; assert not {'pandas', 'IPython', 'niquests', 'aiohttp'} & set(sys.modules)\n"
        "import pandas; print([type(f).__name__ for f in sys.meta_path if type(f).__module__.startswith('fastreq')])\n"
        "print('fastreq_jupyter.client.accessor' in sys.modules)"
    )
    assert _python(program).stdout.splitlines() == ["[]", "False"]


def test_without_pandas_its_import_fails_as_ever():
    program = "import fastreq_jupyter\ntry:\n    import pandas\nexcept ModuleNotFoundError as error:\n    print(error.name)"
    assert _python(program, "-I", "-S").stdout == "pandas\n"


@pytest.mark.slow
def test_reloading_registers_once():
    done = _python("import pandas, fastreq_jupyter, importlib\nimportlib.reload(fastreq_jupyter)\nprint('fine')", "-W", "error")
    assert done.stdout == "fine\n", done.stderr
