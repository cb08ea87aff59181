"""concurrency="auto" as the server sees it: how much comes at once, what is refused, what is told at the end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from serving.knee import KneeServer

from fastreq_jupyter.model import Request
from fastreq_jupyter.policy.adaptive import LEAST, MOST, START

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastreq_jupyter.engine.run import Run

MANY = 30_000
"""Requests after which a limit is no longer waited for, however busy the machine."""


async def until_told(
    start, server: KneeServer, enough: Callable[[Run], bool], *, least: int = 0, beside: KneeServer | None = None, runs: int = 1, **options
) -> Run:
    """Send requests, some `beside` to another server, until a run is as it is waited for, one of several `runs`; return it."""
    most = MANY // runs
    for _ in range(runs):
        begun: list[Run] = []

        def requests(begun: list[Run] = begun) -> Iterator[Request]:
            for i in range(most):
                if i >= least and begun[0].auto is not None and enough(begun[0]):
                    return
                yield Request("GET", f"{(beside if i % 2 and beside else server).url}/{i}")

        begun.append(start(requests(), concurrency="auto", **options))
        await begun[0]
        if len(begun[0].outcomes) < most:
            return begun[0]
    pytest.fail(f"{runs} runs of {most} requests did not come to what is waited for, the last to {begun[0].auto}")


@pytest.mark.slow
@pytest.mark.parametrize("knee", [8, 30])
async def test_a_server_that_refuses_is_left_at_what_it_does_and_seldom_refuses(start, knee) -> None:
    with KneeServer(delay=0.02, knee=knee, refuses=True) as server:
        run = await until_told(start, server, lambda run: knee * 0.85 <= run.auto.limit <= knee, least=2000)
    assert server.refused_share <= 0.02
    assert server.peak <= 4 * knee
    assert all(row.ok for row in run.outcomes)
    assert run.auto.advice >= knee * 0.8


@pytest.mark.slow
@pytest.mark.parametrize(("knee", "low", "high"), [(8, 7, 12), (30, 26, 45)])
async def test_a_server_that_slows_down_is_not_given_more_than_brings_something(start, knee, low, high) -> None:
    # Long enough that what a busy machine adds is little beside it.
    with KneeServer(delay=0.1, knee=knee) as server:

        def is_settled(run: Run) -> bool:
            auto = run.auto
            return low <= auto.limit <= high and "more is tried" not in auto.reason and auto.advice is not None and auto.advice <= high

        # What a busy machine makes of a measurement may settle a run beside it: the next one measures anew.
        await until_told(start, server, is_settled, least=400, runs=10)
    assert server.refused_share == 0
    assert server.peak <= MOST


@pytest.mark.slow
async def test_a_server_without_a_bound_gets_all_that_auto_tries(start) -> None:
    with KneeServer(delay=0.3) as server:
        run = await until_told(start, server, lambda run: run.auto.limit == MOST and server.peak == MOST)
    assert run.auto.advice is not None


async def test_it_begins_with_eight(start) -> None:
    with KneeServer(delay=0.05) as server:
        run = await until_told(start, server, lambda _: True, least=16)
    assert server.peak == START
    assert run.summary()["concurrency"] == "auto"


async def test_concurrency_per_host_bounds_it(start) -> None:
    with KneeServer(delay=0.01) as server:
        await until_told(start, server, lambda _: True, least=300, concurrency_per_host=3)
    assert server.peak == 3


async def test_each_host_has_a_limit_of_its_own(start) -> None:
    with KneeServer(delay=0.02, knee=4, refuses=True) as weak, KneeServer(delay=0.02) as strong:
        run = await until_told(start, weak, lambda _: strong.peak > START, beside=strong)
    assert all(row.ok for row in run.outcomes)
    assert weak.peak <= START


async def test_429_is_a_matter_of_the_rate_and_lowers_no_limit(start) -> None:
    with KneeServer(delay=0.01) as server:
        run = start([f"{server.url}/status/429" for _ in range(40)], concurrency="auto", max_retries=0)
        await run
        assert run.auto.limit == START


async def test_429_that_names_no_time_lowers_the_rate_of_its_host(start) -> None:
    with KneeServer(delay=0.01) as server:
        urls = [f"{server.url}/status/200"] * 30 + [f"{server.url}/status/429"] * 8 + [f"{server.url}/status/200"] * 8
        run = start(urls, concurrency="auto", max_retries=0)
        await run
        assert "http 429" in run.auto.reason


async def test_a_timeout_halves_the_limit(start) -> None:
    with KneeServer(delay=0) as server:
        run = start([f"{server.url}/delay/30"] * 8, concurrency="auto", timeout=0.2, max_retries=0)
        await run
    assert run.auto.limit == LEAST
    assert run.auto.reason == "timeout at 8"


@pytest.mark.slow
async def test_a_number_and_auto_change_places_while_running(start) -> None:
    with KneeServer(delay=0.05) as server:

        async def main() -> None:
            run = start((Request("GET", f"{server.url}/{i}") for i in range(MANY)), concurrency=2)
            await until(lambda: server.paths.total() > 2)
            assert run.auto is None
            run.update(concurrency="auto")
            await until(lambda: server.peak > START)
            assert (run.options.concurrency, run.auto.limit > START) == ("auto", True)
            run.update(concurrency=3)
            await until(lambda: run.auto is None and server.in_flight <= 3)
            server.reset()
            seen = server.paths.total()
            await until(lambda: server.paths.total() > seen + 30)
            assert server.peak <= 3
            run.cancel()
            await run.drained()

        await main()


async def test_the_closing_line_advises_a_number(start) -> None:
    with KneeServer(delay=0.005, knee=8, refuses=True) as server:
        run = await until_told(start, server, lambda run: run.auto.advice is not None, least=100)
    assert f"auto came to -c {run.auto.advice}" in run.closing_line()
    assert run.summary()["auto"] == run.auto._asdict()


async def test_a_number_brings_no_advice_of_auto(counting_server, start) -> None:
    run = start([counting_server.url])
    await run
    assert run.auto is None
    assert run.summary()["auto"] is None
    assert "auto" not in run.closing_line()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - the server counts in a thread of its own
            await asyncio.sleep(0.01)
