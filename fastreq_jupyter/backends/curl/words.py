"""Requests, answers and errors in libcurl's words."""

from __future__ import annotations

import os
import re
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pycurl

from fastreq_jupyter.backends.proxy import proxy_error
from fastreq_jupyter.backends.trust import authorities
from fastreq_jupyter.backends.wire import framed
from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from fastreq_jupyter.backends.base import Exchange, SessionKey
    from fastreq_jupyter.backends.curl.transfer import CurlStream
    from fastreq_jupyter.backends.proxy import ProxyServer
    from fastreq_jupyter.errors import ErrorKind
    from fastreq_jupyter.response import Headers

__all__ = ["FOREVER_MS", "answer_fields", "failure_of", "request_lines", "settings", "status_line"]

# A limit must be given, or libcurl ends a connection attempt after 300 s; deadlines are the engine's.
FOREVER_MS = 2**31 - 1
_VERSIONS = {b"HTTP/1.0": "1.0", b"HTTP/1.1": "1.1", b"HTTP/2": "2", b"HTTP/3": "3"}
_UNASKED = ("Accept", "User-Agent", "Expect", "Content-Type", "Proxy-Connection")
"""Field lines that libcurl adds unless it is told not to."""
_MOST_KNOWN = 256
_SHORT, _MOST_FIELDS = 256, 2048
_KNOWN: dict[tuple[Headers, str, bool], tuple[bytes, ...]] = {}


def request_lines(exchange: Exchange) -> tuple[bytes, ...]:
    """Return the field lines in libcurl's words, the same object for equal requests.

    Raises:
        BackendError: See `framed`.
    """
    key = exchange.headers, exchange.method, not exchange.content
    known = _KNOWN.get(key)
    if known is not None:
        return known
    checked = framed(exchange)
    spelled = []
    names = set()
    for name, value in checked.fields if checked.host is None else [("Host", checked.host), *checked.fields]:
        names.add(name.lower())
        # libcurl counts the body itself; a value of nothing needs the semicolon.
        if name != "Content-Length":
            spelled.append((f"{name}: {value}" if value else f"{name};").encode("latin-1"))
    spelled += [f"{name}:".encode() for name in _UNASKED if name.lower() not in names]
    fields = tuple(spelled)
    if not any(name.lower() == "content-length" for name, _ in exchange.headers):
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[key] = fields
    return fields


@lru_cache(maxsize=1024)
def status_line(line: bytes) -> tuple[str, int, str]:
    """Return HTTP version, status (0 where there is none) and reason."""
    version, _, rest = line.strip(b"\r\n").partition(b" ")
    code, _, reason = rest.strip(b" ").partition(b" ")
    return _VERSIONS.get(version, "1.1"), int(code) if code.isdigit() else 0, reason.decode("latin-1")


class _Fields(dict[bytes, tuple[bytes, bytes]]):
    """Field lines taken apart: most answers of a run have most of them in common."""

    def __missing__(self, line: bytes) -> tuple[bytes, bytes]:
        name, _, value = line.partition(b":")
        field = name, value.strip(b" \t\r\n")
        if len(line) <= _SHORT:
            if len(self) >= _MOST_FIELDS:
                self.clear()
            self[line] = field
        return field


_FIELDS = _Fields()


