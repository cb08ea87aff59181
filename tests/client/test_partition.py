"""Plans for engines of more than one machine: plain data that travels, and what is refused before it does."""

from __future__ import annotations

import pickle
import sqlite3
import threading

import pandas as pd
import pytest

from fastreq_jupyter import FastRequests, OptionError, UsageError, partition_plan

# Dask and Spark send plans by it; the oldest versions are tested without them.
cloudpickle = pytest.importorskip("cloudpickle")

COLUMNS = {"keep": {"id": "int64"}, "schema": {"path": "string", "number": "Int64"}}


def template_of(server):
    return f"{server.url}/ok/{{{{ id }}}}"


def test_a_plan_travels_and_gives_the_columns_that_it_promised(counting_server):
    plan = partition_plan(template_of(counting_server), **COLUMNS, columns="all", timings=True, response_headers=True)
    there = cloudpickle.loads(pickle.loads(pickle.dumps(cloudpickle.dumps(plan))))
    frame = pd.DataFrame({"id": [3, 4], "other": ["a", "b"]}, index=[30, 40])
    answers = there(frame)
    assert (answers.dtypes == plan.meta.dtypes).all()
    assert list(answers.columns) == list(plan.meta.columns)
    assert list(answers.index) == [30, 40]
    assert (list(answers["id"]), list(answers["path"]), list(answers["number"])) == ([3, 4], ["/ok/3", "/ok/4"], [1, 1])
    assert answers["data"].isna().all()
    assert len(plan.spark_schema.split(", ")) == len(answers.columns)


def test_what_fits_no_column_stays_as_json_text(counting_server):
    answers = partition_plan(f"{counting_server.url}/{{{{+id}}}}", schema={"path": "Int64", "number": "Int64"})(
        pd.DataFrame({"id": ["status/404", "x"]})
    )
    assert list(answers["number"].isna()) == [True, False]
    assert list(answers["data"]) == ['{"status":404}', '{"path":"/x","number":1}']


def test_an_empty_partition_sends_nothing_and_has_all_columns(counting_server):
    plan = partition_plan(template_of(counting_server), **COLUMNS)
    empty = plan(pd.DataFrame({"id": pd.Series([], dtype="int64")}))
    assert (len(empty), list(empty.dtypes)) == (0, list(plan.meta.dtypes))
    assert counting_server.arrivals == []


def test_select_repeats_kept_columns_and_labels(demo_server):
    frame = pd.DataFrame({"customer": [1, 2]}, index=["a", "a"])
    answers = partition_plan(
        f"{demo_server.url}/orders?page={{{{ customer }}}}", keep={"customer": "int64"}, select="items", schema={"id": "Int64"}
    )(frame)
    assert len(answers) > 2
    assert set(answers.index) == {"a"}
    assert list(answers["item"]) == [*range((answers["customer"] == 1).sum()), *range((answers["customer"] == 2).sum())]


def test_pages_are_followed_within_a_task(demo_server):
    answers = partition_plan(f"{demo_server.url}/orders?customer={{{{ id }}}}", pages=True, keep={"id": "int64"})(pd.DataFrame({"id": [1]}))
    assert list(answers["page"]) == list(range(1, len(answers) + 1))


