"""What a finished run says of its time, and what it advises."""

from __future__ import annotations

from datetime import UTC, datetime
from math import nan

import pytest
from serving.knee import KneeServer

from fastreq_jupyter.engine.summary import Circumstances, closing_line, explain
from fastreq_jupyter.exchange import Timing
from fastreq_jupyter.model import Attempt, Outcome, Request
from fastreq_jupyter.options import Options

NOW = datetime.now(UTC)


def exchange(start: float, *, connect: float = 0.0, wait: float = 1.0, receive: float = 0.0) -> Timing:
    sent = start + connect
    marks = {"fetch_start": start, "request_start": sent, "response_start": sent + wait, "response_end": sent + wait + receive}
    return Timing(**marks, reused=not connect)


def attempt(start: float, *, takes: float = 1.0, hop: Timing | None = None, **facts) -> Attempt:
    facts.setdefault("status", 200)
    return Attempt(1, NOW, start, start + takes, hops=(hop or exchange(start, wait=takes),), **facts)


def outcome(position: int, *attempts: Attempt) -> Outcome:
    return Outcome(position, Request("GET", f"http://h/{position}"), attempts)


def explained(outcomes: list[Outcome], *, elapsed: float, hosts: int = 1, cpu: float = 0.0, late: float = 0.0, **options) -> dict:
    return explain(outcomes, Options.of(**options), Circumstances(0.0, elapsed, hosts, cpu, late))


