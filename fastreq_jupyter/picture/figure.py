"""``df.fastreq.waterfall()``: a picture that shows itself in a notebook and saves itself as SVG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.files import write_whole
from fastreq_jupyter.picture.svg import draw_svg

if TYPE_CHECKING:
    from fastreq_jupyter.picture.layout import Layout

__all__ = ["Waterfall"]

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
        write_whole(path, self._repr_svg_().encode())
        return path

    def _repr_html_(self) -> str:
        return f'<div style="max-height:{_SHOWN}px;overflow:auto">{draw_svg(self._picture)}</div>'

    def _repr_svg_(self) -> str:
        return draw_svg(self._picture, alone=True)

    def __repr__(self) -> str:
        return f"<Waterfall {self._picture.summary}>"
