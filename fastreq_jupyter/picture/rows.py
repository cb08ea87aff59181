"""Which requests a waterfall shows, and what it says about each."""

from __future__ import annotations

from math import isfinite, isnan
from typing import TYPE_CHECKING
from unicodedata import east_asian_width

from fastreq_jupyter.options import show_seconds
from fastreq_jupyter.redact import one_line, redact_text, redact_url, secret_values
from fastreq_jupyter.timing import phases_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastreq_jupyter.model import Outcome

__all__ = ["choose_rows", "cut_middle", "row_label", "row_status", "row_tip", "show_ms", "shown_detail", "shown_url"]

_LABEL_LETTERS = 35
_TROUBLED = 0.4
_SLOWEST = 0.3
_FORMS: tuple[tuple[float, Callable[[float], str]], ...] = (
    (0.005, lambda _: "0 ms"),
    (1, lambda value: f"{value:.2f} ms"),
    (10, lambda value: f"{value:.1f} ms"),
    (999.5, lambda value: f"{value:.0f} ms"),
    (9_995, lambda value: f"{value / 1000:.2f} s"),
    (99_950, lambda value: f"{value / 1000:.1f} s"),
)


def choose_rows(every: Sequence[Outcome], new: Sequence[Outcome], limit: int) -> tuple[list[Outcome], str]:
    """Return the rows to draw, in order, and a line that says what is left out.

    Where there are too many: failed and retried ones (up to two fifths), the slowest (up to three tenths), the others evenly spread.

    Args:
        every: All rows.
        new: Those that were sent in this run.
        limit: How many are drawn at most.
    """
    left_out = []
    unsent = sum(not row.attempts for row in every)
    if unsent:
        left_out.append(f"{unsent:,} never sent")
    if earlier := len(every) - unsent - len(new):
        left_out.append(f"{earlier:,} known from an earlier run")
    rest = f"; not drawn: {', '.join(left_out)}" if left_out else ""
    if len(new) <= limit:
        return list(new), rest.removeprefix("; ") or ("" if new else "no request was sent")
    troubled = [row for row in new if not row.ok or len(row.attempts) > 1]
    chosen = {id(row): row for row in _spread(troubled, int(limit * _TROUBLED))}
    first = len(chosen)
    slow = sorted((row for row in new if id(row) not in chosen), key=_slowness)[: int(limit * _SLOWEST)]
    chosen |= {id(row): row for row in slow}
    others = [row for row in new if id(row) not in chosen]
    spread = _spread(others, limit - len(chosen))
    chosen |= {id(row): row for row in spread}
    parts = [f"{first:,} of {len(troubled):,} failed or retried"] if troubled else []
    parts += [f"the {len(slow):,} slowest", f"{len(spread):,} evenly spread"]
    return [row for row in new if id(row) in chosen], f"{limit:,} of {len(new):,} requests: {', '.join(parts)}{rest}"


def row_label(row: Outcome, several_hosts: bool) -> str:  # noqa: FBT001 - one question
    """Return what names a request: its label, else method (unless GET) and path; one harmless line, secrets as ``***``."""
    request = row.request
    name = request.label or (None if request.key is None else str(request.key))
    if name is None:
        url = redact_text(redact_url(request.url, request.secrets), request.secrets)
        rest = url.partition("//")[2] or url
        name = rest if several_hosts else "/" + rest.partition("/")[2] if "/" in rest else rest
    method = "" if request.method == "GET" else f"{request.method} "
    return cut_middle(one_line(method + name), _LABEL_LETTERS)


def row_status(row: Outcome) -> str:
    """Return the status code, or the kind of failure in a word."""
    if row.status is not None and (row.ok or row.error == f"http {row.status}"):
        return str(row.status)
    return {"invalid JSON": "no JSON", "too many redirects": "redirects", "redirect refused": "redirect"}.get(
        row.error or "", row.error or "ok"
    )[:9]


def row_tip(row: Outcome) -> str:
    """Return the exact figures of a request in one line."""
    size = f", {row.response.size_bytes:,} bytes" if row.response else ""
    said = [f"{row.request.method} {shown_url(row)}", f"{row_status(row)}{size}"]
    if row.attempts:
        phases = phases_of(row.attempts[-1].hops)
        figures = {name: getattr(phases, name) for name in ("dns", "connect", "tls", "wait", "receive")}
        seen = [f"{name} {show_ms(value * 1000)}" for name, value in figures.items() if not isnan(value)]
        said.append(", ".join([f"queued {show_ms(row.queued * 1000)}", *seen, f"in all {show_ms(row.elapsed * 1000)}"]))
    if len(row.attempts) > 1:
        said.append(f"{len(row.attempts)} attempts")
    if row.error_detail:
        said.append(shown_detail(row))
    return " | ".join(said)


def shown_url(row: Outcome, limit: int = 200) -> str:
    """Return the request's URL as one harmless line, secrets as ``***``."""
    request = row.request
    return one_line(redact_text(redact_url(request.url, request.secrets), request.secrets), limit)


def shown_detail(row: Outcome, limit: int = 200) -> str:
    """Return the cause of a failure as one harmless line, whatever the request carried as a secret as ``***``."""
    request = row.request
    carried = secret_values(request.url, request.headers, request.content, request.header("content-type"))
    return one_line(redact_text(row.error_detail or "", request.secrets | carried), limit)


def show_ms(milliseconds: float) -> str:
    """Write a duration with three significant figures: 0.42 ms, 8.1 ms, 234 ms, 1.23 s, 2 min 5 s; nothing for NaN."""
    if not isfinite(milliseconds):
        return ""
    for below, form in _FORMS:
        if milliseconds < below:
            return form(milliseconds)
    return show_seconds(milliseconds / 1000)


def cut_middle(text: str, letters: int) -> str:
    """Return the text shortened in its middle to a width in letters; wide characters count twice."""
    if _width(text) <= letters:
        return text
    head, tail = text[: letters * 2 // 3], text[-(letters // 3) :]
    while head and _width(head) > letters * 2 // 3 - 1:
        head = head[:-1]
    while tail and _width(tail) > letters // 3:
        tail = tail[1:]
    return f"{head}…{tail}"


def _width(text: str) -> int:
    return len(text) if text.isascii() else sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def _spread(rows: Sequence[Outcome], count: int) -> list[Outcome]:
    if len(rows) <= count:
        return list(rows)
    return [rows[number * len(rows) // count] for number in range(count)]


def _slowness(row: Outcome) -> float:
    return -row.elapsed if isfinite(row.elapsed) else 0.0
