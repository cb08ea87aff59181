"""What goes into a form and what it says: arguments of ``Panel(...)`` as the text of fields; the dry run's table, a run's end."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.client import check_failures
from fastreq_jupyter.errors import OptionError, PartialFailureError, RunError, UsageError
from fastreq_jupyter.notebook.form.checks import label_of
from fastreq_jupyter.options import FRAMES, TABLE, header_pairs, refuse_unknown
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from fastreq_jupyter.engine import Run
    from fastreq_jupyter.notebook.form.fields import Field

__all__ = ["attention", "cell_html", "ended_line", "first_contents", "preview_html", "what_failed", "written_requests"]

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


_SHOWN_ROWS = 10
_HEAD_ROWS = 5
_HEAD_COLUMNS = 12
_SHOWN_CHARACTERS = 200
_NAMED_FIELDS = 6


def attention(wrong: Sequence[Field]) -> str:
    """Return how many fields are wrong, and which."""
    names = ", ".join(field.label for field in wrong[:_NAMED_FIELDS]) + (", ..." if len(wrong) > _NAMED_FIELDS else "")
    return f"1 field needs attention: {names}" if len(wrong) == 1 else f"{len(wrong)} fields need attention: {names}"


def what_failed(run: Run) -> str | None:
    """Return why the run as a whole failed: a source that raised, or more failures than `check` tolerates."""
    try:
        run.raise_error()
        check_failures(run)
    except PartialFailureError as error:
        return f"Check: {len(error.failures):,} of {error.total:,} requests failed"
    except RunError as error:
        return one_line(str(error))
    return None


def ended_line(run: Run, name: str | None) -> str:
    """Return what came, and where it is."""
    rows, failed = run.progress.done, run.progress.failed
    what = "row" if run.options.return_type in FRAMES else "answer"
    count = f"{rows:,} {what}{'' if rows == 1 else 's'}"
    bad = f", {failed:,} of them failed" if failed and rows > 1 else ", which failed" if failed else ""
    cut = "Cancelled: " if run.state == "CANCELLED" else ""
    if name is None:
        return f"{cut}{count}{bad}. The rows are in last_run().df; a name under Variable would keep them."
    return f"{cut}{name} holds {count}{bad}."


def preview_html(frame: Any, caption: str) -> str:
    """Return the caption and the first rows of a dry run as a table, without columns in which nothing stands."""
    head = frame.head(_SHOWN_ROWS)
    columns = [name for name in head.columns if any(_cell(value) for value in head[name])]
    heads = "".join(f"<th scope=col>{html.escape(str(name))}</th>" for name in columns)
    rows = "".join(
        _row(label, values) for label, values in zip(head.index, zip(*(head[name] for name in columns), strict=True), strict=True)
    )
    more = len(frame) - len(head)
    rest = f"<p>and {more:,} more</p>" if more > 0 else ""
    heading = f'<div class="fastreq-caption" role="status">{html.escape(one_line(caption))}</div>'
    return f"{heading}<table><thead><tr><th></th>{heads}</tr></thead><tbody>{rows}</tbody></table>{rest}"


def head_html(frame: Any, name: str | None) -> str:
    """Return the first rows of a run's frame as a table."""
    rows = len(frame)
    shown = min(rows, _HEAD_ROWS)
    return preview_html(frame.iloc[:shown, :_HEAD_COLUMNS], f"{name or 'last_run().df'}: the first {shown} of {rows:,} rows")


def cell_html(text: str) -> str:
    """Return the text of a cell, to be read and copied."""
    return f'<pre class="fastreq-cell" tabindex="0" aria-label="The same as a cell">{html.escape(text)}</pre>'


def _row(label: object, values: Iterable[Any]) -> str:
    cells = "".join(f"<td>{html.escape(_cell(value))}</td>" for value in values)
    return f"<tr><th scope=row>{html.escape(one_line(str(label), 40))}</th>{cells}</tr>"


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        value = ", ".join(f"{name}: {text}" for name, text in value.items())
    # Missing values are shown empty: None, NaN and those of pandas.
    missing = value is None or (isinstance(value, float) and isnan(value)) or type(value).__name__ in {"NAType", "NaTType"}
    return "" if missing else one_line(str(value), _SHOWN_CHARACTERS)
