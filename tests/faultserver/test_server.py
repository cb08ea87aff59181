"""The machine itself: what it logs, and that it breaks connections the way it says."""

import socket
import ssl
import time

import pytest

from faultserver import scripts
from faultserver.certificates import ca_file
from faultserver.server import routes


def talk(port, *parts, timeout=60.0, until_end=True):
    """Send bytes and return all that comes back until the end."""
    with socket.create_connection(("127.0.0.1", port), timeout) as raw:
        for part in parts:
            raw.sendall(part)
        got = b""
        while until_end or b"\r\n\r\n" not in got:
            data = raw.recv(65536)
            if not data:
                return got
            got += data
        return got


GET = b"GET /x?a=1 HTTP/1.1\r\nHost: h\r\nX-One: 1\r\n\r\n"
CLOSE = b"GET /last HTTP/1.1\r\nHost: h\r\n\r\n"


def test_a_request_is_logged_with_method_target_headers_body_and_time(faultserver):
    door = faultserver.open(scripts.raw(b"HTTP/1.1 200 OK\r\n\r\n"))
    before = time.monotonic()
    talk(door.port, b"POST /x?a=1 HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nContent-Length: 4\r\n\r\nbody")
    (arrival,) = door.arrivals
    assert (arrival.method, arrival.target, arrival.path, arrival.body, arrival.header("x-one")) == ("POST", "/x?a=1", "/x", b"body", "1")
    assert before <= arrival.at <= time.monotonic()


def test_a_chunked_request_body_is_put_together(faultserver):
    door = faultserver.open(scripts.raw(b"HTTP/1.1 200 OK\r\n\r\n"))
    talk(door.port, b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert door.arrivals[0].body == b"abcde"


def test_the_raw_bytes_of_a_script_arrive_unchanged(faultserver):
    said = b"HTTP/1.1 200 \xff\r\nBad Header\r\n\r\n\0"
    assert talk(faultserver.open(scripts.raw(said)).port, GET) == said


def test_one_connection_carries_several_requests_and_the_log_counts_them(faultserver):
    door = faultserver.open(scripts.once_per_link(scripts.reply(200, b"first"), scripts.raw(b"second")))
    got = talk(door.port, GET, CLOSE)
    assert got.endswith(b"firstsecond")
    assert [(a.link.number, a.nth_on_link) for a in door.arrivals] == [(1, 1), (1, 2)]


def test_a_reset_is_a_reset_not_an_end(faultserver):
    door = faultserver.open(scripts.resets())
    with pytest.raises(ConnectionResetError):
        talk(door.port, GET)


def test_what_is_said_before_a_reset_arrives_first(faultserver):
    door = faultserver.open(scripts.resets(b"HTTP/1.1 200 OK\r\n\r\n", after=0.2))
    assert talk(door.port, GET, until_end=False) == b"HTTP/1.1 200 OK\r\n\r\n"


def test_a_hanging_script_notices_that_the_client_left(faultserver):
    door = faultserver.open(scripts.hangs())
    with socket.create_connection(("127.0.0.1", door.port)) as raw:
        raw.sendall(GET)
        assert door.wait(lambda d: d.count() == 1)
        assert door.open_links == 1
    assert door.wait(lambda d: d.open_links == 0)


def test_the_peak_of_requests_in_flight_is_measured(faultserver):
    door = faultserver.open(scripts.hangs())
    links = [socket.create_connection(("127.0.0.1", door.port)) for _ in range(5)]
    for link in links:
        link.sendall(GET)
    assert door.wait(lambda d: d.peak == 5)
    for link in links:
        link.close()


def test_routes_choose_by_path(faultserver):
    door = faultserver.open(routes({"/x": scripts.raw(b"x")}))
    assert talk(door.port, GET) == b"x"
    assert talk(door.port, CLOSE, until_end=False).startswith(b"HTTP/1.1 404")


def test_fail_then_counts_each_target_for_itself(faultserver):
    door = faultserver.open(scripts.fail_then(1, scripts.raw(b"no"), scripts.raw(b"yes")))
    assert [talk(door.port, request) for request in (GET, GET, CLOSE, CLOSE)] == [b"no", b"yes", b"no", b"yes"]


def test_random_failures_come_in_the_same_order_for_the_same_seed(faultserver):
    doors = [faultserver.open(scripts.sometimes(0.5, scripts.raw(b"no"), scripts.raw(b"yes")), seed=7) for _ in range(2)]
    first, second = ([talk(door.port, GET) for _ in range(12)] for door in doors)
    assert first == second
    assert len(set(first)) == 2


def test_a_drip_goes_on_until_the_client_leaves(faultserver):
    door = faultserver.open(scripts.drip(b"a", b"b", every=0.01))
    with socket.create_connection(("127.0.0.1", door.port), 60) as raw:
        raw.sendall(GET)
        got = b""
        while len(got) < 5:
            got += raw.recv(10)
    assert got.startswith(b"abbb")
    assert door.wait(lambda d: d.open_links == 0)


def test_a_refused_port_refuses(faultserver):
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", faultserver.refused_port()), 60)


def test_a_full_port_never_answers_a_connect(faultserver):
    with pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.1", faultserver.full_port()), 0.3)


def test_a_closed_door_refuses(faultserver):
    door = faultserver.open(scripts.reply())
    faultserver.close(door)
    time.sleep(0.05)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", door.port), 1)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("selfsigned", "self-signed"),
        ("stranger", "unable to get local issuer"),
        ("expired", "expired"),
        ("wronghost", "mismatch"),
        ("good", None),
    ],
)
def test_a_certificate_is_as_bad_as_it_says(faultserver, kind, fault):
    door = faultserver.open(scripts.raw(b"secure"), tls=kind)
    context = ssl.create_default_context(cafile=ca_file())
    with socket.create_connection(("127.0.0.1", door.port), 60) as raw:
        if fault is not None:
            with pytest.raises(ssl.SSLCertVerificationError, match=fault):
                context.wrap_socket(raw, server_hostname="127.0.0.1")
            return
        with context.wrap_socket(raw, server_hostname="127.0.0.1") as wrapped:
            wrapped.sendall(GET)
            assert wrapped.recv(100) == b"secure"


def test_stopping_ends_thread_and_connections():
    from faultserver import FaultServer

    with FaultServer() as server:
        door = server.open(scripts.hangs())
        raw = socket.create_connection(("127.0.0.1", door.port), 60)
        raw.sendall(GET)
        door.wait(lambda d: d.count() == 1)
    assert raw.recv(1) == b""
    assert not server._thread.is_alive()
    raw.close()
