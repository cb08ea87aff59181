"""The door to what survives the process (a journal); the engine knows no more of it than this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fastreq_jupyter.model import Look, Outcome, Request

__all__ = ["Store"]


class Store(Protocol):
    """Keep outcomes. All methods are called on the run's loop; none may block it."""

    def find(self, request: Request, position: int) -> Outcome | Look | None:
        """Return the known outcome, or None when the request is to be sent. Called once per request, in order of the plan.

        With option `until` a job that was begun earlier and is not over comes back as a `Look`.
        """
        ...

    async def begin(self, request: Request, position: int) -> None:
        """Return once the mark of an unsafe request is committed; called just before its first attempt."""
        ...

    async def look(self, request: Request, position: int, url: str) -> None:
        """Return once it is committed that a request began a job, which is looked at by this URL."""
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
