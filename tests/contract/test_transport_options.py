"""TLS, proxies, cookies, redirects, environment: each option does what its name says, on every backend, and nothing else happens."""

import asyncio
import base64
import socket

import pytest
from faultserver import proxies, scripts
from faultserver.certificates import ca_file, client_files, watched_context
from faultserver.faults.routing import moved
from faultserver.measure import BACKENDS
from faultserver.server import routes

from fastreq_jupyter import FastRequests, Request, fastreq_async
from fastreq_jupyter.errors import OptionError

ALL = pytest.mark.parametrize("backend", BACKENDS)
QUIET = {"progress": "none", "timeout": 5, "max_retries": 0}
BAD = ("selfsigned", "stranger", "expired", "wronghost")
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def run(requests, **options):
    return asyncio.run(fastreq_async(requests, **{**QUIET, **options}))


def basic(pair):
    return "Basic " + base64.b64encode(pair.encode()).decode()


# TLS


@ALL
@pytest.mark.filterwarnings("default")
def test_without_verification_every_certificate_will_do(faultserver, backend):
    doors = [faultserver.open(scripts.reply(), tls=kind) for kind in (*BAD, "good")]
    frame = run([door.url() for door in doors], backend=backend, verify_ssl=False)
    assert frame["ok"].all(), frame["error_detail"]


@ALL
def test_by_default_a_certificate_of_an_unknown_authority_is_refused(faultserver, backend):
    door = faultserver.open(scripts.reply(), tls="good")
    assert run([door.url()], backend=backend)["error"][0] == "tls"
    assert door.count() == 0


@ALL
def test_a_ca_bundle_trusts_its_authority_and_no_other(faultserver, backend):
    good, stranger = (faultserver.open(scripts.reply(), tls=kind) for kind in ("good", "stranger"))
    frame = run([good.url(), stranger.url()], backend=backend, verify_ssl=ca_file())
    assert list(frame["error"].fillna("")) == ["", "tls"]


@ALL
def test_a_failed_verification_is_not_retried(faultserver, backend):
    door = faultserver.open(scripts.reply(), tls="selfsigned")
    frame = run([door.url()], backend=backend, max_retries=3)
    assert (frame["error"][0], frame["attempts"][0]) == ("tls", 1)


@ALL
def test_a_ca_bundle_that_cannot_be_read_is_refused_before_anything_is_sent(faultserver, backend, tmp_path):
    door = faultserver.open(scripts.reply(), tls="good")
    broken = tmp_path / "ca.pem"
    broken.write_text("nothing")
    for path in (broken, tmp_path / "missing.pem"):
        with pytest.raises(OptionError, match="verify_ssl"):
            run([door.url()], backend=backend, verify_ssl=str(path))
    assert door.links == []


@ALL
def test_a_client_certificate_is_shown_to_the_server(faultserver, backend):
    door = faultserver.open(scripts.reply(), tls="client")
    assert run([door.url()], backend=backend, verify_ssl=ca_file(), cert=client_files())["ok"][0]
    assert run([door.url()], backend=backend, verify_ssl=ca_file())["error"][0] == "tls"


@ALL
@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_ca_bundles_of_the_environment_are_never_read(faultserver, backend, monkeypatch, variable):
    monkeypatch.setenv(variable, ca_file())
    door = faultserver.open(scripts.reply(), tls="good")
    assert run([door.url()], backend=backend)["error"][0] == "tls"


