"""Chooses the requests of a finished run that are sent again, and their options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastreq_jupyter.engine.progress import GIVEN_UP
from fastreq_jupyter.errors import OptionError
from fastreq_jupyter.model import Look
from fastreq_jupyter.options import TABLE, Options

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from fastreq_jupyter.model import Deferred, Item, Outcome

__all__ = ["SELECTIONS", "changed_options", "to_resend"]

# Groups of options, and single options, that may change when requests are sent again.
_HOW = frozenset({"Transport", "Speed", "Failures"})
_MORE = frozenset({"auth", "refresh_on", "every", "patience", "progress", "columns", "timings", "response_headers"})
# Errors of rows that never became a request.
_NO_REQUEST = frozenset({"invalid value", "save_to", "skipped"})


def _is_unsent(outcome: Outcome) -> bool:
    return outcome.error in GIVEN_UP and not outcome.attempts


SELECTIONS: dict[str, Callable[[Outcome], bool]] = {
    "all": lambda _: True,
    "sent": lambda outcome: not _is_unsent(outcome),
    "unsent": _is_unsent,
}
"""Which failures `only` means."""


def changed_options(options: Options, changes: Mapping[str, Any]) -> Options:
    """Return the options of a run that sends requests again.

    Raises:
        OptionError: A wrong value, or an option that would make other requests of them; one line.
    """
    for name in changes:
        if name in TABLE and TABLE[name].group not in _HOW and name not in _MORE:
            raise OptionError(f"{name} is not possible here: retry_failed sends the requests that the run had", option=name)
    return Options.of(options, **changes)


def to_resend(rows: Sequence[Outcome], chosen: Collection[int], waiting: Mapping[int, Deferred], jobs: Mapping[int, str]) -> list[Item]:
    """Return the items of the next run, one for each row.

    Args:
        rows: Of the run before, in order.
        chosen: Positions of those that are sent again.
        waiting: Requests that needed answers of others; they are made anew of what these say now.
        jobs: Status URLs of jobs that were begun: they are looked at again, not begun again.
    """
    places = set(chosen)
    # Also send what they depend on: logins (hidden, since their answers feed secret places) and failed parents.
    left = [at for at in chosen if at in waiting]
    while left:
        needs = [at for at in waiting[left.pop()].needs if at not in places and (rows[at].request.hide_data or not rows[at].ok)]
        places.update(needs)
        left += [at for at in needs if at in waiting]
    items: list[Item] = []
    for row in rows:
        at = row.position
        if at not in places or (at not in waiting and not row.attempts and row.error in _NO_REQUEST):
            items.append(row)
        elif at in jobs:
            items.append(Look(row.request, jobs[at]))
        else:
            items.append(waiting.get(at, row.request))
    return items
