"""The line below an error about a column of ours that a frame does not show: where it is to be had."""

from __future__ import annotations

import re
import sys
from traceback import walk_tb
from typing import TYPE_CHECKING

from fastreq_jupyter.options import COLUMN_SETS

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionResult


def tell_missing(result: ExecutionResult) -> None:
    """Print the line; a hook of IPython, called after each cell."""
    columns = missing_columns(result.error_in_exec)
    if columns:
        print(f"{', '.join(columns)}: with --columns all, or now in .fastreq.all_columns()", file=sys.stderr)  # noqa: T201 - a line for whoever works in the notebook


def missing_columns(error: BaseException | None) -> list[str]:
    """Return the names of columns of ours that a run's frame was asked for and does not show; none for any other error."""
    if not isinstance(error, (KeyError, AttributeError)):
        return []
    # pandas raises in a method of the frame.
    askers = [frame.f_locals.get("self") for frame, _ in walk_tb(error.__traceback__)]
    if not any("fastreq" in (getattr(asker, "attrs", None) or ()) for asker in askers):
        return []
    return [name for name in re.findall(r"'(\w+)'", str(error)) if name in COLUMN_SETS["all"]]
