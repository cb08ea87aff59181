"""Which display a run gets: the panel where widgets are shown, a text line in a notebook or a terminal, else none."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.notebook.text import NotebookText, TerminalText

if TYPE_CHECKING:
    from fastreq_jupyter.call import Display
    from fastreq_jupyter.engine.run import Run
    from fastreq_jupyter.options import Options

__all__ = ["MonitorDisplay", "in_kernel", "open_display", "show_monitor"]


def open_display(options: Options) -> Display | None:
    """Return the display that option `progress` and the surroundings ask for, None for none."""
    if options.progress == "none":
        return None
    if in_kernel():
        return MonitorDisplay() if options.progress != "text" and _widgets_work() else NotebookText()
    if options.progress != "auto" or sys.stderr.isatty():
        return TerminalText()
    return None


def in_kernel() -> bool:
    """Tell whether outputs go to a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


def show_monitor(run: Run) -> Any:
    """Show the live view of a run and return it."""
    # widgets are paid for where they are shown
    from IPython.display import display  # noqa: PLC0415

    from fastreq_jupyter.notebook.monitor import Monitor  # noqa: PLC0415

    monitor = Monitor(run)
    display(monitor)  # type: ignore[no-untyped-call]
    return monitor


class MonitorDisplay:
    """Show the live view of a run, and at its end a static summary as an output of its own.

    Attributes:
        said: The closing line was shown here.
    """

    def __init__(self) -> None:
        self._monitor: Any = None
        self.said = False

    def tick(self, run: Run) -> None:
        """Show the view once; it draws itself from then on."""
        if self._monitor is None:
            self._monitor = show_monitor(run)

    def close(self, run: Run | None) -> None:
        """Leave the static summary, for notebooks that are reopened or exported."""
        if self._monitor is not None and run is not None:
            self._monitor.refresh()
            _show_summary(run)


def _widgets_work() -> bool:
    """Import what the live view needs before the run starts: it takes a while, and the run's clock would see it."""
    try:
        import_module("fastreq_jupyter.notebook.monitor")
    except ImportError:
        return False
    return True


def _show_summary(run: Run) -> None:
    from IPython.display import display  # noqa: PLC0415 - see above

    from fastreq_jupyter.notebook.html import html_summary, text_summary  # noqa: PLC0415 - see above

    display({"text/html": html_summary(run), "text/plain": text_summary(run)}, raw=True)  # type: ignore[no-untyped-call]
