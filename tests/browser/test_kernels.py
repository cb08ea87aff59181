"""The panel's hands on each kernel of the matrix: today's ipykernel, and 6.31, which hears a button only when it is idle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from browser.steps import state, until

if TYPE_CHECKING:
    from browser.labdriver import Jupyter
    from serving.counting import CountingServer

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(600)]

LOAD = "%load_ext fastreq_jupyter\nimport ipykernel, time, pandas\nfrom fastreq_jupyter import submit, last_run, Monitor\nprint(ipykernel.version_info[0])"


@pytest.fixture
def jupyter(lab: Jupyter, widget_python: str) -> Jupyter:
    """Give a JupyterLab with a kernel of the matrix."""
    lab.offer("matrix", widget_python)
    return lab


def test_a_background_run_is_steered(jupyter: Jupyter, counting_server: CountingServer):
    cell = f"run = submit([f'{counting_server.url}/delay/0.05?n={{i}}' for i in range(600)], concurrency=4)\nMonitor(run)"
    notebook = jupyter.open([LOAD, cell, "print(run.state)"], kernel="matrix")
    notebook.run(0)
    notebook.run(1)
    page = notebook.page
    state(notebook, "RUNNING")
    page.get_by_role("button", name="Pause").click()
    state(notebook, "PAUSED")
    page.get_by_role("button", name="Resume").click()
    state(notebook, "RUNNING")
    page.get_by_role("button", name="Cancel").click()
    state(notebook, "CANCELLED")
    arrived = len(counting_server.arrivals)
    assert notebook.run(2) == "CANCELLED"
    assert len(counting_server.arrivals) == arrived < 600


def test_an_awaited_cell_is_cancelled_or_the_panel_names_interrupt(jupyter: Jupyter, counting_server: CountingServer):
    notebook = jupyter.open(
        [LOAD, f"%%fastreq out -c 4\n{counting_server.url}/delay/0.1?n=[0-399]", "print(last_run().state, len(out))"], kernel="matrix"
    )
    hears = int(notebook.run(0).splitlines()[-1]) >= 7
    notebook.start(1)
    page = notebook.page
    state(notebook, "RUNNING")
    until(lambda: len(counting_server.arrivals) > 8)
    page.get_by_role("button", name="Cancel").click()
    if not hears:
        page.get_by_text("use Interrupt").wait_for()
        notebook.interrupt()
    notebook.wait(1)
    arrived = len(counting_server.arrivals)
    assert notebook.run(2) == "CANCELLED 400"
    assert len(counting_server.arrivals) == arrived < 400
