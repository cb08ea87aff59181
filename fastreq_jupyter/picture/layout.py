"""The geometry of a waterfall: outcomes become rectangles, lines and labels in pixels. Drawn by `figure`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import isfinite, isnan
from typing import TYPE_CHECKING
from unicodedata import east_asian_width

from fastreq_jupyter.exchange import SingleAttempt, phases_of
from fastreq_jupyter.model import secrets_of
from fastreq_jupyter.options import show_seconds
from fastreq_jupyter.redact import one_line, redact_text, redact_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from fastreq_jupyter.exchange import Timing
    from fastreq_jupyter.model import Attempt, Outcome

PHASES = ("queued", "dns", "connect", "tls", "wait", "receive", "other", "failed", "retry wait")
"""In order of the legend; `failed` marks the end of an attempt that gave nothing usable."""

ROW = 18.0
"""Height of a row with text, pixels."""
_TEXT_NEEDS = 14.0
_HEAD = 50.0
_TITLE = 18.0
_BOTTOM = 26.0
_STATUS, _REQUEST, _TIME, _BARS = 8.0, 62.0, 350.0, 364.0
_REQUEST_WIDTH = 232.0
_MARGIN = 30.0
_THIN = {"queued": 0.17, "retry wait": 0.12}
_MARK = 3.0
_THICK = 0.62
_LEAST = 1.0
_TENS_END = 20.0
_MINUTES = (30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0)
# Rows taken over from an earlier run began before this one; clocks are read a moment apart.
_GRACE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Rect:
    """One bar: upper left corner and size in pixels, and which phase it shows."""

    x: float
    y: float
    width: float
    height: float
    phase: str


@dataclass(frozen=True, slots=True)
class Label:
    """One text: `y` is its base line, `anchor` start, middle or end, `tone` text, dim, bad or strong."""

    x: float
    y: float
    text: str
    anchor: str = "start"
    tone: str = "text"


@dataclass(frozen=True, slots=True)
class GridLine:
    """One upright line of the grid."""

    x: float
    top: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Layout:
    """All that is to be drawn.

    Attributes:
        width, height: Of the whole, pixels.
        bars: In order of drawing.
        stripes: Background of every second row.
        names: Texts that must be cut at `name_right`: they come from outside.
        name_right: Right edge of the column of names.
        labels: All other texts.
        grid: One line per tick.
        legend: Sample rectangles.
        tips: Upper edge, height and text of each row, for hovering.
        summary: The whole in one line, for screen readers.
    """

    width: float
    height: float
    bars: tuple[Rect, ...]
    stripes: tuple[Rect, ...]
    names: tuple[Label, ...]
    name_right: float
    labels: tuple[Label, ...]
    grid: tuple[GridLine, ...]
    legend: tuple[Rect, ...]
    tips: tuple[tuple[float, float, str], ...]
    summary: str


@dataclass(frozen=True, slots=True)
class _Page:
    """The scale that turns seconds and row numbers into pixels."""

    zero: float
    seconds: float
    left: float
    width: float
    top: float
    row_height: float

    @property
    def has_text(self) -> bool:
        return self.row_height >= _TEXT_NEEDS

    def x(self, at: float) -> float:
        return self.left + (at - self.zero) / self.seconds * self.width

    def row(self, number: int) -> float:
        return self.top + number * self.row_height

    def base(self, number: int) -> float:
        return self.row(number) + self.row_height / 2 + 4.0


def lay_out(  # noqa: PLR0913 - what shapes a picture
    outcomes: Sequence[Outcome],
    *,
    title: str = "",
    since: datetime | None = None,
    limit: int = 200,
    width: float = 960.0,
    row_height: float = ROW,
) -> Layout:
    """Return where everything goes.

    Args:
        outcomes: Rows in order.
        title: First line.
        since: Start of the run: rows that began before are of an earlier one and are only counted.
        limit: Rows drawn at most; which ones is said in the picture.
        width: Of the whole, pixels.
        row_height: Pixels; rows under 14 have no text of their own.
    """
    title = one_line(title)
    drawn, note = choose_rows(outcomes, since, limit)
    bars = [list(phase_bars(row.attempts)) for row in drawn]
    page = _page([bar for row in bars for bar in row], width, _HEAD + (_TITLE if title else 0.0), row_height)
    bottom = page.row(len(drawn))
    ticks = list(_ticks(page)) if drawn else []
    legend, words = _legend({name for row in bars for name, _, _ in row}, page.top - 32.0)
    foot = [Label(_STATUS, bottom + 17.0, note, "start", "dim")] if note else []
    labels = [Label(_STATUS, 18.0, title, "start", "strong"), *words, *_axis(page, ticks), *_columns(page, drawn), *foot]
    return Layout(
        width=width,
        height=bottom + (_BOTTOM if note else 8.0),
        bars=tuple(_rect(bar, page, number) for number, row in enumerate(bars) for bar in row),
        stripes=tuple(Rect(0.0, page.row(n), width, row_height, "stripe") for n in range(0, len(drawn), 2)) if page.has_text else (),
        names=tuple(_names(page, drawn)),
        name_right=_REQUEST + _REQUEST_WIDTH,
        labels=tuple(labels),
        grid=tuple(GridLine(page.x(at + page.zero), page.top - 4, bottom) for at, _ in ticks),
        legend=legend,
        tips=tuple((page.row(number), row_height, row_tip(row)) for number, row in enumerate(drawn)),
        summary=f"{title} {note}".strip(),
    )


def phase_bars(attempts: Sequence[Attempt]) -> Iterator[tuple[str, float, float]]:
    """Give phase, start and end of each bar of a request, seconds of `time.perf_counter`, those behind first."""
    for attempt, following in zip(attempts, [*attempts[1:], None], strict=True):
        if attempt.queued > 0:
            yield "queued", attempt.start - attempt.queued, attempt.start
        bars = [bar for hop in attempt.hops for bar in _hop_bars(hop)]
        ends = [at for at in (attempt.end, *(end for _, _, end in bars)) if isfinite(at)]
        end = max(ends, default=attempt.start)
        if sum(stop - start for _, start, stop in bars) < 0.98 * (end - attempt.start):
            yield "other", attempt.start, end
        yield from bars
        if attempt.error is not None:
            yield "failed", end, end
        if following is not None and following.start - following.queued > end:
            yield "retry wait", end, following.start - following.queued


def _hop_bars(hop: Timing) -> Iterator[tuple[str, float, float]]:
    fresh = not hop.reused
    tcp_end = hop.connect_end if isnan(hop.secure_connection_start) else hop.secure_connection_start
    marks = (
        ("dns", hop.domain_lookup_start, hop.domain_lookup_end, fresh),
        ("connect", hop.connect_start, tcp_end, fresh),
        ("tls", hop.secure_connection_start, hop.connect_end, fresh and hop.encrypted is not False),
        ("wait", hop.request_start, hop.request_start + hop.phases.wait, True),
        ("receive", hop.response_start, hop.response_end, True),
    )
    for name, start, end, took_place in marks:
        if took_place and end > start:
            yield name, start, end


def _page(bars: Sequence[tuple[str, float, float]], width: float, top: float, row_height: float) -> _Page:
    zero = min((start for _, start, _ in bars), default=0.0)
    end = max((stop for _, _, stop in bars), default=1.0)
    left = _BARS if row_height >= _TEXT_NEEDS else _STATUS
    return _Page(zero, max(end - zero, 1e-6), left, width - left - _MARGIN, top, row_height)


def _rect(bar: tuple[str, float, float], page: _Page, number: int) -> Rect:
    name, start, end = bar
    x = page.x(start) - (_MARK if name == "failed" else 0.0)
    thickness = _THIN.get(name, _THICK) if page.has_text else min(0.85, _THIN.get(name, 1.0) * 1.4)
    height = max(thickness * page.row_height, _LEAST)
    return Rect(max(x, page.left), page.row(number) + (page.row_height - height) / 2, max(page.x(end) - x, _LEAST), height, name)


def _ticks(page: _Page) -> Iterator[tuple[float, str]]:
    """Give seconds from zero and text, at most nine of them, at round numbers."""
    rough = page.seconds / 8
    power = 10.0 ** int(f"{rough:e}".partition("e")[2])
    round_numbers = [power * factor for factor in (1, 2, 5, 10)] if rough <= _TENS_END else [*_MINUTES, power * 5, power * 10]
    step = next(number for number in round_numbers if number >= rough)
    for number in range(int(page.seconds / step + 1e-9) + 1):
        yield number * step, _tick_text(number * step, step)


def _tick_text(seconds: float, step: float) -> str:
    if not seconds:
        return "0"
    if step < 1 and seconds < 1:
        return f"{seconds * 1000:.{0 if step >= 0.001 else 2}f} ms"
    if step >= _MINUTES[1]:
        return f"{seconds / 60:g} min"
    return f"{seconds:.{max(0, -int(f'{step:e}'.partition('e')[2]))}f} s"


def _axis(page: _Page, ticks: Sequence[tuple[float, str]]) -> Iterator[Label]:
    for at, text in ticks:
        yield Label(page.x(at + page.zero), page.top - 10, text, "middle", "dim")
    if page.has_text and ticks:
        for x, text, anchor in ((_STATUS, "status", "start"), (_REQUEST, "request", "start"), (_TIME, "time", "end")):
            yield Label(x, page.top - 10, text, anchor, "dim")


def _columns(page: _Page, rows: Sequence[Outcome]) -> Iterator[Label]:
    for number, row in enumerate(rows if page.has_text else ()):
        yield Label(_STATUS, page.base(number), row_status(row), "start", "dim" if row.ok else "bad")
        if isfinite(row.elapsed):
            yield Label(_TIME, page.base(number), show_ms(row.elapsed * 1000), "end", "dim")


def _names(page: _Page, rows: Sequence[Outcome]) -> Iterator[Label]:
    hosts = {row.request.url.partition("//")[2].partition("/")[0] for row in rows}
    for number, row in enumerate(rows if page.has_text else ()):
        yield Label(_REQUEST, page.base(number), row_label(row, len(hosts) > 1), "start", "text" if row.ok else "bad")


def _legend(seen: set[str], middle: float) -> tuple[tuple[Rect, ...], list[Label]]:
    samples: list[Rect] = []
    words: list[Label] = []
    x = _STATUS
    for name in PHASES:
        if name in seen:
            height = {"queued": 3.0, "retry wait": 2.0}.get(name, 10.0)
            sample = Rect(x, middle - height / 2, _MARK if name == "failed" else 14.0, height, name)
            text = {"other": "phases not seen"}.get(name, name)
            samples.append(sample)
            words.append(Label(x + sample.width + 5.0, middle + 4.0, text, "start", "dim"))
            x += sample.width + 20.0 + 6.2 * len(text)
    return tuple(samples), words


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


def choose_rows(every: Sequence[Outcome], since: datetime | None, limit: int) -> tuple[list[Outcome], str]:
    """Return the rows to draw, in order, and a line that says what is left out.

    Where there are too many: failed and retried ones (up to two fifths), the slowest (up to three tenths), the others evenly spread.

    Args:
        every: All rows.
        since: Start of the run: rows that began before are of an earlier one and are only counted; None takes all that were sent.
        limit: How many are drawn at most.
    """
    earliest = 0 if since is None else round((since - _GRACE).timestamp() * 1e6)
    new = [row for row in every if (began := row.started_us) is not None and began >= earliest]
    left_out = []
    unsent = sum(not row.attempts for row in every) if len(every) > len(new) else 0
    if unsent:
        left_out.append(f"{unsent:,} never sent")
    if earlier := len(every) - unsent - len(new):
        left_out.append(f"{earlier:,} known from an earlier run")
    rest = f"; not drawn: {', '.join(left_out)}" if left_out else ""
    if len(new) <= limit:
        return list(new), rest.removeprefix("; ") or ("" if new else "no request was sent")
    troubled = [row for row in new if row.error is not None or (type(row.attempts) is not SingleAttempt and len(row.attempts) > 1)]
    chosen = {id(row): row for row in _spread(troubled, int(limit * _TROUBLED))}
    first = len(chosen)
    left = (row for row in new if id(row) not in chosen)
    slow = sorted(left, key=lambda row: row.elapsed if isfinite(row.elapsed) else 0.0, reverse=True)[: int(limit * _SLOWEST)]
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
    parts = [f"{row.request.method} {shown_url(row)}", f"{row_status(row)}{size}"]
    if row.attempts:
        phases = phases_of(row.attempts[-1].hops)
        figures = {name: getattr(phases, name) for name in ("dns", "connect", "tls", "wait", "receive")}
        seen = [f"{name} {show_ms(value * 1000)}" for name, value in figures.items() if not isnan(value)]
        parts.append(", ".join([f"queued {show_ms(row.queued * 1000)}", *seen, f"in all {show_ms(row.elapsed * 1000)}"]))
    if len(row.attempts) > 1:
        parts.append(f"{len(row.attempts)} attempts")
    if row.error_detail:
        parts.append(shown_detail(row))
    return " | ".join(parts)


def shown_url(row: Outcome, limit: int = 200) -> str:
    """Return the request's URL as one harmless line, secrets as ``***``."""
    request = row.request
    return one_line(redact_text(redact_url(request.url, request.secrets), request.secrets), limit)


def shown_detail(row: Outcome, limit: int = 200) -> str:
    """Return the cause of a failure as one harmless line, whatever the request carried as a secret as ``***``."""
    return one_line(redact_text(row.error_detail or "", secrets_of(row.request)), limit)


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
