"""The words of a magic's line that say what a field says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastreq_jupyter.notebook.form.cell import quoted
from fastreq_jupyter.options import TABLE

if TYPE_CHECKING:
    from fastreq_jupyter.notebook.form.form import Field

__all__ = ["field_words"]


def field_words(field: Field) -> list[str]:
    """Return the words, none where the field says what holds anyway."""
    if not field.given:
        return []
    if field.name in ("headers", "each"):
        flag = "-H" if field.name == "headers" else "--each"
        return [word for line in field.text.split("\n") if line.strip() for word in (flag, quoted(line.strip()))]
    if field.name == "ca":
        return ["--ca", quoted(field.text.strip())]
    row, text = TABLE[field.name], str(field.control.value).strip()
    switch = next((flag for flag, meant in row.switches.items() if str(meant) == text), None)
    if switch is not None:
        return [switch]
    flag = next(iter(row.flags), row.long_flag)
    # Alone it would be the switch, and its value another word; as it would be where the option is a boolean.
    if row.switches:
        return [f"{row.long_flag}={quoted(text)}"]
    return [flag, quoted(text)]
