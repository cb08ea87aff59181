"""The fields of the form, made from the table of options: which control each gets, and what it holds when empty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from fastreq_jupyter.cell import METHODS
from fastreq_jupyter.notebook.form.checks import (
    check_body,
    check_each,
    check_headers,
    check_lookup,
    check_option,
    check_requests,
    check_variable,
)
from fastreq_jupyter.notebook.form.form import Field
from fastreq_jupyter.notebook.form.words import hint_of, label_of
from fastreq_jupyter.options import BACKENDS, RETURN_TYPES, TABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["make_fields"]

_USUAL = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_YES_NO = (("yes", "True"), ("no", "False"))
_CHOICES: Mapping[str, Any] = {
    "backend": BACKENDS,
    "return_type": RETURN_TYPES,
    "http2": (("auto", "auto"), *_YES_NO),
    "verify_ssl": _YES_NO,
    "method": tuple(dict.fromkeys((*_USUAL, *METHODS))),
}
_ROWS = {"requests": 4, "headers": 4, "data": 4, "each": 1}
# The panel runs in the background, shows its own progress, and has a button for a dry run.
_NOT_HERE = frozenset({"dry_run", "background", "progress", "loop"})


def make_fields(settings: Mapping[str, Any], namespace: Mapping[str, Any], first: Mapping[str, str | bool]) -> dict[str, Field]:
    """Return name -> field, in the order of the table.

    Args:
        settings: What %config set: what an empty field means.
        namespace: The notebook's variables.
        first: Field -> first content.
    """
    names = ["requests", "name", *(name for name, row in TABLE.items() if "panel" in row.doors and name not in _NOT_HERE), "ca"]
    fields: dict[str, Field] = {}
    for name in names:
        control, base = _control(name, settings.get(name), first.get(name))
        fields[name] = Field(name, control, base=base, check=_check(name, namespace, fields))
    return fields


def _control(name: str, setting: Any, first: Any) -> tuple[Any, Any]:
    """Return the control, and what it holds when nothing was asked for."""
    row = TABLE.get(name)
    base = setting if setting is not None else None if row is None else row.default
    # Sent when the field is left: a click on a button that overtook the last letters would run without them.
    common = {"description": label_of(name), "continuous_update": False}
    if name in _CHOICES:
        base = str(base)
        return _dropdown(name, base, base if first is None else str(first)), base
    if row is not None and isinstance(row.default, bool):
        return widgets.Checkbox(value=base if first is None else first, description=label_of(name), indent=False), base
    value = "" if first is None else str(first)
    if name in _ROWS:
        control: Any = widgets.Textarea(value=value, placeholder=hint_of(name, setting), rows=_ROWS[name], **common)
        control.add_class("fastreq-code")
    else:
        control = widgets.Text(value=value, placeholder=hint_of(name, setting), **common)
    return control, ""


def _dropdown(name: str, base: str, value: str) -> Any:
    options = _CHOICES[name]
    known = {one if isinstance(one, str) else one[1] for one in options}
    more = tuple(one for one in dict.fromkeys((base, value)) if one not in known)
    return widgets.Dropdown(options=(*options, *more), value=value, description=label_of(name))


def _check(name: str, namespace: Mapping[str, Any], fields: Mapping[str, Field]) -> Any:
    own = {
        "requests": check_requests,
        "name": check_variable,
        "headers": check_headers,
        "data": lambda text: check_body(text, fields["headers"].text.split("\n")),
        "each": check_each(namespace),
    }
    if name in own:
        return own[name]
    return check_lookup(name, namespace) if name in ("auth", "session") else check_option(name, namespace)
