"""Checks of single fields of the form: each gets the text, raises one line with the field's label, or returns a warning.

A secret that was written out (in URLs, field lines and bodies, curl's among them) is refused before anything is sent, and its
value is not repeated. What the user typed stays in the page's field for as long as the page lives: taking it out of their
hands would be the kernel writing into what is theirs.
"""

from __future__ import annotations

import ast
import builtins
import json
import re
from difflib import get_close_matches
from keyword import iskeyword
from typing import TYPE_CHECKING

from fastreq_jupyter.cell import EachSpec, Placeholder, Ref, RequestTemplate, TextPiece, content_type_of, parse
from fastreq_jupyter.errors import CellSyntaxError, OptionError, UsageError
from fastreq_jupyter.options import TABLE, check_expression, verify_value
from fastreq_jupyter.policy import read_how, read_total
from fastreq_jupyter.redact import is_secret_header, is_secret_name, one_line, redact_url, secret_part, secret_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from fastreq_jupyter.cell import ParsedCell, Part, Variable

_LABELS = {"requests": "Requests", "name": "Variable", "ca": "CA bundle"}
_CA = "the path of a CA bundle"
_INSTEAD = "write {{$env NAME}} or {{$secret NAME}} in its place: this form is kept in the notebook"
_FILLED = "\0"
"""Stands for a placeholder: a value that has one is not written out."""
_LONGEST = 10_000
_LONGEST_NAME = 200
_QUOTES = "\"'"
_USERINFO = re.compile(r"//[^/?#\s]*@")
_PAIRS = re.compile(r"[?#&]")
_NOTHING = frozenset({"", "null", "true", "false"})
_DEEPEST = 5
# A field "key" is usually no secret: {"key": "colour"} is data.
_SHORTEST_KEY = 16
_SHORT_KEY = re.compile(rf"(?<=[?&])key=[^&#\0]{{0,{_SHORTEST_KEY - 1}}}(?=[&#]|\Z)")
_JSON_SIGNS = re.compile(r'\\.|"|\{\{[^{}]*\}\}', re.DOTALL)


def label_of(name: str) -> str:
    """Return what stands above a field."""
    return _LABELS.get(name) or TABLE[name].label


def check_variable(text: str) -> str | None:
    """Check the name of the variable; warn where it hides a name of Python or IPython."""
    name = text.strip()
    if iskeyword(name):
        raise UsageError(f"{label_of('name')}: {name} is a word of Python's own, and no name of a variable")
    if not name.isidentifier() or len(name) > _LONGEST_NAME:
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
    for line, place in _secrets_of_cell(cell):
        if line is None:
            line = next((number for number, content in enumerate(text.split("\n"), 1) if _secret_in_url(content)), 1)  # noqa: PLW2901 - the place of a URL alone
        raise UsageError(f"{label}, line {line}: {place} holds a secret: {_INSTEAD}")


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
        if _secret_in_header(name.strip(), filled(value)):
            raise UsageError(f"{where}: {one_line(name.strip(), 60)} holds a secret: {_INSTEAD}")


def check_body(text: str, headers: Sequence[str]) -> str | None:
    """Check that a body holds no secret, and is JSON where the headers say so; hint at a missing Content-Type."""
    label, kind = label_of("data"), content_type(headers)
    if _secret_in_body(filled(text), kind):
        raise UsageError(f"{label}: it holds a secret: {_INSTEAD}")
    if kind is None:
        if text.lstrip()[:1] in ("{", "[") and _json_problem(text) is None:
            return "This looks like JSON: servers that ask for it want Content-Type: application/json under Headers."
        return None
    name = kind.partition(";")[0].strip().lower()
    if name.endswith(("/json", "+json")) and not text.lstrip().startswith("< ") and (problem := _json_problem(text)):
        raise UsageError(f"{label}, {problem}")
    return None


def check_lookup(name: str, namespace: Mapping[str, Any]) -> Callable[[str], None]:
    """Return the check of an option that takes the name of a variable; its text may be a secret typed in its place."""

    def check(text: str) -> None:
        if text.strip() not in namespace:
            hint = "; never write the secret itself" if name == "auth" else ""
            raise UsageError(f"{label_of(name)}: the notebook has no variable of that name{hint}")

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
    option, allowed = (verify_value, _CA) if row is None else (row.check, row.allowed)

    def check(text: str) -> None:
        text = text.strip()
        if not text.isprintable() or len(text) > _LONGEST:
            raise UsageError(f"{label_of(name)}: give {allowed}, in one line")
        # Filled in and checked when it runs.
        if "{{" in text or (name == "cert" and text in namespace) or (row is not None and text in map(str, row.switches.values())):
            return
        if row is not None and row.secret and _secret_in_url(text):
            raise UsageError(f"{label_of(name)}: it holds a secret: {_INSTEAD}")
        try:
            option(text)
            if name in ("select", "expand"):
                check_expression(text, name)
            elif name == "pages":
                read_how(text)
            elif name == "total":
                read_total(text)
        except OptionError as error:
            raise UsageError(f"{label_of(name)}: {error.reason}") from None
        except (TypeError, ValueError, OverflowError) as error:
            why = f"{error}: " if isinstance(error, TypeError) and str(error) else ""
            raise UsageError(f"{label_of(name)}: {why}give {allowed}") from None

    return check


