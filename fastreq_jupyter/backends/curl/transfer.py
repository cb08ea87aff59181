"""A handle of libcurl, the answer that it fills, and the translation of requests, answers and errors."""

from __future__ import annotations

import asyncio
import os
import re
from functools import lru_cache
from math import isnan
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import pycurl

from fastreq_jupyter.backends import base, wire
from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.files import Upload
from fastreq_jupyter.model import IDEMPOTENT
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from fastreq_jupyter.backends.curl.session import CurlBackend, Server
    from fastreq_jupyter.content import Headers
    from fastreq_jupyter.errors import ErrorKind
    from fastreq_jupyter.exchange import Credential, Exchange, Timing
    from fastreq_jupyter.files import UploadReader

MOST_UNREAD = 256 * 1024
"""Bytes of a body that wait for their reader before libcurl stops reading from the network."""
_VERSIONS = {b"HTTP/1.0": "1.0", b"HTTP/1.1": "1.1", b"HTTP/2": "2", b"HTTP/3": "3"}
_UNASKED = ("Accept", "User-Agent", "Expect", "Content-Type", "Proxy-Connection")
"""Field lines that libcurl adds unless it is told not to."""
BLANK = (b"\r\n", b"\n")
_UNAUTHORIZED = 401
INTERIM = frozenset(range(100, 200)) - {wire.SWITCHING}
_HTTPAUTH = {"digest": pycurl.HTTPAUTH_DIGEST, "negotiate": pycurl.HTTPAUTH_NEGOTIATE, "ntlm": pycurl.HTTPAUTH_NTLM}


@lru_cache(maxsize=256)
def request_lines(headers: Headers) -> tuple[bytes, ...]:
    """Return the field lines in libcurl's words."""
    checked = wire.check_fields(headers)
    lines = checked.fields if checked.host is None else (("Host", checked.host), *checked.fields)
    names = {name.lower() for name, _ in lines}
    # libcurl counts the body itself; an empty value needs the semicolon.
    encoded = [(f"{name}: {value}" if value else f"{name};").encode("latin-1") for name, value in lines]
    return (*encoded, *[f"{name}:".encode() for name in _UNASKED if name.lower() not in names])


class Head(NamedTuple):
    """A head as it came; status 0 where it is none."""

    version: str
    status: int
    reason: str
    fields: tuple[tuple[bytes, bytes], ...]


# Most answers of a run share most lines, those of the same second all of them.
@lru_cache(maxsize=128)
def read_lines(lines: tuple[bytes, ...]) -> Head:
    """Take the lines of a head apart, the blank one included."""
    version, _, rest = lines[0].strip(b"\r\n").partition(b" ")
    code, _, reason = rest.strip(b" ").partition(b" ")
    status = int(code) if code.isdigit() else 0
    return Head(_VERSIONS.get(version, "1.1"), status, reason.decode("latin-1"), tuple(map(_field, lines[1:-1])))


@lru_cache(maxsize=1024)
def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return wire.shared((name, value.strip(b" \t\r\n")))


# Meaning of libcurl's codes; all others are violations of the protocol. pycurl has no names for 97 and 98.
_CODES: dict[ErrorKind, tuple[int, ...]] = {
    "connect": (
        pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_CONNECT, pycurl.E_GOT_NOTHING, pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR,
        pycurl.E_ABORTED_BY_CALLBACK, pycurl.E_SEND_FAIL_REWIND, pycurl.E_INTERFACE_FAILED,
    ),
    "proxy": (pycurl.E_COULDNT_RESOLVE_PROXY, 97),
    "tls": (
        pycurl.E_SSL_CONNECT_ERROR, pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CERTPROBLEM, pycurl.E_SSL_CIPHER,
        pycurl.E_SSL_CACERT_BADFILE, pycurl.E_SSL_ISSUER_ERROR, 98,
    ),
}  # fmt: skip
_KINDS: dict[int, ErrorKind] = {code: kind for kind, codes in _CODES.items() for code in codes}
# libcurl has one code for a dead connection and an unreadable answer; its message tells them apart.
_DEAD = re.compile(r"(?:Recv|Send) failure|SSL_(?:read|write)|SYSCALL|reset|connection (?:died|closed)|unexpected eof", re.IGNORECASE)
_CLOSED = (pycurl.E_GOT_NOTHING, pycurl.E_ABORTED_BY_CALLBACK, pycurl.E_SEND_FAIL_REWIND)


