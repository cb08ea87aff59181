"""What the head of an answer may say (RFC 9112), the same on each backend.

HTTP libraries differ in what they let pass: a status of 99, a transfer coding nobody decodes, a Content-Length of "+5".
Taken as it comes, such an answer would give a body that is not what the server meant, so it is none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastreq_jupyter.errors import BackendError

if TYPE_CHECKING:
    from fastreq_jupyter.response import Headers

__all__ = ["check_head", "check_part"]

_FIRST_FINAL, _BEYOND = 200, 1000
_PARTIAL = 206
# Longer ones do not fit 64 bits.
_LENGTH = re.compile(r"[0-9]{1,18}")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FORBIDDEN = re.compile(r"[\x00\r\n]")


def check_head(status: int, headers: Headers) -> None:
    """Refuse a head that leaves open where its body ends, or what it is.

    Args:
        status: Status code of the final answer.
        headers: Its field lines.

    Raises:
        BackendError: ``protocol``, with what is wrong.
    """
    if not _FIRST_FINAL <= status < _BEYOND:
        raise BackendError("protocol", f"status {status} is no final answer")
    lengths: set[str] = set()
    codings: list[str] = []
    for name, value in headers:
        if not _TOKEN.fullmatch(name) or _FORBIDDEN.search(value):
            raise BackendError("protocol", "malformed field line in the answer")
        lower = name.lower()
        if lower == "content-length":
            lengths.update(part.strip(" \t") for part in value.split(","))
        elif lower == "transfer-encoding":
            codings += [part.strip(" \t").lower() for part in value.split(",")]
    if codings not in ([], ["chunked"], ["identity"]):
        raise BackendError("protocol", "transfer coding other than chunked in the answer")
    if lengths and (len(lengths) > 1 or not _LENGTH.fullmatch(next(iter(lengths)))):
        raise BackendError("protocol", "no usable Content-Length in the answer")
    if lengths and codings == ["chunked"]:
        raise BackendError("protocol", "both Content-Length and chunked in the answer")


def check_part(status: int, asked: Headers) -> None:
    """Refuse a part of a body for which nobody asked: it would be taken for the whole (RFC 9110, 15.3.7).

    Args:
        status: Status code of the answer.
        asked: Field lines of the request.

    Raises:
        BackendError: ``protocol``.
    """
    if status == _PARTIAL and not any(name.lower() == "range" for name, _ in asked):
        raise BackendError("protocol", "206 Partial Content, though no Range was asked for")
