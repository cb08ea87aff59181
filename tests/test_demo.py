"""The demo server answers as it says, and counts what it answered."""

import csv
import gzip
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from fastreq_jupyter import demo
from fastreq_jupyter.demo.shop import Shop


@pytest.fixture
def server():
    with demo.start(jitter=(0, 0)) as running:
        yield running


def ask(url, *, method="GET", body=None, headers=None):
    """Return status, headers and body; an error status is an answer too."""
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def ask_json(url, **more):
    return json.loads(ask(url, **more)[2])


def test_the_same_seed_makes_the_same_shop():
    assert Shop.make(3) == Shop.make(3)


def test_another_seed_makes_another_shop():
    assert Shop.make(3) != Shop.make(4)


def test_every_order_names_a_customer_and_products_that_exist():
    shop = Shop.make()
    assert all(order["customer_id"] in shop.customers for order in shop.orders.values())
    assert all(line["sku"] in shop.products for order in shop.orders.values() for line in order["lines"])


def test_every_listed_path_answers(server):
    examples = {"{id}": "1", "{sku}": "L01", "{name}": "x", "{n}": "1", "{seconds}": "0", "{code}": "200", "{kind}": "page"}
    for path in ask_json(server.url)["paths"]:
        target = path
        for name, value in examples.items():
            target = target.replace(name, value)
        status, _, _ = ask(server.url + target)
        assert status == {
            "/post": 405,
            "/upload/{name}": 405,
            "/login": 405,
            "/token": 405,
            "/device": 405,
            "/private/orders": 401,
            "/graphql": 405,
            "/me": 401,
            "/jobs": 405,
            "/jobs/{id}": 202,
        }.get(path, 200), path


def test_following_the_next_links_gives_all_customers_once(server):
    seen, url = [], f"{server.url}/customers?per_page=50"
    while url:
        _, headers, body = ask(url)
        page = json.loads(body)
        seen += [customer["id"] for customer in page["items"]]
        following = re.search(r'<([^>]+)>; rel="next"', headers["Link"])
        url = following and following[1]
    assert seen == list(range(1, page["total"] + 1))


@pytest.mark.parametrize("query", ["page=0", "per_page=101", "page=x", "customer_id=0"])
def test_a_page_out_of_range_is_a_bad_request(server, query):
    assert ask(f"{server.url}/orders?{query}")[0] == 400


def test_a_page_behind_the_last_is_empty(server):
    assert ask_json(f"{server.url}/orders?page=9999")["items"] == []


def test_a_flaky_order_fails_first_and_then_answers(server):
    assert [ask(f"{server.url}/orders/34")[0] for _ in range(4)] == [503, 200, 503, 200]


def test_other_orders_answer_at_once(server):
    assert ask(f"{server.url}/orders/35")[0] == 200


def test_the_limited_path_says_when_to_come_back(server):
    refused = []
    # As many at once as a busy machine needs to be too fast.
    with ThreadPoolExecutor(25) as pool:
        for _ in range(20):
            answers = pool.map(ask, [f"{server.url}/limited/{n}" for n in range(50)])
            refused += [headers["Retry-After"] for status, headers, _ in answers if status == 429]
            if refused:
                break
    assert refused
    assert set(refused) == {"1"}


FORM = b"client_id=demo&client_secret=demo"
AS_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def test_a_token_opens_me(server):
    token = ask_json(f"{server.url}/login", method="POST", body=b'{"user": "demo", "password": "demo"}')["token"]
    assert ask_json(f"{server.url}/me", headers={"Authorization": f"Bearer {token}"})["user"] == "demo"


def test_a_granted_token_opens_what_is_private_and_its_refresh_token_is_good_once(server):
    first = ask_json(f"{server.url}/token", method="POST", body=FORM + b"&grant_type=client_credentials", headers=AS_FORM)
    refresh = f"&grant_type=refresh_token&refresh_token={first['refresh_token']}".encode()
    second = ask_json(f"{server.url}/token", method="POST", body=FORM + refresh, headers=AS_FORM)
    for granted in (first, second):
        assert ask_json(f"{server.url}/private/orders/1", headers={"Authorization": f"Bearer {granted['access_token']}"})["id"] == 1
    assert ask(f"{server.url}/token", method="POST", body=FORM + refresh, headers=AS_FORM)[0] == 400


