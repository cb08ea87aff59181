"""The form: choose what is sent and how, run it, and have the same as a cell.

What runs is what "To cell" shows: the form is written as a magic's line and a cell's text, and these are read again.
"""

from __future__ import annotations

import html
from threading import Thread
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from fastreq_jupyter.bridge import start
from fastreq_jupyter.cell.line import parse_line
from fastreq_jupyter.errors import FastreqError, UsageError
from fastreq_jupyter.notebook.config import changed_options
from fastreq_jupyter.notebook.form import LABELS, Field, make_field
from fastreq_jupyter.notebook.form_cell import cell_line, cell_text, check_requests
from fastreq_jupyter.notebook.form_page import FormPage
from fastreq_jupyter.notebook.html import html_summary, text_summary
from fastreq_jupyter.notebook.monitor import Monitor
from fastreq_jupyter.notebook.order import Order, finished, order_steps
from fastreq_jupyter.options import TABLE
from fastreq_jupyter.preview import preview, preview_line

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from fastreq_jupyter.engine.run import Run

__all__ = ["Panel"]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
FIRST = ("backend", "concurrency", "rate_limit", "rate_limit_burst", "max_retries", "timeout")
_OWN = frozenset({"method", "headers", "data", "each"})
# The panel runs in the background, shows its own progress, and has a button for a dry run.
_NOT_HERE = frozenset({"dry_run", "background", "progress", "loop"})
_SHOWN_ROWS = 50
_GRID = "repeat(auto-fit, minmax(290px, 1fr))"
_CARD = {"border": "1px solid var(--jp-border-color2, #ddd)", "padding": "10px 12px", "overflow": "visible"}
_WIDE = {"width": "auto"}
_NOTE = '<div role="status" style="padding:2px 0;{}">{}</div>'
_WRONG = "color:var(--jp-error-color1,#b92318)"