def answer_fields(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Return the field lines of a head, whose first line is the status line."""
    del lines[0]
    return list(map(_FIELDS.__getitem__, lines))


def settings(key: SessionKey, proxy: ProxyServer | None) -> list[tuple[int, Any]]:
    """Return what holds for each transfer of a session."""
    version = pycurl.CURL_HTTP_VERSION_1_1 if key.http2 is False else pycurl.CURL_HTTP_VERSION_2TLS
    settled: list[tuple[int, Any]] = [
        (pycurl.NOSIGNAL, 1),
        (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
        (pycurl.PATH_AS_IS, 1),
        (pycurl.HTTP_CONTENT_DECODING, 0),
        (pycurl.HTTP09_ALLOWED, 0),
        (pycurl.CONNECTTIMEOUT_MS, FOREVER_MS),
        (pycurl.BUFFERSIZE, 128 * 1024),
        (pycurl.USERAGENT, ""),
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_3ONLY if key.http3 else version),
        (pycurl.HEADEROPT, pycurl.HEADER_SEPARATE),
        (pycurl.PROXYHEADER, ["User-Agent:", "Proxy-Connection:"]),
    ]
    if key.cert is not None:
        chain, private = (key.cert, key.cert) if isinstance(key.cert, str) else key.cert
        settled += [(pycurl.SSLCERT, chain), (pycurl.SSLKEY, private)]
    return settled + _trust(key.verify) + _route(proxy)


def _trust(verify: bool | str) -> list[tuple[int, Any]]:  # noqa: FBT001 - the type of the option
    if verify is False:
        off = (pycurl.SSL_VERIFYPEER, pycurl.SSL_VERIFYHOST, pycurl.PROXY_SSL_VERIFYPEER, pycurl.PROXY_SSL_VERIFYHOST)
        return [(option, 0) for option in off]
    if verify is True and sys.platform in ("win32", "darwin") and hasattr(pycurl, "SSLOPT_NATIVE_CA"):
        return [(option, pycurl.SSLOPT_NATIVE_CA) for option in (pycurl.SSL_OPTIONS, pycurl.PROXY_SSL_OPTIONS)]
    file, folder = authorities(verify)
    files = [(option, file) for option in (pycurl.CAINFO, pycurl.PROXY_CAINFO)]
    return files + [(option, folder) for option in (pycurl.CAPATH, pycurl.PROXY_CAPATH)]


def _route(proxy: ProxyServer | None) -> list[tuple[int, Any]]:
    if proxy is None:
        # Without both libcurl would look into the environment.
        return [(pycurl.PROXY, ""), (pycurl.NOPROXY, "*")]
    # In libcurl's words: the names with a letter more leave resolving to the proxy.
    scheme = {"socks4": "socks4a", "socks5": "socks5h"}.get(proxy.scheme, proxy.scheme)
    settings: list[tuple[int, Any]] = [
        (pycurl.PROXY, f"{scheme}://{proxy.where}"),
        (pycurl.NOPROXY, ""),
    ]
    if proxy.user is not None:
        settings += [
            (pycurl.PROXYUSERNAME, proxy.user.encode()),
            (pycurl.PROXYPASSWORD, proxy.password.encode()),
            (pycurl.PROXYAUTH, pycurl.HTTPAUTH_BASIC),
        ]
    return settings


# What libcurl's codes mean; those not named are violations of the protocol. 97 and 98 have no name in pycurl.
_CODES: dict[ErrorKind, tuple[int, ...]] = {
    "connect": (
        pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_CONNECT, pycurl.E_GOT_NOTHING, pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR,
        pycurl.E_ABORTED_BY_CALLBACK, pycurl.E_SEND_FAIL_REWIND, pycurl.E_INTERFACE_FAILED,
    ),
    "proxy": (pycurl.E_COULDNT_RESOLVE_PROXY, 97),
    "timeout": (pycurl.E_OPERATION_TIMEDOUT,),
    "tls": (
        pycurl.E_SSL_CONNECT_ERROR, pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CERTPROBLEM, pycurl.E_SSL_CIPHER,
        pycurl.E_SSL_CACERT_BADFILE, pycurl.E_SSL_ISSUER_ERROR, 98,
    ),
}  # fmt: skip
_KINDS: dict[int, ErrorKind] = {code: kind for kind, codes in _CODES.items() for code in codes}
# libcurl gives one code to a dead connection and to an answer that it cannot read; its words tell them apart.
_DEAD = re.compile(r"(?:Recv|Send) failure|SSL_(?:read|write)|SYSCALL|reset|connection (?:died|closed)|unexpected eof", re.IGNORECASE)
_CLOSED = (pycurl.E_GOT_NOTHING, pycurl.E_ABORTED_BY_CALLBACK, pycurl.E_SEND_FAIL_REWIND)


def failure_of(stream: CurlStream, code: int, words: str, number: int) -> BackendError:
    """Return what an exchange failed of.

    Args:
        stream: The answer as far as it came.
        code: libcurl's code.
        words: libcurl's words.
        number: Number of the system's error, or 0.
    """
    sent, stale = stream.asked > 0, False
    kind: ErrorKind = _KINDS.get(code, "protocol")
    words = one_line(words) or pycurl.easy_strerror(code)
    if "alert" in words and sent:
        kind, words = "tls", f"TLS failed: {words}"
    elif stream.has_head:
        kind, words = "protocol", f"the body broke off: {words}"
    elif kind == "tls":
        kind, words = _tls_failure(stream, code, words)
    elif kind == "timeout":
        words = f"no connection within connect_timeout, {stream.timeout or 0:g} s"
    elif not sent and stream.proxied:
        return proxy_error(words)
    elif code == pycurl.E_RECV_ERROR and sent and not number and not _DEAD.search(words):
        kind = "protocol"
    elif kind == "connect":
        stale = sent and (stream.reused or code == pycurl.E_ABORTED_BY_CALLBACK)
        words = "connection closed before an answer" if code in _CLOSED else os.strerror(number) if number else words
    return BackendError(kind, f"{stream.server.where}: {words}", sent=sent, stale=stale)


def _tls_failure(stream: CurlStream, code: int, words: str) -> tuple[ErrorKind, str]:
    if code == pycurl.E_PEER_FAILED_VERIFICATION:
        return "tls", f"certificate is not trusted: {words.removeprefix('SSL certificate problem: ').removeprefix('SSL: ')}"
    if _DEAD.search(words):
        return "proxy" if stream.proxied else "connect", "connection closed in the TLS handshake"
    return "tls", f"TLS failed: {words}"