def failure_of(stream: CurlStream, code: int, words: str, number: int) -> BackendError:
    """Return the error of a failed exchange.

    Args:
        stream: The answer as far as it came.
        code: libcurl's code.
        words: libcurl's words.
        number: Number of the system's error, or 0.
    """
    sent, stale = stream.permitted > 0, False
    kind: ErrorKind = _KINDS.get(code, "protocol")
    words = one_line(words) or pycurl.easy_strerror(code)
    if "alert" in words and sent:
        kind, words = "tls", f"TLS failed: {words}"
    elif stream.has_head:
        kind, words = "protocol", f"the body broke off: {words}"
    elif kind == "tls":
        kind, words = _tls_failure(stream, code, words)
    elif not sent and stream.backend.proxy is not None:
        return wire.proxy_error(words)
    elif code == pycurl.E_RECV_ERROR and sent and not number and not _DEAD.search(words):
        kind = "protocol"
    elif kind == "connect":
        stale = (sent and stream.reused) or code == pycurl.E_ABORTED_BY_CALLBACK
        words = "connection closed before an answer" if code in _CLOSED else os.strerror(number) if number else words
    return BackendError(kind, f"{stream.server.where}: {words}", sent=sent, stale=stale)


def _tls_failure(stream: CurlStream, code: int, words: str) -> tuple[ErrorKind, str]:
    if code == pycurl.E_PEER_FAILED_VERIFICATION:
        return "tls", f"certificate is not trusted: {words.removeprefix('SSL certificate problem: ').removeprefix('SSL: ')}"
    if _DEAD.search(words):
        return "proxy" if stream.backend.proxy is not None else "connect", "connection closed in the TLS handshake"
    return "tls", f"TLS failed: {words}"


