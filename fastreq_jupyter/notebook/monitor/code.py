"""From the panel to code: the expression for a run's frame, for one of its rows, for those that the panel shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastreq_jupyter.engine import last_run
from fastreq_jupyter.notebook.display import holds, variables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastreq_jupyter.engine import Run

__all__ = ["frame_of", "row_of", "rows_of"]

_RESHAPED = ("select", "expand", "explode", "pages")


def frame_of(run: Run) -> str | None:
    """Return a Python expression for the frame of a run; None where no variable leads to it."""
    if run.options.return_type == "dataframe":
        if run.name is not None and holds(run.name, run):
            return run.name
        for name, value in list(variables().items()):
            if not name.startswith("_") and (value is run or getattr(value, "run", None) is run) and type(value).__name__ in _HOLDERS:
                return f"{name}.df"
    return "last_run().df" if last_run() is run else None


_HOLDERS = ("Run", "Panel", "Monitor")


def row_of(run: Run, position: int) -> str | None:
    """Return the expression for one row; None where rows are not requests (`select`, `expand`) or no variable leads there."""
    return None if (frame := _plain(run)) is None else f"{frame}.iloc[{position}]"


def rows_of(run: Run, rows: Sequence[int], *, error: str | None = None, ok: bool = False) -> str | None:
    """Return the expression for several rows.

    Args:
        run: The run.
        rows: Their positions.
        error: They are those with this error, and that alone.
        ok: They are the good ones, and that alone.
    """
    frame = frame_of(run)
    if frame is not None and (ok or error is not None):
        return f"{frame}[{frame}.error.isna()]" if ok else f"{frame}[{frame}.error == {error!r}]"
    return None if (plain := _plain(run)) is None else f"{plain}.iloc[{list(rows)!r}]"


def _plain(run: Run) -> str | None:
    """Return the expression for a frame in which row n is request n."""
    options: Any = run.options
    reshaped = any(getattr(options, name, None) for name in _RESHAPED)
    return None if reshaped else frame_of(run)
