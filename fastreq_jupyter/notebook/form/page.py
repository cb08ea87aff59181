"""The form's part in the page: its keys stay its own, and without a kernel it says so."""

from __future__ import annotations

import anywidget

from fastreq_jupyter.notebook.monitor.widget import built

__all__ = ["FormPage"]


class FormPage(anywidget.AnyWidget):
    """Stand in a form for what its widgets cannot do themselves."""

    _esm = built("form.js", "export default {}")
    _css = built("form.css", "")
