"""How wide the frame of a run is in JupyterLab."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from browser.labdriver import Jupyter

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(600)]

SETUP = """%load_ext fastreq_jupyter
from fastreq_jupyter import demo
base = demo.start().url.rstrip("/")
ids = list(range(1, 9))"""
CELL = "%%fastreq customers --progress none --each id=ids --expand\n{{base}}/customers/{{id}}"


def test_the_frame_of_an_expanded_run_shows_all_its_columns_and_fits_the_page_without_how_it_went(lab: Jupyter):
    notebook = lab.open([SETUP, CELL, "customers", CELL.replace("--expand", "--expand --columns data"), "customers"])
    for cell in range(5):
        notebook.run(cell)
    whole, short = notebook.page.locator("table.dataframe").all()
    shown = whole.locator("thead th").all_inner_texts()
    assert {"id", "name", "address.city", "data", "status", "ok", "url"} <= set(shown), shown
    assert "..." not in shown
    assert {"id", "name", "address.city"} <= set(short.locator("thead th").all_inner_texts())
    assert short.evaluate("table => table.getBoundingClientRect().width") <= 1200
