"""Keys, details, controls and the form in JupyterLab in Firefox; `make fronts` runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nbformat
import pytest
from browser.labdriver import CELL_ENDED, READY, RUN_CELL
from browser.steps import LOAD, background
from fronts.bidi import Firefox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from browser.labdriver import Jupyter
    from serving.counting import CountingServer

LISTEN = "() => { window.heard = []; window.jupyterapp.commands.commandExecuted.connect((_, { id }) => window.heard.push(id)) }"
HEARD = "() => window.heard"
FOCUS = "selector => document.querySelector(selector).focus()"
SCROLLED = "() => document.querySelector('.jp-WindowedPanel-outer').scrollTop"


@pytest.fixture(scope="module")
def running(firefox: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    with Firefox(firefox, tmp_path_factory.mktemp("firefox")) as browser:
        yield browser


@pytest.fixture
def opened(running: Firefox, lab_server: Jupyter, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Firefox]:
    """Give a function that opens a notebook of these cells and runs them all, the last without waiting for its end."""

    def open_cells(*cells: str) -> Firefox:
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in (LOAD, *cells)])
        made.metadata.kernelspec = {"name": "python3", "display_name": "python3", "language": "python"}
        path = lab_server.root / f"{tmp_path_factory.mktemp('page').name}.ipynb"
        lab_server.write(made, path)
        running.open(lab_server.address(path))
        running.wait(READY)
        for index in range(len(cells) + 1):
            running.evaluate(RUN_CELL, index)
            running.wait(CELL_ENDED, index)
        return running

    return open_cells


def test_rows_details_and_filter_by_keyboard_and_no_key_is_the_notebooks(opened: Callable[..., Firefox], counting_server: CountingServer):
    page = opened(background(counting_server.url, 40))
    page.see(".fr-state[data-state='DONE']")
    page.evaluate(LISTEN)
    page.evaluate(FOCUS, ".fr-frame table")
    page.press("Home", "ArrowDown", "Enter")
    page.see(".fr-details", "Request 1")
    page.evaluate(FOCUS, ".fr-tab[aria-selected=true]")
    page.press("ArrowRight")
    page.see(".fr-tab[aria-selected=true]", "Request")
    page.press("Escape")
    page.wait("() => !document.querySelector('.fr-details').checkVisibility()")
    page.press("/", *"n=17")
    page.wait("() => document.querySelectorAll('.fr-frame tbody tr:not([hidden])').length === 1")
    page.press("Escape", "x", "d", "d", "Control+a")
    assert page.evaluate(HEARD) == []


def test_a_run_is_steered(opened: Callable[..., Firefox], counting_server: CountingServer):
    page = opened(background(f"{counting_server.url}/delay/0.05", 600, concurrency=4))
    page.see(".fr-state[data-state='RUNNING']")
    page.click("button", "Pause")
    page.see(".fr-state[data-state='PAUSED']")
    page.click("button", "Resume")
    page.see(".fr-state[data-state='RUNNING']")
    page.click("button", "Cancel")
    page.see(".fr-state[data-state='CANCELLED']")
    assert len(counting_server.arrivals) < 600


def test_the_wheel_over_rows_moves_the_notebook(opened: Callable[..., Firefox], counting_server: CountingServer):
    page = opened(background(counting_server.url, 5), *["1"] * 30)
    page.evaluate("() => { document.querySelector('.jp-WindowedPanel-outer').scrollTop = 0 }")
    page.see(".fr-state[data-state='DONE']")
    before = page.evaluate(SCROLLED)
    page.wheel(".fr-frame tbody tr", 5)
    page.wait(f"before => ({SCROLLED})() > before + 100", before)


def test_the_form_runs(opened: Callable[..., Firefox], counting_server: CountingServer):
    page = opened(f"Panel('{counting_server.url}/[1-3]', 'sent')")
    page.click(".fastreq-form button", "Run")
    page.see(".fr-state[data-state='DONE']")
    assert sorted(arrival.path for arrival in counting_server.arrivals) == ["/1", "/2", "/3"]
