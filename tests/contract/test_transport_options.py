"""TLS on every backend does what its options say, and no traffic happens that nobody asked for."""

import asyncio
import socket
import threading

import pytest
from faultserver import scripts
from faultserver.certificates import ca_file, client_files, watched_context
from faultserver.measure import BACKENDS

from fastreq_jupyter import fastreq_async, submit
from fastreq_jupyter.errors import OptionError

ALL = pytest.mark.parametrize("backend", BACKENDS)
QUIET = {"progress": "none", "timeout": 5, "max_retries": 0}


async def run(requests, **options):
    return await fastreq_async(requests, **{**QUIET, **options})


BAD = ("selfsigned", "stranger", "expired", "wronghost")


@ALL
@pytest.mark.filterwarnings("default")
async def test_without_verification_every_certificate_will_do(faultserver, backend):
    doors = [faultserver.open(scripts.reply(), tls=kind) for kind in (*BAD, "good")]
    frame = await run([door.url() for door in doors], backend=backend, verify_ssl=False)
    assert frame["ok"].all(), frame["error_detail"]


@ALL
async def test_by_default_a_certificate_of_an_unknown_authority_is_refused(faultserver, backend):
    door = faultserver.open(scripts.reply(), tls="good")
    assert (await run([door.url()], backend=backend))["error"][0] == "tls"
    assert door.count() == 0


@ALL
async def test_a_ca_bundle_trusts_its_authority_and_no_other(faultserver, backend):
    good, stranger = (faultserver.open(scripts.reply(), tls=kind) for kind in ("good", "stranger"))
    frame = await run([good.url(), stranger.url()], backend=backend, verify_ssl=ca_file())
    assert list(frame["error"].fillna("")) == ["", "tls"]


@ALL
async def test_a_failed_verification_is_not_retried(faultserver, backend):
    door = faultserver.open(scripts.reply(), tls="selfsigned")
    frame = await run([door.url()], backend=backend, max_retries=3)
    assert (frame["error"][0], frame["attempts"][0]) == ("tls", 1)


@ALL
async def test_a_ca_bundle_that_cannot_be_read_is_refused_before_anything_is_sent(faultserver, backend, tmp_path):
    door = faultserver.open(scripts.reply(), tls="good")
    broken = tmp_path / "ca.pem"
    broken.write_text("nothing")
    for path in (broken, tmp_path / "missing.pem"):
        with pytest.raises(OptionError, match="verify_ssl"):
            await run([door.url()], backend=backend, verify_ssl=str(path))
    assert door.links == []


@ALL
async def test_a_client_certificate_is_shown_to_the_server(faultserver, backend):
    door = faultserver.open(scripts.reply(), tls="client")
    assert (await run([door.url()], backend=backend, verify_ssl=ca_file(), cert=client_files()))["ok"][0]
    assert not (await run([door.url()], backend=backend, verify_ssl=ca_file()))["ok"][0]


@ALL
@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
async def test_ca_bundles_of_the_environment_are_never_read_but_offered(faultserver, backend, monkeypatch, variable):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, ca_file())
    door = faultserver.open(scripts.reply(), tls="good")
    row = (await run([door.url()], backend=backend)).iloc[0]
    assert row["error"] == "tls"
    assert row["error_detail"].endswith(f"{variable} is not read by itself: verify_ssl={ca_file()!r} (--ca) trusts what it names")
    monkeypatch.setenv(variable, "/nowhere/ca.pem")
    assert variable not in (await run([door.url()], backend=backend))["error_detail"][0]


@ALL
async def test_a_ca_bundle_of_the_environment_that_is_missing_harms_nobody(faultserver, backend, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    monkeypatch.setenv("CURL_CA_BUNDLE", "/nowhere/ca.pem")
    door = faultserver.open(scripts.reply(), tls="good")
    assert (await run([door.url()], backend=backend, verify_ssl=ca_file()))["ok"][0]


@ALL
async def test_netrc_is_never_read(faultserver, backend, monkeypatch, tmp_path):
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login canary password canary\ndefault login canary password canary\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    door = faultserver.open(scripts.reply())
    await run([door.url()], backend=backend)
    assert door.arrivals[0].header("authorization") is None


@ALL
async def test_an_advertised_http3_gets_no_packet(faultserver, backend):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(0.3)
        said = ("Alt-Svc", f'h3="127.0.0.1:{udp.getsockname()[1]}"; ma=3600, h3=":{udp.getsockname()[1]}"')
        door = faultserver.open(scripts.reply(200, b"ok", said), tls="good")

        async def thrice():
            for _ in range(3):
                frame = await fastreq_async([door.url(), door.url("/2")], backend=backend, verify_ssl=ca_file(), **QUIET)
            return frame

        assert (await thrice())["ok"].all()
        with pytest.raises(TimeoutError):
            udp.recv(2048)


@ALL
async def test_neither_ocsp_nor_crl_servers_are_asked(faultserver, backend):
    watcher = faultserver.open(scripts.reply())
    context, authority = watched_context(watcher.url("/status"))
    door = faultserver.open(scripts.reply(), tls=context)
    assert (await run([door.url()], backend=backend, verify_ssl=authority))["ok"][0]
    assert watcher.links == []


@ALL
async def test_a_request_carries_no_field_but_those_we_say(faultserver, backend):
    door = faultserver.open(scripts.reply())
    await run([door.url()], backend=backend)
    names = {name.lower() for name, _ in door.arrivals[0].headers}
    assert names <= {"host", "user-agent", "accept", "accept-encoding", "connection"}


@ALL
async def test_user_agent_and_encodings_are_the_same_on_each_backend(faultserver, backend):
    doors = [faultserver.open(scripts.reply()) for _ in range(2)]
    await run([doors[0].url()], backend=backend)
    await run([doors[1].url()], backend="aiohttp")
    mine, reference = (door.arrivals[0] for door in doors)
    for name in ("user-agent", "accept", "accept-encoding"):
        assert mine.header(name) == reference.header(name)


@ALL
async def test_raised_concurrency_raises_how_many_connections_are_kept(faultserver, backend):
    most, waiting = 150, []
    two, whole = threading.Event(), scripts.whole(200, b"hi")

    async def in_bursts(call):
        waiting.append(turn := asyncio.Event())
        if len(waiting) == 2:
            two.set()
        if len(waiting) == most:
            # All at once: a library that keeps fewer closes the rest now, and opens others for the next burst.
            for other in waiting:
                other.set()
            waiting.clear()
        await turn.wait()
        await call.send(whole)

    door = faultserver.open(in_bursts)

    run = submit([door.url(f"/{number}") for number in range(4 * most)], backend=backend, concurrency=2, max_retries=0)
    await asyncio.to_thread(two.wait, 60)
    run.update(concurrency=most)
    assert (await run)["ok"].all()
    # Those in flight when it was raised may end on a pool that is left behind.
    assert len(door.links) <= most + 2