class Handle:
    """An easy handle: told once what holds for the whole session, then only what differs from its last request.

    Attributes:
        stream: The answer in the making, None while the handle is free.
        lines: What has come of a head.
        personal: It was given credentials, and serves no other exchange.
    """

    __slots__ = ("_backend", "_settings", "curl", "lines", "personal", "stream")

    def __init__(self, backend: CurlBackend) -> None:
        self.curl: Any = pycurl.Curl()
        self.curl.handle = self
        self.stream: CurlStream | None = None
        self.lines: list[bytes] = []
        self.personal = False
        self._backend = backend
        self._settings: dict[int, Any] = {}
        for option, value in (
            (pycurl.HEADERFUNCTION, self._on_line),
            (pycurl.WRITEFUNCTION, self._on_body),
            (pycurl.PREREQFUNCTION, self._may_send),
            (pycurl.SOCKOPTFUNCTION, backend.drive.opened),
            (pycurl.DEBUGFUNCTION, self._on_note),
            *backend.settings,
        ):
            self.curl.setopt(option, value)

    def start(self, stream: CurlStream, exchange: Exchange, fields: tuple[bytes, ...]) -> None:
        """Tell libcurl what this exchange has that the last one had not."""
        self.stream = stream
        self.lines.clear()
        server, settings = stream.server, self._settings
        absolute = self._backend.forwarded and not server.encrypted
        self.curl.setopt(pycurl.REQUEST_TARGET, exchange.target.url if absolute else exchange.target.path_query)
        if settings.get(pycurl.URL) is not server.url:
            self._tell(pycurl.URL, server.url)
        if settings.get(pycurl.HTTPHEADER) is not fields:
            self._tell(pycurl.HTTPHEADER, fields)
        if exchange.content or settings.get(pycurl.CUSTOMREQUEST) != exchange.method:
            self._set_method(exchange.method, exchange.content, stream)
        if server.encrypted or pycurl.VERBOSE in settings:
            # Only libcurl's debug messages tell the negotiated protocol, and whether a stream was refused.
            self._tell(pycurl.VERBOSE, stream.scout is not None or (server.multiplexed is True and not stream.idempotent))
            self._tell(pycurl.PIPEWAIT, bool(server.multiplexed))
        if exchange.fresh or pycurl.FRESH_CONNECT in settings:
            self._tell(pycurl.FRESH_CONNECT, exchange.fresh)
        if server.line and not server.loaded:
            self.curl.setopt(pycurl.RESOLVE, [server.line])
        if exchange.auth is not None:
            self._authenticate(exchange.auth, exchange.target.url)

    def _authenticate(self, auth: Credential, url: str) -> None:
        """Let libcurl make the credentials: of the whole URL, path and query included."""
        self.personal = True
        self.curl.setopt(pycurl.URL, url)
        self.curl.setopt(pycurl.USERNAME, auth.user.encode())
        self.curl.setopt(pycurl.PASSWORD, auth.password.encode())
        if auth.signed_for:
            # libcurl signs only paths that it has parsed itself; ours have no dot segments any more.
            self.curl.setopt(pycurl.PATH_AS_IS, 0)
            self.curl.setopt(pycurl.AWS_SIGV4, auth.signed_for)
        else:
            self.curl.setopt(pycurl.HTTPAUTH, _HTTPAUTH[auth.scheme])

    def _was_challenged(self) -> bool:
        """Tell whether libcurl sends again because a server asked for credentials that it can make."""
        return self.personal and bool(self.lines) and read_lines(tuple(self.lines)).status == _UNAUTHORIZED

    def _tell(self, option: int, value: Any) -> None:
        if self._settings.get(option) != value:
            self._settings[option] = value
            self.curl.setopt(option, value)

    def _set_method(self, method: str, content: bytes | Upload | None, stream: CurlStream) -> None:
        curl = self.curl
        if isinstance(content, Upload):
            stream.upload = content.open()
            curl.setopt(pycurl.UPLOAD, 1)
            # It cannot be rewound, so libcurl cannot send it again.
            curl.setopt(pycurl.READFUNCTION, self._on_read)
            curl.setopt(pycurl.INFILESIZE_LARGE, len(content))
        elif content or method not in wire.BODYLESS:
            curl.setopt(pycurl.POST, 1)
            curl.setopt(pycurl.POSTFIELDS, content or b"")
        else:
            # Resets the handle's settings for a body or for HEAD.
            curl.setopt(pycurl.HTTPGET, 1)
            if method == "HEAD":
                curl.setopt(pycurl.NOBODY, 1)
        if method in ("GET", "HEAD") and not content:
            curl.unsetopt(pycurl.CUSTOMREQUEST)
        else:
            curl.setopt(pycurl.CUSTOMREQUEST, method)
        self._settings[pycurl.CUSTOMREQUEST] = None if content else method

    def _on_read(self, size: int) -> Any:
        stream = self.stream
        if stream is None or stream.upload is None:
            return pycurl.READFUNC_ABORT
        try:
            return stream.upload.read(size)
        except BackendError as error:
            stream.failure = error
            return pycurl.READFUNC_ABORT

    def _on_line(self, line: bytes) -> Any:
        self.lines.append(line)
        stream = self.stream
        # Before a request was permitted it is a proxy's answer; after the head come trailers.
        if line in BLANK and stream is not None and stream.permitted and not stream.has_head and stream.look(final=not self.personal):
            return -1
        return None

    def _on_body(self, chunk: bytes) -> Any:
        stream = self.stream
        if stream is None:
            return -1
        if not stream.has_head:
            if not stream.permitted:
                # The body of a proxy's refusal of CONNECT.
                return None
            stream.look()
        if stream.size > MOST_UNREAD:
            stream.paused = True
            return pycurl.WRITEFUNC_PAUSE
        stream.chunks.append(chunk)
        stream.size += len(chunk)
        if stream.waiter is not None:
            stream.wake()
        return None

    def _may_send(self, _there: str, _here: str, _port: int, local_port: int) -> Any:
        """Answer libcurl, which has a connection and is about to send."""
        stream = self.stream
        if stream is None or (stream.scout is not None and not stream.report()):
            return pycurl.PREREQFUNC_ABORT
        # A new connection may have the port of a closed one.
        descriptor = None if stream.exchange.fresh else self._backend.idle_sockets.get(local_port)
        if stream.permitted:
            # libcurl's own second try, after a reused connection that died.
            good = stream.idempotent and stream.permitted == 1 and (descriptor is None or stream.server.multiplexed)
            good = good or self._was_challenged()
        else:
            # libcurl checks a connection only after a second without use: an unrequested answer may have arrived before.
            good = descriptor is None or stream.server.multiplexed or not self._backend.drive.spoiled(descriptor)
        if not good:
            return pycurl.PREREQFUNC_ABORT
        # Data of a proxy's answer to CONNECT, or of a connection that died.
        self.lines.clear()
        stream.permitted += 1
        stream.port = local_port
        stream.timing.request_start = perf_counter()
        stream.server.loaded = True
        return pycurl.PREREQFUNC_OK

    def _on_note(self, kind: int, words: bytes) -> None:
        stream = self.stream
        if kind != pycurl.INFOTYPE_TEXT or stream is None:
            return
        if b"refused by server" in words:
            # RFC 9113, 8.7: the server did not process the request, so this sending does not count.
            stream.permitted = 0
        elif words.startswith(b"ALPN: server"):
            # The last of these messages is about the origin; an earlier one may be about a proxy.
            stream.agreed = b"accepted h2" in words


