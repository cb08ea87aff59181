"""The panel's code and styles, once for all panels of a notebook: each panel names this model and gets them from it.

anywidget would keep both in each panel, 50 kB a run in a notebook that is saved with its widgets.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import ipywidgets
import traitlets

_STATIC = Path(__file__).parents[1] / "static"
NOT_BUILT = "export default () => ({ render({ el }) { el.textContent = 'fastreq: the panel was not built: npm run build in js/' } })"


class _Front(ipywidgets.Widget):  # type: ignore[misc]  # ipywidgets has no types
    """Code and styles as a model without a view."""

    code = traitlets.Unicode().tag(sync=True)
    styles = traitlets.Unicode().tag(sync=True)


_held: dict[str, Any] = {}


def built(name: str, otherwise: str) -> Path | str:
    """Return a file of the front end, or what stands for it where that was not built."""
    path = _STATIC / name
    return path if path.exists() else otherwise


def shared() -> dict[str, Any]:
    """Return the traits that all panels have in common: the id of the model that holds their code, and one layout.

    They are made at the first question, and anew where they were closed.
    """
    if any(widget.comm is None for widget in _held.values()) or not _held:
        _held["front"] = _Front(code=text_of("monitor.js", NOT_BUILT), styles=text_of("monitor.css", ""))
        _held["layout"] = ipywidgets.Layout()
    return {"front": _held["front"].model_id, "layout": _held["layout"]}


def needs_own_code() -> bool:
    """Tell whether a panel cannot get at other models: marimo shows each widget by itself, and saves none."""
    running = getattr(sys.modules.get("marimo"), "running_in_notebook", None)
    return running is not None and bool(running())


def text_of(name: str, otherwise: str) -> str:
    """Return what stands in a file of the front end, or what stands for it where that was not built."""
    file = built(name, otherwise)
    return file.read_text(encoding="utf-8") if isinstance(file, Path) else file
