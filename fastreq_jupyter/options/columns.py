"""The names of the frame's own columns, and which of them option `columns` shows.

A frame has three groups: what was asked (input columns), what came (`item`, `data`, expanded fields), how it went. The sets
below are of the last; columns that an option asks for (`TIMING_COLUMNS`, `headers`, `item`, `page`) are in every set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastreq_jupyter.options.table import Options

__all__ = ["COLUMN_SETS", "TIMING_COLUMNS", "own_columns"]

_SHORT = ("status", "ok", "error", "error_detail", "elapsed_ms", "attempts", "url")
_ALL = (*_SHORT, "method", "queued_ms", "wait_ms", "size_bytes", "content_type", "final_url", "request", "started_at")
COLUMN_SETS: Mapping[str, tuple[str, ...]] = {"data": ("error",), "short": _SHORT, "all": _ALL}
TIMING_COLUMNS = ("retry_wait_ms", "dns_ms", "connect_ms", "tls_ms", "receive_ms", "http_version")


def own_columns(options: Options) -> frozenset[str]:
    """Return the names that are ours in a run's frame: shown or not, so that no other name depends on option `columns`."""
    asked = (
        *(TIMING_COLUMNS if options.timings else ()),
        *(("headers",) if options.response_headers else ()),
        *(("item",) if options.select is not None else ()),
        *(("page",) if options.pages is not None else ()),
        *(("position",) if options.to is not None else ()),
        *(("looks",) if options.until is not None else ()),
        *(("cached",) if options.caches else ()),
    )
    return frozenset({"data", *_ALL, *asked})
