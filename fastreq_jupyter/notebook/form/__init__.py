"""A form made from the table of options."""

from __future__ import annotations

from fastreq_jupyter.notebook.form.panel import Panel

__all__ = ["Panel"]
