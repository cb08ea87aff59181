"""Checks of single fields of the form: each gets the text, raises one line with the field's label, or returns a warning."""

from __future__ import annotations

import ast
import builtins
from difflib import get_close_matches
from keyword import iskeyword
from typing import TYPE_CHECKING

from fastreq_jupyter.cell import EachSpec, parse
from fastreq_jupyter.errors import CellSyntaxError, OptionError, UsageError
from fastreq_jupyter.notebook.form.json_text import json_problem
from fastreq_jupyter.notebook.form.secrets import FILLED, secret_in_body, secret_in_header, secret_in_url, secrets_of_cell
from fastreq_jupyter.notebook.form.words import INSTEAD, allowed_of, label_of, labelled
from fastreq_jupyter.options import TABLE, verify_value
from fastreq_jupyter.redact import one_line
from fastreq_jupyter.selection import check_expression

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

__all__ = [
    "check_body",
    "check_each",
    "check_headers",
    "check_lookup",
    "check_option",
    "check_requests",
    "check_variable",
    "content_type",
    "filled",
    "refuse_secrets",
]

_LONGEST = 10_000
_LONGEST_NAME = 200
_QUOTES = "\"'"


def check_variable(text: str) -> str | None:
    """Check the name of the variable; warn where it hides a name of Python or IPython."""
    name = text.strip()
    if not name.isidentifier() or iskeyword(name) or len(name) > _LONGEST_NAME:
        raise UsageError(f"{label_of('name')}: this is no name of a Python variable: letters, digits and _, not beginning with a digit")
    if hasattr(builtins, name) or name in ("In", "Out", "exit", "quit", "get_ipython", "display"):
        return f"{name} is a name of Python itself, which the notebook loses until it is restarted"
    return None


def check_requests(text: str) -> None:
    """Check that the text can be read, and holds no secret."""
    label = label_of("requests")
    try:
        cell = parse(text)
    except CellSyntaxError as error:
        raise UsageError(f"{label}, line {error.line}: {without_excerpt(error.message)}") from None
    for line, place in secrets_of_cell(cell):
        if line is None:
            line = next((number for number, one in enumerate(text.split("\n"), 1) if secret_in_url(one)), 1)  # noqa: PLW2901 - the place of a URL alone
        raise UsageError(f"{label}, line {line}: {place} holds a secret: {INSTEAD}")


