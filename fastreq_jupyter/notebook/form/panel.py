"""The form: choose what is sent and how, run it, and have the same as a cell.

What runs is what "To cell" shows: the form is written as a magic's line and a cell's text, and these are read again.
Clicks may come in on several threads; one run of a form goes on at a time.
"""

from __future__ import annotations

import html
from math import isnan
from threading import Lock, Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from fastreq_jupyter.bridge import start
from fastreq_jupyter.client import check_failures, preview_frame, preview_line, value_of
from fastreq_jupyter.errors import FastreqError, PartialFailureError, RunError, UsageError
from fastreq_jupyter.notebook.config import settings
from fastreq_jupyter.notebook.display import remember, retried_line, variables
from fastreq_jupyter.notebook.form.cell import attention, blamed, cell_of, make_order, wrong_of
from fastreq_jupyter.notebook.form.checks import refuse_secrets
from fastreq_jupyter.notebook.form.fields import Page, classed, first_contents, lay_out, make_fields, written_requests
from fastreq_jupyter.notebook.html import summary
from fastreq_jupyter.notebook.monitor import Monitor
from fastreq_jupyter.options import FRAMES, TABLE, show_count
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

    from fastreq_jupyter.engine import Run
    from fastreq_jupyter.notebook.form.fields import Field
    from fastreq_jupyter.notebook.order import Order

DOUBLE_CLICK_S = 0.6
_MOMENT_S = 0.02
"""Time after a click on Run in which another one is the second half of a double click."""

_SHOWN_ROWS = 10
_HEAD_ROWS = 5
_HEAD_COLUMNS = 12
_SHOWN_CHARACTERS = 200
_NO_NOTEBOOK = "a form for requests: it needs a notebook that shows widgets; %fastreq --help lists all options"


