"""GCRA: what any window may see, for any pattern of requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastreq_jupyter.options import Options, Rate, parse_rate
from fastreq_jupyter.policy.rate import Gcra, interval_of

GAPS = st.lists(st.floats(0, 0.5), min_size=1, max_size=200)


def starts(bucket: Gcra, gaps: list[float]) -> list[float]:
    """Ask for a token after each gap; wait as told; return when each was had."""
    now = 0.0
    taken = []
    for gap in gaps:
        now += gap
        while wait := bucket.take(now):
            now += wait
        taken.append(now)
    return taken


@pytest.mark.slow
@given(count=st.floats(0.5, 50), burst=st.integers(1, 10), gaps=GAPS, window=st.floats(0.01, 5))
def test_no_window_sees_more_than_burst_and_rate(count: float, burst: int, gaps: list[float], window: float) -> None:
    taken = starts(Gcra(Rate(count), burst), gaps)
    for first in taken:
        assert sum(first <= at < first + window for at in taken) <= burst + count * window + 1e-6


@given(count=st.integers(1, 60), burst=st.integers(1, 60), gaps=GAPS)
def test_a_whole_window_never_sees_more_than_its_number_burst_included(count: int, burst: int, gaps: list[float]) -> None:
    burst = min(burst, count)
    taken = starts(Gcra(Rate(count, 1.0, whole=True), burst), gaps)
    for first in taken:
        assert sum(first <= at <= first + 1.0 for at in taken) <= count


@given(gaps=GAPS)
def test_a_wait_told_is_never_in_vain(gaps: list[float]) -> None:
    bucket = Gcra(Rate(10), 2)
    now = 0.0
    for gap in gaps:
        now += gap
        if wait := bucket.take(now):
            now += wait
            assert bucket.take(now) == 0.0


def test_a_full_bucket_lets_the_burst_through_at_once_and_then_one_an_interval() -> None:
    bucket = Gcra(Rate(10), 5)
    assert [bucket.take(0.0) for _ in range(5)] == [0.0] * 5
    assert bucket.take(0.0) == pytest.approx(0.1)


def test_peeking_takes_nothing() -> None:
    bucket = Gcra(Rate(1), 1)
    assert bucket.peek(0.0) == bucket.peek(0.0) == 0.0
    assert bucket.take(0.0) == 0.0
    assert bucket.peek(0.0) == pytest.approx(1.0)


def test_a_new_rate_holds_from_the_next_token_on() -> None:
    bucket = Gcra(Rate(1), 1)
    bucket.take(0.0)
    bucket.retune(Rate(10), 1)
    assert bucket.take(1.0) == 0.0
    assert bucket.take(1.0) == pytest.approx(0.1)


def test_sixty_a_minute_with_burst_five_is_spaced_so_that_the_minute_holds() -> None:
    assert interval_of(parse_rate("60/min"), 5) == pytest.approx(60.25 / 56)


@pytest.mark.parametrize(("written", "a_second"), [("1/s", 0.9), ("3/s", 2.8), ("5/s", 4.7), ("10/s", 9.5), ("100/s", 90), ("60/min", 0.9)])
def test_a_whole_window_by_default_lets_nearly_its_number_through(written: str, a_second: float) -> None:
    options = Options.of(rate_limit=written)
    assert 1 / interval_of(options.rate_limit, options.rate_limit_burst) >= a_second
