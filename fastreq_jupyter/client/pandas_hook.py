"""Puts ``df.fastreq`` onto pandas when both are there, whichever comes first, without importing pandas for it.

Where pandas is not imported yet, one finder waits for that import, lets the usual ones do it, and leaves.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["register"]

_NAME = "fastreq"


def register() -> None:
    """Register the accessor now if pandas is there, else as soon as it is imported; can be called again."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and hasattr(pandas, "DataFrame"):
        _attach()
    elif not any(isinstance(finder, _WaitForPandas) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WaitForPandas())


class _WaitForPandas(MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:  # noqa: ARG002 - the protocol
        if fullname != "pandas":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        loader: Any = None if spec is None else spec.loader
        if loader is None:
            # not installed: perhaps it is later
            sys.meta_path.insert(0, self)
            return None
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _attach()

        loader.exec_module = exec_module
        return spec


def _attach() -> None:
    pandas = import_module("pandas")
    if _NAME not in vars(pandas.DataFrame):
        pandas.api.extensions.register_dataframe_accessor(_NAME)(_open)


def _open(frame: Any) -> Any:
    """Requests made from the rows of a frame, and what can be done with the frame of a run."""
    # The rest of the package is loaded when it is used, not with pandas.
    return import_module("fastreq_jupyter.client.accessor").FastreqAccessor(frame)
