"""Decides whether and when a failed attempt is retried, and whether its host is worth more of them.

Retried are connection failures, timeouts and the statuses of `RETRIED`, for idempotent requests (RFC 9110, 9.2.2) or
where the request certainly never left. The wait before retry k is uniform in [d, 1.5 d], d = min(60, 2^(k-1)) seconds:
at least the 1, 2, 4 s that users expect, spread so that many failures do not come back in step. A Retry-After
(RFC 9110, 10.2.3) up to `LONGEST_ASKED` is obeyed; a longer one ends the request at once. Where it is absent, what the answer
says of its limit counts instead (`policy.rate`). A 403 with either is a 429 by another name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
LONGEST_ASKED = 120.0
_LONGEST_BACKOFF = 60.0
_PASSING = frozenset({"timeout", "connect", "protocol", "proxy"})
_REFUSALS = frozenset({401, 403})
_ENOUGH_REFUSALS = 20
_LEAST_FAILURES = 20


@dataclass(frozen=True, slots=True)
class Failure:
    """What is known of a failed attempt.

    Attributes:
        number: Which attempt it was, from 1.
        repeatable: The request is idempotent, or its user allows repeating it.
        sent: False where it is certain that the request never left.
        status: Status code, None where no response came.
        error: Kind of error where no usable response came.
        retry_after: Field value of Retry-After.
        reset: Seconds until the limit that was hit is given anew, and the field that says so; None where none does.
    """

    number: int
    repeatable: bool
    sent: bool = True
    status: int | None = None
    error: str | None = None
    retry_after: str | None = None
    reset: tuple[float, str] | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is done about a failed attempt.

    Attributes:
        retry: Try again after `wait` seconds.
        wait: Seconds.
        pause: Seconds the server asked this client to stay away, 0 where it did not ask.
        detail: Why there is no retry although the status would allow one.
    """

    retry: bool
    wait: float = 0.0
    pause: float = 0.0
    detail: str | None = None


def backoff(retry: int, jitter: float) -> float:
    """Return seconds to wait before a retry.

    Args:
        retry: Which retry, from 1.
        jitter: Uniform in [0, 1).

    Returns:
        A value in [d, 1.5 d], d = min(60, 2^(retry-1)).
    """
    base: float = min(_LONGEST_BACKOFF, 2.0 ** (retry - 1))
    return base * (1 + 0.5 * jitter)


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Read a Retry-After field: delay-seconds or an HTTP-date.

    Returns:
        Seconds from now, 0 for a date in the past, None for an absent or malformed field.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())


def decide(failure: Failure, *, max_retries: int, jitter: float, now: datetime) -> Verdict:
    """Decide what follows a failed attempt.

    Args:
        failure: What happened.
        max_retries: Retries allowed, >= 0.
        jitter: Uniform in [0, 1), drawn by the caller.
        now: The present, aware, to read a Retry-After date.
    """
    requested, field = parse_retry_after(failure.retry_after, now), "Retry-After"
    if failure.retry_after is None and failure.reset is not None:
        requested, field = failure.reset
    limited = failure.status == 403 and requested is not None
    passing = limited or failure.status in RETRIED if failure.status is not None else failure.error in _PASSING
    if not passing:
        return Verdict(retry=False)
    pause = requested if requested is not None and requested <= LONGEST_ASKED else 0.0
    if requested is not None and requested > LONGEST_ASKED:
        return Verdict(retry=False, detail=f"the server asks to wait {requested:.0f} s ({field}), longer than {LONGEST_ASKED:.0f} s")
    if failure.number > max_retries or (failure.sent and not failure.repeatable):
        return Verdict(retry=False, pause=pause)
    wait = backoff(failure.number, jitter)
    if pause:
        wait = max(wait, pause + wait - backoff(failure.number, 0.0))
    return Verdict(retry=True, wait=wait, pause=pause)


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