def rounds(count: int, slots: int) -> list[Outcome]:
    """Requests of a second each, so many at once."""
    return [outcome(i, attempt(float(i // slots))) for i in range(count)]


def shares(found: dict) -> dict[str, float]:
    return {name: part["share"] for name, part in found["time"].items() if part["share"]}


def test_a_run_without_an_attempt_has_nothing_to_explain():
    assert explained([outcome(0)], elapsed=1.0) == {"time": {}, "advice": None}


def test_each_second_of_a_request_is_told_once():
    hop = exchange(2.0, connect=0.5, wait=1.0, receive=0.25)
    found = explained([outcome(0, attempt(2.0, takes=2.0, hop=hop))], elapsed=4.0, concurrency=1)
    assert {name: part["s"] for name, part in found["time"].items()} == {
        "slot": 2.0, "rate": 0.0, "connect": 0.5, "server": 1.0, "download": 0.25, "retries": 0.0, "ourselves": 0.25, "loop_lag": 0.0,
    }  # fmt: skip
    assert sum(shares(found).values()) == pytest.approx(1.0, abs=0.01)


def test_marks_that_the_backend_cannot_see_count_for_the_server():
    hop = Timing(fetch_start=0.0, request_start=nan, response_start=nan, response_end=1.0)
    assert shares(explained([outcome(0, attempt(0.0, hop=hop))], elapsed=1.0)) == {"server": 1.0}


def test_what_an_earlier_run_sent_does_not_count():
    found = explained([outcome(0, attempt(-5.0)), outcome(1, attempt(0.0))], elapsed=1.0)
    assert shares(found) == {"server": 1.0}


def test_a_wait_for_slots_advises_three_times_as_many():
    advice = explained(rounds(60, 5), elapsed=12.0, concurrency=5)["advice"]
    assert (advice["option"], advice["value"], advice["gain"]) == ("concurrency", 15, 0.67)
    assert advice["text"] == "-c 15 would save about 67 % if the server keeps pace"


def test_no_more_slots_are_advised_than_there_are_requests_or_auto_tries():
    assert explained(rounds(8, 5), elapsed=2.0, concurrency=5)["advice"]["value"] == 8
    assert explained(rounds(900, 100), elapsed=9.0, concurrency=100)["advice"]["value"] == 200


def test_where_the_host_has_the_bound_that_is_named():
    advice = explained(rounds(60, 5), elapsed=12.0, concurrency=50, concurrency_per_host=5)["advice"]
    assert (advice["option"], advice["value"]) == ("concurrency_per_host", 15)


def test_our_own_work_bounds_what_is_expected():
    advice = explained(rounds(60, 5), elapsed=12.0, cpu=9.0, concurrency=5)["advice"]
    assert advice["gain"] == 0.25
    busy = explained(rounds(60, 5), elapsed=12.0, cpu=11.0, concurrency=5)["advice"]
    assert (busy["text"], busy["gain"]) == ("our own work takes 92 %", 0.0)


@pytest.mark.parametrize(
    "facts", [{"status": 503, "error": "http 503"}, {"status": 429, "error": "http 429"}, {"status": None, "error": "timeout"}]
)
def test_a_server_that_had_too_much_is_not_given_more(facts):
    found = explained([*rounds(60, 5), outcome(60, attempt(11.0, **facts))], elapsed=12.0, concurrency=5)
    assert found["advice"]["option"] is None


def test_auto_needs_no_advice_on_its_number():
    assert explained(rounds(60, 5), elapsed=12.0, concurrency="auto")["advice"]["option"] is None


def test_a_rate_is_named_where_it_is_what_is_waited_for():
    outcomes = [outcome(i, attempt(float(i), takes=0.1, queued=1.0)) for i in range(10)]
    found = explained(outcomes, elapsed=9.1, rate_limit=1)
    assert found["advice"]["option"] == "rate_limit"
    assert found["advice"]["text"].startswith("rate_limit is what you wait for")
    assert found["time"]["rate"]["share"] > 0.9
    assert explained(outcomes, elapsed=9.1, rate_limit_per_host=1)["advice"]["option"] == "rate_limit_per_host"


def test_waits_for_retries_are_named():
    retried = outcome(1, attempt(0.0, status=503, error="http 503", retry_wait=4.0), attempt(5.0))
    found = explained([outcome(0, attempt(0.0)), retried], elapsed=6.0)
    assert found["advice"]["option"] == "max_retries"
    assert found["advice"]["gain"] == 0.83
    assert found["time"]["retries"]["s"] == 2.0


def test_a_loop_that_was_held_up_is_named():
    found = explained([outcome(0, attempt(0.0))], elapsed=1.0, late=0.5)
    assert found["advice"]["option"] == "loop"
    assert found["time"]["loop_lag"] == {"s": 0.5, "share": 0.5}


def test_where_no_setting_helps_what_takes_most_is_told():
    assert explained([outcome(0, attempt(0.0))], elapsed=1.0)["advice"] == {
        "text": "the server takes 100 %", "option": None, "value": None, "gain": 0.0,
    }  # fmt: skip


SUMMARY = {"name": "", "total": 1, "done": 1, "ok": 1, "errors": {}, "retried": 0, "elapsed_s": 30.0, "bytes": 0}


@pytest.mark.parametrize(("gain", "elapsed", "shown"), [(0.4, 30.0, True), (0.2, 30.0, False), (0.4, 1.0, False)])
def test_the_closing_line_has_the_advice_where_it_saves_something(gain, elapsed, shown):
    line = closing_line(SUMMARY | {"elapsed_s": elapsed, "advice": {"text": "-c 60 would", "gain": gain}})
    assert ("-c 60 would" in line) is shown


async def finished(start, server: KneeServer, count: int, **options):
    run = start([f"{server.url}/{i}" for i in range(count)], **options)
    assert run.summary()["advice"] is None
    await run
    return run


async def test_a_run_that_does_what_was_advised_has_that_many_in_flight(start):
    with KneeServer(delay=0.05) as server:
        advice = (await finished(start, server, 45, concurrency=3)).summary()["advice"]
        assert (advice["option"], advice["value"]) == ("concurrency", 9)
        server.reset()
        await finished(start, server, 45, concurrency=advice["value"])
    assert server.peak == 9


async def test_a_run_at_a_rate_names_it(start):
    with KneeServer() as server:
        summary = (await finished(start, server, 20, rate_limit=20, rate_limit_burst=1)).summary()
    assert summary["advice"]["option"] == "rate_limit"


async def test_it_is_worked_out_once(start):
    with KneeServer() as server:
        run = await finished(start, server, 3)
    assert run.summary()["time"] is run.summary()["time"]