def test_an_unknown_client_gets_no_token(server):
    body = b"client_id=demo&client_secret=x&grant_type=client_credentials"
    assert ask(f"{server.url}/token", method="POST", body=body, headers=AS_FORM)[0] == 401


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer ü"}, {"Authorization": "Bearer no"}])
def test_without_the_token_me_is_closed(server, header):
    assert ask(f"{server.url}/me", headers=header)[0] == 401


def test_a_wrong_password_is_refused(server):
    assert ask(f"{server.url}/login", method="POST", body=b'{"user": "demo", "password": "x"}')[0] == 401


@pytest.mark.parametrize("body", [b'{"a": [1]}', "grüße".encode(), b""])
def test_post_tells_what_was_sent(server, body):
    told = ask_json(f"{server.url}/post?x=1", method="POST", body=body)
    assert (told["bytes"], told["query"]) == (len(body), {"x": "1"})


def test_csv_has_a_row_for_each_customer(server):
    text = ask(f"{server.url}/customers.csv")[2].decode()
    assert len(list(csv.DictReader(text.splitlines()))) == len(Shop.make().customers)


def test_a_product_has_a_picture(server):
    _, headers, body = ask(f"{server.url}/products/L01/image")
    assert (headers["Content-Type"], body[:8]) == ("image/png", b"\x89PNG\r\n\x1a\n")


def test_gzip_is_compressed(server):
    _, headers, body = ask(f"{server.url}/gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(body))["compressed"] is True


@pytest.mark.parametrize("path", ["/delay/-1", "/delay/nan", "/delay/soon", "/delay/31"])
def test_an_impossible_delay_is_a_bad_request(server, path):
    assert ask(server.url + path)[0] == 400


def test_an_unknown_path_is_a_404_in_json(server):
    assert ask_json(f"{server.url}/nothing/here")["error"] == "Not Found"


def test_peak_concurrency_is_measured(server):
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(ask, [f"{server.url}/delay/0.5"] * 6))
    assert server.stats()["peak"] == 6


def test_requests_are_counted_by_path_and_status(server):
    ask(f"{server.url}/customers/1")
    ask(f"{server.url}/customers/2")
    ask(f"{server.url}/status/418")
    stats = server.stats()
    assert stats["paths"]["/customers/{id}"] == 2
    assert stats["statuses"] == {"200": 2, "418": 1}


def test_deleting_the_stats_begins_anew(server):
    ask(server.url)
    ask(f"{server.url}/stats", method="DELETE")
    assert server.stats()["requests"] == 0


def test_two_servers_live_side_by_side(server):
    with demo.start() as other:
        assert other.url != server.url
        assert ask(other.url)[0] == ask(server.url)[0] == 200


def test_a_stopped_server_refuses_connections(server):
    server.stop()
    server.stop()
    assert "stopped" in repr(server)
    with pytest.raises(urllib.error.URLError):
        ask(server.url)


@pytest.mark.slow
def test_it_stops_while_a_request_waits(server):
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, f"{server.url}/delay/20")
        while not server.stats()["in_flight"]:
            pass
        server.stop()
        assert not server.running
        assert waiting.exception(10) is not None


def test_a_taken_port_is_told_to_the_caller(server):
    with pytest.raises(OSError, match="in use"):
        demo.start(int(server.url.rsplit(":", 1)[1]))


def test_it_listens_on_loopback_alone(server):
    host, port = server.url.removeprefix("http://").split(":")
    assert host == "127.0.0.1"
    with socket.socket() as other, pytest.raises(OSError, match="refused"):
        other.connect(("127.0.0.2", int(port)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_the_terminal_command_serves_until_it_is_told_to_end(name):
    command = [sys.executable, "-m", "fastreq_jupyter.demo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            first = process.stdout.readline()
            assert ask(re.search(r"http://[\d.]+:\d+", first)[0])[0] == 200
            process.send_signal(signal.Signals[name])
            assert process.wait(10) == 0
        finally:
            process.kill()


def test_the_terminal_command_names_a_taken_port(server):
    port = server.url.rsplit(":", 1)[1]
    done = subprocess.run(
        [sys.executable, "-m", "fastreq_jupyter.demo", "--port", port], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 1
    assert f"port {port} cannot be used" in done.stderr
    assert done.stderr.count("\n") == 1
