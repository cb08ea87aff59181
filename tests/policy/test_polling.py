import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.exchange import Exchange
from fastreq_jupyter.policy.polling import DONE, FAILED, next_wait, standing_of, status_exchange, status_url
from fastreq_jupyter.url import parse_target


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (200, {"status": "Succeeded"}, "ready"),
        (200, {"status": "in progress"}, "waiting"),
        (200, {"status": "In_Progress"}, "waiting"),
        (200, {"status": "Cancelled"}, "failed"),
        (200, {"status": "timed-out"}, "failed"),
        (200, {"status": "wibble"}, "waiting"),
        (200, {"status": 7}, "ready"),
        (200, {"status": None}, "ready"),
        (200, {"status": ""}, "ready"),
        (200, {"items": []}, "ready"),
        (200, [{"status": "running"}], "ready"),
        (200, None, "ready"),
        (204, None, "ready"),
        (202, None, "waiting"),
        (202, {"status": "Succeeded"}, "waiting"),
        (202, {"status": "Failed"}, "failed"),
    ],
)
def test_an_answer_says_how_its_job_stands(status, body, state):
    assert standing_of(status, body).state == state


def test_no_word_ends_the_waiting_well_and_badly():
    assert not DONE & FAILED


@pytest.mark.parametrize(
    ("status", "headers", "place"),
    [
        (202, [("Location", "/jobs/1")], "/jobs/1"),
        (202, [("location", "/result"), ("OPERATION-LOCATION", "/op")], "/op"),
        (202, [("Location", "/result"), ("Azure-AsyncOperation", "https://h/op")], "https://h/op"),
        (201, [("Operation-Location", "/op")], "/op"),
        (201, [("Location", "/things/1")], None),
        (200, [("Operation-Location", "/op")], None),
        (202, [("Location", " ")], None),
        (202, [], None),
    ],
)
def test_the_place_to_look_at_is_named_by_202_or_by_a_201_with_an_operation(status, headers, place):
    assert status_url(status, headers) == place


def exchange(url="https://api.example/jobs"):
    headers = (("Accept", "*/*"), ("Authorization", "Bearer abc"), ("Content-Type", "application/json"), ("If-None-Match", '"x"'))
    return Exchange("POST", parse_target(url), headers, b"{}")


def test_a_look_is_a_get_without_body_that_carries_the_credentials_at_home():
    look = status_exchange(exchange(), "https://api.example/jobs/1")
    assert (look.method, look.target.url, look.content) == ("GET", "https://api.example/jobs/1", None)
    assert look.headers == (("Accept", "*/*"), ("Authorization", "Bearer abc"))


@pytest.mark.parametrize("url", ["https://other.example/1", "http://api.example/jobs/1", "https://api.example:8443/jobs/1"])
def test_a_look_elsewhere_carries_no_credentials(url):
    assert status_exchange(exchange(), url).headers == (("Accept", "*/*"),)


@pytest.mark.parametrize("url", ["ftp://api.example/1", "https://user:pw@api.example/1", "javascript:alert(1)"])
def test_a_status_url_that_must_not_be_asked_is_refused(url):
    with pytest.raises(BackendError, match="the status URL"):
        status_exchange(exchange(), url)


seconds = st.floats(0.05, 10_000)


@given(st.integers(1, 10**6), seconds)
def test_waits_that_nobody_set_grow_by_half_up_to_half_a_minute(look, left):
    wait = next_wait(look, every=None, retry_after=None, patience=left)
    assert wait == pytest.approx(min(left, 30, 1.5 ** min(look - 1, 20)))


@given(st.integers(1, 1000), st.none() | seconds, st.none() | st.floats(0, 10_000), seconds)
def test_no_look_comes_after_patience_nor_before_the_server_allows_it(look, every, asked, left):
    wait = next_wait(look, every=every, retry_after=asked, patience=left)
    assert wait is None or 0 < wait <= left
    if asked is not None:
        assert (wait is None) == (max(asked, min(1.0, every or 1.0)) > left)
        assert wait is None or wait >= asked


def test_patience_that_is_over_has_no_further_look():
    assert next_wait(3, every=2.0, retry_after=None, patience=0.0) is None
