"""The form in a real browser: filled, refused, mended, run, copied; by mouse and by keyboard."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from browser.steps import opened, state, until

if TYPE_CHECKING:
    from browser.labdriver import Jupyter
    from playwright.sync_api import Locator, Page
    from serving.counting import CountingServer

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

FORM = "panel = Panel()\npanel"
SAID = "control => document.getElementById(control.getAttribute('aria-describedby')).innerText"


def field(page: Page, label: str) -> Locator:
    return page.locator(".fastreq-form").get_by_label(label, exact=True)


def button(page: Page, name: str) -> Locator:
    return page.locator(".fastreq-panel button.jupyter-button", has_text=re.compile(rf"^\s*{name}$"))


def test_a_run_begins_from_the_form_and_ends_in_the_variable(lab: Jupyter, counting_server: CountingServer):
    notebook = opened(lab, FORM)
    notebook.run(1)
    page = notebook.page
    field(page, "Requests").fill(f"{counting_server.url}/form/[1-7]")
    field(page, "Variable").fill("rows")
    concurrency = field(page, "Concurrency")
    concurrency.fill("0")
    concurrency.press("Tab")
    page.get_by_text("Concurrency: give a whole number from 1 to 1000").wait_for()
    button(page, "Run").click()
    page.get_by_text("1 field needs attention: Concurrency").wait_for()
    assert counting_server.arrivals == []
    concurrency.fill("3")
    concurrency.press("Tab")
    until(lambda: not page.get_by_text("needs attention").is_visible())
    button(page, "To cell").click()
    page.locator(".fastreq-below").wait_for()
    below = "() => window.jupyterapp.shell.currentWidget.content.widgets[2].model.sharedModel.getSource()"
    assert page.evaluate(below).startswith("%%fastreq rows -c 3")
    notebook.command("notebook:delete-cell")
    assert counting_server.arrivals == []
    button(page, "Run").click()
    page.get_by_text("rows holds 7 rows.").wait_for()
    page.get_by_text("rows: the first 5 of 7 rows").wait_for()
    state(notebook, "DONE")
    told = notebook.value(2, "print(len(rows), rows.ok.all(), panel.df.equals(rows), panel.run.options.concurrency)")
    assert told == "7 True True 3"
    until(lambda: any("7 of 7 ok" in output.get("data", {}).get("text/html", "") for output in notebook.outputs(1)))


def test_a_double_click_sends_once_and_the_monitor_stays(lab: Jupyter, counting_server: CountingServer):
    notebook = opened(lab, f"panel = Panel('{counting_server.url}/delay/0.5?n=[1-4]', concurrency=1)\npanel")
    notebook.run(1)
    page = notebook.page
    button(page, "Run").dblclick()
    state(notebook, "RUNNING")
    assert button(page, "Running").is_disabled()
    button(page, "To cell").click()
    page.locator(".fastreq-below").wait_for()
    button(page, "Dry run").click()
    page.get_by_text("4 requests to 1 host").wait_for()
    assert page.locator(".fr-state").count() == 1
    page.get_by_text("4 rows. The rows are in last_run().df").wait_for()
    assert len(counting_server.arrivals) == 4
    button(page, "Run").click()
    until(lambda: len(counting_server.arrivals) == 8)


def test_all_options_open_by_keyboard_and_say_what_they_mean(lab: Jupyter):
    notebook = opened(lab, FORM)
    notebook.run(1)
    page = notebook.page
    dedup = field(page, "Dedup")
    page.locator(".fastreq-more").wait_for()
    assert not dedup.is_visible()
    field(page, "Timeout").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.matches('.fastreq-more') && document.activeElement.ariaExpanded") == "false"
    page.keyboard.press("Enter")
    dedup.wait_for()
    until(lambda: page.evaluate("document.activeElement.ariaExpanded") == "true")
    dedup.focus()
    assert dedup.evaluate(SAID) == "Send equal safe requests once; each row gets the answer"
    for control in page.locator(".fastreq-form :is(input, select, textarea)").all():
        assert control.evaluate("control => control.labels.length && control.labels[0].innerText.trim()"), control


def test_a_wrong_option_is_seen_although_the_others_are_folded_up(lab: Jupyter):
    notebook = opened(lab, "panel = Panel('http://127.0.0.1:9/', auth='nobody')\npanel")
    notebook.run(1)
    page = notebook.page
    button(page, "Run").click()
    page.get_by_text("1 field needs attention: Auth").wait_for()
    auth = field(page, "Auth")
    assert auth.is_visible()
    assert not field(page, "Session").is_visible()
    auth.focus()
    assert auth.get_attribute("aria-invalid") == "true"
    auth.fill("")
    auth.press("Tab")
    until(lambda: not auth.is_visible())


def test_nothing_of_the_form_is_cut_or_overlaps(lab: Jupyter):
    notebook = lab.open(["%load_ext fastreq_jupyter", "%fastreq"], size=(1320, 900))
    notebook.spent = True
    notebook.command("application:toggle-left-area")
    notebook.run(0)
    notebook.run(1)
    page = notebook.page
    page.locator(".fastreq-more").click()
    for width in (1200, 700, 400):
        page.set_viewport_size({"width": width + 120, "height": 900})
        time.sleep(0.3)
        boxes = page.evaluate("""() => [...document.querySelectorAll('.fastreq-form :is(input, select, textarea, button, .fastreq-said)')]
          .filter(one => one.offsetParent).map(one => { const { left, right, top, bottom } = one.getBoundingClientRect(); return [left, right, top, bottom] })""")
        card = page.evaluate(
            "(() => { const { left, right } = document.querySelector('.fastreq-form').getBoundingClientRect(); return [left, right] })()"
        )
        assert len(boxes) > 70
        assert all(card[0] <= left < right <= card[1] for left, right, _, _ in boxes)
        overlaps = [
            (one, other)
            for number, one in enumerate(boxes)
            for other in boxes[:number]
            if min(one[1], other[1]) - max(one[0], other[0]) > 1 and min(one[3], other[3]) - max(one[2], other[2]) > 1
        ]
        assert overlaps == []