class CurlStream(base.Stream):
    """The answer of one exchange, filled by libcurl's callbacks.

    Attributes:
        permitted: How often libcurl asked whether it may send, and was told yes.
        agreed: HTTP/2 was, by the first connection to a server; None where it had no choice.
        scout: Set when `agreed` is known; None where others have found out.
        port: Local port of the connection.
        paused: libcurl waits until what came was read.
        upload: What it sends, where that stands in files.
    """

    permitted = port = size = interim = 0
    has_head = paused = done = reused = False
    agreed: bool | None = None
    scout: asyncio.Event | None = None
    waiter: asyncio.Future[None] | None = None
    failure: BackendError | None = None
    upload: UploadReader | None = None

    def __init__(self, backend: CurlBackend, handle: Handle, server: Server, exchange: Exchange, timing: Timing) -> None:
        self.backend = backend
        self._handle: Handle | None = handle
        self.timing = timing
        self.server = server
        self.exchange = exchange
        self.chunks: list[bytes] = []
        if server.multiplexed is None:
            self.scout = server.scout = asyncio.Event()

    @property
    def idempotent(self) -> bool:
        """Tell whether it may be sent again."""
        return self.exchange.method in IDEMPOTENT

    @property
    def _only_head(self) -> bool:
        """Tell whether libcurl would wait for a body that never comes: that of an answer to a HEAD that has one itself."""
        return self.exchange.method == "HEAD" and bool(self.exchange.content)

    def take(self) -> bytes | None:
        """Return the whole raw body if its end has arrived already (see `Stream.take`)."""
        if not self.done:
            return None
        if self.failure is not None:
            raise self.failure
        return self._take_chunks()

    async def read(self) -> bytes:
        """Return the raw bytes that have come (see `Stream.read`)."""
        while not self.chunks and not self.done:
            self._resume()
            waiter = self.waiter = asyncio.get_running_loop().create_future()
            await waiter
        if not self.chunks and self.failure is not None:
            raise self.failure
        content = self._take_chunks()
        self._resume()
        return content

    def close(self) -> None:
        """End the exchange (see `Stream.close`)."""
        handle, self._handle = self._handle, None
        if handle is not None and not self.done:
            self._mark(handle)
            self.fail(BackendError("connect", f"{self.server.where}: closed"))
            self.backend.release(handle)

    def wake(self) -> None:
        """End the wait, if there is one."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def look(self, *, final: bool = True) -> bool:
        """Read a head that has come; True where the transfer ends with it.

        Args:
            final: It is the last unless it is an interim answer's: libcurl does not send again with credentials.
        """
        handle = self._handle
        if handle is None:
            return True
        head = read_lines(tuple(handle.lines))
        if head.status in INTERIM:
            handle.lines.clear()
            self.interim += 1
            if self.interim > wire.MAX_INTERIM:
                self.failure = wire.too_many_interim()
            return self.failure is not None
        if not final:
            return False
        self.has_head = True
        self.http_version, self.status, self.reason, self.fields = head
        if self.server.encrypted:
            self.server.multiplexed = head.version in ("2", "3")
        self.wake()
        return self._only_head

    def report(self) -> bool:
        """Tell the others what the first connection to a server has found; False where that is too little."""
        server, scout, self.scout = self.server, self.scout, None
        good = self.backend.http2 is not True or self.agreed is not False
        if good and self.agreed is not None:
            server.multiplexed = self.agreed
        elif not good:
            self.failure = BackendError("protocol", f"{server.where}: the server does not speak HTTP/2", sent=False)
        if scout is not None:
            server.scout = None
            scout.set()
        return good

    def end(self, code: int, words: str) -> None:
        """Store the result of libcurl."""
        handle = self._handle
        if handle is not None:
            if not self.has_head and self.permitted and self.failure is None and handle.lines and handle.lines[-1] in BLANK:
                self.look()
            self._mark(handle)
            if (code or not self.has_head) and self.failure is None and not (self.has_head and self._only_head):
                self.failure = failure_of(self, code, words, handle.curl.getinfo(pycurl.OS_ERRNO))
        self._handle = None
        self.fail(self.failure)

    def fail(self, error: BackendError | None) -> None:
        """End; with an error, unless that came before."""
        if self.scout is not None:
            self.report()
        self.failure = self.failure or error
        self.done = True
        if self.upload is not None:
            self.upload.close()
        if self.waiter is not None:
            self.wake()

    def _take_chunks(self) -> bytes:
        chunks, self.chunks, self.size = self.chunks, [], 0
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _resume(self) -> None:
        if self.paused and self._handle is not None:
            self.paused = False
            self._handle.curl.pause(pycurl.PAUSE_CONT)

    def _mark(self, handle: Handle) -> None:
        """Write libcurl's clocks, which count from the start of the transfer, into the timing."""
        timing, info = self.timing, handle.curl.getinfo
        timing.encrypted, sent_at = self.server.encrypted, timing.request_start
        if not self.permitted:
            return
        earliest = timing.fetch_start if isnan(timing.domain_lookup_end) else timing.domain_lookup_end
        # The process may be suspended between our reading of the clock and libcurl's; an unseen mark is no bound.
        start = max(sent_at - info(pycurl.PRETRANSFER_TIME), earliest)
        if first := info(pycurl.STARTTRANSFER_TIME):
            timing.response_start = start + first
        self.reused = timing.reused = not info(pycurl.NUM_CONNECTS)
        if self.reused:
            return
        looked_up, connected, secured = info(pycurl.NAMELOOKUP_TIME), info(pycurl.CONNECT_TIME), info(pycurl.APPCONNECT_TIME)
        if isnan(timing.domain_lookup_end) and not self.backend.names_there:
            timing.domain_lookup_start, timing.domain_lookup_end = start, start + looked_up
        timing.connect_start = min(start + looked_up, sent_at)
        timing.connect_end = min(start + (secured or connected), sent_at)
        if secured:
            timing.secure_connection_start = min(start + connected, sent_at)
