"""The door to what survives the process (a journal); the engine knows no more of it than this."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fastreq_jupyter.model import Outcome

if TYPE_CHECKING:
    from fastreq_jupyter.engine.paging import Paging
    from fastreq_jupyter.model import Request
    from fastreq_jupyter.options import Options

__all__ = ["Store", "known_outcome"]


class Store(Protocol):
    """Keep outcomes. All methods are called on the run's loop; none may block it."""

    def find(self, request: Request, position: int) -> Outcome | None:
        """Return the known outcome, or None when the request is to be sent. Called once per request, in order of the plan."""
        ...

    def renew(self, request: Request, position: int) -> None:
        """Take note that a request is sent whatever is known of it: its outcome takes the place of the known one."""
        ...

    async def begin(self, request: Request, position: int) -> None:
        """Return once the mark of an unsafe request is committed; called just before its first attempt."""
        ...

    async def finish(self, outcome: Outcome, content: bytes | None) -> None:
        """Keep an outcome. Returns at once for safe requests (batched), after the commit for unsafe ones; never raises.

        Args:
            outcome: The outcome, its `data` included.
            content: The body's bytes, None where it was saved to a file or never came.
        """
        ...

    def notes(self) -> list[str]:
        """Return lines a person should read: what was reused, or why nothing can be kept any more."""
        ...

    def news(self) -> list[str]:
        """Return lines that should be shown at once, each one time; asked twice a second."""
        ...

    async def close(self) -> None:
        """Commit all that is left and let go of the file; never raises."""
        ...


def known_outcome(request: Request, position: int, store: Store | None, options: Options, paging: Paging | None) -> Outcome | None:
    """Return the outcome of a request that need not be sent, or None."""
    if options.skip_existing and request.save_as is not None and Path(request.save_as).exists():
        return Outcome(position, request, data=request.save_as)
    if store is None:
        return None
    if paging is not None and paging.is_fresh(position):
        store.renew(request, position)
        return None
    return store.find(request, position)
