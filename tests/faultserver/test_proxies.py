"""The proxies: what they let through, and what they log."""

import base64
import socket

import pytest

from faultserver import scripts
from faultserver.proxies import ProxyLog, http_proxy, socks_proxy


def receive_all(raw):
    got = b""
    while data := raw.recv(65536):
        got += data
    return got


@pytest.fixture
def target(faultserver):
    return faultserver.open(scripts.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"))


def connect(door):
    return socket.create_connection(("127.0.0.1", door.port), 3)


def absolute(target, *lines):
    return f"GET http://127.0.0.1:{target.port}/p HTTP/1.1\r\nHost: h\r\n{''.join(line + chr(13) + chr(10) for line in lines)}\r\n".encode()


def test_the_absolute_form_is_forwarded_without_the_proxys_own_fields(faultserver, target):
    log = ProxyLog()
    proxy = faultserver.open(raw=http_proxy(log, credentials="u:p"))
    with connect(proxy) as raw:
        raw.sendall(absolute(target, "Proxy-Authorization: Basic " + base64.b64encode(b"u:p").decode()))
        assert receive_all(raw).endswith(b"hi")
    assert target.arrivals[0].target == "/p"
    assert target.arrivals[0].header("proxy-authorization") is None
    assert log.credentials == ["u:p"]


def test_a_tunnel_carries_both_ways(faultserver, target):
    log = ProxyLog()
    proxy = faultserver.open(raw=http_proxy(log))
    with connect(proxy) as raw:
        raw.sendall(f"CONNECT somewhere.test:{target.port} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        assert raw.recv(1000).startswith(b"HTTP/1.1 200")
        raw.sendall(b"GET /t HTTP/1.1\r\nHost: h\r\n\r\n")
        assert receive_all(raw).endswith(b"hi")
    assert log.targets == [f"somewhere.test:{target.port}"]


@pytest.mark.parametrize("said", ["", "Proxy-Authorization: Basic " + base64.b64encode(b"u:wrong").decode()])
def test_wrong_credentials_get_407_and_nothing_through(faultserver, target, said):
    proxy = faultserver.open(raw=http_proxy(ProxyLog(), credentials="u:p"))
    with connect(proxy) as raw:
        raw.sendall(absolute(target, *([said] if said else [])))
        assert raw.recv(1000).startswith(b"HTTP/1.1 407")
    assert target.count() == 0


def test_socks_resolves_the_name_itself(faultserver, target):
    log = ProxyLog()
    proxy = faultserver.open(raw=socks_proxy(log, remote_only=True))
    with connect(proxy) as raw:
        raw.sendall(b"\x05\x01\x00")
        assert raw.recv(2) == b"\x05\x00"
        name = b"somewhere.test"
        raw.sendall(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + target.port.to_bytes(2))
        assert raw.recv(10)[1] == 0
        raw.sendall(b"GET /s HTTP/1.1\r\nHost: h\r\n\r\n")
        assert receive_all(raw).endswith(b"hi")
    assert log.targets == [f"somewhere.test:{target.port}"]


def test_socks_refuses_wrong_credentials(faultserver):
    log = ProxyLog()
    proxy = faultserver.open(raw=socks_proxy(log, credentials="u:p"))
    with connect(proxy) as raw:
        raw.sendall(b"\x05\x01\x02")
        assert raw.recv(2) == b"\x05\x02"
        raw.sendall(b"\x01\x01u\x05wrong")
        assert raw.recv(2) == b"\x01\x01"
    assert log.targets == []


@pytest.mark.parametrize(("fault", "said"), [("closes", b""), ("garbage", b"\x00\xff"), ("refuses", b"HTTP/1.1 502")])
def test_a_bad_http_proxy_is_as_bad_as_it_says(faultserver, target, fault, said):
    proxy = faultserver.open(raw=http_proxy(ProxyLog(), fault=fault))
    with connect(proxy) as raw:
        raw.sendall(absolute(target))
        assert receive_all(raw).startswith(said)
    assert target.count() == 0
