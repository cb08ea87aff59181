"""A field of the form: a control, and below it what it means or what is wrong with its content.

A control holds the text that a flag would take, so that form, line and function mean the same by construction. An empty
control means the default. The user alone writes into them: a trait that a running cell writes is lost on ipykernel 7.4.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from fastreq_jupyter.errors import FastreqError
from fastreq_jupyter.notebook.form.words import help_of, label_of
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Field"]

_LONGEST = 300


class Field:
    """Be one field of the form.

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
        self._said = widgets.HTML(help_of(name))
        self._said.add_class("fastreq-said")
        self.box = widgets.VBox([control, self._said])
        self.box.add_class("fastreq-field")
        self.box.add_class(f"fastreq-is-{name.replace('_', '-')}")
        self._tell()
        control.observe(lambda _: self.check(), names="value")

    @property
    def given(self) -> bool:
        """Tell whether it says something else than what holds anyway."""
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
            if self.given and self._check is not None and isinstance(self.control.value, str):
                warning = self._check(self.control.value)
        except FastreqError as error:
            self.problem = one_line(str(error), _LONGEST)
        self._tell(warning)
        return self.problem

    def fail(self, problem: str) -> None:
        """Show what is wrong, found by looking at the form as a whole."""
        self.problem = one_line(problem, _LONGEST)
        self._tell()

    @property
    def _free(self) -> bool:
        return isinstance(self.control.value, str) and not isinstance(self.control, widgets.Dropdown)

    def _tell(self, warning: str | None = None) -> None:
        text = self.problem or warning or help_of(self.name)
        role = 'role="alert" class="fastreq-error"' if self.problem else 'class="fastreq-warning"' if warning else 'class="fastreq-help"'
        said = f"<span {role}>{html.escape(one_line(text, _LONGEST))}</span>"
        # Each change is a message to the page.
        if said != self._said.value:
            self._said.value = said
            (self.box.add_class if self.problem else self.box.remove_class)("fastreq-wrong")