def check_headers(text: str) -> None:
    """Check each field line; a secret must be a placeholder."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{label_of('headers')}, line {number}"
        try:
            TABLE["headers"].check(line.strip())
        except (TypeError, ValueError) as error:
            raise UsageError(f"{where}: {error}: write Name: value") from None
        name, _, value = line.partition(":")
        if secret_in_header(name.strip(), filled(value)):
            raise UsageError(f"{where}: {one_line(name.strip(), 60)} holds a secret: {INSTEAD}")


def check_body(text: str, headers: Sequence[str]) -> str | None:
    """Check that a body holds no secret, and is JSON where the headers say so; hint at a missing Content-Type."""
    label, kind = label_of("data"), content_type(headers)
    if secret_in_body(filled(text), kind):
        raise UsageError(f"{label}: it holds a secret: {INSTEAD}")
    if kind is None:
        if text.lstrip()[:1] in ("{", "[") and json_problem(text) is None:
            return "This looks like JSON: servers that ask for it want Content-Type: application/json under Headers."
        return None
    name = kind.partition(";")[0].strip().lower()
    if name.endswith(("/json", "+json")) and not text.lstrip().startswith("< ") and (problem := json_problem(text)):
        raise UsageError(f"{label}, {problem}")
    return None


def check_lookup(name: str, namespace: Mapping[str, Any]) -> Callable[[str], None]:
    """Return the check of an option that takes the name of a variable; its text may be a secret typed in its place."""

    def check(text: str) -> None:
        if text.strip() not in namespace:
            meant = "; never write the secret itself" if name == "auth" else ""
            raise UsageError(f"{label_of(name)}: the notebook has no variable of that name{meant}")

    return check


def check_each(namespace: Mapping[str, Any]) -> Callable[[str], None]:
    """Return the check of the sources: expressions of Python, and names that are there."""

    def check(text: str) -> None:
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                _check_source(line.strip(), f"{label_of('each')}, line {number}" if "\n" in text.strip() else label_of("each"), namespace)

    return check


def check_option(name: str, namespace: Mapping[str, Any]) -> Callable[[str], None]:
    """Return the check of any other option, which never repeats what was written."""
    row = TABLE.get(name)
    option = verify_value if row is None else row.check

    def check(text: str) -> None:
        text = text.strip()
        if not text.isprintable() or len(text) > _LONGEST:
            raise UsageError(f"{label_of(name)}: give {allowed_of(name)}, in one line")
        # Filled when it runs, and checked then.
        if "{{" in text or (name == "cert" and text in namespace) or (row is not None and text in map(str, row.switches.values())):
            return
        if row is not None and row.secret and secret_in_url(text):
            raise UsageError(f"{label_of(name)}: it holds a secret: {INSTEAD}")
        try:
            option(text)
            if name in ("select", "expand"):
                check_expression(text, name)
        except OptionError as error:
            raise UsageError(f"{label_of(name)}: {without_excerpt(str(error).partition('=')[2])}") from None
        except (TypeError, ValueError, OverflowError) as error:
            why = f"{error}: " if isinstance(error, TypeError) and str(error) else ""
            raise UsageError(f"{label_of(name)}: {why}give {allowed_of(name)}") from None

    return check


def filled(text: str) -> str:
    """Return a text with `FILLED` in place of its placeholders."""
    parts, start = [], 0
    while (begin := text.find("{{", start)) >= 0 and (end := text.find("}}", begin)) >= 0:
        parts += [text[start:begin], FILLED]
        start = end + 2
    return "".join([*parts, text[start:]])


def content_type(headers: Sequence[str]) -> str | None:
    """Return the Content-Type among field lines, None where there is none."""
    for line in headers:
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-type":
            return value.strip()
    return None


def without_excerpt(message: str) -> str:
    """Return a message that begins with what was written in quotes with "this" in its place: it may be a secret."""
    quote = message[:1]
    if not quote or quote not in _QUOTES:
        return message
    end = 1
    while end < len(message) and message[end] != quote:
        end += 2 if message[end] == "\\" else 1
    return "this" + message[end + 1 :]


def _check_source(text: str, where: str, namespace: Mapping[str, Any]) -> None:
    try:
        expression = EachSpec.parse(text).expression
    except OptionError as error:
        raise UsageError(labelled(str(error))) from None
    try:
        tree = ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UsageError(f"{where}: this is neither a variable nor an expression of Python") from None
    if isinstance(tree, ast.Name) and tree.id not in namespace and not hasattr(builtins, tree.id):
        near = get_close_matches(tree.id, [name for name in namespace if not name.startswith("_")], n=1, cutoff=0.6)
        hint = f": did you mean {near[0]}?" if near else ""
        raise UsageError(one_line(f"{where}: the notebook has no variable {one_line(tree.id, 60)}{hint}"))


def refuse_secrets(contents: Mapping[str, str | bool]) -> None:
    """Refuse first contents with a secret, before a widget holds them.

    Raises:
        UsageError: One line.
    """
    texts = {name: text for name, text in contents.items() if isinstance(text, str)}
    headers = texts.get("headers", "").split("\n")
    checks: Mapping[str, Callable[[str], object]] = {
        "requests": check_requests,
        "headers": check_headers,
        "data": lambda text: check_body(text, headers),
        "proxy": check_option("proxy", {}),
    }
    for name, check in checks.items():
        try:
            check(texts.get(name, ""))
        except UsageError as error:
            # What else is wrong is told beside the field.
            if INSTEAD in str(error):
                raise
