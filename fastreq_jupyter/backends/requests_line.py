"""A blocking connection of the requests backend: HTTP/1.1 by h11 over a socket that another thread may shut down."""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING

import h11
import requests

from fastreq_jupyter.backends.proxy import proxy_error, tunnel_refusal, tunnel_request
from fastreq_jupyter.backends.sockets import watch
from fastreq_jupyter.backends.wire import (
    MAX_FIELD_BYTES,
    MAX_INTERIM,
    SWITCHING,
    connect_error,
    place,
    switched_protocols,
    tls_error,
    too_many_interim,
)
from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from fastreq_jupyter.backends.proxy import ProxyServer
    from fastreq_jupyter.timing import Timing
    from fastreq_jupyter.url import Origin

__all__ = ["Answer", "Line"]

CHUNK_BYTES = 64 * 1024
# Little enough for a socket that says it can be written: the thread must not get stuck while an answer waits.
UPLOAD_BYTES = 16 * 1024
MAX_TUNNEL_HEAD = 65_536


class Answer(requests.Response):
    """Be a response with its head as it came."""

    def __init__(self, head: h11.Response, line: Line) -> None:
        super().__init__()
        self.head = head
        self.raw = line
        self.status_code = head.status_code
        self.reason = bytes(head.reason).decode("latin-1")


