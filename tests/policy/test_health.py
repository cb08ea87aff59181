"""A host that is down, a host that refuses us."""

from __future__ import annotations

import pytest

from fastreq_jupyter.policy.health import Health


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
