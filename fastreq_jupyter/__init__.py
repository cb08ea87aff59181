"""Send many HTTP requests from a notebook cell and get a pandas DataFrame.

    %load_ext fastreq_jupyter                           the magics %fastreq and %%fastreq
    from fastreq_jupyter import fastreq                 the same in Python

Names are imported when they are first used: importing this package brings in neither IPython nor pandas nor an HTTP library.
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

    from fastreq_jupyter.auth import NTLM as NTLM
    from fastreq_jupyter.auth import ApiKey as ApiKey
    from fastreq_jupyter.auth import Digest as Digest
    from fastreq_jupyter.auth import Negotiate as Negotiate
    from fastreq_jupyter.auth import OAuth2 as OAuth2
    from fastreq_jupyter.auth import SigV4 as SigV4
    from fastreq_jupyter.client import FastRequests as FastRequests
    from fastreq_jupyter.client import fastreq as fastreq
    from fastreq_jupyter.client import fastreq_async as fastreq_async
    from fastreq_jupyter.client import fastreq_stream as fastreq_stream
    from fastreq_jupyter.client import last_run as last_run
    from fastreq_jupyter.client import partition_plan as partition_plan
    from fastreq_jupyter.client import submit as submit
    from fastreq_jupyter.engine import Run as Run
    from fastreq_jupyter.engine import StreamedOutcome as StreamedOutcome
    from fastreq_jupyter.errors import BackendError as BackendError
    from fastreq_jupyter.errors import CellSyntaxError as CellSyntaxError
    from fastreq_jupyter.errors import FastreqError as FastreqError
    from fastreq_jupyter.errors import InsecureWarning as InsecureWarning
    from fastreq_jupyter.errors import JournalError as JournalError
    from fastreq_jupyter.errors import OptionError as OptionError
    from fastreq_jupyter.errors import PartialFailureError as PartialFailureError
    from fastreq_jupyter.errors import RunError as RunError
    from fastreq_jupyter.errors import SourceError as SourceError
    from fastreq_jupyter.errors import UsageError as UsageError
    from fastreq_jupyter.exchange import Response as Response
    from fastreq_jupyter.frame import load as load
    from fastreq_jupyter.model import Outcome as Outcome
    from fastreq_jupyter.model import Request as Request
    from fastreq_jupyter.notebook import Monitor as Monitor
    from fastreq_jupyter.notebook import Panel as Panel
    from fastreq_jupyter.options import ReturnType as ReturnType

_HOMES = {
    "auth": ("NTLM", "ApiKey", "Digest", "Negotiate", "OAuth2", "SigV4"),
    "client": ("FastRequests", "fastreq", "fastreq_async", "fastreq_stream", "last_run", "partition_plan", "submit"),
    "engine": ("Run", "StreamedOutcome"),
    "errors": (
        "BackendError", "CellSyntaxError", "FastreqError", "InsecureWarning", "JournalError", "OptionError", "PartialFailureError",
        "RunError", "SourceError", "UsageError",
    ),
    "exchange": ("Response",),
    "frame": ("load",),
    "model": ("Outcome", "Request"),
    "notebook": ("Monitor", "Panel"),
    "options": ("ReturnType",),
}  # fmt: skip
_ACCESSOR = "fastreq"
_PUBLIC = {name: home for home, names in _HOMES.items() for name in names}

__version__ = "0.1.0"
__all__ = sorted([*_PUBLIC, "__version__", "load_ipython_extension", "unload_ipython_extension"])  # noqa: PLE0605 - made from the table above


def __getattr__(name: str) -> Any:
    if name == "demo":
        return import_module(f"{__name__}.demo")
    home = _PUBLIC.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if home == "client":
        _show_runs()
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    # Names that tab completion offers, instead of everything imported.
    return sorted({*__all__, "demo", *(name for name in globals() if name.startswith("__"))})


def load_ipython_extension(ipython: Any) -> None:
    """Do what ``%load_ext fastreq_jupyter`` asks for: magics, completion, live views.

    Args:
        ipython: The shell, which IPython passes.
    """
    _show_runs()
    import_module(f"{__name__}.notebook").load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """Take back what ``%load_ext`` did; runs under way go on.

    Args:
        ipython: The shell, which IPython passes.
    """
    import_module(f"{__name__}.notebook").unload(ipython)


def _show_runs() -> None:
    """Let whoever waits for a run show it; how is found out when there is one to show."""
    client = import_module(f"{__name__}.client")
    client.show_with(lambda options: import_module(f"{__name__}.notebook").open_display(options))


def _offer_accessor() -> None:
    """Put ``df.fastreq`` onto pandas: now if it is there, else as soon as it is imported, which is not done here."""
    pandas = sys.modules.get("pandas")
    if hasattr(pandas, "DataFrame"):
        _attach()
    elif not any(isinstance(finder, _WaitForPandas) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WaitForPandas())


class _WaitForPandas(MetaPathFinder):
    """A finder that waits for the import of pandas, lets the usual finders do it, and leaves."""

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
    if _ACCESSOR not in vars(pandas.DataFrame):
        pandas.api.extensions.register_dataframe_accessor(_ACCESSOR)(_open)


def _open(frame: Any) -> Any:
    """Requests made from the rows of a frame, and what can be done with the frame of a run."""
    # The rest of the package is imported at first use, not together with pandas.
    return import_module(f"{__name__}.client.accessor").FastreqAccessor(frame)


_offer_accessor()
