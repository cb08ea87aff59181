"""Downloads that go on where they broke off (RFC 9110, 13.1.5, 14.2): what may be asked for, and what an answer to it is.

The law: a file is put together only of parts that a strong validator says are of one representation: If-Range sends the whole
where that has changed, and what comes must say that it begins where we stopped.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fastreq_jupyter.content import Headers
    from fastreq_jupyter.exchange import Response

__all__ = ["Beginning", "asking_for_rest", "may_ask_for_rest", "validator_of", "why_no_rest"]

_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
# RFC 9110, 8.8.2.2: within the clock's resolution a file may change twice under the same time.
_SURE_AFTER_S = 60


class Beginning(NamedTuple):
    """What is there of a file: so many bytes of the representation with this validator."""

    size: int
    validator: str


def may_ask_for_rest(method: str, headers: Headers) -> bool:
    """Tell whether a request is one whose download can go on: a GET that asks for no part itself."""
    return method == "GET" and not any(name.lower() in ("range", "if-range") for name, _ in headers)


def validator_of(response: Response) -> str | None:
    """Return what tells later whether a file is still the same: a strong ETag, or an old enough Last-Modified; else None."""
    if (response.header("accept-ranges") or "").lower() == "none":
        return None
    tag = response.header("etag")
    if tag is not None:
        return tag if tag.startswith('"') else None
    changed, date = response.header("last-modified"), response.header("date")
    try:
        age = parsedate_to_datetime(date or "") - parsedate_to_datetime(changed or "")
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return changed if age.total_seconds() >= _SURE_AFTER_S else None


def asking_for_rest(headers: Headers, beginning: Beginning) -> Headers:
    """Return the field lines with what asks for the rest; a part of a compressed body would be of no use."""
    other_lines = tuple(line for line in headers if line[0].lower() != "accept-encoding")
    ours = ("Accept-Encoding", "identity"), ("Range", f"bytes={beginning.size}-"), ("If-Range", beginning.validator)
    return (*other_lines, *ours)


def why_no_rest(response: Response, beginning: Beginning) -> str | None:
    """Return why a 206 is not the rest of the file that was begun, None where it is."""
    match = _RANGE.fullmatch((response.header("content-range") or "").strip())
    if match is None or int(match[1]) != beginning.size:
        return "is another part than the rest that was asked for"
    if match[3] != "*" and int(match[2]) != int(match[3]) - 1:
        return "ends before the file does"
    name = "etag" if beginning.validator.startswith('"') else "last-modified"
    if response.header(name) not in (None, beginning.validator):
        return "is a part of another version of the file"
    return "is compressed" if response.header("content-encoding") not in (None, "identity") else None
