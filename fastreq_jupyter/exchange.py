"""Exchanges on the wire and the attempts they make: what goes out, what comes back, and the marks of its time.

Marks are named after W3C Resource Timing (snake case), durations after HAR 1.2. All marks are seconds of one monotonic
clock (`time.perf_counter`). A mark nobody saw is NaN, and so is every duration that needs it: a phase is 0 only where
it truly took none (a reused connection has dns, connect and tls of 0).
"""

from __future__ import annotations

import json as jsonlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import isnan, nan
from struct import Struct, calcsize
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from urllib.parse import urljoin

from fastreq_jupyter.content import decode_text, link_targets, media_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastreq_jupyter.content import Headers
    from fastreq_jupyter.files import Upload
    from fastreq_jupyter.url import Target

__all__ = [
    "MARKS",
    "Attempt",
    "Credential",
    "Exchange",
    "Phases",
    "Response",
    "SingleAttempt",
    "Timing",
    "instant_of",
    "marks_struct",
    "phases_of",
]

_ATTRIBUTES = ("status", "headers", "final_url", "content", "size_bytes", "http_version", "reason", "path")


class Credential:
    """What goes with the exchanges of one origin: a token, or what the backend's library makes credentials of.

    Attributes:
        scheme: "" for a token, whose field lines are all; digest, sigv4, negotiate or ntlm where the backend's library
            is given user and password.
        user, password: What the library is given.
        lines: Field lines that go along.
        signed_for: Provider, region and service of a signature, as libcurl spells them; "" where there is none.
    """

    __slots__ = ()

    scheme: ClassVar[str] = ""
    lines: Headers
    user: str
    password: str
    signed_for = ""


@dataclass(slots=True)
class Exchange:
    """One request as it goes on the wire; the engine has added cookies, credentials and default field lines.

    Attributes:
        method: Token.
        target: Where to; `target.url` has no userinfo and no fragment, and must be sent as it is.
        headers: All field lines, User-Agent, Accept, Accept-Encoding included; the backend adds only Host,
            Content-Length and Connection. An explicit Host is passed on. Plain URLs of a run share one tuple, so that a
            backend can keep what it makes of it.
        content: Body or None; one that stands in files is opened when it is sent.
        fresh: Use a new connection: a kept one has just been found dead.
        connect_timeout: Seconds for name, connection and TLS, None for no limit but the engine's deadline.
        auth: Credentials for this origin: for the engine a token; what a backend gets is None, or what its library makes
            credentials of.
    """

    method: str
    target: Target
    headers: Headers
    content: bytes | Upload | None = None
    fresh: bool = False
    connect_timeout: float | None = None
    auth: Credential | None = field(default=None, repr=False)


@dataclass(slots=True)
class Timing:
    """The marks of one exchange (one redirect hop), seconds of `time.perf_counter`, NaN where unseen.

    Filled in place while the exchange goes on: the engine sets `fetch_start` and `response_end`, the backend the others as
    far as it can see them.
    """

    fetch_start: float = nan
    domain_lookup_start: float = nan
    domain_lookup_end: float = nan
    connect_start: float = nan
    secure_connection_start: float = nan
    connect_end: float = nan
    request_start: float = nan
    response_start: float = nan
    response_end: float = nan
    reused: bool | None = None
    """True where the exchange went over a connection that was open already, None where the backend cannot tell."""
    encrypted: bool | None = None
    """True over TLS: a plain connection has a tls phase of 0."""

    @property
    def wait(self) -> float:
        """Return seconds from the request sent to the first byte, or to the end where none came: that time was waited, too."""
        first = self.response_start
        return (first if first == first else self.response_end) - self.request_start  # noqa: PLR0124 - NaN is not itself

    @property
    def phases(self) -> Phases:
        """Return the HAR durations of this hop in seconds."""
        wait, receive = self.wait, self.response_end - self.response_start
        if self.reused:
            return Phases(0.0, 0.0, 0.0, wait, receive)
        tls = 0.0 if self.encrypted is False else self.connect_end - self.secure_connection_start
        connected = self.connect_end if isnan(self.secure_connection_start) else self.secure_connection_start
        return Phases(self.domain_lookup_end - self.domain_lookup_start, connected - self.connect_start, tls, wait, receive)


