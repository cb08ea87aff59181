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
CELLS = (
    "%%fastreq --progress none --each id=ids --expand\n{{base}}/customers/{{id}}",
    "%%fastreq --progress none --expand\n{{base}}/orders/[1-8]",
)


def test_the_frame_of_an_expanded_run_shows_all_its_columns_and_fits_the_page(lab: Jupyter):
    notebook = lab.open([SETUP, *CELLS])
    for cell in range(3):
        notebook.run(cell)
    frames = notebook.page.locator("table.dataframe").all()
    for frame, fields in zip(
        frames, ({"id", "data.id", "name", "address.city"}, {"customer_id", "placed_at", "lines", "note"}), strict=True
    ):
        shown = frame.locator("thead th").all_inner_texts()
        assert fields | {"data", "status", "ok", "error", "error_detail", "elapsed_ms"} <= set(shown), shown
        assert "..." not in shown
        assert frame.evaluate("table => table.getBoundingClientRect().width") <= 1200
