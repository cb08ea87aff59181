"""aiohttp's own habit of sending again: two locks, each enough."""

import asyncio

import pytest

from fastreq_jupyter.timing import Timing

aiohttp = pytest.importorskip("aiohttp")


def test_private_switch_is_still_there_and_off(wire):
    async def scenario():
        async with wire.session("aiohttp") as backend:
            session = backend._session
            assert hasattr(aiohttp.ClientSession, "_request")
            assert session._retry_connection is False

    wire.run(scenario())


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_connector_alone_keeps_a_request_from_going_out_twice(wire, method):
    async def dying(request, writer):
        if b"/die" in request.line:
            return False
        writer.write(wire.OK)
        return None

    async def scenario():
        async with wire.listening(dying) as server, wire.session("aiohttp") as backend:
            # As if a new version of aiohttp had done away with its switch.
            backend._session._retry_connection = True
            await wire.fetch(backend, server.url + "/warm")
            error = await wire.failure(backend, server.url + "/die", method=method)
            await asyncio.sleep(0.05)
            assert (error.kind, error.sent) == ("connect", True)
            assert len([request for request in server.arrived if b"/die" in request.line]) == 1

    wire.run(scenario())


def test_our_protocol_is_the_one_that_aiohttp_uses(wire):
    async def scenario():
        async with wire.listening(wire.answering(wire.OK)) as server, wire.session("aiohttp") as backend:
            stream = await backend.send(wire.exchange(server.url), Timing())
            assert type(stream._response._protocol).__module__ == "fastreq_jupyter.backends.aiohttp_connection"
            stream.close()

    wire.run(scenario())
