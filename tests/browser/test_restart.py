"""A kernel that was restarted, or a notebook opened without one, leaves form and panel readable, and plainly without one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from browser.steps import opened, state, until

if TYPE_CHECKING:
    from browser.labdriver import Jupyter, NotebookPage
    from serving.counting import CountingServer

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

# Where each control lies, from the upper left corner of the first, and what it holds.
CONTROLS = """() => { const found = [...document.querySelectorAll('.fastreq-form :is(input, textarea, select)')].filter(one => one.offsetParent);
  const { left, top } = found[0].getBoundingClientRect();
  return found.map(one => { const box = one.getBoundingClientRect();
    return [one.value, ...[box.left - left, box.top - top, box.width, box.height].map(Math.round)] }) }"""
CHAINS = """() => [...document.querySelectorAll('.jupyter-widgets-disconnected')]
  .filter(one => getComputedStyle(one, '::before').content !== 'none').length"""


def controls(notebook: NotebookPage) -> list[list[Any]]:
    """Return what each control of the form holds, and where it lies."""
    return notebook.page.evaluate(CONTROLS)


@pytest.mark.parametrize("app", ["lab", "notebook7"])
def test_a_restarted_kernel_leaves_the_form_as_it_was_and_says_that_it_is_dead(
    app: str, request: pytest.FixtureRequest, counting_server: CountingServer
):
    cell = f"panel = Panel('{counting_server.url}/delay/0.1?n=[1-400]', 'rows', concurrency='2')\ndisplay(panel)\nrun = panel.start()"
    notebook = opened(request.getfixturevalue(app), cell)
    notebook.run(1)
    state(notebook, "RUNNING")
    page = notebook.page
    gone = page.get_by_text("Not connected to a kernel")
    assert not gone.is_visible()
    before = controls(notebook)
    assert len(before) > 9
    notebook.restart()
    state(notebook, "STOPPED")
    gone.wait_for()
    assert controls(notebook) == before
    assert page.evaluate(CHAINS) == 0
    assert page.locator(".fastreq-buttons button:visible").count() == 0
    assert page.locator(".fr-f-eta dd").inner_text() == "\u2013"
    notebook.run(0)
    notebook.run(1)
    state(notebook, "RUNNING")
    until(lambda: page.locator(".fastreq-buttons button:visible").count() == 3)
    assert not gone.is_visible()


# A panel is two outputs, and a cell shows fifty at most.
RUNS = """for i in range(10):
    fastreq([f"{url}/{i}?n={n}" for n in range(12)], progress="panel")"""
STATE = "from ipywidgets import Widget\nPath('state.json').write_text(json.dumps(Widget.get_manager_state()))"


def test_fifty_saved_panels_open_without_an_error_and_what_cannot_be_shown_leaves_its_summary(
    lab: Jupyter, counting_server: CountingServer
):
    ran = opened(lab, f"from pathlib import Path\nfrom fastreq_jupyter import fastreq\nurl = '{counting_server.url}/x'", *[RUNS] * 5, STATE)
    for index in range(1, 8):
        ran.run(index)
    cells = [nbformat.v4.new_code_cell(RUNS, outputs=ran.outputs(index), execution_count=index) for index in range(2, 7)]
    made = nbformat.from_dict(nbformat.v4.new_notebook(cells=cells))
    made.metadata.kernelspec = {"name": "python3", "display_name": "python3", "language": "python"}
    path = lab.root / "saved.ipynb"
    lab.write(made, path)
    # A page so high that no cell is out of sight: those that are may not be there.
    high = (1280, 12_000)
    without = lab.show(path, size=high)
    ten_in_each_cell(without, ".fastreq-summary:visible")
    assert without.page.get_by_text("model not found").locator("visible=true").count() == 0
    made.metadata.widgets = {"application/vnd.jupyter.widget-state+json": json.loads((lab.root / "state.json").read_text())}
    lab.write(made, path)
    saved = lab.show(path, size=high)
    ten_in_each_cell(saved, ".fastreq")
    last = saved.page.locator(".fastreq").last
    # What is out of sight is not drawn.
    last.scroll_into_view_if_needed()
    last.locator(".fr-state", has_text="Done (saved)").wait_for()
    until(lambda: last.locator(".fr-f-done dd").inner_text() == "12 / 12")
    assert saved.page.locator(".jupyter-widgets-disconnected").count() > 0
    assert saved.page.evaluate(CHAINS) == 0
    assert [line for line in saved.console if line.startswith("error")] == []


def ten_in_each_cell(notebook: NotebookPage, what: str) -> None:
    """Wait for ten of something in each cell, from top to bottom."""
    cells = notebook.page.locator(".jp-CodeCell")
    until(lambda: cells.count() == 5)
    for cell in cells.all():
        cell.scroll_into_view_if_needed()
        cell.locator(what).nth(9).wait_for()
