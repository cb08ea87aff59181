"""What a finished run gives back: a frame, one value, a list or a dict; and what it raises."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from fastreq_jupyter.engine import proof
from fastreq_jupyter.errors import PartialFailureError, RunError
from fastreq_jupyter.options import FRAMES
from fastreq_jupyter.redact import one_line, redact_text, redact_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastreq_jupyter.engine import Run
    from fastreq_jupyter.model import Outcome
    from fastreq_jupyter.options import Options
    from fastreq_jupyter.policy import Chain

_PARSED: WeakKeyDictionary[Run, set[int]] = WeakKeyDictionary()
_KINDS_SHOWN = 3


def present(run: Run) -> Any:
    """Return the frame of a run as it is now, `parse_func` applied, or where its rows left memory one of batches; imports pandas."""
    # Imported here, since pandas is needed for a frame only.
    from fastreq_jupyter.frame import batches_frame  # noqa: PLC0415 - loaded by whoever needs it
    from fastreq_jupyter.frame import present as frame_of  # noqa: PLC0415 - likewise

    if run.sink is not None:
        return batches_frame(run.sink, summary=run.summary(), run_id=run.id)
    parse(run)
    return frame_of(run)


def value_of(run: Run) -> Any:
    """Return what a cell's variable holds: the frame, or the list of values, None where a request failed."""
    if run.options.return_type in FRAMES:
        return present(run)
    parse(run)
    return [row.data if row.ok else None for row in run.rows]


def conclude(run: Run) -> Any:
    """Return what the caller asked for: a frame, or by `return_type` one value, a list, or a dict by key.

    Raises:
        SourceError: The iterable of requests raised; the finished rows are in ``.df``.
        PartialFailureError: A list was asked for and a request failed, or more failed than `check` tolerates.
        RunError: The frame could not be given the shape asked for.
    """
    parse(run)
    run.raise_error()
    options = run.options
    if options.return_type in FRAMES:
        frame = present(run)
        check_shape(frame, run)
        check_failures(run)
        return as_asked(frame, options)
    rows = run.rows
    if not options.return_none_on_failure and any(not row.ok for row in rows):
        raise _partial(run, rows)
    check_failures(run)
    values = [row.data if row.ok else None for row in rows]
    # The index of a Series labels the rows of a frame; it does not ask for a dict.
    keys = None if options.keys is None else run.plan.keys
    if options.pages is not None:
        # One value per page; each key has a list of them.
        return values if keys is None else _by_key(keys, rows, values)
    if run.plan.single:
        return values[0] if values else None
    return values if keys is None else dict(zip(keys, values, strict=False))


def _by_key(keys: Sequence[Any], rows: Sequence[Outcome], values: Sequence[Any]) -> dict[Any, list[Any]]:
    by_key: dict[Any, list[Any]] = {key: [] for key in keys}
    for row, value in zip(rows, values, strict=True):
        by_key[keys[row.place]].append(value)
    return by_key


def as_asked(frame: Any, options: Options) -> Any:
    """Return a frame of pandas as option `return_type` says."""
    if options.return_type == "dataframe":
        return frame
    from fastreq_jupyter.frame import as_asked as converted  # noqa: PLC0415 - pandas is paid for by whoever wants a frame

    return converted(frame, options.return_type)


def check_shape(frame: Any, run: Run) -> None:
    """Raise if the answers could not be given the requested shape.

    Raises:
        RunError: Lists that should become rows cannot; ``.df`` has the frame without that step.
    """
    problem = frame.attrs["fastreq"].get("problem")
    if problem is not None:
        raise RunError(problem, run)


def check_failures(run: Run) -> None:
    """Do what option `check` says.

    Raises:
        PartialFailureError: More requests failed than it tolerates.
    """
    bound = run.options.check
    if bound is None:
        return
    short = run.short()
    failed, total = run.progress.failed + len(short), run.progress.done
    allowed = bound.count if bound.count is not None else (bound.fraction or 0.0) * total
    if failed > allowed:
        raise _partial(run, run.rows, short) if run.sink is None else _partial_elsewhere(run)


def carry_parsed(retry: Run, earlier: Run) -> Run:
    """Note which rows of a run that tries failures again were parsed already."""
    parsed = _PARSED.get(earlier, set())
    _PARSED[retry] = {row.position for row in earlier.rows if row.ok and row.position in parsed}
    return retry


def parse(run: Run) -> None:
    """Apply `parse_func` to every good row that has not seen it; its failure becomes the row's error."""
    function = run.options.parse_func
    if function is None:
        return
    parsed = _PARSED.setdefault(run, set())
    for row in run.outcomes:
        if row.ok and row.position not in parsed:
            parsed.add(row.position)
            try:
                changed = replace(row, data=function(row.data))
            except Exception as error:  # noqa: BLE001 - the user's function: its failure is this row's, the others go on
                detail = one_line(f"{type(error).__name__}: {error}")
                changed = replace(row, error="parse_func", error_detail=detail)
            run.amend([changed])


def _partial_elsewhere(run: Run) -> PartialFailureError:
    """Return the error of a run whose rows left memory: it carries the first failure of each kind."""
    gist, summary = run.gist(), run.summary()
    kinds = ", ".join(f"{kind.name} x{kind.number:,}" for kind in gist.kinds[:_KINDS_SHOWN])
    failures = {kind.first.position: kind.first for kind in gist.kinds}
    message = f"{summary['failed']:,} of {summary['done']:,} requests failed ({kinds}); the rows are in {run.options.to}"
    return PartialFailureError(message, run=run, failures=failures, results={}, failed_urls=[])


def _partial(run: Run, rows: Sequence[Outcome], short: Sequence[Chain] = ()) -> PartialFailureError:
    labels = [_label(number, row, run) for number, row in enumerate(rows)]
    failures = {label: row for label, row in zip(labels, rows, strict=True) if not row.ok}
    results = {label: row.data for label, row in zip(labels, rows, strict=True) if row.ok}
    kinds: dict[str, int] = {}
    for row in failures.values():
        kinds[row.error or ""] = kinds.get(row.error or "", 0) + 1
    shown = ", ".join(f"{kind} x{count:,}" for kind, count in sorted(kinds.items(), key=lambda pair: -pair[1])[:_KINDS_SHOWN])
    urls = [redact_text(redact_url(row.request.url, row.request.secrets), row.request.secrets) for row in failures.values()]
    parts = [f"{len(failures):,} of {len(rows):,} requests failed ({shown})"] if failures or not short else []
    parts += [f"pages are missing: {', '.join(proof(run.summary()['pages']))}"] if short else []
    message = f"{'; '.join(parts)}; .results, .failures and .df hold what arrived"
    return PartialFailureError(message, run=run, failures=failures, results=results, failed_urls=urls)


def _label(number: int, row: Outcome, run: Run) -> Any:
    """Return a row's key, else its place in the list of results."""
    keys = None if run.options.keys is None else run.plan.keys
    if row.link is not None:
        return number if keys is None else (keys[row.place], row.page)
    return row.position if keys is None else keys[row.position]
