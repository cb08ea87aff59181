"""The nouns: what is asked, and what came of it.

    Plan      an iterable of requests (may be lazy) with its Options
    Request   what was asked                       Deferred    a request that waits for another's answer
    Unsendable  a row that cannot become a request  Look      a request that began a job earlier
    Response  what the server said                 Attempt     one try
    Outcome   what became of one request, always one per request
    Link      a page's place in the chain of its request    Page    a page that is to be sent again

None is changed once it is made; all are slotted and made of the standard library alone. Inside, time is seconds; a 404 is an Outcome with a
response and ``ok == False``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import nan
from typing import TYPE_CHECKING, Any, Protocol

from fastreq_jupyter.content import Headers, encode_content, field_lines, with_params
from fastreq_jupyter.errors import CellSyntaxError
from fastreq_jupyter.exchange import MARKS, Attempt, Response, SingleAttempt, instant_of, marks_struct, phases_of
from fastreq_jupyter.options import DocumentError, read_operation
from fastreq_jupyter.redact import redact_text, redact_url, secret_values

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Collection, Iterable, Mapping, Sequence

    from fastreq_jupyter.files import Upload
    from fastreq_jupyter.options import Options
    from fastreq_jupyter.url import Origin

__all__ = [
    "MARKS",
    "Attempt",
    "Authority",
    "Chained",
    "Deferred",
    "Headers",
    "Item",
    "Join",
    "Link",
    "Look",
    "Outcome",
    "Page",
    "Plan",
    "Request",
    "Response",
    "SingleAttempt",
    "Unsendable",
    "copy_request",
    "elapsed_of",
    "instant_of",
    "marks_struct",
    "secrets_of",
]

# RFC 9110, 9.2.2
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
_put = object.__setattr__
_ASKING = frozenset({"GET", "HEAD"})
_AS_GIVEN = ("key", "label", "hide_data", "save_as", "operation", "identity", "cache", "chained")


@dataclass(frozen=True, slots=True, init=False, eq=True)
class Request:
    """One request.

    Args:
        method: Method token; upper-cased.
        url: Target URI as the user wrote it; `params` are appended to its query.
        headers: Mapping or pairs of field lines.
        params: Mapping or pairs for the query; a list value repeats the name, None leaves it out.
        json: Value sent as JSON; sets ``Content-Type: application/json`` unless given.
        data: bytes or str sent as they are; a Path or an open file is sent as the body, a large one piece by piece; a mapping or
            pairs are sent as a form.
        files: Name -> path, bytes, or (filename, bytes or path[, content type]); sent as multipart/form-data, large files
            piece by piece.
        key: The row's label in the frame, and the key in a dict of results.
        label: The request's name in the cell (``# @name x``).
        secrets: Texts in this request that must be shown as ``***`` wherever anything is drawn.
        hide_data: Show the answer's body as ``***`` in the frame: it feeds a secret place of another request.
        save_as: File a good body is streamed to (resolved from ``save_to``).
        operation: Of a GraphQL body, "query" or "mutation"; set by `Request.graphql`.
        identity: URL and body as they would be if nothing in them were made anew each time (``$uuid``); by them a journal
            knows the request again. None where they are `url` and `content`.
        cache: It only asks, though its method may change something: its answer may be cached (``# @cache``).
        chained: Its field lines that hold secrets of earlier answers; set by cells.

    Raises:
        TypeError: `json`, `data` and `files` exclude each other (but a form with files), or a value has a wrong type.
    """

    method: str
    url: str
    headers: Headers
    content: bytes | Upload | None
    key: Any
    label: str | None
    secrets: frozenset[str]
    hide_data: bool
    save_as: str | None
    operation: str | None
    identity: tuple[str, bytes | Upload | None] | None
    cache: bool
    chained: Chained | None

    def __init__(  # noqa: PLR0913 - the public constructor of a request, as every HTTP client has it
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        params: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
        json: Any = None,
        data: Any = None,
        files: Mapping[str, Any] | None = None,
        key: Any = None,
        label: str | None = None,
        secrets: Iterable[str] = (),
        hide_data: bool = False,
        save_as: str | None = None,
        operation: str | None = None,
        identity: tuple[str, bytes | Upload | None] | None = None,
        cache: bool = False,
        chained: Chained | None = None,
    ) -> None:
        pairs = tuple(field_lines(headers))
        content: bytes | Upload | None = None
        if json is not None or data is not None or files is not None:
            encoded = _encoded(json, data, files)
            if isinstance(encoded, Exception):
                # A traceback that shows local variables must not show what was to be sent.
                del self, method, url, headers, pairs, params, json, data, files, secrets
                raise encoded
            content, pairs = encoded[0], _with_type(pairs, encoded[1])
        _put(self, "method", method.upper())
        _put(self, "url", url if params is None else with_params(url, params))
        _put(self, "headers", pairs)
        _put(self, "content", content)
        _put(self, "secrets", secrets if isinstance(secrets, frozenset) else frozenset(secrets))
        as_given = (key, label, hide_data, save_as, operation, identity, cache, chained)
        for name, value in zip(_AS_GIVEN, as_given, strict=True):
            _put(self, name, value)

    def at(self, url: str) -> Request:
        """Return the same request for another URL; many requests of a run differ in nothing else.

        Args:
            url: Absolute URL; not checked before the run.
        """
        copy: Any = _Unfrozen()
        copy.url = url
        copy.method = self.method
        copy.headers = self.headers
        copy.content = self.content
        copy.key = self.key
        copy.label = self.label
        copy.secrets = self.secrets
        copy.hide_data = self.hide_data
        copy.save_as = self.save_as
        copy.operation = self.operation
        copy.identity = self.identity
        copy.cache = self.cache
        copy.chained = self.chained
        copy.__class__ = Request
        request: Request = copy
        return request

    @classmethod
    def graphql(
        cls, url: str, document: str, variables: Mapping[str, Any] | None = None, *, operation_name: str | None = None, **more: Any
    ) -> Request:
        """Return the POST of a GraphQL query or mutation; its answer's ``data`` is the `data` of the row.

        Args:
            url: Where the server takes GraphQL.
            document: Text with one operation, or several of which `operation_name` names one.
            variables: Values of its variables; missing ones (NaN, NaT, NA) are null.
            operation_name: Sent as ``operationName``.
            **more: As `Request`: headers, params, key, label.

        Raises:
            CellSyntaxError: The document cannot be read; `line` and `column` are places in it.
            TypeError: A variable cannot be sent as JSON.
        """
        try:
            text, operation = read_operation(document, operation_name)
        except DocumentError as error:
            raise CellSyntaxError(str(error), *error.at(document)) from None
        body: dict[str, Any] = {"query": text}
        body |= {} if operation_name is None else {"operationName": operation_name}
        body |= {} if variables is None else {"variables": dict(variables)}
        return cls("POST", url, json=body, operation=operation.kind, **more)

    @property
    def idempotent(self) -> bool:
        """Tell whether the method is idempotent (RFC 9110, 9.2.2), a GraphQL query, or made so by an Idempotency-Key."""
        return self.method in IDEMPOTENT or self.operation == "query" or self.header("idempotency-key") is not None

    @property
    def is_query(self) -> bool:
        """Tell whether it only asks, so that its answer may serve again: GET, HEAD, a GraphQL query, what says so (``# @cache``)."""
        return self.cache or self.method in _ASKING or self.operation == "query"

    def header(self, name: str) -> str | None:
        """Return the first field value of that name, or None.

        Args:
            name: Name of the field, any case.
        """
        lowered = name.lower()
        return next((value for key, value in self.headers if key.lower() == lowered), None)

    def __repr__(self) -> str:
        label = f" # {self.label}" if self.label else ""
        return f"<Request {self.method} {redact_text(redact_url(self.url, self.secrets), self.secrets)}{label}>"


def secrets_of(request: Request) -> frozenset[str]:
    """Return every secret that a request carries: those known by value, and what its URL, field lines and body hold.

    Args:
        request: As it was made; what the engine adds (cookies, tokens) is not in it.
    """
    return request.secrets | secret_values(request.url, request.headers, request.content, request.header("content-type"))


class _Unfrozen:
    """A request in the making: to set what is frozen takes four times as long, and this is done for each URL of a run."""

    __slots__ = Request.__slots__


def copy_request(request: Request, *, secrets: frozenset[str] = frozenset(), **changes: Any) -> Request:
    """Return the request with other fields, and more that must not be shown.

    Args:
        request: What is copied.
        secrets: Added to its own.
        **changes: New values of fields: url, headers, content, save_as, identity, chained.
    """
    copy = request.at(request.url)
    for name, value in changes.items():
        _put(copy, name, value)
    if secrets:
        _put(copy, "secrets", request.secrets | secrets)
    return copy


def _with_type(pairs: Headers, content_type: str | None) -> Headers:
    if content_type is None or any(name.lower() == "content-type" for name, _ in pairs):
        return pairs
    return (*pairs, ("Content-Type", content_type))


def _encoded(json: Any, data: Any, files: Any) -> tuple[bytes | Upload, str | None] | Exception:
    try:
        return encode_content(json, data, files)
    except (TypeError, ValueError, OSError) as error:
        return error.with_traceback(None)


@dataclass(frozen=True, slots=True)
class Chained:
    """Where the secrets of a request came from earlier answers (a login's token).

    Attributes:
        lines: Field lines that hold one, each with its text in the cell (``Bearer {{login.data.token}}``).
        parents: The requests that were answered.
    """

    lines: tuple[tuple[tuple[str, str], tuple[str, str]], ...] = field(repr=False)
    parents: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class Deferred:
    """A request that needs the outcomes of earlier ones (chaining).

    Attributes:
        needs: Positions, in the plan, of the requests it waits for; each smaller than its own.
        resolve: Gets those outcomes in that order; returns the request, `Unsendable` when a parent failed, or a ready
            outcome (an equal request was sent already).
        shown: The request as far as it is known, for a row that never came to be sent.
    """

    needs: tuple[int, ...]
    resolve: Callable[[Sequence[Outcome]], Request | Unsendable | Outcome]
    shown: Request


@dataclass(frozen=True, slots=True)
class Unsendable:
    """A row that cannot become a request (NaN in a URL, a failed parent): it ends as an error row."""

    shown: Request
    error: str
    detail: str


@dataclass(frozen=True, slots=True)
class Look:
    """A request that began a job earlier: it is not sent again, its job is looked at.

    Attributes:
        shown: The request that began it.
        url: Where to look, in full.
    """

    shown: Request
    url: str


@dataclass(frozen=True, slots=True)
class Link:
    """A page's place in the chain of its request (option `pages`).

    Attributes:
        parent: Position of page 1 of the same request.
        place: The request's place in what the user gave, from 0.
        page: Number of the page, from 1.
        template: The request as it was given, with ``{{next}}`` in it or without.
    """

    parent: int
    place: int
    page: int
    template: Request


@dataclass(frozen=True, slots=True)
class Page:
    """A page that failed and is to be sent again."""

    shown: Request
    link: Link


@dataclass(slots=True)
class Outcome:
    """What became of one request; there is exactly one per request, and it is not changed.

    Attributes:
        position: Place in the plan, from 0; pages behind the first of their request have numbers of their own.
        request: The real request, unredacted, behind a safe repr.
        attempts: Tries in order; empty where nothing was sent.
        response: What the server said last, or None.
        data: The body as the frame shows it: parsed JSON, text, bytes, a path, or the value of `parse_func`.
        error: Kind of failure (`errors.ErrorKind` or ``http NNN``), None when good.
        error_detail: The cause in one line.
        looks: Answers looked at with option `until`, the first one too; 0 without it.
        cached: "fresh" where it is the cache's and nothing was sent, "revalidated" where the server said that nothing has
            changed, else None.
        changed: With a cache: the body is new, or other than the stored one. None without, and where it failed.
        link: Which page of which request it is, where pages are followed, else None.
    """

    position: int
    request: Request
    attempts: Sequence[Attempt] = ()
    response: Response | None = None
    data: Any = None
    error: str | None = None
    error_detail: str | None = None
    looks: int = 0
    cached: str | None = None
    changed: bool | None = None
    link: Link | None = None

    @property
    def page(self) -> int | None:
        """Return the number of the page, from 1, where pages are followed."""
        return None if self.link is None else self.link.page

    @property
    def place(self) -> int:
        """Return the place of its request in what the user gave, from 0."""
        return self.position if self.link is None else self.link.place

    @property
    def ok(self) -> bool:
        """Tell whether the status is below 400 and the body usable."""
        return self.error is None

    @property
    def status(self) -> int | None:
        """Return the status code, or None where no response came."""
        return None if self.response is None else self.response.status

    @property
    def elapsed(self) -> float:
        """Return seconds from the first attempt's start to the last byte; NaN without attempt.

        Retry waits are included; what a later attempt waited for slot, rate or the end of a pause is `queued`.
        """
        attempts = self.attempts
        return attempts.elapsed if type(attempts) is SingleAttempt else elapsed_of(attempts)

    @property
    def started_us(self) -> int | None:
        """Return when the first attempt began, microseconds since 1970 began, UTC; None without attempt."""
        attempts = self.attempts
        if type(attempts) is SingleAttempt:
            return attempts.started_us
        return round(attempts[0].started_at.timestamp() * 1e6) if attempts else None

    @property
    def queued(self) -> float:
        """Return seconds spent waiting for slot and rate before all attempts; NaN without attempt."""
        return sum(attempt.queued for attempt in self.attempts) if self.attempts else nan

    @property
    def wait(self) -> float:
        """Return seconds from request sent to first byte, last attempt, last hop; NaN where unseen."""
        return phases_of(self.attempts[-1].hops).wait if self.attempts else nan

    def __repr__(self) -> str:
        result = self.error or self.status
        return f"<Outcome {self.position} {result} {self.request!r}>"


Item = Request | Deferred | Unsendable | Look | Outcome | Page
"""What a source of requests may give."""


def elapsed_of(attempts: Sequence[Attempt]) -> float:
    """Return what `Outcome.elapsed` is for these attempts."""
    if not attempts:
        return nan
    return attempts[-1].end - attempts[0].start - sum(attempt.queued for attempt in attempts[1:])


class Join(Protocol):
    """The columns and the index of a source table (``--each``), for the frame, by position."""

    def attach(self, frame: Any, positions: Sequence[int], own: Collection[str]) -> Any:
        """Return the frame with index and input columns.

        Args:
            frame: The results.
            positions: The outcomes' places in the plan, a place may come again.
            own: Names of our columns; no input column keeps one of these.
        """
        ...


class Authority(Protocol):
    """Whoever knows which origin gets which credentials."""

    def auth_for(self, origin: Origin) -> Any:
        """Return what gives tokens for an origin, or is done by the backend's library; None where nothing does."""
        ...

    @property
    def native_schemes(self) -> frozenset[str]:
        """Return what the backend's library must be able to do: digest, sigv4, negotiate, ntlm."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to do.

    Attributes:
        requests: Items in order; may be lazy, may be asynchronous. An `Outcome` among them is a row known already
            (from a journal, or a good row of the run whose failures are tried again): nothing is sent for it.
        options: Validated options.
        name: Variable the frame goes to, also the run's name in the closing line.
        total: Number of requests, None where the source cannot tell.
        keys: Index labels, one per request, or None for 0..n-1.
        single: True where the user gave one str: lists then give one result.
        join: Source columns of ``--each``, or None.
        auth: Tells which tokens or credentials of the backend's library a request gets; None where there are none.
        notes: Lines to say at the end (a renamed column, what --dedup would save).
        chained: Requests need answers of others.
    """

    requests: Iterable[Item] | AsyncIterable[Item] = field(repr=False)
    options: Options
    name: str | None = None
    total: int | None = None
    keys: Sequence[Any] | None = field(default=None, repr=False)
    single: bool = False
    join: Join | None = None
    auth: Authority | None = field(default=None, repr=False)
    notes: tuple[str, ...] = field(default=())
    chained: bool = False
