"""All that knows it is in a notebook; what is named here is imported when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastreq_jupyter.notebook.display import open_display
    from fastreq_jupyter.notebook.form import Panel
    from fastreq_jupyter.notebook.magic import load, unload
    from fastreq_jupyter.notebook.monitor import Monitor

__all__ = ["Monitor", "Panel", "load", "open_display", "unload"]

# Imported on demand: a view of a run needs no form, a magic neither.
_HOMES = {"Monitor": "monitor", "Panel": "form", "load": "magic", "open_display": "display", "unload": "magic"}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{home}"), name)
