"""The run: one row per request, in order, whatever happens; limits measured at the server."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from math import isnan
from typing import TYPE_CHECKING, Any

import pytest

from fastreq_jupyter.errors import OptionError, SourceError
from fastreq_jupyter.model import Deferred, Outcome, Request, Unsendable

if TYPE_CHECKING:
    from collections.abc import Iterator


async def until(condition: Any) -> None:
    """Wait for an event; pytest's own timeout ends what never comes."""
    while not condition():  # noqa: ASYNC110 - what is waited for happens in another thread
        await asyncio.sleep(0.005)


def errors(run: Any) -> list[str | None]:
    return [row.error for row in run.rows]


async def test_every_request_ends_as_one_row_in_the_order_given(counting_server, start) -> None:
    urls = [f"{counting_server.url}/delay/{(7 * i) % 5 / 100}?i={i}" if i % 3 else "no url" for i in range(60)]
    run = start(urls, concurrency=7)
    rows = await run
    assert [row.position for row in rows] == list(range(60))
    assert [row.request.url for row in rows] == urls
    assert errors(run) == [None if i % 3 else "invalid URL" for i in range(60)]


@pytest.mark.parametrize("concurrency", [1, 10, 120])
async def test_the_number_in_flight_is_the_concurrency(counting_server, start, concurrency) -> None:
    counting_server.delay = 0.05
    counting_server.together = concurrency
    await start([f"{counting_server.url}/{i}" for i in range(2 * concurrency + 5)], concurrency=concurrency)
    assert counting_server.peak == concurrency


async def test_concurrency_per_host_holds_beside_a_larger_concurrency(counting_server, start) -> None:
    counting_server.delay = 0.02
    counting_server.together = 4
    await start([f"{counting_server.url}/{i}" for i in range(60)], concurrency=30, concurrency_per_host=4)
    assert counting_server.peak == 4


@pytest.mark.slow
@pytest.mark.parametrize("option", ["rate_limit", "rate_limit_per_host"])
async def test_no_window_at_the_server_sees_more_than_rate_and_burst(counting_server, start, option) -> None:
    begin = time.monotonic()
    await start([f"{counting_server.url}/{i}" for i in range(40)], **{option: 40}, rate_limit_burst=5)
    # Counted from before the first: a late server can only make the n-th later.
    assert all(arrival.at - begin >= (number - 5) / 40 - 0.01 for number, arrival in enumerate(counting_server.arrivals))


@pytest.mark.slow
async def test_a_waiting_retry_holds_no_slot(counting_server, start) -> None:
    urls = [f"{counting_server.url}/flaky/1/x", *(f"{counting_server.url}/{i}" for i in range(5))]
    run = start(urls, concurrency=1)
    await run
    assert errors(run) == [None] * 6
    assert [arrival.path for arrival in counting_server.arrivals][-1] == "/flaky/1/x"


@pytest.mark.slow
async def test_retries_wait_at_least_1_and_2_seconds(counting_server, start) -> None:
    run = start([f"{counting_server.url}/status/503"], max_retries=2)
    (row,) = await run
    assert row.error == "http 503"
    assert [round(a.retry_wait) >= w for a, w in zip(row.attempts, (1, 2, 0), strict=True)] == [True] * 3
    first, second, third = counting_server.times
    assert second - first >= 1
    assert third - second >= 2


async def test_a_sized_source_that_is_cancelled_gives_all_its_rows(counting_server, start) -> None:
    held = [f"{counting_server.url}/delay/3600?{i}" for i in range(96)]
    run = start([*[f"{counting_server.url}/{i}" for i in range(4)], *held], concurrency=4)
    await until(lambda: counting_server.in_flight == 4 and run.progress.done == 4)
    run.cancel()
    rows = await run
    assert run.state == "CANCELLED"
    assert len(rows) == 100
    assert errors(run)[:4] == [None] * 4
    assert errors(run)[-1] == "cancelled"
    assert run.progress.in_flight == run.progress.waiting == 0


@pytest.mark.parametrize("steps", range(6))
async def test_a_run_can_be_cancelled_at_its_very_start(counting_server, start, steps) -> None:
    run = start([counting_server.url] * 5, concurrency=2)
    for _ in range(steps):
        await asyncio.sleep(0)
    run.cancel()
    await asyncio.wait_for(run.drained(), 60)
    assert run.state == "CANCELLED"
    assert len(run.rows) == 5
    assert errors(run)[-1] == "cancelled"


