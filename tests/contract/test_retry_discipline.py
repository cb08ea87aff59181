"""What is sent again, when, and how often: all counted and timed at the server."""

import asyncio
import itertools
from email.utils import formatdate
from time import time

import pytest
from faultserver import scripts
from faultserver.measure import BACKENDS
from faultserver.server import routes

from fastreq_jupyter import Request, fastreq_async, last_run

pytestmark = pytest.mark.slow
ALL = pytest.mark.parametrize("backend", BACKENDS)
QUIET = {"progress": "none", "proxy": "none", "timeout": 5}
TRUNCATED = scripts.head(200, ("Content-Length", "100")) + b"half"
FAILURES = {
    "503": scripts.reply(503, b"no"),
    "closes": scripts.closes(),
    "resets": scripts.resets(),
    "half a body": scripts.closes(TRUNCATED),
    "never answers": scripts.hangs(),
}


async def run(requests, **options):
    return await fastreq_async(requests, **{**QUIET, **options})


def seconds_between(door):
    times = door.times()
    return [later - sooner for sooner, later in itertools.pairwise(times)]


@ALL
async def test_an_unsafe_request_is_sent_once_however_it_fails(faultserver, backend):
    doors = [
        (method, faultserver.open(script, name=f"{method} {name}")) for name, script in FAILURES.items() for method in ("POST", "PATCH")
    ]
    frame = await run([Request(method, door.url(), data="x") for method, door in doors], backend=backend, timeout=0.8)
    assert {door.name: door.count() for _, door in doors} == {door.name: 1 for _, door in doors}
    assert not frame["ok"].any()
    assert list(frame["attempts"]) == [1] * len(doors)


@ALL
async def test_an_unsafe_request_is_sent_again_where_the_user_allows_it_or_it_never_left(faultserver, backend):
    plain, keyed = (faultserver.open(scripts.reply(503, b"no")) for _ in range(2))
    closed = f"http://127.0.0.1:{faultserver.refused_port()}/"
    allowed, by_itself = await asyncio.gather(
        fastreq_async([Request("POST", plain.url(), data="x")], backend=backend, max_retries=1, retry_unsafe=True, **QUIET),
        fastreq_async(
            [Request("POST", keyed.url(), data="x", headers={"Idempotency-Key": "1"}), Request("POST", closed, data="x")],
            backend=backend, max_retries=1, **QUIET,
        ),
    )  # fmt: skip
    assert (plain.count(), keyed.count()) == (2, 2)
    assert list(allowed["attempts"]) == [2]
    assert list(by_itself["attempts"]) == [2, 2]
    assert by_itself["error"][1] == "connect"


@ALL
async def test_without_retries_nothing_is_sent_twice(faultserver, backend):
    methods = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")
    doors = [(method, faultserver.open(script, name=f"{method} {name}")) for name, script in FAILURES.items() for method in methods]
    await run([Request(method, door.url()) for method, door in doors], backend=backend, max_retries=0, timeout=0.8, concurrency=50)
    assert {door.name: door.count() for _, door in doors} == {door.name: 1 for _, door in doors}


DIES = {"closes": scripts.closes(), "resets": scripts.resets(after=0)}


@ALL
@pytest.mark.parametrize("death", DIES)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST", "PATCH"])
async def test_a_kept_connection_that_dies_costs_an_idempotent_request_nothing_and_no_other_is_sent_twice(
    faultserver, backend, death, method
):
    door = faultserver.open(scripts.once_per_link(scripts.reply(), DIES[death]))
    body = None if method in ("GET", "DELETE") else "x"
    await fastreq_async([door.url("/warm")], backend=backend, max_retries=0, **QUIET)
    frame = await fastreq_async([Request(method, door.url("/counted"), data=body)], backend=backend, max_retries=0, **QUIET)
    on_links = [arrival.nth_on_link for arrival in door.arrivals if arrival.target == "/counted"]
    assert frame["attempts"][0] == 1
    if method in ("POST", "PATCH"):
        assert on_links == [2]
        assert frame["error"][0] == "connect"
    else:
        assert on_links == [2, 1]
        assert frame["ok"][0]


@ALL
async def test_a_connection_that_died_while_idle_is_not_used(faultserver, backend):
    async def answers_and_leaves(call):
        await scripts.reply()(call)
        call.close()

    door = faultserver.open(answers_and_leaves)
    await fastreq_async([door.url("/first")], backend=backend, max_retries=0, **QUIET)
    await asyncio.sleep(0.2)
    assert (await fastreq_async([Request("GET", door.url("/second"))], backend=backend, max_retries=0, **QUIET))["ok"][0]
    assert door.count(path="/second") == 1


