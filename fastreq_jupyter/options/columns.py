"""The names of the frame's own columns, and which of them option `columns` shows.

A frame has three groups: what was asked (input columns), what came (`item`, `data`, expanded fields), how it went. The sets
below are of the last; columns that an option asks for (`TIMING_COLUMNS`, `headers`, `item`, `page`) are in every set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastreq_jupyter.options.table import Options

_SHORT = ("status", "ok", "error", "error_detail", "elapsed_ms", "attempts", "url")
_ALL = (*_SHORT, "method", "queued_ms", "wait_ms", "size_bytes", "content_type", "final_url", "request", "started_at")
COLUMN_SETS: Mapping[str, tuple[str, ...]] = {"data": ("error",), "short": _SHORT, "all": _ALL}
NOT_EXPANDED = frozenset({"attempts", "url"})
"""Columns of the short set that `expand` leaves out: whoever makes columns of bodies reads those, and they need the room."""
TIMING_COLUMNS = ("retry_wait_ms", "dns_ms", "connect_ms", "tls_ms", "receive_ms", "http_version")


def shown_columns(options: Options) -> tuple[str, ...]:
    """Return the columns of how it went that a run's frame shows."""
    names = COLUMN_SETS[options.columns]
    if options.columns == "short" and options.expand is not None:
        return tuple(name for name in names if name not in NOT_EXPANDED)
    return names


def own_columns(options: Options) -> frozenset[str]:
    """Return the names that are ours in a run's frame: shown or not, so that no other name depends on option `columns`."""
    optional = (
        *(TIMING_COLUMNS if options.timings else ()),
        *(("headers",) if options.response_headers else ()),
        *(("item",) if options.select is not None else ()),
        *(("page",) if options.pages is not None else ()),
        *(("position",) if options.to is not None else ()),
        *(("looks",) if options.until is not None else ()),
        *(("cached",) if options.caches else ()),
    )
    return frozenset({"data", *_ALL, *optional})


MEANINGS: Mapping[str, str] = {
    "item": "number of the item within its body, from 0 (`select`)",
    "data": "the body: parsed JSON, text, bytes, or the path of its file; None where it is empty or became columns",
    "status": "status code; NA where no answer came",
    "ok": "status below 400 and the body usable",
    "error": "kind of failure, NA when ok: `df.error.value_counts()`",
    "error_detail": "the cause in one line; of a refusal the reason that the API itself gives",
    "elapsed_ms": "from the first attempt's start to the last byte, waits between attempts included, `queued_ms` not",
    "attempts": "how often it was tried, an instant resend for a dead kept connection not counted; 0 where nothing was sent",
    "url": "as asked, secrets as `***`",
    "method": "HTTP method",
    "queued_ms": "waiting for a slot and for the rate",
    "wait_ms": "request sent to first byte, in the last attempt: the server's own time",
    "size_bytes": "length of the body, decompressed",
    "content_type": "media type without parameters",
    "final_url": "the URL that answered, after redirects",
    "request": "`# @name` of the cell, or the request's key",
    "started_at": "when the first attempt began, UTC",
    "page": "number of the page, from 1 (`pages`)",
    "looks": "how often its job was looked at (`until`)",
    "cached": "`fresh`: from the cache; `revalidated`: the server said that nothing has changed (`cache`, `offline`)",
    "retry_wait_ms": "waits between attempts (`timings`)",
    "dns_ms": "name resolution; NaN where the backend cannot see it (`timings`)",
    "connect_ms": "TCP connection; 0 where a kept one was used (`timings`)",
    "tls_ms": "TLS handshake (`timings`)",
    "receive_ms": "first byte to last (`timings`)",
    "http_version": "1.0, 1.1, 2 or 3 (`timings`)",
    "headers": "dict of response fields, lower-case names, secret ones as `***` (`response_headers`)",
}
"""What stands in each column, in the order of a frame."""
