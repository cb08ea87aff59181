"""A real Dask cluster of two processes, counted at the server."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from urllib.parse import urlsplit

import pandas as pd
import pytest

from fastreq_jupyter import partition_plan

dask_dataframe = pytest.importorskip("dask.dataframe")
distributed = pytest.importorskip("distributed")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def cluster():
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "worker_dashboard_address": None}
    with distributed.LocalCluster(**options) as workers, distributed.Client(workers) as client:
        client.wait_for_workers(2, timeout=120)
        yield client


def partitions(number, rows):
    return dask_dataframe.from_pandas(pd.DataFrame({"id": range(number * rows)}), npartitions=number)


def test_eight_partitions_on_two_workers_lose_nothing_and_hold_the_rate(cluster, counting_server, measured):
    plan = partition_plan(
        f"{counting_server.url}/ok/{{{{ id }}}}", schema={"path": "string"}, keep={"id": "int64"}, rate_limit="100/s", share=2
    )
    lazy = partitions(8, 80).map_partitions(plan, meta=plan.meta)
    assert counting_server.arrivals == []
    answers = lazy.compute()
    assert list(answers["id"]) == list(range(640))
    assert answers["ok"].all()
    assert list(answers["path"]) == [f"/ok/{number}" for number in range(640)]
    assert set(counting_server.paths.values()) == {1}
    most = counting_server.most_within(5.0)
    measured("requests of two workers in any 5 s, 525 at most", "dask", str(most))
    assert most <= 525


def test_types_are_found_out_without_sending(cluster, counting_server):
    plan = partition_plan(f"{counting_server.url}/ok/{{{{ id }}}}", schema={"path": "string"})
    lazy = partitions(2, 3).map_partitions(plan)
    assert list(lazy.columns) == list(plan.meta.columns)
    assert counting_server.arrivals == []


def test_empty_partitions_are_of_the_same_shape(cluster, counting_server):
    plan = partition_plan(f"{counting_server.url}/ok/{{{{ id }}}}", keep={"id": "int64"})
    some = partitions(4, 5)
    answers = some[some["id"] >= 15].map_partitions(plan, meta=plan.meta).compute()
    assert list(answers["id"]) == [15, 16, 17, 18, 19]


def test_a_missing_column_is_told_by_the_task_in_one_line(cluster, counting_server):
    plan = partition_plan(f"{counting_server.url}/{{{{ sku }}}}")
    with pytest.raises(Exception, match="named 'sku'") as caught:
        partitions(1, 2).map_partitions(plan, meta=plan.meta).compute()
    assert "\n" not in str(caught.value)


def test_a_killed_worker_costs_nothing_that_was_answered(cluster, counting_server, tmp_path):
    counting_server.delay = 0.05
    plan = partition_plan(f"{counting_server.url}/ok/{{{{ id }}}}", keep={"id": "int64"}, journal=tmp_path / "tasks", concurrency=2)
    computing = cluster.compute(partitions(4, 100).map_partitions(plan, meta=plan.meta))
    until(lambda: len(kept(tmp_path)) >= 60)
    os.kill(next(iter(cluster.run(os.getpid).values())), signal.SIGKILL)
    finished = kept(tmp_path)
    answers = computing.result(timeout=240)
    assert list(answers["id"]) == list(range(400))
    assert answers["ok"].all()
    sent = counting_server.paths
    assert {sent[path] for path in finished} == {1}


def kept(folder):
    """Paths of the answers that are in journals of tasks."""
    found = set()
    for path in (folder / "tasks").glob("*.db"):
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as journal:
                found |= {urlsplit(url).path for (url,) in journal.execute("SELECT url FROM answers WHERE done = 1")}
        except sqlite3.Error:
            # just being made
            continue
    return found


def until(happened, seconds=180):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)
