"""The page shows every row of a run, however many there are, on a narrow page and in the colours that the reader forces."""

import pytest
from browser.steps import played, state, until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]


# What is wider than its place, by class; cells of text may be: they are cut, with their whole in the tip.
CUT = """() => [...document.querySelectorAll('.fastreq, .fr-figures dd, .fr-c-position, .fr-c-elapsed, .fr-head, .fr-chips, .fr-filters, .fr-shown')]
  .filter(one => one.offsetParent && one.scrollWidth > one.clientWidth + 1).map(one => one.className)"""
# Background and text of what must be told apart, and how many colours a canvas has.
COLOURS = """() => { const of = selector => { const style = getComputedStyle(document.querySelector(selector)); return [style.backgroundColor, style.color] };
  const colours = canvas => { const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size };
  return { panel: of('.fastreq'), chosen: of('tr[aria-selected=true] td'), other: of('tr[aria-selected=false] td'), good: of('.fr-seg-ok'),
    pressed: of('.fr-filter[aria-pressed=true]'), released: of('.fr-filter[aria-pressed=false]'),
    canvases: [...document.querySelectorAll('.fastreq canvas')].map(colours) } }"""


def test_ten_thousand_requests_are_all_shown_on_a_narrow_page_and_in_forced_colours(lab):
    notebook = played(lab, 10_000, 4)
    page = notebook.page
    room = page.viewport_size["width"] - page.locator(".fastreq").bounding_box()["width"]
    page.set_viewport_size({"width": int(room) + 500, "height": 900})
    state(notebook, "DONE")
    until(lambda: page.locator(".fr-count").inner_text() == "10,000 requests")
    until(lambda: page.evaluate(CUT) == [])
    page.locator("table[role=grid]").focus()
    page.keyboard.press("End")
    page.locator("tr[aria-selected=true]").wait_for()
    page.emulate_media(forced_colors="active")
    until(lambda: page.evaluate(COLOURS)["panel"] == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"])
    seen = page.evaluate(COLOURS)
    assert seen["chosen"] != seen["other"]
    assert seen["chosen"][0] != seen["chosen"][1]
    assert seen["pressed"] != seen["released"]
    assert seen["good"][0] != seen["panel"][0]
    assert min(seen["canvases"]) > 3


def test_a_hundred_thousand_rows_can_be_scrolled_and_sorted(lab):
    page = played(lab, 100_000, 0).page
    until(lambda: page.locator(".fr-count").inner_text() == "100,000 requests")
    page.locator(".fr-scroll").evaluate("element => { element.scrollTop = element.scrollHeight }")
    until(lambda: page.locator(".fr-frame tbody tr:not([hidden]) .fr-c-position").last.inner_text() == "99,999")
    page.get_by_role("button", name="Time", exact=True).click()
    until(lambda: page.locator(".fr-frame tbody tr:not([hidden]) .fr-c-elapsed").first.inner_text() != "69 ms")
