"""What concurrency="auto" and the advice of a summary bring, against a real server: `make bench-tuning`.

It bounds ratios of seconds, so its name keeps it out of `make test`.
"""

from __future__ import annotations

import asyncio

import pytest
from serving.knee import KneeServer

from fastreq_jupyter import fastreq_async, last_run

COUNT = 2000
LAST = 600

pytestmark = [pytest.mark.timeout(240)]


def reached(server: KneeServer, concurrency: int | str, backend: str) -> float:
    """Return answers a second among the last of 2,000 requests."""

    async def main() -> None:
        await fastreq_async([f"{server.url}/{i}" for i in range(COUNT)], concurrency=concurrency, backend=backend, progress="none")

    asyncio.run(main())
    ends = sorted(outcome.attempts[-1].end for outcome in last_run().outcomes)
    return LAST / (ends[-1] - ends[-LAST - 1])


@pytest.mark.parametrize("backend", ["curl", "aiohttp"])
@pytest.mark.parametrize(
    ("knee", "refuses", "delay", "fixed"),
    [
        (8, False, 0.05, (6, 8, 12)),
        (8, True, 0.05, (6, 8)),
        (30, False, 0.05, (24, 30, 45)),
        (30, True, 0.05, (24, 30)),
        (None, False, 0.2, (100, 150, 200)),
    ],
)
def test_auto_comes_to_85_percent_of_the_best_fixed_number(knee, refuses, delay, fixed, backend, measured):  # noqa: PLR0917 - one case
    def against(concurrency: int | str) -> tuple[float, float]:
        with KneeServer(delay=delay, knee=knee, refuses=refuses) as server:
            return reached(server, concurrency, backend), server.refused_share

    best = max(against(number)[0] for number in fixed)
    auto, refused = against("auto")
    what = f"knee {knee}{', 503' if refuses else ''}, {delay * 1000:.0f} ms, {backend}"
    measured("auto / best fixed number, the last 600 of 2,000", what, f"{auto / best:.2f}, refused {refused:.2%}, {last_run().auto}")
    assert auto >= 0.85 * best
    assert refused <= 0.02


@pytest.mark.parametrize("backend", ["curl", "aiohttp"])
@pytest.mark.parametrize(
    ("count", "options"),
    [
        (240, {"concurrency": 4}),
        (300, {"concurrency": 20, "concurrency_per_host": 6}),
        (90, {"concurrency": 20, "rate_limit": 40}),
    ],
)
def test_doing_what_the_summary_advises_saves_about_what_it_expects(count, options, backend, measured):
    def summary_of(**changed: object) -> dict:
        async def main() -> None:
            await fastreq_async([f"{server.url}/{i}" for i in range(count)], **{**options, **changed}, backend=backend, progress="none")

        with KneeServer(delay=0.1) as server:
            asyncio.run(main())
        return last_run().summary()

    before = summary_of()
    advice = before["advice"]
    after = summary_of(**{advice["option"]: advice["value"]})
    saved = 1 - after["elapsed_s"] / before["elapsed_s"]
    measured("advice of the summary: expected, saved", f"{options}, {backend}", f"{advice['text']}: {advice['gain']:.2f}, {saved:.2f}")
    assert advice["gain"] > 0.2
    assert abs(saved - advice["gain"]) <= 0.1
