"""The frame: its columns, order and dtypes never change, whatever came back."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import JSON_TYPE, START, attempt, failed, good, timing, unsent

from fastreq_jupyter.frame.build import present, to_frame
from fastreq_jupyter.frame.columns import instants, texts
from fastreq_jupyter.model import Outcome, Request, Response
from fastreq_jupyter.options import Options

PLAIN = Options()
ALL = Options(columns="all")
TEXT = "string[python]"
SHORT = {
    "data": "object",
    "status": "Int16",
    "ok": "bool",
    "error": TEXT,
    "error_detail": TEXT,
    "elapsed_ms": "float64",
    "attempts": "UInt8",
    "url": TEXT,
}
DTYPES = {
    **SHORT,
    "method": "category",
    "queued_ms": "float64",
    "wait_ms": "float64",
    "size_bytes": "Int64",
    "content_type": TEXT,
    "final_url": TEXT,
    "request": TEXT,
    "started_at": "datetime64[us, UTC]",
}
TIMINGS = {
    "retry_wait_ms": "float64",
    "dns_ms": "float64",
    "connect_ms": "float64",
    "tls_ms": "float64",
    "receive_ms": "float64",
    "http_version": "category",
}


def _dtypes(frame):
    # str() of both string dtypes is "string"
    return {name: f"string[{dtype.storage}]" if isinstance(dtype, pd.StringDtype) else str(dtype) for name, dtype in frame.dtypes.items()}


@pytest.mark.parametrize(
    "outcomes",
    [
        [],
        [good()],
        [unsent()],
        [failed(), unsent(1)],
        [good(0, "text"), good(1, "more")],
        [good(0, b"x"), good(1, {"a": [1]}), good(2, None)],
    ],
    ids=["empty", "good", "unsent", "failed", "texts", "mixed"],
)
def test_columns_order_and_dtypes_do_not_depend_on_the_content(outcomes):
    columns = {"data": {"data": "object", "error": TEXT}, "short": SHORT, "all": DTYPES}
    for name, expected in columns.items():
        plain, more = Options.of(columns=name), Options.of(columns=name, timings=True, response_headers=True)
        assert list(_dtypes(to_frame(outcomes, plain)).items()) == list(expected.items())
        assert list(_dtypes(to_frame(outcomes, more)).items()) == list({**expected, **TIMINGS, "headers": "object"}.items())


@pytest.mark.parametrize("how", [True, "items"])
def test_expanded_columns_get_the_room_of_url_and_attempts(how):
    names = list(to_frame([], Options.of(expand=how)))
    assert names == [name for name in SHORT if name not in ("url", "attempts")]
    assert list(to_frame([], Options.of(expand=how, columns="all"))) == list(DTYPES)


def test_the_short_set_is_the_default():
    assert Options().columns == "short"


def test_concat_of_two_frames_keeps_every_dtype():
    one = to_frame([good(request=Request("GET", "http://a.test/"))], Options.of(timings=True, columns="all"))
    other = to_frame([good(request=Request("POST", "http://a.test/"))], Options.of(timings=True, columns="all"))
    assert _dtypes(pd.concat([one, other])) == {**DTYPES, **TIMINGS}


def test_values_of_a_good_row():
    row = to_frame([good(0, {"id": 7}, url="https://api.test/x?page=2")], ALL).iloc[0]
    assert (row.status, row.ok, row.attempts, row.size_bytes) == (200, True, 1, 9)
    assert row.error is pd.NA
    assert row.error_detail is pd.NA
    assert row.data == {"id": 7}
    assert (row.url, row.final_url, row["method"]) == ("https://api.test/x?page=2", "https://api.test/x?page=2", "GET")
    assert row.content_type == "application/json"
    assert row.elapsed_ms == pytest.approx(66)
    assert row.queued_ms == pytest.approx(4)
    assert row.wait_ms == pytest.approx(50)
    assert row.started_at == pd.Timestamp(START) + pd.Timedelta(seconds=10)


def test_a_row_that_was_never_sent_is_missing_where_nothing_is_known():
    row = to_frame([unsent()], Options.of(timings=True, columns="all")).iloc[0]
    assert row.status is pd.NA
    assert row.size_bytes is pd.NA
    assert row.attempts == 0
    assert np.isnan(row.elapsed_ms)
    assert np.isnan(row.queued_ms)
    assert np.isnan(row.retry_wait_ms)
    assert row.started_at is pd.NaT
    assert row.final_url is pd.NA
    assert pd.isna(row.http_version)


def test_elapsed_and_queued_cover_all_attempts_wait_is_that_of_the_last():
    tries = (attempt(1, 10.0, retry_wait=1.5, status=503), attempt(2, 12.0, hops=(timing(12.0, wait=0.2),)))
    row = to_frame([good(attempts=tries)], Options.of(timings=True, columns="all")).iloc[0]
    # What the second one waited for its slot is in queued_ms.
    assert row.elapsed_ms == pytest.approx(2212)
    assert row.queued_ms == pytest.approx(8)
    assert row.wait_ms == pytest.approx(200)
    assert row.retry_wait_ms == pytest.approx(1500)
    assert row.attempts == 2


def test_phases_are_summed_over_redirect_hops_but_wait_is_that_of_the_last():
    hops = (timing(10.0, dns=0.01), timing(11.0, dns=0.02, wait=0.3))
    row = to_frame([good(attempts=(attempt(hops=hops),))], Options.of(timings=True, columns="all")).iloc[0]
    assert row.dns_ms == pytest.approx(30)
    assert row.connect_ms == pytest.approx(4)
    assert row.wait_ms == pytest.approx(300)


def test_error_is_the_kind_alone_so_that_value_counts_works():
    frame = to_frame([failed(0), failed(1), failed(2, "timeout"), good(3)], PLAIN)
    assert frame["error"].value_counts().to_dict() == {"http 503": 2, "timeout": 1}


def test_the_index_is_a_range_or_the_keys():
    outcomes = [good(0), good(1)]
    assert to_frame(outcomes, PLAIN).index.equals(pd.RangeIndex(2))
    assert isinstance(to_frame(outcomes, PLAIN).index, pd.RangeIndex)
    assert list(to_frame(outcomes, PLAIN, keys=["a", "b"]).index) == ["a", "b"]
    assert list(to_frame(outcomes, PLAIN, keys=[("a", 1), ("b", 2)]).index) == [("a", 1), ("b", 2)]


def test_rows_of_an_unfinished_run_keep_their_place_as_label():
    assert list(to_frame([good(2), good(5)], PLAIN).index) == [2, 5]
    assert list(to_frame([good(1)], PLAIN, keys=["a", "b"]).index) == ["b"]


def test_the_column_request_is_the_label_or_the_key():
    requests = [
        Request("GET", "http://a.test/", label="login", key=1),
        Request("GET", "http://a.test/", key=7),
        Request("GET", "http://a.test/"),
    ]
    names = to_frame([good(i, request=request) for i, request in enumerate(requests)], ALL)["request"]
    assert names.tolist() == ["login", "7", pd.NA]


def test_secrets_are_masked_in_both_urls_and_in_the_detail():
    request = Request("GET", "http://user:hunter2@api.test/x?token=abc123&page=1", headers={"Authorization": "Bearer sesame-open-123"})
    response = Response(200, (), "http://api.test/y?sig=zzz&ref=sesame-open-123", None, 0)
    row = to_frame([good(request=request, response=response), failed(1, request=request, error_detail="echo sesame-open-123")], ALL)
    assert row.url[0] == "http://***@api.test/x?token=***&page=1"
    assert row.final_url[0] == "http://api.test/y?sig=***&ref=***"
    assert row.error_detail[1] == "echo ***"


def test_a_secret_inserted_into_a_path_is_masked():
    request = Request("GET", "http://api.test/s3cr3t/x", secrets=["s3cr3t"])
    assert to_frame([good(request=request)], PLAIN).url[0] == "http://api.test/***/x"


def test_one_odd_url_among_many_plain_ones_is_masked():
    urls = [f"http://api.test/x?page={i}" for i in range(1200)]
    urls[700] = "http://api.test/x?page=1&api_key=abc"
    urls[900] = "http://api.test/x?key=k&page=3"
    frame = to_frame([good(i, url=url) for i, url in enumerate(urls)], PLAIN)
    assert frame.url[700] == "http://api.test/x?page=1&api_key=***"
    assert frame.url[900] == "http://api.test/x?key=***&page=3"
    assert frame.url[1] == "http://api.test/x?page=1"


@pytest.mark.parametrize(
    "query", ["??token=abc", "x=1;token=abc", "a=b=c&token=abc", "%74oken=abc", "page=1#token=abc", "token=abc&page=2"]
)
def test_no_spelling_of_a_query_gets_a_token_past_the_quick_look(query):
    urls = ["http://api.test/?page=1", f"http://api.test/?{query}"]
    assert "abc" not in to_frame([good(i, url=url) for i, url in enumerate(urls)], PLAIN).url[1]


def test_data_is_what_the_server_sent_never_masked():
    request = Request("GET", "http://api.test/", headers={"Authorization": "Bearer sesame-open-123"})
    assert to_frame([good(0, "sesame-open-123", request=request)], PLAIN).data[0] == "sesame-open-123"


def test_data_of_a_request_that_feeds_a_secret_place_is_hidden():
    login = Request("POST", "http://api.test/login", hide_data=True)
    frame = to_frame([good(0, {"token": "abc"}, request=login), failed(1, "timeout", request=login), good(2, {"a": 1})], PLAIN)
    assert frame.data.tolist() == ["***", None, {"a": 1}]


def test_lone_surrogates_become_replacement_characters_in_every_text():
    broken = "x\udcff"
    request = Request("GET", f"http://api.test/{broken}", label=broken)
    response = Response(200, (("Content-Type", f"text/{broken}"), ("X", broken)), f"http://api.test/other/{broken}", None, 0)
    row = to_frame(
        [Outcome(0, request, (attempt(),), response, broken, "protocol", broken)], Options.of(response_headers=True, columns="all")
    ).iloc[0]
    for name in ("url", "final_url", "request", "content_type", "error_detail", "data"):
        assert "\udcff" not in row[name]
        assert "\ufffd" in row[name], name
    assert row.headers == {"content-type": "text/x\ufffd", "x": "x\ufffd"}


def test_a_detail_is_one_harmless_line():
    assert to_frame([failed(error_detail="a\x1b[31mred\nb\u202e")], PLAIN).error_detail[0] == "ared b\ufffd"


def test_response_headers_are_lower_case_joined_and_masked():
    lines = (
        JSON_TYPE,
        ("X-A", "1"),
        ("x-a", "2"),
        ("Set-Cookie", "sid=abc"),
        ("Authorization", "zzz"),
        ("Location", "http://u:p@h/?token=t"),
    )
    row = to_frame([good(response=Response(200, lines, "http://api.test/", None, 0))], Options.of(response_headers=True)).iloc[0]
    assert row.headers == {
        "content-type": "application/json; charset=utf-8",
        "x-a": "1, 2",
        "set-cookie": "***",
        "authorization": "***",
        "location": "http://***@h/?token=***",
    }


def test_a_method_out_of_the_list_is_named_other():
    frame = to_frame([good(request=Request("BREW", "http://a.test/")), good(request=Request("PATCH", "http://a.test/"))], ALL)
    assert frame["method"].tolist() == ["other", "PATCH"]


def test_attrs_are_small_json():
    frame = to_frame([good()], PLAIN, summary={"ok": 1}, run_id="abc")
    assert frame.attrs["fastreq"] == {"run_id": "abc", "summary": {"ok": 1}, "notes": []}
    json.dumps(frame.attrs)


def test_present_asks_the_run_for_all_it_needs():
    class Plan:
        keys = ("a",)
        join = None

    class Run:
        plan, options, id = Plan(), PLAIN, "r1"
        rows = (good(),)

        def summary(self):
            return {"ok": 1}

    frame = present(Run())
    assert list(frame.index) == ["a"]
    assert frame.attrs["fastreq"]["run_id"] == "r1"


@given(st.lists(st.none() | st.text(st.characters(categories=["L", "Cs", "N"]), max_size=5), max_size=20))
@settings(max_examples=200)
def test_a_text_column_can_always_be_encoded(values):
    column = texts(values)
    assert [cell is pd.NA for cell in column] == [value is None for value in values]
    for cell in column.dropna():
        cell.encode()


@given(
    st.lists(
        st.none() | st.datetimes(min_value=START.replace(year=1990, tzinfo=None), max_value=START.replace(year=2100, tzinfo=None)),
        max_size=20,
    )
)
def test_instants_keep_every_microsecond(moments):
    aware = [None if moment is None else moment.replace(tzinfo=START.tzinfo) for moment in moments]
    assert [None if cell is pd.NaT else cell.to_pydatetime() for cell in instants(aware)] == aware


@pytest.mark.slow
def test_the_frame_is_the_same_without_pyarrow():
    pytest.importorskip("pyarrow")
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from samples import good; from fastreq_jupyter.frame.build import to_frame; from fastreq_jupyter.options import Options\n"
        "print([repr(dtype) for dtype in to_frame([good(0, 'x')], Options()).dtypes])"
    )
    bare = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert bare.stdout.strip() == str([repr(dtype) for dtype in to_frame([good(0, "x")], PLAIN).dtypes])
