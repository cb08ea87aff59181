"""An explicit proxy: everything through it, credentials to it alone, never past it."""

import asyncio
import base64
import socket
from contextlib import asynccontextmanager
from math import isnan

import pytest

from fastreq_jupyter.backends.base import SessionKey, open_backend
from fastreq_jupyter.errors import OptionError
from fastreq_jupyter.exchange import Timing

# aiohttp speaks no SOCKS.
SOCKS = ["niquests", "requests"]
BASIC = b"Basic " + base64.b64encode(b"us er:p@ss")


async def relay(reader, writer, host, port):
    other_reader, other = await asyncio.open_connection(host, port)

    async def pump(source, sink):
        try:
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()

    await asyncio.gather(pump(reader, other), pump(other_reader, writer))


@asynccontextmanager
async def proxying(serve, tls=None):
    async def guarded(reader, writer):
        try:
            await serve(reader, writer)
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(guarded, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        await asyncio.sleep(0.01)


async def test_http_goes_in_absolute_form_with_credentials(wire, name):
    async with (
        wire.listening(wire.answering(wire.OK)) as proxy,
        wire.session(name, proxy=f"http://us%20er:p%40ss@127.0.0.1:{proxy.port}") as backend,
    ):
        stream, body = await wire.fetch(backend, "http://far.example:8080/a%7e?b=|")
        await wire.fetch(backend, "http://far.example:8080/2")
        assert (stream.status, body) == (200, b"hi")
        request = proxy.arrived[0]
        assert request.line == b"GET http://far.example:8080/a%7e?b=| HTTP/1.1"
        assert request.all("host") == [b"far.example:8080"]
        assert request.all("proxy-authorization") == [BASIC]
        assert proxy.connections == 1


async def test_https_goes_through_a_tunnel_and_the_origin_sees_no_credentials(wire, name, server_tls, bundle):
    asked = []

    async def connecting(reader, writer):
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        host, _, port = asked[-1].split(b" ")[1].rpartition(b":")
        writer.write(b"HTTP/1.1 200 Connection established\r\nX-P: 1\r\n\r\n")
        await relay(reader, writer, host.decode(), int(port))

    async with wire.listening(wire.answering(wire.OK), server_tls) as server, proxying(connecting) as where:  # noqa: SIM117 - too long for one
        async with wire.session(name, verify=bundle, proxy=f"http://us%20er:p%40ss@{where}") as backend:
            for _ in range(2):
                assert (await wire.fetch(backend, server.url + "/x"))[1] == b"hi"
            assert len(asked) == 1
            version = "1.0" if wire.is_plain(name) else "1.1"
            assert asked[0].startswith(f"CONNECT 127.0.0.1:{server.port} HTTP/{version}".encode())
            assert b"proxy-authorization: " + BASIC.lower() in asked[0].lower()
            assert server.arrived[0].line == b"GET /x HTTP/1.1"
            assert server.arrived[0].all("proxy-authorization") == []


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
        b"",
        b"nonsense\r\n\r\n",
    ],
)
async def test_tunnel_that_is_refused_is_a_proxy_error_and_nothing_was_sent(wire, name, answer):
    async def refusing(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with proxying(refusing) as where, wire.session(name, proxy=f"http://u:s3cr3tpw@{where}") as backend:
        error = await wire.failure(backend, "https://127.0.0.1:1/")
        assert (error.kind, error.sent) == ("proxy", False)
        assert "s3cr3tpw" not in error.detail
        if b"407" in answer:
            assert "407" in error.detail


@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.parametrize("url", ["http://127.0.0.1:{}/", "https://127.0.0.1:{}/"])
async def test_proxy_that_is_away_is_never_gone_past(wire, name, scheme, url):
    if (name, scheme) == ("aiohttp", "socks5"):
        pytest.skip("aiohttp speaks no SOCKS: refused, see test_aiohttp.py")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with (
            wire.listening(wire.answering(wire.OK)) as server,
            wire.session(name, proxy=f"{scheme}://127.0.0.1:{closed.getsockname()[1]}") as backend,
        ):
            error = await wire.failure(backend, url.format(server.port))
            assert (error.kind, error.sent, server.connections) == ("proxy", False, 0)


async def test_proxy_with_an_unknown_name_is_a_proxy_error(wire, name):
    async with wire.session(name, proxy="http://nowhere.invalid:3128") as backend:
        error = await wire.failure(backend, "http://127.0.0.1:1/")
        assert (error.kind, error.sent) == ("proxy", False)


def socks_server(asked, port, user=None, reply=0):
    async def serve(reader, writer):
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        method = 2 if user and 2 in methods else 0
        writer.write(bytes([5, method]))
        if method == 2:
            await reader.readexactly(1)
            given = [await reader.readexactly((await reader.readexactly(1))[0]) for _ in range(2)]
            asked.append(tuple(given))
            writer.write(bytes([1, given != list(user)]))
            if given != list(user):
                return
        _, _, _, kind = await reader.readexactly(4)
        length = {1: 4, 4: 16}.get(kind) or (await reader.readexactly(1))[0]
        asked.append((kind, await reader.readexactly(length), int.from_bytes(await reader.readexactly(2), "big")))
        writer.write(bytes([5, reply, 0, 1, 0, 0, 0, 0, 0, 0]))
        await writer.drain()
        if reply == 0:
            await relay(reader, writer, "127.0.0.1", port)

    return serve


@pytest.mark.parametrize("name", ["curl", *SOCKS])
@pytest.mark.parametrize("secure", [False, True])
async def test_socks_proxy_resolves_the_name_itself(wire, name, secure, authority, bundle):
    import ssl

    context = None
    if secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("only.proxy.invalid").configure_cert(context)
    asked = []
    async with wire.listening(wire.answering(wire.OK), context) as server:
        async with proxying(socks_server(asked, server.port, (b"user", b"p w"))) as where:  # noqa: SIM117 - too long for one
            async with wire.session(name, verify=bundle, proxy=f"socks5://user:p%20w@{where}") as backend:
                scheme = "https" if secure else "http"
                fresh, reused = Timing(), Timing()
                for marks in (fresh, reused):
                    assert (await wire.fetch(backend, f"{scheme}://only.proxy.invalid:4711/x", marks=marks))[1] == b"hi"
        # Nobody here sees how long that takes.
        assert isnan(fresh.phases.dns)
        assert reused.phases.dns == 0
        assert asked == [(b"user", b"p w"), (3, b"only.proxy.invalid", 4711)]
        assert server.arrived[0].line == b"GET /x HTTP/1.1"


@pytest.mark.parametrize("name", SOCKS)
@pytest.mark.parametrize(("user", "reply"), [((b"a", b"b"), 0), (None, 5)])
async def test_socks_refusal_is_a_proxy_error(wire, name, user, reply):
    async with proxying(socks_server([], 1, user, reply)) as where, wire.session(name, proxy=f"socks5://u:s3cr3tpw@{where}") as backend:
        error = await wire.failure(backend, "http://127.0.0.1:1/")
        assert (error.kind, error.sent) == ("proxy", False)
        assert "s3cr3tpw" not in error.detail


@pytest.mark.parametrize("secure", [False, True])
async def test_https_proxy(wire, name, server_tls, bundle, secure):
    async def connecting(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        target = head.split(b" ")[1]
        if head.startswith(b"CONNECT"):
            host, _, port = target.rpartition(b":")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await relay(reader, writer, host.decode(), int(port))
        else:
            writer.write(wire.OK)
            await writer.drain()

    async with wire.listening(wire.answering(wire.OK), server_tls) as server, proxying(connecting, server_tls) as where:  # noqa: SIM117 - too long for one
        async with wire.session(name, verify=bundle, proxy=f"https://{where}") as backend:
            url = server.url if secure else "http://far.invalid/"
            assert (await wire.fetch(backend, url))[1] == b"hi"


async def test_wrong_proxy_is_refused_without_showing_it(wire, name):
    with pytest.raises(OptionError) as caught:
        open_backend(SessionKey(name, proxy="ftp://user:s3cr3t@host"))
    assert "s3cr3t" not in str(caught.value)
