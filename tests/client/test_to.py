"""Rows that leave memory (option `to`): batches, what comes back, going on after an end of any kind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from fastreq_jupyter import FastreqError, OptionError, PartialFailureError, UsageError, fastreq, fastreq_stream, last_run, load, submit
from fastreq_jupyter.engine import quantiles, written


@pytest.fixture
def small_batches(monkeypatch):
    """Batches of a hundred rows: many of them in a short run."""
    monkeypatch.setattr(written, "BATCH_ROWS", 100)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return "rows/"


def urls_of(server, number):
    return [f"{server.url}/ok/{at}" for at in range(number)]


def rows_in(folder):
    """Rows of the whole batches that are there, without what a killed process left half-written."""
    return pd.concat([load(path) for path in sorted(Path(folder).glob("batch-*.parquet"))], ignore_index=True)


def test_what_comes_back_is_a_row_per_batch(counting_server, place, small_batches):
    frame = fastreq(urls_of(counting_server, 250), to=place)
    assert list(frame.columns) == ["rows", "ok", "failed", "bytes", "path"]
    assert (int(frame["rows"].sum()), int(frame["ok"].sum()), int(frame["failed"].sum())) == (250, 250, 0)
    assert len(frame) == 3
    assert sorted(map(str, Path(place).iterdir())) == list(frame["path"])
    assert frame.attrs["fastreq"]["summary"]["ok"] == 250


def test_the_rows_are_those_that_a_frame_would_have(counting_server, place, small_batches):
    urls = [*urls_of(counting_server, 220), "no url", f"{counting_server.url}/status/404"]
    plain = fastreq(urls, columns="all", timings=True)
    fastreq(urls, columns="all", timings=True, to=place)
    there = load(place)
    assert list(there["position"]) == list(range(222))
    assert list(there.drop(columns="position").columns) == list(plain.columns)
    assert (there.drop(columns="position").dtypes == plain.dtypes).all()
    assert [data and data["path"] for data in there["data"][:220]] == [data and data["path"] for data in plain["data"][:220]]
    for name in ("status", "ok", "error", "error_detail", "url", "method", "request"):
        pd.testing.assert_series_equal(there[name], plain[name])


def test_rows_come_in_order_of_completion_with_their_position(demo_server, place):
    fastreq([f"{demo_server.url}/orders/{at}" for at in range(1, 200)], to=place, concurrency=50)
    positions = list(pd.read_parquet(place)["position"])
    assert sorted(positions) == list(range(199))
    assert positions != sorted(positions)


def test_an_empty_run_leaves_columns_and_their_types(counting_server, place):
    frame = fastreq([], to=place)
    assert int(frame["rows"].sum()) == 0
    there = load(place)
    assert (len(there), str(there["status"].dtype), str(there["position"].dtype)) == (0, "Int16", "Int64")


def test_columns_of_the_source_and_its_index_go_along(counting_server, place, small_batches):
    table = pd.DataFrame({"id": range(150), "position": "north"}, index=pd.Index([f"o{at}" for at in range(150)], name="order"))
    table.fastreq.get(f"{counting_server.url}/ok/{{{{ id }}}}", to=place)
    there = load(place)
    assert list(there.index) == list(table.index)
    assert (list(there["id"]), set(there["position_in"])) == (list(range(150)), {"north"})


def test_select_gives_a_row_per_item(demo_server, place):
    fastreq(f"{demo_server.url}/orders", select="items", to=place)
    there = load(place)
    assert list(there["item"]) == list(range(len(there)))
    assert set(there["position"]) == {0}


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_lines_of_one_file_grow_by_a_batch(counting_server, tmp_path, small_batches, name):
    path = tmp_path / name
    frame = fastreq(urls_of(counting_server, 250), to=path)
    rows = pd.read_json(path, lines=True) if name.endswith("jsonl") else pd.read_csv(path)
    assert (len(frame), len(rows), set(rows["position"])) == (3, 250, set(range(250)))


def test_other_readers_read_them(counting_server, place, small_batches):
    polars, duckdb = pytest.importorskip("polars"), pytest.importorskip("duckdb")
    fastreq(urls_of(counting_server, 250), to=place)
    for number, data in (
        (len(pd.read_parquet(place)), pd.read_parquet(place)["data"][0]),
        (len(polars.read_parquet(place)), polars.read_parquet(place)["data"][0]),
        duckdb.sql(f"SELECT count(*), min(data) FROM '{place}*.parquet'").fetchall()[0],
    ):
        assert number == 250
        assert isinstance(data, str)


# What is refused


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"return_type": "json"}, "to needs return_type dataframe"),
        ({"pages": True}, "to is not possible with pages"),
        ({"dedup": True}, "to is not possible with dedup"),
        ({"expand": True}, "to is not possible with expand"),
        ({"parse_func": len}, "to is not possible with parse_func"),
        ({"to": "rows.parquet"}, "give a directory like 'rows/'"),
        ({"to": "file/"}, "file/ is a file"),
        ({"to": "file/below/"}, "cannot be written"),
        ({"to": "other"}, "holds other files \\(x.txt\\)"),
        ({"to": "there.csv"}, "there.csv exists"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(counting_server, place, tmp_path, options, said):
    (tmp_path / "file").write_text("")
    (tmp_path / "there.csv").write_text("")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.txt").write_text("mine")
    with pytest.raises(OptionError, match=said) as caught:
        fastreq(urls_of(counting_server, 3), **{"to": place, **options})
    assert "\n" not in str(caught.value)
    assert counting_server.arrivals == []
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["x.txt"]


async def test_a_stream_has_no_rows_that_could_leave(counting_server, place):
    with pytest.raises(OptionError, match="to is not possible here"):
        async for _ in fastreq_stream(urls_of(counting_server, 3), to=place):
            pass


def test_a_second_run_on_one_place_is_refused(counting_server, place):
    run = submit([f"{counting_server.url}/delay/60?{at}" for at in range(3)], to=place, loop="thread")
    try:
        with pytest.raises(OptionError, match="another run writes to rows/"):
            fastreq(urls_of(counting_server, 3), to=place)
    finally:
        run.cancel()
        assert run.wait(60)


def test_rows_of_an_earlier_run_are_not_mixed_with_new_ones(counting_server, place):
    fastreq(urls_of(counting_server, 3), to=place)
    with pytest.raises(OptionError, match="holds the rows of an earlier run: give journal"):
        fastreq(urls_of(counting_server, 3), to=place)
    with pytest.raises(OptionError, match="fresh would send all of them again"):
        fastreq(urls_of(counting_server, 3), to=place, journal="runs.db", fresh=True)
    with pytest.raises(OptionError, match="written with other options"):
        fastreq(urls_of(counting_server, 3), to=place, journal="runs.db", columns="all")
    with pytest.raises(FastreqError, match="holds the rows of other requests"):
        fastreq(urls_of(counting_server, 3)[::-1], to=place, journal="runs.db")
    assert len(load(place)) == 3


def test_what_needs_the_rows_says_where_they_are(counting_server, place):
    frame = fastreq(urls_of(counting_server, 3), to=place)
    for ask in (frame.fastreq.retry_failed, frame.fastreq.timings, frame.fastreq.waterfall, last_run().retry_failed):
        with pytest.raises(UsageError, match="rows/") as caught:
            ask()
        assert "\n" not in str(caught.value)
    assert last_run().df.equals(frame)


def test_check_counts_rows_that_are_gone(counting_server, place, small_batches):
    urls = [f"{counting_server.url}/{'status/404' if at % 2 else 'ok'}?{at}" for at in range(300)]
    with pytest.raises(PartialFailureError, match=r"150 of 300 requests failed \(http 404 x150\); the rows are in rows/") as caught:
        fastreq(urls, to=place, check="10%")
    assert len(caught.value.df) == 3


def test_percentiles_and_failures_are_told_of_rows_that_are_gone(counting_server, place, small_batches):
    urls = [f"{counting_server.url}/{'status/404' if at % 2 else 'ok'}?{at}" for at in range(1000)]
    fastreq(urls, to=place)
    gist, there = last_run().gist(), load(place)
    assert last_run().outcomes == []
    assert [(kind.name, kind.number) for kind in gist.kinds] == [("http 404", 500)]
    exact = quantiles(there["elapsed_ms"] / 1000)
    # A bucket of the histogram is one percent wide.
    assert gist.durations == pytest.approx(exact, rel=0.011)
    assert len(gist.rows) <= 500


# Ends of any kind


def test_an_interrupted_run_leaves_what_was_finished_and_goes_on(counting_server, place, small_batches):
    urls = [*urls_of(counting_server, 150), *(f"{counting_server.url}/delay/60?{at}" for at in range(3))]
    run = submit(urls, to=place, journal="runs.db", loop="thread", concurrency=5)
    while run.progress.done < 150:
        time.sleep(0.01)
    run.cancel()
    assert run.wait(60)
    assert set(load(place)["position"]) == set(range(150))
    before = len(counting_server.arrivals)
    frame = fastreq([*urls[:150], *(url.replace("/delay/60?", "/ok/") for url in urls[150:])], to=place, journal="runs.db")
    assert int(frame["rows"].sum()) == 153
    assert list(load(place)["position"]) == list(range(153))
    assert len(counting_server.arrivals) - before == 3


def test_what_failed_is_asked_again_and_takes_its_own_place(counting_server, place):
    urls = [f"{counting_server.url}/flaky/1/{at}" for at in range(20)]
    fastreq(urls, to=place, journal="runs.db", max_retries=0)
    assert load(place)["error"].notna().all()
    frame = fastreq(urls, to=place, journal="runs.db", max_retries=0)
    assert (int(frame["rows"].sum()), int(frame["failed"].sum())) == (20, 0)
    assert list(load(place)["position"]) == list(range(20))


PROGRAM = """
import sys, time, resource, pathlib
from fastreq_jupyter import RunError, fastreq, last_run
from fastreq_jupyter.engine import quantiles, written
url, how = sys.argv[1:]
written.BATCH_ROWS = 100

