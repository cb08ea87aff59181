import asyncio
import inspect
import traceback

import pytest

from fastreq_jupyter.engine.source import Source
from fastreq_jupyter.errors import OptionError, hide_frames, without_our_frames

SECRET = "canary"


@hide_frames
def plain(value, *, more=None):
    """Say what it does."""
    inner = [value, more]
    if value == SECRET:
        raise OptionError("no")
    return inner


@hide_frames
async def coroutine(value):
    return plain(value)


@hide_frames
async def cancelled(value):
    raise asyncio.CancelledError


@hide_frames
async def stream(value):
    try:
        for item in plain("fine"):
            yield item
        plain(value)
    finally:
        closed.append(value)


closed = []


async def first_of(value):
    return [item async for item in stream(value)]


CALLS = [
    lambda: plain(SECRET, more=SECRET),
    lambda: asyncio.run(coroutine(SECRET)),
    lambda: asyncio.run(cancelled(SECRET)),
    lambda: asyncio.run(first_of(SECRET)),
]


@pytest.mark.parametrize("call", CALLS)
def test_no_frame_of_a_sealed_door_holds_an_argument_when_our_error_leaves(call):
    with pytest.raises((OptionError, asyncio.CancelledError)) as caught:
        call()
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    inside = [frame for frame in frames if frame.f_code.co_name in {"door", "plain", "coroutine", "stream", "cancelled"}]
    assert inside
    assert not [name for frame in inside for name, value in frame.f_locals.items() if SECRET in repr(value)]


async def test_results_names_and_kinds_stay():
    assert plain("a", more="b") == ["a", "b"]
    assert await coroutine("a") == ["a", None]
    assert (plain.__name__, plain.__doc__) == ("plain", "Say what it does.")
    assert inspect.iscoroutinefunction(coroutine)
    assert inspect.isasyncgenfunction(stream)
    assert list(inspect.signature(plain).parameters) == ["value", "more"]


async def test_leaving_a_sealed_stream_early_closes_it():
    opened = stream("left")
    async for _ in opened:
        break
    await opened.aclose()
    assert "left" in closed


def test_an_error_that_is_not_ours_keeps_its_frames():
    @hide_frames
    def broken(value):
        return 1 / value

    with pytest.raises(ZeroDivisionError) as caught:
        broken(0)
    assert "broken" in [frame.f_code.co_name for frame, _ in traceback.walk_tb(caught.value.__traceback__)]


async def test_an_error_of_the_users_source_comes_without_our_frames():
    def source():
        yield "first"
        raise LookupError("broke")

    drawn = Source(source(), None)
    while await drawn.draw() is not None:
        pass
    frames = [frame.f_code.co_name for frame, _ in traceback.walk_tb(drawn.error.__traceback__)]
    assert frames == ["source"]


def test_an_error_without_foreign_frames_stays_as_it_is():
    error = ValueError("never raised")
    assert without_our_frames(error) is error
