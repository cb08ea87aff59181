"""Bodies given as Python values to a template: text in which placeholders stand as a cell reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

from fastreq_jupyter.errors import UsageError

__all__ = ["json_template", "with_templates"]

_PLACE = re.compile(r"\{\{.*?\}\}")


def json_template(value: Any) -> str:
    """Return JSON text of a value in which placeholders stand as a cell reads them.

    A string that is nothing but one placeholder stands without quotes: it becomes any JSON value.

    Raises:
        TypeError: A value that is no JSON.
    """
    if isinstance(value, str):
        text = value.strip()
        if _PLACE.fullmatch(text):
            return text
        return f'"{_around_places(value, lambda part: json.dumps(part, ensure_ascii=False)[1:-1])}"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json_template(str(key))}: {json_template(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(json_template(inner) for inner in value) + "]"
    return json.dumps(value, allow_nan=False)


def with_templates(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with `json` and a form in `data` as text, so that placeholders in them are filled.

    Raises:
        UsageError: `json` cannot be sent.
    """
    options = dict(arguments)
    kind = None
    if options.get("json") is not None and options.get("data") is None:
        try:
            options["data"], kind = json_template(options.pop("json")), "application/json"
        except (TypeError, ValueError) as error:
            raise UsageError(f"json cannot be sent: {error}") from None
    elif isinstance(options.get("data"), Mapping):
        pairs = [
            (name, item) for name, value in options["data"].items() for item in (value if isinstance(value, (list, tuple)) else [value])
        ]
        options["data"] = "&".join(
            f"{_around_places(str(n), quote_plus)}={_around_places(str(v), quote_plus)}" for n, v in pairs if v is not None
        )
        kind = "application/x-www-form-urlencoded"
    if kind is not None:
        lines = options.get("headers") or ()
        lines = [*(lines.items() if isinstance(lines, Mapping) else lines)]
        if not any(str(line[0]).lower() == "content-type" for line in lines):
            lines.append(("Content-Type", kind))
        options["headers"] = lines
    return options


def _around_places(text: str, encode: Any) -> str:
    """Encode what stands between placeholders."""
    parts: list[str] = []
    at = 0
    for match in _PLACE.finditer(text):
        parts += [encode(text[at : match.start()]), match[0]]
        at = match.end()
    return "".join([*parts, encode(text[at:])])
