"""The form's part in the page: its keys stay its own, and without a kernel it says so."""

from __future__ import annotations

from pathlib import Path

import anywidget

__all__ = ["FormPage"]

_STATIC = Path(__file__).parent / "static"


def _built(name: str, otherwise: str) -> Path | str:
    path = _STATIC / name
    return path if path.exists() else otherwise


class FormPage(anywidget.AnyWidget):
    """Stand in a form for what its widgets cannot do themselves."""

    _esm = _built("form.js", "export default {}")
    _css = _built("form.css", "")