async def test_the_waits_between_attempts_are_at_least_one_two_and_four_seconds(faultserver):
    doors = {backend: faultserver.open(scripts.reply(503, b"no")) for backend in BACKENDS}
    frames = await asyncio.gather(*(fastreq_async([door.url()], backend=backend, **QUIET) for backend, door in doors.items()))
    for door, frame in zip(doors.values(), frames, strict=True):
        gaps = seconds_between(door)
        assert len(gaps) == 3
        for gap, wait in zip(gaps, (1, 2, 4), strict=True):
            assert wait <= gap
        assert (frame["error"][0], frame["attempts"][0]) == ("http 503", 4)


async def test_a_request_that_waits_holds_no_slot(faultserver):
    door = faultserver.open(routes({"/bad": scripts.fail_then(1, scripts.reply(503, b"no"), scripts.reply())}, scripts.reply()))
    await run([door.url("/bad"), *(door.url(f"/{n}") for n in range(10))], concurrency=1)
    order = [arrival.path for arrival in door.arrivals]
    assert order == ["/bad", *(f"/{n}" for n in range(10)), "/bad"]


AFTER = {
    "429 in seconds": (429, "2", 2.0, 2.5),
    "503 in seconds": (503, "2", 2.0, 2.5),
    "zero": (429, "0", 1.0, 1.5),
    "in the past": (503, formatdate(0, usegmt=True), 1.0, 1.5),
    "in words": (429, "soon", 1.0, 1.5),
    "negative": (503, "-5", 1.0, 1.5),
    "nan": (429, "nan", 1.0, 1.5),
    "infinite": (503, "inf", 1.0, 1.5),
    "fractional": (429, "2.5", 1.0, 1.5),
    "empty": (503, "", 1.0, 1.5),
    "not ASCII": (503, "\u00b2", 1.0, 1.5),
}


@ALL
async def test_retry_after_is_obeyed_in_every_form_and_nonsense_means_backoff(faultserver, backend):
    doors = {
        name: faultserver.open(scripts.each(scripts.reply(status, b"no", ("Retry-After", value)), scripts.reply()))
        for name, (status, value, _, _) in AFTER.items()
    }
    assert (await run([door.url() for door in doors.values()], backend=backend))["ok"].all()
    for (name, (_, _, least, most)), outcome in zip(AFTER.items(), last_run().outcomes, strict=True):
        (gap,) = seconds_between(doors[name])
        assert least <= gap, name
        # What was decided, not what a busy machine made of it.
        assert least <= outcome.attempts[0].retry_wait <= most, name


async def test_retry_after_as_a_date_is_obeyed(faultserver):
    asked = []

    async def until(call):
        # whole seconds: what is asked is between two and three seconds from now
        asked.append(time())
        await scripts.reply(503, b"no", ("Retry-After", formatdate(int(time()) + 3, usegmt=True)))(call)

    door = faultserver.open(scripts.each(until, scripts.reply()))
    assert (await run([door.url()]))["ok"].all()
    (gap,) = seconds_between(door)
    assert 3 - asked[0] % 1 - 0.05 <= gap


@pytest.mark.parametrize("value", ["121", "999999999999", "9" * 50, "Fri, 31 Dec 9999 23:59:59 GMT"])
@pytest.mark.parametrize("status", [429, 503])
async def test_a_longer_wait_than_two_minutes_ends_the_request_unwaited_and_is_named(faultserver, status, value):
    door = faultserver.open(scripts.reply(status, b"no", ("Retry-After", value)))
    frame = await run([door.url()])
    assert door.count() == 1
    assert frame["attempts"][0] == 1
    assert "Retry-After" in frame["error_detail"][0]


async def test_429_pauses_its_host_for_all_runs_and_no_other_host(faultserver):
    busy = faultserver.open(
        routes({"/limited": scripts.each(scripts.reply(429, b"no", ("Retry-After", "2")), scripts.reply())}, scripts.reply())
    )
    free = faultserver.open(scripts.reply())
    first = asyncio.create_task(fastreq_async([busy.url("/limited")], **QUIET))
    while not (last_run() and any(flying.attempts for flying in last_run().under_way())):  # noqa: ASYNC110 - an answer on its way
        await asyncio.sleep(0.01)
    await fastreq_async([busy.url("/other"), free.url("/other")], **QUIET)
    await first
    asked = busy.times("/limited")[0]
    assert busy.times("/other")[0] - asked >= 2
    assert free.times("/other")[0] < busy.times("/other")[0]


