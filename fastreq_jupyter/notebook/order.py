"""Turns a magic's line and cell into a call ready to be started, and its result into a variable and a closing line."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Sized
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from fastreq_jupyter.bridge import interruption
from fastreq_jupyter.cell import Source, build, fill_options
from fastreq_jupyter.client import (
    Call,
    Session,
    as_asked,
    check_failures,
    check_options,
    check_shape,
    conclude,
    layered,
    preview_frame,
    preview_line,
    value_of,
    where_it_stopped,
    with_defaults,
)
from fastreq_jupyter.engine import Jar
from fastreq_jupyter.errors import OptionError, RunError
from fastreq_jupyter.model import Plan
from fastreq_jupyter.notebook.display import in_kernel, remember, retried_line, show_monitor
from fastreq_jupyter.options import FRAMES, Options, show_count
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping, Sequence

    from fastreq_jupyter.bridge import Waited
    from fastreq_jupyter.cell import EachSpec, MagicLine
    from fastreq_jupyter.engine import Run

E = TypeVar("E", bound=Exception)

LARGE_TEXT = 100_000
"""Characters of a cell that are read in some 50 ms."""
LARGE_TABLE = 20_000
"""Rows of ``--each`` whose values are looked at in about that time."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a cell or line asks for.

    Attributes:
        call: What will be launched.
        late_notes: Gives lines that are known after the run.
    """

    call: Call
    late_notes: Callable[[], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Draft:
    """A magic's line with all that is looked up and evaluated for it, before its cell is read.

    Attributes:
        line: The magic's line, parsed.
        text: The cell without its first line, or the URL of the line magic.
        first_line: Number of the text's first line in the cell.
        options: What the line, the session and %config say.
        names: Variables that the text may use.
        sources: What ``--each`` named, with values.
        session: A `FastRequests`, or None.
    """

    line: MagicLine
    text: str
    first_line: int
    options: Options
    names: Mapping[str, Any]
    sources: tuple[Source, ...]
    session: Session | None

    @property
    def large(self) -> bool:
        """Tell whether reading it takes long enough to be done beside the loop; iterators stay with the thread they belong to."""
        sizes = [len(source.value) for source in self.sources if isinstance(source.value, Sized)]
        return len(sizes) == len(self.sources) and (len(self.text) > LARGE_TEXT or sum(sizes) > LARGE_TABLE)

    def order(self) -> Order:
        """Read the cell and return what is to be launched.

        Raises:
            UsageError: One line.
        """
        session = self.session
        cell = build(
            self.text, options=self.options, namespace=self.names, sources=self.sources,
            base_url=None if session is None else session.home.base_url, first_line=self.first_line, set_by_user=self.line.options,
        )  # fmt: skip
        final = Options.of(self.options, **cell.run_options)
        jar = Jar() if session is None else session.jar
        items, auth = with_defaults(cell.items, final, jar=jar, home=None if session is None else session.home, total=cell.total)
        plan = Plan(items, final, name=self.line.name, total=cell.total, join=cell.join, auth=auth, notes=cell.notes, chained=cell.chained)
        variable = self.line.lookups.get("auth")
        # The variable may hold another token when failed requests are sent again.
        auth_now = None if variable is None else partial(self.names.get, variable)
        return Order(Call(plan, jar, session, auth_now=auth_now), cell.late_notes)


def draft(line: MagicLine, text: str, *, namespace: Mapping[str, Any], outer: Mapping[str, Any], first_line: int) -> Draft:
    """Look up and evaluate what a magic's line names.

    Args:
        line: The magic's line, parsed.
        text: The cell without its first line, or the URL of the line magic.
        namespace: Variables of the notebook.
        outer: Variables of the function that the magic stands in, if any.
        first_line: Number of the text's first line in the cell.

    Raises:
        UsageError: One line.
    """
    names = ChainMap(dict(outer), dict(namespace)) if outer else namespace
    looked_up = {option: _look_up(option, name, names) for option, name in line.lookups.items()}
    session = looked_up.get("session")
    if session is not None and not isinstance(session, Session):
        reason = f"{line.lookups['session']} is a {type(session).__name__}: give a FastRequests object"
        raise OptionError(f"--session {reason}", option="session", reason=reason)
    base = Options.of(layered(session, door="magic"), **{**fill_options(line.options, names), **looked_up})
    check_options(base)
    sources = [Source(spec, _evaluate(spec, namespace, outer)) for spec in line.each]
    return Draft(line, text, first_line, base, names, tuple(sources), session)


def in_one_line(error: E) -> E:
    """Return an error that IPython shows as its one line, and hands on as such to whoever runs the notebook (papermill, nbclient)."""
    # The hook of IPython; a partial can be pickled.
    error._render_traceback_ = partial(list, [f"{type(error).__name__}: {error}"])  # type: ignore[attr-defined] # IPython looks for it
    return error.with_traceback(None)


def _look_up(option: str, name: str, names: Mapping[str, Any]) -> Any:
    if name in names:
        return names[name]
    if option == "cert":
        return name
    raise OptionError(f"--{option} {name}: no variable of that name in the notebook", option=option)


def _evaluate(spec: EachSpec, namespace: Mapping[str, Any], outer: Mapping[str, Any]) -> Any:
    try:
        # Code that the user wrote on the magic's line, as for %timeit; texts of {{ }} are never evaluated.
        return eval(compile(spec.expression.strip(), "<--each>", "eval"), {**namespace, **outer})  # noqa: S307 - what the user wrote in their own cell
    except Exception as error:  # noqa: BLE001 - the user's expression may raise anything
        reason = one_line(f"{spec.text}: {type(error).__name__}: {error}")
        raise OptionError(f"--each {reason}", option="each", reason=reason) from None


def deliver(order: Order, waited: Waited[Run], lines_shown: Sequence[str], variables: MutableMapping[str, Any]) -> Any:
    """Assign or return the result of a run that has drained, and print its closing line and notes.

    Args:
        order: What was asked for.
        waited: The run.
        lines_shown: What of these was shown already.
        variables: The notebook's.

    Raises:
        KeyboardInterrupt: The run was interrupted; its finished rows are in the variable.
        PartialFailureError: More failed than `check` tolerates, or a list was asked for and a request failed.
        SourceError: A source raised while it was drawn from.
    """
    run, name = waited.run, waited.run.name
    frames = run.options.return_type in FRAMES
    result = value_of(run)
    value = as_asked(result, run.options) if frames else result
    if name is not None:
        variables[name] = value
        remember(run, value)
    _print_end(order, run, result, lines_shown=lines_shown)
    if waited.interrupted:
        raise interruption(where_it_stopped(run, name or "last_run().df"))
    run.raise_error()
    try:
        if frames:
            check_shape(result, run)
            check_failures(run)
        else:
            value = conclude(run)
    except RunError as error:
        raise in_one_line(error) from error.__cause__
    if name is None:
        return value
    variables[name] = value
    return None


def deliver_preview(plan: Plan) -> Any:
    """Return the frame of a dry run and print its lines; the variable keeps its value."""
    frame = preview_frame(plan)
    print(preview_line(frame.attrs["fastreq"]["summary"], plan.name))  # noqa: T201 - a cell's line
    for note in frame.attrs["fastreq"]["notes"]:
        print(note)  # noqa: T201 - a line below the cell
    return frame


def deliver_background(run: Run, variables: MutableMapping[str, Any]) -> None:
    """Put the live run into the variable, and show it where widgets are."""
    name = run.name
    if name is not None:
        _note_earlier_run(name, run, variables)
        variables[name] = run
    handle = name or "last_run()"
    count = show_count(run.plan.total, "request")
    print(f"{name + ': ' if name else ''}{count} in the background; {handle}.progress, {handle}.df, await {handle}")  # noqa: T201 - a line below the cell
    if in_kernel() and run.options.progress in ("auto", "panel"):

        def follow(retry: Run) -> str:
            nonlocal run
            if name is not None and variables.get(name) is run:
                variables[name] = retry
            run = retry
            return retried_line(retry, f"{handle}.df")

        show_monitor(run, on_retry=follow)


def _note_earlier_run(name: str, run: Run, variables: Mapping[str, Any]) -> None:
    """Print that the run whose variable this one takes goes on, and how to stop it."""
    earlier = variables.get(name)
    if not isinstance(earlier, type(run)) or earlier.done:
        return
    run.before, p = earlier, earlier.progress
    count = f"{p.done:,} done" if p.total is None else f"{p.done:,} of {p.total:,} done"
    print(f"{name}: the run before goes on, {count}; {name}.before.cancel() stops it, {name}.before.df has its rows")  # noqa: T201 - for the reader of the cell


def _print_end(order: Order, run: Run, value: Any, *, lines_shown: Sequence[str]) -> None:
    closing = () if lines_shown else (run.closing_line(),)
    attrs = getattr(value, "attrs", {}).get("fastreq", {})
    for line in dict.fromkeys([*closing, *run.summary()["notes"], *attrs.get("notes", ()), *order.late_notes()]):
        if line not in lines_shown:
            print(line)  # noqa: T201 - a line below the cell
