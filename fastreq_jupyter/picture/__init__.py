"""A run as a waterfall, drawn without a browser."""

from __future__ import annotations

from fastreq_jupyter.picture.figure import FAILED, Waterfall, draw_svg
from fastreq_jupyter.picture.layout import ROW, lay_out, show_ms, shown_detail, shown_url

__all__ = ["FAILED", "ROW", "Waterfall", "draw_svg", "lay_out", "show_ms", "shown_detail", "shown_url"]
