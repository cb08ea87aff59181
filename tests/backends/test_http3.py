"""HTTP/3 where it is asked for, against a small server made of qh3, which niquests brings."""

import asyncio
from contextlib import asynccontextmanager

import pytest

qh3_asyncio = pytest.importorskip("qh3.asyncio")
qh3_h3 = pytest.importorskip("qh3.h3.connection")
qh3_events = pytest.importorskip("qh3.h3.events")
qh3_quic = pytest.importorskip("qh3.quic.configuration")


@pytest.fixture(params=["curl", "niquests"])
def name(request):
    if request.param == "curl":
        pycurl = pytest.importorskip("pycurl")
        if not pycurl.version_info()[4] & getattr(pycurl, "VERSION_HTTP3", 0):
            pytest.skip("this libcurl has no HTTP/3")
    return request.param


@asynccontextmanager
async def speaking_h3(authority, tmp_path):
    """Serve HTTP/3: a body is sent back, /reset resets its stream, /short breaks its promise of a length."""
    seen = {"connections": 0, "requests": []}
    issued = authority.issue_cert("127.0.0.1", "localhost")
    chain, key = tmp_path / "server.pem", tmp_path / "server.key"
    issued.cert_chain_pems[0].write_to_path(str(chain))
    issued.private_key_pem.write_to_path(str(key))

    class Serving(qh3_asyncio.QuicConnectionProtocol):
        def __init__(self, *args, **more):
            super().__init__(*args, **more)
            seen["connections"] += 1
            self.http, self.bodies = None, {}

        def quic_event_received(self, event):
            if self.http is None:
                self.http = qh3_h3.H3Connection(self._quic)
            for part in self.http.handle_event(event):
                if isinstance(part, qh3_events.HeadersReceived):
                    self.bodies[part.stream_id] = (dict(part.headers), bytearray())
                elif isinstance(part, qh3_events.DataReceived):
                    self.bodies[part.stream_id][1].extend(part.data)
                if getattr(part, "stream_ended", False):
                    self.answer(part.stream_id, *self.bodies.pop(part.stream_id))

        def answer(self, stream, fields, body):
            path = fields[b":path"]
            seen["requests"].append((fields[b":method"], path))
            content = bytes(body) or path
            if path == b"/reset":
                self._quic.reset_stream(stream, 0x102)
            else:
                self.http.send_headers(stream, [(b":status", b"200"), (b"content-length", b"%d" % len(content))])
                self.http.send_data(stream, content[:2] if path == b"/short" else content, end_stream=True)
            self.transmit()

    configuration = qh3_quic.QuicConfiguration(is_client=False, alpn_protocols=["h3"], max_datagram_frame_size=65_536)
    configuration.load_cert_chain(str(chain), str(key))
    server = await qh3_asyncio.serve("127.0.0.1", 0, configuration=configuration, create_protocol=Serving)
    try:
        yield f"https://127.0.0.1:{server._transport.get_extra_info('sockname')[1]}", seen
    finally:
        server.close()
        await asyncio.sleep(0.01)


async def test_asked_for_it_is_spoken_with_bodies_both_ways_and_posts_sent_once(wire, name, authority, bundle, tmp_path):
    async with speaking_h3(authority, tmp_path) as (url, seen), wire.session(name, verify=bundle, http3=True) as backend:
        stream, body = await wire.fetch(backend, f"{url}/one?a=%2f")
        assert (stream.status, stream.http_version, body) == (200, "3", b"/one?a=%2f")
        for _ in range(3):
            assert (await wire.fetch(backend, f"{url}/up", "POST", content=b"x" * 50_000))[1] == b"x" * 50_000
        assert seen["requests"] == [(b"GET", b"/one?a=%2f"), *[(b"POST", b"/up")] * 3]
        assert seen["connections"] == 1


@pytest.mark.parametrize("path", ["/reset", "/short"])
async def test_what_breaks_off_is_an_error(wire, name, authority, bundle, tmp_path, path):  # noqa: PLR0917 - fixtures
    async with speaking_h3(authority, tmp_path) as (url, _), wire.session(name, verify=bundle, http3=True) as backend:
        assert (await wire.failure(backend, f"{url}{path}")).kind == "protocol"
        assert (await wire.fetch(backend, f"{url}/next"))[1] == b"/next"


async def test_unknown_authority_is_a_tls_error(wire, name, authority, tmp_path):
    async with speaking_h3(authority, tmp_path) as (url, seen), wire.session(name, http3=True) as backend:
        error = await wire.failure(backend, url)
        assert (error.kind, error.sent, seen["requests"]) == ("tls", False, [])
