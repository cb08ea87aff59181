"""A run as a waterfall, drawn without a browser."""

from __future__ import annotations

from fastreq_jupyter.picture.figure import COLOURS, FAILED, Waterfall, draw_svg
from fastreq_jupyter.picture.layout import choose_rows, lay_out, phase_bars, show_ms, shown_detail, shown_url

__all__ = [
    "COLOURS",
    "FAILED",
    "Waterfall",
    "choose_rows",
    "draw_svg",
    "lay_out",
    "phase_bars",
    "show_ms",
    "shown_detail",
    "shown_url",
]
