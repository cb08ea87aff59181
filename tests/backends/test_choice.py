"""Which backend is taken, which are refused, and where a run lives whose loop does not watch sockets."""

import asyncio

import pytest
from serving.counting import CountingServer

from fastreq_jupyter import FastRequests, fastreq, fastreq_async, last_run, submit
from fastreq_jupyter.backends import base
from fastreq_jupyter.backends.base import LIBRARIES, NAMES, detect
from fastreq_jupyter.errors import OptionError

QUIET = {"progress": "none", "proxy": "none"}
ASKED = {
    "http2": {"http2": True},
    "http3": {"http3": True},
    **{scheme: {"proxy": f"{scheme}://127.0.0.1:1"} for scheme in ("http", "https", "socks4", "socks5")},
}


@pytest.fixture
def installed(monkeypatch):
    """Say which libraries are installed."""

    def only(*names):
        modules = {LIBRARIES[name].module for name in names}
        monkeypatch.setattr(base, "find_spec", lambda module: object() if module in modules else None)

    return only


def test_every_backend_has_its_row():
    assert tuple(LIBRARIES) == NAMES


def test_auto_takes_the_first_installed(installed):
    for number in range(len(NAMES)):
        installed(*NAMES[number:])
        assert detect() == NAMES[number]


@pytest.mark.parametrize("feature", ASKED)
def test_auto_takes_the_first_that_can_do_what_is_asked(feature):
    able = [name for name in NAMES if feature in LIBRARIES[name].can]
    assert detect(**ASKED[feature]) == able[0]


@pytest.mark.parametrize("feature", ASKED)
@pytest.mark.parametrize("name", NAMES)
def test_backend_that_cannot_is_refused_with_the_name_of_one_that_can(name, feature):
    if feature in LIBRARIES[name].can:
        assert detect(name, **ASKED[feature]) == name
        return
    with pytest.raises(OptionError) as caught:
        detect(name, **ASKED[feature])
    line = str(caught.value)
    assert "\n" not in line
    assert "127.0.0.1" not in line
    assert all(repr(other) in line for other in NAMES if feature in LIBRARIES[other].can)


def test_missing_library_is_told_with_what_installs_it(installed):
    installed("aiohttp")
    with pytest.raises(OptionError, match=r"pip install 'fastreq-jupyter\[curl\]'"):
        detect("curl")
    with pytest.raises(OptionError, match=r"pip install 'fastreq-jupyter\[curl\]'"):
        detect(http3=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"backend": "aiohttp", "http2": True}, "give backend='curl'"),
        ({"backend": "requests", "http3": True}, "give backend='curl'"),
        ({"backend": "aiohttp", "proxy": "socks4://u:s3cr3t@127.0.0.1:1"}, "give backend='curl'"),
        ({"connect_timeout": 31}, "at most timeout"),
        ({"connect_timeout": "2min", "timeout": 60}, "at most timeout, 60 s"),
        ({"http2": True, "http3": True}, "exclude each other"),
    ],
)
def test_run_that_cannot_be_done_is_refused_before_anything_is_sent(options, words):
    with CountingServer() as server:
        with pytest.raises(OptionError) as caught:
            fastreq(server.url, **{**QUIET, **options})
        assert words in str(caught.value)
        assert "s3cr3t" not in str(caught.value)


class _WithoutSockets(asyncio.SelectorEventLoop):
    """As Windows' default loop is."""

    add_reader, remove_reader = asyncio.AbstractEventLoop.add_reader, asyncio.AbstractEventLoop.remove_reader
    add_writer, remove_writer = asyncio.AbstractEventLoop.add_writer, asyncio.AbstractEventLoop.remove_writer


def _run(scenario):
    with asyncio.Runner(loop_factory=_WithoutSockets) as runner:
        return runner.run(scenario)


def test_curl_run_goes_to_the_service_thread_where_the_loop_does_not_watch_sockets():
    pytest.importorskip("pycurl")

    async def scenario(url):
        here = asyncio.get_running_loop()
        frame = await fastreq_async([url, url], backend="curl", **QUIET)
        assert list(frame["ok"]) == [True, True]
        assert last_run().loop is not here
        run = submit([url], backend="curl", proxy="none")
        assert list((await run)["ok"]) == [True]
        assert run.loop is not here

    with CountingServer() as server:
        _run(scenario(server.url))


def test_auto_takes_another_backend_where_the_loop_does_not_watch_sockets():
    async def scenario(url):
        frame = await fastreq_async([url], **QUIET)
        assert list(frame["ok"]) == [True]
        assert last_run().loop is asyncio.get_running_loop()
        assert detect() == "aiohttp"

    with CountingServer() as server:
        _run(scenario(server.url))


def test_curl_session_that_is_bound_to_such_a_loop_is_refused():
    pytest.importorskip("pycurl")

    async def scenario(url):
        async with FastRequests(backend="curl", **QUIET) as client:
            with pytest.raises(OptionError, match="give backend='aiohttp'"):
                await client.request([url])

    with CountingServer() as server:
        _run(scenario(server.url))
