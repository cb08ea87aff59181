"""A kernel that was restarted leaves form and panel readable, and plainly without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from browser.steps import opened, state, until

if TYPE_CHECKING:
    from browser.labdriver import NotebookPage
    from serving.counting import CountingServer

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

# Where each control lies, from the upper left corner of the first, and what it holds.
CONTROLS = """() => { const found = [...document.querySelectorAll('.fastreq-form :is(input, textarea, select)')].filter(one => one.offsetParent);
  const { left, top } = found[0].getBoundingClientRect();
  return found.map(one => { const box = one.getBoundingClientRect();
    return [one.value, ...[box.left - left, box.top - top, box.width, box.height].map(Math.round)] }) }"""
CHAINS = """() => [...document.querySelectorAll('.fastreq-panel, .fastreq-panel *')]
  .filter(one => one.matches('.jupyter-widgets-disconnected') && getComputedStyle(one, '::before').content !== 'none').length"""


def controls(notebook: NotebookPage) -> list[list[Any]]:
    """Return what each control of the form holds, and where it lies."""
    return notebook.page.evaluate(CONTROLS)


@pytest.mark.parametrize("app", ["lab", "notebook7"])
def test_a_restarted_kernel_leaves_the_form_as_it_was_and_says_that_it_is_dead(
    app: str, request: pytest.FixtureRequest, counting_server: CountingServer
):
    cell = f"panel = Panel('{counting_server.url}/delay/0.1?n=[1-400]', 'rows', concurrency='2')\ndisplay(panel)\nrun = panel.start()"
    notebook = opened(request.getfixturevalue(app), cell)
    notebook.run(1)
    state(notebook, "RUNNING")
    page = notebook.page
    gone = page.get_by_text("Not connected to a kernel")
    assert not gone.is_visible()
    before = controls(notebook)
    assert len(before) > 9
    notebook.restart()
    state(notebook, "STOPPED")
    gone.wait_for()
    assert controls(notebook) == before
    assert page.evaluate(CHAINS) == 0
    assert page.locator(".fastreq-buttons button:visible").count() == 0
    assert page.locator(".fr-f-eta dd").inner_text() == "\u2013"
    notebook.run(0)
    notebook.run(1)
    state(notebook, "RUNNING")
    until(lambda: page.locator(".fastreq-buttons button:visible").count() == 3)
    assert not gone.is_visible()
