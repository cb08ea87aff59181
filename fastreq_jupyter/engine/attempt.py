"""One attempt: exchanges, redirect by redirect, until a final answer is read or a cause of failure is known.

The path of a plain good request is flat: worker, attempt, exchange, backend. What the options do not ask for is not
there: it was left out when the run began.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from math import inf, isnan, nan
from time import perf_counter
from typing import TYPE_CHECKING

from fastreq_jupyter.backends import SessionKey, offered_bundle, send
from fastreq_jupyter.engine.body import MemoryGate, Ticket, read_body, whole_body
from fastreq_jupyter.engine.limits import most_in_flight
from fastreq_jupyter.engine.preparing import authorized
from fastreq_jupyter.engine.progress import UnderWay
from fastreq_jupyter.engine.reading import LARGE, Reading, read_data, reads_slowly
from fastreq_jupyter.engine.saving import Begun, Saver, find_begun, refuse_range
from fastreq_jupyter.errors import BackendError, OptionError
from fastreq_jupyter.exchange import Timing
from fastreq_jupyter.model import IDEMPOTENT, Outcome, Response
from fastreq_jupyter.policy import REDIRECTS, asking_for_rest, is_unasked_part, next_exchange, proxy_for, read_head
from fastreq_jupyter.redact import one_line, redact_text, secret_values

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from fastreq_jupyter.backends import Backend, Stream
    from fastreq_jupyter.engine.cookies import Jar
    from fastreq_jupyter.engine.limits import HostQueue
    from fastreq_jupyter.engine.preparing import Tokens
    from fastreq_jupyter.engine.streaming import Handoffs
    from fastreq_jupyter.exchange import Exchange
    from fastreq_jupyter.model import Attempt, Look, Request
    from fastreq_jupyter.options import Options
    from fastreq_jupyter.policy import Head
    from fastreq_jupyter.url import Origin

_LARGEST_TOKEN = 1024 * 1024
_WORTH_DRAINING = 64 * 1024
# File descriptors left for frames, files and the next cell.
_DESCRIPTORS = 32
# A timer this late met a blocked loop: the delay is added to the deadline, so that data that has arrived is read first.
_LATE = 0.05
# Upper bound, so that a loop that is often late does not extend a deadline for ever.
_MOST_DELAYS = 3
# Answers whose body is what was asked for (RFC 9110, 15.3), and so becomes a file. 201 and 202 speak of something else.
_FILES = frozenset({200, 203, 206})


class Job:
    """A request in progress and the state of its current attempt, which can be read after a cancellation, too.

    Attributes:
        ready_at: Since when it could have started but for slots and rates, `perf_counter`.
        attempts: Tries that have ended, in order.
        released: Its host's queue let it go, so it does not queue there again.
        marked: The journal was told before its first attempt.
        tokens: Give it its token, or None.
        renewed: It goes, or went, out once more with another token.
        looks: Answers that were looked at (option `until`).
        looking: What is sent is the GET of a status URL.
        first, base: How many of the attempts are those of the first look, and how many there were before the present one.
        start, started_us: When the present attempt began: `perf_counter`, and the wall clock, microseconds since 1970.
        begun: The same on the loop's clock; infinite once the attempt has no deadline any more.
        hops: Timing of each exchange, in order.
        redirects: Status and target of each redirect that was followed.
        response: Head of the last response, its body where it was read whole.
        failure: Why there is no usable answer.
        handed: The body was given to the user while it arrived: there is no second try.
        head_at: When the head of the final response was read, `perf_counter`; NaN before.
        remaining: How many requests the server says are left before a limit, or None.
        reading: What its body was read as, where that was done aside, else None.
        unasked_part: The answer is a part of a body, though no Range was asked for.
        begun_file: What an earlier attempt left of the file that is to be saved, whose rest is asked for.
        resumed: Bytes of the file that earlier attempts had brought.
        notes: What a person should know of the answer's body, each to be read behind "3 bodies".
    """

    __slots__ = (
        "attempts", "base", "begun", "begun_file", "delay", "delays", "exchange", "expired", "failure", "first", "handed",
        "head_at", "hops", "host", "looking", "looks", "marked", "notes", "position", "reading", "ready_at", "redirects",
        "released", "remaining", "renewed", "request", "response", "resumed", "start", "started_us", "tokens", "unasked_part",
    )  # fmt: skip

    start: float
    started_us: int
    begun: float
    hops: tuple[Timing, ...]
    redirects: tuple[tuple[int, str], ...]
    response: Response | None
    failure: BackendError | None
    notes: tuple[str, ...]
    begun_file: Begun | None
    remaining: int | None
    reading: Reading | None

    def __init__(  # noqa: PLR0913, PLR0917 - what a job is made of, by the scheduler alone
        self, position: int, request: Request, exchange: Exchange, host: HostQueue, ready_at: float, begun: Look | None = None
    ) -> None:
        self.position = position
        self.request = request
        self.exchange = exchange
        self.host = host
        self.ready_at = ready_at
        self.attempts: Sequence[Attempt] = ()
        self.released = False
        # A job of an earlier run is only looked at.
        self.marked = self.looking = begun is not None
        self.renewed = False
        self.tokens: Tokens | None = None
        self.looks = 0 if begun is None else 1
        self.first = self.base = 0

    def begin(self, now: float, wall_us: int, loop_time: float) -> None:
        """Reset the state for a new attempt."""
        if self.first < self.base == len(self.attempts):
            # A new look at the job: the result of the previous one is not needed any more.
            self.attempts = self.attempts[: self.first]
            self.base = self.first
        self.start = now
        self.started_us = wall_us
        self.begun = loop_time
        self.hops = self.redirects = ()
        self.response = self.failure = self.remaining = self.reading = None
        self.handed = self.expired = self.unasked_part = False
        self.notes = ()
        self.begun_file = None
        self.resumed = 0
        self.head_at = nan
        self.delay = 0.0
        self.delays = 0

    def given_up(self, kind: str, detail: str) -> Outcome:
        """Return the outcome of a request that was given up before it was finished."""
        return Outcome(self.position, self.request, self.attempts, error=kind, error_detail=detail, looks=self.looks)

    def view(self, *, flying: bool) -> UnderWay:
        """Return its progress; `flying` while an attempt is under way, else it waits for the next one."""
        if not flying:
            return UnderWay(self.position, self.request, self.attempts, None, None, nan, self.looks)
        # Before the final head a response is that of a redirect.
        status = None if self.response is None or isnan(self.head_at) else self.response.status
        return UnderWay(self.position, self.request, self.attempts, self.start, status, self.head_at, self.looks)

    @property
    def status(self) -> int | None:
        """Return the status that the present attempt came to, None where it failed or has none yet."""
        return None if self.failure is not None or self.response is None else self.response.status

    @property
    def secrets(self) -> frozenset[str]:
        """Return all secrets that the present exchange carries."""
        exchange = self.exchange
        return self.request.secrets | secret_values(exchange.target.url, exchange.headers, exchange.content)


class Deadlines:
    """The deadlines of all attempts of a run, by one timer: `asyncio.timeout` costs ten times as much per request.

    Every attempt of a run has the same time, so none that begins later ends earlier: the timer need only be set to the earliest
    deadline of those under way, and it goes off about once in that time, however many attempts come and go. The task of an attempt
    that takes too long is cancelled; who catches that asks `absorb`.

    Args:
        seconds: Time of one attempt.
        under_way: The attempts that go on, with their tasks.
        on_lag: Told by how many seconds the loop was late, when it was.
    """

    def __init__(self, seconds: float, under_way: Mapping[Job, asyncio.Task[None]], on_lag: Callable[[float], None]) -> None:
        self.seconds = seconds
        self._under_way = under_way
        self._on_lag = on_lag
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None

    def watch(self, start: float) -> None:
        """Begin to look, unless that goes on already.

        Args:
            start: When the attempt began that asks for it, the loop's clock.
        """
        if self._handle is None:
            self._handle = self._loop.call_at(start + self.seconds, self._look, start + self.seconds)

    def stop(self) -> None:
        """End the watch; can be called twice."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look(self, due: float) -> None:
        self._handle = None
        now = self._loop.time()
        late = now - due
        if late > _LATE:
            self._on_lag(late)
        earliest = inf
        for job, task in self._under_way.items():
            if job.expired:
                # It has been cancelled and is ending.
                continue
            end = job.begun + self.seconds + job.delay
            if end <= now and late > _LATE and job.delays < _MOST_DELAYS:
                job.delays += 1
                job.delay += now - end + late
                end = job.begun + self.seconds + job.delay
            if end <= now:
                job.expired = True
                task.cancel()
            else:
                earliest = min(earliest, end)
        if earliest < inf:
            self._handle = self._loop.call_at(earliest, self._look, earliest)


