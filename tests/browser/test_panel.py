"""The panel in a real browser, its doings asserted in the kernel and at the server."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from browser.steps import background, clicked, opened, positions, state, until, urls
from serving.counting import CountingServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from browser.labdriver import NotebookPage

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

# By the page's own clock: the driver's looks would be measured, too.
CANCEL_AND_WAIT = """() => new Promise(resolve => { const began = performance.now();
  const cell = window.jupyterapp.shell.currentWidget.content.widgets[1].model.sharedModel;
  [...document.querySelectorAll('.fr-button')].find(button => button.textContent === 'Cancel').click();
  const look = () => cell.executionState === 'idle' ? resolve(performance.now() - began) : setTimeout(look, 5); look() })"""


@pytest.fixture
def server() -> Iterator[CountingServer]:
    """Give a server that measures."""
    with CountingServer() as counting:
        yield counting


def ink(notebook: NotebookPage) -> int:
    """Return how many different colours the waterfall has."""
    return notebook.page.evaluate("""() => { const canvas = document.querySelector('canvas.fr-bars');
      const data = canvas.getContext('2d').getImageData(0, 60, canvas.width, canvas.height - 60).data; const seen = new Set();
      for (let i = 0; i < data.length; i += 4) if (data[i + 3]) seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
      return seen.size }""")


@pytest.mark.parametrize("app", ["lab", "notebook7"])
def test_cancelling_an_awaited_cell_ends_it_while_the_server_holds_its_requests(app, request, server, measured):
    notebook = opened(
        request.getfixturevalue(app), f"%%fastreq out -c 4\n{server.url}/delay/0.05?n=[0-9]\n{server.url}/delay/3600?n=[0-189]"
    )
    notebook.start(1)
    state(notebook, "RUNNING")
    until(lambda: len(server.arrivals) == 14)
    until(lambda: ink(notebook) > 2)
    took = notebook.page.evaluate(CANCEL_AND_WAIT)
    notebook.wait(1)
    measured("click on Cancel to end of an awaited cell", app, f"{took:.0f} ms")
    arrived = len(server.arrivals)
    assert notebook.value(2, "print(last_run().state, len(out), out.error.eq('cancelled').sum())") == "CANCELLED 200 190"
    assert len(server.arrivals) == arrived


def test_a_run_is_paused_and_resumed(lab, server):
    notebook = opened(lab, background(f"{server.url}/delay/0.05", 400, concurrency=4))
    notebook.run(1)
    state(notebook, "RUNNING")
    clicked(notebook, "Pause")
    state(notebook, "PAUSED")
    until(lambda: server.in_flight == 0)
    paused_at = len(server.arrivals)
    time.sleep(0.5)
    assert len(server.arrivals) == paused_at
    clicked(notebook, "Resume")
    until(lambda: len(server.arrivals) > paused_at + 20)
    assert notebook.value(2, "run.cancel(); run.wait(5); print(run.state)") == "CANCELLED"


def test_concurrency_and_rate_act_while_it_runs(lab, server):
    notebook = opened(lab, background(f"{server.url}/delay/0.1", 2000, concurrency=2))
    notebook.run(1)
    state(notebook, "RUNNING")
    until(lambda: len(server.arrivals) > 4)
    assert server.peak == 2
    field = notebook.page.get_by_label("Concurrency")
    field.fill("12")
    field.press("Enter")
    until(lambda: server.peak == 12)
    rate = notebook.page.get_by_label("Rate")
    rate.fill("nonsense")
    rate.press("Enter")
    notebook.page.get_by_text("rate_limit='nonsense' is not possible").wait_for()
    rate.fill("10")
    rate.press("Enter")
    until(lambda: notebook.page.locator(".fr-error:not(:empty)").count() == 0)
    time.sleep(0.5)
    begin = time.monotonic()
    server.reset()
    until(lambda: len(server.arrivals) >= 15)
    arrived = len(server.arrivals)
    # Ten a second, a burst of five, and the twelve that were on their way.
    assert arrived <= 17 + 10 * (time.monotonic() - begin)
    assert notebook.value(2, "print(run.options.concurrency, run.options.rate_limit); run.cancel()") == "12 10/s"


def test_rows_are_sorted_filtered_and_chosen(lab, server):
    cell = f"run = submit(['{server.url}/status/' + code for code in '200 404 200 500 201'.split()], max_retries=0)\nMonitor(run)"
    notebook = opened(lab, cell)
    notebook.run(1)
    state(notebook, "DONE")
    page = notebook.page
    # A run that ended shows what failed first, and so short a run no filters unasked.
    until(lambda: positions(notebook) == [1, 3, 0, 2, 4])
    page.get_by_role("button", name="More").click()
    page.get_by_role("button", name="Status").click()
    until(lambda: positions(notebook) == [0, 2, 4, 1, 3])
    page.get_by_role("button", name="Status").click()
    until(lambda: positions(notebook) == [3, 1, 4, 0, 2])
    page.locator(".fr-filter", has_text="failed").click()
    until(lambda: positions(notebook) == [3, 1])
    page.locator(".fr-filter", has_text="404").click()
    until(lambda: positions(notebook) == [1])
    page.locator(".fr-filter", has_text="404").click()
    page.get_by_label("Filter by text").fill("201")
    until(lambda: positions(notebook) == [4])
    page.locator(".fr-frame tbody tr").first.click()
    details = page.get_by_role("complementary", name="Request details")
    details.get_by_text("201 Created").wait_for()
    details.get_by_role("treeitem", name="status: 201").click()
    page.keyboard.press("ArrowUp")
    assert details.locator(".fr-path").inner_text() == "@"
    details.get_by_role("tab", name="Headers").click()
    details.get_by_text("Response headers").wait_for()
    page.get_by_label("Filter by text").fill("")
    page.locator(".fr-frame tbody tr", has_text="/status/404").locator(".fr-c-status").click()
    details.get_by_text("404 Not Found").wait_for()
    assert details.get_by_text("Response headers").is_visible()
    details.get_by_role("button", name="The row before ([)").click()
    page.get_by_role("heading", name="Request 3").wait_for()
    page.keyboard.press("]")
    page.get_by_role("heading", name="Request 1").wait_for()
    page.keyboard.press("Escape")
    assert not details.is_visible()


def test_the_keyboard_steers_the_table_and_the_notebook_does_not_hear_it(lab, server):
    notebook = opened(lab, background(server.url, 60, max_retries=0))
    notebook.run(1)
    state(notebook, "DONE")
    page = notebook.page
    page.locator(".fr-frame table").focus()
    cells = page.locator(".jp-Notebook .jp-CodeCell").count()
    for key in ("d", "d", "a", "b", "x", "m", "ArrowDown", "ArrowDown", "End", "ArrowUp"):
        page.keyboard.press(key)
    # The table is drawn with the next frame.
    page.locator("tr[aria-selected=true] .fr-c-position", has_text="58").wait_for()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Request 58").wait_for()
    assert page.locator(".jp-Notebook .jp-CodeCell").count() == cells
    page.keyboard.press("Escape")
    page.keyboard.press("Home")
    page.keyboard.press("+")
    page.keyboard.press("/")
    page.keyboard.type("n=7")
    until(lambda: positions(notebook) == [7])


def test_failed_requests_are_sent_again(lab, server):
    notebook = opened(lab, background(f"{server.url}/flaky/1", 6, max_retries=0))
    notebook.run(1)
    clicked(notebook, "Retry 6 failed")
    until(lambda: len(server.arrivals) == 12)
    state(notebook, "DONE")
    until(lambda: notebook.page.locator(".fr-f-ok dd").inner_text() == "6")
    assert notebook.value(2, "print(last_run().df.status.tolist(), last_run() is run)") == "[200, 200, 200, 200, 200, 200] False"


def test_a_reloaded_page_finds_the_run_again(lab, server):
    notebook = opened(lab, background(f"{server.url}/delay/0.05", 6000, concurrency=4))
    notebook.run(1)
    state(notebook, "RUNNING")
    until(lambda: len(server.arrivals) > 40)
    notebook.save()
    notebook.reload()
    state(notebook, "RUNNING")
    page = notebook.page
    page.get_by_role("button", name="Follow").click()
    page.locator(".fr-scroll").evaluate("element => { element.scrollTop = 0 }")
    until(lambda: urls(notebook)[:1] == ["/delay/0.05?n=0"])
    clicked(notebook, "Cancel")
    state(notebook, "CANCELLED")


def test_two_views_of_one_monitor_show_the_same(lab, server):
    notebook = opened(lab, f"run = submit([f'{server.url}/{{i}}' for i in range(30)])\nm = Monitor(run)\ndisplay(m)", "display(m)")
    notebook.run(1)
    notebook.run(2)
    first, second = notebook.page.locator(".fastreq").all()
    for view in (first, second):
        # What is out of sight is not drawn.
        view.scroll_into_view_if_needed()
        view.locator(".fr-f-done", has_text="30 / 30").wait_for()
    first.get_by_label("Filter by text").fill("/29")
    first.locator(".fr-count", has_text="1 of 30").wait_for()
    assert second.locator(".fr-count").inner_text() == "30 requests"


def test_a_restarted_kernel_leaves_a_panel_that_says_so(lab, server):
    notebook = opened(lab, background(f"{server.url}/delay/0.1", 500, concurrency=2))
    notebook.run(1)
    state(notebook, "RUNNING")
    until(lambda: len(server.arrivals) > 6)
    notebook.restart()
    state(notebook, "STOPPED")
    notebook.page.get_by_text("The kernel stopped before this run ended.").wait_for()
    assert len(urls(notebook)) > 3
    assert notebook.page.locator(".fr-button:enabled:visible").count() == 0


def test_a_blocked_cell_is_cancelled_where_the_kernel_hears_it(lab, server):
    notebook = opened(
        lab,
        f"run = submit([f'{server.url}/delay/0.1?n={{i}}' for i in range(20_000)])\ndisplay(Monitor(run))\n"
        "while not run.done:\n    time.sleep(0.05)\nprint(run.state)",
    )
    notebook.start(1)
    state(notebook, "RUNNING")
    clicked(notebook, "Cancel")
    state(notebook, "CANCELLED")
    notebook.wait(1)
    assert notebook.text(1).endswith("CANCELLED")


def test_a_reopened_or_exported_notebook_shows_the_summary_and_no_secret(lab, server):
    secret = "a-secret-of-mine-123"
    cell = "os.environ['KEY'] = 'a-secret' + '-of-mine-123'\n%load_ext fastreq_jupyter"
    notebook = opened(
        lab, cell, f"%%fastreq out -H 'Authorization: Bearer {{{{$env KEY}}}}'\n{server.url}/kept/[1-5]?token={{{{$env KEY}}}}"
    )
    notebook.run(1)
    notebook.run(2)
    assert [arrival.headers["authorization"] for arrival in server.arrivals] == [f"Bearer {secret}"] * 5
    notebook.save()
    text = notebook.path.read_text()
    assert secret not in text
    again = lab.show(notebook.path, ready="() => window.jupyterapp?.shell?.currentWidget?.context?.isReady")
    again.page.get_by_text("5 of 5 ok").first.wait_for()
    assert "text/html" in json.dumps(again.outputs(2))
    page = subprocess.run(
        [sys.executable, "-m", "nbconvert", "--to", "html", "--stdout", notebook.path], check=True, capture_output=True, text=True
    )
    assert "5 of 5 ok" in page.stdout
    assert "data:image/svg+xml," in page.stdout
    assert secret not in page.stdout


def test_what_a_hostile_server_sends_is_shown_as_text(lab, hostile):
    notebook = opened(lab, f"run = submit(['{hostile}/<img src=x onerror=alert(1)>'])\nMonitor(run)")
    notebook.spent = True
    asked = []
    notebook.page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    notebook.run(1)
    state(notebook, "DONE")
    notebook.page.locator(".fr-frame tbody tr").first.click()
    body = notebook.page.locator(".fr-details pre").first
    body.wait_for()
    assert "<script>alert(1)</script>" in body.inner_text()
    assert len(body.inner_text()) < 70_000
    for tab in ("Request", "Headers", "Timing"):
        notebook.page.get_by_role("tab", name=tab).click()
    assert "\u202e" not in notebook.page.locator(".fastreq").inner_text()
    assert notebook.page.locator(".fastreq :is(img, script, b)").count() == 0
    assert asked == []
