"""The fields of the form, made from the table of options: their controls, what stands in and below them, and where they stand.

A control holds the text that a flag would take, so that form, line and function mean the same by construction. An empty
control means the default. The user alone writes into them: a trait that a running cell writes is lost on ipykernel 7.4.
How wide fields are is a matter of form.css, which outlives the kernel.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import ipywidgets as widgets

from fastreq_jupyter.cell import METHODS
from fastreq_jupyter.errors import FastreqError, OptionError, UsageError
from fastreq_jupyter.notebook.form.checks import (
    check_body,
    check_each,
    check_headers,
    check_lookup,
    check_option,
    check_requests,
    check_variable,
    label_of,
)
from fastreq_jupyter.notebook.monitor import built
from fastreq_jupyter.options import TABLE, Rate, header_pairs, refuse_unknown
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from fastreq_jupyter.options import Option

_GROUPS: Mapping[str, tuple[str, ...]] = {
    "Requests": ("Requests",),
    "More on speed and failures": ("Speed", "Failures"),
    "Results": ("Results",),
    "Transport": ("Transport",),
}
"""Heading in the form, in its order -> groups of the table."""
_HELPS = {
    "requests": "One URL a line, or the text of a %%fastreq cell. [1-40] counts, {{name}} is a variable of the notebook.",
    "name": "What the result is called in the notebook.",
    "ca": "certificates to trust in place of the usual ones",
    "headers": "Sent with each URL, one a line. A secret as {{$env NAME}}.",
    "data": "Sent with each URL as it stands, {{name}} filled in. <\u00a0./file.json alone sends a file.",
}
"""What stands below fields that are no option, or take more than its flag."""
_HINTS = {
    "requests": "https://host/path",
    "name": "e.g. orders",
    "ca": "e.g. ca.pem",
    "headers": "Accept: application/json\nAuthorization: Bearer {{$env TOKEN}}",
    "data": '{"id": {{id}}}',
}
_YES_NO = {"True": "yes", "False": "no"}
_HEIGHTS = {"requests": 4, "headers": 4, "data": 4, "each": 1}
_LONGEST = 300
_LONGEST_CONTENT = 1000
_TOP = ("method", "requests", "headers", "data", "each", "name")
_FIRST = {"Speed": ("concurrency", "rate_limit", "rate_limit_burst"), "Failures": ("max_retries", "timeout")}


def help_of(name: str) -> str:
    """Return what stands below a field."""
    text = _HELPS.get(name) or TABLE[name].help
    return text[0].upper() + text[1:]


def hint_of(name: str, base: object = None) -> str:
    """Return what an empty field shows: what it means when left empty, or an example."""
    row = TABLE.get(name)
    if row is None:
        return _HINTS[name]
    if base is not None and base != row.default:
        return str(base) if isinstance(base, (str, int, float, Rate)) and not row.secret else "set by %config"
    if row.lookup and not row.examples:
        return "name of a variable"
    return _HINTS.get(name) or row.default_text or (f"e.g. {row.examples[0]}" if row.examples else "")


class Field:
    """One field of the form.

    Args:
        name: The option, or ``requests``, ``name`` and ``ca``, which are none.
        control: The widget that holds the text of the flag, one of a few words, or a boolean.
        base: What the control holds when nothing was asked for.
        check: Gets the text; raises FastreqError, or returns a line of warning.

    Attributes:
        control: The widget; its ``value`` may be linked and observed.
        box: Control and message.
        problem: What is wrong, one line; None if nothing is known to be.
    """

    def __init__(self, name: str, control: Any, *, base: Any = "", check: Callable[[str], str | None] | None = None) -> None:
        self.name = name
        self.label = label_of(name)
        self.control = control
        self.base = base
        self.problem: str | None = None
        self._check = check
        self._help = widgets.HTML(help_of(name))
        self._help.add_class("fastreq-said")
        self.box = widgets.VBox([control, self._help])
        self.box.add_class("fastreq-field")
        self.box.add_class(f"fastreq-is-{name.replace('_', '-')}")
        self._tell()
        control.observe(lambda _: self.check(), names="value")

    @property
    def is_set(self) -> bool:
        """Tell whether the content differs from the default."""
        value = self.control.value
        return bool(value.strip()) if self._free else value != self.base

    @property
    def text(self) -> str:
        """Return the content of a field of text."""
        return str(self.control.value)

    def check(self) -> str | None:
        """Return what is wrong in one line, None if nothing, and show it below the control."""
        warning = None
        self.problem = None
        try:
            if self.is_set and self._check is not None and isinstance(self.control.value, str):
                warning = self._check(self.control.value)
        except FastreqError as error:
            self.problem = one_line(str(error), _LONGEST)
        self._tell(warning)
        return self.problem

    def fail(self, problem: str) -> None:
        """Show a problem that was found in the form as a whole."""
        self.problem = one_line(problem, _LONGEST)
        self._tell()

    @property
    def _free(self) -> bool:
        return isinstance(self.control.value, str) and not isinstance(self.control, widgets.Dropdown)

    def _tell(self, warning: str | None = None) -> None:
        text = self.problem or warning or help_of(self.name)
        role = 'role="alert" class="fastreq-error"' if self.problem else 'class="fastreq-warning"' if warning else 'class="fastreq-help"'
        markup = f"<span {role}>{html.escape(one_line(text, _LONGEST))}</span>"
        # Each change sends a message to the page.
        if markup != self._help.value:
            self._help.value = markup
            (self.box.add_class if self.problem else self.box.remove_class)("fastreq-wrong")


def make_fields(settings: Mapping[str, Any], namespace: Mapping[str, Any], first: Mapping[str, str | bool]) -> dict[str, Field]:
    """Return name -> field, in the order of the table.

    Args:
        settings: What %config set: what an empty field means.
        namespace: The notebook's variables.
        first: Field -> first content.
    """
    names = ["requests", "name", *(name for name, row in TABLE.items() if "panel" in row.doors), "ca"]
    fields: dict[str, Field] = {}
    for name in names:
        control, base = _control(name, settings.get(name), first.get(name))
        fields[name] = Field(name, control, base=base, check=_check(name, namespace, fields))
    return fields


def _control(name: str, setting: Any, first: Any) -> tuple[Any, Any]:
    """Return the control, and what it holds when nothing was asked for."""
    row = TABLE.get(name)
    base = setting if setting is not None else None if row is None else row.default
    # Sent when the field loses focus: a click on a button would otherwise miss the last letters.
    common = {"description": label_of(name), "continuous_update": False}
    if row is not None and row.choices:
        base = str(base)
        return _dropdown(row, base, base if first is None else str(first)), base
    if row is not None and isinstance(row.default, bool):
        return widgets.Checkbox(value=base if first is None else first, description=label_of(name), indent=False), base
    value = "" if first is None else str(first)
    if name in _HEIGHTS:
        control: Any = widgets.Textarea(value=value, placeholder=hint_of(name, setting), rows=_HEIGHTS[name], **common)
        control.add_class("fastreq-code")
    else:
        control = widgets.Text(value=value, placeholder=hint_of(name, setting), **common)
    return control, ""


def _dropdown(row: Option, base: str, value: str) -> Any:
    words = dict.fromkeys((*row.choices, *(METHODS if row.name == "method" else ()), base, value))
    return widgets.Dropdown(options=[(_YES_NO.get(word, word), word) for word in words], value=value, description=row.label)


def _check(name: str, namespace: Mapping[str, Any], fields: Mapping[str, Field]) -> Any:
    checks = {
        "requests": check_requests,
        "name": check_variable,
        "headers": check_headers,
        "data": lambda text: check_body(text, fields["headers"].text.split("\n")),
        "each": check_each(namespace),
    }
    if name in checks:
        return checks[name]
    return check_lookup(name, namespace) if name in ("auth", "session") else check_option(name, namespace)


def lay_out(fields: Mapping[str, Field], buttons: Sequence[Any], note: Any, page: Any) -> Any:
    """Return the card: the form's part in the page, request and Run, headers and body, source and variable, options."""
    top = [fields["method"].box, fields["requests"].box, classed(widgets.VBox(buttons), "fastreq-buttons")]
    more = classed(widgets.ToggleButton(description="All options", icon="sliders"), "fastreq-more")
    above = {*_TOP, *(name for names in _FIRST.values() for name in names)}
    folded = [(TABLE[name].group if name in TABLE else "Transport", field) for name, field in fields.items() if name not in above]
    rest = [_group(title, part) for title, groups in _GROUPS.items() if (part := [field for group, field in folded if group in groups])]
    parts = [
        page,
        classed(widgets.Box(top), "fastreq-top"),
        note,
        _row(fields[name] for name in ("headers", "data")),
        _row(fields[name] for name in ("each", "name")),
        classed(widgets.Box([_group(name, [fields[key] for key in names]) for name, names in _FIRST.items()]), "fastreq-groups"),
        more,
        classed(widgets.VBox(rest), "fastreq-rest"),
    ]
    return classed(widgets.VBox(parts), "fastreq-form")


