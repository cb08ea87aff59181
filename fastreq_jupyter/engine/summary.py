"""What a run came to, as small JSON and as one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastreq_jupyter.quantity import show_bytes, show_seconds

__all__ = ["KEPT_MUCH", "closing_line"]

KEPT_MUCH = 2**30
"""Bytes of kept bodies from which the summary names save_to."""

_KINDS_SHOWN = 4


def closing_line(summary: Mapping[str, Any]) -> str:
    """Return ``orders: 4,997 of 5,000 ok, http 503 x2, timeout x1, 84 s, 12 MB``.

    Args:
        summary: What `Run.summary` returns.
    """
    name = f"{summary['name']}: " if summary.get("name") else ""
    known = summary["total"] if summary["total"] is not None else summary["done"]
    parts = [f"{summary['ok']:,} of {known:,} ok"]
    kinds = sorted(summary["errors"].items(), key=lambda item: -item[1])
    parts += [f"{kind} x{count:,}" for kind, count in kinds[:_KINDS_SHOWN]]
    if len(kinds) > _KINDS_SHOWN:
        parts.append(f"others x{sum(count for _, count in kinds[_KINDS_SHOWN:]):,}")
    if summary["retried"]:
        parts.append(f"{summary['retried']:,} {'retry' if summary['retried'] == 1 else 'retries'}")
    return name + ", ".join([*parts, show_seconds(summary["elapsed_s"]), show_bytes(summary["bytes"])])
