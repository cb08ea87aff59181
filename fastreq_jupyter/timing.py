"""Marks of one exchange, the attempts made of exchanges, and the durations made from the marks.

Marks are named after W3C Resource Timing (snake case), durations after HAR 1.2. All marks are seconds of one monotonic
clock (`time.perf_counter`). A mark nobody saw is NaN, and so is every duration that needs it: a phase is 0 only where
it truly took none (a reused connection has dns, connect and tls of 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isnan, nan
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MARKS", "Attempt", "Phases", "SingleAttempt", "Timing", "instant_of", "phases_of"]


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
    def phases(self) -> Phases:
        """Return the HAR durations of this hop in seconds."""
        wait, receive = self.response_start - self.request_start, self.response_end - self.response_start
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


@dataclass(slots=True)
class Attempt:
    """One try; not changed once it has ended.

    Attributes:
        number: From 1.
        started_at: Wall clock, UTC; for people, never for durations.
        start: When slot and rate token were had, seconds of `time.perf_counter`.
        end: When the last byte was read or the cause of failure known, same clock.
        queued: Seconds spent waiting for slot and rate before it.
        hops: Timing of each redirect hop, in order.
        redirects: Status and target of each redirect that was followed, in order.
        status: Status code of the final hop, or None.
        error: Value of the ``error`` column as if this attempt were the last; None when good.
        error_detail: Its cause in one line.
        retry_wait: Seconds from the end of this attempt to the time the next may start; 0 for the last.
        sent: False where it is certain that the request never left.
    """

    number: int
    started_at: datetime
    start: float
    end: float = nan
    queued: float = 0.0
    hops: tuple[Timing, ...] = ()
    status: int | None = None
    error: str | None = None
    error_detail: str | None = None
    retry_wait: float = 0.0
    sent: bool = True
    redirects: tuple[tuple[int, str], ...] = ()


MARKS = {
    "started_us": "q", "start": "d", "queued": "d", "fetch_start": "d", "domain_lookup_start": "d", "domain_lookup_end": "d",
    "connect_start": "d", "secure_connection_start": "d", "connect_end": "d", "request_start": "d", "response_start": "d",
    "response_end": "d", "status": "h", "reused": "b", "encrypted": "b",
}  # fmt: skip
"""Names and codes (`struct`) of what a `SingleAttempt` holds, in order; `started_us` is the wall clock in microseconds since 1970."""
_PACKED = Struct("=" + "".join(MARKS.values()))
_START, _END = (list(MARKS).index(name) for name in ("start", "response_end"))
# None, False and True as they are packed.
_CODES = {None: -1, False: 0, True: 1}
_MEANINGS = {code: value for value, code in _CODES.items()}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SingleAttempt(Sequence[Attempt]):
    """The attempts of a request that needed one, over one hop, and got a good answer: their `Attempt` is made when somebody looks.

    Most requests of most runs are such, and what is told of them is a row of numbers: packed it takes a third of the memory, and
    whoever reads many of them (`unpack`) need not make the records.

    Attributes:
        packed: What `MARKS` names, by `struct`.
    """

    __slots__ = ("packed",)

    def __init__(self, started_us: int, start: float, queued: float, hop: Timing, status: int) -> None:
        self.packed = _PACKED.pack(
            started_us,
            start,
            queued,
            hop.fetch_start,
            hop.domain_lookup_start,
            hop.domain_lookup_end,
            hop.connect_start,
            hop.secure_connection_start,
            hop.connect_end,
            hop.request_start,
            hop.response_start,
            hop.response_end,
            status,
            _CODES[hop.reused],
            _CODES[hop.encrypted],
        )

    def unpack(self) -> tuple[Any, ...]:
        """Return what `MARKS` names."""
        return _PACKED.unpack(self.packed)

    @property
    def elapsed(self) -> float:
        """Return seconds from the start to the last byte."""
        marks = _PACKED.unpack(self.packed)
        elapsed: float = marks[_END] - marks[_START]
        return elapsed

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: Any) -> Any:
        return (self._attempt(),)[index]

    def __iter__(self) -> Iterator[Attempt]:
        yield self._attempt()

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, (SingleAttempt, tuple)) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.packed)

    def __repr__(self) -> str:
        return repr(tuple(self))

    def _attempt(self) -> Attempt:
        started_us, start, queued, *marks, status, reused, encrypted = self.unpack()
        hop = Timing(*(*marks, _MEANINGS[reused], _MEANINGS[encrypted]))
        return Attempt(1, instant_of(started_us), start, hop.response_end, queued, (hop,), status)


def instant_of(microseconds: int) -> datetime:
    """Return the moment, UTC, so many microseconds after 1970 began."""
    return _EPOCH + timedelta(microseconds=microseconds)
