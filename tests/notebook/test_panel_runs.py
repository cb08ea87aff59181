"""Runs of a form: one at a time, started once, shown until they end; the variable holds the newest result."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from ipywidgets import Widget

from fastreq_jupyter.notebook.form import panel
from fastreq_jupyter.notebook.form.panel import DOUBLE_CLICK_S, Panel

if TYPE_CHECKING:
    from serving.counting import CountingServer


@pytest.fixture(autouse=True)
def _closed():
    yield
    Widget.close_all()


def until(told, seconds=60):
    end = time.monotonic() + seconds
    while not told():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.01)


def said(made):
    return made._note.value


def test_what_runs_is_what_the_cell_says(counting_server: CountingServer):
    made = Panel(f"{counting_server.url}/a\n{counting_server.url}/b", "rows", namespace={}, max_retries=0, method="POST")
    made.fields["data"].control.value = '{"id": 7}'
    made.fields["headers"].control.value = "X-Say: it's"
    assert made.cell.startswith('%%fastreq rows -X POST -d \'{"id": 7}\' --retries 0 -H "X-Say: it\'s"\n')
    assert made.start().wait(10)
    assert [(a.method, a.path, a.body, a.headers["x-say"]) for a in counting_server.arrivals] == [
        ("POST", "/a", b'{"id": 7}', "it's"),
        ("POST", "/b", b'{"id": 7}', "it's"),
    ]
    assert made.df.status.tolist() == [200, 200]


@pytest.mark.slow
def test_a_double_click_sends_once(counting_server: CountingServer, monkeypatch):
    # Longer than a run takes on a busy machine.
    monkeypatch.setattr(panel, "DOUBLE_CLICK_S", 3.0)
    made = Panel(f"{counting_server.url}/once", namespace={})
    made._buttons[0].click()
    made.run.wait(10)
    made._buttons[0].click()
    until(lambda: not made._busy)
    assert counting_server.paths == {"/once": 1}


@pytest.mark.slow
def test_clicks_of_many_threads_start_one_run(counting_server: CountingServer):
    made = Panel(f"{counting_server.url}/delay/0.2", namespace={})
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: made._buttons[0].click(), range(8)))
        list(pool.map(lambda _: made.start(), range(8)))
    until(lambda: not made._busy)
    assert len(counting_server.arrivals) == 1


@pytest.mark.slow
def test_run_is_disabled_while_a_run_goes_on_and_works_again_afterwards(counting_server: CountingServer):
    made = Panel(f"{counting_server.url}/delay/0.3", "rows", namespace={})
    run = made._buttons[0]
    run.click()
    assert (run.disabled, run.description) == (True, "Running")
    assert made.start() is None
    assert "goes on" in said(made)
    until(lambda: not made._busy)
    assert (run.disabled, run.description) == (False, "Run")
    run.click()
    until(lambda: not made._busy)
    assert len(counting_server.arrivals) == 2


@pytest.mark.slow
def test_a_form_that_was_refused_can_be_run_at_once(counting_server: CountingServer):
    made = Panel(f"{counting_server.url}/x", namespace={}, concurrency=1)
    made.fields["concurrency"].control.value = "0"
    made._buttons[0].click()
    assert not made._buttons[0].disabled
    made.fields["concurrency"].control.value = "1"
    made._buttons[0].click()
    until(lambda: not made._busy)
    assert len(counting_server.arrivals) == 1


@pytest.mark.slow
def test_an_older_run_that_ends_later_does_not_take_the_variable(counting_server: CountingServer):
    names = {}
    made = Panel(f"{counting_server.url}/delay/0.4", "rows", namespace=names)
    older = made.start()
    newer = Panel(f"{counting_server.url}/new", "rows", namespace={}).start()
    newer.wait(10)
    made._adopt(newer)
    until(lambda: "rows" in names)
    older.wait(10)
    time.sleep(0.1)
    assert names["rows"].url.tolist() == [f"{counting_server.url}/new"]


@pytest.mark.slow
def test_dry_run_and_cell_have_a_place_of_their_own_and_the_monitor_stays(counting_server: CountingServer):
    made = Panel(f"{counting_server.url}/delay/0.5", "rows", namespace={})
    run = made.start()
    monitor = made._below.children
    made._preview()
    assert "/delay/0.5" in made._aside.children[-1].value
    made._show_cell()
    assert "%%fastreq rows" in made._aside.children[-1].value
    assert made._below.children == monitor
    assert not run.done
    run.wait(10)


def test_all_runs_of_a_form_share_one_view(counting_server: CountingServer):
    made = Panel(f"{counting_server.url}/x", "rows", namespace={})
    made.start().wait(10)
    monitor = made._below.children[0]
    until(lambda: not made._buttons[0].disabled)
    again = made.start()
    again.wait(10)
    assert [type(shown) for shown in made._below.children].count(type(monitor)) == 1
    assert made._below.children[0] is monitor
    assert monitor.run is again


def test_an_error_and_a_change_clear_what_an_earlier_click_showed():
    made = Panel("http://127.0.0.1:9/x", namespace={})
    made._show_cell()
    assert made._aside.children
    made.fields["concurrency"].control.value = "0"
    assert made._aside.children == ()
    made._preview()
    assert made._aside.children == ()


def test_a_dry_run_sends_nothing_and_shows_ten_rows_without_empty_columns(counting_server: CountingServer):
    made = Panel(f"{counting_server.url}/[1-25]", namespace={})
    made._preview()
    table = made._aside.children[-1].value
    assert counting_server.arrivals == []
    assert "/10<" in table
    assert "/11<" not in table
    assert "and 15 more" in table
    assert "<th scope=col>method</th><th scope=col>url</th></tr>" in table
    assert "25 requests to 1 host" in table


@pytest.mark.parametrize(
    ("path", "name", "line"),
    [
        ("/x", "rows", "rows holds 1 row."),
        ("/[1-3]", "rows", "rows holds 3 rows."),
        ("/status/404", "rows", "rows holds 1 row, which failed."),
        ("/status/[403-404]", "rows", "rows holds 2 rows, 2 of them failed."),
        ("/[1-3]", "", "3 rows. The rows are in last_run().df"),
    ],
)
def test_the_end_tells_where_the_rows_are(counting_server: CountingServer, path, name, line):
    made = Panel(counting_server.url + path, name, namespace={}, max_retries=0)
    made.start()
    until(lambda: not made._busy)
    assert line in said(made)


def test_a_return_type_decides_what_the_variable_holds(counting_server: CountingServer):
    names = {}
    made = Panel(f"{counting_server.url}/x\n{counting_server.url}/status/404", "texts", namespace=names, return_type="text", max_retries=0)
    made.start()
    until(lambda: not made._busy)
    assert [type(one) for one in names["texts"]] == [str, type(None)]


def test_more_failures_than_check_tolerates_are_told(counting_server: CountingServer):
    made = Panel(f"{counting_server.url}/status/404", namespace={}, max_retries=0, check=True)
    made.start()
    until(lambda: not made._busy)
    assert "Check: 1 of 1 requests failed" in said(made)
    assert "fastreq-error" in said(made)


def test_a_double_click_is_a_matter_of_moments():
    assert 0.3 < DOUBLE_CLICK_S < 1