class Phases(NamedTuple):
    """Durations in seconds; `connect` is TCP alone, `tls` the handshake, NaN where the backend cannot see it."""

    dns: float = nan
    connect: float = nan
    tls: float = nan
    wait: float = nan
    receive: float = nan


def phases_of(hops: Sequence[Timing]) -> Phases:
    """Sum the phases over the redirect hops of one attempt, but `wait`, which is that of the last hop.

    Args:
        hops: Timings of the hops in order; may be empty (an attempt that never reached the network).

    Returns:
        The phases in seconds, all NaN when there was no hop.
    """
    if len(hops) == 1:
        return hops[0].phases
    if not hops:
        return Phases()
    phases = [hop.phases for hop in hops]
    # NaN in one hop makes the sum NaN.
    summed = Phases(*map(sum, zip(*phases, strict=True)))
    return summed._replace(wait=phases[-1].wait)


class Response:
    """What the server said; not changed once its request has an outcome.

    Attributes:
        status: Status code, 100..599.
        headers: Field lines of the final response, latin-1 text.
        final_url: The URI that answered, after redirects.
        content: Body after content decoding; None where it was saved to a file, dropped after it was parsed
            (the outcome's `data` holds it), or not read.
        size_bytes: Length of the body after content decoding.
        http_version: "1.0", "1.1", "2" or "3".
        reason: Reason phrase; "" where HTTP has none.
        path: The file the body was saved to.
        type_line: The field Content-Type as it came, where whoever made the response has read it already, else None.
    """

    __slots__ = ("_fields", "content", "final_url", "http_version", "path", "reason", "size_bytes", "status", "type_line")

    def __init__(  # noqa: PLR0913, PLR0917 - the record of a response
        self,
        status: int,
        headers: Headers | Sequence[tuple[bytes, bytes]] = (),
        final_url: str = "",
        content: bytes | None = None,
        size_bytes: int = 0,
        http_version: str = "1.1",
        reason: str = "",
        path: str | None = None,
        content_type: str | None = None,
    ) -> None:
        self.status = status
        self._fields = headers
        self.final_url = final_url
        self.content = content
        self.size_bytes = size_bytes
        self.http_version = http_version
        self.reason = reason
        self.path = path
        self.type_line = content_type

    @property
    def headers(self) -> Headers:
        """Return the field lines as text; they stay bytes until somebody looks."""
        fields = self._fields
        if fields and isinstance(fields[0][0], bytes):
            fields = self._fields = tuple(map(_text_of, fields))
        return fields  # type: ignore[return-value] # text by now

    def header(self, name: str) -> str | None:
        """Return a field value, repeated ones joined by ", "; None where absent.

        Args:
            name: Name of the field, any case.
        """
        if self.type_line is not None and name == "content-type":
            return self.type_line
        lowered, length = name.lower(), len(name)
        # Most names differ in length, which avoids calling lower().
        values = [value for key, value in self.headers if len(key) == length and key.lower() == lowered]
        return ", ".join(values) if values else None

    @property
    def content_type(self) -> str | None:
        """Return the media type in lower case without parameters, or None."""
        return media_type(self.header("content-type"))

    @property
    def links(self) -> dict[str, str]:
        """Return the targets of the Link fields by relation ("next", "last"), as URLs in full."""
        return {name: urljoin(self.final_url, target) for name, target in link_targets(self.header("link")).items()}

    @property
    def text(self) -> str:
        """Return the body as text, by BOM, charset, else UTF-8; undecodable bytes become U+FFFD.

        Raises:
            ValueError: The body is not kept here.
        """
        return decode_text(self._require_content(), self.header("content-type"))

    def json(self) -> Any:
        """Return the parsed JSON body.

        Raises:
            ValueError: The body is not kept here, or is no JSON.
        """
        return jsonlib.loads(self.text)

    def _require_content(self) -> bytes:
        if self.content is None:
            where = f"saved to {self.path}" if self.path else "not kept as bytes; read the outcome's .data"
            raise ValueError(f"the body is {where}")
        return self.content

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Response):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _ATTRIBUTES)

    __hash__ = None  # type: ignore[assignment] # equal by value

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.size_bytes} bytes>"


# Most field lines of a run repeat: equal texts are one object.
@lru_cache(maxsize=4096)
def _text_of(field: tuple[bytes, bytes]) -> tuple[str, str]:
    return field[0].decode("latin-1"), field[1].decode("latin-1")