async def test_an_iterator_gives_what_was_drawn_from_it(counting_server, start) -> None:
    counting_server.delay = 0.1
    drawn = []

    def endless():
        while True:
            drawn.append(1)
            yield Request("GET", counting_server.url)

    run = start(endless(), concurrency=3)
    await asyncio.sleep(0.25)
    run.cancel()
    assert len(await run) == len(drawn)
    assert run.summary()["source_exhausted"] is False


async def test_a_source_that_raises_ends_the_drawing_and_its_rows_are_finished(counting_server, start) -> None:
    counting_server.delay = 0.05

    def broken():
        yield Request("GET", f"{counting_server.url}/1")
        yield Request("GET", f"{counting_server.url}/2")
        message = "no more"
        raise LookupError(message)

    with pytest.raises(SourceError) as caught:
        await start(broken(), concurrency=1)
    assert isinstance(caught.value.__cause__, LookupError)
    assert [row.error for row in caught.value.df] == [None, None]


async def test_an_async_source_is_drawn_on_the_running_loop(counting_server, start) -> None:
    async def source():
        for i in range(20):
            await asyncio.sleep(0)
            yield Request("GET", f"{counting_server.url}/{i}")

    rows = await start(source(), concurrency=5)
    assert [row.data["path"] for row in rows] == [f"/{i}" for i in range(20)]


async def test_a_source_is_never_drawn_far_ahead_of_need(counting_server, start) -> None:
    counting_server.delay = 3600
    drawn = []

    def source():
        for i in range(1000):
            drawn.append(i)
            yield Request("GET", counting_server.url)

    run = start(source(), concurrency=5)
    await until(lambda: counting_server.in_flight == 5)
    await asyncio.sleep(0.1)
    assert len(drawn) <= 15
    run.cancel()
    await run


async def test_a_source_that_blocks_lets_the_loop_run_between_two_items(counting_server, start) -> None:
    steps = [0]
    seen: list[int] = []

    def requests() -> Iterator[Request]:
        for number in range(8):
            time.sleep(0.02)
            seen.append(steps[0])
            yield Request("GET", f"{counting_server.url}/{number}")

    run = start(requests(), concurrency=8)
    while not run.done:
        steps[0] += 1
        await asyncio.sleep(0)
    # An interrupt is heard, and what is in flight goes on, only where the loop comes round between items.
    assert len(seen) == 8
    assert len(set(seen)) >= 7


async def test_a_part_that_nobody_asked_for_is_not_taken_for_the_whole(counting_server, start) -> None:
    url = f"{counting_server.url}/status/206"
    run = start([url, Request("GET", url, headers={"Range": "bytes=0-4"})], max_retries=0)
    await run
    assert errors(run) == ["http 206", None]


async def test_only_a_good_body_becomes_a_file(counting_server, start, tmp_path) -> None:
    asked = [
        Request("GET", f"{counting_server.url}/status/{status}", save_as=str(tmp_path / str(status))) for status in (201, 203, 304, 404)
    ]
    await start(asked)
    assert [path.name for path in tmp_path.iterdir()] == ["203"]


async def test_limit_sends_the_first_n_only(counting_server, start) -> None:
    assert len(await start([f"{counting_server.url}/{i}" for i in range(9)], limit=4)) == 4
    assert len(counting_server.arrivals) == 4


async def test_the_deadline_of_the_run_ends_it_and_names_what_is_left(counting_server, start) -> None:
    run = start([f"{counting_server.url}/delay/{3600 * (i > 1)}" for i in range(10)], concurrency=4, deadline=2)
    await run
    assert errors(run) == [None, None] + ["deadline"] * 8


async def test_max_failures_stops_the_rest(counting_server, start) -> None:
    run = start([f"{counting_server.url}/status/404"] * 50, concurrency=2, max_failures="5")
    await run
    found = errors(run)
    assert found.count("stopped") >= 40
    assert found[:5] == ["http 404"] * 5


