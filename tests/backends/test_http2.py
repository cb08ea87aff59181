"""HTTP/2 where it is spoken, against a small server made of jh2, which niquests brings."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from fastreq_jupyter.exchange import Timing
from fastreq_jupyter.files import file_part, joined

jh2_connection = pytest.importorskip("jh2.connection")
jh2_config = pytest.importorskip("jh2.config")
jh2_events = pytest.importorskip("jh2.events")
jh2_exceptions = pytest.importorskip("jh2.exceptions")


@pytest.fixture(params=["curl", "niquests"])
def name(request):
    return request.param


@asynccontextmanager
async def speaking_h2(context, respond):
    """Serve HTTP/2; `respond(connection, stream, fields, body)` is called when a request has ended."""
    seen = {"connections": 0, "requests": []}
    context.set_alpn_protocols(["h2", "http/1.1"])

    async def serve(reader, writer):
        seen["connections"] += 1
        protocol = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        if protocol != "h2":
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nold")
            await writer.drain()
            writer.close()
            return
        connection = jh2_connection.H2Connection(jh2_config.H2Configuration(client_side=False, header_encoding=None))
        connection.initiate_connection()
        streams = {}
        try:
            writer.write(connection.data_to_send())
            while data := await reader.read(65_536):
                for event in connection.receive_data(data):
                    if isinstance(event, jh2_events.RequestReceived):
                        streams[event.stream_id] = (list(event.headers), bytearray())
                    elif isinstance(event, jh2_events.DataReceived):
                        streams[event.stream_id][1].extend(event.data)
                        connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    if isinstance(event, jh2_events.StreamEnded):
                        fields, body = streams.pop(event.stream_id)
                        seen["requests"].append((fields, bytes(body)))
                        if await respond(connection, event.stream_id, fields, bytes(body), writer) is False:
                            return
                writer.write(connection.data_to_send())
                await writer.drain()
        except (OSError, jh2_exceptions.ProtocolError):
            # Gone, or it still sent something after our goodbye.
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context, backlog=1024)
    try:
        yield f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}", seen
    finally:
        listener.close()
        await asyncio.sleep(0.01)


async def hello(connection, stream, fields, body, writer):
    connection.send_headers(stream, [(b":status", b"200"), (b"set-cookie", b"a=1"), (b"x-raw", b"\xff"), (b"set-cookie", b"b=2")])
    connection.send_data(stream, b"hello " + body, end_stream=True)


async def test_auto_speaks_http_2_and_reuses_its_connection(wire, name, server_tls, bundle):
    async with speaking_h2(server_tls, hello) as (url, seen), wire.session(name, verify=bundle) as backend:
        for _ in range(3):
            marks = Timing()
            stream, body = await wire.fetch(backend, url + "/%7Ea?b=c|d", headers=[("X-Q", "\xfc"), ("Connection", "close")], marks=marks)
            assert (stream.status, stream.http_version, body) == (200, "2", b"hello ")
            # Lines of equal names come together: only their order has a meaning.
            assert sorted(wire.headers(stream)) == [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-raw", "\xff")]
            assert marks.request_start < marks.response_start
        assert seen["connections"] == 1
        fields = dict(seen["requests"][0][0])
        assert (fields[b":path"], fields[b"x-q"], fields[b":authority"]) == (b"/%7Ea?b=c|d", b"\xfc", url[8:].encode())
        assert b"connection" not in fields
        assert b"user-agent" not in fields


async def test_false_disables_http_2(wire, name, server_tls, bundle):
    async with speaking_h2(server_tls, hello) as (url, _), wire.session(name, verify=bundle, http2=False) as backend:
        stream, body = await wire.fetch(backend, url)
        assert (stream.http_version, body) == ("1.1", b"old")


@pytest.mark.parametrize("from_file", [False, True])
async def test_large_bodies_pass_both_ways(wire, name, server_tls, bundle, tmp_path, from_file):  # noqa: PLR0917 - fixtures
    (tmp_path / "body").write_bytes(b"x" * 2_000_000)
    content = joined([file_part(tmp_path / "body")]) if from_file else b"x" * 2_000_000

    async def echo(connection, stream, fields, body, writer):
        connection.send_headers(stream, [(b":status", b"200")])
        connection.send_data(stream, str(len(body)).encode(), end_stream=True)

    async with speaking_h2(server_tls, echo) as (url, seen), wire.session(name, verify=bundle, http2=True) as backend:
        _, body = await wire.fetch(backend, url, method="PUT", content=content)
        assert body == b"2000000"
        assert dict(seen["requests"][0][0])[b"content-length"] == b"2000000"


async def test_head_over_http_2_has_no_body(wire, name, server_tls, bundle):
    async def empty(connection, stream, fields, body, writer):
        connection.send_headers(stream, [(b":status", b"204")], end_stream=True)

    async with speaking_h2(server_tls, empty) as (url, seen), wire.session(name, verify=bundle) as backend:
        for _ in range(2):
            stream, body = await wire.fetch(backend, url, method="HEAD")
            assert (stream.status, body) == (204, b"")
        assert seen["connections"] == 1


@pytest.mark.parametrize("how", ["reset", "close", "short"])
async def test_body_that_broke_off_is_never_taken_for_whole(wire, name, server_tls, bundle, how):
    async def breaking(connection, stream, fields, body, writer):
        length = [(b"content-length", b"100")] if how == "short" else []
        connection.send_headers(stream, [(b":status", b"200"), *length])
        connection.send_data(stream, b"half", end_stream=how == "short")
        if how == "reset":
            connection.reset_stream(stream, 2)
        writer.write(connection.data_to_send())
        await writer.drain()
        return how != "close"

    async with speaking_h2(server_tls, breaking) as (url, _), wire.session(name, verify=bundle) as backend:
        error = await wire.failure(backend, url)
        assert (error.kind, error.sent) == ("protocol", True)


async def test_goodbye_of_the_server_is_honoured(wire, name, server_tls, bundle):
    async def last(connection, stream, fields, body, writer):
        await hello(connection, stream, fields, body, writer)
        connection.close_connection(last_stream_id=stream)

    async with speaking_h2(server_tls, last) as (url, seen), wire.session(name, verify=bundle) as backend:
        for _ in range(3):
            assert (await wire.fetch(backend, url))[1] == b"hello "
        assert seen["connections"] == 3


async def test_endless_interim_answers_end_in_an_error(wire, name, server_tls, bundle):
    async def endless(connection, stream, fields, body, writer):
        for _ in range(200):
            connection.send_headers(stream, [(b":status", b"103")])

    async with speaking_h2(server_tls, endless) as (url, _), wire.session(name, verify=bundle) as backend:
        assert (await wire.failure(backend, url)).kind == "protocol"


async def test_fifty_are_in_flight_at_once(wire, name, server_tls, bundle):
    gate = asyncio.Event()
    tasks = []
    count = 0

    async def waiting(connection, stream, fields, body, writer):
        nonlocal count
        count += 1
        tasks.append(asyncio.create_task(answer(connection, stream, writer)))

    async def answer(connection, stream, writer):
        await gate.wait()
        await hello(connection, stream, (), b"", writer)
        writer.write(connection.data_to_send())

    async with speaking_h2(server_tls, waiting) as (url, seen), wire.session(name, verify=bundle) as backend:
        sent = [asyncio.create_task(wire.fetch(backend, url)) for _ in range(50)]
        await wire.until(lambda: count == 50, 30)
        gate.set()
        await asyncio.gather(*sent, *tasks)
        assert seen["connections"] <= (4 if name == "curl" else 50)


# niquests does not tell such a stream from one that was broken off.
@pytest.mark.parametrize("name", ["curl"])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("how", ["refused", "goodbye"])
async def test_request_that_the_server_did_not_touch_may_go_out_again(wire, name, server_tls, bundle, method, warm, how):  # noqa: PLR0917 - fixtures
    """RFC 9113, 8.7: REFUSED_STREAM, or a stream above the last one of a GOAWAY."""
    touched = []

    async def refusing(connection, stream, fields, body, writer):
        path = dict(fields)[b":path"]
        if path == b"/x" and not touched:
            touched.append(path)
            if how == "refused":
                connection.reset_stream(stream, 7)
            else:
                connection.close_connection(last_stream_id=max(0, stream - 2))
            writer.write(connection.data_to_send())
            await writer.drain()
            return how == "refused"
        await hello(connection, stream, fields, body, writer)
        return None

    async with speaking_h2(server_tls, refusing) as (url, seen), wire.session(name, verify=bundle) as backend:
        if warm:
            await wire.fetch(backend, url + "/warm")
        content = None if method == "GET" else b"x"
        stream, body = await wire.fetch(backend, url + "/x", method=method, content=content)
        assert (stream.status, body) == (200, b"hello " + (content or b""))
        assert [dict(fields)[b":path"] for fields, _ in seen["requests"]].count(b"/x") == 2


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_unsafe_request_is_sent_once_when_its_connection_dies(wire, name, server_tls, bundle, method):
    async def dying(connection, stream, fields, body, writer):
        if dict(fields)[b":path"] == b"/die":
            return False
        await hello(connection, stream, fields, body, writer)
        return None

    async with speaking_h2(server_tls, dying) as (url, seen), wire.session(name, verify=bundle) as backend:
        await wire.fetch(backend, url + "/warm")
        error = await wire.failure(backend, url + "/die", method=method, content=b"x")
        assert (error.kind, error.sent) in (("connect", True), ("protocol", True))
        assert [dict(fields)[b":path"] for fields, _ in seen["requests"]].count(b"/die") == 1
