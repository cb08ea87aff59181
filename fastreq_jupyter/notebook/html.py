"""The static summary of a run: what a reopened, exported or untrusted notebook still shows.

Figures, failures by kind, and a small waterfall. Plain HTML with inline attributes: no script, no style sheet, nothing from
elsewhere, readable on light and dark pages, and where a site strips every style. Whatever came from outside is escaped, and
made one harmless line before.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from fastreq_jupyter.engine import SHARES, quantiles
from fastreq_jupyter.options import show_bytes, show_seconds
from fastreq_jupyter.picture import FAILED, ROW, draw_svg, lay_out, show_ms, shown_detail, shown_url
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fastreq_jupyter.engine import Run
    from fastreq_jupyter.model import Outcome

__all__ = ["beginning", "html_summary", "summary", "text_summary"]

_KINDS = 8
_NOTES = 8
_SHORT = 30
_LABELLED = 24
_ROWS = 200
_COMPACT = 400.0
_LEAST_ROW, _MOST_ROW = 2.0, 8.0
_WIDTH = 860.0
# An image does not know the page's colours; this grey is read on light and on dark.
_GREY = "#757b84"
_CELL = "text-align:left;vertical-align:top;padding:2px 14px 2px 0;border:0;background:none"
_LINE = "border-bottom:1px solid rgba(128,128,128,.35)"


class _Kind(NamedTuple):
    """The failures of one kind."""

    name: str
    number: int
    first: Outcome


def summary(run: Run) -> dict[str, str]:
    """Return the summary of a run as an output: HTML, and plain text."""
    return {"text/html": html_summary(run), "text/plain": text_summary(run)}


def beginning(run: Run) -> str:
    """Return the line that stands in the live view's place on pages without widgets; it stays true when the run has ended."""
    known = "requests" if run.plan.total is None else f"{run.plan.total:,} request{'' if run.plan.total == 1 else 's'}"
    began = datetime.fromisoformat(run.summary()["started_at"])
    return one_line(f"{run.name + ': ' if run.name else ''}{known}, begun at {began:%Y-%m-%d %H:%M:%S} UTC")


def html_summary(run: Run) -> str:
    """Return the summary of a run as a fragment of HTML, some 5 to 40 kB."""
    rows = run.rows
    parts = [
        f'<div class="fastreq-summary" style="font-size:13px;line-height:1.45;max-width:{_WIDTH:g}px">',
        f'<p style="margin:4px 0 6px"><strong>{_text(run.closing_line(), 400)}</strong></p>',
        _table([_figures(run, rows)]),
        _failures(rows),
        _notes(run),
        _picture(run, rows),
        "</div>",
    ]
    return "".join(parts)


def text_summary(run: Run) -> str:
    """Return the summary of a run as plain text: the closing line, the latencies, the failures by kind."""
    rows = run.rows
    lines = [one_line(run.closing_line(), 400)]
    if latencies := _latencies(rows):
        lines.append("  " + ", ".join(f"{name} {value}" for name, value in latencies))
    lines += [
        f"  {kind.name} x{kind.number:,}: {shown_detail(kind.first, 120)} ({shown_url(kind.first, 120)})" for kind in _kinds(rows)[:_KINDS]
    ]
    lines += [f"  {one_line(note, 200)}" for note in run.summary()["notes"][:_NOTES]]
    return "\n".join(lines)


def _figures(run: Run, rows: Sequence[Outcome]) -> list[tuple[str, str]]:
    summary = run.summary()
    elapsed = summary["elapsed_s"]
    answered = summary["answered"]
    return [
        ("state", run.state.lower()),
        ("ok", f"{summary['ok']:,}"),
        ("failed", f"{summary['failed']:,}"),
        ("retries", f"{summary['retried']:,}"),
        ("time", show_seconds(elapsed)),
        ("requests/s", _rate(answered / elapsed) if elapsed > 0 else ""),
        ("bytes", show_bytes(summary["bytes"])),
        *_latencies(rows),
    ]


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"  # noqa: PLR2004 - a tenth tells something below ten


def _latencies(rows: Iterable[Outcome]) -> list[tuple[str, str]]:
    found = quantiles(row.elapsed for row in rows)
    return [(f"p{share}", show_ms(value * 1000)) for share, value in zip(SHARES, found, strict=False)]


def _kinds(rows: Iterable[Outcome]) -> list[_Kind]:
    found: dict[str, list[Outcome]] = {}
    for row in rows:
        if row.error is not None:
            found.setdefault(row.error, []).append(row)
    return sorted((_Kind(name, len(some), some[0]) for name, some in found.items()), key=lambda kind: -kind.number)


def _failures(rows: Sequence[Outcome]) -> str:
    kinds = _kinds(rows)
    if not kinds:
        return ""
    table = [
        [
            ("error", kind.name),
            ("rows", f"{kind.number:,}"),
            ("share", f"{100 * kind.number / len(rows):.3g} %"),
            ("first cause", shown_detail(kind.first, 120)),
            ("first request", f"{kind.first.request.method} {shown_url(kind.first, 90)}"),
        ]
        for kind in kinds[:_KINDS]
    ]
    more = len(kinds) - _KINDS
    rest = f'<p style="margin:2px 0">and {more} more kinds</p>' if more > 0 else ""
    return _table(table, first=f"color:{FAILED}") + rest


def _notes(run: Run) -> str:
    notes = run.summary()["notes"]
    return "".join(f'<p style="margin:4px 0">{_text(note, 300)}</p>' for note in notes[:_NOTES])


def _picture(run: Run, rows: Sequence[Outcome]) -> str:
    since = datetime.fromisoformat(run.summary()["started_at"])
    sent = min(_ROWS, sum(bool(row.attempts) for row in rows))
    if not sent:
        return ""
    height = ROW if sent <= _LABELLED else min(_MOST_ROW, max(_LEAST_ROW, _COMPACT / sent))
    picture = lay_out(rows, title="", since=since, limit=_ROWS, width=_WIDTH, row_height=height)
    # As an image: where a page takes the drawing out of what it does not trust, the words of the drawing would stay behind.
    drawn = b64encode(draw_svg(picture, ink=_GREY, tips=False).encode()).decode("ascii")
    return (
        f'<img src="data:image/svg+xml;base64,{drawn}" alt="{escape(picture.summary or "waterfall")}" '
        f'width="{picture.width:g}" style="display:block;max-width:100%;height:auto;margin-top:8px"/>'
    )


def _table(rows: Sequence[Sequence[tuple[str, str]]], first: str = "") -> str:
    """Return a table; each row has the same names, they are the heads."""
    heads = "".join(f'<th style="{_CELL};{_LINE};font-weight:normal;opacity:.7">{_text(name)}</th>' for name, _ in rows[0])
    body = "".join(
        f'<tr style="background:none">{"".join(_cell(value, first if number == 0 else "") for number, (_, value) in enumerate(row))}</tr>'
        for row in rows
    )
    opening = '<table style="border-collapse:collapse;border:0;margin:4px 0 8px;font-size:13px;font-variant-numeric:tabular-nums">'
    return f'{opening}<thead><tr style="background:none">{heads}</tr></thead><tbody>{body}</tbody></table>'


def _cell(value: str, style: str) -> str:
    whole = "" if len(value) > _SHORT else ";white-space:nowrap"
    return f'<td style="{_CELL}{whole}{";" + style if style else ""}">{_text(value)}</td>'


def _text(value: str, limit: int = 200) -> str:
    return escape(one_line(value, limit))
