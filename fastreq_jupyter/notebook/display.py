"""Which display a run gets, and what it shows: the panel where widgets are shown, a text line in a notebook or a terminal, else none."""

from __future__ import annotations

import shutil
import sys
from importlib import import_module
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, TextIO, cast
from weakref import WeakKeyDictionary, ref

from fastreq_jupyter.bridge import shell
from fastreq_jupyter.client import present
from fastreq_jupyter.model import Outcome
from fastreq_jupyter.options import show_bytes, show_count, show_seconds
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastreq_jupyter.client import Display
    from fastreq_jupyter.engine import AutoLimit, Progress, Run
    from fastreq_jupyter.model import Item
    from fastreq_jupyter.options import Options

PATIENCE = 0.3
"""Seconds a run may take without a line: what is over at once must not flicker."""
_STEP = 0.1
_BAR = 20


def progress_line(progress: Progress, *, name: str | None = None, state: str = "RUNNING", auto: AutoLimit | None = None) -> str:
    """Return ``orders: 1,234 of 5,000 done, 1,230 ok, 4 failed, 12 retried, 87/s, 43 s left``.

    Args:
        progress: How far the run is.
        name: Its name.
        state: Its state.
        auto: The limit of requests in flight, where it is not a number that the user gave.
    """
    p = progress
    count = f"{p.done:,} of {p.total:,} done" if p.total is not None else f"{p.done:,} done"
    parts = [count, f"{p.ok:,} ok", f"{p.failed:,} failed"]
    if p.retried:
        parts.append(f"{p.retried:,} retried")
    limit = "" if auto is None else f" of {auto.limit}"
    parts += [f"{p.in_flight}{limit} in flight", f"{p.per_second:.0f}/s" if p.per_second >= 10 else f"{p.per_second:.1f}/s"]
    parts.append(show_bytes(p.bytes))
    if p.eta_s is not None and p.done != p.total:
        parts.append(f"{show_seconds(p.eta_s)} left")
    if p.files:
        # That with most to come.
        more = f" and {len(p.files) - 1:,} more" if len(p.files) > 1 else ""
        parts.append(f"{p.files[0].name} {p.files[0].text}{more}")
    standing = state.lower() if state in ("PAUSED", "CANCELLING") else None
    notices = "".join(f" | {one_line(text, 120)}" for text in (standing, p.notice, auto and f"auto: {auto.reason}") if text)
    return f"{name + ': ' if name else ''}{', '.join(parts)}{notices}"


class _Line:
    """When the line is drawn: not for short runs, at most ten times a second, only when it changed.

    Attributes:
        lines_shown: Lines of the end that were shown here.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._next = self._began + PATIENCE
        self._shown: str | None = None
        self.lines_shown: Sequence[str] = ()

    def tick(self, run: Run) -> None:
        """Draw how far the run is."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + _STEP * 0.9
        line = progress_line(run.progress, name=run.name, state=run.state, auto=run.auto)
        if line != self._shown:
            self._draw(line)
            self._shown = line

    def _draw(self, line: str) -> None:
        raise NotImplementedError


class TerminalText(_Line):
    """One line of a terminal, kept up to date and cleared at the end.

    Args:
        stream: Where to write; stderr by default, so that piped output stays clean.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(clock)
        self._stream = sys.stderr if stream is None else stream

    def close(self, run: Run | None) -> None:  # noqa: ARG002 - a display is told
        """Clear the line."""
        if self._shown is not None:
            self._write("")

    def _draw(self, line: str) -> None:
        self._write(line[: max(10, shutil.get_terminal_size().columns - 1)])

    def _write(self, text: str) -> None:
        self._stream.write(f"\r\x1b[K{text}")
        self._stream.flush()


class NotebookText(_Line):
    """One output of a notebook that is kept up to date, and empty at the end.

    The closing line is printed: front ends that show no updates of outputs would never show it here.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(clock)
        self._handle: Any = None

    def close(self, run: Run | None) -> None:
        """Clear the output and print the closing line."""
        if self._handle is not None and run is not None:
            self._draw("")
            self.lines_shown = (run.closing_line(),)
            print(*self.lines_shown)  # noqa: T201 - the line of a run that took a while

    def _draw(self, line: str) -> None:
        # Only a notebook makes this display, so IPython is imported.
        from IPython.display import display  # noqa: PLC0415 - loaded by whoever needs it

        data = {"text/plain": line}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)  # type: ignore[no-untyped-call] # IPython has no types
        else:
            self._handle.update(data, raw=True)


