"""The measuring server measures what it says."""

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError

import pytest


def ask(url, body=None):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, data=body), timeout=10) as response:
        return json.loads(response.read())


def test_it_counts_how_many_are_in_flight(counting_server):
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(ask, [f"{counting_server.url}/delay/0.4"] * 5))
    assert counting_server.peak == 5


def test_it_sees_requests_that_follow_each_other_as_one_at_a_time(counting_server):
    for number in range(3):
        ask(f"{counting_server.url}/{number}")
    assert counting_server.peak == 1


def test_it_keeps_bodies_and_paths(counting_server):
    ask(f"{counting_server.url}/a", b"one")
    ask(f"{counting_server.url}/a", b"two")
    assert [arrival.body for arrival in counting_server.arrivals] == [b"one", b"two"]
    assert counting_server.paths == {"/a": 2}


def test_a_flaky_path_recovers(counting_server):
    with pytest.raises(HTTPError, match="503") as failure:
        ask(f"{counting_server.url}/flaky/1/x")
    failure.value.close()
    assert ask(f"{counting_server.url}/flaky/1/x")["number"] == 2


def test_it_finds_the_busiest_window(counting_server):
    for _ in range(4):
        ask(counting_server.url)
    assert counting_server.most_within(5) == 4
