"""The static summary of a run: what a reopened, exported or untrusted notebook still shows.

Figures, failures by kind, and a small waterfall, in some 2 kB. Plain HTML with inline attributes: no script, nothing from
elsewhere, readable on light and dark pages, at any width, and where a site strips every style. Whatever came from outside is
escaped, and made one harmless line before.
"""

from __future__ import annotations

from datetime import datetime
from html import escape
from typing import TYPE_CHECKING

from fastreq_jupyter.engine import SHARES
from fastreq_jupyter.options import show_count, show_seconds
from fastreq_jupyter.picture import COLOURS, FAILED, choose_rows, phase_bars, show_ms, shown_detail, shown_url
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastreq_jupyter.engine import Gist, Run

_KINDS = 8
_NOTES = 8
_ROWS = 200
_HEIGHT = 400
_LEAST_ROW, _MOST_ROW = 2, 8
_ACROSS = 1000
_CELL = "text-align:left;vertical-align:top;padding:1px 14px 1px 0"
_QUIET = "margin:2px 0;opacity:.75"
# Above it stands, in a notebook without a kernel, a widget that cannot be shown: its error is one text and nothing else. A :has
# within a :has would be invalid (Selectors 4, 4.5).
_NO_ERROR = (
    "<style>.jp-OutputArea-child:has(>.jupyter-widgets):not(:has(>.jupyter-widgets>*)):has(+.jp-OutputArea-child .fastreq-summary)"
    "{display:none}</style>"
)


def summary(run: Run) -> dict[str, str]:
    """Return the summary of a run as an output: HTML, and plain text."""
    gist = run.gist()
    return {"text/html": html_summary(run, gist), "text/plain": text_summary(run, gist)}


def notes_of(run: Run) -> list[str]:
    """Return the notes that a summary shows."""
    notes: list[str] = run.summary()["notes"][:_NOTES]
    return notes


def beginning(run: Run) -> str:
    """Return the line for pages without widgets, in place of the live view; it stays true when the run has ended."""
    began = datetime.fromisoformat(run.summary()["started_at"])
    return one_line(f"{run.name + ': ' if run.name else ''}{show_count(run.plan.total, 'request')}, begun at {began:%Y-%m-%d %H:%M:%S} UTC")


def html_summary(run: Run, gist: Gist | None = None) -> str:
    """Return the summary of a run as a fragment of HTML, some 2 to 20 kB."""
    gist = run.gist() if gist is None else gist
    parts = [
        f'<div class="fastreq-summary" style="font-size:13px;max-width:860px">{_NO_ERROR}',
        f'<p style="margin:4px 0"><strong>{_text(run.closing_line(), 400)}</strong></p>',
        f'<p style="{_QUIET}">{_text(_figures(run, gist))}</p>',
        _failures(gist),
        _notes(run),
        _picture(run, gist),
        "</div>",
    ]
    return "".join(parts)


def text_summary(run: Run, gist: Gist | None = None) -> str:
    """Return the summary of a run as plain text: the closing line, the latencies, the failures by kind."""
    gist = run.gist() if gist is None else gist
    lines = [one_line(run.closing_line(), 400)]
    if latencies := _latencies(gist):
        lines.append("  " + ", ".join(f"{name} {value}" for name, value in latencies))
    lines += [
        f"  {kind.name} x{kind.number:,}: {shown_detail(kind.first, 120)} ({shown_url(kind.first, 120)})" for kind in gist.kinds[:_KINDS]
    ]
    lines += [f"  {one_line(note, 200)}" for note in notes_of(run)]
    return "\n".join(lines)


def _figures(run: Run, gist: Gist) -> str:
    """Return what the closing line does not say: state, pace and latencies."""
    summary = run.summary()
    pace = f"{_rate(summary['answered'] / summary['elapsed_s'])} requests/s" if summary["elapsed_s"] > 0 else ""
    return ", ".join(filter(None, (run.state.lower(), pace, *(f"{name} {value}" for name, value in _latencies(gist)))))


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _latencies(gist: Gist) -> list[tuple[str, str]]:
    return [(f"p{share}", show_ms(value * 1000)) for share, value in zip(SHARES, gist.durations, strict=False)]


