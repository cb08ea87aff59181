"""GCRA: what any window may see, for any pattern of requests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.options import Options, Rate, parse_rate
from fastreq_jupyter.policy.framing import read_head
from fastreq_jupyter.policy.rate import Gcra, interval_of, remaining_in, reset_after
from fastreq_jupyter.policy.retry import LONGEST_ASKED, Failure, decide

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


NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
THEN = NOW + timedelta(seconds=30)


def seconds(**fields):
    values = {name.replace("_", "-").lower(): value for name, value in fields.items()}
    found = reset_after(values.get, NOW)
    return None if found is None else found[0]


@pytest.mark.parametrize(
    "value",
    [
        "30",
        "30.0",
        "30, 60",
        str(int(THEN.timestamp())),
        str(int(THEN.timestamp() * 1000)),
        format_datetime(THEN, usegmt=True),
        "2026-11-28T12:00:30Z",
        "2026-11-28T13:00:30+01:00",
        "30s",
        "0m30s",
        "30000ms",
    ],
)
@pytest.mark.parametrize("name", ["RateLimit_Reset", "X_RateLimit_Reset", "X_Rate_Limit_Reset"])
def test_30_seconds_are_30_seconds_however_they_are_written(name, value):
    assert seconds(**{name: value}) == pytest.approx(30)


@pytest.mark.parametrize("value", ['"default";r=0;t=30', "limit=100, remaining=0, reset=30", '"a";r=9;t=1, "b";r=0;t=30'])
def test_the_field_of_the_draft(value):
    assert seconds(RateLimit=value) == 30


def test_now_is_the_answers_date_whatever_our_clock_says():
    ahead = NOW + timedelta(hours=5)
    fields = {"date": format_datetime(ahead, usegmt=True), "x-ratelimit-reset": str(int((ahead + timedelta(seconds=9)).timestamp()))}
    assert reset_after(fields.get, NOW) == (9, "x-ratelimit-reset")


def test_the_past_is_now():
    assert seconds(X_RateLimit_Reset=str(int(NOW.timestamp()) - 100)) == 0


@settings(deadline=None)
@given(st.text(max_size=60))
def test_what_says_nothing_is_no_time_and_no_error(text):
    found = seconds(X_RateLimit_Reset=text, RateLimit=text, Date=text)
    assert found is None or found >= 0
    assert remaining_in(b"ratelimit", text.encode()) is None or remaining_in(b"ratelimit", text.encode()) >= 0


def test_retry_after_goes_first():
    limited = Failure(1, repeatable=True, status=429, retry_after="7", reset=(30.0, "x-ratelimit-reset"))
    assert decide(limited, max_retries=3, jitter=0.0, now=NOW).pause == 7


@pytest.mark.parametrize("status", [429, 403, 503])
def test_a_reset_is_waited_for_like_retry_after(status):
    verdict = decide(Failure(1, repeatable=True, status=status, reset=(30.0, "ratelimit")), max_retries=3, jitter=0.5, now=NOW)
    assert verdict.retry
    assert verdict.pause == 30
    assert verdict.wait == 30.25


def test_a_reset_that_is_too_far_away_ends_the_request_and_is_named():
    verdict = decide(
        Failure(1, repeatable=True, status=429, reset=(LONGEST_ASKED + 1, "x-ratelimit-reset")), max_retries=3, jitter=0.0, now=NOW
    )
    assert not verdict.retry
    assert "121 s (x-ratelimit-reset)" in verdict.detail


@pytest.mark.parametrize(
    ("name", "value", "left"),
    [
        (b"X-RateLimit-Remaining", b"12", 12),
        (b"ratelimit-remaining", b"0", 0),
        (b"RateLimit", b'"a";r=5;t=1, "b";r=3;t=9', 3),
        (b"X-Rate-Limit-Remaining", b"many", None),
        (b"RateLimit", b'"a";q=5;w=1', None),
    ],
)
def test_what_is_left_is_read_with_the_head(name, value, left):
    assert read_head(200, ((b"Content-Length", b"1"), (name, value))).remaining == left


def test_heads_that_differ_in_what_is_left_alone_are_read_once():
    heads = [read_head(200, ((b"Content-Type", b"x/y-limit"), (b"X-RateLimit-Remaining", str(left).encode()))) for left in (7, 6)]
    assert [head.remaining for head in heads] == [7, 6]
    assert heads[0].content_type is heads[1].content_type


def test_a_malformed_limit_does_not_cost_the_answer():
    with pytest.raises(BackendError):
        read_head(200, ((b"RateLimit", b"a\n"),))
    assert read_head(200, ((b"RateLimit", b"\xff;r=;t="),)).remaining is None
