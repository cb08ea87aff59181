"""The live view of one run: a widget that tells the page what happens and posts what the page asks for.

Commands travel as custom messages, never as traits: a trait changed by the user while an async cell updates the same
widget is lost on ipykernel 7.4. They may arrive on any thread, and only call the run's thread-safe methods. The one trait,
written once at the end, is a bounded picture without secrets, for a notebook that is saved with its widgets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from fastreq_jupyter.engine import last_run
from fastreq_jupyter.errors import FastreqError, UsageError
from fastreq_jupyter.notebook.display import holds, variables
from fastreq_jupyter.notebook.html import text_summary
from fastreq_jupyter.notebook.monitor.details import details_of
from fastreq_jupyter.notebook.monitor.front import NOT_BUILT, built, needs_own_code, shared, text_of
from fastreq_jupyter.notebook.monitor.watch import Watch
from fastreq_jupyter.options import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fastreq_jupyter.engine import Run
    from fastreq_jupyter.model import Outcome
    from fastreq_jupyter.notebook.monitor.feed import Message

_LARGEST_HAR = 20_000_000


class Monitor(anywidget.AnyWidget):
    """The live view of one run, while it goes on and afterwards.

    Args:
        run: The run; it may be finished already.
        on_retry: Called with the new run when the failed requests are sent again from the panel; returns what is said of it.
    """

    _esm = built("front.js", NOT_BUILT)
    front = traitlets.Unicode().tag(sync=True)
    snapshot = traitlets.Unicode().tag(sync=True)

    def __init__(self, run: Run, *, on_retry: Callable[[Run], str] | None = None) -> None:
        if needs_own_code():
            self._esm, self._css = text_of("monitor.js", NOT_BUILT), text_of("monitor.css", "")
            super().__init__()
        else:
            super().__init__(**shared())
        _keep_subshells(self.comm)
        self._on_retry = on_retry
        self._watch = self._follow(run)
        self.on_msg(self._hear)

    @property
    def run(self) -> Run | None:
        """Return the run that is shown; None once the process has forgotten it."""
        return self._watch.run

    def follow(self, run: Run, note: str = "") -> None:
        """Show another run from now on.

        Args:
            run: Under way or at its end.
            note: What stands behind its closing line.
        """
        self._watch.stop()
        self._watch = self._follow(run, note)

    def refresh(self) -> None:
        """Show what became of the run after it had ended (`parse_func` could not read an answer)."""
        run = self.run
        if run is not None and run.done and self._watch.behind:
            self.snapshot = self._watch.finish(run)

    def __repr__(self) -> str:
        run = self.run
        return f"<Monitor of {self._watch.known:,} rows>" if run is None else f"<Monitor of {run!r}>"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """Return the view; beside it, for pages without widgets, the summary, or a text that stays true while the run goes on."""
        bundle = super()._repr_mimebundle_(**options)
        if bundle is not None:
            run = self.run
            bundle[0]["text/plain"] = text_summary(run) if run is not None and run.done else f"<live panel{self._watch.title}>"
        return bundle

    def _follow(self, run: Run, note: str = "") -> Watch:
        watch = Watch(run, self._post, note=note)
        if not run.done:
            watch.start()
        run.finished.add_done_callback(lambda _: self._end(watch, run))
        return watch

    def _end(self, watch: Watch, run: Run) -> None:
        """Send what is left and the closing line, and leave a picture for the saved notebook."""
        if not watch.over:
            self.snapshot = watch.finish(run)

    def _post(self, message: Message) -> None:
        self.send(message.content, buffers=message.buffers)

    def _hear(self, _widget: object, content: Mapping[str, Any], _buffers: object) -> None:
        """Do what the page asks for, and answer; on the thread the message came in."""
        number = content.get("id")
        try:
            if content.get("do") == "state":
                self._watch.answer(_whole(content, "id"), _whole(content, "from"))
                return
            reply = self._do(content)
        except FastreqError as error:
            reply = {"ok": False, "said": str(error)}
        self.send({"kind": "reply", "id": number, "ok": True, **reply})

    def _do(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out one command of the page.

        Raises:
            FastreqError: It cannot be done; one line.
        """
        run = self.run
        if run is None:
            message = "this run is no longer held: the process keeps the outcomes of the last 10 runs"
            raise UsageError(message)
        match content.get("do"):
            case "cancel":
                run.cancel()
            case "pause":
                run.pause()
            case "resume":
                run.resume()
            case "retry":
                self._retry(run, "unsent" if content.get("only") == "unsent" else "sent")
            case "update":
                return _update(run, content)
            case _:
                return _answer(run, content)
        return {}

    def _retry(self, run: Run, only: str) -> None:
        if not run.done:
            message = "retry failed: wait until the run has ended, or cancel it"
            raise UsageError(message)
        again = run.retry_failed(only)
        self.follow(again, "" if self._on_retry is None else self._on_retry(again))


