"""What a cell leaves: the frame in its variable or as its result, the closing line, and how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastreq_jupyter.bridge import interruption
from fastreq_jupyter.client.call import where_it_stopped
from fastreq_jupyter.client.preview import preview, preview_line
from fastreq_jupyter.client.results import check_failures, conclude, value_of
from fastreq_jupyter.errors import PartialFailureError
from fastreq_jupyter.notebook.show import in_kernel, remember, show_monitor, where_all_is

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from fastreq_jupyter.bridge import Waited
    from fastreq_jupyter.engine.run import Run
    from fastreq_jupyter.notebook.order import Order

__all__ = ["deliver", "deliver_background", "deliver_preview"]


def deliver(order: Order, waited: Waited[Run], said: bool, variables: MutableMapping[str, Any]) -> Any:  # noqa: FBT001 - as run_blocking gives it
    """Assign or return the result of a run that has drained, and print its closing line.

    Args:
        order: What was asked for.
        waited: The run.
        said: Its closing line was shown already.
        variables: The notebook's.

    Raises:
        KeyboardInterrupt: The run was interrupted; its finished rows are in the variable.
        PartialFailureError: More failed than `check` tolerates, or a list was asked for and a request failed.
        SourceError: A source raised while it was drawn from.
    """
    run, name = waited.run, order.line.name
    frames = run.options.return_type == "dataframe"
    value = value_of(run)
    if name is not None:
        variables[name] = value
        remember(run, value)
    _print_end(order, run, value, said=said)
    if waited.interrupted:
        raise interruption(where_it_stopped(run, name or "last_run().df"))
    run.raise_error()
    try:
        if frames:
            check_failures(run)
        else:
            value = conclude(run)
    except PartialFailureError as error:
        line = f"PartialFailureError: {error}"
        # IPython's hook for errors that are one line.
        error._render_traceback_ = lambda: [line]  # type: ignore[attr-defined]
        raise
    if name is None:
        return value
    variables[name] = value
    return None


def deliver_preview(order: Order, variables: MutableMapping[str, Any]) -> Any:
    """Assign or return the frame of a dry run."""
    frame = preview(order.call.plan)
    print(preview_line(frame.attrs["fastreq"]["summary"], order.line.name))  # noqa: T201 - a cell's line
    for note in frame.attrs["fastreq"]["notes"]:
        print(note)  # noqa: T201
    return _assigned(order, frame, variables)


def deliver_background(order: Order, run: Run, variables: MutableMapping[str, Any]) -> None:
    """Put the live run into the variable, and show it where widgets are."""
    name = order.line.name
    if name is not None:
        variables[name] = run
    handle = name or "last_run()"
    total = run.plan.total
    count = "requests" if total is None else f"{total:,} request{'' if total == 1 else 's'}"
    print(f"{name + ': ' if name else ''}{count} in the background; {handle}.progress, {handle}.df, await {handle}")  # noqa: T201
    if in_kernel() and run.options.progress in ("auto", "panel"):

        def follow(again: Run) -> str:
            nonlocal run
            if name is not None and variables.get(name) is run:
                variables[name] = again
            run = again
            return where_all_is(again, f"{handle}.df")

        show_monitor(run, on_retry=follow)


def _assigned(order: Order, value: Any, variables: MutableMapping[str, Any]) -> Any:
    if order.line.name is None:
        return value
    variables[order.line.name] = value
    return None


def _print_end(order: Order, run: Run, value: Any, *, said: bool) -> None:
    if not said:
        print(run.closing_line())  # noqa: T201 - a cell's closing line
    attrs = getattr(value, "attrs", {}).get("fastreq", {})
    for note in dict.fromkeys([*run.summary()["notes"], *attrs.get("notes", ()), *order.late_notes()]):
        print(note)  # noqa: T201
