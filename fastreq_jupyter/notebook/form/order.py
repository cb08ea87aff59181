"""The fields of the form as an order: checked one by one, written as a cell, and read again as a cell is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastreq_jupyter.cell import parse_line
from fastreq_jupyter.errors import FastreqError, UsageError
from fastreq_jupyter.notebook.config import changed_options
from fastreq_jupyter.notebook.form.answers import attention
from fastreq_jupyter.notebook.form.blame import ABOVE, blame
from fastreq_jupyter.notebook.form.cell import BodyError, CellText, cell_text
from fastreq_jupyter.notebook.form.line import field_words
from fastreq_jupyter.notebook.form.words import label_of
from fastreq_jupyter.notebook.order import Order, draft
from fastreq_jupyter.notebook.show import shell
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastreq_jupyter.notebook.form.form import Field

__all__ = ["blamed", "cell_of", "make_order", "settings", "wrong_of"]

_NO_FLAGS = frozenset({"requests", "name", "method", "data"})


def make_order(fields: Mapping[str, Field], namespace: Mapping[str, Any]) -> Order:
    """Return what the form asks for; nothing is sent. What is wrong is shown beside its field.

    Raises:
        UsageError: One line.
    """
    for field in fields.values():
        field.check()
    if not fields["requests"].given:
        fields["requests"].fail(f"{label_of('requests')}: write a URL, or the text of a cell")
    written = _checked_text(fields)
    wrong = wrong_of(fields)
    if wrong or written is None:
        raise UsageError((wrong[0].problem or "") if len(wrong) == 1 else attention(wrong))
    try:
        line = parse_line(_line(fields, written), cell=True)
        text = "\n" * (ABOVE - 2) + written.text
        return draft(line, text, options=settings(), namespace=namespace, outer={}, first_line=ABOVE - 1).order()
    except FastreqError as error:
        raise blamed(error, fields) from None


def cell_of(fields: Mapping[str, Field]) -> str:
    """Return the ``%%fastreq`` cell that says the same as the fields.

    Raises:
        BodyError: The body cannot go with these requests.
    """
    written = _text(fields)
    return f"{f'%%fastreq {_line(fields, written)}'.rstrip()}\n{written.text.strip(chr(10))}"


def blamed(error: FastreqError, fields: Mapping[str, Field]) -> UsageError:
    """Show an error beside its field, and return it in the form's words."""
    texts = {name: field.text for name, field in fields.items() if isinstance(field.control.value, str) and field.given}
    name, message = blame(error, _text(fields), texts)
    if name is not None and name in fields:
        fields[name].fail(message)
    return UsageError(one_line(message))


def wrong_of(fields: Mapping[str, Field]) -> list[Field]:
    """Return the fields that are known to be wrong."""
    return [field for field in fields.values() if field.problem is not None]


def settings() -> dict[str, Any]:
    """Return what %config set, as for the magics."""
    found = shell()
    magics = [] if found is None else [one for one in found.configurables if type(one).__name__ == "Fastreq"]
    return dict(changed_options(magics[0])) if magics else {}


def _checked_text(fields: Mapping[str, Field]) -> CellText | None:
    try:
        return _text(fields)
    except BodyError as error:
        if (body := fields["data"]).problem is None:
            body.fail(f"{body.label}{', ' if str(error).startswith('line ') else ': '}{error}")
        return None


def _text(fields: Mapping[str, Field]) -> CellText:
    return cell_text(fields["requests"].text, fields["method"].text, fields["data"].text, fields["headers"].text.split("\n"))


def _line(fields: Mapping[str, Field], written: CellText) -> str:
    words = [fields["name"].text.strip(), *written.flags]
    for name, field in fields.items():
        if name not in _NO_FLAGS:
            words += field_words(field)
    return " ".join(word for word in words if word)
