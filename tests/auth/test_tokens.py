"""Tokens from functions and objects: when they are asked for, renewed, kept, and what happens when there are none."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pandas as pd
import pytest
from faultserver import scripts

import fastreq_jupyter.auth.sources
from fastreq_jupyter import FastRequests, OptionError, Request, fastreq, fastreq_async, fastreq_stream, last_run, submit
from fastreq_jupyter.auth import AuthError


class Asked:
    """A function that gives new tokens of an API, and counts."""

    def __init__(self, api):
        self.api = api
        self.count = 0

    def __call__(self):
        self.count += 1
        self.api.good = {f"token-{self.count}-abcdefgh"}
        return f"token-{self.count}-abcdefgh"


@pytest.fixture
def asked(api):
    return Asked(api)


def test_a_function_is_asked_once_per_origin_and_its_token_kept_between_runs(api, asked, backend):
    for _ in range(3):
        assert fastreq(api.urls(5), auth=asked, backend=backend)["ok"].all()
    assert asked.count == 1


def test_a_function_may_be_asynchronous_or_return_what_is_to_be_awaited(api, asked):
    async def later():
        await asyncio.sleep(0)
        return asked()

    def gives_a_coroutine():
        return later()

    for function in (later, gives_a_coroutine, lambda: SimpleNamespace(token=asked(), expires_on=4e9)):
        assert fastreq(api.urls(3), auth=function)["ok"].all()
    assert asked.count == 3


def test_a_mapping_becomes_header_lines_in_the_place_of_none_that_a_request_has(server):
    door = server.open(scripts.reply())
    fastreq([Request("GET", door.url("/"), headers={"X-A": "own"})], auth=lambda: {"X-A": "a-secret-a", "X-B": "a-secret-b"})
    (arrival,) = door.arrivals
    assert [value for name, value in arrival.headers if name in ("X-A", "X-B")] == ["own", "a-secret-b"]


def test_an_object_of_azure_is_asked_for_a_token_of_the_origin(api, asked):
    scopes = []
    credential = SimpleNamespace(get_token=lambda *names: scopes.append(names) or SimpleNamespace(token=asked(), expires_on=4e9))
    assert fastreq(api.urls(3), auth=credential)["ok"].all()
    assert scopes == [(f"{api.url}/.default",)]


class Google:
    """Credentials as google-auth has them."""

    def __init__(self, api):
        self.api, self.token, self.expiry = api, None, None

    @property
    def valid(self):
        return self.token is not None

    def refresh(self, request):
        answer = request(url=self.api.token_url, method="POST", headers={"X-Google": "1"}, body=b"a=b", timeout=120)
        assert answer.status == 200
        self.token = json.loads(answer.data)["access_token"]
        self.expiry = (datetime.now(UTC) + timedelta(hours=1)).replace(tzinfo=None)


def test_an_object_of_google_is_refreshed_through_the_runs_own_backend(api, backend):
    credentials = Google(api)
    assert fastreq(api.urls(3), auth=credentials, backend=backend)["ok"].all()
    api.good = set()
    assert fastreq(api.urls(3), auth=credentials, backend=backend)["ok"].all()
    refreshes = [arrival for arrival in api.door.arrivals if arrival.path == "/token"]
    assert len(refreshes) == 2
    assert all(a.header("x-google") == "1" and a.header("user-agent").startswith("fastreq") and a.body == b"a=b" for a in refreshes)


async def test_nothing_is_sent_for_a_token_once_the_run_has_ended(api):
    credentials = Google(api)
    asked = threading.Event()

    async def hangs(call):
        asked.set()
        await scripts.hangs()(call)

    api.grants = hangs
    run = submit(api.urls(3), auth=credentials)
    await asyncio.to_thread(asked.wait, 240)
    run.cancel()
    await run.drained()
    request = fastreq_jupyter.auth.sources._transport(run._scheduler._wallet, asyncio.get_running_loop())
    with pytest.raises(AuthError, match="has ended"):
        await asyncio.to_thread(request, api.token_url)
    assert api.asked == 1
    assert {row.error for row in run.rows} == {"cancelled"}


def raises():
    raise ValueError("hidden-secret")


async def raises_cancelled():
    raise asyncio.CancelledError


def stops():
    raise StopIteration


def no_lines():
    return {}


def exits():
    raise SystemExit


BAD = {
    "raises": (raises, "the function raises raised ValueError, line"),
    "raises in a coroutine": (raises_cancelled, "raised CancelledError"),
    "raises StopIteration": (stops, "raised "),
    "exits": (exits, "raised SystemExit"),
    "None": (lambda: None, "gave None: give a token as text"),
    "a number": (lambda: 3, "gave a int"),
    "empty": (lambda: " ", "gave an empty token"),
    "bytes": (lambda: b"hidden-secret", "gave a bytes"),
    "a line end": (lambda: "hidden-secret\nX: y", "a control character"),
    "a whole answer": (lambda: {"access_token": "hidden-secret"}, 'give answer["access_token"]'),
    "no header lines": (no_lines, "no header lines"),
    "a bad name": (lambda: {"a b": "hidden-secret"}, "a header name that is no token"),
    "a bad value": (lambda: {"X-A": "hidden-secret\r"}, "a control character for the header X-A"),
    "an object without a token": (lambda: SimpleNamespace(token=None), "gave a SimpleNamespace"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_function_that_gives_nothing_usable_ends_the_run_in_one_line(api, case):
    function, words = BAD[case]
    frame = fastreq(api.urls(100), auth=function, concurrency=10)
    assert set(frame["error"]) == {"auth"}
    (detail,) = set(frame["error_detail"])
    assert words in detail
    assert "hidden" not in detail
    assert detail.removeprefix("not sent: ") in last_run().summary()["notes"]
    assert not api.door.arrivals


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (object(), "give"),
        (int, "int is a class"),
        (lambda request: "x", "takes no argument"),
        (3, "give"),
        ({"http://a": object()}, "give"),
    ],
)
def test_what_gives_no_tokens_is_refused_before_anything_is_sent(value, words):
    with pytest.raises(OptionError, match=words):
        fastreq("http://127.0.0.1:1/", auth=value)


async def test_a_blocking_function_leaves_the_loop_alone_and_an_interrupt_ends_at_once(api):
    entered, leave = threading.Event(), threading.Event()

    def blocks():
        entered.set()
        leave.wait(240)
        return "too-late-a-token"

    run = submit(api.urls(5), auth=blocks)
    await asyncio.to_thread(entered.wait, 240)
    assert run.progress.in_flight == 0
    run.cancel()
    await run.drained()
    # Nobody waited for the function.
    leave.set()
    assert {row.error for row in run.rows} == {"cancelled"}
    assert not api.door.arrivals


def test_a_refused_token_is_renewed_once_and_unsafe_requests_sent_once_more(api, asked, backend):
    assert fastreq(api.urls(1), auth=asked, backend=backend)["ok"].all()
    api.good = set()
    frame = fastreq(api.urls(3), auth=asked, backend=backend, method="POST", data="x", max_retries=0, concurrency=1)
    assert frame["ok"].all()
    assert frame["attempts"].tolist() == [2, 1, 1]
    assert asked.count == 2


def test_the_first_answers_after_which_tokens_were_renewed_do_not_stop_a_host(api, asked):
    fastreq(api.urls(1), auth=asked)
    api.good = set()
    assert fastreq(api.urls(200), auth=asked, concurrency=60)["ok"].all()


def test_a_server_that_refuses_every_token_costs_few_of_them(api):
    count = []
    frame = fastreq(api.urls(300), auth=lambda: count.append(1) or f"useless-token-{len(count)}", concurrency=10)
    assert len(count) <= 4
    assert set(frame["error"]) == {"http 401", "stopped"}
    # The renewals, and the twenty answers after which the host is stopped, each with what was in flight.
    assert len(api.door.arrivals) <= 60


def test_other_refusals_renew_where_refresh_on_says_so(api, asked):
    fastreq(api.urls(1), auth=asked)
    api.good, api.status = set(), 403
    assert set(fastreq(api.urls(2), auth=asked)["error"]) == {"http 403"}
    assert fastreq(api.urls(2), auth=asked, refresh_on="401,403")["ok"].all()


@pytest.mark.parametrize("value", [200, "x", [], 4010, True])
def test_refresh_on_takes_refusals_only(value):
    with pytest.raises(OptionError, match="refresh_on"):
        fastreq("http://127.0.0.1:1/", refresh_on=value)


def test_rows_that_were_done_stay_when_tokens_end_in_mid_run(api):
    tokens = iter([api.new_token()])
    answer = api.answer

    async def five_then_none(call):
        await answer(call)
        if api.door.count() >= 5:
            api.good = set()

    api.door.script = five_then_none
    frame = fastreq(api.urls(20), auth=lambda: next(tokens), concurrency=1)
    assert frame["ok"].tolist() == [True] * 5 + [False] * 15
    assert set(frame["error"].dropna()) == {"auth"}
    again = iter([api.new_token()])
    api.door.script = answer
    assert frame.fastreq.retry_failed()["error"].dropna().tolist() == ["auth"] * 15
    assert fastreq(api.urls(1), auth=lambda: next(again))["ok"].all()


def test_a_run_that_failed_for_its_function_asks_it_anew_when_it_is_tried_again(api, asked):
    broken = [True]

    def function():
        return raises() if broken else asked()

    frame = fastreq(api.urls(3), auth=function)
    assert set(frame["error"]) == {"auth"}
    broken.clear()
    assert frame.fastreq.retry_failed()["ok"].all()


def test_a_token_follows_a_redirect_at_home_and_none_to_another_origin(api, asked, server, backend):
    elsewhere = server.open(scripts.reply(401))
    answer = api.answer

    async def redirects(call):
        path = {"/home": "/api", "/away": elsewhere.url("/x")}.get(call.request.path)
        await (scripts.reply(307, b"", ("Location", path))(call) if path else answer(call))

    api.door.script = redirects
    frame = fastreq([api.url + "/home", api.url + "/away"], auth=asked, backend=backend)
    assert frame["status"].tolist() == [200, 401]
    assert [arrival.header("authorization") for arrival in elsewhere.arrivals] == [None]
    assert asked.count == 1


def test_a_token_stays_behind_when_a_job_is_looked_at_elsewhere_and_is_renewed_at_home(api, asked, server):
    elsewhere = server.open(scripts.reply(200, b'{"status": "done"}', ("Content-Type", "application/json")))
    answer = api.answer

    async def begins(call):
        if call.request.method == "POST":
            await scripts.reply(202, b"", ("Location", elsewhere.url("/job") if "away" in call.request.target else "/api"))(call)
            api.good = set()
        else:
            await answer(call)

    api.door.script = begins
    frame = fastreq([api.url + "/away", api.url + "/home"], auth=asked, method="POST", until="ready", every=0.05, concurrency=1)
    assert frame["ok"].all(), frame.to_dict("records")
    assert [arrival.header("authorization") for arrival in elsewhere.arrivals] == [None]
    assert asked.count == 2


def test_a_dry_run_says_that_a_token_goes_along_and_asks_for_none(api, asked):
    frame = fastreq([*api.urls(1), Request("GET", api.url, headers={"Authorization": "Bearer my-own-token"})], auth=asked, dry_run=True)
    assert [headers["Authorization"].partition(" (")[0] for headers in frame["headers"]] == ["***", "***"]
    assert asked.count == 0
    assert not api.door.arrivals


def test_pages_are_fetched_with_renewed_tokens_at_home_and_with_none_elsewhere(api, asked, server):
    elsewhere = server.open(scripts.reply(200, b'{"items": [4]}', ("Content-Type", "application/json")))

    async def pages(call):
        page = int(call.request.target.partition("=")[2] or 1)
        following = api.url + f"/api?page={page + 1}" if page < 3 else elsewhere.url("/rest")
        if (call.request.header("authorization") or "").removeprefix("Bearer ") not in api.good:
            await scripts.reply(401)(call)
            return
        api.good = set()
        body = json.dumps({"items": [page], "next": following}).encode()
        await scripts.reply(200, body, ("Content-Type", "application/json"))(call)

    api.door.script = pages
    frame = fastreq([api.url + "/api"], auth=asked, pages="next")
    assert frame["ok"].tolist() == [True] * 4
    assert asked.count == 3
    assert [arrival.header("authorization") for arrival in elsewhere.arrivals] == [None]


def test_each_origin_gets_its_own_and_others_nothing(server):
    doors = [server.open(scripts.reply()) for _ in range(3)]
    auth = {doors[0].origin(): lambda: "first-origin-token", doors[1].origin(): lambda: "second-origin-token"}
    assert fastreq([door.url("/") for door in doors], auth=auth)["ok"].all()
    assert [door.arrivals[0].header("authorization") for door in doors] == ["Bearer first-origin-token", "Bearer second-origin-token", None]


def test_one_function_for_several_origins_is_refused(server, asked):
    urls = [server.open(scripts.reply()).url("/") for _ in range(2)]
    with pytest.raises(OptionError, match="several origins"):
        fastreq(urls, auth=asked)
    assert asked.count == 0


def test_a_requests_own_credentials_stay_and_those_of_the_same_call_are_refused(api, asked):
    own = Request("GET", api.urls(1)[0], headers={"Authorization": "Bearer my-own"})
    assert fastreq([own], auth=asked)["status"].tolist() == [401]
    assert asked.count == 0
    with pytest.raises(OptionError, match="auth and the header Authorization"):
        fastreq(api.urls(1), auth=asked, headers={"authorization": "Bearer other"})


def test_runs_on_several_loops_at_once_share_one_token_request(api):
    count, barrier = [], threading.Barrier(4)
    waiting = threading.Event()

    def function():
        count.append(1)
        waiting.wait(240)
        return api.new_token()

    frames = []

    def work():
        async def go():
            run = submit(api.urls(5), auth=function)
            barrier.wait(240)
            return await run

        frames.append(asyncio.run(go()))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    barrier.wait(240)
    waiting.set()
    for thread in threads:
        thread.join(240)
    assert [frame["ok"].all() for frame in frames] == [True] * 3
    assert len(count) == 1


async def test_a_run_that_waits_asks_itself_when_the_one_that_had_asked_is_cancelled(api, asked):
    first = asyncio.Event()

    async def slow_at_first():
        if not first.is_set():
            first.set()
            await asyncio.Event().wait()
        return asked()

    one = submit(api.urls(2), auth=slow_at_first)
    await first.wait()
    other = submit(api.urls(2), auth=slow_at_first)
    await asyncio.sleep(0.05)
    one.cancel()
    await one.drained()
    assert {row.error for row in one.rows} == {"cancelled"}
    assert (await other)["ok"].all()


def test_a_token_is_waited_for_outside_the_deadline_of_a_request(api, asked):
    async def slow():
        await asyncio.sleep(0.3)
        return asked()

    assert fastreq(api.urls(2), auth=slow, timeout=0.2, max_retries=0)["ok"].all()


async def test_sessions_streams_and_frames_take_functions_too(api, asked):
    async with FastRequests(base_url=api.url, auth=asked) as client:
        assert (await client.request(["/a", "/b"]))["ok"].all()
    assert [outcome.status async for outcome in fastreq_stream(api.urls(2), auth=asked)] == [200, 200]
    assert await fastreq_async(api.urls(2), auth=asked, return_type="text") == ["good", "good"]
    assert asked.count == 1


def test_frames_take_functions_too(api, asked):
    table = pd.DataFrame({"n": [1, 2]}).fastreq.get(api.url + "/{{ n }}", auth=asked)
    assert table["ok"].all()
    assert asked.count == 1


def test_a_journal_asks_again_for_what_was_refused_or_had_no_token(api, asked, tmp_path):
    journal = tmp_path / "runs.db"
    api.new_token()
    assert set(fastreq(api.urls(3), auth=lambda: "wrong-token-here", journal=journal, max_retries=0)["error"]) == {"http 401"}
    assert set(fastreq(api.urls(5), auth=raises, journal=journal)["error"]) == {"auth"}
    assert fastreq(api.urls(5), auth=asked, journal=journal)["ok"].all()
    before = len(api.door.arrivals)
    assert fastreq(api.urls(5), auth=raises, journal=journal)["ok"].all()
    assert len(api.door.arrivals) == before
