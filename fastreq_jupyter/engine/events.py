"""What a run tells while it goes on. Listeners are called on the engine's loop, in order; they must be quick and never raise.

    RunStarted  AttemptStarted  ResponseStarted  AttemptFinished  RetryScheduled  Finished  RunFinished

Times are seconds of `time.perf_counter`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

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


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The first request is about to be drawn."""

    at: float
    total: int | None


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """A slot and a rate token were had; the exchange begins."""

    position: int
    request: Request
    number: int
    at: float


@dataclass(frozen=True, slots=True)
class ResponseStarted:
    """The head of the final response was read."""

    position: int
    status: int
    at: float


@dataclass(frozen=True, slots=True)
class AttemptFinished:
    """One try ended, well or not."""

    position: int
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """The request waits, without a slot, until `until`."""

    position: int
    until: float
    reason: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A request has its outcome."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The state of the run changed: PENDING RUNNING PAUSED CANCELLING DONE CANCELLED."""

    state: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person should read: a host was told to wait, a breaker opened."""

    text: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """Every request drawn has its outcome."""

    at: float
    state: str


Event = RunStarted | AttemptStarted | ResponseStarted | AttemptFinished | RetryScheduled | Finished | StateChanged | Notice | RunFinished
Listener = Callable[[Event], None]