class Panel(widgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """A form that sends requests; below it the run is shown live.

    Args:
        requests: URLs, one a line or several, or the text of a ``%%fastreq`` cell.
        name: Variable that the result goes to.
        namespace: Where variables are looked up and assigned; the notebook's by default.
        **options: First content of the fields, as functions take it, where it can be written as text.

    Attributes:
        fields: Option (and ``requests``, ``name``) -> its field; ``panel.fields["concurrency"].control`` is an ordinary
            ipywidgets control.
        run: The newest run started here, or None.

    Raises:
        FastreqError: An option that is none, a value that is not possible, or a secret written out; one line.
    """

    def __init__(
        self, requests: str | Iterable[str] = "", name: str = "", *, namespace: MutableMapping[str, Any] | None = None, **options: Any
    ) -> None:
        if not isinstance(name, str):
            raise UsageError(f"name is the name of a variable, as text, not {type(name).__name__}")
        self.run: Run | None = None
        self._namespace = variables() if namespace is None else namespace
        known = [name for name, row in TABLE.items() if "panel" in row.doors]
        contents = {**first_contents(options, known), "requests": written_requests(requests), "name": name}
        refuse_secrets(contents)
        self.fields: dict[str, Field] = make_fields(settings(), self._namespace, contents)
        self._lock = Lock()
        self._busy = self._starting = False
        self._pressed_at = -DOUBLE_CLICK_S
        self._order: Order | None = None
        self._note = classed(widgets.HTML(), "fastreq-note")
        self._aside = classed(widgets.VBox(), "fastreq-aside")
        self._below = widgets.VBox()
        self._page = Page()
        self._summaries: list[Any] = []
        self._attending = False
        self._buttons = self._make_buttons()
        for field in self.fields.values():
            if field.is_set:
                field.check()
            field.control.observe(lambda _, field=field: self._changed(field), names="value")
        super().__init__([lay_out(self.fields, self._buttons, self._note, self._page), self._aside, self._below])
        self.add_class("fastreq-panel")

    def _ipython_display_(self) -> None:
        """Show the form, and below it keep a place for the summary of its newest run."""
        from IPython.display import display  # noqa: PLC0415 - asked for where it is shown

        # as ipywidgets itself says it from 8 on; 7 has no word for it
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        display({"text/plain": _NO_NOTEBOOK, "application/vnd.jupyter.widget-view+json": view}, raw=True)  # type: ignore[no-untyped-call] # IPython has no types
        place = display({"text/plain": ""}, raw=True, display_id=True)  # type: ignore[no-untyped-call] # IPython has no types
        if place is not None:
            self._summaries.append(place)

    def _mime_(self) -> tuple[str, str]:
        """Return what marimo shows in the form's place: it has no Jupyter widgets but anywidget's."""
        return "text/plain", "marimo shows no form: ask in code, fastreq(urls, concurrency=10), and Monitor(submit(urls)) to watch it"

    @property
    def df(self) -> Any:
        """Return the frame of the newest run at this moment, None before the first."""
        return None if self.run is None else self.run.df

    @property
    def cell(self) -> str:
        """Return the ``%%fastreq`` cell that does the same as the form.

        Raises:
            FastreqError: The body cannot go with these requests, or a secret is written out.
        """
        refuse_secrets({name: field.control.value for name, field in self.fields.items()})
        return cell_of(self.fields)

    def order(self) -> Order:
        """Return what the form asks for, checked; nothing is sent. What is wrong is shown beside its field.

        Raises:
            FastreqError: One line.
        """
        return make_order(self.fields, self._namespace)

    def start(self) -> Run | None:
        """Start a run in the background and show it below; None where the form is wrong, or its run still goes on."""
        with self._lock:
            if self._starting or (self.run is not None and not self.run.done):
                self._say("A run of this form goes on: wait for its end, or cancel it below.")
                return None
            self._starting = True
        try:
            return self._start()
        finally:
            # The second half of a double click arrives only now, however long the start took.
            self._pressed_at = monotonic()
            self._starting = False

    def _start(self) -> Run | None:
        order = self._try()
        if order is None:
            return None
        try:
            run = start(order.call.launch, loop="thread")
        except FastreqError as error:
            self._refuse(str(blamed(error, self.fields)))
            return None
        self._order = order
        self._aside.children = ()
        # The view comes first: the result of a run is put below it at its end.
        if self._below.children:
            # One view for all runs of a form: every view stays in the notebook's widget state.
            self._below.children = self._below.children[:1]
            self._below.children[0].follow(run)
        else:
            self._below.children = (Monitor(run, on_retry=self._retried),)
        self._adopt(run)
        return run

    def _retried(self, retry: Run) -> str:
        """Go on with a run that sends failed requests again; return what the view says of it."""
        self._adopt(retry)
        return retried_line(retry, retry.name or "last_run().df")

    def _adopt(self, run: Run) -> None:
        """Follow a run: its result goes to the variable when it has ended."""
        with self._lock:
            self.run, self._busy = run, True
        self._show_busy(busy=True)
        self._say("")
        # In a thread of its own: a large frame would block the loop that other runs use.
        run.finished.add_done_callback(lambda _: Thread(target=self._conclude, args=(run,), daemon=True).start())

    def _conclude(self, run: Run) -> None:
        """Assign the result, say so, and leave a summary for pages without widgets; of the newest run only."""
        try:
            value, problem = value_of(run), _what_failed(run)
            with self._lock:
                if run is not self.run:
                    return
                if run.name is not None:
                    self._namespace[run.name] = value
                    remember(run, value)
            notes = () if self._order is None else self._order.late_notes()
            self._say(_ended_line(run, run.name), *([problem] if problem else ()), *notes, wrong=problem is not None)
            if hasattr(value, "columns") and len(value):
                head = classed(widgets.HTML(_head_html(value, run.name)), "fastreq-preview")
                self._below.children = (*self._below.children[:1], classed(head, "fastreq-head"))
            for place in self._summaries:
                place.update(summary(run), raw=True)
        except Exception as error:  # noqa: BLE001 - on this thread nobody else would be told
            self._say(f"The run has ended, but its result could not be made: {type(error).__name__}: {error}", wrong=True)
        finally:
            self._let_go(run)

    def _let_go(self, run: Run | None) -> None:
        """Enable the Run button again, once a double click would be over."""
        while (remaining := self._pressed_at + DOUBLE_CLICK_S - monotonic()) > 0 or self._starting:
            sleep(max(remaining, _MOMENT_S))
        with self._lock:
            if run is not None and run is not self.run:
                return
            self._busy = False
        self._show_busy(busy=False)

    def _press(self) -> None:
        """Start a run; the second half of a double click does nothing."""
        with self._lock:
            if self._busy:
                return
            self._busy, self._pressed_at = True, monotonic()
        self._show_busy(busy=True)
        run = None
        try:
            run = self.start()
        finally:
            if run is None:
                self._pressed_at = -DOUBLE_CLICK_S
                self._let_go(self.run)

    def _show_busy(self, *, busy: bool) -> None:
        run = self._buttons[0]
        run.disabled, run.description, run.icon = busy, "Running" if busy else "Run", "spinner spin" if busy else "play"

    def _try(self) -> Order | None:
        try:
            return self.order()
        except FastreqError as error:
            self._refuse(str(error))
            return None

    def _refuse(self, message: str) -> None:
        """Show what is wrong, and remove the result of an earlier click, which is out of date."""
        self._aside.children = ()
        wrong = wrong_of(self.fields)
        self._say(attention(wrong) if wrong else message, wrong=True)
        self._attending = bool(wrong)

    def _changed(self, field: Field) -> None:
        """Check again the fields that this change may have corrected."""
        if field.name == "headers" and self.fields["data"].is_set:
            self.fields["data"].check()
        for other in wrong_of(self.fields):
            if other is not field:
                other.check()
        self._aside.children = ()
        if self._attending:
            wrong = wrong_of(self.fields)
            self._say(attention(wrong) if wrong else "", wrong=True)
            self._attending = bool(wrong)

    def _preview(self) -> None:
        order = self._try()
        if order is None:
            return
        try:
            frame = preview_frame(order.call.plan)
        except FastreqError as error:
            self._refuse(str(error))
            return
        self._say("")
        line = preview_line(frame.attrs["fastreq"]["summary"], order.call.plan.name)
        self._aside.children = (classed(widgets.HTML(_preview_html(frame, line)), "fastreq-preview"),)

    def _show_cell(self) -> None:
        if self._try() is None:
            return
        self._say("")
        copy = classed(widgets.Button(description="Copy", icon="copy", tooltip="Copy the cell"), "fastreq-copy")
        self._aside.children = (copy, widgets.HTML(_cell_html(self.cell)))
        # Where the page can, it inserts the cell below this one; elsewhere the user copies it.
        self._page.send({"kind": "cell", "text": self.cell})

    def _say(self, *lines: str, wrong: bool = False) -> None:
        self._attending = False
        kind = "fastreq-error" if wrong else "fastreq-told"
        markup = "".join(f"<div>{html.escape(one_line(line))}</div>" for line in lines if line)
        self._note.value = f'<div role="status" class="{kind}">{markup}</div>' if markup else ""

    def _make_buttons(self) -> list[Any]:
        buttons = [
            widgets.Button(description="Run", button_style="primary", icon="play", tooltip="Send the requests"),
            widgets.Button(description="Dry run", icon="eye", tooltip="Show what would be sent; nothing is sent"),
            widgets.Button(description="To cell", icon="code", tooltip="Show the cell that does the same"),
        ]
        buttons[2].add_class("fastreq-tocell")
        for button, action in zip(buttons, (self._press, self._preview, self._show_cell), strict=True):
            button.on_click(lambda _, act=action: act())
        return buttons


def _what_failed(run: Run) -> str | None:
    """Return why the run as a whole failed: a source that raised, or more failures than `check` tolerates."""
    try:
        run.raise_error()
        check_failures(run)
    except PartialFailureError as error:
        return f"Check: {len(error.failures):,} of {error.total:,} requests failed"
    except RunError as error:
        return one_line(str(error))
    return None


def _ended_line(run: Run, name: str | None) -> str:
    """Return a line with the number of rows, failures, and the variable that holds them."""
    rows, failed = run.progress.done, run.progress.failed
    count = show_count(rows, "row" if run.options.return_type in FRAMES else "answer")
    bad = f", {failed:,} of them failed" if failed and rows > 1 else ", which failed" if failed else ""
    cut = "Cancelled: " if run.state == "CANCELLED" else ""
    if name is None:
        return f"{cut}{count}{bad}. The rows are in last_run().df; a name under Variable would keep them."
    return f"{cut}{name} holds {count}{bad}."


def _preview_html(frame: Any, caption: str) -> str:
    """Return the caption and the first rows of a dry run as a table, without empty columns."""
    head = frame.head(_SHOWN_ROWS)
    columns = [name for name in head.columns if any(_cell(value) for value in head[name])]
    heads = "".join(f"<th scope=col>{html.escape(str(name))}</th>" for name in columns)
    rows = "".join(
        _row(label, values) for label, values in zip(head.index, zip(*(head[name] for name in columns), strict=True), strict=True)
    )
    more = len(frame) - len(head)
    rest = f"<p>and {more:,} more</p>" if more > 0 else ""
    heading = f'<div class="fastreq-caption" role="status">{html.escape(one_line(caption))}</div>'
    return f"{heading}<table><thead><tr><th></th>{heads}</tr></thead><tbody>{rows}</tbody></table>{rest}"


def _head_html(frame: Any, name: str | None) -> str:
    """Return the first rows of a run's frame as a table."""
    rows = len(frame)
    shown = min(rows, _HEAD_ROWS)
    return _preview_html(frame.iloc[:shown, :_HEAD_COLUMNS], f"{name or 'last_run().df'}: the first {shown} of {rows:,} rows")


def _cell_html(text: str) -> str:
    """Return the text of a cell, to be read and copied."""
    return f'<pre class="fastreq-cell" tabindex="0" aria-label="The same as a cell">{html.escape(text)}</pre>'


def _row(label: object, values: Iterable[Any]) -> str:
    cells = "".join(f"<td>{html.escape(_cell(value))}</td>" for value in values)
    return f"<tr><th scope=row>{html.escape(one_line(str(label), 40))}</th>{cells}</tr>"


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        value = ", ".join(f"{name}: {text}" for name, text in value.items())
    # Missing values are shown empty: None, NaN and those of pandas.
    missing = value is None or (isinstance(value, float) and isnan(value)) or type(value).__name__ in {"NAType", "NaTType"}
    return "" if missing else one_line(str(value), _SHOWN_CHARACTERS)
