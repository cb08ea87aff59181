"""Arguments of ``Panel(...)`` as the text that its fields hold: what a function takes, where it can be written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.errors import OptionError, UsageError
from fastreq_jupyter.notebook.form.words import label_of
from fastreq_jupyter.options import TABLE, header_pairs, refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["first_contents", "written_requests"]

_LONGEST = 1000


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
    if len(text) > _LONGEST and name != "data":
        raise OptionError(f"{name} is too long for a form: at most {_LONGEST:,} characters")
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
