"""One request per row of a frame: a template becomes a plan as in a cell, and is run as by a function."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from fastreq_jupyter.bridge import interruption
from fastreq_jupyter.cell import EachSpec, Source, build
from fastreq_jupyter.client.call import Call, check_options, layered, refuse, run_blocking, session_of, where_it_stopped
from fastreq_jupyter.client.plan import outfitted
from fastreq_jupyter.client.preview import preview
from fastreq_jupyter.client.results import conclude
from fastreq_jupyter.engine.cookies import Jar
from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.model import Plan
from fastreq_jupyter.options import TABLE, Options

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["json_template", "send_rows"]

_NOT_HERE = ("keys", "return_type", "return_none_on_failure")
_PLACE = re.compile(r"\{\{.*?\}\}")


def send_rows(frame: pd.DataFrame, template: str, given: Mapping[str, Any]) -> Any:
    """Send what the template says for each row; return the frame with the answers' columns behind its own.

    Raises:
        UsageError: One line, nothing was sent.
    """
    if not isinstance(template, str):
        raise UsageError(f"the template is a {type(template).__name__}: give a text like 'https://host/{{{{ id }}}}'")
    refuse(given, _NOT_HERE, "has no meaning where columns are joined back")
    refuse(given, (name for name, row in TABLE.items() if "function" not in row.doors), "belongs to cells")
    session = session_of(given)
    options = Options.of(layered(session, without=_NOT_HERE), **_with_templates(given))
    check_options(options)
    home = None if session is None else session.home
    cell = build(
        template,
        options=options,
        sources=[Source(EachSpec("the frame", None, "the frame"), frame)],
        base_url=None if home is None else home.base_url,
        given=given,
    )
    final = Options.of(options, **cell.lifted)
    jar = Jar() if session is None else session.jar
    items = outfitted(cell.items, final, jar=jar, home=home, total=cell.total)
    plan = Plan(items, final, total=cell.total, join=cell.join, notes=cell.notes)
    if final.dry_run:
        return preview(plan)
    waited, _ = run_blocking(Call(plan, jar, session))
    if waited.interrupted:
        raise interruption(where_it_stopped(waited.run, "last_run().df"))
    return conclude(waited.run)


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


def _with_templates(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with `json` and a form in `data` as text, so that placeholders in them are filled."""
    options = dict(given)
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
    for found in _PLACE.finditer(text):
        parts += [encode(text[at : found.start()]), found[0]]
        at = found.end()
    return "".join([*parts, encode(text[at:])])
