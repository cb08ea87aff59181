"""The panel's hands on each kernel of the matrix: today's ipykernel, and 6.31, which hears a button only when it is idle."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from browser.labdriver import Jupyter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser
    from serving.counting import CountingServer

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(600)]

LOAD = "%load_ext fastreq_jupyter\nimport ipykernel, time, pandas\nfrom fastreq_jupyter import submit, last_run, Monitor\nprint(ipykernel.version_info[0])"


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory, browser: Browser, widget_python: str) -> Iterator[Jupyter]:
    """Give a JupyterLab with a kernel of the matrix."""
    with Jupyter("lab", tmp_path_factory.mktemp("lab"), browser=browser, kernels={"matrix": widget_python}) as running:
        yield running


def until(told, seconds=60.0):
    end = time.monotonic() + seconds
    while not told():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.03)


def test_a_background_run_is_steered(jupyter: Jupyter, counting_server: CountingServer):
    cell = f"run = submit([f'{counting_server.url}/delay/0.05?n={{i}}' for i in range(600)], concurrency=4)\nMonitor(run)"
    notebook = jupyter.open([LOAD, cell, "print(run.state)"], kernel="matrix")
    notebook.run(0)
    notebook.run(1)
    page = notebook.page
    page.locator(".fr-state[data-state='RUNNING']").wait_for()
    page.get_by_role("button", name="Pause").click()
    page.locator(".fr-state[data-state='PAUSED']").wait_for()
    page.get_by_role("button", name="Resume").click()
    page.locator(".fr-state[data-state='RUNNING']").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.locator(".fr-state[data-state='CANCELLED']").wait_for()
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
    page.locator(".fr-state[data-state='RUNNING']").wait_for()
    until(lambda: len(counting_server.arrivals) > 8)
    page.get_by_role("button", name="Cancel").click()
    if not hears:
        page.get_by_text("use Interrupt").wait_for()
        notebook.interrupt()
    notebook.wait(1)
    arrived = len(counting_server.arrivals)
    assert notebook.run(2) == "CANCELLED 400"
    assert len(counting_server.arrivals) == arrived < 400
