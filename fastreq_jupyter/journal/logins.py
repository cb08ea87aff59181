"""Which answers of an earlier run are not played back although they are known: logins, whose tokens end.

A login is a request whose answer feeds a secret place of others. It is asked for anew where one of those is to be sent;
where all of them are known, nothing is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastreq_jupyter.model import Deferred, Outcome, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["LOOKED_AHEAD", "stale_logins"]

LOOKED_AHEAD = 10_000
"""Most requests that are looked at before a run begins; beyond it what is not known to be unneeded is asked for anew."""


def stale_logins(items: Iterable[Request | Deferred | object], known: Callable[[Request], Outcome | None]) -> set[int]:
    """Return the positions of the logins that are asked for anew.

    Args:
        items: Of the plan, in order.
        known: Gives the outcome that would be played back, None for what is to be sent; asked once per request, in order.
    """
    answers: dict[int, Outcome | None] = {}
    parents: dict[int, tuple[int, ...]] = {}
    logins: set[int] = set()
    stale: set[int] = set()
    for position, item in enumerate(items):
        if position == LOOKED_AHEAD:
            return logins
        request = _resolved(item, answers) if isinstance(item, Deferred) else item
        outcome = known(request) if isinstance(request, Request) else None
        shown = item.shown if isinstance(item, Deferred) else item
        if isinstance(shown, Request) and shown.label is not None:
            answers[position] = outcome
            parents[position] = item.needs if isinstance(item, Deferred) else ()
            if shown.hide_data:
                logins.add(position)
        if outcome is None and isinstance(item, Deferred):
            _mark(item.needs, stale, logins, parents)
    return stale


def _resolved(item: Deferred, answers: dict[int, Outcome | None]) -> object:
    outcomes = [answers.get(parent) for parent in item.needs]
    if any(outcome is None for outcome in outcomes):
        return None
    try:
        return item.resolve([outcome for outcome in outcomes if outcome is not None])
    except Exception:  # noqa: BLE001 - a template of the user's; what it raises becomes the row's failure in the run itself
        return None


def _mark(needs: Iterable[int], stale: set[int], logins: set[int], parents: dict[int, tuple[int, ...]]) -> None:
    left = list(needs)
    while left:
        position = left.pop()
        if position in logins and position not in stale:
            stale.add(position)
            left += parents[position]
