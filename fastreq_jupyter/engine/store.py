"""The engine's interface to answers that survive the process: a journal or a cache."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fastreq_jupyter.model import Outcome

if TYPE_CHECKING:
    from fastreq_jupyter.engine.paging import Paging
    from fastreq_jupyter.exchange import Exchange
    from fastreq_jupyter.model import Look, Request
    from fastreq_jupyter.options import Options


class Store(Protocol):
    """Where outcomes are kept. All methods are called on the run's loop; none may block it."""

    def find(self, request: Request, position: int) -> Outcome | Look | None:
        """Return the known outcome, or None when the request is to be sent. Called once per request, in order of the plan.

        With option `until` a job that was begun earlier and is not over comes back as a `Look`.
        """
        ...

    def make_conditional(self, exchange: Exchange, position: int) -> Exchange:  # noqa: ARG002 - for a cache
        """Return the exchange with the field lines of a conditional request, if there is an earlier answer."""
        return exchange

    def renew(self, request: Request, position: int) -> None:
        """Take note that a request is sent whatever is known of it: its outcome takes the place of the known one."""
        ...

    async def begin(self, request: Request, position: int) -> None:
        """Return once the mark of an unsafe request is committed; called just before its first attempt."""
        ...

    async def look(self, request: Request, position: int, url: str) -> None:
        """Return once it is committed that a request began a job, which is looked at by this URL."""
        ...

    async def finish(self, outcome: Outcome, content: bytes | None) -> Outcome:
        """Keep an outcome. Returns at once for safe requests (batched), after the commit for unsafe ones; never raises.

        What it returns is the outcome of the request: that which was given, or the known one that a 304 stands for.

        Args:
            outcome: The outcome, its `data` included.
            content: The body's bytes, None where it was saved to a file or never came.
        """
        ...

    def figures(self) -> dict[str, Any] | None:
        """Return what a cache did, small JSON, None where there is none."""
        return None

    def notes(self) -> list[str]:
        """Return lines a person should read: what was reused, or why nothing can be kept any more."""
        ...

    def news(self) -> list[str]:
        """Return lines that should be shown at once, each one time; asked twice a second."""
        ...

    async def close(self) -> None:
        """Commit all that is left and let go of the file; never raises."""
        ...


def known_outcome(request: Request, position: int, store: Store | None, options: Options, paging: Paging | None) -> Outcome | Look | None:
    """Return the outcome of a request that need not be sent, the job that it began earlier, or None."""
    if options.skip_existing and request.save_as is not None and Path(request.save_as).exists():
        return Outcome(position, request, data=request.save_as)
    if store is None:
        return None
    if paging is not None and paging.is_fresh(position):
        store.renew(request, position)
        return None
    return store.find(request, position)
