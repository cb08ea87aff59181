"""Cookies go where they belong; redirects are followed as said and carry no secret abroad; on every backend."""

import base64
import inspect

import pytest
from faultserver import scripts
from faultserver.certificates import ca_file
from faultserver.faults.routing import moved
from faultserver.measure import BACKENDS
from faultserver.server import routes

from fastreq_jupyter import FastRequests, Request, fastreq_async, last_run

ALL = pytest.mark.parametrize("backend", BACKENDS)
QUIET = {"progress": "none", "timeout": 5, "max_retries": 0}


async def run(requests, **options):
    return await fastreq_async(requests, **{**QUIET, **options})


def basic(pair):
    return "Basic " + base64.b64encode(pair.encode()).decode()


def sets_cookie(value):
    return scripts.reply(200, b"set", ("Set-Cookie", value))


@ALL
async def test_a_plain_run_starts_without_cookies_and_keeps_none_for_the_next(faultserver, backend):
    door = faultserver.open(sets_cookie("a=1; Path=/"))
    for path in ("/one", "/two"):
        await fastreq_async([door.url(path)], backend=backend, **QUIET)
    assert [arrival.header("cookie") for arrival in door.arrivals] == [None, None]


@ALL
async def test_a_client_keeps_its_cookies_by_host(faultserver, backend):
    door = faultserver.open(sets_cookie("a=1; Path=/"))
    other = faultserver.open(scripts.reply(), host="127.0.0.2")
    async with FastRequests(backend=backend, **QUIET) as client:
        await client.request([door.url("/one")])
        await client.request([door.url("/two")])
        await client.request([other.url("/three")])
        await client.reset_cookies() if inspect.iscoroutinefunction(client.reset_cookies) else client.reset_cookies()
        await client.request([door.url("/four")])
    assert [arrival.header("cookie") for arrival in door.arrivals] == [None, "a=1", None]
    assert other.arrivals[0].header("cookie") is None


@ALL
async def test_a_cookie_set_by_a_redirect_is_sent_to_the_next_hop(faultserver, backend):
    login = scripts.raw(scripts.head(302, ("Location", "/in"), ("Set-Cookie", "sid=7; Path=/"), ("Content-Length", "0")), keep=True)
    door = faultserver.open(routes({"/login": login, "/in": scripts.reply()}))
    assert (await run([door.url("/login")], backend=backend))["ok"][0]
    assert door.arrivals[1].header("cookie") == "sid=7"


@ALL
async def test_given_cookies_go_to_the_given_origins_only(faultserver, backend):
    far = faultserver.open(scripts.reply(), host="127.0.0.2")
    door = faultserver.open(routes({"/": moved(far.url("/far"))}))
    await run([door.url()], backend=backend, cookies={"canary": "1"})
    assert door.arrivals[0].header("cookie") == "canary=1"
    assert far.arrivals[0].header("cookie") is None


@ALL
@pytest.mark.parametrize(
    "value", ["a=1; Domain=127.0.0.2", "a=1; Domain=0.1", "a=1; Domain=localhost", "a=1; Secure", "__Host-a=1; Path=/"]
)
async def test_a_cookie_for_another_place_is_not_kept(faultserver, backend, value):
    door = faultserver.open(sets_cookie(value))
    others = [faultserver.open(scripts.reply(), host=host) for host in ("127.0.0.1", "127.0.0.2")]
    async with FastRequests(backend=backend, **QUIET) as client:
        for url in (door.url(), door.url(), others[0].url(), others[1].url()):
            await client.request([url])
    seen = [arrival.header("cookie") for place in (door, *others) for arrival in place.arrivals]
    assert seen == [None] * 4


SECRETS = {
    "Authorization": "Bearer canary",
    "Cookie": "sid=canary",
    "X-Api-Key": "canary",
    "Proxy-Authorization": "Basic canary",
    "X-Auth-Token": "canary",
}


@ALL
@pytest.mark.parametrize("way", ["another port", "another host", "https to http", "http to https"])
async def test_no_secret_follows_a_redirect_to_another_origin(faultserver, backend, way):
    far_tls, near_tls = ("good" if way == "http to https" else None), ("good" if way == "https to http" else None)
    far = faultserver.open(scripts.reply(), tls=far_tls, host="127.0.0.2" if way == "another host" else "127.0.0.1")
    near = faultserver.open(moved(far.url("/far")), tls=near_tls)
    requests = [Request("GET", near.url("/?token=canary"), headers={**SECRETS, "X-Plain": "stays"})]
    frame = await run(requests, backend=backend, auth="canary2", cookies={"c": "canary3"}, verify_ssl=ca_file())
    assert frame["ok"][0], frame["error_detail"][0]
    assert near.arrivals[0].header("x-api-key") == "canary"
    assert "canary" not in str(far.arrivals[0].headers)
    assert far.arrivals[0].header("x-plain") == "stays"


@ALL
async def test_userinfo_does_not_follow_a_redirect_to_another_origin(faultserver, backend):
    far = faultserver.open(scripts.reply(), host="127.0.0.2")
    near = faultserver.open(moved(far.url("/far")))
    await run([f"http://user:canary@127.0.0.1:{near.port}/"], backend=backend)
    assert near.arrivals[0].header("authorization") == basic("user:canary")
    assert far.arrivals[0].header("authorization") is None
    assert far.arrivals[0].header("referer") is None


@ALL
async def test_secrets_stay_with_a_redirect_within_the_origin_and_do_not_come_back_from_abroad(faultserver, backend):
    far = faultserver.open(routes({}, scripts.reply()), host="127.0.0.2")
    near = faultserver.open(routes({"/a": moved("/b"), "/b": moved(far.url("/back")), "/c": scripts.reply()}))
    far.script = moved(near.url("/c"))
    await run([Request("GET", near.url("/a"), headers=SECRETS)], backend=backend)
    assert [arrival.header("x-api-key") for arrival in near.arrivals] == ["canary", "canary", None]


@ALL
async def test_redirects_that_are_not_followed_are_the_answer(faultserver, backend):
    door = faultserver.open(moved("/next"))
    frame = await run([door.url()], backend=backend, follow_redirects=False)
    assert (frame["status"][0], bool(frame["ok"][0]), door.count()) == (302, True, 1)


@ALL
async def test_each_redirect_that_was_followed_is_on_record(faultserver, backend):
    door = faultserver.open(routes({"/a": moved("/b"), "/b": moved("/c", 307), "/c": scripts.reply(200, b"there")}))
    await run(door.url("/a"), backend=backend)
    (outcome,) = last_run().outcomes
    assert outcome.attempts[0].redirects == ((302, door.url("/b")), (307, door.url("/c")))


@ALL
async def test_max_redirects_counts_what_is_followed(faultserver, backend):
    async def on(call):
        await moved(f"/{call.number}")(call)

    doors = [faultserver.open(on) for _ in range(2)]
    for limit, door in enumerate(doors):
        assert (await run([door.url()], backend=backend, max_redirects=limit))["error"][0] == "too many redirects"
        assert door.count() == limit + 1


@ALL
async def test_a_redirect_never_opens_a_file_or_another_scheme(faultserver, backend, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("canary")
    doors = [faultserver.open(moved(there)) for there in (f"file://{secret}", "ftp://127.0.0.1/x", "data:text/plain,canary")]
    frame = await run([door.url() for door in doors], backend=backend)
    assert list(frame["error"]) == ["redirect refused"] * 3
    assert frame["data"].isna().all()
