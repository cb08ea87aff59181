"""The page shows every row of a run, however many there are."""

import pytest
from browser.steps import played, state, until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]


def test_ten_thousand_requests_are_all_shown(lab):
    notebook = played(lab, 10_000, 8)
    state(notebook, "DONE")
    until(lambda: notebook.page.locator(".fr-count").inner_text() == "10,000 requests")


def test_a_hundred_thousand_rows_can_be_scrolled_and_sorted(lab):
    page = played(lab, 100_000, 0).page
    until(lambda: page.locator(".fr-count").inner_text() == "100,000 requests")
    page.locator(".fr-scroll").evaluate("element => { element.scrollTop = element.scrollHeight }")
    until(lambda: page.locator(".fr-frame tbody tr:not([hidden]) .fr-c-position").last.inner_text() == "99,999")
    page.get_by_role("button", name="Time", exact=True).click()
    until(lambda: page.locator(".fr-frame tbody tr:not([hidden]) .fr-c-elapsed").first.inner_text() != "69 ms")
