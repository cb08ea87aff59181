"""Applies ``concurrency="auto"``: passes answers to the policy of each host and its limits to the run."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from math import isnan
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from fastreq_jupyter.options import Rate
from fastreq_jupyter.policy import MOST, START, Adaptive, Pace, reset_after

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastreq_jupyter.engine.attempt import Job
    from fastreq_jupyter.engine.limits import HostQueue
    from fastreq_jupyter.exchange import Response
    from fastreq_jupyter.options import Options

__all__ = ["AutoLimit", "AutoLimits", "most_in_flight"]

_TICK = 0.1
# Every loop is late by less than this now and then.
_LATE = 0.02


class AutoLimit(NamedTuple):
    """The current state of ``concurrency="auto"``.

    Attributes:
        limit: Requests in flight at most, all hosts together.
        reason: Why, a few words; of the host that has the most.
        advice: The number to give next time, None where nothing was measured.
    """

    limit: int
    reason: str
    advice: int | None


class AutoLimits:
    """The limits of a run's hosts while ``concurrency`` is "auto"; on the run's loop alone.

    Args:
        resize: Told how many workers there should be.
        per_host: Upper bound for each host, None for none.
    """

    def __init__(self, resize: Callable[[int], None], per_host: int | None) -> None:
        self._resize = resize
        self._per_host = per_host
        self._policies: dict[HostQueue, Adaptive] = {}
        self._paces: dict[HostQueue, Pace] = {}
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(_TICK, self._tick, self._loop.time() + _TICK)

    @property
    def state(self) -> AutoLimit:
        """Return the current state; from any thread."""
        policies = list(self._policies.values())
        if not policies:
            return AutoLimit(START, Adaptive().reason, None)
        highest = max(policies, key=lambda policy: policy.limit)
        advice = sum(policy.advice or 0 for policy in policies)
        rates = [pace.rate for pace in list(self._paces.values()) if pace.rate is not None]
        reason = f"{highest.reason}; http 429: {min(rates):.3g}/s a host" if rates else highest.reason
        return AutoLimit(self._slots(), reason, min(advice, MOST) or None)

    def meet(self, host: HostQueue) -> None:
        """Start to limit a host."""
        self._policies[host] = Adaptive()
        self._apply(host)

    def bound(self, per_host: int | None) -> None:
        """Change the upper bound for each host."""
        self._per_host = per_host
        for host in self._policies:
            self._apply(host)

    def learn(self, job: Job) -> None:
        """Learn from an attempt that has ended."""
        host, failure, response = job.host, job.failure, job.response
        policy = self._policies[host]
        status = None if failure is not None or response is None else response.status
        if status == 429:
            policy.disturbed()
            # The answer states when to come again: the host pauses until then.
            if response is not None and not _tells_when(response) and self._pace(host).refused(perf_counter(), began=job.start):
                self._apply_rate(host)
        elif status == 503 or (failure is not None and failure.kind == "timeout"):
            why = "timeout" if status is None else f"http {status}"
            if policy.refused(perf_counter(), began=job.start, why=why):
                self._apply(host)
        elif status is not None:
            hop = job.hops[-1]
            wait = hop.response_start - hop.request_start
            # Not every backend sees both marks.
            wait = job.head_at - job.start if isnan(wait) else wait
            if policy.answered(perf_counter(), began=job.start, wait=wait, in_flight=host.active):
                self._apply(host)
            if self._pace(host).answered(perf_counter()):
                self._apply_rate(host)

    def disturbed(self) -> None:
        """Begin all windows anew: the run was paused or goes on."""
        for policy in self._policies.values():
            policy.disturbed()

    def stop(self) -> None:
        """End the timer, lift the rates; can be called twice."""
        self._timer.cancel()
        for host in self._paces:
            host.host.limit(self, None, 1)
            host.pump()

    def _slots(self) -> int:
        return min(MOST, sum(policy.limit if host.cap is None else host.cap for host, policy in self._policies.items())) or START

    def _apply(self, host: HostQueue) -> None:
        limit = self._policies[host].limit
        host.cap = limit if self._per_host is None else min(limit, self._per_host)
        host.health.concurrency = host.cap
        host.pump()
        self._resize(self._slots())

    def _pace(self, host: HostQueue) -> Pace:
        return self._paces.get(host) or self._paces.setdefault(host, Pace())

    def _apply_rate(self, host: HostQueue) -> None:
        rate = self._paces[host].rate
        if rate is not None:
            host.host.limit(self, Rate(rate), 1)

    def _tick(self, due: float) -> None:
        now = self._loop.time()
        if now - due > _LATE:
            for policy in self._policies.values():
                policy.late(now - due)
        self._timer = self._loop.call_later(_TICK, self._tick, now + _TICK)


def most_in_flight(options: Options) -> int:
    """Return how many requests of a run may be in flight at any time."""
    return MOST if options.concurrency == "auto" else options.concurrency


def _tells_when(response: Response) -> bool:
    return response.header("retry-after") is not None or reset_after(response.header, datetime.now(UTC)) is not None