def filled(text: str) -> str:
    """Return a text with `_FILLED` in place of its placeholders."""
    parts, start = [], 0
    while (begin := text.find("{{", start)) >= 0 and (end := text.find("}}", begin)) >= 0:
        parts += [text[start:begin], _FILLED]
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
        raise UsageError(f"{where}: {error.reason}") from None
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
            # Any other error is shown beside the field.
            if _INSTEAD in str(error):
                raise


def _secret_in_url(url: str) -> bool:
    """Tell whether a URL has a secret written out; `_FILLED` stands for placeholders."""
    url = _SHORT_KEY.sub("", url)
    if _FILLED not in url:
        return redact_url(url) != url
    info = _USERINFO.search(url)
    if info is not None and _FILLED not in info[0]:
        return True
    return any(_FILLED not in value for pair in _PAIRS.split(url)[1:] if (value := secret_part(pair)))


def _secret_in_header(name: str, value: str) -> bool:
    """Tell whether a field line has a secret written out."""
    if not value.strip() or _FILLED in value:
        return False
    return is_secret_header(name) or ("://" in value and _secret_in_url(value))


def _secret_in_body(text: str, content_type: str | None) -> bool:
    """Tell whether a JSON, form or multipart text has a secret written out."""
    for start, end in secret_spans(text, content_type):
        value = text[start:end].strip().strip('"')
        key = text[:start].rstrip().endswith(('"key":', "key="))
        if value not in _NOTHING and _FILLED not in value and not (key and len(value) < _SHORTEST_KEY):
            return True
    return False


def _secrets_of_cell(cell: ParsedCell, content_type: str | None = None) -> Iterator[tuple[int | None, str]]:
    """Give line and place of each secret written out in a cell; None where the line is not known.

    Args:
        cell: As the grammar read it.
        content_type: Of bodies that name none themselves.
    """
    for name, variable in cell.variables.items():
        value = _rendered(variable.parts, cell.variables)
        if is_secret_name(name) and _FILLED not in value and value:
            yield variable.line, f"@{name}"
    for entry in cell.entries:
        if not isinstance(entry, RequestTemplate):
            if _secret_in_url(entry if isinstance(entry, str) else entry[1]):
                yield None, "a URL"
            continue
        if _secret_in_url(_rendered(entry.url, cell.variables)):
            yield entry.line, "the URL"
        for header in entry.headers:
            if _secret_in_header(header.name, _rendered(header.parts, cell.variables)):
                yield header.line if header.line > 0 else entry.line, header.name
        body = "".join(_rendered(piece.parts, cell.variables) for piece in entry.body or () if isinstance(piece, TextPiece))
        if body and _secret_in_body(body, content_type_of(entry.headers) or content_type):
            yield entry.line, "the body"


def _rendered(parts: Iterable[Part], variables: Mapping[str, Variable], depth: int = 0) -> str:
    """Return the text, a variable of the cell by its own."""
    return "".join(_piece(part, variables, depth) for part in parts)


def _piece(part: Part, variables: Mapping[str, Variable], depth: int) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, Placeholder):
        return "1"
    name = part.expression.keys[0] if isinstance(part.expression, Ref) else None
    if depth < _DEEPEST and isinstance(name, str) and name in variables:
        return _rendered(variables[name].parts, variables, depth + 1)
    return _FILLED


def _json_problem(text: str) -> str | None:
    """Return what is wrong, with line and column; None if nothing is once its placeholders are filled."""
    try:
        json.loads(_without_placeholders(text), parse_constant=_refuse)
    except json.JSONDecodeError as error:
        return f"line {error.lineno}, column {error.colno}: this is no JSON: {error.msg[:1].lower()}{error.msg[1:]}"
    except ValueError as error:
        return f"line 1: this is no JSON: {error}"
    except RecursionError:
        return "line 1: this is no JSON: it nests too deeply"
    return None


def _without_placeholders(text: str) -> str:
    """Put a value of the same length in the place of each: letters within quotes, a number outside."""
    parts: list[str] = []
    inside, start = False, 0
    for match in _JSON_SIGNS.finditer(text):
        sign = match[0]
        parts.append(text[start : match.start()])
        start = match.end()
        if sign.startswith("{{"):
            parts.append("x" * len(sign) if inside else "1".ljust(len(sign)))
            continue
        # An escaped placeholder stands for its braces.
        parts.append("xx" if inside and sign == "\\{" else sign)
        inside = inside != (sign == '"')
    return "".join([*parts, text[start:]])


def _refuse(name: str) -> None:
    message = f"{name} is no value of it"
    raise ValueError(message)
