"""Outcomes become a DataFrame, built column by column.

The columns, their order and dtypes are fixed, whatever came back, empty runs included. This module and its neighbours
(`columns`, `frame_select`, `expand`, `frame_join`) import pandas: whoever must not pay for that imports them late.
"""

from __future__ import annotations

from functools import lru_cache
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastreq_jupyter.frame.columns import (
    HTTP_VERSION,
    METHOD,
    OTHER_METHOD,
    categories,
    clean_text,
    floats,
    instants,
    integers,
    objects,
    sparse_texts,
    texts,
)
from fastreq_jupyter.frame.expand import expand_frame
from fastreq_jupyter.frame.select import select_frame
from fastreq_jupyter.frame.urls import final_urls, secrets_of, shown_urls
from fastreq_jupyter.redact import MASK, is_secret_header, one_line, redact_text, redact_url
from fastreq_jupyter.timing import Phases, phases_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastreq_jupyter.model import Attempt, Headers, Join, Outcome, Request, Response
    from fastreq_jupyter.options import Options

__all__ = ["attrs_of", "header_mapping", "present", "to_frame"]

_NO_PHASES = Phases()


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
        options: `timings`, `response_headers`, `select` and `expand` shape the frame.
        keys: Labels of the index, by position in the plan.
        join: Source columns of ``--each``; puts its own index.
        summary: Small JSON, kept in ``attrs["fastreq"]["summary"]``.
        run_id: Kept in ``attrs["fastreq"]["run_id"]``, by which the accessor finds the outcomes again.
    """
    rows = list(outcomes)
    frame = pd.DataFrame(_columns(rows, options), copy=False)
    positions = _positions(rows)
    frame.index = _index(positions, keys)
    notes: list[str] = []
    if options.select is not None or options.expand is not None:
        frame, positions = _reshape(frame, rows, options, notes)
    if join is not None:
        frame = join.attach(frame, positions)
    frame.attrs["fastreq"] = attrs_of(summary, run_id, notes)
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
    found: dict[str, str] = {}
    for name, value in headers:
        lower, secret = _field_name(name)
        if secret:
            found[lower] = MASK
            continue
        shown = clean_text(redact_url(value) if "://" in value else value)
        shown = redact_text(shown, secrets) if secrets else shown
        found[lower] = f"{found[lower]}, {shown}" if lower in found else shown
    return found


def _columns(rows: list[Outcome], options: Options) -> dict[str, Any]:
    requests = [row.request for row in rows]
    responses = [row.response for row in rows]
    tries = [row.attempts for row in rows]
    urls = shown_urls(requests)
    status = np.array([0 if said is None else said.status for said in responses], dtype=np.int16)
    silent = status == 0
    errors = [row.error for row in rows]
    ok = np.fromiter(errors, object, len(rows)) == None  # noqa: E711 - compares element by element
    bad = np.flatnonzero(~ok)
    columns = {
        "status": integers(status, "Int16", silent),
        "ok": ok,
        "error": sparse_texts(bad, [errors[at] or "" for at in bad], len(rows)),
        "error_detail": sparse_texts(bad, [_detail(rows[at], urls[at]) for at in bad], len(rows)),
        "data": objects(_data(rows, requests)),
        "url": texts(urls, clean=True, whole=True),
        "method": categories([request.method for request in requests], METHOD, OTHER_METHOD),
        "elapsed_ms": floats([attempts[-1].end - attempts[0].start if attempts else nan for attempts in tries], 1e3),
        "queued_ms": floats([attempts[0].queued if len(attempts) == 1 else _queued(attempts) for attempts in tries], 1e3),
        "wait_ms": floats(_waits(tries), 1e3),
        "attempts": integers(list(map(len, tries)), "UInt8", np.zeros(len(rows), dtype=bool)),
        "size_bytes": integers([0 if said is None else said.size_bytes for said in responses], "Int64", silent.copy()),
        "content_type": texts(_media_types(responses), clean=True),
        "final_url": texts(final_urls(responses, requests, urls), clean=True),
        "name": _names(requests),
        "started_at": instants([attempts[0].started_at if attempts else None for attempts in tries]),
    }
    if options.timings:
        columns |= _timing_columns(rows)
    if options.response_headers:
        columns["headers"] = objects([_headers(row) for row in rows])
    return columns


def _timing_columns(rows: list[Outcome]) -> dict[str, Any]:
    phases = [phases_of(row.attempts[-1].hops) if row.attempts else _NO_PHASES for row in rows]
    waits = [sum(attempt.retry_wait for attempt in row.attempts) if row.attempts else nan for row in rows]
    versions = [None if row.response is None else row.response.http_version for row in rows]
    return {
        "retry_wait_ms": floats(waits, 1e3),
        "dns_ms": floats([phase.dns for phase in phases], 1e3),
        "connect_ms": floats([phase.connect for phase in phases], 1e3),
        "tls_ms": floats([phase.tls for phase in phases], 1e3),
        "receive_ms": floats([phase.receive for phase in phases], 1e3),
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
    positions = [row.position for row in rows]
    taken = list(range(len(rows)))
    fields = [_headers(row) for row in rows]
    if options.select is not None:
        frame, taken = select_frame(frame, options.select, fields=fields, notes=notes)
    if options.expand is not None:
        expression = None if options.expand is True else options.expand
        frame = expand_frame(frame, expression, fields=[fields[row] for row in taken], notes=notes)
    return frame, [positions[row] for row in taken]


def _detail(row: Outcome, shown: str) -> str:
    secrets = secrets_of(row.request, shown)
    text = row.error_detail or ""
    return _line(redact_text(text, secrets) if secrets else text)


def _names(requests: list[Request]) -> Any:
    if not any([request.label or request.key is not None for request in requests]):  # noqa: C419 - a list is faster, this runs per row
        return sparse_texts([], [], len(requests))
    return texts([request.label if request.label or request.key is None else str(request.key) for request in requests])


def _headers(row: Outcome) -> dict[str, str] | None:
    return None if row.response is None else header_mapping(row.response.headers, secrets_of(row.request))


def _data(rows: list[Outcome], requests: list[Request]) -> list[Any]:
    shown = [row.data for row in rows]
    if str in set(map(type, shown)):
        shown = [clean_text(data) if type(data) is str else data for data in shown]
    if any([request.hide_data for request in requests]):  # noqa: C419 - a list is faster, this runs per row
        return [MASK if request.hide_data and data is not None else data for request, data in zip(requests, shown, strict=True)]
    return shown


def _waits(tries: list[tuple[Attempt, ...]]) -> list[float]:
    return [
        (last := hops[-1]).response_start - last.request_start if attempts and (hops := attempts[-1].hops) else nan for attempts in tries
    ]


def _queued(attempts: Sequence[Attempt]) -> float:
    return sum(attempt.queued for attempt in attempts) if attempts else nan


def _media_types(responses: list[Response | None]) -> list[str | None]:
    return [None if said is None or (value := said.header("content-type")) is None else _bare_type(value) for said in responses]


@lru_cache(maxsize=512)
def _bare_type(value: str) -> str | None:
    return clean_text(value.partition(";")[0].strip().lower()) or None


# details repeat: "no answer in 30 s"
_line = lru_cache(maxsize=1024)(one_line)


@lru_cache(maxsize=1024)
def _field_name(name: str) -> tuple[str, bool]:
    lower = name.lower()
    return clean_text(lower), is_secret_header(lower)