class Panel(widgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Send requests from a form; below it the run is shown live.

    Args:
        requests: URLs, one a line, or the text of a ``%%fastreq`` cell.
        name: Variable that the frame goes to.
        namespace: Where variables are looked up and assigned; the notebook's by default.
        **options: First content of the form's controls, as flags would take it.

    Attributes:
        fields: Option -> its field; ``panel.fields["concurrency"].control`` is an ordinary ipywidgets control.
        run: The newest run started here, or None.
    """

    def __init__(self, requests: str = "", name: str = "", *, namespace: MutableMapping[str, Any] | None = None, **options: Any) -> None:
        self.run: Run | None = None
        self._namespace = _variables() if namespace is None else namespace
        self.fields: dict[str, Field] = _fields()
        self.method = widgets.Combobox(value="GET", options=METHODS, ensure_option=False, description="method", layout=_WIDE, style=LABELS)
        self.requests = _area(requests, "https://host/path\none URL a line, or the text of a %%fastreq cell", rows=5)
        self.body = _area("", "sent with each URL", rows=3)
        self.name = widgets.Text(value=name, description="variable", placeholder="df", layout=_WIDE, style=LABELS)
        self._note = widgets.HTML()
        self._below = widgets.VBox()
        self._summaries: list[Any] = []
        for option, value in options.items():
            self.fields[option].control.value = value
        form = widgets.VBox([FormPage(), *self._form(), self._buttons(), self._note], layout=_CARD)
        form.add_class("fastreq-form")
        super().__init__([form, self._below], layout={"overflow": "visible"})
        self.add_class("fastreq-panel")

    def _ipython_display_(self) -> None:
        """Show the form, and below it keep a place for the summary of its newest run."""
        from IPython.display import display  # noqa: PLC0415 - asked for where it is shown

        display({**self._repr_mimebundle_(), "text/plain": "<form for requests>"}, raw=True)  # type: ignore[no-untyped-call]
        place = display({"text/plain": ""}, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        if place is not None:
            self._summaries.append(place)

    @property
    def df(self) -> Any:
        """Return the frame of the newest run at this moment, None before the first."""
        return None if self.run is None else self.run.df

    @property
    def line(self) -> str:
        """Return the magic's line that says the same as the form."""
        return cell_line(self.name.value, self.method.value, self.body.value, self.fields)

    @property
    def cell(self) -> str:
        """Return the ``%%fastreq`` cell that does the same as the form."""
        return f"{f'%%fastreq {self.line}'.rstrip()}\n{self._text()}"

    def order(self) -> Order:
        """Return what the form asks for, checked; nothing is sent.

        Raises:
            FastreqError: One line.
        """
        wrong = [problem for field in self.fields.values() if (problem := field.check()) is not None]
        if wrong:
            raise UsageError(wrong[0])
        check_requests(self.requests.value, self.body.value, self.name.value)
        line = parse_line(self.line, cell=True)
        return finished(order_steps(line, self._text(), options=_settings(), namespace=self._namespace, outer={}, first_line=2))

    def start(self) -> Run | None:
        """Start a run in the background and show it below; None where the form is wrong, which is said beside the field."""
        order = self._try()
        if order is None:
            return None
        try:
            run = start(order.call.launch, loop="thread")
        except FastreqError as error:
            self._say(html.escape(str(error)), wrong=True)
            return None
        self._say("")
        self._adopt(run)
        self._below.children = (Monitor(run, on_retry=self._adopt),)
        return run

    def _text(self) -> str:
        return cell_text(self.requests.value, self.method.value, self.body.value)

    def _adopt(self, run: Run) -> str:
        """Make a run the panel's own: its frame goes to the variable when it has ended; return where it will be."""
        self.run = run
        name = self.name.value.strip()
        # On a thread of its own: a large frame would stall the loop that other runs live on.
        run.finished.add_done_callback(lambda _: Thread(target=self._conclude, args=(name, run), daemon=True).start())
        return f"all rows are in {name or 'last_run().df'}"

    def _conclude(self, name: str, run: Run) -> None:
        """Assign the frame, and leave a summary for pages without widgets."""
        if name:
            self._namespace[name] = run.df
            self._say(f"<b>{html.escape(name)}</b> holds the {run.progress.done:,} rows.")
        if run is self.run and self._summaries:
            bundle = {"text/html": html_summary(run), "text/plain": text_summary(run)}
            for place in self._summaries:
                place.update(bundle, raw=True)

    def _try(self) -> Order | None:
        try:
            return self.order()
        except FastreqError as error:
            self._say(html.escape(str(error)), wrong=True)
            return None

    def _preview(self) -> None:
        order = self._try()
        if order is None:
            return
        try:
            frame = preview(order.call.plan)
        except FastreqError as error:
            self._say(html.escape(str(error)), wrong=True)
            return
        self._say(html.escape(preview_line(frame.attrs["fastreq"]["summary"], self.name.value or None)))
        table = frame.head(_SHOWN_ROWS).to_html(escape=True, na_rep="", max_rows=_SHOWN_ROWS)
        self._below.children = (widgets.HTML(f'<div class="jp-RenderedHTMLCommon" style="overflow:auto">{table}</div>'),)

    def _show_cell(self) -> None:
        if self._try() is None:
            return
        text = self.cell
        self._say("This cell does the same; copy it into the notebook.")
        area = _area(text, "", rows=min(20, text.count("\n") + 2))
        area.add_class("jp-mod-readonly")
        self._below.children = (area,)

    def _say(self, text: str, *, wrong: bool = False) -> None:
        self._note.value = _NOTE.format(_WRONG if wrong else "", text) if text else ""

    def _form(self) -> list[Any]:
        for area in (self.requests, self.body):
            area.observe(lambda _: self._say(""), names="value")
        top = _grid([self.method, self.name, self.fields["each"].box])
        texts = widgets.GridBox(
            [_titled("Headers", self.fields["headers"].box), _titled("Body", self.body)],
            layout={"grid_template_columns": _GRID, "grid_gap": "0 12px"},
        )
        return [top, _titled("Requests", self.requests), texts, _grid([self.fields[name].box for name in FIRST]), self._more()]

    def _more(self) -> Any:
        """Return all other options, by group, folded up."""
        groups: dict[str, list[Any]] = {}
        for name, field in self.fields.items():
            if name not in FIRST and name not in _OWN:
                groups.setdefault(field.row.group, []).append(field.box)
        tabs = widgets.Tab([_grid(boxes) for boxes in groups.values()], titles=list(groups))
        return widgets.Accordion([tabs], titles=["All options"], selected_index=None)

    def _buttons(self) -> Any:
        buttons = [
            widgets.Button(description="Run", button_style="primary", icon="play", tooltip="Send the requests"),
            widgets.Button(description="Dry run", icon="eye", tooltip="Show what would be sent; nothing is sent"),
            widgets.Button(description="To cell", icon="code", tooltip="Show the cell that does the same"),
        ]
        for button, action in zip(buttons, (self.start, self._preview, self._show_cell), strict=True):
            button.on_click(lambda _, act=action: act())
        return widgets.HBox(buttons, layout={"padding": "4px 0", "flex_flow": "row wrap"})


def _fields() -> dict[str, Field]:
    fields = {name: make_field(name) for name, row in TABLE.items() if "panel" in row.doors and name not in _NOT_HERE | {"data", "method"}}
    headers = _area("", "Name: value\nAuthorization: Bearer {{$env TOKEN}}", rows=3)
    each = widgets.Textarea(placeholder="table, Series, list or range", description="each", rows=1, layout=_WIDE, style=LABELS)
    return fields | {"headers": Field(TABLE["headers"], headers), "each": Field(TABLE["each"], each)}


def _area(value: str, hint: str, *, rows: int) -> Any:
    area = widgets.Textarea(value=value, placeholder=hint, rows=rows, layout=_WIDE)
    area.add_class("jp-code-font")
    return area


def _titled(title: str, content: Any) -> Any:
    return widgets.VBox([widgets.Label(title), content], layout={"overflow": "visible"})


def _grid(children: list[Any]) -> Any:
    return widgets.GridBox(children, layout={"grid_template_columns": _GRID, "grid_gap": "2px 12px", "overflow": "visible"})


def _shell() -> Any:
    from IPython.core.getipython import get_ipython  # noqa: PLC0415 - asked for at run time, a panel may be made without a shell

    return get_ipython()


def _variables() -> MutableMapping[str, Any]:
    shell = _shell()
    variables: MutableMapping[str, Any] = {} if shell is None else shell.user_ns
    return variables


def _settings() -> dict[str, Any]:
    """Return what %config set, as for the magics."""
    shell = _shell()
    magics = [] if shell is None else [one for one in shell.configurables if type(one).__name__ == "Fastreq"]
    return dict(changed_options(magics[0])) if magics else {}