async def test_503_pauses_its_request_and_after_five_in_a_row_its_host(faultserver):
    once = faultserver.open(
        routes({"/down": scripts.each(scripts.reply(503, b"no", ("Retry-After", "2")), scripts.reply())}, scripts.reply())
    )
    often = faultserver.open(
        routes({"/well": scripts.reply()}, scripts.fail_then(1, scripts.reply(503, b"no", ("Retry-After", "2")), scripts.reply()))
    )
    await asyncio.gather(
        fastreq_async([once.url("/down"), *(once.url(f"/{n}") for n in range(5))], concurrency=1, **QUIET),
        fastreq_async([*(often.url(f"/{n}") for n in range(5)), often.url("/well")], concurrency=1, **QUIET),
    )
    first, again = once.times("/down")
    assert again - first >= 2
    assert once.times("/0")[0] < again
    assert often.times("/well")[0] - often.times("/4")[0] >= 2


async def test_a_hundred_failures_together_do_not_come_back_in_step(faultserver):
    door = faultserver.open(scripts.fail_then(1, scripts.reply(503, b"no"), scripts.reply()))
    frame = await run([door.url(f"/{n}") for n in range(100)], concurrency=100)
    assert frame["ok"].all()
    waits = [outcome.attempts[0].retry_wait for outcome in last_run().outcomes]
    # What was decided: spread evenly over half a second a tenth sees 20.
    assert max(waits) - min(waits) >= 0.3
    assert max(sum(start <= wait < start + 0.1 for wait in waits) for start in waits) < 55


async def test_a_host_that_is_down_gets_single_attempts_until_one_succeeds(faultserver):
    levels = []

    async def down(call):
        levels.append(0)
        # The first and one of the last wait for company, however late it comes.
        while call.door.in_flight < {1: 6, 100: 2}.get(call.number, 0):  # noqa: ASYNC110 - others' requests
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.02)
        levels[call.number - 1] = call.door.in_flight
        healthy = call.number > 60
        await scripts.reply(200 if healthy else 503, b"x")(call)

    door = faultserver.open(down)
    frame = await run([door.url(f"/{n}") for n in range(120)], concurrency=10, max_retries=0)
    assert len(frame) == 120
    assert max(levels[:20]) > 5
    # 20 failures in a row; up to nine more were on their way
    assert set(levels[30:60]) == {1}
    assert max(levels[65:]) > 1
    assert last_run().summary()["breaker"]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_host_that_refuses_us_twenty_times_is_left_alone(faultserver, status):
    door = faultserver.open(scripts.reply(status, b"no"))
    frame = await run([door.url(f"/{n}") for n in range(100)], concurrency=5)
    assert 20 <= door.count() <= 25
    kinds = frame["error"].value_counts().to_dict()
    assert set(kinds) == {f"http {status}", "stopped"}
    assert kinds["stopped"] == 100 - door.count()


async def test_the_stop_after_refusals_can_be_turned_off(faultserver):
    door = faultserver.open(scripts.reply(401, b"no"))
    await run([door.url(f"/{n}") for n in range(60)], max_failures="none")
    assert door.count() == 60


async def test_thirty_percent_random_failures_deliver_all_that_three_retries_can(faultserver):
    kinds = list(FAILURES.values())[:4]
    outcomes = {}

    async def flaky(call):
        failed = call.random.random() < 0.3
        outcomes.setdefault(call.request.target, []).append(not failed)
        await (call.random.choice(kinds) if failed else scripts.echo(lambda c: c.request.target.encode()))(call)

    doors = {backend: faultserver.open(flaky, seed=number) for number, backend in enumerate(BACKENDS)}

    async def each():
        runs = [fastreq_async([doors[b].url(f"/{b}/{n}") for n in range(40)], backend=b, concurrency=10, **QUIET) for b in BACKENDS]
        return await asyncio.gather(*runs)

    for backend, frame in zip(BACKENDS, await each(), strict=True):
        told = {f"/{backend}/{n}": ok for n, ok in enumerate(frame["ok"])}
        assert told == {path: any(outcomes[path]) for path in told}
        assert all(len(tries) == (tries.index(True) + 1 if any(tries) else 4) for path, tries in outcomes.items() if path in told)
        good = frame["ok"].to_numpy()
        assert list(frame["data"][good]) == [path for path, ok in told.items() if ok]


@ALL
async def test_an_attempt_that_timed_out_lets_go_of_its_connection(faultserver, backend):
    door = faultserver.open(scripts.hangs(scripts.head(200, ("Content-Length", "10"))))
    frame = await run([door.url()], backend=backend, timeout=0.5, max_retries=0)
    assert frame["error"][0] == "timeout"
    assert door.wait(lambda d: d.open_links == 0)
