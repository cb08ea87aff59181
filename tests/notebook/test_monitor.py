"""The monitor and a real run, without a page: what would be sent is looked at."""

from __future__ import annotations

import gc
import json
import sys
import time
import weakref
import zlib
from array import array
from base64 import b64decode
from types import SimpleNamespace
from typing import TYPE_CHECKING

import nbformat
import pytest
from ipywidgets import Widget
from nbclient import NotebookClient

from fastreq_jupyter import submit
from fastreq_jupyter.notebook.monitor.watch import SNAPSHOT_ROWS
from fastreq_jupyter.notebook.monitor.widget import Monitor

if TYPE_CHECKING:
    from serving.counting import CountingServer


class Page(Monitor):
    """A monitor whose messages are kept instead of sent."""

    def __init__(self, run, **more):
        self.told = []
        self.buffers = []
        self.at = []
        super().__init__(run, **more)

    def send(self, content, buffers=None):
        self.told.append(content)
        self.buffers.append(buffers)
        self.at.append(time.monotonic())

    def ask(self, **command):
        before = len(self.told)
        self._hear(self, {"id": 5, **command}, [])
        return self.told[before:]


@pytest.fixture(autouse=True)
def _closed():
    yield
    Widget.close_all()


def kept(page):
    """Return what a notebook keeps of a panel."""
    return json.loads(zlib.decompress(b64decode(page.snapshot)).partition(b"\n")[0])


def started(server: CountingServer, count=40, path="delay/0.02", **options):
    return submit([f"{server.url}/{path}?n={i}" for i in range(count)], **options)


def ended(run):
    assert run.wait(60)
    time.sleep(0.2)


def test_all_rows_are_told_and_the_closing_line_comes_last(counting_server):
    run = started(counting_server, 50, concurrency=10)
    page = Page(run)
    ended(run)
    told = {url for message in page.told for url in message["url"]}
    assert len(told) == 50
    assert page.told[-1]["closing"] == run.closing_line()
    assert (page.told[-1]["state"], page.told[-1]["progress"]["ok"]) == ("DONE", 50)


def test_messages_are_at_most_fifteen_a_second(counting_server):
    run = started(counting_server, 600, "x", concurrency=20)
    page = Page(run)
    ended(run)
    at = page.at
    assert max(sum(start <= moment < start + 1 for moment in at) for start in at) <= 15


def test_commands_reach_the_run(counting_server):
    run = started(counting_server, 400, "delay/0.05", concurrency=2)
    page = Page(run)
    assert page.ask(do="update", concurrency="5", rate_limit="50")[-1]["ok"]
    assert _soon(lambda: run.options.concurrency == 5 and run.options.rate_limit.count == 50)
    page.ask(do="pause")
    assert _soon(lambda: run.state == "PAUSED")
    page.ask(do="resume")
    assert _soon(lambda: run.state == "RUNNING")
    page.ask(do="cancel")
    ended(run)
    assert run.state == "CANCELLED"


def test_a_wrong_setting_is_refused_with_the_name_of_its_field(counting_server):
    run = started(counting_server)
    said = Page(run).ask(do="update", concurrency="5000")[-1]
    assert (said["ok"], said["field"]) == (False, "concurrency")
    assert "1 to 1000" in said["said"]
    run.cancel()
    ended(run)


def test_an_unknown_command_and_a_row_without_outcome_are_answered_in_one_line(counting_server):
    run = started(counting_server, 1)
    page = Page(run)
    ended(run)
    assert page.ask(do="dance")[-1]["ok"] is False
    assert page.ask(do="details", position=99)[-1]["said"] == "request 99 has no outcome yet"


def test_failed_requests_are_sent_again_and_the_new_run_is_shown(counting_server):
    run = started(counting_server, 5, "flaky/1", max_retries=0)
    adopted = []
    page = Page(run, on_retry=adopted.append)
    ended(run)
    page.ask(do="retry")
    ended(page.run)
    assert page.run is adopted[0] is not run
    # The reply to the command may come after the last rows.
    assert [message for message in page.told if message["kind"] == "rows"][-1]["progress"]["ok"] == 5


def test_a_row_is_copied_as_curl_and_as_a_cell(counting_server):
    run = submit(f"{counting_server.url}/x", headers={"Authorization": "Bearer a-secret-of-mine"})
    page = Page(run)
    ended(run)
    curl, cell = (page.ask(do="copy", position=0, **{"as": form})[-1]["text"] for form in ("curl", "cell"))
    assert curl.startswith("curl ")
    assert cell.startswith("%%fastreq\n")
    assert "a-secret-of-mine" not in curl + cell
    assert "{{$env " in curl


