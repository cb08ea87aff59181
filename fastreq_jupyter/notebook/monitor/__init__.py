"""The live view of a run."""

from __future__ import annotations

from fastreq_jupyter.notebook.monitor.front import built
from fastreq_jupyter.notebook.monitor.widget import Monitor

__all__ = ["Monitor", "built"]
