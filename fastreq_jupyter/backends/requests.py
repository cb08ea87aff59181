"""The requests backend: HTTP/1.1, an exchange a thread, for those who trust a blocking library.

On the wire requests is urllib3 over http.client. These write the URL anew, take an endless row of interim answers or a
malformed chunk for an answer, and are another pair of libraries where niquests has replaced urllib3. So the exchange
goes through a transport adapter of ours (requests' own way to change its transport), which speaks by h11 and can be cut off.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import h11
import requests
from requests.adapters import BaseAdapter

from fastreq_jupyter.backends import base
from fastreq_jupyter.backends.dialing import Dialer
from fastreq_jupyter.backends.idle import IdleConnections
from fastreq_jupyter.backends.proxy import read_proxy
from fastreq_jupyter.backends.requests_job import Job
from fastreq_jupyter.backends.requests_line import Answer, Line
from fastreq_jupyter.backends.resolver import Resolver
from fastreq_jupyter.backends.threads import DaemonPool
from fastreq_jupyter.backends.trust import client_context
from fastreq_jupyter.backends.wire import framed
from fastreq_jupyter.errors import BackendError, OptionError

if TYPE_CHECKING:
    import ssl

    from fastreq_jupyter.backends.base import Backend, Exchange, SessionKey
    from fastreq_jupyter.backends.proxy import ProxyServer
    from fastreq_jupyter.timing import Timing
    from fastreq_jupyter.url import Origin

__all__ = ["open_session"]

# The engine's workers are the only limit; this one is never met.
THREADS = 100_000


def open_session(key: SessionKey) -> Backend:
    """Open a session on the running loop.

    Raises:
        OptionError: HTTP/2 is required, the proxy is an https one, or a certificate cannot be read.
    """
    if key.http2 is True:
        message = "http2=True is not possible with backend requests, which speaks HTTP/1.1: use backend niquests"
        raise OptionError(message)
    proxy = read_proxy(key.proxy)
    if proxy is not None and proxy.scheme == "https":
        message = "proxy=https:// is not possible with backend requests: give http:// or socks5://, or use another backend"
        raise OptionError(message)
    return RequestsBackend(client_context(key), proxy)


class Prepared(requests.PreparedRequest):
    """Be a request that is on the wire what it is here, with the connection and the marks it goes with."""

    def __init__(self, exchange: Exchange, head: h11.Request, line: Line, marks: Timing) -> None:
        super().__init__()
        self.method = exchange.method
        self.url = exchange.target.url
        self.content = exchange.content
        self.head = head
        self.line = line
        self.marks = marks


class Adapter(BaseAdapter):
    """Be the session's transport: one exchange over a connection of ours, and nothing else."""

    def __init__(self, context: ssl.SSLContext, proxy: ProxyServer | None) -> None:
        super().__init__()
        self._context = context
        self._proxy = proxy

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> Answer:
        """Send the request and read the head of its answer; blocks.

        Raises:
            BackendError: See `Backend.send`.
        """
        if not isinstance(request, Prepared):
            message = "this adapter sends what the backend has prepared"
            raise TypeError(message)
        line = request.line
        line.secure(self._context, self._proxy, request.marks)
        line.send(request.head, request.content, request.marks)
        answer = Answer(line.head(), line)
        answer.request = request
        answer.url = str(request.url)
        return answer

    def close(self) -> None:
        """Do nothing: connections are the backend's."""


class RequestsBackend:
    """Be one session on one loop: warm connections, and a thread for each exchange."""

    name = "requests"

    def __init__(self, context: ssl.SSLContext, proxy: ProxyServer | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._proxy = proxy
        self._dialer = Dialer(Resolver(), context, proxy)
        self._adapter = Adapter(context, proxy)
        self._threads = DaemonPool("fastreq-requests", THREADS)
        self._idle: IdleConnections[Line] = IdleConnections()
        self._jobs: set[Job] = set()
        self._closed = False
        seen = {"dns", "connect", "tls", "wait", "receive"}
        if proxy is not None and proxy.scheme == "socks5":
            seen.discard("dns")
        self.phases = frozenset(seen)

    def reserve(self, concurrency: int) -> None:
        """Need nothing: connections are opened as they are needed."""

    async def send(self, exchange: Exchange, marks: Timing) -> Stream:
        """Send one request, return when the final head is read (see `Backend.send`)."""
        head = self._head(exchange)
        line = await self._line(exchange, marks)
        prepared = Prepared(exchange, head, line, marks)
        job = Job(self._loop, line, exchange=lambda: self._adapter.send(prepared), finished=self._finished)
        self._jobs.add(job)
        self._threads.submit(job.run)
        try:
            return Stream(job, await job.head())
        except BaseException:
            job.cancel()
            raise

    async def aclose(self) -> None:
        """Close all connections; can be called twice."""
        self._closed = True
        self._idle.close()
        jobs = list(self._jobs)
        for job in jobs:
            job.cancel()
        if jobs:
            await asyncio.wait([job.done for job in jobs], timeout=2)
        self._threads.close()
        self._adapter.close()

    async def _line(self, exchange: Exchange, marks: Timing) -> Line:
        origin = exchange.target.origin
        if self._closed:
            raise BackendError("connect", "the session is closed", sent=False)
        line = None if exchange.fresh else self._idle.take(origin)
        marks.reused = line is not None
        marks.encrypted = origin.scheme == "https"
        return line or Line(origin, await self._dialer.connect(origin, marks))

    def _finished(self, job: Job) -> None:
        self._jobs.discard(job)
        if job.whole and not self._closed and job.line.reusable:
            self._idle.put(job.line.origin, job.line)
        else:
            job.line.discard()

    def _head(self, exchange: Exchange) -> h11.Request:
        target = exchange.target
        lines = framed(exchange)
        pairs = [("Host", _authority(target.origin) if lines.host is None else lines.host), *lines.fields]
        wanted = target.path_query
        if self._proxy is not None and self._proxy.scheme == "http" and target.origin.scheme == "http":
            wanted = target.url
            if self._proxy.authorization is not None:
                pairs.append(("Proxy-Authorization", self._proxy.authorization))
        fields = [(name.encode("ascii"), value.encode("latin-1")) for name, value in pairs]
        try:
            return h11.Request(method=exchange.method.encode("ascii"), target=wanted.encode("ascii"), headers=fields)
        except h11.LocalProtocolError as error:
            raise BackendError("invalid value", f"request cannot be written: {error}", sent=False) from error


class Stream(base.Stream):
    """Be one response, its body still to come."""

    __slots__ = ("_job",)

    def __init__(self, job: Job, answer: Answer) -> None:
        self._job = job
        head = answer.head
        self.status = answer.status_code
        self.reason = answer.reason
        self.http_version = bytes(head.http_version).decode("ascii")
        self.fields = list(head.headers.raw_items())

    async def read(self) -> bytes:
        """Return the next raw bytes of the body, b"" at its end (see `base.Stream.read`)."""
        return await self._job.read()

    def close(self) -> None:
        """Close the connection unless the body was read whole, in which case it went back already."""
        if not self._job.done.done():
            self._job.cancel()


def _authority(origin: Origin) -> str:
    return str(origin).partition("://")[2]