def absorb(job: Job, task: asyncio.Task[None]) -> bool:
    """Tell whether the CancelledError just caught was that of the deadline, and take it back if so."""
    return job.expired and task.uncancel() == 0


class Transport:
    """What all attempts of a run share.

    Args:
        backend: Name of the HTTP library.
        options: Of the run.
        jar: Cookies of the run or its session.
        environ: The process's environment when the run began.
        open_session: Gives the engine's warm session for a key.
        close_sessions: Closes the engine's sessions where no other run needs them.
    """

    def __init__(  # noqa: PLR0913 - what the attempts of a run share, given once by the engine
        self,
        backend: str,
        options: Options,
        jar: Jar,
        environ: Mapping[str, str],
        *,
        open_session: Callable[[SessionKey], Backend],
        close_sessions: Callable[[], Awaitable[None]],
    ) -> None:
        self.backend = backend
        self.options = options
        self.jar = jar
        self._environ = environ
        self._open_session = open_session
        self._close_sessions = close_sessions
        # With a journal, files that servers name do not overwrite those of earlier runs.
        self.saver = Saver(options.max_body, spare_existing=options.journal is not None)
        self._unconnected = False
        self._sessions: dict[Origin, Backend] = {}
        self._most = most_in_flight(options)

    def adjust(self, options: Options) -> None:
        """Size the connection pools of current and later sessions for the run's concurrency."""
        self._most = most_in_flight(options)
        for session in set(self._sessions.values()):
            session.reserve(self._most)

    async def exchange(self, exchange: Exchange, job: Job, memory: MemoryGate, handoff: Handoffs | None) -> Exchange | None:
        """Send one request and read its answer; write into `job` what comes of it.

        Args:
            exchange: What to send: that of the job, or what the exchange before returned.
            job: What it is for; `Job.begin` was called.
            memory: Bounds the bodies in flight.
            handoff: Takes over the body of a good response, or None.

        Returns:
            The exchange that a redirect asks for next, None where the answer is final.

        Raises:
            BackendError: Nothing usable came; `failure_of` makes it safe to show.
        """
        timing = Timing(perf_counter())
        job.hops = (*job.hops, timing) if job.hops else (timing,)
        stream: Stream | None = None
        if job.request.save_as is not None and not job.redirects:
            exchange = _going_on(exchange, job)
        sent = exchange if self.jar.empty else self._with_cookies(exchange)
        if exchange.auth is not None:
            sent = authorized(sent)
        target = exchange.target
        try:
            backend = self._sessions.get(target.origin) or self._session(target.origin)
            try:
                stream = await send(backend, sent, timing)
            except BackendError as error:
                stream = await _send_afresh(backend, sent, timing, error)
            head, response = self._take_head(stream, sent, job)
            job.response = response
            if stream.status in REDIRECTS and self.options.follow_redirects:
                following = self._following(exchange, job, response)
                if following is not None:
                    await _drain(stream)
                    return following
            job.head_at = perf_counter()
            content = None
            if handoff is None and job.request.save_as is None:
                content = whole_body(stream, head, method=exchange.method, max_body=self.options.max_body)
            if content is None:
                await self._read(stream, head, exchange, job, response, memory, handoff)
            else:
                response.content = content
                response.size_bytes = len(content)
        finally:
            timing.response_end = perf_counter()
            if stream is not None:
                stream.close()
        if response.size_bytes >= LARGE and response.content is not None:
            await self._read_aside(job, response)
        return None

    async def fetch(self, exchange: Exchange) -> Response:
        """Send a request that is no row (for a token) and return its answer; no redirect, no cookies.

        Raises:
            BackendError: No whole answer came, or more than `_LARGEST_TOKEN` bytes.
        """
        backend = self._sessions.get(exchange.target.origin) or self._session(exchange.target.origin)
        stream = await send(backend, exchange, Timing(perf_counter()))
        try:
            head = read_head(stream.status, stream.fields)
            content, _ = await read_body(stream, head, method=exchange.method, max_body=_LARGEST_TOKEN)
            return Response(stream.status, stream.fields, content=content or b"", reason=stream.reason)
        finally:
            stream.close()

    async def _read_aside(self, job: Job, response: Response) -> None:
        """Read a large body in a thread where that takes Python's own time: the loop goes on meanwhile.

        Its bytes have all come: no deadline of the attempt ends this.
        """
        content, kind = response.content, response.header("content-type")
        if content is not None and job.request.operation is None and reads_slowly(kind, self.options, response.status):
            job.begun = inf
            job.reading = await asyncio.to_thread(read_data, content, kind, self.options, response.status)

    def _take_head(self, stream: Stream, sent: Exchange, job: Job) -> tuple[Head, Response]:
        head = read_head(stream.status, stream.fields)
        target = sent.target
        job.remaining = head.remaining
        if stream.status == 206:
            job.unasked_part = is_unasked_part(stream.status, sent.headers)
        job.notes = () if head.unknown is None else (f"with the unknown Content-Encoding {head.unknown!a}, kept as they came",)
        response = Response(
            stream.status, stream.fields, target.text or target.url, None, 0, stream.http_version, stream.reason, None, head.content_type
        )
        if head.cookies:
            self.jar.store(target, response.headers)
        return head, response

    def failure_of(self, error: BackendError, job: Job) -> BackendError:
        """Return the error with a detail that is one line and free of secrets."""
        self._unconnected = self._unconnected or error.kind == "connect"
        detail = error.detail
        if error.kind == "tls" and self.options.verify_ssl is True:
            detail += offered_bundle(detail)
        return BackendError(error.kind, one_line(redact_text(detail, job.secrets)), sent=error.sent, lasting=error.lasting)

    async def close(self) -> None:
        """Close idle connections if no file descriptors are left: later code needs some."""
        if self._unconnected and not _can_open(_DESCRIPTORS):
            self._sessions.clear()
            await self._close_sessions()

    async def _read(  # noqa: PLR0913, PLR0917 - what one answer is read from, and where it goes
        self, stream: Stream, head: Head, exchange: Exchange, job: Job, response: Response, memory: MemoryGate, handoff: Handoffs | None
    ) -> None:
        """Read a body that has not arrived completely into memory, a file or the handoff."""
        ticket = Ticket(memory)
        save_as = job.request.save_as
        max_body, method = self.options.max_body, exchange.method
        try:
            if handoff is not None and stream.status < 400 and not job.unasked_part:
                body = await handoff.take_over(job, stream, head)
            elif save_as is None or stream.status not in _FILES or job.unasked_part:
                refuse_range(job, response)
                body = await read_body(stream, head, method=method, max_body=max_body, gate=ticket)
            else:
                body = await self.saver.save(stream, head, exchange, job, response)
        finally:
            ticket.release()
        response.content, response.size_bytes = body

    def _following(self, exchange: Exchange, job: Job, response: Response) -> Exchange | None:
        following = next_exchange(
            exchange,
            response.status,
            response.headers,
            followed=len(job.redirects),
            max_redirects=self.options.max_redirects,
            secrets=job.request.secrets,
        )
        if following is not None:
            job.redirects = (*job.redirects, (response.status, following.target.url))
        return following

    def _with_cookies(self, exchange: Exchange) -> Exchange:
        cookies = self.jar.header_for(exchange.target)
        if cookies is None:
            return exchange
        own_cookies = [value for name, value in exchange.headers if name.lower() == "cookie"]
        other_lines = tuple(line for line in exchange.headers if line[0].lower() != "cookie")
        return replace(exchange, headers=(*other_lines, ("Cookie", "; ".join([*own_cookies, cookies]))))

    def _session(self, origin: Origin) -> Backend:
        options = self.options
        try:
            proxy = proxy_for(origin, options.proxy, self._environ)
            key = SessionKey(self.backend, options.verify_ssl, options.cert, proxy, options.http2, options.http3)
            session = self._sessions[origin] = self._open_session(key)
            session.reserve(self._most)
        except OptionError as error:
            # Only a proxy from the environment is looked up this late.
            raise BackendError("proxy", str(error), sent=False, lasting=True) from error
        return session