def _failures(gist: Gist) -> str:
    kinds = gist.kinds
    if not kinds:
        return ""
    table = [
        [
            ("error", kind.name),
            ("rows", f"{kind.number:,}"),
            ("share", f"{100 * kind.number / gist.number:.3g} %"),
            ("first cause", shown_detail(kind.first, 120)),
            ("first request", f"{kind.first.request.method} {shown_url(kind.first, 90)}"),
        ]
        for kind in kinds[:_KINDS]
    ]
    more = len(kinds) - _KINDS
    rest = f'<p style="margin:2px 0">and {more} more kinds</p>' if more > 0 else ""
    return _table(table, first=f"color:{FAILED}") + rest


def _notes(run: Run) -> str:
    return "".join(f'<p style="margin:4px 0">{_text(note, 300)}</p>' for note in notes_of(run))


def _picture(run: Run, gist: Gist) -> str:
    """Draw the phases of each request as lines, without words: it may be stretched to any width."""
    drawn, note = choose_rows(gist.rows, datetime.fromisoformat(run.summary()["started_at"]), _ROWS)
    note = note if len(gist.rows) == gist.number else f"samples of {gist.number:,} requests"
    bars = [(number, *bar) for number, row in enumerate(drawn) for bar in phase_bars(row.attempts)]
    if not bars:
        return f'<p style="{_QUIET}">{_text(note)}</p>' if note else ""
    zero = min(start for _, _, start, _ in bars)
    seconds = max(max(end for *_, end in bars) - zero, 1e-6)
    paths: dict[str, list[str]] = {}
    for number, phase, start, end in bars:
        left, right = (round((at - zero) / seconds * _ACROSS) for at in (start, end))
        # A failure is marked where it ended, at the foot of its line.
        y, left = (number * 4 + 3.5, max(0, right - 6)) if phase == "failed" else (number * 4 + 2, left)
        paths.setdefault(phase, []).append(f"M{left} {y:g}h{max(1, right - left)}")
    order = sorted(paths, key=lambda phase: (phase != "other", phase == "failed"))
    drawing = "".join(
        f"<path d='{''.join(paths[phase])}' stroke='{COLOURS[phase].replace('#', '%23')}' stroke-width='{_THICK.get(phase, 3)}'/>"
        for phase in order
    )
    height = len(drawn) * min(_MOST_ROW, max(_LEAST_ROW, _HEIGHT // len(drawn)))
    words = " ".join(f'<span style="color:{COLOURS[phase]}">■</span> {phase}' for phase in order)
    caption = f"{show_count(len(drawn), 'request')} over {show_seconds(seconds)}"
    return (
        f"<img src=\"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_ACROSS} {len(drawn) * 4}' "
        f'preserveAspectRatio=\'none\'>{drawing}</svg>" alt="{caption}" style="display:block;width:100%;height:{height}px"/>'
        f'<p style="{_QUIET}">{caption}: {words}{f"; {_text(note)}" if note else ""}</p>'
    )


_THICK = {"queued": 1, "retry wait": 1, "failed": 1}


def _table(rows: Sequence[Sequence[tuple[str, str]]], first: str = "") -> str:
    """Return a table; each row has the same names, they are the heads."""
    heads = "".join(f'<th style="{_CELL};font-weight:normal;opacity:.75">{_text(name)}</th>' for name, _ in rows[0])
    body = "".join(
        f"<tr>{''.join(_cell(value, first if number == 0 else '') for number, (_, value) in enumerate(row))}</tr>" for row in rows
    )
    return f'<table style="border:0;margin:4px 0;font-size:13px"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'


def _cell(value: str, style: str) -> str:
    return f'<td style="{_CELL}{";" + style if style else ""}">{_text(value)}</td>'


def _text(value: str, limit: int = 200) -> str:
    return escape(one_line(value, limit))
