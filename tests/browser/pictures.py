"""Take the pictures of the README: ``make pictures``. Everything in them is real: a JupyterLab, a kernel, the demo server."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from browser.labdriver import FLAGS, Jupyter
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from browser.labdriver import NotebookPage
    from playwright.sync_api import Browser, Locator

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
LARGEST = 300_000
SIZE = (1320, 1150)
START = """%load_ext fastreq_jupyter
from fastreq_jupyter import Panel, demo
shop = demo.start(jitter=(0.03, 0.16))
base = shop.url"""
SHOP = """%%fastreq shop -c 10 -r 60 --retries 2
{{base}}/orders/[1-160]
{{base}}/customers/[1-40]
{{base}}/products?page=[1-8]
{{base}}/gzip
{{base}}/delay/0.9
{{base}}/status/404
{{base}}/customers/[41-90]"""
SUMMARY = """from IPython.display import HTML
from fastreq_jupyter.notebook.html import html_summary
from fastreq_jupyter import last_run
HTML(html_summary(last_run()))"""
FORM = "Panel('{{base}}/orders/[1-40]', 'orders', rate_limit='60/min', max_retries=5)"


def main() -> None:
    """Take all pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=list(FLAGS))
        for theme in ("light", "dark"):
            _take(browser, Path(folder) / theme, theme)
        browser.close()
    for picture in sorted(PICTURES.glob("*.png")):
        size = picture.stat().st_size
        print(f"{picture.relative_to(PICTURES.parents[1])}  {size:,} bytes")
        if size > LARGEST:
            sys.exit(f"{picture.name} is larger than {LARGEST:,} bytes")


def _take(browser: Browser, folder: Path, theme: str) -> None:
    with Jupyter("lab", folder, browser=browser, theme=f"JupyterLab {theme.title()}") as jupyter:
        notebook = jupyter.open([START, SHOP, FORM, SUMMARY], size=SIZE)
        notebook.command("application:toggle-left-area")
        notebook.run(0)
        notebook.start(1)
        time.sleep(3.2)
        panel = notebook.page.locator(".fastreq").first
        _picture(panel, f"running-{theme}")
        notebook.wait(1)
        _scroll(notebook, 14)
        _picture(panel, f"panel-{theme}")
        if theme == "light":
            notebook.run(3)
            _picture(notebook.page.locator(".jp-RenderedHTML .fastreq-summary").last, "summary")
            notebook.run(2)
            notebook.page.locator(".fastreq-form").wait_for()
            _picture(notebook.page.locator(".fastreq-form"), "form")
        else:
            notebook.page.get_by_label("Filter by text").first.fill("orders/1")
            notebook.page.locator(".fr-frame tbody tr", has_text="/orders/17").locator(".fr-c-status").first.click()
            notebook.page.locator(".fr-tree").wait_for()
            _picture(panel, "details")


def _scroll(notebook: NotebookPage, row: int) -> None:
    notebook.page.locator(".fr-scroll").first.evaluate("(element, row) => { element.scrollTop = row * 24 }", row)
    time.sleep(0.5)


def _picture(place: Locator, name: str) -> None:
    place.scroll_into_view_if_needed()
    time.sleep(0.3)
    place.screenshot(path=PICTURES / f"{name}.png")


if __name__ == "__main__":
    main()