def _answer(run: Run, content: Mapping[str, Any]) -> dict[str, Any]:
    """Answer what the page asks about rows.

    Raises:
        FastreqError: There is no answer; one line.
    """
    match content.get("do"):
        case "details":
            outcome = _outcome(run, content)
            return {"details": details_of(outcome, _row_of(run, outcome.position))}
        case "code":
            return {"text": _code(run, content)}
        case "har":
            return {"text": _har(run, content)}
        case "copy":
            return {"text": _copied(_outcome(run, content), str(content.get("as")))}
        case unknown:
            message = f"the panel asked for {unknown!r}, which this version does not know"
            raise UsageError(message)


def _update(run: Run, content: Mapping[str, Any]) -> dict[str, Any]:
    """Change what the page asks for, all in one step; a wrong value changes nothing and names its field."""
    changes = {}
    for name in ("concurrency", "rate_limit"):
        if name in content:
            try:
                changes[name] = TABLE[name].read(str(content[name]).strip() or None)
            except FastreqError as error:
                return {"ok": False, "field": name, "said": str(error)}
    try:
        run.update(**changes)
    except FastreqError as error:
        return {"ok": False, "field": next(iter(changes)), "said": str(error)}
    return {}


def _outcome(run: Run, content: Mapping[str, Any]) -> Outcome:
    position = _whole(content, "position")
    result = next((outcome for outcome in run.outcomes if outcome.position == position), None)
    if result is None:
        message = f"request {position} has no outcome yet"
        raise UsageError(message)
    return result


def _rows(content: Mapping[str, Any]) -> list[int]:
    return [row for row in content.get("rows", ()) if isinstance(row, int)]


def _code(run: Run, content: Mapping[str, Any]) -> str:
    error = content.get("error")
    code = _rows_of(run, _rows(content), error=error if isinstance(error, str) else None, ok=content.get("ok") is True)
    if code is None:
        message = "no variable leads to these rows: give the cell a name (%%fastreq NAME), or use last_run().rows"
        raise UsageError(message)
    return code


def _har(run: Run, content: Mapping[str, Any]) -> str:
    """Return an archive of the rows; a large one is no message for a page."""
    # Lazily: most panels never export.
    from fastreq_jupyter.engine import USER_AGENT, field_lines_of  # noqa: PLC0415 - for the few who save
    from fastreq_jupyter.frame import har_pieces  # noqa: PLC0415 - for the few who save

    wanted, pieces, size = set(_rows(content)), [], 0
    outcomes = [outcome for outcome in run.outcomes if outcome.position in wanted]
    for piece in har_pieces(outcomes, version=USER_AGENT.partition("/")[2], sent=field_lines_of):
        pieces.append(piece)
        size += len(piece)
        if size > _LARGEST_HAR:
            message = f"more than {_LARGEST_HAR // 1_000_000} MB: write it in code, {_frame_of(run) or 'df'}.fastreq.save('x.har')"
            raise UsageError(message)
    return b"".join(pieces).decode()


def _copied(outcome: Outcome, form: str) -> str:
    # Lazily: most panels never copy.
    from fastreq_jupyter.cell import to_curl, to_http  # noqa: PLC0415 - loaded by whoever needs it

    return to_curl(outcome.request) if form == "curl" else f"%%fastreq\n{to_http(outcome.request)}"


def _whole(content: Mapping[str, Any], name: str) -> int:
    value = content.get(name)
    return value if isinstance(value, int) else 0


def _keep_subshells(comm: Any) -> None:
    """Have the page's messages come in on the subshell that the front end chose.

    ipykernel 7.4 sends them to the shell that last used the comm, which is the busy one while a cell runs. Private, hence
    the guard: without it the buttons work as on every other kernel.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, default: default  # noqa: SLF001 - the only way in, see above


_HOLDERS = ("Run", "Panel", "Monitor")
_RESHAPED = ("select", "expand", "explode", "pages")


def _frame_of(run: Run) -> str | None:
    """Return a Python expression for the frame of a run; None where no variable leads to it."""
    if run.options.return_type == "dataframe":
        if run.name is not None and holds(run.name, run):
            return run.name
        for name, value in list(variables().items()):
            if not name.startswith("_") and (value is run or getattr(value, "run", None) is run) and type(value).__name__ in _HOLDERS:
                return f"{name}.df"
    return "last_run().df" if last_run() is run else None


def _row_of(run: Run, position: int) -> str | None:
    """Return the expression for one row; None where rows are not requests (`select`, `expand`) or no variable leads there."""
    return None if (frame := _plain(run)) is None else f"{frame}.iloc[{position}]"


def _rows_of(run: Run, rows: Sequence[int], *, error: str | None = None, ok: bool = False) -> str | None:
    """Return the expression for several rows.

    Args:
        run: The run.
        rows: Their positions.
        error: They are those with this error, and that alone.
        ok: They are the good ones, and that alone.
    """
    frame = _frame_of(run)
    if frame is not None and (ok or error is not None):
        return f"{frame}[{frame}.error.isna()]" if ok else f"{frame}[{frame}.error == {error!r}]"
    return None if (plain := _plain(run)) is None else f"{plain}.iloc[{list(rows)!r}]"


def _plain(run: Run) -> str | None:
    """Return the expression for a frame in which row n is request n."""
    options: Any = run.options
    reshaped = any(getattr(options, name, None) for name in _RESHAPED)
    return None if reshaped else _frame_of(run)
