"""Outcomes become a DataFrame, built column by column.

Three groups: what was asked, what came, how it went. Which columns there are depends on the options alone, their dtypes are
fixed, whatever came back, empty runs included. This module and its neighbours (`columns`, `shape`) import pandas:
whoever must not pay for that imports them late.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.exchange import phases_of
from fastreq_jupyter.frame.columns import (
    CACHED,
    HTTP_VERSION,
    INSTANT,
    METHOD,
    OTHER_METHOD,
    categories,
    clean_text,
    instants,
    integers,
    objects,
    repeated_texts,
    sparse_texts,
    texts,
)
from fastreq_jupyter.frame.shape import Bodies, expand_frame, explode_frame, select_frame
from fastreq_jupyter.model import MARKS, SingleAttempt, elapsed_of, secrets_of
from fastreq_jupyter.options import own_columns, shown_columns
from fastreq_jupyter.redact import MASK, are_plain_urls, is_secret_header, one_line, redact_text, redact_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fastreq_jupyter.model import Attempt, Headers, Join, Outcome, Request
    from fastreq_jupyter.options import Options

_MOST_COUNTED = 255


def to_frame(  # noqa: PLR0913 - what a run knows about its frame
    outcomes: Sequence[Outcome],
    options: Options,
    *,
    keys: Sequence[Any] | None = None,
    join: Join | None = None,
    summary: Mapping[str, Any] | None = None,
    run_id: str | None = None,
) -> pd.DataFrame:
    """Return the frame of a run, one row per outcome (with ``select`` one per selected item).

    Args:
        outcomes: Rows in order.
        options: `columns`, `timings`, `response_headers`, `select`, `expand` and `explode` shape the frame.
        keys: Labels of the index, by position in the plan.
        join: Source columns of ``--each``; puts its own index.
        summary: Small JSON, kept in ``attrs["fastreq"]["summary"]``.
        run_id: Kept in ``attrs["fastreq"]["run_id"]``, by which the accessor finds the outcomes again.
    """
    rows = list(outcomes)
    facts = _Rows(rows)
    frame = pd.DataFrame({"data": objects(facts.data()), **_outcome_columns(facts, options)}, copy=False)
    # Rows that leave memory come in order of completion.
    in_order = options.pages is None and options.to is None
    positions = _positions(rows) if in_order else [row.place for row in rows]
    frame.index = _index(positions if in_order or keys is not None else range(len(rows)), keys)
    notes: list[str] = []
    problem: str | None = None
    if options.select is not None or options.expand is not None:
        frame, origins = _reshape(frame, rows, options, notes)
        if options.explode and any(row.ok for row in rows):
            frame, origins, problem = _exploded(frame, origins, options.explode, notes)
        positions = [rows[row].place for row in origins]
    if join is not None:
        frame = join.attach(frame, positions, own_columns(options))
    frame.attrs["fastreq"] = attrs_of(summary, run_id, notes)
    if problem is not None:
        frame.attrs["fastreq"]["problem"] = problem
    return frame


def present(run: Any) -> pd.DataFrame:
    """Return the frame of a `Run` as it is now: one row per request drawn so far."""
    plan = run.plan
    return to_frame(run.rows, run.options, keys=plan.keys, join=plan.join, summary=run.summary(), run_id=run.id)


def attrs_of(summary: Mapping[str, Any] | None, run_id: str | None, notes: Sequence[str] = ()) -> dict[str, Any]:
    """Return what stands in ``df.attrs["fastreq"]``: run_id, summary, and lines a person should read."""
    return {"run_id": run_id, "summary": dict(summary or {}), "notes": list(notes)}


def header_mapping(headers: Headers, secrets: frozenset[str] = frozenset()) -> dict[str, str]:
    """Return field lines as a mapping: lower-case names, repeated ones joined by ", ", secret ones ``***``."""
    fields: dict[str, str] = {}
    for name, value in headers:
        lower, secret = _field_name(name)
        if secret:
            fields[lower] = MASK
            continue
        shown = clean_text(redact_url(value) if "://" in value else value)
        shown = redact_text(shown, secrets) if secrets else shown
        fields[lower] = f"{fields[lower]}, {shown}" if lower in fields else shown
    return fields


def _outcome_columns(data: _Rows, options: Options) -> dict[str, Any]:
    """Return the columns that option `columns` shows; others are not computed."""
    rows = data.rows
    columns = {"page": integers([row.page for row in rows], "Int32")} if options.pages is not None else {}
    if options.to is not None:
        columns["position"] = integers([row.position for row in rows], "Int64")
    columns |= {name: _MAKERS[name](data) for name in shown_columns(options)}
    if options.until is not None:
        columns["looks"] = integers([row.looks for row in rows], "Int32")
    if options.caches:
        columns["cached"] = categories([row.cached for row in rows], CACHED)
    if options.timings:
        columns |= _timing_columns(data)
    if options.response_headers:
        columns["headers"] = objects([_headers(row) for row in rows])
    return columns


class _Rows:
    """Data of the outcomes that several columns share.

    Attributes:
        errors: Kinds of failure, None where all is well.
        plain: Whether no request has a name or a key, or hides its data; asked once, for it is asked of every row.
    """

    def __init__(self, rows: list[Outcome]) -> None:
        self.rows = rows
        self.requests = [row.request for row in rows]
        self.responses = [row.response for row in rows]
        self.tries = [row.attempts for row in rows]
        self.errors = [row.error for row in rows]
        self.ok = np.fromiter(self.errors, object, len(rows)) == None  # noqa: E711 - compares element by element
        self.bad = np.flatnonzero(~self.ok)
        self.plain = not any([r.label or r.key is not None or r.hide_data for r in self.requests])  # noqa: C419 - a list is faster

    @cached_property
    def urls(self) -> list[str]:
        """URLs as asked, secrets as ``***``."""
        return shown_urls(self.requests)

    @property
    def noted(self) -> Any:
        """Places of rows with a detail: those that are not ok, and pages of which something is to be said."""
        if not self.rows or self.rows[0].link is None:
            return self.bad
        return np.flatnonzero([row.error_detail is not None for row in self.rows])

    @cached_property
    def url_column(self) -> Any:
        """The same as a column."""
        return texts(self.urls, clean=True, whole=True)

    @cached_property
    def status(self) -> Any:
        """Status codes, 0 where no response came."""
        return np.array([0 if response is None else response.status for response in self.responses], dtype=np.int16)

    @cached_property
    def marks(self) -> Any:
        """What `MARKS` names, by name; all 0 in `irregular`."""
        return np.frombuffer(b"".join([tries.packed if type(tries) is SingleAttempt else _BLANK for tries in self.tries]), _PACKED)

    @cached_property
    def irregular(self) -> Any:
        """Places of rows of which more must be told than `marks` holds: tried again, redirected, failed or never sent."""
        return np.flatnonzero(self.marks["status"] == 0)

    def data(self) -> list[Any]:
        """Return the bodies as they may be shown."""
        shown = [row.data for row in self.rows]
        if str in set(map(type, shown)):
            shown = [clean_text(data) if type(data) is str else data for data in shown]
        if self.plain:
            return shown
        return [MASK if request.hide_data and data is not None else data for request, data in zip(self.requests, shown, strict=True)]

    def names(self) -> Any:
        """Return what the requests are called: names in the cell, or keys."""
        if self.plain:
            return sparse_texts([], [], len(self.rows))
        return texts([request.label if request.label or request.key is None else str(request.key) for request in self.requests])

    def content_types(self) -> Any:
        """Return the media types of the answers."""
        fields = [None if response is None else response.type_line or response.header("content-type") for response in self.responses]
        return repeated_texts(fields, {field: None if field is None else _bare_type(field) for field in set(fields)})

    def final_urls(self) -> Any:
        """Return the URLs that answered: those asked for, but where none or another one did."""
        finals = [None if response is None else response.final_url for response in self.responses]
        unlike = np.flatnonzero(np.fromiter(finals, object, len(finals)) != np.fromiter(self.urls, object, len(finals)))
        moved = {at: url for at in unlike if (url := finals[at]) is not None and url != self.requests[at].url}
        column = self.url_column.copy()
        column[self.status == 0] = pd.NA
        column[list(moved)] = texts(
            [_final_url(url, self.requests[at], self.urls[at]) for at, url in moved.items()], clean=True, whole=True
        )
        return column

    def measured(self, plain: Any, of: Callable[[Sequence[Attempt]], float]) -> Any:
        """Return a column in milliseconds.

        Args:
            plain: Its values in seconds, right in all rows but `irregular`.
            of: Returns the value of one of these, in seconds, from its attempts, of which there are some.
        """
        column = plain * 1e3
        for at in self.irregular:
            tries = self.tries[at]
            column[at] = of(tries) * 1e3 if tries else nan
        return column

    def started_at(self) -> Any:
        """Return when the first attempts began; NaT where there was none."""
        moments = self.marks["started_us"].astype("M8[us]")
        if len(self.irregular):
            firsts = [self.tries[at] for at in self.irregular]
            moments[self.irregular] = instants([tries[0].started_at if tries else None for tries in firsts]).tz_localize(None)
        return pd.array(moments, dtype=INSTANT)

    def numbers_of_attempts(self) -> Any:
        """Return how many attempts were made."""
        numbers = np.ones(len(self.rows), dtype=np.uint8)
        numbers[self.irregular] = [min(len(self.tries[at]), _MOST_COUNTED) for at in self.irregular]
        return integers(numbers, "UInt8", np.zeros(len(self.rows), dtype=bool))


# Facts of a row that `SingleAttempt` holds only in part.
_PACKED = np.dtype(list(MARKS.items()))
_BLANK = bytes(_PACKED.itemsize)


_MAKERS: dict[str, Callable[[_Rows], Any]] = {
    "status": lambda data: integers(data.status, "Int16", data.status == 0),
    "ok": lambda data: data.ok,
    "error": lambda data: sparse_texts(data.bad, [data.errors[at] or "" for at in data.bad], len(data.rows)),
    "error_detail": lambda data: sparse_texts(data.noted, [_detail(data.rows[at], data.urls[at]) for at in data.noted], len(data.rows)),
    "elapsed_ms": lambda data: data.measured(data.marks["response_end"] - data.marks["start"], elapsed_of),
    "attempts": _Rows.numbers_of_attempts,
    "url": lambda data: data.url_column,
    "method": lambda data: categories([request.method for request in data.requests], METHOD, OTHER_METHOD),
    "queued_ms": lambda data: data.measured(data.marks["queued"], lambda tries: sum(attempt.queued for attempt in tries)),
    "wait_ms": lambda data: data.measured(
        data.marks["response_start"] - data.marks["request_start"], lambda tries: phases_of(tries[-1].hops).wait
    ),
    "size_bytes": lambda data: integers(
        [0 if response is None else response.size_bytes for response in data.responses], "Int64", data.status == 0
    ),
    "content_type": _Rows.content_types,
    "final_url": _Rows.final_urls,
    "request": _Rows.names,
    "started_at": _Rows.started_at,
}


def _timing_columns(data: _Rows) -> dict[str, Any]:
    marks, zeros = data.marks, np.zeros(len(data.rows))
    versions = [None if response is None else response.http_version for response in data.responses]
    # Computed as in `Timing.phases`.
    reused, plain = marks["reused"] == 1, marks["encrypted"] == 0
    secured = marks["secure_connection_start"]
    connected = np.where(np.isnan(secured), marks["connect_end"], secured)
    dns = np.where(reused, 0.0, marks["domain_lookup_end"] - marks["domain_lookup_start"])
    connect = np.where(reused, 0.0, connected - marks["connect_start"])
    tls = np.where(reused | plain, 0.0, marks["connect_end"] - secured)
    return {
        "retry_wait_ms": data.measured(zeros, lambda tries: sum(attempt.retry_wait for attempt in tries)),
        "dns_ms": data.measured(dns, lambda tries: phases_of(tries[-1].hops).dns),
        "connect_ms": data.measured(connect, lambda tries: phases_of(tries[-1].hops).connect),
        "tls_ms": data.measured(tls, lambda tries: phases_of(tries[-1].hops).tls),
        "receive_ms": data.measured(marks["response_end"] - marks["response_start"], lambda tries: phases_of(tries[-1].hops).receive),
        "http_version": categories(versions, HTTP_VERSION),
    }


def _positions(rows: list[Outcome]) -> Sequence[int]:
    """Return the places in the plan; they rise, so two of them tell whether all are there."""
    if rows and (rows[0].position != 0 or rows[-1].position != len(rows) - 1):
        return [row.position for row in rows]
    return range(len(rows))


def _index(positions: Sequence[int], keys: Sequence[Any] | None) -> pd.Index[Any]:
    if keys is not None:
        # an Index keeps its name and levels
        labels: pd.Index[Any]
        labels = keys.take(positions) if hasattr(keys, "take") else pd.Index([keys[at] for at in positions], tupleize_cols=False)
        return labels
    if isinstance(positions, range):
        return pd.RangeIndex(len(positions))
    return pd.Index(positions)


def _reshape(frame: pd.DataFrame, rows: list[Outcome], options: Options, notes: list[str]) -> tuple[pd.DataFrame, list[int]]:
    bodies = Bodies(
        list(frame["data"]),
        [row.ok and not row.request.hide_data for row in rows],
        [_headers(row) for row in rows],
    )
    origins = list(range(len(rows)))
    if options.select is not None:
        frame, origins, bodies = select_frame(frame, options.select, bodies, notes)
    if options.expand is not None:
        frame = expand_frame(frame, None if options.expand is True else options.expand, bodies, notes)
    return frame, origins


def _exploded(
    frame: pd.DataFrame, origins: list[int], columns: Sequence[str], notes: list[str]
) -> tuple[pd.DataFrame, list[int], str | None]:
    """Return the frame with a row per item; where that cannot be, as it was and why: the rows are worth more than their shape."""
    try:
        exploded, places = explode_frame(frame, columns, notes)
    except UsageError as error:
        return frame, origins, str(error)
    return exploded, [origins[place] for place in places], None


def _detail(row: Outcome, shown: str) -> str:
    secrets = _hidden_of(row.request, shown)
    text = row.error_detail or ""
    return _line(redact_text(text, secrets) if secrets else text)


def _headers(row: Outcome) -> dict[str, str] | None:
    return None if row.response is None else header_mapping(row.response.headers, _hidden_of(row.request))


def _bare_type(value: str) -> str | None:
    return clean_text(value.partition(";")[0].strip().lower()) or None


# Cached: details repeat, as in "no answer in 30 s".
_line = lru_cache(maxsize=1024)(one_line)


@lru_cache(maxsize=1024)
def _field_name(name: str) -> tuple[str, bool]:
    lower = name.lower()
    return clean_text(lower), is_secret_header(lower)


# URLs checked together; few, so that one unusual URL costs little.
_BLOCK = 500


def shown_urls(requests: list[Request]) -> list[str]:
    """Return the URLs as asked for, secrets as ``***``, lone surrogates as U+FFFD."""
    shown: list[str] = []
    names: set[str] = set()
    for start in range(0, len(requests), _BLOCK):
        block = requests[start : start + _BLOCK]
        urls = [request.url for request in block]
        if any([request.secrets for request in block]) or not are_plain_urls(urls, names):  # noqa: C419 - a list is faster, this runs per row
            urls = [clean_text(redact_url(request.url, request.secrets)) for request in block]
        shown += urls
    return shown


def _final_url(url: str, request: Request, shown: str) -> str:
    return clean_text(redact_text(redact_url(url, request.secrets), _hidden_of(request, shown)))


def _hidden_of(request: Request, shown: str | None = None) -> frozenset[str]:
    """Return what this request must not show anywhere: given by the cell, and what its own fields carry.

    Args:
        request: The request.
        shown: Its redacted URL: where that is the URL itself, it carries nothing.
    """
    if not request.headers and not request.content and shown is not None and shown == request.url:
        return request.secrets
    return secrets_of(request)
