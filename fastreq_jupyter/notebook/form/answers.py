"""What the form says and shows: the dry run's table, the cell's text, and how a run ended."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.client.results import check_failures
from fastreq_jupyter.errors import PartialFailureError, RunError
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fastreq_jupyter.engine.run import Run
    from fastreq_jupyter.notebook.form.form import Field

__all__ = ["attention", "cell_html", "ended_line", "preview_html", "what_failed"]

_SHOWN_ROWS = 10
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
        return f"Check: {str(error).partition(';')[0]}"
    except RunError as error:
        return one_line(str(error))
    return None


def ended_line(run: Run, name: str | None) -> str:
    """Return what came, and where it is."""
    rows, failed = run.progress.done, run.progress.failed
    what = "row" if run.options.return_type == "dataframe" else "answer"
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
    said = f'<div class="fastreq-caption" role="status">{html.escape(one_line(caption))}</div>'
    return f"{said}<table><thead><tr><th></th>{heads}</tr></thead><tbody>{rows}</tbody></table>{rest}"


def cell_html(text: str) -> str:
    """Return the text of a cell, to be read and copied."""
    return f'<pre class="fastreq-cell" tabindex="0" aria-label="The same as a cell">{html.escape(text)}</pre>'


def _row(label: object, values: Iterable[Any]) -> str:
    cells = "".join(f"<td>{html.escape(_cell(value))}</td>" for value in values)
    return f"<tr><th scope=row>{html.escape(one_line(str(label), 40))}</th>{cells}</tr>"


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        value = ", ".join(f"{name}: {text}" for name, text in value.items())
    return one_line(value, _SHOWN_CHARACTERS) if isinstance(value, str) else ""
