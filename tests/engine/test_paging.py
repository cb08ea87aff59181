"""Pages through the ordinary scheduler: one row per page, in order, whatever happens on the way."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from serving.scripted import ScriptedServer

from fastreq_jupyter import demo
from fastreq_jupyter.engine.paging import PagedOutcomes
from fastreq_jupyter.model import Deferred, Request


def numbers(run):
    return [(row.place, row.page, row.error) for row in run.rows]


@pytest.fixture
def feeds():
    with demo.start(jitter=(0, 0)) as server:
        yield server


def cursors(number, *, broken=()):
    """Pages 1 to `number` by cursor; those in `broken` answer 503 as often as they stand there."""
    left = list(broken)

    async def answer(request):
        page = int(request.query.get("cursor", 1))
        if page in left:
            left.remove(page)
            return web.json_response({}, status=404 if page < 0 else 503)
        return web.json_response({"items": [{"id": page}], "next_cursor": page + 1 if page < number else None, "total": number})

    return answer


async def test_rows_are_in_order_of_requests_and_of_their_pages(feeds, start):
    urls = [f"{feeds.url}/feed/{kind}?limit=10&first={first}" for kind, first in (("cursor", 35), ("link", 5), ("cursor", 20))]
    run = start(urls, pages="auto", concurrency=3)
    await run
    assert numbers(run) == [(0, 1, None), (0, 2, None), (0, 3, None), (0, 4, None), (1, 1, None), (2, 1, None), (2, 2, None)]
    assert run.progress.total == 7
    assert run.summary()["pages"] | {"requests": 3, "pages": 7, "items": 60, "total": 60, "short": 0} == run.summary()["pages"]


async def test_25_pages_with_a_total_take_4_round_trips_at_concurrency_10(start):
    waves, here, left = [], [], [24]

    async def answer(request):
        page = int(request.query.get("page", 1))
        if page > 1:
            gate = asyncio.get_running_loop().create_future()
            here.append(gate)
            if len(here) == min(10, left[0]):
                waves.append(len(here))
                left[0] -= len(here)
                for other in here:
                    other.set_result(None)
                here.clear()
            await gate
        return web.json_response({"items": [page], "total": 25})

    with ScriptedServer(answer) as server:
        run = start([f"{server.url}/x"], pages="page", concurrency=10)
        await run
    assert waves == [10, 10, 4]
    assert [row.data["items"][0] for row in run.rows] == list(range(1, 26))


async def test_rate_and_concurrency_of_the_run_hold_for_pages(start):
    async def answer(request):
        return web.json_response({"items": [request.query["page"]], "total": 12})

    with ScriptedServer(answer) as server:
        run = start([f"{server.url}/x"], pages="page", rate_limit="6/s", rate_limit_burst=1)
        await run
    gaps = [later.attempts[0].start - sooner.attempts[0].start for sooner, later in zip(run.rows, run.rows[1:], strict=False)]
    assert min(gaps) > 0.1


async def test_a_failed_page_ends_its_chain_and_retry_failed_goes_on_from_it(start):
    with ScriptedServer(cursors(6, broken=[3])) as server:
        run = start([f"{server.url}/x"], pages="auto", max_retries=0)
        await run
        assert numbers(run) == [(0, 1, None), (0, 2, None), (0, 3, "http 503")]
        again = run.retry_failed()
        await again
    assert numbers(again) == [(0, page, None) for page in range(1, 7)]
    assert len(server.asked) == 3 + 4
    assert again.summary()["pages"]["items"] == 6


@pytest.mark.parametrize("how", ["auto", "page"])
async def test_a_page_to_sign_in_amid_json_is_no_end_and_is_asked_for_again(start, how):
    good, signed_in = cursors(4), []

    async def answer(request):
        if "3" in (request.query.get("cursor"), request.query.get("page")) and not signed_in:
            return web.Response(text="<html>sign in</html>", content_type="text/html")
        if how == "page":
            page = int(request.query["page"])
            return web.json_response({"items": [{"id": page}] if page < 5 else []})
        return await good(request)

    with ScriptedServer(answer) as server:
        run = start([f"{server.url}/x"], pages=how)
        await run
        signed_in.append(True)
        assert numbers(run) == [(0, 1, None), (0, 2, None), (0, 3, "invalid JSON")]
        again = run.retry_failed()
        await again
    assert numbers(again) == [(0, page, None) for page in (1, 2, 3, 4)]
    assert len(server.asked) == 3 + (3 if how == "page" else 2)


async def test_retry_failed_keeps_chains_apart(start):
    with ScriptedServer(cursors(4, broken=[2, 2])) as server:
        run = start([f"{server.url}/a", f"{server.url}/b", f"{server.url}/c"], pages="auto", max_retries=0, concurrency=1, limit=2)
        await run
        assert [row.error for row in run.rows] == [None, "http 503", None, "http 503"]
        again = run.retry_failed()
        await again
    assert numbers(again) == [(place, page, None) for place in (0, 1) for page in range(1, 5)]
    assert [row.request.url.split("/")[-1][0] for row in again.rows] == ["a"] * 4 + ["b"] * 4


async def test_parallel_pages_that_failed_are_sent_again_until_all_are_there(start):
    bad = {("/a", 3): 2, ("/a", 5): 1, ("/b", 1): 2, ("/c", 6): 1}

    async def answer(request):
        page = (request.path, int(request.query["page"]))
        if bad.get(page, 0):
            bad[page] -= 1
            return web.Response(status=500)
        return web.json_response({"items": [{"id": page}], "total": 6})

    with ScriptedServer(answer) as server:
        run = start([f"{server.url}/{name}" for name in "abc"], pages="page", max_retries=0)
        await run
        assert [row.page for row in run.rows if not row.ok] == [3, 5, 1, 6]
        for _ in range(2):
            run = run.retry_failed()
            await run
    assert numbers(run) == [(place, page, None) for place in range(3) for page in range(1, 7)]
    assert len(server.asked) == 18 + 6


async def test_the_empty_page_that_ends_a_count_is_no_row(start):
    async def answer(request):
        return web.json_response({"items": [7] if request.query["page"] == "1" else []})

    with ScriptedServer(answer) as server:
        run = start([f"{server.url}/x"], pages="page")
        await run
    assert numbers(run) == [(0, 1, None)]
    assert len(server.asked) == 2
    assert len(run.withdrawn) == 1
    assert run.progress.total == run.progress.done == 1


async def test_an_interrupt_in_mid_chain_leaves_a_row_from_which_retry_failed_goes_on(start):
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()
    held = [True]

    async def answer(request):
        page = int(request.query.get("cursor", 1))
        if page == 3 and held[0]:
            loop.call_soon_threadsafe(reached.set)
            await asyncio.sleep(60)
        return web.json_response({"items": [page], "next_cursor": page + 1 if page < 5 else None})

    with ScriptedServer(answer) as server:
        run = start([f"{server.url}/x"], pages="auto")
        await reached.wait()
        run.cancel()
        await run
        assert numbers(run) == [(0, 1, None), (0, 2, None), (0, 3, "cancelled")]
        held[0] = False
        again = run.retry_failed()
        await again
    assert numbers(again) == [(0, page, None) for page in range(1, 6)]


async def test_an_interrupt_among_parallel_pages_leaves_rows_for_all(start):
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()
    held = []

    async def answer(request):
        page = int(request.query["page"])
        if page > 4:
            held.append(page)
            if len(held) == 2:
                # Both slots are taken: all pages before were answered.
                loop.call_soon_threadsafe(reached.set)
            await asyncio.sleep(60)
        return web.json_response({"items": [page], "total": 9})

    with ScriptedServer(answer) as server:
        run = start([f"{server.url}/x"], pages="page", concurrency=2)
        await reached.wait()
        run.cancel()
        await run
    assert [row.page for row in run.rows] == list(range(1, 10))
    assert [row.error for row in run.rows] == [None] * 4 + ["cancelled"] * 5


async def test_an_expired_cursor_starts_the_chain_anew_and_its_rows_replace_the_old_ones(feeds, start):
    run = start([f"{feeds.url}/feed/cursor?limit=10&first=60&unkind=expire"], pages="auto")
    await run
    assert numbers(run) == [(0, page, None) for page in range(1, 7)]
    assert {row.request.url[-4:] for row in run.rows[1:]} == {f"1-{start}" for start in range(10, 60, 10)}
    assert run.progress.ok == run.progress.done == 6
    assert "had expired" in run.summary()["notes"][0]


async def test_what_cannot_be_followed_is_a_row_with_its_cause(start):
    async def answer(_):
        return web.json_response({"next": "ftp://127.0.0.1/2"})

    with ScriptedServer(answer) as server:
        run = start([f"{server.url}/x"], pages="next")
        await run
        assert numbers(run) == [(0, 1, None), (0, 2, "invalid URL")]
        await run.retry_failed()
    assert server.asked == ["/x"]


async def test_credentials_stay_with_their_origin_and_the_row_says_so(start):
    async def elsewhere(_):
        return web.json_response({"items": [2]})

    with ScriptedServer(elsewhere) as other:

        async def answer(_):
            return web.json_response({"items": [1], "next": f"{other.url}/2"})

        with ScriptedServer(answer) as server:
            run = start([Request("GET", f"{server.url}/1", headers={"X-Api-Key": "s3cret-s3cret"})], pages="auto")
            await run
    assert "x-api-key" in server.headers[0]
    assert "x-api-key" not in other.headers[0]
    assert "without credentials" in run.rows[1].error_detail
    assert run.rows[1].ok


async def test_a_request_that_waits_for_another_ones_answer_has_pages_too(feeds, start):
    def made(outcomes):
        assert outcomes[0].page == 1
        return Request("GET", f"{feeds.url}/feed/cursor?limit=10&first=30")

    first = Request("GET", f"{feeds.url}/feed/cursor?limit=10&first=25")
    for source in ([first, Deferred((0,), made, first)], (item for item in [first, Deferred((0,), made, first)])):
        run = start(source, pages="auto")
        await run
        assert numbers(run) == [(0, 1, None), (0, 2, None), (0, 3, None), (1, 1, None), (1, 2, None), (1, 3, None)]


def test_outcomes_of_a_run_are_paged_only_where_it_asks_for_pages(start):
    async def main():
        return start([], pages="auto"), start([])

    paged, plain = asyncio.run(main())
    assert isinstance(paged._outcomes, PagedOutcomes)
    assert not isinstance(plain._outcomes, PagedOutcomes)