@dataclass(slots=True)
class Attempt:
    """One try; not changed once it has ended.

    Attributes:
        number: From 1.
        started_at: Wall clock, UTC; for people, never for durations.
        start: When slot and rate token were had, seconds of `time.perf_counter`.
        end: When the last byte was read or the cause of failure known, same clock.
        queued: Seconds spent waiting for slot and rate before it.
        hops: Timing of each redirect hop, in order.
        redirects: Status and target of each redirect that was followed, in order.
        status: Status code of the final hop, or None.
        error: Value of the ``error`` column as if this attempt were the last; None when good.
        error_detail: Its cause in one line.
        retry_wait: Seconds from the end of this attempt to the time the next may start; 0 for the last.
        sent: False where it is certain that the request never left.
    """

    number: int
    started_at: datetime
    start: float
    end: float = nan
    queued: float = 0.0
    hops: tuple[Timing, ...] = ()
    status: int | None = None
    error: str | None = None
    error_detail: str | None = None
    retry_wait: float = 0.0
    sent: bool = True
    redirects: tuple[tuple[int, str], ...] = ()


MARKS = {
    "started_us": "q", "start": "d", "queued": "d", "fetch_start": "d", "domain_lookup_start": "d", "domain_lookup_end": "d",
    "connect_start": "d", "secure_connection_start": "d", "connect_end": "d", "request_start": "d", "response_start": "d",
    "response_end": "d", "status": "h", "reused": "b", "encrypted": "b",
}  # fmt: skip
"""Names and codes (`struct`) of what a `SingleAttempt` holds, in order; `started_us` is the wall clock in microseconds since 1970."""


def marks_struct(*names: str) -> Struct:
    """Return what reads these of the marks of a `SingleAttempt` and passes over the others; in the order of `MARKS`."""
    return Struct("=" + "".join(code if name in names else f"{calcsize('=' + code)}x" for name, code in MARKS.items()))


_PACKED = marks_struct(*MARKS)
_ELAPSED = marks_struct("start", "response_end")
_STARTED = marks_struct("started_us")
# None, False and True in packed form.
_CODES = {None: -1, False: 0, True: 1}
_MEANINGS = {code: value for value, code in _CODES.items()}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SingleAttempt(Sequence[Attempt]):
    """The attempts of a request that needed one, over one hop, and got a good answer: their `Attempt` is made when somebody looks.

    Most requests of most runs are such, and what is told of them is a row of numbers: packed it takes a third of the memory, and
    whoever reads many of them (`marks_struct`) need not make the records.

    Attributes:
        packed: What `MARKS` names, by `struct`.
    """

    __slots__ = ("packed",)

    def __init__(self, started_us: int, start: float, queued: float, hop: Timing, status: int) -> None:
        self.packed = _PACKED.pack(
            started_us,
            start,
            queued,
            hop.fetch_start,
            hop.domain_lookup_start,
            hop.domain_lookup_end,
            hop.connect_start,
            hop.secure_connection_start,
            hop.connect_end,
            hop.request_start,
            hop.response_start,
            hop.response_end,
            status,
            _CODES[hop.reused],
            _CODES[hop.encrypted],
        )

    @property
    def elapsed(self) -> float:
        """Return seconds from the start to the last byte."""
        start, end = _ELAPSED.unpack(self.packed)
        elapsed: float = end - start
        return elapsed

    @property
    def started_us(self) -> int:
        """Return when it began, microseconds since 1970 began, UTC."""
        started_us: int = _STARTED.unpack(self.packed)[0]
        return started_us

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: Any) -> Any:
        return (self._attempt(),)[index]

    def __iter__(self) -> Iterator[Attempt]:
        yield self._attempt()

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, (SingleAttempt, tuple)) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.packed)

    def __repr__(self) -> str:
        return repr(tuple(self))

    def _attempt(self) -> Attempt:
        started_us, start, queued, *marks, status, reused, encrypted = _PACKED.unpack(self.packed)
        hop = Timing(*(*marks, _MEANINGS[reused], _MEANINGS[encrypted]))
        return Attempt(1, instant_of(started_us), start, hop.response_end, queued, (hop,), status)


def instant_of(microseconds: int) -> datetime:
    """Return the moment, UTC, so many microseconds after 1970 began."""
    return _EPOCH + timedelta(microseconds=microseconds)