def test_frames_are_answered_one_by_one(counting_server):
    plan = partition_plan(template_of(counting_server), **COLUMNS)
    assert [len(answers) for answers in plan.iterator(iter([pd.DataFrame({"id": [1, 2]}), pd.DataFrame({"id": [3]})]))] == [2, 1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rate_limit": "100/s"}, "rate_limit needs share"),
        ({"rate_limit_per_host": 5}, "rate_limit_per_host needs share"),
        ({"share": 0}, "give a whole number from 1"),
        ({"method": "POST"}, "engines run tasks again"),
        ({"method": "POST", "headers": {"Idempotency-Key": "{{$uuid}}"}}, "engines run tasks again"),
        ({"headers": {"Authorization": "Bearer hush-hush"}}, "a secret in clear"),
        ({"params": {"api_key": "hush-hush"}}, "a secret in clear"),
        ({"json": {"password": "hush-hush"}, "retry_unsafe": True, "method": "POST"}, "a secret in clear"),
        ({"auth": ("me", "hush-hush")}, "auth is not possible in clear"),
        ({"auth": "hush-hush"}, "auth is not possible in clear"),
        ({"session": FastRequests()}, "cannot leave it"),
        ({"to": "rows/"}, "the engine writes its frames"),
        ({"expand": True}, "give schema"),
        ({"schema": {"a": "complex"}}, "'complex' is not possible"),
        ({"schema": {"status": "Int16"}}, "the name of two columns"),
    ],
)
def test_what_must_not_travel_or_be_sent_twice_is_refused(options, said):
    with pytest.raises(OptionError, match=said) as caught:
        partition_plan("https://host/{{ id }}", **options)
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    "template",
    [
        "GET https://me:hush-hush@host/{{ id }}",
        "GET https://host/{{ id }}?api_key=hush-hush",
        "@token = hush-hush\nGET https://host/{{ id }}\nAuthorization: Bearer {{token}}",
    ],
)
def test_secrets_in_the_template_are_refused_too(template):
    with pytest.raises(OptionError, match="a secret in clear") as caught:
        partition_plan(template)
    assert "hush" not in str(caught.value)


def test_references_are_looked_up_by_the_worker(counting_server, monkeypatch):
    plan = partition_plan(template_of(counting_server) + "\nX-Api-Key: {{$env KEY_HERE}}", auth="env:TOKEN_HERE")
    with pytest.raises(UsageError, match="TOKEN_HERE is not set on this worker"):
        plan(pd.DataFrame({"id": [1]}))
    monkeypatch.setenv("TOKEN_HERE", "hush-hush")
    monkeypatch.setenv("KEY_HERE", "silence")
    plan(pd.DataFrame({"id": [1]}))
    sent = counting_server.arrivals[0].headers
    assert (sent["authorization"], sent["x-api-key"]) == ("Bearer hush-hush", "silence")
    assert b"hush" not in pickle.dumps(plan)


def test_a_key_made_of_the_row_lets_a_post_go(counting_server):
    plan = partition_plan(f"POST {counting_server.url}/{{{{ id }}}}\nIdempotency-Key: {{{{ id }}}}\n\nx")
    assert plan(pd.DataFrame({"id": [7]}))["ok"].all()
    assert counting_server.arrivals[0].headers["idempotency-key"] == "7"


@pytest.mark.parametrize("options", [{}, COLUMNS])
def test_a_partition_without_the_column_is_refused_in_one_line(counting_server, options):
    with pytest.raises(UsageError, match="'id'") as caught:
        partition_plan(template_of(counting_server), **options)(pd.DataFrame({"name": ["x"]}))
    assert "\n" not in str(caught.value)
    assert counting_server.arrivals == []


def test_a_share_divides_rates_burst_and_concurrency_per_host():
    plan = partition_plan(
        "https://host/{{ id }}", rate_limit="100/min", rate_limit_per_host=8, rate_limit_burst=9, concurrency_per_host=12, share=8
    )
    options = plan._options
    assert [str(options[name]) for name in ("rate_limit", "rate_limit_per_host")] == ["12/min", "1/s"]
    assert (options["rate_limit_burst"], options["concurrency_per_host"]) == (1, 1)
    assert str(partition_plan("https://host/{{ id }}", rate_limit="3/min", share=6)._options["rate_limit"]) == "1/120s"


def test_a_task_that_runs_twice_sends_nothing_twice(counting_server, tmp_path):
    counting_server.delay = 0.05
    plan = partition_plan(template_of(counting_server), **COLUMNS, journal=tmp_path / "tasks")
    frame = pd.DataFrame({"id": range(30)})
    answers = []
    # As engines do that do not trust a slow worker: both at once.
    tasks = [threading.Thread(target=lambda: answers.append(plan(frame))) for _ in range(2)]
    for task in tasks:
        task.start()
    for task in tasks:
        task.join(120)
    assert set(counting_server.paths.values()) == {1}
    pd.testing.assert_frame_equal(answers[0][["id", "path"]], answers[1][["id", "path"]])
    with sqlite3.connect(next((tmp_path / "tasks").glob("*.db"))) as journal:
        assert journal.execute("SELECT count(*) FROM answers").fetchone() == (30,)
    journal.close()
