"""A request becomes what goes on the wire: target, default field lines, credentials.

A token is waited for before an attempt begins, so that no deadline of a request counts the time for which a person signs in.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from dataclasses import replace
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING

from fastreq_jupyter.auth import AuthError, Native, Token, keeper_of
from fastreq_jupyter.content import NO_FIELD_VALUE, TOKEN
from fastreq_jupyter.engine.decoding import ACCEPT_ENCODING
from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.exchange import Exchange
from fastreq_jupyter.model import IDEMPOTENT, copy_request, secrets_of
from fastreq_jupyter.redact import one_line, redact_text
from fastreq_jupyter.url import parse_target

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from fastreq_jupyter.auth import Keeper
    from fastreq_jupyter.engine.attempt import Job, Transport
    from fastreq_jupyter.model import Authority, Headers, Request, Response
    from fastreq_jupyter.options import Options
    from fastreq_jupyter.url import Origin

USER_AGENT = "fastreq-jupyter/0.1"
_DEFAULTS: Headers = (("User-Agent", USER_AGENT), ("Accept", "*/*"), ("Accept-Encoding", ACCEPT_ENCODING))
_DEFAULT_NAMES = frozenset({"user-agent", "accept", "accept-encoding"})
# An empty value removes the field, as curl's -A '' and -H 'Accept:' do.
_LEFT_OUT_EMPTY = frozenset({"user-agent", "accept"})
# RFC 9110, 7.6.1: fields of one connection, which do not apply to ours in a copied request.
_OF_THE_CONNECTION = frozenset({"connection", "keep-alive", "proxy-connection", "upgrade", "te", "trailer"})
_MOST_FRUITLESS = 3
"""Renewals in a row that did not help, after which each refusal is final for the run."""


class UnsendableError(ValueError):
    """A request cannot go on the wire; `kind` is the row's error."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


def prepare(request: Request, connect_timeout: float | None = None) -> Exchange:
    """Return the first exchange of a request.

    Args:
        request: What to send.
        connect_timeout: Seconds for name, connection and TLS, or None.

    Raises:
        UnsendableError: The URL, the method or a field line cannot be sent; nothing was.
    """
    try:
        target = parse_target(request.url)
    except ValueError as error:
        raise UnsendableError("invalid URL", str(error)) from None
    if request.method not in IDEMPOTENT and not TOKEN.fullmatch(request.method):
        raise UnsendableError("invalid value", "the method is not a token")
    if request.operation is not None and request.save_as is not None:
        raise UnsendableError("save_to", "an answer of GraphQL goes into the frame, not to a file: leave save_to out")
    headers = field_lines_of(request.headers) if request.headers else _DEFAULTS
    if target.user is not None and request.header("authorization") is None:
        pair = f"{target.user}:{target.password or ''}".encode()
        headers = (*headers, ("Authorization", "Basic " + b64encode(pair).decode("ascii")))
    return Exchange(request.method, target, headers, request.content, connect_timeout=connect_timeout)


# Most requests of a run have the same field lines: check them once, and let backends encode them once.
@lru_cache(maxsize=64)
def field_lines_of(headers: Headers) -> Headers:
    """Return the field lines that go out for those a user gave.

    Raises:
        UnsendableError: One of them cannot be sent.
    """
    lines = []
    seen = set()
    for name, value in headers:
        lowered = name.lower()
        if lowered in _OF_THE_CONNECTION:
            continue
        if not TOKEN.fullmatch(name):
            raise UnsendableError("invalid value", "a header name is not a token")
        if NO_FIELD_VALUE.search(value):
            raise UnsendableError("invalid value", f"the value of header {name} has a control character")
        seen.add(lowered)
        if not value and lowered in _LEFT_OUT_EMPTY:
            continue
        lines.append((name, value if value.isascii() else _latin1(value)))
    if "range" in seen and "accept-encoding" not in seen:
        # A range of an encoded body cannot be decoded.
        lines.append(("Accept-Encoding", "identity"))
        seen.add("accept-encoding")
    missing = _DEFAULT_NAMES - seen
    if missing:
        lines = [line for line in _DEFAULTS if line[0].lower() in missing] + lines
    return tuple(lines)


def _latin1(value: str) -> str:
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace").decode("latin-1")
    return value


def authorized(exchange: Exchange) -> Exchange:
    """Return the exchange with the field lines of its credentials; what it has itself stays."""
    auth = exchange.auth
    assert auth is not None  # noqa: S101 - asked for by the caller
    headers = _with_lines(exchange.headers, tuple(auth.lines)) if auth.lines else exchange.headers
    return replace(exchange, headers=headers, auth=auth if auth.scheme else None)


