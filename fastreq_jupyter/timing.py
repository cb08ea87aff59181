"""Marks of one exchange, and the durations made from them.

Marks are named after W3C Resource Timing (snake case), durations after HAR 1.2. All marks are seconds of one monotonic
clock (`time.perf_counter`). A mark nobody saw is NaN, and so is every duration that needs it: a phase is 0 only where
it truly took none (a reused connection has dns, connect and tls of 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Phases", "Timing", "phases_of"]


@dataclass(slots=True)
class Timing:
    """The marks of one exchange (one redirect hop), seconds of `time.perf_counter`, NaN where unseen.

    Filled in place while the exchange goes on: the engine sets `fetch_start` and `response_end`, the backend the others as
    far as it can see them.
    """

    fetch_start: float = nan
    domain_lookup_start: float = nan
    domain_lookup_end: float = nan
    connect_start: float = nan
    secure_connection_start: float = nan
    connect_end: float = nan
    request_start: float = nan
    response_start: float = nan
    response_end: float = nan
    reused: bool | None = None
    """True where the exchange went over a connection that was open already, None where the backend cannot tell."""
    encrypted: bool | None = None
    """True over TLS: a plain connection has a tls phase of 0."""

    @property
    def wait(self) -> float:
        """Return seconds from the request sent to the first byte, or to the end where none came: that time was waited, too."""
        first = self.response_start
        return (first if first == first else self.response_end) - self.request_start  # noqa: PLR0124 - NaN is not itself

    @property
    def phases(self) -> Phases:
        """Return the HAR durations of this hop in seconds."""
        first = self.response_start
        # Inline as in `wait`: this is asked for each request.
        wait = (first if first == first else self.response_end) - self.request_start  # noqa: PLR0124 - NaN is not itself
        receive = self.response_end - first
        if self.reused:
            return Phases(0.0, 0.0, 0.0, wait, receive)
        tls = 0.0 if self.encrypted is False else self.connect_end - self.secure_connection_start
        return Phases(self.domain_lookup_end - self.domain_lookup_start, self._tcp(), tls, wait, receive)

    def _tcp(self) -> float:
        end = self.connect_end if isnan(self.secure_connection_start) else self.secure_connection_start
        return end - self.connect_start


class Phases(NamedTuple):
    """Hold durations in seconds; `connect` is TCP alone, `tls` the handshake, NaN where the backend cannot see it."""

    dns: float = nan
    connect: float = nan
    tls: float = nan
    wait: float = nan
    receive: float = nan


def phases_of(hops: Sequence[Timing]) -> Phases:
    """Sum the phases over the redirect hops of one attempt, but `wait`, which is that of the last hop.

    Args:
        hops: Timings of the hops in order; may be empty (an attempt that never reached the network).

    Returns:
        The phases in seconds, all NaN when there was no hop.
    """
    if len(hops) == 1:
        return hops[0].phases
    if not hops:
        return Phases()
    found = [hop.phases for hop in hops]
    # NaN in one hop makes NaN of the sum.
    summed = Phases(*map(sum, zip(*found, strict=True)))
    return summed._replace(wait=found[-1].wait)
