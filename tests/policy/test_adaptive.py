"""concurrency="auto" on a simulated server: how near the limit comes to the best one, and what it costs the server."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastreq_jupyter.policy.adaptive import LEAST, MOST, START, Adaptive, Pace


@dataclass
class Simulation:
    """A run against a server that does `knee` requests at once; more of them wait there, or are refused.

    Attributes:
        latency: Seconds one request takes.
        knee: Requests done at once, None for any number.
        refuses: What is too many gets 503 at once, in place of waiting.
        spread: Largest share by which a latency may be longer.
        late: Seconds the loop was late, told with each answer.
        use: Requests in flight at most whatever is allowed.
    """

    latency: float = 0.1
    knee: int | None = None
    refuses: bool = False
    spread: float = 0.0
    late: float = 0.0
    use: int = 10_000
    policy: Adaptive = field(default_factory=Adaptive)
    random: random.Random = field(default_factory=lambda: random.Random(7))
    now: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    ends: list[float] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)
    peak: int = 0

    def run(self, count: int) -> Simulation:
        """Have so many requests answered, refused ones included."""
        flying: list[tuple[float, float, int]] = []
        places = [self.now] * (self.knee or 0)
        busy: list[float] = []
        started = 0
        for _ in range(count):
            while started < count and len(flying) < min(self.policy.limit, self.use):
                self._start(flying, places, busy)
                started += 1
            self.peak = max(self.peak, len(flying))
            self.now, began, status = heapq.heappop(flying)
            self._tell(began, status, len(flying) + 1)
        return self

    def _start(self, flying: list[tuple[float, float, int]], places: list[float], busy: list[float]) -> None:
        takes = self.latency * (1 + self.random.uniform(0, self.spread))
        while busy and busy[0] <= self.now:
            heapq.heappop(busy)
        if self.knee is None:
            end = self.now + takes
        elif not self.refuses:
            end = max(heapq.heappop(places), self.now) + takes
            heapq.heappush(places, end)
        elif len(busy) < self.knee:
            end = self.now + takes
            heapq.heappush(busy, end)
        else:
            heapq.heappush(flying, (self.now + 0.001, self.now, 503))
            return
        heapq.heappush(flying, (end, self.now, 200))

    def _tell(self, began: float, status: int, in_flight: int) -> None:
        policy = self.policy
        self.statuses[status] += 1
        if self.late:
            policy.late(self.late)
        if status == 200:
            self.ends.append(self.now)
            policy.answered(self.now, began=began, wait=self.now - began, in_flight=in_flight)
        else:
            policy.refused(self.now, began=began, why=f"http {status}")
        self.limits.append(policy.limit)
        self.reasons.add(policy.reason)

    def pace(self, last: int = 600) -> float:
        """Good answers a second, of the last so many."""
        return last / (self.ends[-1] - self.ends[-last - 1])

    @property
    def refused_share(self) -> float:
        return self.statuses[503] / sum(self.statuses.values())


class Fixed(Adaptive):
    """A number in place of a policy."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def answered(self, *_: object, **__: object) -> bool:
        return False

    refused = answered


@pytest.mark.parametrize("spread", [0.0, 0.5])
@pytest.mark.parametrize("latency", [0.02, 0.2, 1.0])
@pytest.mark.parametrize(("knee", "refuses"), [(8, False), (8, True), (30, False), (30, True), (None, False)])
def test_within_2000_requests_it_comes_near_the_best_fixed_number(knee, refuses, latency, spread) -> None:
    run = Simulation(latency, knee, refuses=refuses, spread=spread).run(2000)
    best = Simulation(latency, knee, refuses=refuses, spread=spread, policy=Fixed(knee or MOST)).run(2000)
    assert run.pace() >= 0.85 * best.pace()
    assert run.refused_share <= 0.02
    assert run.policy.advice in ({8: range(7, 9), 30: range(27, 36)}.get(knee) or (MOST,))


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    knee=st.integers(LEAST, 120), refuses=st.booleans(), latency=st.floats(0.01, 2), spread=st.floats(0, 1), seed=st.integers(0, 1000)
)  # fmt: skip
def test_whatever_the_server_can_do_it_is_used_and_not_flooded(knee, refuses, latency, spread, seed) -> None:
    run = Simulation(latency, knee, refuses=refuses, spread=spread, random=random.Random(seed)).run(4000)
    best = Simulation(latency, knee, refuses=refuses, spread=spread, random=random.Random(seed), policy=Fixed(knee)).run(4000)
    assert run.pace(2000) >= 0.75 * best.pace(2000)
    assert run.refused_share <= 0.04
    assert run.peak <= 4 * max(knee, START)
    assert all(LEAST <= limit <= MOST for limit in run.limits)


def test_a_limit_that_is_not_used_does_not_grow() -> None:
    run = Simulation(use=6).run(1000)
    assert set(run.limits) == {START}
    assert "6 of 8 used" in run.reasons


def test_windows_of_a_lagging_loop_do_not_count() -> None:
    run = Simulation(latency=0.1, late=0.002).run(1000)
    assert set(run.limits) == {START}
    assert run.policy.advice is None


def test_the_window_of_a_host_that_asked_to_wait_does_not_count() -> None:
    policy = Adaptive()
    for i in range(1000):
        assert not policy.answered(i / 80, began=i / 80 - 0.1, wait=0.1, in_flight=8)
        if i % 20 == 0:
            policy.disturbed()
    assert policy.limit == START


def test_a_timeout_halves_once_and_what_was_sent_before_says_nothing_more() -> None:
    policy = Simulation(latency=0.05).run(300).policy
    limit, now = policy.limit, 100.0
    assert policy.refused(now, began=99.0, why="timeout")
    assert policy.limit == limit // 2
    assert policy.reason == f"timeout at {limit}"
    for i in range(limit):
        assert not policy.refused(now + i / 1000, began=99.5, why="timeout")
    assert not policy.refused(now + 2, began=now + 1, why="timeout")
    assert policy.limit == limit // 2


def test_a_server_that_refuses_on_and_on_is_left_with_the_least() -> None:
    policy = Simulation(latency=0.05).run(1500).policy
    for i in range(200):
        policy.refused(100 + i, began=99.5 + i, why="http 503")
    assert policy.limit == LEAST


def test_slower_answers_cost_a_fifth_of_the_limit_until_they_are_no_longer_slow() -> None:
    run = Simulation(latency=0.1, knee=30).run(2000)
    limit, run.knee = run.policy.limit, 10
    run.run(600)
    assert "answers took" in " ".join(run.reasons)
    assert run.policy.limit < limit
    run.run(2000)
    assert 10 <= run.policy.limit <= 20


def test_a_server_that_is_slower_at_any_number_keeps_its_limit() -> None:
    run = Simulation(latency=0.1).run(1500)
    run.latency = 0.2
    run.run(3000)
    assert "answers take longer at any number" in run.reasons
    assert run.policy.limit == MOST


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