_SHOWN_FRAMES: WeakKeyDictionary[Run, tuple[Callable[[], Any], Any]] = WeakKeyDictionary()


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
    return getattr(shell(), "kernel", None) is not None


def show_monitor(run: Run, *, on_retry: Callable[[Run], str] | None = None, otherwise: str | None = None) -> Any:
    """Show the live view of a run and return it; pages without widgets show the text `otherwise`."""
    # Imported here, since widgets are needed where they are shown only.
    from IPython.display import display  # noqa: PLC0415 - loaded by whoever needs it

    from fastreq_jupyter.notebook.monitor import Monitor  # noqa: PLC0415 - loaded by whoever needs it

    monitor = Monitor(run, on_retry=on_retry)
    bundle = monitor._repr_mimebundle_()[0]
    display(bundle if otherwise is None else {**bundle, "text/plain": otherwise}, raw=True)  # type: ignore[no-untyped-call] # IPython has no types
    return monitor


class MonitorDisplay:
    """The live view of a run, and at its end a static summary, which stays with the notebook.

    The summary is an output of its own, made when all is known: qtconsole, Spyder, jupyter console and papermill's log show
    outputs but never their updates, and would not be told how the run ended.

    Attributes:
        lines_shown: Lines of the end that were shown here.
    """

    def __init__(self) -> None:
        self._run: Run | None = None
        self._monitor: Any = None
        self._summary: Any = None
        self.lines_shown: Sequence[str] = ()

    def tick(self, run: Run) -> None:
        """Show the view once; it draws itself from then on."""
        if self._monitor is None:
            # Imported here, since widgets are needed where they are shown only.
            from fastreq_jupyter.notebook.html import beginning  # noqa: PLC0415 - loaded by whoever needs it

            self._run = run
            self._monitor = show_monitor(run, on_retry=self._retried, otherwise=beginning(run))

    def close(self, run: Run | None) -> None:
        """Show the summary."""
        if self._monitor is not None and run is not None:
            self._monitor.refresh()
            # widgets are paid for where they are shown
            from fastreq_jupyter.notebook.html import notes_of  # noqa: PLC0415 - loaded by whoever needs it

            self._show_summary(run)
            self.lines_shown = (run.closing_line(), *notes_of(run))

    def _show_summary(self, run: Run) -> None:
        from IPython.display import display  # noqa: PLC0415 - see above

        from fastreq_jupyter.notebook.html import summary  # noqa: PLC0415 - loaded by whoever needs it

        if self._summary is None:
            self._summary = display(summary(run), raw=True, display_id=True)  # type: ignore[no-untyped-call] # IPython has no types
        else:
            self._summary.update(summary(run), raw=True)

    def _retried(self, retry: Run) -> str:
        """Have summary and variable follow when failed requests are sent again; return what the panel says of it."""
        earlier, self._run = self._run, retry
        name = retry.name if earlier is not None and holds(retry.name, earlier) else None

        def follow() -> None:
            if name is not None:
                variables()[name] = frame = present(retry)
                remember(retry, frame)
            self._show_summary(retry)

        # In a thread of its own: a large frame would block the loop that other runs use.
        retry.finished.add_done_callback(lambda _: Thread(target=follow, name="fastreq-retried", daemon=True).start())
        return retried_line(retry, name or "last_run().df")


def retried_line(retry: Run, place: str) -> str:
    """Return what is said of a run that sent failed requests again."""
    number = sum(isinstance(item, Outcome) for item in cast("list[Item]", retry.plan.requests))
    return f"{show_count(number, 'row is', 'rows are')} from the run before, all are in {place}"


def remember(run: Run, value: Any) -> None:
    """Note what a run's variable was given, so that it is known again."""
    if hasattr(value, "attrs"):
        _SHOWN_FRAMES[run] = (ref(value), _shape(value))


def holds(name: str | None, run: Run) -> bool:
    """Tell whether a variable holds the very frame it was given; what the user made of it since is theirs."""
    value = variables().get(name) if name else None
    shown_frame, shape = _SHOWN_FRAMES.get(run, (lambda: None, None))
    return value is not None and shown_frame() is value and _shape(value) == shape


def _shape(frame: Any) -> tuple[object, ...]:
    return (*frame.columns, len(frame))


def variables() -> dict[str, Any]:
    """Return the notebook's variables; none outside IPython."""
    namespace: dict[str, Any] = getattr(shell(), "user_ns", {})
    return namespace


def _widgets_work() -> bool:
    """Import what the live view needs before the run starts: it takes a while, and the run's clock would see it."""
    try:
        import_module("fastreq_jupyter.notebook.monitor")
    except ImportError:
        return False
    return True
