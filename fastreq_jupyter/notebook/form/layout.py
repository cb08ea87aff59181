"""Where the fields of the form stand. How wide they are is a matter of form.css, which outlives the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from fastreq_jupyter.notebook.form.page import FormPage
from fastreq_jupyter.notebook.form.words import GROUPS
from fastreq_jupyter.options import TABLE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from fastreq_jupyter.notebook.form.form import Field

__all__ = ["classed", "is_folded", "lay_out"]

_TOP = ("method", "requests", "headers", "data", "each", "name")
_FIRST = {"Speed": ("concurrency", "rate_limit", "rate_limit_burst"), "Failures": ("max_retries", "timeout")}


def lay_out(fields: Mapping[str, Field], buttons: Sequence[Any], note: Any) -> Any:
    """Return the card: request and Run, headers and body, source and variable, the usual options, and all others."""
    top = [fields["method"].box, fields["requests"].box, classed(widgets.VBox(buttons), "fastreq-buttons")]
    more = classed(widgets.ToggleButton(description="All options", icon="sliders"), "fastreq-more")
    parts = [
        FormPage(),
        classed(widgets.Box(top), "fastreq-top"),
        note,
        _row(fields[name] for name in ("headers", "data")),
        _row(fields[name] for name in ("each", "name")),
        classed(widgets.Box([_group(name, [fields[one] for one in names]) for name, names in _FIRST.items()]), "fastreq-groups"),
        more,
        classed(
            widgets.VBox([_group(title, found) for title, groups in GROUPS.items() if (found := _others(fields, groups))]), "fastreq-rest"
        ),
    ]
    return classed(widgets.VBox(parts), "fastreq-form")


def is_folded(name: str) -> bool:
    """Tell whether a field stands under "All options"."""
    return name not in _TOP and not any(name in names for names in _FIRST.values())


def classed(widget: Any, name: str) -> Any:
    """Return the widget with a class for the style sheet."""
    widget.add_class(name)
    return widget


def _row(fields: Iterable[Field]) -> Any:
    return classed(widgets.Box([field.box for field in fields]), "fastreq-two")


def _others(fields: Mapping[str, Field], groups: Collection[str]) -> list[Field]:
    return [field for name, field in fields.items() if is_folded(name) and (TABLE[name].group if name in TABLE else "Transport") in groups]


def _group(title: str, fields: Iterable[Field]) -> Any:
    """Return a heading, fields, and below them, so that nothing stands beside a label, boxes to tick."""
    parts: tuple[list[Any], list[Any]] = ([], [])
    for field in fields:
        parts[isinstance(field.control, widgets.Checkbox)].append(field.box)
    head = classed(widgets.HTML(f'<div role="heading" aria-level="4">{title}</div>'), "fastreq-title")
    return classed(widgets.VBox([head, *(classed(widgets.Box(part), "fastreq-fields") for part in parts if part)]), "fastreq-group")
