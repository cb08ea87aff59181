"""Steps that several tests of the panel take."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from browser.labdriver import Jupyter, NotebookPage

LOAD = "%load_ext fastreq_jupyter\nimport os, time, json, pandas\nfrom fastreq_jupyter import submit, last_run, Monitor, Panel"


def opened(jupyter: Jupyter, *cells: str, kernel: str = "python3") -> NotebookPage:
    """Open a notebook whose first cell loads the extension, and whose last is free for questions."""
    notebook = jupyter.open([LOAD, *cells, ""], kernel=kernel)
    notebook.run(0)
    return notebook


def background(url: str, count: int, **options: object) -> str:
    """Write a cell that starts a run and shows it."""
    given = "".join(f", {name}={value!r}" for name, value in options.items())
    return f"run = submit([f'{url}?n={{i}}' for i in range({count})]{given})\nMonitor(run)"


def played(jupyter: Jupyter, count: int, seconds: float) -> NotebookPage:
    """Show a run of so many requests that is only played."""
    notebook = jupyter.open(
        [
            "from synthetic.live import PlayedRun\nfrom fastreq_jupyter import Monitor",
            f"run = PlayedRun({count}, {seconds})\nMonitor(run)",
            "",
        ]
    )
    notebook.run(0)
    notebook.run(1)
    return notebook


def state(notebook: NotebookPage, wanted: str, seconds: float = 120) -> None:
    """Wait until the panel shows this state."""
    notebook.page.locator(f".fr-state[data-state='{wanted}']").first.wait_for(timeout=seconds * 1000)


def until(told: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not told():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.03)


def urls(notebook: NotebookPage) -> list[str]:
    """Return the URLs of the rows in view."""
    return notebook.page.locator(".fr-frame tbody tr:not([hidden]) .fr-c-url").all_inner_texts()


def positions(notebook: NotebookPage) -> list[int]:
    """Return the positions of the rows in view."""
    texts = notebook.page.locator(".fr-frame tbody tr:not([hidden]) .fr-c-position").all_inner_texts()
    return [int(text.replace(",", "")) for text in texts]


def clicked(notebook: NotebookPage, name: str) -> None:
    """Click the first button with this in its name."""
    notebook.page.get_by_role("button", name=name, exact=False).first.click()
