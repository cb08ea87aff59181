"""Keys pressed in the panel are the panel's: the notebook around it does not hear them, though it has a command for most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from browser.steps import background, clicked, opened, state, until

if TYPE_CHECKING:
    from browser.labdriver import NotebookPage
    from serving.counting import CountingServer

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

BOTH = pytest.mark.parametrize("app", ["lab", "notebook7"])
# Cut, copy, paste, undo, insert, delete, retype, run, restart, select all: what would do harm comes first.
NOTEBOOK_KEYS = (
    *("x", "d", "d", "c", "v", "z", "a", "b", "m", "y", "r", "0", "0", "i", "i", "j", "k", "l", "1"),
    *("Control+c", "Control+a", "Shift+m", "Shift+l", "Control+m", "Alt+ArrowUp", "Control+Enter", "Shift+Enter", "Escape"),
)  # fmt: skip
LISTEN = """() => { window.heard = []; window.jupyterapp.commands.commandExecuted.connect((_, { id }) => window.heard.push(id)) }"""
CELLS = (
    "() => window.jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.type + ' ' + cell.model.sharedModel.getSource())"
)


def pressed(notebook: NotebookPage, place: str) -> list[str]:
    """Press all keys in a place and return the commands that the notebook ran."""
    page = notebook.page
    for key in NOTEBOOK_KEYS:
        if place:
            page.locator(place).first.focus()
        page.keyboard.press(key)
    return page.evaluate("() => window.heard.splice(0)")


@BOTH
def test_no_key_in_the_panel_is_a_shortcut_of_the_notebook(app: str, request: pytest.FixtureRequest, counting_server: CountingServer):
    notebook = opened(request.getfixturevalue(app), background(f"{counting_server.url}/delay/0.1", 5000, concurrency=1))
    notebook.run(1)
    state(notebook, "RUNNING")
    page = notebook.page
    until(lambda: page.locator(".fr-frame tbody tr").count() > 3)
    cells = page.evaluate(CELLS)
    page.evaluate(LISTEN)
    places = (
        ".fr-frame table",
        "[type=search]",
        ".fr-filters select",
        ".fr-settings label:first-child [type=text]",
        ".fr-settings label:last-child [type=text]",
        "th button",
        ".fr-tool",
    )
    heard = {place: pressed(notebook, place) for place in places}
    page.locator(".fr-frame tbody tr").first.click()
    page.locator(".fr-details-line:not(:empty)").wait_for()
    places = (".fr-details", ".fr-tab[aria-selected=true]", ".fr-tree, .fr-details pre", ".fr-details .fr-button")
    for place in places:
        heard[place] = pressed(notebook, place)
        page.locator(".fr-frame tbody tr").first.click()
    assert not any(heard.values()), heard
    assert page.evaluate(CELLS) == cells
    clicked(notebook, "Cancel")


@BOTH
def test_after_a_click_anywhere_in_the_panel_keys_are_the_panels(app: str, request: pytest.FixtureRequest, counting_server: CountingServer):
    notebook = opened(request.getfixturevalue(app), background(counting_server.url, 40))
    notebook.run(1)
    state(notebook, "DONE")
    notebook.page.evaluate(LISTEN)
    heard = {}
    for place in (".fr-chart", ".fr-legend", ".fr-title", ".fr-figures", ".fr-frame tbody .fr-c-start"):
        notebook.page.locator(place).first.click()
        notebook.page.evaluate("() => window.heard.splice(0)")
        heard[place] = pressed(notebook, "")
    assert not any(heard.values()), heard


@BOTH
def test_a_field_that_goes_when_the_run_ends_leaves_the_keys_with_the_panel(
    app: str, request: pytest.FixtureRequest, counting_server: CountingServer
):
    notebook = opened(request.getfixturevalue(app), background(f"{counting_server.url}/delay/0.1", 12, concurrency=1))
    notebook.run(1)
    state(notebook, "RUNNING")
    notebook.page.get_by_label("Concurrency").focus()
    notebook.page.evaluate(LISTEN)
    state(notebook, "DONE")
    notebook.page.get_by_label("Concurrency").wait_for(state="hidden")
    assert pressed(notebook, "") == []
    until(lambda: notebook.page.evaluate("() => document.activeElement.closest('.fastreq') !== null"))


@BOTH
def test_a_reloaded_page_is_copied_from_by_keyboard_and_keeps_its_cells(
    app: str, request: pytest.FixtureRequest, counting_server: CountingServer
):
    notebook = opened(request.getfixturevalue(app), background(f"{counting_server.url}/delay/0.05", 20_000, concurrency=4))
    notebook.run(1)
    state(notebook, "RUNNING")
    notebook.save()
    cells = notebook.page.evaluate(CELLS)
    notebook.reload()
    state(notebook, "RUNNING")
    page = notebook.page
    until(lambda: page.locator(".fr-frame tbody tr").count() > 3)
    page.locator(".fr-frame table").focus()
    for key in ("Home", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.get_by_role("heading", name="Request 1").wait_for()
    page.get_by_role("button", name="Copy as cURL").focus()
    for key in ("Enter", "Control+a", "Control+c", "Escape", "Control+a", "Control+c", "d", "d", "x"):
        page.keyboard.press(key)
    assert not page.locator(".fr-details").is_visible()
    assert page.evaluate(CELLS) == cells
    assert page.locator(".fastreq").is_visible()


@BOTH
def test_no_key_in_the_form_is_a_shortcut_of_the_notebook(app: str, request: pytest.FixtureRequest):
    notebook = opened(request.getfixturevalue(app), "panel = Panel('http://127.0.0.1:9/[1-2]')\npanel")
    notebook.run(1)
    page = notebook.page
    page.locator(".fastreq-gone").wait_for(state="attached")
    cells = page.evaluate(CELLS)
    page.evaluate(LISTEN)
    for place in (".widget-text input", "textarea", "select", ".jupyter-button"):
        assert pressed(notebook, f".fastreq-form {place}:visible") == [], place
        assert page.evaluate(CELLS) == cells


@BOTH
def test_the_page_is_saved_from_within_the_panel(app: str, request: pytest.FixtureRequest, counting_server: CountingServer):
    notebook = opened(request.getfixturevalue(app), background(counting_server.url, 4))
    notebook.run(1)
    state(notebook, "DONE")
    page = notebook.page
    dirty = "() => window.jupyterapp.shell.currentWidget.context.model.dirty"
    until(lambda: page.evaluate(dirty))
    page.locator(".fr-frame table").focus()
    assert page.locator(".fr-main").evaluate("frame => getComputedStyle(frame).outlineStyle") == "solid"
    page.keyboard.press("Control+s")
    until(lambda: not page.evaluate(dirty))
    assert "fastreq" in notebook.path.read_text()
