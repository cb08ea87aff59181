"""What hands do to the panel: copy, hover, zoom and pan, asserted by what is on the clipboard and by the figures shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from browser.steps import background, clicked, opened, state, until

if TYPE_CHECKING:
    from browser.labdriver import Jupyter, NotebookPage
    from serving.counting import CountingServer

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

BOTH = pytest.mark.parametrize("app", ["lab", "notebook7"])
REFUSE = {
    "denied": "() => { navigator.clipboard.writeText = () => Promise.reject(new DOMException('no', 'NotAllowedError')) }",
    "insecure": "() => Object.defineProperty(navigator, 'clipboard', { value: undefined })",
}


def finished(jupyter: Jupyter, url: str, count: int = 40) -> NotebookPage:
    """Open a panel whose run has ended."""
    notebook = opened(jupyter, background(url, count, concurrency=2))
    notebook.run(1)
    state(notebook, "DONE")
    return notebook


def details(notebook: NotebookPage) -> None:
    """Open the details of request 0."""
    notebook.page.locator(".fr-scroll").evaluate("element => { element.scrollTop = 0 }")
    notebook.page.locator("tbody tr", has_text="n=0").first.click()
    notebook.page.locator(".fr-details-line:not(:empty)").wait_for()


def shown(notebook: NotebookPage) -> tuple[float, float]:
    """Return the stretch of time that the waterfall shows, in milliseconds."""
    begin, end = notebook.page.locator("canvas.fr-bars").get_attribute("data-shown").split()
    return float(begin), float(end)


def length(notebook: NotebookPage) -> float:
    begin, end = shown(notebook)
    return end - begin


def lane(notebook: NotebookPage) -> tuple[float, float, float]:
    """Return left edge and width of the waterfall, and the middle of its first row."""
    box = notebook.page.locator("canvas.fr-bars").bounding_box()
    return box["x"], box["width"], box["y"] + 28 + 12


@BOTH
def test_copying_puts_the_text_on_the_clipboard(app: str, request: pytest.FixtureRequest, counting_server: CountingServer):
    notebook = finished(request.getfixturevalue(app), counting_server.url)
    page = notebook.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    details(notebook)
    for name, begin in (("Copy as cURL", "curl "), ("Copy as cell", "%%fastreq\n")):
        page.evaluate("() => navigator.clipboard.writeText('before')")
        clicked(notebook, name)
        page.get_by_text("Copied.").wait_for()
        text = page.evaluate("() => navigator.clipboard.readText()")
        assert text.startswith(begin)
        assert f"{counting_server.url}?n=0" in text.replace("/?", "?")


@pytest.mark.parametrize("why", REFUSE)
def test_a_refused_clipboard_leaves_the_text_selected(lab: Jupyter, counting_server: CountingServer, why: str):
    notebook = finished(lab, counting_server.url)
    notebook.spent = True
    page = notebook.page
    details(notebook)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("() => navigator.clipboard.writeText('before')")
    page.evaluate("() => { window.read = navigator.clipboard.readText.bind(navigator.clipboard) }")
    page.evaluate(REFUSE[why])
    for name, begin in (("Copy as cURL", "curl "), ("Copy as cell", "%%fastreq\n")):
        clicked(notebook, name)
        page.get_by_text("Press Ctrl+C to copy.").wait_for()
        until(lambda begin=begin: page.get_by_label("Text to copy").input_value().startswith(begin))
        page.keyboard.press("Control+c")
        assert page.evaluate("() => window.read()").startswith(begin)


def test_the_tip_tells_the_figures_of_the_row_and_goes_away(lab: Jupyter, counting_server: CountingServer):
    notebook = finished(lab, f"{counting_server.url}/delay/0.03")
    page = notebook.page
    page.locator(".fr-scroll").evaluate("element => { element.scrollTop = 0 }")
    left, width, top = lane(notebook)
    tip = page.get_by_role("tooltip")
    for row in (0, 3):
        page.mouse.move(left + width / 2, top + 24 * row)
        tip.get_by_text(f"n={row}", exact=False).wait_for()
        took = page.locator("tbody tr:not([hidden])").nth(row).locator(".fr-c-elapsed").inner_text()
        text = tip.inner_text()
        assert re.search(rf"attempt 1 began at .*: {re.escape(took)}", text), text
        assert "200" in text
        assert "wait" in text
    page.mouse.move(left - 200, top)
    tip.wait_for(state="hidden")
    page.mouse.move(left + width / 2, top)
    tip.wait_for()
    page.mouse.move(left, top - 300)
    tip.wait_for(state="hidden")


def test_buttons_and_keys_zoom_and_move_the_time_axis(lab: Jupyter, counting_server: CountingServer):
    notebook = finished(lab, f"{counting_server.url}/delay/0.03")
    page = notebook.page
    page.get_by_role("button", name="Whole run").click()
    until(lambda: shown(notebook)[0] == 0)
    whole = length(notebook)
    page.get_by_role("button", name="Zoom in (+)").click()
    until(lambda: length(notebook) == pytest.approx(whole / 2, rel=0.01))
    page.locator(".fr-frame table").focus()
    page.keyboard.press("+")
    until(lambda: length(notebook) == pytest.approx(whole / 4, rel=0.01))
    begin = shown(notebook)[0]
    page.keyboard.press("ArrowRight")
    until(lambda: shown(notebook)[0] == pytest.approx(begin + 0.2 * whole / 4, rel=0.01))
    page.keyboard.press("ArrowLeft")
    until(lambda: shown(notebook)[0] == pytest.approx(begin, rel=0.01))
    page.keyboard.press("-")
    until(lambda: length(notebook) == pytest.approx(whole / 2, rel=0.01))
    page.keyboard.press("0")
    until(lambda: shown(notebook) == pytest.approx((0, whole), rel=0.01))


def test_the_stretch_of_time_shown_is_chosen_by_keyboard(lab: Jupyter, counting_server: CountingServer):
    notebook = finished(lab, f"{counting_server.url}/delay/0.03")
    page = notebook.page
    page.get_by_role("button", name="Whole run").click()
    page.locator(".fr-frame table").focus()
    page.keyboard.press("+")
    page.keyboard.press("w")
    page.get_by_title("All times (0)").wait_for()
    until(lambda: " of " in page.locator(".fr-count").inner_text())
    page.keyboard.press("0")
    until(lambda: " of " not in page.locator(".fr-count").inner_text())
    assert not page.get_by_title("All times (0)").is_visible()


def test_wheel_and_drag_zoom_and_move_the_time_axis(lab: Jupyter, counting_server: CountingServer):
    notebook = finished(lab, f"{counting_server.url}/delay/0.03")
    page = notebook.page
    page.get_by_role("button", name="Whole run").click()
    until(lambda: shown(notebook)[0] == 0)
    whole = length(notebook)
    left, width, top = lane(notebook)
    page.mouse.move(left + width / 4, top)
    page.mouse.wheel(0, 100)
    assert length(notebook) == whole
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    until(lambda: length(notebook) == pytest.approx(whole / 1.25, rel=0.01))
    begin, end = shown(notebook)
    # What lay under the pointer stays there.
    assert begin + (end - begin) / 4 == pytest.approx(whole / 4, rel=0.02)
    page.mouse.down()
    page.mouse.move(left + width / 4 - 15, top, steps=4)
    page.mouse.up()
    until(lambda: shown(notebook)[0] == pytest.approx(begin + 15 / width * (end - begin), rel=0.03))
    assert not page.locator(".fr-details").is_visible()


def test_a_drag_on_the_chart_chooses_a_stretch_and_a_double_click_all(lab: Jupyter, counting_server: CountingServer):
    notebook = finished(lab, f"{counting_server.url}/delay/0.03")
    page = notebook.page
    page.get_by_role("button", name="Whole run").click()
    until(lambda: shown(notebook)[0] == 0)
    end = int(float(notebook.value(2, "print(run.progress.elapsed_s * 1000)")))
    chart = page.locator(".fr-chart canvas").bounding_box()
    page.mouse.move(chart["x"] + chart["width"] * 0.25, chart["y"] + 40)
    page.mouse.down()
    page.mouse.move(chart["x"] + chart["width"] * 0.5, chart["y"] + 40, steps=4)
    page.mouse.up()
    until(lambda: shown(notebook) == pytest.approx((end / 4, end / 2), rel=0.03))
    until(lambda: page.locator(".fr-count").inner_text().endswith(" of 40"))
    assert re.fullmatch(r"\d+ ms . \d+ ms ✕", page.get_by_title("All times (0)").inner_text())
    page.mouse.dblclick(chart["x"] + chart["width"] * 0.75, chart["y"] + 40)
    until(lambda: page.locator(".fr-count").inner_text() == "40 requests")


@BOTH
def test_the_wheel_over_a_table_moves_the_notebook(app: str, request: pytest.FixtureRequest, counting_server: CountingServer):
    notebook = opened(request.getfixturevalue(app), background(counting_server.url, 5), *["x = 1"] * 40)
    notebook.run(1)
    state(notebook, "DONE")
    page = notebook.page
    row = page.locator(".fr-frame tbody tr").nth(1)
    row.hover()
    before = row.bounding_box()["y"]
    page.mouse.wheel(0, 200)
    until(lambda: row.bounding_box()["y"] < before - 100)
