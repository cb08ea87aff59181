"""``df.fastreq.waterfall()``: a picture that shows itself in a notebook and saves itself as SVG."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fastreq_jupyter.picture.layout import Label, Layout, Rect

_SHOWN = 640


class Waterfall:
    """The waterfall of a run; it is drawn once and never changes.

    Args:
        picture: Its geometry.
    """

    def __init__(self, picture: Layout) -> None:
        self._picture = picture

    def save(self, path: str | Path) -> Path:
        """Write the picture; the file appears whole or not at all.

        Args:
            path: Ends in ``.svg``.

        Returns:
            The path.

        Raises:
            UsageError: Another ending; one line.
            OSError: The file cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() != ".svg":
            raise UsageError(f"{path.name!r}: give a file name that ends in .svg")
        write_whole(path, (self._repr_svg_().encode(),))
        return path

    def _repr_html_(self) -> str:
        return f'<div style="max-height:{_SHOWN}px;overflow:auto">{draw_svg(self._picture)}</div>'

    def _repr_svg_(self) -> str:
        return draw_svg(self._picture, alone=True)

    def __repr__(self) -> str:
        return f"<Waterfall {self._picture.summary}>"


COLOURS = {
    "queued": "#9aa3ad",
    "dns": "#0f9aa0",
    "connect": "#e8871e",
    "tls": "#a45fd0",
    "wait": "#35a660",
    "receive": "#2f86dd",
    "other": "#8d97a1",
    "failed": "#e0483a",
    "retry wait": "#d1860b",
}
FAILED = COLOURS["failed"]
"""Colour of whatever failed."""
_TEXT = 'font-family="system-ui,-apple-system,\'Segoe UI\',Roboto,\'Helvetica Neue\',Arial,sans-serif" font-size="11" fill="currentColor"'
_SCHEMES = "<style>svg{color:#1d2125;background:#fff}@media (prefers-color-scheme:dark){svg{color:#e6e9ec;background:#15181c}}</style>"
_TONES = {"text": "", "dim": ' fill-opacity=".66"', "strong": ' font-weight="600" font-size="13"', "bad": f' fill="{FAILED}"'}
# A grey that is readable on any background cannot be made paler.
_PLAIN_TONES = _TONES | {"dim": ""}


def draw_svg(picture: Layout, *, alone: bool = False, tips: bool = True, ink: str = "currentColor") -> str:
    """Return the picture as SVG.

    Args:
        picture: Its geometry.
        alone: A file of its own, with its own background; False is for the inside of a page.
        tips: Say the figures of a row where the pointer rests on it.
        ink: Colour of text and lines; the surrounding page's by default.
    """
    size = f'viewBox="0 0 {_n(picture.width)} {_n(picture.height)}" width="{_n(picture.width)}" height="{_n(picture.height)}"'
    name = escape(picture.summary or "waterfall", quote=True)
    fluid = "" if alone else ' style="max-width:100%;height:auto"'
    tones = _TONES if ink == "currentColor" else _PLAIN_TONES
    cut = (
        f'<svg x="0" y="0" width="{_n(picture.name_right)}" height="{_n(picture.height)}">{_texts(picture.names, tones)}</svg>'
        if picture.names
        else ""
    )
    grid = "".join(f"M{_n(line.x)} {_n(line.top)}V{_n(line.bottom)}" for line in picture.grid)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{name}" color="{ink}" {_TEXT}{fluid}>',
        _SCHEMES if alone else "",
        f'<path d="{_boxes(picture.stripes)}" fill-opacity=".045"/>' if picture.stripes else "",
        f'<path d="{grid}" stroke="currentColor" stroke-opacity=".16" fill="none"/>',
        _bars((*picture.legend, *picture.bars)),
        _texts(picture.labels, tones),
        cut,
        _tips(picture) if tips else "",
        "</svg>",
    ]
    return "".join(parts)


def _bars(bars: Iterable[Rect]) -> str:
    """Return one path per colour: a fraction of the size of one element per bar."""
    paths: dict[str, list[Rect]] = {}
    for bar in bars:
        paths.setdefault(bar.phase, []).append(bar)
    # Bars in the background are drawn first.
    order = sorted(paths, key=lambda phase: (phase != "other", phase == "failed", phase))
    return "".join(f'<path d="{_boxes(paths[phase])}" fill="{COLOURS[phase]}"/>' for phase in order)


def _boxes(rects: Iterable[Rect]) -> str:
    return "".join(f"M{_n(r.x)} {_n(r.y)}h{_n(r.width)}v{_n(r.height)}h-{_n(r.width)}z" for r in rects)


def _texts(labels: Iterable[Label], tones: Mapping[str, str]) -> str:
    return "".join(
        f'<text x="{_n(label.x)}" y="{_n(label.y)}"{_anchor(label)}{tones[label.tone]}>{escape(label.text, quote=False)}</text>'
        for label in labels
        if label.text
    )


def _anchor(label: Label) -> str:
    return "" if label.anchor == "start" else f' text-anchor="{label.anchor}"'


def _tips(picture: Layout) -> str:
    return '<g fill-opacity="0">' + "".join(
        f'<rect y="{_n(top)}" width="{_n(picture.width)}" height="{_n(height)}"><title>{escape(text, quote=False)}</title></rect>'
        for top, height, text in picture.tips
    ) + "</g>"  # fmt: skip


def _n(value: float) -> str:
    """Write a length with one decimal at most."""
    return f"{value:.1f}".removesuffix(".0")
