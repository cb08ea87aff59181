"""Send many HTTP requests from a notebook cell and get a pandas DataFrame.

    %load_ext fastreq_jupyter                           the magics %fastreq and %%fastreq
    from fastreq_jupyter import fastreq                 the same in Python

Names are imported when they are first used: importing this package brings in neither IPython nor pandas nor an HTTP library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.client.pandas_hook import register as _register

if TYPE_CHECKING:
    from fastreq_jupyter.auth import NTLM as NTLM
    from fastreq_jupyter.auth import ApiKey as ApiKey
    from fastreq_jupyter.auth import Digest as Digest
    from fastreq_jupyter.auth import Negotiate as Negotiate
    from fastreq_jupyter.auth import OAuth2 as OAuth2
    from fastreq_jupyter.auth import SigV4 as SigV4
    from fastreq_jupyter.client.api import FastRequests as FastRequests
    from fastreq_jupyter.client.api import fastreq as fastreq
    from fastreq_jupyter.client.api import fastreq_async as fastreq_async
    from fastreq_jupyter.client.api import fastreq_stream as fastreq_stream
    from fastreq_jupyter.client.api import last_run as last_run
    from fastreq_jupyter.client.api import submit as submit
    from fastreq_jupyter.engine.run import Run as Run
    from fastreq_jupyter.engine.streaming import StreamedOutcome as StreamedOutcome
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
    from fastreq_jupyter.frame.files import load as load
    from fastreq_jupyter.model import Outcome as Outcome
    from fastreq_jupyter.model import Request as Request
    from fastreq_jupyter.model import Response as Response
    from fastreq_jupyter.notebook.form.panel import Panel as Panel
    from fastreq_jupyter.notebook.monitor.widget import Monitor as Monitor
    from fastreq_jupyter.options import ReturnType as ReturnType

_HOMES = {
    "auth": ("NTLM", "ApiKey", "Digest", "Negotiate", "OAuth2", "SigV4"),
    "options": ("ReturnType",),
    "client.api": ("FastRequests", "fastreq", "fastreq_async", "fastreq_stream", "last_run", "submit"),
    "engine.run": ("Run",),
    "engine.streaming": ("StreamedOutcome",),
    "errors": (
        "BackendError", "CellSyntaxError", "FastreqError", "InsecureWarning", "JournalError", "OptionError", "PartialFailureError",
        "RunError", "SourceError", "UsageError",
    ),
    "frame.files": ("load",),
    "model": ("Outcome", "Request", "Response"),
    "notebook.monitor.widget": ("Monitor",),
    "notebook.form.panel": ("Panel",),
}  # fmt: skip
_PUBLIC = {name: home for home, names in _HOMES.items() for name in names}

__version__ = "0.1.0"
__all__ = sorted([*_PUBLIC, "__version__", "load_ipython_extension", "unload_ipython_extension"])  # noqa: PLE0605 - made from the table above


def __getattr__(name: str) -> Any:
    if name == "demo":
        return import_module(f"{__name__}.demo")
    home = _PUBLIC.get(name)
    if home is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    if home == "client.api":
        _show_runs()
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    # What a person is offered by the Tab key, not what happens to be imported.
    return sorted({*__all__, "demo", *(name for name in globals() if name.startswith("__"))})


def load_ipython_extension(ipython: Any) -> None:
    """Do what ``%load_ext fastreq_jupyter`` asks for: magics, completion, live views."""
    _show_runs()
    import_module(f"{__name__}.notebook.magic").load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """Take back what ``%load_ext`` did; runs under way go on."""
    import_module(f"{__name__}.notebook.magic").unload(ipython)


def _show_runs() -> None:
    """Let whoever waits for a run show it; how is found out when there is one to show."""
    call = import_module(f"{__name__}.client.call")
    call.show_with(lambda options: import_module(f"{__name__}.notebook.display").open_display(options))


# df.fastreq is there wherever pandas is, whichever was imported first; this imports nothing
_register()
