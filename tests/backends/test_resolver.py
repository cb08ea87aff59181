"""Name resolution on daemon threads: one question at a time for a name, and no end of a loop that waits for it."""

import asyncio
import socket
import threading
import time

import pytest

from fastreq_jupyter.backends.resolver import Address, Resolver
from fastreq_jupyter.backends.threads import DaemonPool

HERE = Address(socket.AF_INET, "127.0.0.1", 0)


def test_ending_the_loop_does_not_wait_for_a_hung_lookup():
    release = threading.Event()

    def hang(host, port):
        release.wait()
        return [HERE]

    async def scenario():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(Resolver(hang).lookup("hung.example", 80), 0.1)

    asyncio.run(scenario())
    assert not release.is_set()
    # Its answer comes when the loop is gone, and does no harm.
    release.set()


def test_equal_lookups_at_the_same_time_are_one():
    asked = []

    def slow(host, port):
        asked.append(host)
        time.sleep(0.05)
        return [HERE]

    async def scenario():
        resolver = Resolver(slow)
        found = await asyncio.gather(*(resolver.lookup("a.example", port) for port in (80, 81, 82)))
        assert [one.port for (one,) in found] == [80, 81, 82]
        assert await resolver.lookup("a.example", 83) == [HERE._replace(port=83)]

    asyncio.run(scenario())
    assert asked == ["a.example"]


def test_failure_is_not_kept():
    answers = [OSError("no"), [HERE]]

    def twice(host, port):
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    async def scenario():
        resolver = Resolver(twice)
        with pytest.raises(OSError, match="no"):
            await resolver.lookup("a.example", 80)
        assert await resolver.lookup("a.example", 80) == [HERE._replace(port=80)]

    asyncio.run(scenario())


def test_one_who_stops_waiting_does_not_stop_the_others():
    go_on = threading.Event()

    def slow(host, port):
        go_on.wait()
        return [HERE]

    async def scenario():
        resolver = Resolver(slow)
        first = asyncio.create_task(resolver.lookup("a.example", 80))
        second = asyncio.create_task(resolver.lookup("a.example", 80))
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.sleep(0)
        go_on.set()
        assert await second == [HERE._replace(port=80)]

    asyncio.run(scenario())


def test_name_that_is_none_is_an_os_error():
    async def scenario():
        with pytest.raises(OSError, match="not a valid name"):
            await Resolver().lookup("a" * 64 + ".example", 80)

    asyncio.run(scenario())


def test_pool_runs_all_jobs_on_daemons_and_no_more_threads_than_allowed():
    pool = DaemonPool("test-pool", 3)
    done = threading.Semaphore(0)
    seen = set()
    busy, most, lock = 0, 0, threading.Lock()

    def job():
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        seen.add(threading.current_thread())
        time.sleep(0.01)
        with lock:
            busy -= 1
        done.release()

    for _ in range(20):
        pool.submit(job)
    for _ in range(20):
        assert done.acquire(timeout=60)
    assert most <= 3
    assert all(thread.daemon for thread in seen)
    pool.close()
    for thread in seen:
        thread.join(60)
        assert not thread.is_alive()
