"""Pages of each kind, over the shop's orders: what APIs do, and on request what some of them do wrong."""

from __future__ import annotations

import math
import random
import time
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from fastreq_jupyter.demo.shop import Record

__all__ = ["KINDS", "UNKIND", "Feeds", "Quota"]

KINDS = ("page", "offset", "cursor", "link", "header")
UNKIND = ("clamp", "unstable", "lying", "expire", "ignore")
LIMIT, MOST, CLAMPED = 20, 100, 7
EXPIRES_AT = 40
QUOTA, WINDOW = 20, 1.0


class Feeds:
    """Answer pages; counts how often an order was shuffled and whether the cursors of the first visit have expired."""

    def __init__(self) -> None:
        self._visits = 0
        self._generations: dict[str, int] = {}

    def answer(self, request: web.Request, records: list[Record]) -> web.Response:
        """Answer one page.

        Query: ``limit``; ``page``, ``offset`` or ``cursor`` by kind; ``first=N`` of the records only; ``unkind`` is one of
        `UNKIND`: a limit that is cut silently, another order each time, a total that is too small, a cursor that expires once
        (per ``visit``), a cursor, page or offset that is ignored.
        """
        kind, query = request.match_info["kind"], request.query
        unkind = query.get("unkind", "")
        if kind not in KINDS or (unkind and unkind not in UNKIND):
            raise web.HTTPNotFound
        records = records[: _whole(query.get("first"), len(records))]
        limit = min(max(_whole(query.get("limit"), LIMIT), 1), CLAMPED if unkind == "clamp" else MOST)
        if unkind == "unstable":
            self._visits += 1
            records = random.Random(self._visits).sample(records, len(records))  # noqa: S311  records of a demo, no secrets
        generation = self._generations.setdefault(query.get("visit", ""), 0)
        start = self._start(kind, query, limit, generation if unkind == "expire" else None)
        items = records[0 if unkind == "ignore" else start :][:limit]
        total = len(records) * 2 // 3 if unkind == "lying" else len(records)
        more = start + limit < len(records)
        return _response(request, kind, items, total, f"{generation}-{start + limit}" if more else None)

    def _start(self, kind: str, query: Any, limit: int, generation: int | None) -> int:
        if kind == "page":
            return (max(_whole(query.get("page"), 1), 1) - 1) * limit
        if kind == "offset":
            return _whole(query.get("offset"), 0)
        cursor_generation, _, start = query.get("cursor", "").partition("-")
        if generation is not None and start:
            if generation == 0 and int(start) >= EXPIRES_AT:
                self._generations[query.get("visit", "")] = 1
                raise web.HTTPGone
            if int(cursor_generation) != generation:
                raise web.HTTPGone
        return _whole(start or None, 0)


class Quota:
    """So many requests in a window of a second.

    Attributes:
        left: How many more there may be in this window.
    """

    def __init__(self) -> None:
        self._until, self.left = 0.0, 0

    def take(self) -> bool:
        """Take one request; tell whether it is allowed."""
        now = time.monotonic()
        if now >= self._until:
            self._until, self.left = now + WINDOW, QUOTA
        allowed = self.left > 0
        self.left -= allowed
        return allowed

    def answer(self, request: web.Request) -> web.Response:
        """Answer with what is left and in how many seconds there is more, or 429 without Retry-After, as most APIs do that have a limit."""
        allowed = self.take()
        headers = {"RateLimit": f'"demo";r={self.left};t={math.ceil(self._until - time.monotonic())}'}
        if allowed:
            return web.json_response({"n": request.match_info["n"]}, headers=headers)
        return web.json_response({"error": "too many requests"}, status=429, headers=headers)


def _response(request: web.Request, kind: str, items: list[Record], total: int, cursor: str | None) -> web.Response:
    following = None if cursor is None else str(request.url.update_query(cursor=cursor))
    if kind == "header":
        return web.json_response(items, headers={} if following is None else {"Link": f'<{following}>; rel="next"'})
    body: Record = {"items": items, "total": total}
    if kind == "cursor":
        body["next_cursor"] = cursor
    elif kind == "link":
        body["next"] = following
    return web.json_response(body)


def _whole(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isdecimal():
        raise web.HTTPBadRequest
    return int(text)
