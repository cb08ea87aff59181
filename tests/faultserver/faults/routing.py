"""Redirects, TLS and proxies that lead where nobody wants to go."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from faultserver import proxies
from faultserver.certificates import server_context
from faultserver.faults.fault import ANY, Fault, Site, table
from faultserver.scripts import echo, hangs, head, raw, reply, whole
from faultserver.server import Call, Door, FaultServer, Link, Script, routes

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["PROXIES", "REDIRECTS", "TLS", "moved"]


def moved(location: str | bytes, status: int = 302) -> Script:
    """Redirect; the Location may be any bytes."""
    there = location.encode() if isinstance(location, str) else location
    return raw(head(status, ("Content-Length", "0"))[:-2] + b"Location: " + there + b"\r\n\r\n", keep=True)


def _counts_up(until: int) -> Script:
    """Redirect from /0 to /1 and so on to `until`."""

    async def script(call: Call) -> None:
        number = int(call.request.path.rpartition("/")[2])
        if number >= until:
            await call.send(whole(200, b"arrived"))
        else:
            await moved(f"/{number + 1}")(call)

    return script


def _chain(until: int) -> Callable[[FaultServer], Site]:
    def build(server: FaultServer) -> Site:
        door = server.open(_counts_up(until))
        return Site(door.url("/0"), (door,))

    return build


def _elsewhere(tls: str | None, far_tls: str | None, script: Script) -> Callable[[FaultServer], Site]:
    def build(server: FaultServer) -> Site:
        far = server.open(script, tls=far_tls)
        door = server.open(moved(far.url("/far")), tls=tls)
        return Site(door.url("/near"), (door, far))

    return build


def _nowhere(server: FaultServer) -> Site:
    door = server.open(moved(f"http://127.0.0.1:{server.refused_port()}/"))
    return Site(door.url(), (door,))


def _shown_method(call: Call) -> bytes:
    return f"{call.request.method} {call.request.body.decode()}".encode()


def _evil(name: str, location: str | bytes) -> Fault:
    return Fault(f"redirect {name}", "redirect refused", moved(location))


# fmt: off
REDIRECTS = table(
    Fault("redirect to itself", "too many redirects", moved("/thing")),
    Fault("redirect with an empty Location", None, moved(""), status=302),
    Fault("redirect loop of two", "too many redirects", routes({"/a": moved("/b"), "/b": moved("/a"), "/thing": moved("/a")})),
    Fault("21 redirects", "too many redirects", build=_chain(21)),
    Fault("endless redirects", "too many redirects", build=_chain(10**9)),
    Fault("20 redirects", None, build=_chain(20), data="arrived"),
    Fault("redirect to another origin", None, build=_elsewhere(None, None, reply(200, b"far")), data="far"),
    Fault("redirect from https to http", None, build=_elsewhere("good", None, reply(200, b"far")), data="far"),
    Fault("redirect from http to https", None, build=_elsewhere(None, "good", reply(200, b"far")), data="far"),
    Fault("redirect to a bad certificate", "tls", build=_elsewhere(None, "selfsigned", reply(200, b"far"))),
    Fault("redirect to a server that hangs", "timeout", build=_elsewhere(None, None, hangs())),
    Fault("redirect to a closed port", "connect", build=_nowhere),
    Fault("redirect without Location", None, raw(head(302, ("Content-Length", "0")), keep=True), status=302),
    Fault("redirect with a body that breaks off", ANY, raw(head(302, ("Location", "/x"), ("Content-Length", "100")) + b"half")),
    _evil("to a file", "file:///etc/passwd"),
    _evil("to javascript", "javascript:alert(1)"),
    _evil("to data", "data:text/plain,hello"),
    _evil("to ftp", "ftp://127.0.0.1/x"),
    _evil("to gopher", "gopher://127.0.0.1:70/_x"),
    _evil("with userinfo", "http://user:password@127.0.0.1/x"),
    _evil("to no host", "http:///x"),
    _evil("to port 99999", "http://127.0.0.1:99999/"),
    _evil("to port minus one", "http://127.0.0.1:-1/"),
    _evil("to a bracket", "http://[::1/x"),
    _evil("to a host with spaces", "http://a b/x"),
    _evil("with a tab in it", "/a\tb"),
    Fault("redirect with encoded CR LF", None, routes({"/thing": moved("/a%0d%0aX-Evil:%201"), "/a%0d%0aX-Evil:%201": reply(200, b"kept")}), data="kept"),
    Fault("redirect in UTF-8", None, routes({"/thing": moved("/\u00e9".encode()), "/%C3%A9": reply(200, b"utf-8")}), data="utf-8"),
    Fault("redirect in latin-1", None, routes({"/thing": moved(b"/\xe9"), "/%E9": reply(200, b"latin-1")}), data="latin-1"),
    Fault("redirect with a fragment", None, routes({"/thing": moved("/there#part"), "/there": reply(200, b"there")}), data="there"),
    Fault("303 of a POST", None, routes({"/thing": moved("/g", 303), "/g": echo(_shown_method)}), method="POST", data="GET "),
    Fault("307 of a POST", None, routes({"/thing": moved("/g", 307), "/g": echo(_shown_method)}), method="POST", data="POST payload"),
    Fault("two Locations that differ", "redirect refused", raw(head(302, ("Location", "/a"), ("Location", "/b"), ("Content-Length", "0")), keep=True)),
)
# fmt: on


async def _no_handshake(_door: Door, link: Link, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        link.received += data


async def _plain_answer(_door: Door, _link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


async def _leaves_handshake(_door: Door, _link: Link, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read(100)


async def _alert(_door: Door, _link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    # fatal alert 40: handshake_failure (RFC 8446, 6)
    writer.write(b"\x15\x03\x03\x00\x02\x02\x28")
    await writer.drain()


async def _demands_certificate(_door: Door, _link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Do the handshake by hand: asyncio's server would hang up without the alert that tells what is missing."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = server_context("client").wrap_bio(incoming, outgoing, server_side=True)
    refused = False
    while not refused:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            refused = True
        writer.write(outgoing.read())
        await writer.drain()
        if not refused and not (data := await reader.read(65536)):
            return
        if not refused:
            incoming.write(data)
    # what the client still sends must be read, or the system answers it with a reset that overtakes the alert
    writer.write_eof()
    while await reader.read(65536):
        pass


def _over_tls(raw_script: proxies.RawScript) -> Callable[[FaultServer], Site]:
    def build(server: FaultServer) -> Site:
        door = server.open(raw=raw_script)
        return Site(f"https://127.0.0.1:{door.port}/", (door,))

    return build


def _plain_to_tls(server: FaultServer) -> Site:
    door = server.open(reply(200, b"ok"), tls="good")
    return Site(f"http://127.0.0.1:{door.port}/", (door,))


# fmt: off
TLS = table(
    Fault("good certificate", None, reply(200, b"ok"), tls="good", data="ok"),
    Fault("self-signed certificate", "tls", reply(200, b"ok"), tls="selfsigned"),
    Fault("certificate of a stranger", "tls", reply(200, b"ok"), tls="stranger"),
    Fault("expired certificate", "tls", reply(200, b"ok"), tls="expired"),
    Fault("certificate of another host", "tls", reply(200, b"ok"), tls="wronghost"),
    Fault("wants a client certificate", "tls", build=_over_tls(_demands_certificate)),
    Fault("hangs up over a missing client certificate", "connect", reply(200, b"ok"), tls="client"),
    Fault("handshake never answered", "timeout", build=_over_tls(_no_handshake)),
    Fault("plain HTTP instead of a handshake", "tls", build=_over_tls(_plain_answer)),
    Fault("hangs up in the handshake", "connect", build=_over_tls(_leaves_handshake)),
    Fault("alert in the handshake", "tls", build=_over_tls(_alert)),
    Fault("closes in mid body over TLS", "protocol", raw(head(200, ("Content-Length", "10")) + b"hello"), tls="good"),
    Fault("stalls in mid body over TLS", "timeout", hangs(head(200, ("Content-Length", "10")) + b"hello"), tls="good"),
    Fault("plain HTTP to a TLS port", "connect", build=_plain_to_tls),
)
# fmt: on


def _through(kind: str, tls: str | None, userinfo: str = "", **how: object) -> Callable[[FaultServer], Site]:
    def build(server: FaultServer) -> Site:
        log = proxies.ProxyLog()
        make = proxies.socks_proxy if kind == "socks5" else proxies.http_proxy
        proxy = server.open(raw=make(log, **how))  # type: ignore[arg-type]
        door = server.open(reply(200, b"through"), tls=tls)
        return Site(door.url("/thing"), (door,), {"proxy": f"{kind}://{userinfo}127.0.0.1:{proxy.port}"})

    return build


def _closed_proxy(kind: str) -> Callable[[FaultServer], Site]:
    def build(server: FaultServer) -> Site:
        door = server.open(reply(200, b"direct"))
        return Site(door.url("/thing"), (door,), {"proxy": f"{kind}://127.0.0.1:{server.refused_port()}"})

    return build


def _proxied(kind: str, name: str, tls: str | None) -> list[Fault]:
    def fault(what: str, error: str | None, userinfo: str = "", **how: object) -> Fault:
        return Fault(f"{name}: {what}", error, build=_through(kind, tls, userinfo, **how), data="through" if error is None else ANY)

    # To a plain target an HTTP proxy is the server we talk to: what it says, or fails to say, is the answer.
    plain = kind == "http" and tls is None
    refused, gone = ("http 407", "connect") if plain else ("proxy", "proxy")
    return [
        fault("open", None),
        fault("with credentials", None, "user:pass@", credentials="user:pass"),
        fault("wrong credentials", refused, "user:wrong@", credentials="user:pass"),
        fault("no credentials", refused, credentials="user:pass"),
        fault("never answers", "timeout", fault="silent"),
        fault("hangs up", gone, fault="closes"),
        fault("resets", gone, fault="resets"),
        fault("talks nonsense", "protocol" if plain else "proxy", fault="garbage"),
        fault("hangs up in the tunnel", "proxy" if tls else "connect", fault="half"),
    ]


PROXIES = table(
    *_proxied("http", "http proxy, tunnel", "good"),
    *_proxied("http", "http proxy", None),
    *_proxied("socks5", "socks5 proxy", None),
    *_proxied("socks5", "socks5 proxy, TLS", "good"),
    Fault("http proxy: closed port", "proxy", build=_closed_proxy("http")),
    Fault("socks5 proxy: closed port", "proxy", build=_closed_proxy("socks5")),
    Fault("http proxy, tunnel: 502", "proxy", build=_through("http", "good", fault="refuses")),
    Fault("socks5 proxy: refuses", "proxy", build=_through("socks5", None, fault="refuses")),
)
# fmt: on