async def test_twenty_401_stop_the_host(counting_server, start) -> None:
    run = start([f"{counting_server.url}/status/401"] * 100, concurrency=5)
    await run
    assert "all 401" in run.rows[-1].error_detail
    assert errors(run)[-1] == "stopped"
    assert 20 <= len(counting_server.arrivals) <= 25


async def test_max_failures_none_turns_the_stop_off(counting_server, start) -> None:
    await start([f"{counting_server.url}/status/401"] * 40, concurrency=5, max_failures="none")
    assert len(counting_server.arrivals) == 40


@pytest.mark.slow
async def test_a_paused_run_starts_nothing_and_goes_on_when_resumed(counting_server, start) -> None:
    counting_server.delay = 0.05
    run = start([f"{counting_server.url}/{i}" for i in range(20)], concurrency=2)
    await until(lambda: run.progress.done > 2)
    run.pause()
    await until(lambda: counting_server.in_flight == 0 and run.progress.in_flight == 0)
    assert run.state == "PAUSED"
    seen = len(counting_server.arrivals)
    await asyncio.sleep(0.2)
    assert len(counting_server.arrivals) == seen < 20
    run.resume()
    await run
    assert errors(run) == [None] * 20


@pytest.mark.slow
async def test_concurrency_changes_while_running(counting_server, start) -> None:
    counting_server.delay = 0.05
    run = start([f"{counting_server.url}/{i}" for i in range(120)], concurrency=2)
    await until(lambda: counting_server.paths.total() > 2)
    assert counting_server.peak == 2
    run.update(concurrency=20)
    await until(lambda: counting_server.peak == 20)
    run.update(concurrency=1)
    await until(lambda: counting_server.in_flight <= 1)
    counting_server.reset()
    await run
    assert counting_server.peak <= 1


async def test_two_changes_at_once_both_hold(counting_server, start) -> None:
    run = start([counting_server.url])
    run.update(concurrency=7)
    run.update(max_retries=1)
    await run
    assert (run.options.concurrency, run.options.max_retries) == (7, 1)


async def test_a_rate_can_be_lifted_while_attempts_wait_for_it(counting_server, start) -> None:
    run = start([f"{counting_server.url}/{i}" for i in range(30)], rate_limit=1, rate_limit_burst=1)
    await asyncio.sleep(0.1)
    run.update(rate_limit=None)
    await asyncio.wait_for(run.drained(), 60)
    assert errors(run) == [None] * 30


async def test_update_refuses_what_cannot_change(counting_server, start) -> None:
    run = start([counting_server.url])
    with pytest.raises(OptionError, match="backend cannot be changed"):
        run.update(backend="requests")
    with pytest.raises(OptionError, match="from 1 to 1000"):
        run.update(concurrency=0)
    await run


async def test_retry_failed_sends_only_what_failed(counting_server, start) -> None:
    first = start([f"{counting_server.url}/flaky/1/a", f"{counting_server.url}/b"], max_retries=0)
    await first
    assert errors(first) == ["http 503", None]
    second = first.retry_failed()
    await second
    assert errors(second) == [None, None]
    assert second.rows[1] is first.rows[1] or second.rows[1] == first.rows[1]
    assert counting_server.paths == {"/flaky/1/a": 2, "/b": 1}


async def test_a_deferred_request_waits_for_its_parents_and_sees_them(counting_server, start) -> None:
    def child(parents: Any) -> Request:
        return Request("GET", f"{counting_server.url}{parents[0].data['path']}/child")

    shown = Request("GET", "{{a}}")
    run = start([Request("GET", f"{counting_server.url}/a"), Deferred((0,), child, shown), Deferred((1,), child, shown)])
    assert [row.data["path"] for row in await run] == ["/a", "/a/child", "/a/child/child"]


async def test_a_template_that_raises_is_that_rows_failure(counting_server, start) -> None:
    def broken(_: Any) -> Request:
        message = "no token"
        raise KeyError(message)

    run = start([Request("GET", counting_server.url), Deferred((0,), broken, Request("GET", "x"))])
    await run
    assert errors(run) == [None, "invalid value"]


async def test_known_outcomes_and_unsendable_rows_send_nothing(counting_server, start) -> None:
    asked = Request("GET", counting_server.url)
    run = start([Outcome(99, asked, data="kept"), Unsendable(asked, "invalid value", "url is NaN"), asked])
    rows = await run
    assert [row.position for row in rows] == [0, 1, 2]
    assert rows[0].data == "kept"
    assert errors(run) == [None, "invalid value", None]
    assert len(counting_server.arrivals) == 1


