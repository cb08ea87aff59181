"""niquests' protocol engine for one connection, and the two things about an answer that it does not hand on."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import h11
from niquests.packages.urllib3.contrib.hface import (  # type: ignore[import-not-found] # an alias made when it is imported
    HTTP1Protocol,
    HTTP2Protocol,
    HTTPProtocolFactory,
)
from niquests.packages.urllib3.contrib.hface.events import (  # type: ignore[import-not-found]
    ConnectionTerminated,
    DataReceived,
    EarlyHeadersReceived,
    HeadersReceived,
    StreamResetReceived,
)

from fastreq_jupyter.backends.wire import MAX_FIELD_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastreq_jupyter.response import Headers

__all__ = [
    "ConnectionTerminated",
    "DataReceived",
    "EarlyHeadersReceived",
    "Engine",
    "Fields",
    "Head",
    "HeadersReceived",
    "StreamResetReceived",
]

Fields = list[tuple[bytes, bytes]]
"""Field lines as HTTP/2 has them: lower-case names, pseudo fields first."""


@dataclass(frozen=True, slots=True)
class Head:
    """Hold the head of an answer."""

    status: int
    reason: str
    http_version: str
    headers: Headers


class Engine:
    """Make the engine of a connection, and read heads completely.

    Attributes:
        protocol: The engine itself: bytes in, events out.
    """

    def __init__(self, *, multiplexed: bool) -> None:
        self.protocol: Any = HTTPProtocolFactory.new(HTTP2Protocol if multiplexed else HTTP1Protocol)
        self._multiplexed = multiplexed
        self._last: h11.Response | h11.InformationalResponse | None = None
        inner = getattr(self.protocol, "_connection", None)
        self._h11 = inner if isinstance(inner, h11.Connection) else None
        if self._h11 is not None:
            self._listen(self._h11)

    @property
    def leftover(self) -> bool:
        """Tell whether bytes came that belong to no answer we asked for."""
        return self._h11 is not None and bool(self._h11.trailing_data[0])

    def read_head(self, fields: Sequence[tuple[bytes, bytes]]) -> Head:
        """Read the fields of a head event: status, reason, version, and field lines as latin-1 text."""
        status = int(dict(fields).get(b":status", b"0"))
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields if not name.startswith(b":"))
        if self._multiplexed:
            return Head(status, _phrase(status), "2", headers)
        if self._last is None:
            return Head(status, _phrase(status), "1.1", headers)
        return Head(status, bytes(self._last.reason).decode("latin-1"), bytes(self._last.http_version).decode("ascii"), headers)

    def _listen(self, connection: h11.Connection) -> None:
        # The engine's events carry neither reason nor version, and its limit for a head is a quarter of the others'.
        read = connection.next_event

        def next_event() -> Any:
            event = read()
            if isinstance(event, h11.Response):
                self._last = event
            return event

        connection.next_event = next_event  # type: ignore[method-assign]
        if hasattr(connection, "_max_incomplete_event_size"):
            connection._max_incomplete_event_size = 2 * MAX_FIELD_BYTES  # noqa: SLF001 - else set by its constructor only


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