def _can_open(number: int) -> bool:
    """Tell whether the process may have so many more file descriptors; libraries do not all say that there are none."""
    opened: list[int] = []
    try:
        while len(opened) < number:
            opened.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return False
    else:
        return True
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _going_on(exchange: Exchange, job: Job) -> Exchange:
    """Return the exchange that asks for the rest of a file whose beginning exists already."""
    job.begun_file = begun = find_begun(job.request)
    return exchange if begun is None else replace(exchange, headers=asking_for_rest(exchange.headers, begun.size, begun.validator))


async def _send_afresh(backend: Backend, exchange: Exchange, timing: Timing, error: BackendError) -> Stream:
    """Send on a new connection what found a dead one (RFC 9112, 9.3.1), once; an unsafe request only if nothing of it left.

    Raises:
        BackendError: The error given, where that was no such case; or what sending raises.
    """
    if not error.stale or (error.sent and exchange.method not in IDEMPOTENT):
        raise error
    return await send(backend, replace(exchange, fresh=True), timing)


async def _drain(stream: Stream) -> None:
    """Read a short body to its end, so that the connection can serve the next hop; leave a long one."""
    read = 0
    try:
        while read <= _WORTH_DRAINING and (chunk := await stream.read()):
            read += len(chunk)
    except BackendError:
        # The redirect itself has arrived; its body is of no interest.
        return