async def test_a_run_can_be_awaited_from_another_loop(counting_server, start) -> None:
    counting_server.delay = 0.1
    started = threading.Event()
    kept: list[Any] = []

    def serve() -> None:
        async def main() -> None:
            kept.append(start([f"{counting_server.url}/{i}" for i in range(3)]))
            started.set()
            await kept[0]

        asyncio.run(main())

    thread = threading.Thread(target=serve)
    thread.start()
    started.wait(5)

    assert len(await kept[0]) == 3
    thread.join(5)


async def test_cancelling_the_wait_cancels_the_run_and_keeps_what_arrived(counting_server, start) -> None:
    run = start([f"{counting_server.url}/delay/{3 * i}" for i in range(4)])

    async def wait() -> None:
        await run

    task = asyncio.create_task(wait())
    await until(lambda: run.progress.done == 1 and counting_server.in_flight == 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert run.done
    assert errors(run) == [None, "cancelled", "cancelled", "cancelled"]


def test_a_loop_that_ends_takes_its_run_with_it_and_no_row_is_lost(counting_server, start) -> None:
    kept: list[Any] = []

    async def main() -> None:
        kept.append(start([f"{counting_server.url}/delay/{3600 * i}" for i in range(3)]))
        await until(lambda: kept[0].progress.done == 1)

    # Not asyncio.run: nest-asyncio puts another one in its place, which ends no loop.
    with asyncio.Runner() as runner:
        runner.run(main())
    assert kept[0].wait(60)
    assert kept[0].state == "CANCELLED"
    assert errors(kept[0]) == [None, "cancelled", "cancelled"]


@pytest.mark.slow
async def test_a_blocked_loop_invents_no_timeout(counting_server, start) -> None:
    run = start([f"{counting_server.url}/delay/0.1?{i}" for i in range(20)], timeout=0.5, max_retries=0)
    await asyncio.sleep(0.05)
    time.sleep(1)
    await run
    assert errors(run) == [None] * 20
    assert run.summary()["loop_lag_ms"] > 400


async def test_what_is_under_way_can_be_seen_and_is_gone_when_it_has_its_outcome(counting_server, start) -> None:
    run = start([f"{counting_server.url}/delay/3600", f"{counting_server.url}/status/503", counting_server.url], max_retries=1)
    assert isnan(run.began)
    await until(lambda: counting_server.in_flight == 1 and run.progress.done == 1 and any(one.attempts for one in run.under_way()))
    waiting, flying = sorted(run.under_way(), key=lambda one: one.start is not None)
    assert (waiting.position, waiting.start, [tried.status for tried in waiting.attempts]) == (1, None, [503])
    assert waiting.attempts[-1].retry_wait >= 1
    assert (flying.position, flying.attempts, flying.status) == (0, (), None)
    assert flying.start >= run.began
    assert [outcome.position for outcome in run.completed(0)] == [2]
    run.cancel()
    await run
    assert run.under_way() == []


async def test_the_time_left_is_no_less_than_a_wait_for_a_retry(counting_server, start) -> None:
    run = start([f"{counting_server.url}/status/503", *[f"{counting_server.url}/{i}" for i in range(20)]], max_retries=1)
    await until(lambda: run.progress.done == 20)
    assert run.progress.eta_s >= 0.6
    run.cancel()
    await run


@pytest.mark.slow
async def test_the_pace_counts_from_the_beginning(counting_server, start) -> None:
    run = start([f"{counting_server.url}/delay/0.6?{i}" for i in range(4)], concurrency=2)
    await until(lambda: run.progress.done >= 2)
    elapsed = run.progress.elapsed_s
    now = run.progress
    assert now.per_second <= now.done / elapsed
    await run


@pytest.mark.slow
async def test_only_what_the_run_answered_itself_is_its_pace(counting_server, start) -> None:
    run = start([*[f"{counting_server.url}/{i}" for i in range(4)], *[f"{counting_server.url}/delay/3600" for _ in range(50)]])
    await until(lambda: run.progress.done == 4)
    run.cancel()
    await run
    assert run.progress.done == 54
    assert run.progress.per_second * run.progress.elapsed_s == pytest.approx(4)
    again = run.retry_failed()
    again.cancel()
    await again
    assert (again.progress.done, again.progress.per_second, again.progress.bytes) == (54, 0, 0)


async def test_a_head_is_seen_before_its_body_has_come(start) -> None:
    async def head_alone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 203 Fine\r\nContent-Length: 5\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(head_alone, "127.0.0.1", 0)
    run = start([f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"])
    await until(lambda: run.under_way() and run.under_way()[0].status)
    (flying,) = run.under_way()
    assert flying.status == 203
    assert flying.start < flying.head_at < time.perf_counter()
    run.cancel()
    await run
    server.close()


async def test_outcomes_are_listed_in_the_order_in_which_they_came(counting_server, start) -> None:
    run = start([f"{counting_server.url}/delay/{seconds}" for seconds in (0.3, 0.01, 0.15)])
    await run
    assert [outcome.position for outcome in run.completed(0)] == [1, 2, 0]
    assert [outcome.position for outcome in run.completed(1, 1)] == [2]


async def test_of_a_cancelled_run_nothing_waits_and_what_was_not_sent_is_told_from_what_was_cut_off(counting_server, start) -> None:
    run = start([f"{counting_server.url}/delay/3600?n={i}" for i in range(40)], rate_limit=1, rate_limit_burst=2, concurrency=10)
    await until(lambda: run.progress.in_flight >= 2)
    run.cancel()
    told = []
    run.finished.add_done_callback(lambda _: told.append(run.progress))
    await run
    assert (told[0].done, told[0].in_flight, told[0].waiting, told[0].cut_off, told[0].unsent) == (40, 0, 0, 2, 38)
    assert "0 of 40 ok, cancelled: 2 cut off, 38 not sent" in run.closing_line()
    assert Counter(row.error_detail.partition(":")[0] for row in run.rows) == {"not sent": 38, "cut off": 2}


async def test_the_rest_of_a_cancelled_run_is_sent_alone(counting_server, start) -> None:
    run = start([f"{counting_server.url}/status/404", *[counting_server.url] * 9], rate_limit=0.01, rate_limit_burst=1, max_retries=0)
    await until(lambda: run.progress.done >= 1)
    run.cancel()
    await run
    again = run.retry_failed(only="unsent")
    again.update(rate_limit=None)
    await again
    assert [row.error for row in again.rows] == ["http 404", *[None] * 9]
    assert len(counting_server.arrivals) == 10


async def test_the_time_left_knows_the_rate_from_the_start(counting_server, start) -> None:
    run = start([counting_server.url] * 30, rate_limit=1, rate_limit_burst=5)
    await until(lambda: run.progress.done >= 5)
    assert 20 < run.progress.eta_s <= 25
    run.cancel()
    await run


async def test_while_paused_what_is_ready_waits_and_the_pause_is_no_latency(counting_server, start) -> None:
    run = start([f"{counting_server.url}/flaky/1"], max_retries=1)
    await until(lambda: run.progress.retried >= 1)
    run.pause()
    # Its retry is due after 1 to 1.5 s.
    await until(lambda: run.progress.waiting and not run._scheduler._parked)
    assert run.progress.waiting == 1
    assert len(run.under_way()) == 1
    await asyncio.sleep(0.3)
    run.resume()
    await run
    row = run.rows[0]
    assert row.elapsed == pytest.approx(row.attempts[-1].end - row.attempts[0].start - row.attempts[1].queued)
    assert row.attempts[1].queued >= 0.3


async def test_what_timed_out_waiting_was_waited(counting_server, start) -> None:
    run = start([f"{counting_server.url}/delay/3600"], timeout=0.3, max_retries=0)
    await run
    assert 0 < run.rows[0].wait <= run.rows[0].elapsed


async def test_the_closing_line_counts_what_happened(counting_server, start) -> None:
    run = start([f"{counting_server.url}/status/404", counting_server.url, "x"], max_retries=0)
    await run
    assert run.closing_line().startswith("1 of 3 ok, ")
    assert "http 404 x1" in run.closing_line()
    assert "invalid URL x1" in run.closing_line()
