"""How a host is doing within a run: a breaker for one that is down, a stop for one that refuses our credentials."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Health"]

_REFUSALS = frozenset({401, 403})
_ENOUGH_REFUSALS = 20
_LEAST_FAILURES = 20


@dataclass(slots=True)
class Health:
    """The answers of one host, counted.

    A host without one success in max(20, 2 x concurrency) consecutive attempts is *down*: it gets single attempts until
    one succeeds. A host whose first 20 answers are all 401, or all 403, *refuses* us.

    Attributes:
        concurrency: Requests in flight of the run.
        failures: Consecutive attempts without success.
        trips: How often it went down.
        settled: One more success would change nothing here.
    """

    concurrency: int
    failures: int = 0
    trips: int = 0
    settled: bool = False
    _answers: int = 0
    _refusal: int | None = None
    _mixed: bool = False

    @property
    def down(self) -> bool:
        """Tell whether only single attempts are allowed."""
        return self.failures >= max(_LEAST_FAILURES, 2 * self.concurrency)

    @property
    def refusing(self) -> int | None:
        """Return 401 or 403 where the first 20 answers were all that, else None."""
        return self._refusal if self._answers >= _ENOUGH_REFUSALS and not self._mixed else None

    def record(self, status: int | None, *, success: bool) -> bool:
        """Count one attempt.

        Args:
            status: Status code, None where no response came.
            success: The attempt got an answer that is not worth a retry.

        Returns:
            True when this attempt made the host count as down.
        """
        was_down = self.down
        self.failures = 0 if success else self.failures + 1
        if status is not None and not self._mixed and self._answers < _ENOUGH_REFUSALS:
            self._mixed = status not in _REFUSALS or self._refusal not in (None, status)
            self._refusal = status
            self._answers += 1
        tripped = self.down and not was_down
        self.trips += tripped
        self.settled = not self.failures and (self._mixed or self._answers >= _ENOUGH_REFUSALS)
        return tripped
