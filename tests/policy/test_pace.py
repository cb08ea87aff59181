"""The rate of a host that answers 429 and says no more, against a simulated one that allows so many a second."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fastreq_jupyter.policy.pace import Pace

SECONDS = 60
# A bucket of one refuses every second request already where they come a hundredth too fast: nothing is learnt from it.


@settings(deadline=None, max_examples=25)
@given(allowed=st.floats(4, 200), burst=st.integers(2, 100), unlimited=st.floats(250, 500))
def test_it_comes_to_what_the_host_allows_and_is_seldom_refused(allowed, burst, unlimited):
    pace, tokens, now = Pace(), float(burst), 0.0
    good: list[float] = []
    refused: list[float] = []
    while now < SECONDS:
        step = 1 / (pace.rate or unlimited)
        now += step
        tokens = min(burst, tokens + step * allowed)
        if tokens >= 1:
            tokens -= 1
            good.append(now)
            pace.answered(now)
        else:
            refused.append(now)
            pace.refused(now, began=now)
    late_good, late_refused = (sum(moment > SECONDS / 2 for moment in moments) for moments in (good, refused))
    assert late_good >= 0.5 * allowed * SECONDS / 2
    assert late_refused <= 0.1 * late_good


def test_a_host_that_lets_nothing_through_gets_no_rate():
    pace = Pace()
    assert not any(pace.refused(moment / 10, began=moment / 10) for moment in range(100))
    assert pace.rate is None


def test_what_was_sent_before_the_rate_fell_does_not_lower_it_again():
    pace = Pace()
    for moment in range(100):
        pace.answered(moment / 100)
    assert pace.refused(1.0, began=0.99)
    fallen = pace.rate
    assert not any(pace.refused(1.0 + moment / 100, began=0.99) for moment in range(200))
    assert pace.rate == fallen
