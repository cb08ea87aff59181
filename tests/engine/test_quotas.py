"""Limits that only say what is left and when there is more: obeyed, seen at the server."""

from __future__ import annotations

import asyncio
import math
import time

import pytest
from aiohttp import web
from serving.scripted import ScriptedServer

from fastreq_jupyter import demo

LIMIT, WINDOW = 20, 1.0
FORMS = {
    "draft": lambda left, seconds, until: {"RateLimit": f'"d";r={left};t={math.ceil(seconds)}'},
    "seconds": lambda left, seconds, until: {"RateLimit-Remaining": str(left), "RateLimit-Reset": str(math.ceil(seconds))},
    "epoch": lambda left, seconds, until: {"X-RateLimit-Remaining": str(left), "X-RateLimit-Reset": str(math.ceil(until))},
    "milliseconds": lambda left, seconds, until: {"X-RateLimit-Remaining": str(left), "X-RateLimit-Reset": str(math.ceil(until * 1000))},
}


def quota(form, refused, *, status=429):
    """Answer `LIMIT` requests a window, and tell in this form."""
    state = {"until": 0.0, "left": 0}

    async def answer(_):
        now = time.time()
        if now >= state["until"]:
            state["until"], state["left"] = now + WINDOW, LIMIT
        bad = state["left"] <= 0
        state["left"] -= not bad
        refused.append(bad)
        headers = FORMS[form](state["left"], state["until"] - now, state["until"])
        return web.json_response({"ok": not bad}, status=status if bad else 200, headers=headers)

    return answer


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
async def test_a_limit_with_reset_headers_alone_is_kept(start, form):
    refused = []
    with ScriptedServer(quota(form, refused)) as server:
        run = start([f"{server.url}/{n}" for n in range(60)], concurrency=20)
        await run
    assert all(row.ok for row in run.rows)
    # At most 2 %, as far as the server's clock and ours are one.
    assert sum(refused) <= 1


@pytest.mark.slow
async def test_a_403_with_nothing_left_is_a_429_by_another_name(start):
    refused = [True]

    async def answer(_):
        if refused:
            refused.clear()
            return web.json_response({}, status=403, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"})
        return web.json_response({})

    with ScriptedServer(answer) as server:
        run = start([f"{server.url}/x"])
        rows = await run
    assert rows[0].ok
    assert rows[0].attempts[0].retry_wait >= 1


async def test_a_403_with_something_left_is_an_answer(start):
    async def answer(_):
        return web.json_response({}, status=403, headers={"X-RateLimit-Remaining": "5", "X-RateLimit-Reset": "1"})

    with ScriptedServer(answer) as server:
        run = start([f"{server.url}/x"])
        assert len((await run)[0].attempts) == 1


@pytest.mark.slow
async def test_nothing_left_on_a_good_answer_pauses_the_host_visibly(start):
    asked = []

    async def answer(_):
        asked.append(time.monotonic())
        return web.json_response({}, headers={"RateLimit-Remaining": "0", "RateLimit-Reset": "2"})

    notices = []
    with ScriptedServer(answer) as server:
        run = start([f"{server.url}/{n}" for n in range(2)], concurrency=1)
        while not run.done:
            notices.append(run.progress.notice)
            await asyncio.sleep(0.05)
        rows = run.rows
    assert any(notice and "gives no more for 2 s, until " in notice for notice in notices)
    # The pause is waiting for a rate: before the attempt, not in it.
    assert rows[1].attempts[0].queued > 1
    assert rows[1].status == 200


async def test_a_reset_far_away_does_not_hold_what_may_still_be_answered(start):
    async def answer(_):
        return web.json_response({}, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3600"})

    with ScriptedServer(answer) as server:
        run = start([f"{server.url}/{n}" for n in range(5)], concurrency=1)
        assert all(row.ok for row in await run)


@pytest.mark.slow
@pytest.mark.parametrize("header", ["Retry-After", "X-RateLimit-Reset"])
async def test_a_host_that_asks_for_an_hour_is_not_asked_by_all_other_requests(start, header):
    seen = []

    async def answer(request):
        seen.append(request)
        return web.json_response({}, status=429 if len(seen) > 10 else 200, headers={header: "3600"})

    with ScriptedServer(answer) as server:
        run = start([f"{server.url}/{n}" for n in range(200)], concurrency=4)
        await run
    kinds = [row.error for row in run.rows]
    assert kinds.count(None) == 10
    # Five in a row, and what was under way by then.
    assert 5 <= kinds.count("http 429") <= 5 + 3
    assert len(seen) == 10 + kinds.count("http 429")
    stopped = [row for row in run.rows if row.error == "stopped"]
    assert len(stopped) == 200 - len(seen)
    assert "asks to wait 3600 s" in stopped[0].error_detail
    assert not any(row.attempts for row in stopped)


async def test_a_path_with_a_limit_of_its_own_stops_no_other(start):
    async def answer(request):
        limited = int(request.path[1:]) % 5 == 0
        return web.json_response({}, status=429 if limited else 200, headers={"Retry-After": "3600"} if limited else {})

    with ScriptedServer(answer) as server:
        run = start([f"{server.url}/{n}" for n in range(60)], concurrency=1)
        await run
    assert [row.ok for row in run.rows] == [n % 5 != 0 for n in range(60)]


async def test_the_demo_servers_quota_is_kept(start):
    with demo.start(jitter=(0, 0)) as server:
        run = start([f"{server.url}/quota/{n}" for n in range(50)])
        await run
        assert "429" not in server.stats()["statuses"]
    assert all(row.ok for row in run.rows)