def classed(widget: Any, name: str) -> Any:
    """Return the widget with a class for the style sheet."""
    widget.add_class(name)
    return widget


def _row(fields: Iterable[Field]) -> Any:
    return classed(widgets.Box([field.box for field in fields]), "fastreq-two")


def _group(title: str, fields: Iterable[Field]) -> Any:
    """Return a heading, fields, and below them, so that nothing stands beside a label, boxes to tick."""
    parts: tuple[list[Any], list[Any]] = ([], [])
    for field in fields:
        parts[isinstance(field.control, widgets.Checkbox)].append(field.box)
    head = classed(widgets.HTML(f'<div role="heading" aria-level="4">{title}</div>'), "fastreq-title")
    return classed(widgets.VBox([head, *(classed(widgets.Box(part), "fastreq-fields") for part in parts if part)]), "fastreq-group")


def first_contents(options: Mapping[str, Any], fields: Collection[str]) -> dict[str, str | bool]:
    """Return field -> content.

    Raises:
        OptionError: An option that does not exist, is not in the form, has a wrong value, or one that cannot be written.
    """
    contents: dict[str, str | bool] = {}
    for name, value in options.items():
        if name == "json":
            contents |= _json_body(value, options)
            continue
        if name not in TABLE:
            raise refuse_unknown(name, fields)
        if name not in fields:
            raise OptionError(f"{name} is not possible here: a form has no field for it")
        if value is None and name != "proxy":
            continue
        contents |= _verified(value) if name == "verify_ssl" else {name: _content(name, value)}
    return contents


