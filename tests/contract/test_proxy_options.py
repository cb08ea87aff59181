"""Proxies, given or from the environment, on every backend: used as said, never gone past."""

import pytest
from faultserver import proxies, scripts
from faultserver.certificates import ca_file
from faultserver.measure import BACKENDS

from fastreq_jupyter import fastreq_async
from fastreq_jupyter.errors import OptionError

ALL = pytest.mark.parametrize("backend", BACKENDS)
QUIET = {"progress": "none", "timeout": 5, "max_retries": 0}


async def run(requests, **options):
    return await fastreq_async(requests, **{**QUIET, **options})


PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def open_proxy(faultserver, kind="http", **how):
    log = proxies.ProxyLog()
    make = proxies.socks_proxy if kind == "socks5" else proxies.http_proxy
    door = faultserver.open(raw=make(log, **how))
    return log, door.port


def skip_where_refused(backend, kind):
    if (backend, kind) == ("aiohttp", "socks5"):
        pytest.skip("aiohttp speaks no SOCKS: refused, see test_a_socks_proxy_is_refused_where_it_is_not_spoken")


async def test_a_socks_proxy_is_refused_where_it_is_not_spoken(faultserver):
    door = faultserver.open(scripts.reply())
    with pytest.raises(OptionError, match="give backend='curl'"):
        await run([door.url()], backend="aiohttp", proxy=f"socks5://user:canary@127.0.0.1:{faultserver.refused_port()}")
    assert door.links == []


@ALL
@pytest.mark.parametrize("tls", [None, "good"])
@pytest.mark.parametrize("kind", ["http", "socks5"])
async def test_a_proxy_carries_the_request_with_its_credentials_and_resolves_the_name(faultserver, backend, kind, tls):
    skip_where_refused(backend, kind)
    log, port = open_proxy(faultserver, kind, credentials="us er:p@ss")
    door = faultserver.open(scripts.reply(200, b"through"), tls=tls)
    host = "localhost" if tls else "somewhere.test"
    frame = await run(
        [door.url("/x?y", host=host)], backend=backend, proxy=f"{kind}://us%20er:p%40ss@127.0.0.1:{port}", verify_ssl=ca_file()
    )
    assert list(frame["data"]) == ["through"], frame["error_detail"][0]
    assert log.credentials == ["us er:p@ss"]
    assert log.targets[0] in {f"{host}:{door.port}", f"http://{host}:{door.port}/x?y"}
    assert door.arrivals[0].target == "/x?y"
    assert door.arrivals[0].header("proxy-authorization") is None


@ALL
@pytest.mark.parametrize("kind", ["http", "socks5"])
@pytest.mark.parametrize("fault", ["silent", "closes", "resets", "garbage", "refuses", "dead"])
@pytest.mark.parametrize("tls", [None, "good"])
async def test_a_proxy_that_fails_is_never_bypassed(faultserver, backend, kind, fault, tls):
    skip_where_refused(backend, kind)
    port = faultserver.refused_port() if fault == "dead" else open_proxy(faultserver, kind, fault=fault)[1]
    door = faultserver.open(scripts.reply(), tls=tls)
    frame = await run([door.url()], backend=backend, proxy=f"{kind}://127.0.0.1:{port}", timeout=1, verify_ssl=ca_file())
    assert not frame["ok"][0]
    assert door.links == []


@ALL
async def test_secrets_of_a_tls_request_never_reach_the_http_proxy(faultserver, backend):
    log, port = open_proxy(faultserver)
    door = faultserver.open(scripts.reply(), tls="good")
    await run([door.url("/?token=canary")], backend=backend, proxy=f"http://127.0.0.1:{port}", auth="canary", verify_ssl=ca_file())
    assert door.arrivals[0].header("authorization") == "Bearer canary"
    assert log.methods == ["CONNECT"]
    assert "canary" not in str(log.headers) + str(log.targets)


@ALL
@pytest.mark.parametrize("spelling", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
async def test_the_environments_proxy_is_used_in_each_spelling(faultserver, backend, monkeypatch, spelling):
    log, port = open_proxy(faultserver)
    door = faultserver.open(scripts.reply())
    monkeypatch.setenv(spelling, f"http://127.0.0.1:{port}")
    assert (await run([door.url(host="somewhere.test")], backend=backend))["ok"][0]
    assert len(log.targets) == 1


@ALL
@pytest.mark.parametrize("spelling", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY"])
async def test_the_environments_proxy_for_https_is_used_in_each_spelling(faultserver, backend, monkeypatch, spelling):
    log, port = open_proxy(faultserver)
    door = faultserver.open(scripts.reply(), tls="good")
    monkeypatch.setenv(spelling, f"http://127.0.0.1:{port}")
    assert (await run([door.url()], backend=backend, verify_ssl=ca_file()))["ok"][0]
    assert log.methods == ["CONNECT"]


@ALL
async def test_the_lower_case_variable_wins(faultserver, backend, monkeypatch):
    (lower, lower_port), (upper, upper_port) = open_proxy(faultserver), open_proxy(faultserver)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{upper_port}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{lower_port}")
    await run([faultserver.open(scripts.reply()).url(host="somewhere.test")], backend=backend)
    assert (len(lower.targets), len(upper.targets)) == (1, 0)


@ALL
@pytest.mark.parametrize("spelling", ["no_proxy", "NO_PROXY"])
async def test_no_proxy_goes_direct(faultserver, backend, monkeypatch, spelling):
    log, port = open_proxy(faultserver)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
    monkeypatch.setenv(spelling, "example.org,127.0.0.1")
    assert (await run([faultserver.open(scripts.reply()).url()], backend=backend))["ok"][0]
    assert log.targets == []


@ALL
async def test_proxy_none_ignores_the_environment(faultserver, backend, monkeypatch):
    log, port = open_proxy(faultserver)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
    assert (await run([faultserver.open(scripts.reply()).url()], backend=backend, proxy="none"))["ok"][0]
    assert log.targets == []
