"""What a run tells while it goes on. Listeners are called on the engine's loop, in order; they must be quick and never raise.

    RunStarted  AttemptStarted  ResponseStarted  AttemptFinished  RetryScheduled  Finished  RunFinished

Times are seconds of `time.perf_counter`. Named tuples, since five are made for each request while somebody listens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fastreq_jupyter.model import Attempt, Outcome, Request

__all__ = [
    "AttemptFinished",
    "AttemptStarted",
    "Event",
    "Finished",
    "Listener",
    "Notice",
    "ResponseStarted",
    "RetryScheduled",
    "RunFinished",
    "RunStarted",
    "StateChanged",
]


class RunStarted(NamedTuple):
    """The first request is about to be drawn."""

    at: float
    total: int | None


class AttemptStarted(NamedTuple):
    """A slot and a rate token were had; the exchange begins."""

    position: int
    request: Request
    number: int
    at: float


class ResponseStarted(NamedTuple):
    """The head of the final response was read."""

    position: int
    status: int
    at: float


class AttemptFinished(NamedTuple):
    """One try ended, well or not."""

    position: int
    attempt: Attempt


class RetryScheduled(NamedTuple):
    """The request waits, without a slot, until `until`."""

    position: int
    until: float
    reason: str


class Finished(NamedTuple):
    """A request has its outcome."""

    outcome: Outcome


class StateChanged(NamedTuple):
    """The state of the run changed: PENDING RUNNING PAUSED CANCELLING DONE CANCELLED."""

    state: str


class Notice(NamedTuple):
    """Something a person should read: a host was told to wait, a breaker opened."""

    text: str


class RunFinished(NamedTuple):
    """Every request drawn has its outcome."""

    at: float
    state: str


Event = RunStarted | AttemptStarted | ResponseStarted | AttemptFinished | RetryScheduled | Finished | StateChanged | Notice | RunFinished
Listener = Callable[[Event], None]
