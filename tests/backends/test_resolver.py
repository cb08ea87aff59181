"""Name resolution on daemon threads: one question at a time for a name, and no end of a loop that waits for it."""

import asyncio
import socket
import threading
import time

import pytest

from fastreq_jupyter.backends.names import MOST_LOOKUPS, Resolver

HERE = (socket.AF_INET, "127.0.0.1")


async def test_ending_the_loop_does_not_wait_for_a_hung_lookup():
    release = threading.Event()

    def hang(host):
        release.wait()
        return [HERE]

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(Resolver(hang).lookup("hung.example"), 0.1)
    assert not release.is_set()
    # Its answer comes when the loop is gone, and does no harm.
    release.set()


async def test_equal_lookups_at_the_same_time_are_one():
    asked = []

    def slow(host):
        asked.append(host)
        time.sleep(0.05)
        return [HERE]

    resolver = Resolver(slow)
    found = await asyncio.gather(*(resolver.lookup("a.example") for _ in range(3)))
    assert found == [[HERE]] * 3
    assert await resolver.lookup("a.example") == [HERE]
    assert asked == ["a.example"]


async def test_failure_is_not_kept():
    answers = [OSError("no"), [HERE]]

    def twice(host):
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    resolver = Resolver(twice)
    with pytest.raises(OSError, match="no"):
        await resolver.lookup("a.example")
    assert await resolver.lookup("a.example") == [HERE]


async def test_one_who_stops_waiting_does_not_stop_the_others():
    go_on = threading.Event()

    def slow(host):
        go_on.wait()
        return [HERE]

    resolver = Resolver(slow)
    first = asyncio.create_task(resolver.lookup("a.example"))
    second = asyncio.create_task(resolver.lookup("a.example"))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.sleep(0)
    go_on.set()
    assert await second == [HERE]


async def test_name_that_is_none_is_an_os_error():
    with pytest.raises(OSError, match="not a valid name"):
        await Resolver().lookup("a" * 64 + ".example")


async def test_no_more_lookups_at_once_than_the_system_can_bear():
    busy, most, lock = 0, 0, threading.Lock()

    def slow(host):
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
            assert threading.current_thread().daemon
        time.sleep(0.01)
        with lock:
            busy -= 1
        return [HERE]

    resolver = Resolver(slow)
    assert await asyncio.gather(*(resolver.lookup(f"{i}.example") for i in range(200))) == [[HERE]] * 200
    assert most <= MOST_LOOKUPS
