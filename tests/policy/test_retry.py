"""Retry decisions: what, when, and how long."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastreq_jupyter.policy.retry import LONGEST_ASKED, RETRIED, Failure, Health, Verdict, backoff, decide, parse_retry_after

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
UNAVAILABLE = Failure(number=1, repeatable=True, status=503)


def verdict(failure: Failure, *, max_retries: int = 3, jitter: float = 0.0) -> Verdict:
    return decide(failure, max_retries=max_retries, jitter=jitter, now=NOW)


@given(retry=st.integers(1, 20), jitter=st.floats(0, 1, exclude_max=True))
def test_the_wait_lies_between_d_and_one_and_a_half_d(retry: int, jitter: float) -> None:
    d = min(60, 2 ** (retry - 1))
    assert d <= backoff(retry, jitter) <= 1.5 * d


def test_waits_are_at_least_1_2_4_seconds() -> None:
    assert [verdict(replace(UNAVAILABLE, number=n)).wait for n in (1, 2, 3)] == [1, 2, 4]


@pytest.mark.parametrize("status", sorted(RETRIED))
def test_passing_statuses_are_tried_again(status: int) -> None:
    assert verdict(replace(UNAVAILABLE, status=status)).retry


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 501, 505])
def test_final_statuses_are_not(status: int) -> None:
    assert not verdict(replace(UNAVAILABLE, status=status)).retry


@pytest.mark.parametrize("kind", ["connect", "timeout", "protocol"])
def test_failures_of_the_connection_are_tried_again(kind: str) -> None:
    assert verdict(Failure(1, repeatable=True, error=kind)).retry


@pytest.mark.parametrize("kind", ["tls", "invalid URL", "too many redirects", "too large", "decoding", "redirect refused"])
def test_lasting_failures_are_not(kind: str) -> None:
    assert not verdict(Failure(1, repeatable=True, error=kind)).retry


def test_after_max_retries_there_is_none() -> None:
    assert not verdict(replace(UNAVAILABLE, number=4)).retry


def test_an_unsafe_request_that_may_have_arrived_is_not_repeated() -> None:
    assert not verdict(replace(UNAVAILABLE, repeatable=False)).retry


def test_an_unsafe_request_that_never_left_is_repeated() -> None:
    assert verdict(Failure(1, repeatable=False, sent=False, error="connect")).retry


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 120 ", 120.0),
        (format_datetime(NOW + timedelta(seconds=30), usegmt=True), 30.0),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0.0),
        ("Mon, 23 Nov 2026 12:00:10", 10.0),
        ("-1", None),
        ("nan", None),
        ("1e3", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("\u0661", None),
        ("9" * 5000, float("9" * 12)),
        ("Mon, 99 Nov 2026 12:00:10 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date_or_not_at_all(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


@given(st.text(max_size=40))
def test_no_retry_after_raises(value: str) -> None:
    found = parse_retry_after(value, NOW)
    assert found is None or found >= 0


def test_what_the_server_asks_is_the_least_wait() -> None:
    assert verdict(replace(UNAVAILABLE, retry_after="10")).wait == 10.0


def test_a_backoff_longer_than_asked_holds() -> None:
    assert verdict(replace(UNAVAILABLE, number=3, retry_after="1")).wait == 4.0


def test_many_who_were_asked_the_same_wait_do_not_come_back_in_step() -> None:
    waits = {verdict(replace(UNAVAILABLE, retry_after="10"), jitter=j / 10).wait for j in range(10)}
    assert len(waits) == 10


def test_a_longer_wait_than_we_grant_ends_the_request_and_says_so() -> None:
    found = verdict(replace(UNAVAILABLE, retry_after="3600"))
    assert not found.retry
    assert "3600 s" in (found.detail or "")
    assert found.pause == 0.0


@given(st.integers(1, int(LONGEST_ASKED)))
def test_a_granted_wait_is_also_a_pause(asked: int) -> None:
    assert verdict(replace(UNAVAILABLE, retry_after=str(asked))).pause == asked


def test_the_last_attempt_still_pauses_the_host() -> None:
    found = verdict(replace(UNAVAILABLE, number=4, retry_after="9"))
    assert (found.retry, found.pause) == (False, 9.0)


def fed(statuses: list[int | None], concurrency: int = 1) -> Health:
    health = Health(concurrency)
    for status in statuses:
        health.record(status, success=status is not None and status < 500)
    return health


def test_twenty_failures_in_a_row_make_a_host_down() -> None:
    assert not fed([None] * 19).down
    assert fed([None] * 20).down


def test_the_number_grows_with_concurrency() -> None:
    assert not fed([503] * 79, concurrency=40).down
    assert fed([503] * 80, concurrency=40).down


def test_one_success_ends_it() -> None:
    assert not fed([None] * 30 + [200]).down


def test_the_attempt_that_trips_it_is_told_apart() -> None:
    health = Health(1)
    told = [health.record(None, success=False) for _ in range(25)]
    assert told.index(True) == 19
    assert told.count(True) == health.trips == 1


@pytest.mark.parametrize("status", [401, 403])
def test_twenty_first_refusals_are_a_refusal(status: int) -> None:
    assert fed([status] * 19).refusing is None
    assert fed([status] * 20).refusing == status


@pytest.mark.parametrize("first", [200, 403, 404])
def test_another_answer_among_the_first_twenty_is_none(first: int) -> None:
    assert fed([first] + [401] * 30).refusing is None


def test_refusals_after_twenty_good_answers_are_none() -> None:
    assert fed([200] * 20 + [401] * 30).refusing is None


def test_attempts_without_answer_do_not_count_as_refusals() -> None:
    assert fed([401, None] * 19).refusing is None
