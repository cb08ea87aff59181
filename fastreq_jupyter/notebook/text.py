"""How far a run is, as one line of text: for terminals, and for notebooks without widgets."""

from __future__ import annotations

import shutil
import sys
from time import monotonic
from typing import TYPE_CHECKING, Any, TextIO

from fastreq_jupyter.options import show_bytes, show_seconds
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastreq_jupyter.engine.autolimits import AutoLimit
    from fastreq_jupyter.engine.progress import Progress
    from fastreq_jupyter.engine.run import Run

__all__ = ["NotebookText", "TerminalText", "progress_line"]

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
    parts += [f"{p.in_flight}{limit} in flight", f"{p.per_second:.0f}/s" if p.per_second >= 10 else f"{p.per_second:.1f}/s"]  # noqa: PLR2004 - a tenth tells something below ten
    parts.append(show_bytes(p.bytes))
    if p.eta_s is not None and p.done != p.total:
        parts.append(f"{show_seconds(p.eta_s)} left")
    said = state.lower() if state in ("PAUSED", "CANCELLING") else None
    notices = "".join(f" | {one_line(text, 120)}" for text in (said, p.notice, auto and f"auto: {auto.reason}") if text)
    return f"{name + ': ' if name else ''}{', '.join(parts)}{notices}"


class _Line:
    """Decide when the line is drawn: not for short runs, at most ten times a second, only when it changed.

    Attributes:
        said: The closing line was shown here.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._next = self._began + PATIENCE
        self._shown: str | None = None
        self.said = False

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
    """Keep one line of a terminal up to date, and clear it at the end.

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
    """Keep one output of a notebook up to date; at the end it holds the closing line."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(clock)
        self._handle: Any = None

    def close(self, run: Run | None) -> None:
        """Leave the closing line."""
        if self._handle is not None and run is not None:
            self._draw(run.closing_line())
            self.said = True

    def _draw(self, line: str) -> None:
        # IPython is there: only a notebook makes this display.
        from IPython.display import display  # noqa: PLC0415

        data = {"text/plain": line}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(data, raw=True)
