"""``df.fastreq.waterfall()``: a picture that shows itself in a notebook and saves itself as SVG or PNG."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.files import AtomicFile
from fastreq_jupyter.picture.svg import COLOURS, FAILED, svg

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastreq_jupyter.picture.waterfall import Label, Layout, Rect

__all__ = ["Waterfall"]

_DPI = 192
_POINTS = 72 / 96
_SHOWN = 640
_INK = "#1d2125"
_TONES: dict[str, dict[str, Any]] = {
    "text": {},
    "dim": {"alpha": 0.66},
    "strong": {"weight": "bold", "size": 13 * _POINTS},
    "bad": {"color": FAILED},
}


class Waterfall:
    """Show the waterfall of a run; it is drawn once and never changes.

    Args:
        picture: Its geometry.
    """

    def __init__(self, picture: Layout) -> None:
        self._picture = picture

    def save(self, path: str | Path) -> Path:
        """Write the picture; the file appears whole or not at all.

        Args:
            path: Ends in ``.svg`` or ``.png``; the latter needs matplotlib.

        Returns:
            The path.

        Raises:
            UsageError: Another ending, or matplotlib is missing; one line.
            OSError: The file cannot be written.
        """
        path = Path(path)
        draw = {".svg": lambda: self._repr_svg_().encode(), ".png": lambda: _png(self._picture)}.get(path.suffix.lower())
        if draw is None:
            raise UsageError(f"{path.name!r}: give a file name that ends in .svg or .png")
        content = draw()
        file = AtomicFile(path)
        try:
            file.write(content)
            file.commit()
        finally:
            file.discard()
        return path

    def _repr_html_(self) -> str:
        return f'<div style="max-height:{_SHOWN}px;overflow:auto">{svg(self._picture)}</div>'

    def _repr_svg_(self) -> str:
        return svg(self._picture, alone=True)

    def __repr__(self) -> str:
        return f"<Waterfall {self._picture.summary}>"


def _png(picture: Layout) -> bytes:
    """Draw the same rectangles with matplotlib, two pixels for one; without pyplot, so that no figure of the user's is touched."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra
        from matplotlib.figure import Figure  # noqa: PLC0415 - likewise
    except ImportError:
        raise UsageError("a .png file needs matplotlib: pip install fastreq-jupyter[png], or save as .svg") from None
    figure = Figure(figsize=(picture.width / 96, picture.height / 96), dpi=_DPI, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, picture.width)
    axes.set_ylim(picture.height, 0)
    axes.axis("off")
    _boxes(axes, picture.stripes, _INK, alpha=0.045)
    grid = picture.grid
    axes.vlines(
        [line.x for line in grid], [line.top for line in grid], [line.bottom for line in grid], colors=_INK, alpha=0.16, lw=0.75, zorder=0
    )
    phases = sorted({bar.phase for bar in picture.bars}, key=lambda phase: (phase != "other", phase == "failed"))
    for phase in phases:
        _boxes(axes, [bar for bar in (*picture.legend, *picture.bars) if bar.phase == phase], COLOURS[phase])
    _texts(axes, picture.labels)
    _texts(axes, picture.names)
    buffer = BytesIO()
    with warnings.catch_warnings():
        # a letter that no installed font has is drawn as a box
        warnings.simplefilter("ignore", UserWarning)
        canvas: Any = FigureCanvasAgg(figure)
        canvas.print_png(buffer)
    return buffer.getvalue()


def _boxes(axes: Any, rects: Iterable[Rect], colour: str, alpha: float = 1.0) -> None:
    from matplotlib.collections import PolyCollection  # noqa: PLC0415 - an extra

    corners = [[(r.x, r.y), (r.x + r.width, r.y), (r.x + r.width, r.y + r.height), (r.x, r.y + r.height)] for r in rects]
    axes.add_collection(PolyCollection(corners, facecolors=colour, edgecolors="none", alpha=alpha))


def _texts(axes: Any, labels: Iterable[Label]) -> None:
    for label in labels:
        style = {"color": _INK, "size": 11 * _POINTS, **_TONES[label.tone]}
        align = {"start": "left", "middle": "center", "end": "right"}[label.anchor]
        # parse_math: a text with two dollar signs is no formula
        axes.text(label.x, label.y, label.text, ha=align, va="baseline", parse_math=False, **style)
