"""Tables that no run gives: what a dry run would send, secrets as ``***``, and what a cache holds; nothing is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.engine import UnsendableError, prepare
from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.model import Deferred, Item, Look, Outcome, Plan, Request, Unsendable, secrets_of
from fastreq_jupyter.options import Selection, show_bytes, show_seconds
from fastreq_jupyter.policy import first_of, interval_of
from fastreq_jupyter.redact import MASK, one_line, redact_body, redact_headers, redact_text, redact_url
from fastreq_jupyter.url import target_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastreq_jupyter.model import Authority
    from fastreq_jupyter.options import Options, Rate

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
    problems = [_unsendable(item) for item in items]
    rows = [_row(item, plan.auth, problem) for item, problem in zip(items, problems, strict=True)]
    frame = pd.DataFrame(rows, columns=["method", "url", "headers", "body", "request", "problem"])
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
            "problems": sum(problem is not None for problem in problems),
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


def _unsendable(item: Item) -> str | None:
    """Return why a request cannot be sent, None where it can."""
    if isinstance(item, Unsendable):
        return one_line(f"{item.error}: {item.detail}")
    if isinstance(item, Request):
        try:
            prepare(item)
        except UnsendableError as error:
            return f"{error.kind}: {error}"
    return None


def _row(item: Item, authority: Authority | None, problem: str | None) -> dict[str, Any]:
    if isinstance(item, Deferred):
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


def cached_answers(file: str) -> tuple[Any, str]:
    """Return the frame of a cache's answers (method, url, status, size_bytes, stored_at), and a line about them.

    Raises:
        JournalError: It is no cache, or cannot be read.
        UsageError: There is no such file.
    """
    # Imported here, since pandas is needed for a frame only.
    import pandas as pd  # noqa: PLC0415 - loaded by whoever needs it

    shelf = _open(file, read_only=True)
    try:
        rows = [(method, url, status, size, datetime.fromtimestamp(at, UTC)) for _, at, method, url, status, size in shelf.listing()]
    finally:
        shelf.stop()
    frame = pd.DataFrame(rows, columns=["method", "url", "status", "size_bytes", "stored_at"])
    types = {"method": "string", "url": "string", "status": "Int16", "size_bytes": "Int64", "stored_at": "datetime64[us, UTC]"}
    size = int(frame["size_bytes"].sum())
    line = f"{shelf.path}: {len(rows):,} {'answer' if len(rows) == 1 else 'answers'}, {show_bytes(size)}"
    return frame.astype(types), line


def clear_cache(file: str, pattern: str | None = None) -> str:
    """Take answers out of a cache and return a line about it.

    Args:
        file: The cache.
        pattern: Of their URLs, ``*`` stands for anything; None for all.

    Raises:
        JournalError: It is no cache, or cannot be written.
        UsageError: There is no such file.
    """
    shelf = _open(file)
    try:
        answers = [(key, url) for key, _, _, url, _, _ in shelf.listing()]
        chosen = {key for key, url in answers if pattern is None or fnmatchcase(url, pattern)}
        if chosen:
            shelf.remove(chosen)
    finally:
        shelf.stop()
    hint = f"; no URL fits {pattern} (* stands for anything)" if pattern is not None and answers and not chosen else ""
    return f"{shelf.path}: {len(chosen):,} of {len(answers):,} answers removed{hint}"


def _open(file: str, *, read_only: bool = False) -> Any:
    if not Path(file).expanduser().exists():
        raise UsageError(f"there is no cache {file}: a run with --cache makes one")
    # Imported here, since few runs need sqlite3.
    from fastreq_jupyter.journal import open_shelf  # noqa: PLC0415 - loaded by whoever needs it

    return open_shelf(file, read_only=read_only)
