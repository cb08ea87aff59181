"""What a run came to, as small JSON and as one line."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.engine.explanation import WORTH_SAYING
from fastreq_jupyter.options import show_bytes, show_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fastreq_jupyter.engine.progress import Tally
    from fastreq_jupyter.engine.scheduler import Scheduler
    from fastreq_jupyter.options import Options

__all__ = ["KEPT_MUCH", "SHARES", "closing_line", "figures", "proof", "quantiles"]

KEPT_MUCH = 2**30
"""Bytes of kept bodies from which the summary names save_to."""

SHARES = (50, 95, 99)
"""Percentiles that are told of a run."""

_KINDS_SHOWN = 4
# A run shorter than this needs no advice.
_WORTH_SECONDS = 1.0


def figures(tally: Tally, scheduler: Scheduler, options: Options, notes: list[str]) -> dict[str, Any]:
    """Return the figures of a run as small JSON.

    Args:
        tally: Its counters.
        scheduler: Knows its hosts and its source.
        options: In force.
        notes: Lines a person should read.
    """
    source = scheduler.source
    notes = [*notes, *(f"{count:,} {'body' if count == 1 else 'bodies'} {remark}" for remark, count in list(tally.remarks.items()))]
    if scheduler.stop is not None and scheduler.stop[0] == "auth":
        notes = [*notes, scheduler.stop[1]]
    if tally.kept_bytes > KEPT_MUCH:
        notes = [*notes, "more than 1 GiB of bodies is kept in memory: save_to writes them to files"]
    if options.verify_ssl is False:
        notes = [*notes, "TLS certificates were not verified (verify_ssl=False)"]
    paging = scheduler.paging
    if paging is not None:
        notes = [*notes, *paging.notes()]
    return {
        "total": tally.total,
        "done": tally.done,
        "ok": tally.ok,
        "failed": tally.failed,
        "errors": dict(tally.errors),
        "cut_off": dict(tally.cut_off),
        "unsent": dict(tally.unsent),
        "elapsed_s": round(tally.elapsed, 3),
        "bytes": tally.bytes,
        "kept_bytes": tally.kept_bytes,
        "attempts": tally.attempts,
        "answered": tally.answered,
        "retried": tally.retried,
        "concurrency": options.concurrency,
        "auto": None if scheduler.auto is None else scheduler.auto.state._asdict(),
        "source_exhausted": source.exhausted and source.error is None and scheduler.stop is None,
        "breaker": {str(origin): host.health.trips for origin, host in list(scheduler.hosts.items()) if host.health.trips},
        "loop_lag_ms": round(tally.lag_s * 1000, 1),
        **({} if paging is None else {"pages": paging.figures()}),
        "notes": notes,
    }


def proof(pages: Mapping[str, Any]) -> list[str]:
    """Return the parts of the closing line that tell whether all pages came.

    Args:
        pages: ``summary["pages"]``.
    """
    parts = [] if pages["requests"] == 1 else [f"{pages['requests']:,} requests"]
    parts += [f"{pages[name]:,} {name if pages[name] != 1 else name[:-1]}" for name in ("pages", "items")]
    if pages["total"] is not None:
        parts.append(f"total said {pages['total']:,}")
    if pages["distinct"] is not None and pages["distinct"] < pages["items"]:
        why = ": the server's order is not stable, sort by a unique key" if pages["unstable"] else ""
        parts.append(f"{pages['distinct']:,} distinct{why}")
    if pages["short"] and pages["requests"] > 1:
        parts.append(f"{pages['short']:,} short")
    return parts


def quantiles(durations: Iterable[float]) -> list[float]:
    """Return the percentiles of `SHARES`; NaN is left out, nothing gives an empty list.

    By nearest rank, so that each is a duration that was measured, and "95 of 100 took no longer" is true of few as of many.
    """
    values = sorted(value for value in durations if isfinite(value))
    return [values[-(-share * len(values) // 100) - 1] for share in SHARES] if values else []


def _kind(summary: Mapping[str, Any], kind: str, count: int) -> str:
    """Return ``http 503 x2``; of what the run gave up ``cancelled: 4 cut off, 110 not sent``."""
    cut, unsent = summary["cut_off"].get(kind, 0), summary["unsent"].get(kind, 0)
    if not cut + unsent:
        return f"{kind} x{count:,}"
    return f"{kind}: {', '.join(f'{number:,} {what}' for number, what in ((cut, 'cut off'), (unsent, 'not sent')) if number)}"


def closing_line(summary: Mapping[str, Any]) -> str:
    """Return ``orders: 4,997 of 5,000 ok, http 503 x2, timeout x1, 84 s, 12 MB``.

    Args:
        summary: What `Run.summary` returns.
    """
    name = f"{summary['name']}: " if summary.get("name") else ""
    total = summary["total"] if summary["total"] is not None else summary["done"]
    pages = summary.get("pages")
    parts = [f"{summary['ok']:,} of {total:,} ok"] if pages is None else proof(pages)
    # Ties are sorted by name, so that the same run always gives the same line.
    kinds = sorted(summary["errors"].items(), key=lambda item: (-item[1], item[0]))
    parts += [_kind(summary, kind, count) for kind, count in kinds[:_KINDS_SHOWN]]
    if len(kinds) > _KINDS_SHOWN:
        parts.append(f"others x{sum(count for _, count in kinds[_KINDS_SHOWN:]):,}")
    if summary["retried"]:
        parts.append(f"{summary['retried']:,} {'retry' if summary['retried'] == 1 else 'retries'}")
    parts += [show_seconds(summary["elapsed_s"]), show_bytes(summary["bytes"])]
    auto = summary.get("auto")
    if auto is not None and auto["advice"] is not None:
        parts.append(f"auto came to -c {auto['advice']}")
    advice = summary.get("advice")
    # Fewer retries would be faster but lose answers: `summary` says so, the line does not.
    if advice is not None and advice.get("option") != "max_retries" and advice["gain"] > WORTH_SAYING:
        saved = advice["gain"] * summary["elapsed_s"]
        if saved >= _WORTH_SECONDS:
            parts.append(advice["text"])
    return name + ", ".join(parts)