# Equal field lines are one object, so that backends encode them once.
@lru_cache(maxsize=64)
def _with_lines(headers: Headers, lines: Headers) -> Headers:
    own = {name.lower() for name, _ in headers}
    return (*headers, *(line for line in lines if line[0].lower() not in own))


class Tokens:
    """The tokens of one auth for one origin, as a run uses them."""

    def __init__(self, keeper: Keeper, origin: Origin, wallet: Wallet, refresh_on: Collection[int]) -> None:
        self._origin = origin
        self._keeper = keeper
        self._wallet = wallet
        self._refresh_on = refresh_on
        self._fruitless = 0

    async def grant(self, job: Job) -> None:
        """Wait for the job's token; a job whose status URL is on another origin gets none.

        Raises:
            AuthError: There is none.
        """
        if job.exchange.target.origin != self._origin:
            job.tokens = None
            return
        token = self._keeper.ready or await self._keeper.token(self._wallet, self._wallet.tasks)
        if job.exchange.auth is not token:
            job.exchange.auth = token
            job.request = copy_request(job.request, secrets=token.secrets)

    def renews(self, job: Job) -> bool:
        """Tell whether a job is sent once more with another token; the refused token is dropped."""
        response = job.response
        if response is None or job.failure is not None:
            return False
        if response.status not in self._refresh_on or not _is_of_its_origin(job, response):
            if job.renewed:
                self._fruitless = 0
            return False
        if job.renewed:
            self._fruitless += 1
        if job.renewed or self._fruitless >= _MOST_FRUITLESS:
            return False
        job.renewed = True
        job.ready_at = perf_counter()
        if isinstance(job.exchange.auth, Token):
            self._keeper.refuse(job.exchange.auth)
        return True


class Wallet:
    """The credentials of a run; lends its backend to those who get tokens.

    Attributes:
        tasks: Those that ask for tokens now.
    """

    def __init__(self, authority: Authority, transport: Transport, options: Options, notice: Callable[[str | None], None]) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self._authority = authority
        self._transport = transport
        self._options = options
        self._notice = notice
        self._closed = False
        self._tokens: dict[tuple[Keeper, Origin], Tokens] = {}

    def attach(self, job: Job) -> Job:
        """Return the job with its tokens; a job with credentials of its own gets none."""
        target = job.exchange.target
        if job.looking and parse_target(job.request.url).origin != target.origin:
            return job
        if target.user is not None or job.request.header("authorization") is not None:
            return job
        auth = self._authority.auth_for(target.origin)
        if isinstance(auth, Native):
            job.exchange.auth = auth
            job.request = copy_request(job.request, secrets=auth.secrets)
        elif auth is not None:
            key = keeper_of(auth, target.origin), target.origin
            job.tokens = self._tokens.get(key)
            if job.tokens is None:
                job.tokens = self._tokens[key] = Tokens(*key, self, self._options.refresh_on)
        return job

    async def close(self) -> None:
        """Cancel pending token requests; later ones get nothing."""
        self._closed = True
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)

    async def send(self, request: Request) -> Response:
        """Send a request for a token (see `auth.Door.send`): on a new connection, so that no kept one fails it."""
        secrets = secrets_of(request)
        seconds = self._options.attempt_timeout
        where = "the token endpoint"
        # Token sources may call from another thread, in a task of their own.
        task = asyncio.current_task()
        if self._closed or task is None:
            raise AuthError("the run has ended")
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        try:
            exchange = replace(prepare(request, self._options.connect_timeout), fresh=True)
            where = str(exchange.target.origin)
            async with asyncio.timeout(seconds):
                return await self._transport.fetch(exchange)
        except TimeoutError:
            why = f"no complete answer within {seconds:g} s"
        except (BackendError, UnsendableError) as error:
            why = f"{error.kind}, {error}"
        raise AuthError(one_line(redact_text(f"no token from {where}: {why}", secrets)))

    def tell(self, line: str | None) -> None:
        """Show a line to the person who waits, in the output and beside the progress (see `auth.Door.tell`)."""
        if line is not None:
            print(line, flush=True)  # noqa: T201 - a person has to act on it
        self._notice(line)


def _is_of_its_origin(job: Job, response: Response) -> bool:
    """Tell whether the answer is of the origin that the token is for."""
    return not job.redirects or parse_target(response.final_url).origin == job.host.origin
