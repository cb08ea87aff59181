"""Reads what a browser recorded (HAR 1.2): its xhr and fetch requests become requests of a cell.

An archive may be large: its entries are read one after the other, so that only the largest of them has to fit into memory.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.model import Request
from fastreq_jupyter.options import show_bytes
from fastreq_jupyter.redact import MASK, is_secret_header

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_REQUESTS = 500
"""So many become a cell: more is nothing to read."""
LARGEST_ENTRY = 64 * 2**20
"""Characters of one entry, bodies included."""
_STEP = 4 * 2**20
_ENTRIES = re.compile(r'"entries"\s*:\s*\[')
_BLANK = re.compile(r"[\s,]*")
_LONGEST_MARK = 256

# Types of requests as browsers name them.
_CALLS = frozenset({"xhr", "fetch"})
_DATA = re.compile(r"json|xml(?!\b.*html)|csv|protobuf|grpc|graphql|form-urlencoded|text/plain", re.IGNORECASE)
# Fields that the client sets itself, or that describe the browser's own connection.
_LEFT_OUT = frozenset({"host", "content-length", "connection", "accept-encoding", "transfer-encoding", "te", "priority", "dnt", "pragma"})
_LEFT_OUT_BEGINNINGS = (":", "sec-", "proxy-")
_CREDENTIALS = frozenset({"cookie", "authorization", "set-cookie"})


@dataclass(frozen=True, slots=True)
class Recorded:
    """What an archive has.

    Attributes:
        requests: xhr and fetch requests in their order, equal ones once.
        entries: Entries of the archive.
        equal: Requests that were left out because an earlier one is equal.
        more: Requests beyond `MOST_REQUESTS`.
        sanitized: No entry has cookies or Authorization.
    """

    requests: tuple[Request, ...]
    entries: int
    equal: int
    more: int
    sanitized: bool


def read_har(path: str | Path, pattern: str | None = None) -> Recorded:
    """Return the xhr and fetch requests of an archive.

    Args:
        path: The file.
        pattern: Part of the URL, or with ``*`` a glob on the whole of it.

    Raises:
        UsageError: It cannot be read, or is no archive; one line.
    """
    seen: dict[tuple[object, ...], Request] = {}
    counts: Counter[str] = Counter()
    for entry in har_entries(path):
        counts["entries"] += 1
        counts["credentials"] += _has_credentials(entry)
        request = _request_of(entry) if _is_call(entry) else None
        if request is None or not _fits(request.url, pattern):
            continue
        key = (request.method, request.url, request.headers, request.content)
        if key in seen:
            counts["equal"] += 1
        elif len(seen) == MOST_REQUESTS:
            counts["more"] += 1
        else:
            seen[key] = request
    return Recorded(tuple(seen.values()), counts["entries"], counts["equal"], counts["more"], not counts["credentials"])


def har_entries(path: str | Path) -> Iterator[dict[str, Any]]:
    """Give the entries of an archive, one after the other.

    Raises:
        UsageError: The file cannot be read, is no archive, or is cut; one line.
    """
    name = Path(path).name
    decoder = json.JSONDecoder()
    try:
        with Path(path).expanduser().open(encoding="utf-8-sig", errors="replace") as file:
            text, at = _to_entries(file, name)
            while True:
                at = _blank(text, at)
                if text[at : at + 1] == "]":
                    return
                try:
                    entry, at = decoder.raw_decode(text, at)
                except (ValueError, RecursionError):
                    left = len(text) - at
                    if left > LARGEST_ENTRY:
                        raise UsageError(f"{name}: an entry is no JSON, or longer than {show_bytes(LARGEST_ENTRY)}") from None
                    # Doubled each time, so that a large entry is not parsed again for every piece of it.
                    more = file.read(max(_STEP, left))
                    if not more:
                        raise UsageError(f"{name}: the archive is cut, or is no JSON") from None
                    text, at = text[at:] + more, 0
                    continue
                if isinstance(entry, dict):
                    yield entry
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror or error}") from None


def _to_entries(file: Any, name: str) -> tuple[str, int]:
    text = file.read(_STEP)
    while (match := _ENTRIES.search(text)) is None:
        more = file.read(_STEP)
        if not more:
            raise UsageError(f"{name} is no HTTP Archive: it has no entries")
        text = text[-_LONGEST_MARK:] + more
    return text, match.end()


def _blank(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return at if match is None else match.end()


def _is_call(entry: dict[str, Any]) -> bool:
    """Tell whether an entry is what a page's code asked for; Firefox and proxies do not say, so that the answer's type tells."""
    kind = entry.get("_resourceType")
    request, response = _mapping(entry.get("request")), _mapping(entry.get("response"))
    if request.get("method") in ("OPTIONS", "CONNECT"):
        return False
    if isinstance(kind, str):
        return kind in _CALLS
    headers = {name.lower(): value for name, value in _pairs(request.get("headers"))}
    if "sec-fetch-dest" in headers:
        return headers["sec-fetch-dest"] == "empty"
    if headers.get("x-requested-with", "").lower() == "xmlhttprequest":
        return True
    return bool(_DATA.search(str(_mapping(response.get("content")).get("mimeType") or "")))


def _request_of(entry: dict[str, Any]) -> Request | None:
    recorded = _mapping(entry.get("request"))
    method, url = recorded.get("method"), recorded.get("url")
    if not isinstance(method, str) or not isinstance(url, str) or not url.lower().startswith(("http://", "https://")):
        return None
    headers = tuple(
        (name, value)
        for name, value in _pairs(recorded.get("headers"))
        if name.lower() not in _LEFT_OUT
        and not name.lower().startswith(_LEFT_OUT_BEGINNINGS)
        and not (value == MASK and is_secret_header(name))
    )
    post = _mapping(recorded.get("postData"))
    text = post.get("text")
    if not text and (params := list(_pairs(post.get("params")))):
        text = urlencode(params)
    return Request(
        method, url.partition("#")[0], headers=headers, data=text.encode("utf-8", "replace") if isinstance(text, str) and text else None
    )


def _has_credentials(entry: dict[str, Any]) -> bool:
    for side in ("request", "response"):
        message = _mapping(entry.get(side))
        if any(name.lower() in _CREDENTIALS and value != MASK for name, value in _pairs(message.get("headers"))):
            return True
        if any(value != MASK for _, value in _pairs(message.get("cookies"))):
            return True
    return False


def _fits(url: str, pattern: str | None) -> bool:
    if pattern is None:
        return True
    return fnmatchcase(url, pattern) if "*" in pattern else pattern in url


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _pairs(value: Any) -> Iterable[tuple[str, str]]:
    """Return name and value of what a list of such objects has."""
    items = value if isinstance(value, list) else ()
    return [
        (item["name"], item["value"])
        for item in items
        if isinstance(item, dict) and isinstance(item.get("name"), str) and isinstance(item.get("value"), str)
    ]
