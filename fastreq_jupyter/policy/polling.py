"""Polling: whether a job is done, when to look again, and at which URL.

A job that was accepted names the place to look at: Operation-Location or Azure-AsyncOperation, with 202 also Location
(RFC 9110, 15.3.3). It is asked by GET, with what a redirect to it may carry. The body's own ``status`` counts where it is a text:

    in `DONE`      ready                        in `FAILED`    ready, and failed
    any other      not ready, whatever it says: a word nobody knows is no end

Retry-After says when to look again; else `every`, else 1 s that grows by half each time, up to 30 s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.policy.redirect import next_exchange

if TYPE_CHECKING:
    from fastreq_jupyter.content import Headers
    from fastreq_jupyter.exchange import Exchange

DONE = frozenset({"succeeded", "success", "successful", "completed", "complete", "done", "finished", "ready", "ok"})
"""Words of a body's ``status`` that end the waiting well, in lower case, without blanks, - and _."""
FAILED = frozenset({
    "failed", "failure", "error", "errored", "canceled", "cancelled", "aborted", "rejected", "expired", "timedout", "timeout",
    "terminated", "killed",
})  # fmt: skip
"""Those that end it badly."""
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 30.0
_GROWTH = 1.5
_LARGEST_POWER = 20
_MONITORS = ("operation-location", "azure-asyncoperation")
_ONCE = frozenset({"if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "range", "if-range"})


@dataclass(frozen=True, slots=True)
class Standing:
    """What an answer says of its job.

    Attributes:
        state: Whether the waiting is over.
        word: The body's ``status`` as it came, None where it has none.
    """

    state: Literal["ready", "failed", "waiting"]
    word: str | None = None


def standing_of(status: int, body: Any) -> Standing:
    """Return what an answer says of its job.

    Args:
        status: Status code, below 400.
        body: The body, read; only an object has a ``status``.
    """
    word = body.get("status") if isinstance(body, dict) else None
    if not isinstance(word, str) or not word.strip():
        return Standing("waiting" if status == 202 else "ready")
    plain = "".join(letter for letter in word.lower() if letter not in " -_\t")
    if plain in FAILED:
        return Standing("failed", word)
    return Standing("ready" if plain in DONE and status != 202 else "waiting", word)


def status_url(status: int, headers: Headers) -> str | None:
    """Return the reference to where the job can be looked at, None where the answer names no such place.

    Args:
        status: Status code; 201 and 202 tell of a job.
        headers: Field lines of the answer, latin-1 text.
    """
    if status not in (201, 202):
        return None
    names = (*_MONITORS, "location") if status == 202 else _MONITORS
    values = {name.lower(): value.strip() for name, value in reversed(headers)}
    return next((values[name] for name in names if values.get(name)), None)


def status_exchange(exchange: Exchange, url: str, *, secrets: frozenset[str] = frozenset()) -> Exchange:
    """Return the GET that looks at a status URL; what must not reach another origin is left out, as for a redirect.

    Args:
        exchange: That of the request, or of the look before.
        url: Where to look, in full.
        secrets: Values that must not reach another origin.

    Raises:
        BackendError: "redirect refused": the URL is no http or https URL, or holds userinfo or control characters.
    """
    try:
        following = next_exchange(exchange, 303, (("Location", url),), secrets=secrets)
    except BackendError as error:
        raise BackendError(error.kind, f"the status URL: {error.detail.removeprefix('303 to ')}", sent=True, lasting=True) from None
    if following is None:
        raise BackendError("redirect refused", "the status URL is empty", sent=True, lasting=True)
    fields = tuple(line for line in following.headers if line[0].lower() not in _ONCE)
    return replace(following, method="GET", headers=fields)


def next_wait(look: int, *, every: float | None, retry_after: float | None, patience: float) -> float | None:
    """Return how long to wait before the next look, None where patience ends before it.

    Args:
        look: Looks so far, from 1.
        every: Seconds that the user gave, or None.
        retry_after: Seconds that the server asked for (Retry-After), or None.
        patience: Seconds until patience ends.
    """
    if patience <= 0:
        return None
    if retry_after is not None:
        # Without a minimum, a Retry-After of 0 would make a busy loop.
        wait = max(retry_after, min(_FIRST_WAIT, _FIRST_WAIT if every is None else every))
        return wait if wait <= patience else None
    wait = min(_LONGEST_WAIT, _FIRST_WAIT * _GROWTH ** min(look - 1, _LARGEST_POWER)) if every is None else every
    # The last look happens when patience ends.
    return min(wait, patience)