def urls():
    for at in range(1000):
        if at == 500 and how == "full":
            while not pathlib.Path("rows/batch-000002.parquet").exists():
                time.sleep(0.01)
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        yield f"{url}/{'delay/0.01' if how == 'kill' else 'ok'}?{at}"

try:
    fastreq(urls(), to="rows/", journal="runs.db" if how == "kill" else None, concurrency=5)
except RunError as error:
    print(error)
    print(last_run().df["rows"].sum())
"""


@pytest.mark.slow
def test_a_killed_process_leaves_whole_batches_and_a_rerun_goes_on_without_doubles(counting_server, place, small_batches):
    command = [sys.executable, "-c", PROGRAM, counting_server.url, "kill"]
    with subprocess.Popen(command) as process:
        try:
            until(lambda: len(list(Path(place).glob("batch-*.parquet"))) >= 2)
        finally:
            process.send_signal(signal.SIGKILL)
    there = rows_in(place)
    assert len(there) % 100 == 0
    assert there["position"].is_unique
    urls = [f"{counting_server.url}/delay/0.01?{at}" for at in range(1000)]
    frame = fastreq(urls, to=place, journal="runs.db", concurrency=50)
    assert (int(frame["rows"].sum()), int(frame["ok"].sum())) == (1000, 1000)
    assert list(load(place)["position"]) == list(range(1000))
    sent = counting_server.paths
    assert {sent[f"/delay/0.01?{at}"] for at in there["position"]} == {1}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sets a limit of POSIX")
def test_a_full_disk_ends_the_run_in_one_line_and_whole_batches_stay(counting_server, place):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, counting_server.url, "full"], capture_output=True, text=True, timeout=240, check=True
    )
    said, number = done.stdout.splitlines()
    assert said.startswith("rows/ cannot be written any more (File too large)")
    there = rows_in(place)
    assert len(there) == int(number) >= 300
    assert all(path.name.startswith("batch-") for path in Path(place).iterdir())
    assert len(counting_server.arrivals) < 1000


def until(happened, seconds=120):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)
