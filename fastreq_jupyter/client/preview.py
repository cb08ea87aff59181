"""The dry run: what would be sent, secrets as ``***``; nothing is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.model import Deferred, Item, Look, Outcome, Plan, Request, Unsendable, secrets_of
from fastreq_jupyter.options import Selection, show_seconds
from fastreq_jupyter.policy import first_of, interval_of
from fastreq_jupyter.redact import MASK, one_line, redact_body, redact_headers, redact_text, redact_url
from fastreq_jupyter.url import target_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastreq_jupyter.model import Authority
    from fastreq_jupyter.options import Options, Rate

__all__ = ["preview_frame", "preview_line"]

_SHOWN_OF_UNKNOWN = 1000
_BODY_SHOWN = 500


def preview_frame(plan: Plan) -> Any:
    """Return the frame of what would be sent: method, url, headers, body, request, problem; figures in ``attrs["fastreq"]``.

    A source that cannot tell its length is shown up to 1000 requests.

    Raises:
        UsageError: An asynchronous source; it could only be read by running it.
    """
    # Imported here, since pandas is needed for a frame only.
    import pandas as pd  # noqa: PLC0415 - loaded by whoever needs it

    if isinstance(plan.requests, AsyncIterable):
        raise UsageError("dry_run is not possible for an asynchronous source: give a list")
    items = list(islice(plan.requests, _SHOWN_OF_UNKNOWN if plan.total is None else None))
    if plan.options.pages is not None:
        items = [first_of(item, plan.options) if isinstance(item, Request) else item for item in items]
    frame = pd.DataFrame([_row(item, plan.auth) for item in items], columns=["method", "url", "headers", "body", "request", "problem"])
    frame = frame.astype(dict.fromkeys(("method", "url", "body", "request", "problem"), "string"))
    if plan.keys is not None:
        frame.index = pd.Index(list(islice(plan.keys, len(items))))
    hosts = Counter(origin for item in items if (origin := _origin(item)) is not None)
    frame.attrs["fastreq"] = {
        "run_id": None,
        "summary": {
            "requests": len(items),
            "whole": plan.total is not None or len(items) < _SHOWN_OF_UNKNOWN,
            "hosts": dict(hosts),
            "least_s": _least_seconds(hosts, plan.options),
            "problems": sum(isinstance(item, Unsendable) for item in items),
        },
        "notes": [*plan.notes, *_truths(plan.options)],
    }
    return frame


def _truths(options: Options) -> list[str]:
    """Return what may surprise in an expression that waits: a text is true, whatever it says."""
    text = options.until
    if text is None or text == "ready" or Selection(text, "until").compares:
        return []
    return [f'until={one_line(text, 80)} is met by any value but null, false, 0 and empty; the text "false" is true: compare it']


def preview_line(summary: Mapping[str, Any], name: str | None = None) -> str:
    """Return ``orders: 5,000 requests to 2 hosts (a 4,000, b 1,000), at least 83 s; nothing was sent``."""
    hosts = summary["hosts"]
    count = f"{summary['requests']:,}{'' if summary['whole'] else ' or more'} request{'' if summary['requests'] == 1 else 's'}"
    shown = ", ".join(f"{host} {number:,}" if len(hosts) > 1 else host for host, number in list(hosts.items())[:5])
    where = f" to {len(hosts)} host{'' if len(hosts) == 1 else 's'} ({shown}{', ...' if len(hosts) > 5 else ''})" if hosts else ""
    least = f", at least {show_seconds(summary['least_s'])}" if summary["least_s"] else ""
    wrong = summary["problems"]
    problems = f", {wrong:,} with a problem" if wrong else ""
    return f"{name + ': ' if name else ''}{count}{where}{least}{problems}; nothing was sent"


def _row(item: Item, authority: Authority | None) -> dict[str, Any]:
    problem = None
    if isinstance(item, Unsendable):
        problem = one_line(f"{item.error}: {item.detail}")
    elif isinstance(item, Deferred):
        problem = f"waits for {', '.join(str(need) for need in item.needs)}"
    elif isinstance(item, Outcome):
        problem = "known already"
    elif isinstance(item, Look):
        problem = "begun earlier, only looked at"
    request = item if isinstance(item, Request) else item.request if isinstance(item, Outcome) else item.shown
    kind = request.header("content-type")
    secrets = secrets_of(request)
    body = None if request.content is None else one_line(redact_body(request.content, kind, secrets), _BODY_SHOWN)
    headers = {name: redact_text(value, secrets) for name, value in redact_headers(request.headers)}
    if authority is not None and request.header("authorization") is None and _is_authorized(item, authority):
        headers["Authorization"] = f"{MASK} (asked for when it is sent)"
    return {
        "method": request.method,
        "url": redact_text(redact_url(request.url, request.secrets), secrets),
        "headers": headers,
        "body": body,
        "request": request.label or (None if request.key is None else str(request.key)),
        "problem": problem,
    }


def _is_authorized(item: Item, authority: Authority) -> bool:
    target = target_of(item.url) if isinstance(item, Request) else None
    return target is not None and target.user is None and authority.auth_for(target.origin) is not None


def _origin(item: Item) -> str | None:
    if isinstance(item, (Unsendable, Outcome)):
        return None
    target = target_of((item if isinstance(item, Request) else item.shown).url)
    return None if target is None else str(target.origin)


def _least_seconds(hosts: Counter[str], options: Options) -> float:
    """Return what the rate limits alone take, retries left out."""

    def least(rate: Rate | None, count: int) -> float:
        # The first `burst` attempts start at once, each further one an interval later.
        burst = options.rate_limit_burst
        return 0.0 if rate is None else max(0, count - burst) * interval_of(rate, burst)

    return max([least(options.rate_limit, sum(hosts.values())), *(least(options.rate_limit_per_host, n) for n in hosts.values())])