@ALL
def test_a_ca_bundle_of_the_environment_that_is_missing_harms_nobody(faultserver, backend, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    monkeypatch.setenv("CURL_CA_BUNDLE", "/nowhere/ca.pem")
    door = faultserver.open(scripts.reply(), tls="good")
    assert run([door.url()], backend=backend, verify_ssl=ca_file())["ok"][0]


# traffic nobody asked for


@ALL
def test_netrc_is_never_read(faultserver, backend, monkeypatch, tmp_path):
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login canary password canary\ndefault login canary password canary\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    door = faultserver.open(scripts.reply())
    run([door.url()], backend=backend)
    assert door.arrivals[0].header("authorization") is None


@ALL
def test_an_advertised_http3_gets_no_packet(faultserver, backend):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(0.3)
        said = ("Alt-Svc", f'h3="127.0.0.1:{udp.getsockname()[1]}"; ma=3600, h3=":{udp.getsockname()[1]}"')
        door = faultserver.open(scripts.reply(200, b"ok", said), tls="good")

        async def thrice():
            for _ in range(3):
                frame = await fastreq_async([door.url(), door.url("/2")], backend=backend, verify_ssl=ca_file(), **QUIET)
            return frame

        assert asyncio.run(thrice())["ok"].all()
        with pytest.raises(TimeoutError):
            udp.recv(2048)


@ALL
def test_neither_ocsp_nor_crl_servers_are_asked(faultserver, backend):
    watcher = faultserver.open(scripts.reply())
    context, authority = watched_context(watcher.url("/status"))
    door = faultserver.open(scripts.reply(), tls=context)
    assert run([door.url()], backend=backend, verify_ssl=authority)["ok"][0]
    assert watcher.links == []


@ALL
def test_a_request_carries_no_field_but_those_we_say(faultserver, backend):
    door = faultserver.open(scripts.reply())
    run([door.url()], backend=backend)
    names = {name.lower() for name, _ in door.arrivals[0].headers}
    assert names <= {"host", "user-agent", "accept", "accept-encoding", "connection"}


@ALL
def test_user_agent_and_encodings_are_the_same_on_each_backend(faultserver, backend):
    doors = [faultserver.open(scripts.reply()) for _ in range(2)]
    run([doors[0].url()], backend=backend)
    run([doors[1].url()], backend="aiohttp")
    mine, reference = (door.arrivals[0] for door in doors)
    for name in ("user-agent", "accept", "accept-encoding"):
        assert mine.header(name) == reference.header(name)


# proxies


def open_proxy(faultserver, kind="http", **how):
    log = proxies.ProxyLog()
    make = proxies.socks_proxy if kind == "socks5" else proxies.http_proxy
    door = faultserver.open(raw=make(log, **how))
    return log, door.port


@ALL
@pytest.mark.parametrize("tls", [None, "good"])
@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_a_proxy_carries_the_request_with_its_credentials_and_resolves_the_name(faultserver, backend, kind, tls):
    log, port = open_proxy(faultserver, kind, credentials="us er:p@ss")
    door = faultserver.open(scripts.reply(200, b"through"), tls=tls)
    host = "localhost" if tls else "somewhere.test"
    frame = run([door.url("/x?y", host=host)], backend=backend, proxy=f"{kind}://us%20er:p%40ss@127.0.0.1:{port}", verify_ssl=ca_file())
    assert list(frame["data"]) == ["through"], frame["error_detail"][0]
    assert log.credentials == ["us er:p@ss"]
    assert log.targets[0] in {f"{host}:{door.port}", f"http://{host}:{door.port}/x?y"}
    assert door.arrivals[0].target == "/x?y"
    assert door.arrivals[0].header("proxy-authorization") is None


@ALL
@pytest.mark.parametrize("kind", ["http", "socks5"])
@pytest.mark.parametrize("fault", ["silent", "closes", "resets", "garbage", "refuses", "dead"])
@pytest.mark.parametrize("tls", [None, "good"])
def test_a_proxy_that_fails_is_never_bypassed(faultserver, backend, kind, fault, tls):
    port = faultserver.refused_port() if fault == "dead" else open_proxy(faultserver, kind, fault=fault)[1]
    door = faultserver.open(scripts.reply(), tls=tls)
    frame = run([door.url()], backend=backend, proxy=f"{kind}://127.0.0.1:{port}", timeout=1, verify_ssl=ca_file())
    assert not frame["ok"][0]
    assert door.links == []


@ALL
def test_secrets_of_a_tls_request_never_reach_the_http_proxy(faultserver, backend):
    log, port = open_proxy(faultserver)
    door = faultserver.open(scripts.reply(), tls="good")
    run([door.url("/?token=canary")], backend=backend, proxy=f"http://127.0.0.1:{port}", auth="canary", verify_ssl=ca_file())
    assert door.arrivals[0].header("authorization") == "Bearer canary"
    assert log.methods == ["CONNECT"]
    assert "canary" not in str(log.headers) + str(log.targets)


@ALL
@pytest.mark.parametrize("spelling", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_the_environments_proxy_is_used_in_each_spelling(faultserver, backend, monkeypatch, spelling):
    log, port = open_proxy(faultserver)
    door = faultserver.open(scripts.reply())
    monkeypatch.setenv(spelling, f"http://127.0.0.1:{port}")
    assert run([door.url(host="somewhere.test")], backend=backend)["ok"][0]
    assert len(log.targets) == 1


@ALL
@pytest.mark.parametrize("spelling", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_the_environments_proxy_for_https_is_used_in_each_spelling(faultserver, backend, monkeypatch, spelling):
    log, port = open_proxy(faultserver)
    door = faultserver.open(scripts.reply(), tls="good")
    monkeypatch.setenv(spelling, f"http://127.0.0.1:{port}")
    assert run([door.url()], backend=backend, verify_ssl=ca_file())["ok"][0]
    assert log.methods == ["CONNECT"]


@ALL
def test_the_lower_case_variable_wins(faultserver, backend, monkeypatch):
    (lower, lower_port), (upper, upper_port) = open_proxy(faultserver), open_proxy(faultserver)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{upper_port}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{lower_port}")
    run([faultserver.open(scripts.reply()).url(host="somewhere.test")], backend=backend)
    assert (len(lower.targets), len(upper.targets)) == (1, 0)


@ALL
@pytest.mark.parametrize("spelling", ["no_proxy", "NO_PROXY"])
def test_no_proxy_goes_direct(faultserver, backend, monkeypatch, spelling):
    log, port = open_proxy(faultserver)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
    monkeypatch.setenv(spelling, "example.org,127.0.0.1")
    assert run([faultserver.open(scripts.reply()).url()], backend=backend)["ok"][0]
    assert log.targets == []


@ALL
def test_proxy_none_ignores_the_environment(faultserver, backend, monkeypatch):
    log, port = open_proxy(faultserver)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
    assert run([faultserver.open(scripts.reply()).url()], backend=backend, proxy="none")["ok"][0]
    assert log.targets == []


# cookies


def sets_cookie(value):
    return scripts.reply(200, b"set", ("Set-Cookie", value))


@ALL
def test_a_plain_run_starts_without_cookies_and_keeps_none_for_the_next(faultserver, backend):
    door = faultserver.open(sets_cookie("a=1; Path=/"))

    async def twice():
        for path in ("/one", "/two"):
            await fastreq_async([door.url(path)], backend=backend, **QUIET)

    asyncio.run(twice())
    assert [arrival.header("cookie") for arrival in door.arrivals] == [None, None]


@ALL
def test_a_client_keeps_its_cookies_by_host(faultserver, backend):
    door = faultserver.open(sets_cookie("a=1; Path=/"))
    other = faultserver.open(scripts.reply(), host="127.0.0.2")

    async def visit():
        async with FastRequests(backend=backend, **QUIET) as client:
            await client.request([door.url("/one")])
            await client.request([door.url("/two")])
            await client.request([other.url("/three")])
            await client.reset_cookies() if asyncio.iscoroutinefunction(client.reset_cookies) else client.reset_cookies()
            await client.request([door.url("/four")])

    asyncio.run(visit())
    assert [arrival.header("cookie") for arrival in door.arrivals] == [None, "a=1", None]
    assert other.arrivals[0].header("cookie") is None


@ALL
def test_a_cookie_set_by_a_redirect_is_sent_to_the_next_hop(faultserver, backend):
    login = scripts.raw(scripts.head(302, ("Location", "/in"), ("Set-Cookie", "sid=7; Path=/"), ("Content-Length", "0")), keep=True)
    door = faultserver.open(routes({"/login": login, "/in": scripts.reply()}))
    assert run([door.url("/login")], backend=backend)["ok"][0]
    assert door.arrivals[1].header("cookie") == "sid=7"


@ALL
def test_given_cookies_go_to_the_given_origins_only(faultserver, backend):
    far = faultserver.open(scripts.reply(), host="127.0.0.2")
    door = faultserver.open(routes({"/": moved(far.url("/far"))}))
    run([door.url()], backend=backend, cookies={"canary": "1"})
    assert door.arrivals[0].header("cookie") == "canary=1"
    assert far.arrivals[0].header("cookie") is None


@ALL
@pytest.mark.parametrize(
    "value", ["a=1; Domain=127.0.0.2", "a=1; Domain=0.1", "a=1; Domain=localhost", "a=1; Secure", "__Host-a=1; Path=/"]
)
def test_a_cookie_for_another_place_is_not_kept(faultserver, backend, value):
    door = faultserver.open(sets_cookie(value))
    others = [faultserver.open(scripts.reply(), host=host) for host in ("127.0.0.1", "127.0.0.2")]

    async def visit():
        async with FastRequests(backend=backend, **QUIET) as client:
            for url in (door.url(), door.url(), others[0].url(), others[1].url()):
                await client.request([url])

    asyncio.run(visit())
    seen = [arrival.header("cookie") for place in (door, *others) for arrival in place.arrivals]
    assert seen == [None] * 4


# redirects

SECRETS = {
    "Authorization": "Bearer canary",
    "Cookie": "sid=canary",
    "X-Api-Key": "canary",
    "Proxy-Authorization": "Basic canary",
    "X-Auth-Token": "canary",
}


@ALL
@pytest.mark.parametrize("way", ["another port", "another host", "https to http", "http to https"])
def test_no_secret_follows_a_redirect_to_another_origin(faultserver, backend, way):
    far_tls, near_tls = ("good" if way == "http to https" else None), ("good" if way == "https to http" else None)
    far = faultserver.open(scripts.reply(), tls=far_tls, host="127.0.0.2" if way == "another host" else "127.0.0.1")
    near = faultserver.open(moved(far.url("/far")), tls=near_tls)
    requests = [Request("GET", near.url("/?token=canary"), headers={**SECRETS, "X-Plain": "stays"})]
    frame = run(requests, backend=backend, auth="canary2", cookies={"c": "canary3"}, verify_ssl=ca_file())
    assert frame["ok"][0], frame["error_detail"][0]
    assert near.arrivals[0].header("x-api-key") == "canary"
    assert "canary" not in str(far.arrivals[0].headers)
    assert far.arrivals[0].header("x-plain") == "stays"


@ALL
def test_userinfo_does_not_follow_a_redirect_to_another_origin(faultserver, backend):
    far = faultserver.open(scripts.reply(), host="127.0.0.2")
    near = faultserver.open(moved(far.url("/far")))
    run([f"http://user:canary@127.0.0.1:{near.port}/"], backend=backend)
    assert near.arrivals[0].header("authorization") == basic("user:canary")
    assert far.arrivals[0].header("authorization") is None
    assert far.arrivals[0].header("referer") is None


@ALL
def test_secrets_stay_with_a_redirect_within_the_origin_and_do_not_come_back_from_abroad(faultserver, backend):
    far = faultserver.open(routes({}, scripts.reply()), host="127.0.0.2")
    near = faultserver.open(routes({"/a": moved("/b"), "/b": moved(far.url("/back")), "/c": scripts.reply()}))
    far.script = moved(near.url("/c"))
    run([Request("GET", near.url("/a"), headers=SECRETS)], backend=backend)
    assert [arrival.header("x-api-key") for arrival in near.arrivals] == ["canary", "canary", None]


@ALL
def test_redirects_that_are_not_followed_are_the_answer(faultserver, backend):
    door = faultserver.open(moved("/next"))
    frame = run([door.url()], backend=backend, follow_redirects=False)
    assert (frame["status"][0], bool(frame["ok"][0]), door.count()) == (302, True, 1)


@ALL
def test_max_redirects_counts_what_is_followed(faultserver, backend):
    async def on(call):
        await moved(f"/{call.number}")(call)

    doors = [faultserver.open(on) for _ in range(2)]
    for limit, door in enumerate(doors):
        assert run([door.url()], backend=backend, max_redirects=limit)["error"][0] == "too many redirects"
        assert door.count() == limit + 1


@ALL
def test_a_redirect_never_opens_a_file_or_another_scheme(faultserver, backend, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("canary")
    doors = [faultserver.open(moved(there)) for there in (f"file://{secret}", "ftp://127.0.0.1/x", "data:text/plain,canary")]
    frame = run([door.url() for door in doors], backend=backend)
    assert list(frame["error"]) == ["redirect refused"] * 3
    assert frame["data"].isna().all()
