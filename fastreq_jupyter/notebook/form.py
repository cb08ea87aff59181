"""Controls made from the table of options, and the words of a magic's line made from what they hold.

A control holds the text that a flag would take, so that form, line and function mean the same by construction. An empty
control means the default. The user alone writes into them: a trait that a running cell writes is lost on ipykernel 7.4.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from fastreq_jupyter.cell.each import EachSpec
from fastreq_jupyter.errors import FastreqError, OptionError, UsageError
from fastreq_jupyter.options import TABLE
from fastreq_jupyter.redact import is_secret_header, redact_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fastreq_jupyter.option import Option

__all__ = ["INSTEAD", "LABELS", "LOOKED_UP", "Field", "make_field", "quoted"]

LOOKED_UP = frozenset({"auth", "session"})
"""Options that take the name of a notebook variable."""
LABELS = {"description_width": "142px"}
_PLAIN = re.compile(r"[\w./:@%+,=~-]+")
_NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_ERROR = '<span role="alert" style="color:var(--jp-error-color1,#b92318);line-height:1.3;display:block">{}</span>'
_SHOWN = {None: "", (): ""}
INSTEAD = "write {{$env NAME}} or {{$secret NAME}} in its place: this form is kept in the notebook"


class Field:
    """Be one option in the form: a control, and beside it what is wrong with its content.

    Args:
        row: The option.
        control: The widget that holds the text of the flag, or a boolean.

    Attributes:
        control: The widget; its ``value`` may be linked and observed.
        box: Control and error.
    """

    def __init__(self, row: Option, control: Any) -> None:
        self.row = row
        self.control = control
        self._error = widgets.HTML(layout=widgets.Layout(display="none"))
        self.box = widgets.VBox([control, self._error], layout=widgets.Layout(overflow="visible"))
        control.observe(lambda _: self.check(), names="value")

    @property
    def given(self) -> bool:
        """Tell whether it holds something else than the default."""
        value = self.control.value
        return value != self.row.default if isinstance(value, bool) else value.strip() not in ("", self._default_word())

    def words(self) -> list[str]:
        """Return the words of a magic's line that say the same, none for the default."""
        if not self.given:
            return []
        value = self.control.value
        if isinstance(value, bool):
            return [next(flag for flag, meant in self.row.switches.items() if meant is value)]
        flag = next(iter(self.row.flags), self.row.long_flag)
        if flag in self.row.switches:
            # Alone it would be the switch, and its value another word.
            return [f"{flag}={quoted(text)}" for text in self._texts()]
        return [word for text in self._texts() for word in (flag, quoted(text))]

    def check(self) -> str | None:
        """Return what is wrong in one line, None if nothing, and show it beside the control."""
        try:
            if self.given:
                self._read()
            problem = None
        except FastreqError as error:
            problem = str(error)
        self._error.value = "" if problem is None else _ERROR.format(html.escape(problem))
        self._error.layout.display = "none" if problem is None else "block"
        return problem

    def _default_word(self) -> str:
        default = self.row.default
        return _SHOWN[default] if default in _SHOWN else str(default)

    def _texts(self) -> list[str]:
        """Return the flag's values: a line each where the flag may be repeated."""
        value = self.control.value.strip()
        repeated = self.row.name in ("headers", "each")
        return [line.strip() for line in value.splitlines() if line.strip()] if repeated else [value]

    def _read(self) -> None:
        """Check as the option does.

        Raises:
            FastreqError: One line.
        """
        name, value = self.row.name, self.control.value
        if isinstance(value, bool):
            return
        texts = self._texts()
        if name in LOOKED_UP:
            if not _NAME.fullmatch(texts[0]):
                raise OptionError(f"{name} takes the name of a notebook variable, never the secret itself")
        elif name == "each":
            for text in texts:
                EachSpec.parse(text)
        elif name == "headers":
            _check_headers(self.row, texts)
        else:
            if self.row.secret and redact_url(texts[0]) != texts[0] and "{{" not in texts[0]:
                raise UsageError(f"{name} holds a secret: {INSTEAD}")
            self.row.read(texts[0])


def make_field(name: str, **layout: Any) -> Field:
    """Return the field of an option: a check box, a choice, or a line of text."""
    row = TABLE[name]
    # A grid cell as wide as it gets; the label above, so that nothing is cut.
    common = {"layout": widgets.Layout(width="auto", **layout), "tooltip": row.help}
    if isinstance(row.default, bool) and row.switches.keys() - {"-k"}:
        control: Any = widgets.Checkbox(value=row.default, description=_label(name), indent=False, **common)
    elif choices := _choices(row):
        control = widgets.Dropdown(options=choices, value=row.default, description=_label(name), **common)
    else:
        control = widgets.Text(description=_label(name), placeholder=_hint(row), continuous_update=False, **common)
    control.style = LABELS
    return Field(row, control)


def quoted(text: str) -> str:
    """Return a text as one word of a magic's line."""
    if _PLAIN.fullmatch(text):
        return text
    if "'" not in text:
        return f"'{text}'"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _label(name: str) -> str:
    return name.replace("_", " ").replace("ssl", "TLS").replace("http2", "HTTP/2")


def _hint(row: Option) -> str:
    """Return the default, or an example where there is none."""
    if row.name in LOOKED_UP:
        return "name of a variable"
    if row.default not in _SHOWN:
        return str(row.default)
    example = re.search("[\"']([^\"']+)[\"']", row.allowed)
    return f"e.g. {example[1]}" if example else "none"


def _choices(row: Option) -> list[str]:
    """Return the words that the option allows, if these are all it allows."""
    words = re.split(r",\s*|\s+or\s+", row.allowed)
    return words if len(words) > 1 and row.default in words and all(_reads(row.read, word) for word in words) else []


def _reads(read: Callable[[object], Any], word: str) -> bool:
    try:
        return bool(read(word) == word)
    except OptionError:
        return False


def _check_headers(row: Option, lines: Iterable[str]) -> None:
    for line in lines:
        row.read(line)
        name, _, value = line.partition(":")
        if is_secret_header(name.strip()) and "{{" not in value:
            raise UsageError(f"{name.strip()} holds a secret: {INSTEAD}")