@pytest.mark.slow
def test_the_snapshot_is_bounded_json_without_secrets(counting_server):
    run = submit([f"{counting_server.url}/{i}?token=a-secret-of-mine" for i in range(SNAPSHOT_ROWS * 2)], concurrency=50)
    page = Page(run)
    ended(run)
    text = json.dumps(kept(page))
    assert kept(page)["count"] == SNAPSHOT_ROWS
    assert len(page.snapshot) < 20_000
    assert "a-secret-of-mine" not in text


def test_a_finished_run_is_shown_when_asked_for(counting_server):
    run = started(counting_server, 3)
    ended(run)
    page = Page(run)
    answer = page.ask(do="state", **{"from": 0})[-1]
    assert (answer["count"], answer["answers"], answer["state"]) == (3, 5, "DONE")


def test_the_text_that_a_notebook_keeps_does_not_grow_old(counting_server):
    run = started(counting_server, 1)
    kept = Page(run)._repr_mimebundle_()[0]
    assert kept["text/plain"] == "<live panel>"
    assert "application/vnd.jupyter.widget-view+json" in kept
    ended(run)
    assert Page(run)._repr_mimebundle_()[0]["text/plain"].startswith("1 of 1 ok")


@pytest.mark.slow
def test_the_bars_of_a_run_that_ended_long_ago_stand_where_they_were(counting_server):
    run = started(counting_server, 3)
    ended(run)
    time.sleep(0.5)
    page = Page(run)
    starts = array("d", page.buffers[-1][1][: 3 * 8])
    assert all(0 <= start < 500 for start in starts)


def test_what_parse_func_could_not_read_is_shown_as_failed(counting_server):
    run = submit([f"{counting_server.url}/{i}" for i in range(3)], return_type="text", parse_func=int)
    page = Page(run)
    ended(run)
    assert page.told[-1]["progress"]["failed"] == 0
    assert run.df.error.eq("parse_func").all()
    page.refresh()
    assert page.told[-1]["progress"]["failed"] == 3
    assert "parse_func" in page.told[-1]["words"]
    assert kept(page)["closing"].startswith("0 of 3 ok, parse_func x3")


@pytest.mark.slow
def test_a_panel_left_open_does_not_hold_the_run(counting_server):
    class Run:
        """Something that can be forgotten."""

    run = started(counting_server, 2)
    page = Page(run)
    ended(run)
    other = Run()
    page._watch._run = weakref.ref(other)
    del other
    gc.collect()
    assert page.ask(do="details", position=0)[-1]["said"].startswith("this run is no longer held")
    assert page.ask(do="state", **{"from": 0})[-1]["count"] == 2


def _soon(told, seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if told():
            return True
        time.sleep(0.02)
    return False


def test_panels_share_their_code_but_in_marimo_each_has_its_own(counting_server, monkeypatch):
    run = started(counting_server, 1)
    ended(run)
    first, second = Page(run), Page(run)
    assert first.front == second.front
    assert first.layout is second.layout
    assert len(first._esm) < 1000
    monkeypatch.setitem(sys.modules, "marimo", SimpleNamespace(running_in_notebook=lambda: True))
    alone = Page(run)
    assert (alone.front, len(alone._esm) > 10_000, len(alone._css) > 5_000) == ("", True, True)


@pytest.mark.kernel
def test_a_further_finished_run_adds_six_kilobytes_to_a_notebook_saved_with_its_widgets(demo_server):
    first = f"%load_ext fastreq_jupyter\nbase = {demo_server.url.rstrip('/')!r}"
    runs = ["%%fastreq one\n{{base}}/orders/[1-20]", "%%fastreq two\n{{base}}/orders/[1-20]"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in (first, *runs)])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    whole = len(nbformat.writes(notebook))
    saved = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    last = [model for model, kept in saved.items() if "front" in kept["state"]][-1]
    del saved[last]
    del notebook.cells[-1]
    assert whole - len(nbformat.writes(notebook)) <= 6 * 1024


def test_rows_are_handed_on_as_code_and_as_an_archive(counting_server):
    run = submit([f"{counting_server.url}/{i}?token=a-secret-of-mine" for i in range(3)])
    page = Page(run)
    ended(run)
    code = [
        page.ask(do="code", **asked)[-1]["text"]
        for asked in ({"rows": [1, 2]}, {"rows": [], "ok": True}, {"rows": [], "error": "http 404"})
    ]
    frame = "last_run().df"
    assert code == [f"{frame}.iloc[[1, 2]]", f"{frame}[{frame}.error.isna()]", f"{frame}[{frame}.error == 'http 404']"]
    assert page.ask(do="details", position=2)[-1]["details"]["place"] == f"{frame}.iloc[2]"
    archive = page.ask(do="har", rows=[0, 2])[-1]["text"]
    assert len(json.loads(archive)["log"]["entries"]) == 2
    assert "a-secret-of-mine" not in archive
