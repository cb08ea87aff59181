"""One attempt: exchanges, redirect by redirect, until a final answer is read or a cause of failure is known."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import nan
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from fastreq_jupyter.backends.base import Exchange, SessionKey, Stream
from fastreq_jupyter.engine.sink import Body, read_body
from fastreq_jupyter.errors import BackendError, OptionError
from fastreq_jupyter.files import AtomicFile
from fastreq_jupyter.model import IDEMPOTENT, Response
from fastreq_jupyter.policy.framing import check_head, check_part
from fastreq_jupyter.policy.proxy import proxy_for
from fastreq_jupyter.policy.redirect import next_exchange
from fastreq_jupyter.redact import one_line, redact_text, secret_values
from fastreq_jupyter.timing import Timing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastreq_jupyter.backends.base import Backend
    from fastreq_jupyter.engine.cookies import Jar
    from fastreq_jupyter.engine.limiter import Ticket
    from fastreq_jupyter.options import Options
    from fastreq_jupyter.url import Origin

__all__ = ["Handoff", "Transport", "Trial"]

_WORTH_DRAINING = 64 * 1024
_BAD = 400
_REDIRECTION = 300


class Handoff(Protocol):
    """Take over the body of a good response (streaming); the slot is held until it returns."""

    async def __call__(self, response: Response, stream: Stream, trial: Trial) -> Body:
        """Return what is known of the body when its reader is done."""
        ...


@dataclass(slots=True)
class Trial:
    """Hold what one attempt has come to so far; filled while it goes on, so that a cancelled one still tells.

    Attributes:
        hops: Timing of each exchange, in order.
        redirects: Status and target of each redirect that was followed.
        response: Head of the last response, its body where it was read whole.
        failure: Why there is no usable answer.
        handed: The body was given to the user while it arrived: there is no second try.
        head_at: When the head of the final response was read, `perf_counter`; NaN before.
    """

    hops: list[Timing] = field(default_factory=list)
    redirects: list[tuple[int, str]] = field(default_factory=list)
    response: Response | None = None
    failure: BackendError | None = None
    handed: bool = False
    head_at: float = nan


@dataclass(frozen=True, slots=True)
class Transport:
    """Hold what all attempts of a run share.

    Attributes:
        backend: Name of the HTTP library.
        options: Of the run.
        jar: Cookies of the run or its session.
        environ: The process's environment when the run began.
        open_session: Gives the engine's warm session for a key.
    """

    backend: str
    options: Options
    jar: Jar
    environ: Mapping[str, str]
    open_session: Callable[[SessionKey], Backend]
    _sessions: dict[Origin, Backend] = field(default_factory=dict)

    async def perform(  # noqa: PLR0913 - what one attempt needs, each by name
        self,
        exchange: Exchange,
        trial: Trial,
        *,
        ticket: Ticket,
        secrets: frozenset[str] = frozenset(),
        save_as: str | None = None,
        handoff: Handoff | None = None,
    ) -> None:
        """Send, follow redirects, read the body; write into `trial` what comes of it.

        A failure of the network is written into ``trial.failure``, never raised; its detail is free of secrets.
        """
        try:
            reader = _Reader(self.options, ticket, save_as, handoff)
            await self._follow(exchange, trial, reader, secrets)
        except BackendError as error:
            secrets |= secret_values(exchange.target.url, exchange.headers, exchange.content)
            trial.failure = BackendError(error.kind, one_line(redact_text(error.detail, secrets)), sent=error.sent)

    async def _follow(self, exchange: Exchange, trial: Trial, reader: _Reader, secrets: frozenset[str]) -> None:
        followed = 0
        while True:
            timing = Timing(fetch_start=perf_counter())
            stream: Stream | None = None
            try:
                sent = self._with_cookies(exchange)
                stream = await self._send(sent, timing)
                check_head(stream.status, stream.headers)
                check_part(stream.status, sent.headers)
                self.jar.store(exchange.target, stream.headers)
                trial.response = head = _head(exchange, stream)
                following = self._following(exchange, stream, followed, secrets)
                if following is None:
                    trial.response = await reader.read(head, exchange.method, stream, trial)
                    return
                followed += 1
                trial.redirects.append((stream.status, following.target.url))
                await _drain(stream)
            finally:
                timing.response_end = perf_counter()
                trial.hops.append(timing)
                if stream is not None:
                    stream.close()
            exchange = following

    async def _send(self, exchange: Exchange, timing: Timing) -> Stream:
        backend = self._session(exchange.target.origin)
        try:
            return await backend.send(exchange, timing)
        except BackendError as error:
            # RFC 9112, 9.3.1: the server closed an idle connection as we began to use it.
            if not error.stale or exchange.method not in IDEMPOTENT:
                raise
        return await backend.send(replace(exchange, fresh=True), timing)

    def _following(self, exchange: Exchange, stream: Stream, followed: int, secrets: frozenset[str]) -> Exchange | None:
        options = self.options
        if not options.follow_redirects:
            return None
        return next_exchange(
            exchange, stream.status, stream.headers, followed=followed, max_redirects=options.max_redirects, secrets=secrets
        )

    def _with_cookies(self, exchange: Exchange) -> Exchange:
        cookies = self.jar.header_for(exchange.target)
        if cookies is None:
            return exchange
        own = [value for name, value in exchange.headers if name.lower() == "cookie"]
        others = tuple(line for line in exchange.headers if line[0].lower() != "cookie")
        return replace(exchange, headers=(*others, ("Cookie", "; ".join([*own, cookies]))))

    def _session(self, origin: Origin) -> Backend:
        session = self._sessions.get(origin)
        if session is None:
            options = self.options
            proxy = proxy_for(origin, options.proxy, self.environ)
            key = SessionKey(self.backend, options.verify_ssl, options.cert, proxy, options.http2, options.http3)
            try:
                session = self._sessions[origin] = self.open_session(key)
            except OptionError as error:
                # Only a proxy of the environment can come up as late as this.
                raise BackendError("proxy", str(error), sent=False) from error
        return session


@dataclass(frozen=True, slots=True)
class _Reader:
    """Read the body of a final response to where it belongs: memory, a file, or whoever took it over."""

    options: Options
    ticket: Ticket
    save_as: str | None
    handoff: Handoff | None

    async def read(self, head: Response, method: str, stream: Stream, trial: Trial) -> Response:
        good = stream.status < _BAD
        trial.head_at = perf_counter()
        if good and self.handoff is not None:
            body = await self.handoff(head, stream, trial)
        elif self.save_as is not None and stream.status < _REDIRECTION:
            return await self._save(head, method, stream, self.save_as)
        else:
            body = await read_body(stream, method=method, max_body=self.options.max_body, gate=self.ticket)
        return head.with_body(body.content, body.size_bytes)

    async def _save(self, head: Response, method: str, stream: Stream, path: str) -> Response:
        try:
            file = AtomicFile(path)
            try:
                body = await read_body(stream, method=method, max_body=self.options.max_body, gate=self.ticket, file=file)
                file.commit()
            finally:
                file.discard()
        except OSError as error:
            raise BackendError("save_to", f"{path}: {error.strerror or error}") from error
        return head.with_body(None, body.size_bytes, path)


def _head(exchange: Exchange, stream: Stream) -> Response:
    return Response(
        status=stream.status,
        headers=stream.headers,
        final_url=exchange.target.url,
        http_version=stream.http_version,
        reason=stream.reason,
    )


async def _drain(stream: Stream) -> None:
    """Read a short body to its end, so that the connection can serve the next hop; leave a long one."""
    read = 0
    try:
        while read <= _WORTH_DRAINING and (chunk := await stream.read()):
            read += len(chunk)
    except BackendError:
        # The redirect itself has arrived; its body is of no interest.
        return