def written_requests(requests: object) -> str:
    """Return URLs or the text of a cell as one text.

    Raises:
        UsageError: They are neither a text nor several.
    """
    if isinstance(requests, str):
        return requests
    lines = list(requests) if isinstance(requests, Iterable) and not isinstance(requests, (bytes, Mapping)) else [requests]
    if strange := next((line for line in lines if not isinstance(line, str)), None):
        raise UsageError(f"a form takes URLs or the text of a cell, not {type(strange).__name__}")
    return "\n".join(str(line) for line in lines)


def _content(name: str, value: Any) -> str | bool:
    row = TABLE[name]
    if name in ("auth", "session", "each"):
        return _named(name, value)
    if isinstance(value, str) and "{{" in value:
        return value
    checked = row.read(value)
    if name == "headers":
        return _header_lines(value)
    if isinstance(row.default, bool):
        return bool(checked)
    if isinstance(value, bool):
        return str(value) if name == "http2" or checked not in (None, False) else ""
    if not isinstance(value, (str, int, float, Path)):
        raise OptionError(f"{name} cannot be written in a form as {type(value).__name__}: give {row.allowed}")
    text = str(checked) if name == "method" else str(value)
    if len(text) > _LONGEST_CONTENT and name != "data":
        raise OptionError(f"{name} is too long for a form: at most {_LONGEST_CONTENT:,} characters")
    return text


def _named(name: str, value: Any) -> str:
    """Return what is looked up or evaluated in the notebook."""
    lines = value if name == "each" and isinstance(value, (list, tuple)) else [value]
    if not all(isinstance(line, str) for line in lines):
        expression = " or an expression" if name == "each" else ""
        raise OptionError(f"{name} takes the name of a notebook variable{expression} here, as text, not the {type(value).__name__} itself")
    return "\n".join(lines)


def _header_lines(value: Any) -> str:
    lines = value.split("\n") if isinstance(value, str) else value
    return "\n".join(f"{name}: {text}" for name, text in header_pairs(lines) or ())


def _verified(value: Any) -> dict[str, str | bool]:
    checked = TABLE["verify_ssl"].read(value)
    return {"verify_ssl": str(checked)} if isinstance(checked, bool) else {"ca": str(value)}


def _json_body(value: Any, options: Mapping[str, Any]) -> dict[str, str | bool]:
    if value is None:
        return {}
    if options.get("data") is not None:
        raise OptionError("json and data exclude each other: give one of them")
    try:
        body = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise OptionError(f"json cannot be written as {label_of('data')}: {error}") from None
    lines = [] if options.get("headers") is None else _header_lines(TABLE["headers"].read(options["headers"])).split("\n")
    if not any(line.lower().startswith("content-type:") for line in lines):
        lines.append("Content-Type: application/json")
    return {"data": body, "headers": "\n".join(lines)}


class Page(anywidget.AnyWidget):
    """The form's part in the page: its keys stay its own, it puts cells into the notebook, and without a kernel it says so."""

    _esm = built("form.js", "export default {}")
    _css = built("form.css", "")