class Line:
    """Be one connection; every method but `cut` blocks and belongs to the thread that has the exchange.

    Args:
        origin: Where it leads.
        sock: A connected socket: to the origin, or to the proxy on the way.
    """

    def __init__(self, origin: Origin, sock: socket.socket) -> None:
        self.origin = origin
        self.used = False
        self.ready = False
        self.idle_since = 0.0
        self._sock = sock
        self._lock = threading.Lock()
        self._is_cut = False
        self._marks: Timing | None = None
        self._began = False
        # The limit of a head is as in the other libraries, four times h11's own.
        self._engine = h11.Connection(h11.CLIENT, max_incomplete_event_size=2 * MAX_FIELD_BYTES)

    def cut(self) -> None:
        """End whatever the thread waits for, from another thread; what was not sent yet never will be."""
        with self._lock:
            self._is_cut = True
            sock = self._sock
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                # Not SSLSocket's own shutdown, which would pull the TLS state from under the thread.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def discard(self) -> None:
        """Close the socket."""
        with self._lock:
            self._is_cut = True
            self._sock.close()

    @property
    def spent(self) -> bool:
        """Tell whether an idle connection has ended in the meantime."""
        return self._is_cut or self._sock.fileno() < 0 or watch(self._sock.fileno())()

    @property
    def reusable(self) -> bool:
        """Tell whether the answer was read whole and another request may follow; call once, it prepares for that."""
        if self._is_cut or self._engine.our_state is not h11.DONE or self._engine.their_state is not h11.DONE:
            return False
        if self._engine.trailing_data[0]:
            return False
        self._engine.start_next_cycle()
        return True

    def secure(self, context: ssl.SSLContext, proxy: ProxyServer | None, marks: Timing) -> None:
        """Do what is left to do for a connection: a tunnel, the TLS handshake.

        Raises:
            BackendError: ``proxy``, ``tls`` or ``connect``, with ``sent=False``.
        """
        if self.ready:
            return
        self._sock.setblocking(True)  # noqa: FBT003 - the standard library's signature
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.origin.scheme == "https":
            if proxy is not None and proxy.scheme != "socks5":
                self._tunnel(proxy)
            marks.secure_connection_start = perf_counter()
            try:
                self._shake_hands(context)
            except BackendError as error:
                if proxy is None or error.kind != "connect":
                    raise
                raise proxy_error(f"proxy {proxy.where}: {error.detail}") from error
        marks.connect_end = perf_counter()
        self.ready = True

    def send(self, request: h11.Request, content: bytes | None, marks: Timing) -> None:
        """Write one request; return early when the answer comes before its end.

        Raises:
            BackendError: It cannot be written, or the connection broke.
        """
        self.used = True
        self._began = False
        self._marks = marks
        try:
            head = self._engine.send(request) or b""
        except h11.LocalProtocolError as error:
            raise BackendError("invalid value", f"request cannot be written: {one_line(str(error))}", sent=False) from error
        marks.request_start = perf_counter()
        try:
            if content is None or len(content) <= CHUNK_BYTES:
                body = b"" if not content else self._engine.send(h11.Data(content)) or b""
                self._sock.sendall(head + body + (self._engine.send(h11.EndOfMessage()) or b""))
                return
            self._sock.sendall(head)
            self._upload(content)
        except OSError as error:
            # The server may have answered before it hung up.
            self._engine.send_failed()
            if not self._answered():
                raise connect_error(error, place(self.origin.host, self.origin.port), sent=True) from error

    def head(self) -> h11.Response:
        """Return the head of the final answer.

        Raises:
            BackendError: There is none.
        """
        interim = 0
        while True:
            event = self._next(answered=False)
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise self._closed()
            if event.status_code == SWITCHING:
                raise switched_protocols()
            interim += 1
            if interim > MAX_INTERIM:
                raise too_many_interim()

    def read(self) -> bytes:
        """Return the next bytes of the body, b"" at its end.

        Raises:
            BackendError: The body broke off.
        """
        while True:
            event = self._next(answered=True)
            if isinstance(event, h11.Data):
                if event.data:
                    return bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return b""
            else:
                raise self._broken()

    def _next(self, *, answered: bool) -> object:
        try:
            while (event := self._engine.next_event()) is h11.NEED_DATA:
                self._receive()
        except h11.RemoteProtocolError as error:
            if answered:
                raise self._broken() from error
            if not self._began:
                raise self._closed() from error
            where = place(self.origin.host, self.origin.port)
            raise BackendError("protocol", f"{where}: malformed answer: {one_line(str(error), 120)}") from error
        except OSError as error:
            if answered:
                raise self._broken() from error
            raise connect_error(error, place(self.origin.host, self.origin.port), sent=True) from error
        return event

    def _receive(self) -> None:
        data = self._sock.recv(CHUNK_BYTES)
        if self._marks is not None:
            if data:
                self._marks.response_start = perf_counter()
            self._marks = None
        self._began = self._began or bool(data)
        self._engine.receive_data(data)

    def _upload(self, content: bytes) -> None:
        view = memoryview(content)
        for at in range(0, len(view), UPLOAD_BYTES):
            if self._wait_to_write():
                # Answered before the end: what follows would be for nobody.
                self._engine.send_failed()
                return
            self._sock.sendall(self._engine.send(h11.Data(bytes(view[at : at + UPLOAD_BYTES]))) or b"")
        self._sock.sendall(self._engine.send(h11.EndOfMessage()) or b"")

    def _wait_to_write(self) -> bool:
        """Wait until more can be written; True when an answer came instead."""
        while True:
            readable, writable = _wait(self._sock)
            if readable and self._answered():
                return True
            if writable:
                return False

    def _answered(self) -> bool:
        """Take in what has arrived without waiting; True when that was an answer or the end, not just TLS's own records."""
        self._sock.setblocking(False)  # noqa: FBT003
        try:
            self._receive()
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return self._began
        finally:
            self._sock.setblocking(True)  # noqa: FBT003
        return True

    def _tunnel(self, proxy: ProxyServer) -> None:
        answer = b""
        try:
            self._sock.sendall(tunnel_request(proxy, self.origin))
            while b"\r\n\r\n" not in answer and len(answer) <= MAX_TUNNEL_HEAD and (part := self._sock.recv(4096)):
                answer += part
        except OSError as error:
            raise proxy_error(connect_error(error, f"proxy {proxy.where}").detail) from error
        refusal = tunnel_refusal(answer, proxy)
        if refusal is not None:
            raise proxy_error(refusal)

    def _shake_hands(self, context: ssl.SSLContext) -> None:
        where = place(self.origin.host, self.origin.port)
        try:
            with self._lock:
                if self._is_cut:
                    raise connect_error(ConnectionAbortedError("cancelled"), where)
                secured = context.wrap_socket(self._sock, server_hostname=self.origin.host, do_handshake_on_connect=False)
                self._sock = secured
            secured.do_handshake()
        except ssl.SSLError as error:
            raise tls_error(error, where) from error
        except OSError as error:
            raise connect_error(error, where) from error

    def _broken(self) -> BackendError:
        return BackendError("protocol", f"{place(self.origin.host, self.origin.port)}: the body broke off or was malformed")

    def _closed(self) -> BackendError:
        return BackendError("connect", f"{place(self.origin.host, self.origin.port)}: connection closed before an answer")


def _wait(sock: socket.socket) -> tuple[bool, bool]:
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN | select.POLLOUT)
        events = poll.poll()[0][1]
        return bool(events & ~select.POLLOUT), bool(events & select.POLLOUT)
    readable, writable, _ = select.select([sock], [sock], [])
    return bool(readable), bool(writable)
