"""The panel in marimo, which shows each widget in a shadow tree of its own; `make fronts` runs it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from browser.process import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

APP = """import marimo
app = marimo.App()

@app.cell
def _():
    from fastreq_jupyter import Monitor, Panel, demo, fastreq, submit
    server = demo.start()
    run = submit([f"{server.url}/orders/{n}" for n in range(1, 31)] + [server.url + "/customers/100000"])
    Monitor(run)
    return Panel, fastreq, run, server

@app.cell
async def _(run):
    df = await run
    f"awaited {int(df.ok.sum())} of {len(df)}"
    return

@app.cell
def _(Panel):
    Panel()
    return

@app.cell
def _(fastreq, server):
    f"blocked for {len(fastreq([server.url + '/orders/1'] * 3))}"
    return
"""
BACKGROUND = "element => getComputedStyle(element).backgroundColor"


@pytest.fixture(params=["light", "dark"])
def theme(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def page(theme: str, browser: Browser, fronts_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Give the page of an application whose cells have run."""
    folder = tmp_path_factory.mktemp("marimo")
    (folder / "app.py").write_text(APP)
    (folder / "pyproject.toml").write_text(f'[tool.marimo.display]\ntheme = "{theme}"\n')
    environment = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_STATE_HOME": str(folder)}

    def command(port: int) -> list[str]:
        return [fronts_python, "-m", "marimo", "run", "app.py", "--headless", "--no-token", f"--port={port}"]

    with serving(command, folder / "log", environment=environment, folder=folder) as url:
        page = browser.new_page(viewport={"width": 1000, "height": 1400})
        page.set_default_timeout(120_000)
        page.goto(url)
        page.locator(".fr-state[data-state='DONE']").wait_for()
        yield page
        page.close()


def test_the_panel_lives_in_the_theme_of_the_page(page: Page, theme: str):
    rows = page.locator(".fr-frame tbody tr")
    rows.filter(has_text="/orders/3").first.click()
    page.locator(".fr-details").get_by_text("customer_id").wait_for()
    page.get_by_role("tab", name="Headers").click()
    page.locator(".fr-details").get_by_text("content-type").first.wait_for()
    page.keyboard.press("Escape")
    page.locator(".fr-filter", has_text="404").click()
    page.get_by_text("1 of 31", exact=True).wait_for()
    brightness = sum(int(part) for part in page.locator(".fastreq").first.evaluate(BACKGROUND)[4:-1].split(",")[:3])
    assert (brightness < 3 * 100) == (theme == "dark")
    for line in ("awaited 30 of 31", "blocked for 3", "marimo shows no form"):
        page.get_by_text(line).wait_for()
