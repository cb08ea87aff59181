"""Voila shows a notebook as a page: the panel of a run that is over, and the form, which runs; `make fronts` runs it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import nbformat
import pytest
from browser.process import serving
from browser.steps import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser
    from serving.counting import CountingServer


@pytest.fixture
def voila(tmp_path: Path, fronts_python: str, counting_server: CountingServer) -> Iterator[str]:
    """Give the URL of a page made of three cells."""
    cells = (
        f"%load_ext fastreq_jupyter\nfrom fastreq_jupyter import Panel\nbase = {counting_server.url!r}",
        "%%fastreq shown\n{{base}}/[1-20]",
        "Panel('{{base}}/form/[1-3]')",
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "page.ipynb")
    environment = {**os.environ, "IPYTHONDIR": str(tmp_path / "ipython"), "JUPYTER_CONFIG_DIR": str(tmp_path / "config")}

    def command(port: int) -> list[str]:
        return [fronts_python, "-m", "voila", "--no-browser", f"--port={port}", "--Voila.port_retries=0", "page.ipynb"]

    with serving(command, tmp_path / "log", environment=environment, folder=tmp_path, probe="/static/") as url:
        yield url


def test_the_page_has_the_panel_and_a_form_that_runs(voila: str, browser: Browser, counting_server: CountingServer):
    page = browser.new_page(viewport={"width": 1000, "height": 1400})
    page.set_default_timeout(120_000)
    page.goto(voila)
    page.locator(".fr-state[data-state='DONE']").wait_for()
    # The still picture is for pages without the panel.
    assert [summary.is_visible() for summary in page.locator(".fastreq-summary").all()] == [False]
    page.locator(".fr-frame tbody tr").nth(2).click()
    page.get_by_role("tab", name="Headers").click()
    page.get_by_text("User-Agent", exact=False).first.wait_for()
    page.locator("button", has_text=re.compile("^Run$")).click()
    until(lambda: sum(arrival.path.startswith("/form/") for arrival in counting_server.arrivals) == 3)
    until(lambda: page.locator(".fr-state[data-state='DONE']").count() == 2)
    page.close()
