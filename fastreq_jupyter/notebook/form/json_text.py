"""Tells where a JSON text with placeholders is no JSON."""

from __future__ import annotations

import json
import re

__all__ = ["json_problem"]

_SIGNS = re.compile(r'\\.|"|\{\{[^{}]*\}\}', re.DOTALL)


def json_problem(text: str) -> str | None:
    """Return what is wrong, with line and column; None if nothing is once its placeholders are filled."""
    try:
        json.loads(_without_placeholders(text), parse_constant=_refuse)
    except json.JSONDecodeError as error:
        return f"line {error.lineno}, column {error.colno}: this is no JSON: {_worded(error.msg)}"
    except ValueError as error:
        return f"line 1: this is no JSON: {error}"
    except RecursionError:
        return "line 1: this is no JSON: it nests too deeply"
    return None


def _without_placeholders(text: str) -> str:
    """Put a value of the same length in the place of each: letters within quotes, a number outside."""
    parts: list[str] = []
    inside, start = False, 0
    for found in _SIGNS.finditer(text):
        sign = found[0]
        parts.append(text[start : found.start()])
        start = found.end()
        if sign.startswith("{{"):
            parts.append("x" * len(sign) if inside else "1".ljust(len(sign)))
            continue
        # An escaped placeholder stands for its braces.
        parts.append("xx" if inside and sign == "\\{" else sign)
        inside = inside != (sign == '"')
    return "".join([*parts, text[start:]])


def _worded(message: str) -> str:
    return message[:1].lower() + message[1:]


def _refuse(name: str) -> None:
    message = f"{name} is no value of it"
    raise ValueError(message)
