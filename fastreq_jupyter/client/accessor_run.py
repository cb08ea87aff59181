"""From a frame back to its run: the outcomes are kept for the last runs of the process, the frame knows the run's id."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any

import pandas as pd

from fastreq_jupyter.bridge import interruption, wait_blocking
from fastreq_jupyter.client.call import where_it_stopped
from fastreq_jupyter.engine.engine import find_run
from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.frame.build import to_frame
from fastreq_jupyter.frame.columns import floats, instants, integers, texts
from fastreq_jupyter.options import Options
from fastreq_jupyter.picture.rows import shown_url
from fastreq_jupyter.timing import phases_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastreq_jupyter.engine.run import Run
    from fastreq_jupyter.model import Attempt, Outcome

__all__ = ["again", "outcomes_of", "run_of", "summary_of", "timings_frame"]

PHASES = ("queued", "dns", "connect", "tls", "wait", "receive", "retry_wait")
_PHASE = pd.CategoricalDtype(list(PHASES))


def run_of(frame: pd.DataFrame, asking: str) -> Run:
    """Return the run that gave a frame.

    Raises:
        UsageError: The frame does not know it, or it is gone; one line.
    """
    known = frame.attrs.get("fastreq")
    run_id = known.get("run_id") if isinstance(known, dict) else None
    if run_id is None:
        raise UsageError(f"{asking}() needs the frame that a run gave: this one knows no run (concat and merge drop attrs)")
    run = find_run(run_id)
    if run is None:
        raise UsageError(f"{asking}() needs the outcomes of run {run_id}, and they are gone: the last 10 runs of this process are kept")
    return run


def outcomes_of(frame: pd.DataFrame, asking: str) -> list[Outcome]:
    """Return the outcomes behind the rows of a frame, also where it is a part of the run's, in its order, each once.

    Raises:
        UsageError: They are gone, or rows of the same label cannot be told apart; one line.
    """
    run = run_of(frame, asking)
    rows = run.rows
    # without select and expand: one row per outcome, whose label tells which
    labels = to_frame(rows, Options(columns="data"), keys=run.plan.keys, join=run.plan.join).index
    if frame.index.equals(labels):
        return list(rows)
    if labels.is_unique:
        places = labels.get_indexer(frame.index.unique())
        if (places >= 0).all():
            return [rows[place] for place in places]
    elif set(frame.index) == set(labels) and len(frame) >= len(labels):
        return list(rows)
    raise UsageError(
        f"{asking}() cannot tell which requests these rows are: their labels repeat or were changed; call it on the run's own frame"
    )


def again(run: Run) -> Any:
    """Send what failed once more, block, and return the frame of all rows.

    Raises:
        KeyboardInterrupt: Interrupted; the rows are in ``last_run().df``.
    """
    waited = wait_blocking(run.retry_failed, loop=run.options.loop)
    if waited.interrupted:
        raise interruption(where_it_stopped(waited.run, "last_run().df"))
    waited.run.raise_error()
    return waited.run.df


def summary_of(frame: pd.DataFrame) -> dict[str, Any]:
    """Return figures of the rows that are here, and the run's own where it is known."""
    ok = frame["error"].isna()
    known = frame.attrs.get("fastreq")
    found: dict[str, Any] = {
        "rows": len(frame),
        "ok": int(ok.sum()),
        "failed": int((~ok).sum()),
        "errors": {str(kind): int(count) for kind, count in frame["error"].value_counts().items()},
    }
    if "size_bytes" in frame:
        found["bytes"] = int(frame["size_bytes"].sum())
    if "elapsed_ms" in frame:
        times = {percent: float(frame["elapsed_ms"].quantile(percent / 100)) for percent in (50, 95, 99)}
        found |= {f"p{percent}_ms": None if isnan(value) else round(value, 3) for percent, value in times.items()}
    return {**found, "run": dict(known["summary"]) if isinstance(known, dict) and "summary" in known else {}}


def timings_frame(rows: Iterable[Outcome]) -> pd.DataFrame:
    """Return one row per attempt and phase; a phase nobody saw is NaN, 0 is one that took none."""
    tries = [(row, shown_url(row, 2000), attempt) for row in rows for attempt in row.attempts]
    width = len(PHASES)
    many = [found for found in tries for _ in PHASES]
    return pd.DataFrame(
        {
            "position": integers([row.position for row, _, _ in many], "Int64"),
            "url": texts([url for _, url, _ in many]),
            "attempt": integers([attempt.number for _, _, attempt in many], "UInt8"),
            "phase": pd.Categorical.from_codes([code for _ in tries for code in range(width)], dtype=_PHASE),
            "ms": floats([seconds for _, _, attempt in tries for seconds in _durations(attempt)], 1e3),
            "status": integers([attempt.status for _, _, attempt in many], "Int16"),
            "error": texts([attempt.error for _, _, attempt in many]),
            "started_at": instants([attempt.started_at for _, _, attempt in many]),
        },
        copy=False,
    )


def _durations(attempt: Attempt) -> tuple[float, ...]:
    seen = phases_of(attempt.hops)
    return attempt.queued, seen.dns, seen.connect, seen.tls, seen.wait, seen.receive, attempt.retry_wait
