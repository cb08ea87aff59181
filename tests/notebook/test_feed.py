"""The feed: from outcomes to messages. The contract files are read by the page's tests, too."""

from __future__ import annotations

import json
import os
import sys
from array import array
from base64 import b64encode
from collections import Counter
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import runs

from fastreq_jupyter.engine import FileProgress
from fastreq_jupyter.model import Outcome, Request, SingleAttempt
from fastreq_jupyter.notebook.monitor.batch import ATTEMPT_COLUMNS, ROW_COLUMNS
from fastreq_jupyter.notebook.monitor.feed import Feed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastreq_jupyter.notebook.monitor.feed import Message

CONTRACT = Path(__file__).parents[1] / "contract"
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202egnp.exe\x00" + "x" * 1_000_000


def columns(buffer: bytes, schema: Mapping[str, str], count: int) -> dict[str, list[Any]]:
    """Read a buffer as the page does."""
    found, at = {}, 0
    for name, code in schema.items():
        column = array(code)
        size = column.itemsize * count
        assert at % column.itemsize == 0, "a column is not aligned"
        column.frombytes(buffer[at : at + size])
        found[name], at = [None if isinstance(value, float) and isnan(value) else value for value in column], at + size
    assert at == len(buffer)
    return found


def as_json(message: Message) -> dict[str, Any]:
    return {**message.content, "buffers": [b64encode(buffer).decode("ascii") for buffer in message.buffers]}


def read(message: Message) -> dict[str, Any]:
    content = message.content
    return {
        "rows": columns(message.buffers[0], ROW_COLUMNS, content["count"]),
        "attempts": columns(message.buffers[1], ATTEMPT_COLUMNS, content["attempts"]),
    }


def a_story() -> list[Message]:
    """A run of four: one good, one retried, one failed, one still under way; told in three messages, then asked for."""
    good = runs.outcome(0, Request("GET", "https://a.example/orders/1?page=2", label="first"), (runs.attempt(1, 0.1),))
    tries = (runs.attempt(1, 0.1, status=503, error="http 503", retry_wait=0.25), runs.attempt(2, 0.5, fresh=False))
    retried = runs.outcome(1, Request("GET", "https://a.example/orders/2"), tries)
    lost = runs.outcome(
        2, Request("POST", "https://b.example/pay?token=verysecretvalue"), (runs.attempt(1, 0.2, status=None, error="timeout"),)
    )
    feed = Feed("run-1", name="orders")
    told = []
    feed.take(runs.BEGAN, [], [runs.in_flight(0, good.request, 0.1, head_after=0.059), runs.parked(1, retried.request, tries[:1])])
    told.append(feed.message(runs.status(), 100))
    slow = Request("GET", "https://a.example/slow")
    feed.take(runs.BEGAN, [good, retried, lost], [runs.in_flight(3, slow, 0.6)])
    told.append(feed.message(runs.status(), 100))
    feed.take(runs.BEGAN, [], [runs.in_flight(3, slow, 0.6, head_after=0.1)])
    told.append(feed.message(runs.status(notice="b.example asked to wait until 12:00:05"), 100))
    told.append(feed.answer(77, 0, runs.status(), 3))
    told.append(feed.answer(78, 3, runs.status(), 3))
    return told


def test_the_messages_are_those_the_page_is_tested_with():
    story = [{**as_json(message), "expected": read(message)} for message in a_story()]
    text = json.dumps(story, indent=1, ensure_ascii=True) + "\n"
    file = CONTRACT / "monitor_story.json"
    if os.environ.get("WRITE_CONTRACT"):
        file.write_text(text)
    assert json.loads(file.read_text()) == json.loads(text), "run with WRITE_CONTRACT=1 if the change is meant"


def test_a_row_is_told_with_its_texts_once_and_later_with_numbers_alone():
    first, second = (message.content["url"] for message in a_story()[:2])
    assert first == ["https://a.example/orders/1?page=2", "https://a.example/orders/2"]
    assert second == ["https://b.example/pay?token=***", "https://a.example/slow"]


def test_only_rows_that_changed_are_told():
    story = [read(message)["rows"]["position"] for message in a_story()]
    assert story[:3] == [[0, 1], [2, 3, 0, 1], [3]]


def test_each_look_at_a_job_that_waits_is_told():
    feed, waits = Feed("run-1"), runs.parked(0, Request("POST", "https://a.example/jobs"), (runs.attempt(1, 0.1),))
    told = []
    for looks in (1, 1, 2):
        feed.take(runs.BEGAN, [], [waits._replace(looks=looks)])
        told.append(read(feed.message(runs.status(), 10))["rows"]["looks"])
    assert told == [[1], [], [2]]


def test_phases_are_milliseconds_since_the_run_began():
    attempts = read(a_story()[3])["attempts"]
    first = {name: attempts[name][0] for name in ("start", "queued", "dns", "connect", "tls", "wait", "receive", "total")}
    assert first == pytest.approx(
        {"start": 100, "queued": 1, "dns": 2, "connect": 3, "tls": 4, "wait": 50, "receive": 10, "total": 69}, rel=1e-4
    )


def test_a_retry_wait_is_told_while_it_lasts():
    attempts = read(a_story()[0])["attempts"]
    assert attempts["retry_wait"][1] == pytest.approx(250, rel=1e-4)


def test_an_answer_gives_the_rows_from_a_position_on_and_says_where_to_go_on():
    third, fourth = (message.content for message in a_story()[3:])
    assert (third["answers"], third["start"], third["count"], third["next"]) == (77, 0, 3, 3)
    assert (fourth["answers"], fourth["start"], fourth["count"], fourth["next"]) == (78, 3, 1, None)


def test_the_first_of_the_large_files_on_their_way_are_told_in_words():
    files = [
        FileProgress(i, f"/data/film-{i}\x07.mp4", 3_000_000, 9_000_000 if i else None, 2_000_000, 3.0 if i else None) for i in range(6)
    ]
    told = Feed("run-1").message(runs.status(files=tuple(files)), 10).content["progress"]["files"]
    assert told[:2] == [
        ("film-0\ufffd.mp4", None, "3.0 MB, 2.0 MB/s"),
        ("film-1\ufffd.mp4", pytest.approx(1 / 3), "3.0 MB of 9.0 MB, 2.0 MB/s, 3.0 s left"),
    ]
    assert [text for _, _, text in told[4:]] == ["and 2 more"]


def test_messages_are_numbered_without_a_gap():
    assert [message.content["seq"] for message in a_story()] == [1, 2, 3, 4, 5]


def test_a_message_holds_no_more_rows_than_allowed_and_the_rest_comes_next():
    feed = runs.fed(runs.many(25))
    sizes = []
    while feed.pending:
        sizes.append(feed.message(runs.status(), 10).content["count"])
    assert sizes == [10, 10, 5]


def test_repeating_tells_everything_again():
    feed = runs.fed(runs.many(5))
    feed.message(runs.status(), 10)
    feed.repeat()
    assert len(feed.message(runs.status(), 10).content["url"]) == 5


def test_rows_beyond_the_limit_are_not_listed():
    feed = runs.fed(runs.many(50), row_limit=20)
    assert (feed.known, feed.message(runs.status(), 100).content["count"]) == (20, 20)


def test_a_snapshot_is_bounded_and_prefers_failures_beyond_its_first_rows():
    feed = runs.fed(runs.many(200))
    positions = read(feed.snapshot(runs.status("DONE"), 20))["rows"]["position"]
    assert len(positions) == 20
    assert positions[:15] == list(range(15))
    assert {57, 107, 157} <= set(positions)


def test_attempts_of_an_earlier_run_have_no_place_on_the_time_axis():
    feed = Feed("run-2")
    feed.take(runs.BEGAN + 60, runs.many(1))
    message = feed.message(runs.status(), 10)
    found = read(message)
    assert (found["attempts"]["start"], found["rows"]["elapsed"]) == ([None], [pytest.approx(69, rel=1e-4)])


def test_no_secret_of_a_request_is_in_any_message():
    secret = "s3cr3t-value-of-mine"
    request = Request(
        "POST",
        f"https://user:{secret}@a.example/x?api_key={secret}&q={secret}",
        headers={"Authorization": f"Bearer {secret}"},
        data=f"password={secret}",
        key=f"row {secret}",
        label=f"name {secret}",
        secrets=[secret],
    )
    tried = runs.attempt(1, 0.1, status=None, error="connect")
    lost = runs.outcome(0, request, (tried,))
    feed = runs.fed([type(lost)(0, request, (tried,), None, None, "connect", f"no route to {secret}")])
    for message in (feed.answer(1, 0, runs.status(), 10), feed.snapshot(runs.status(), 10)):
        assert secret not in json.dumps(message.content)
        assert secret.encode() not in b"".join(message.buffers)


def test_hostile_texts_are_cut_and_made_neutral():
    request = Request("GET", f"https://a.example/{HOSTILE}", label=HOSTILE)
    feed = runs.fed([runs.outcome(0, request, (runs.attempt(1, 0.1),))])
    text = json.dumps(feed.message(runs.status(), 10).content, ensure_ascii=False)
    assert len(text) < 3000
    assert not set(text) & {"\x1b", "\u202e", "\x00"}


def test_a_plain_good_row_costs_at_most_eight_calls_to_be_entered_and_told():
    singles = [replace(one, attempts=single(one)) for one in runs.many(1000) if one.ok and len(one.attempts) == 1]
    calls = Counter()
    sys.setprofile(lambda frame, event, _: calls.update([event]))
    try:
        feed = runs.fed(singles)
        message = feed.message(runs.status(), 1000)
    finally:
        sys.setprofile(None)
    assert message.content["count"] == len(singles) > 800
    assert calls["call"] < 8 * len(singles)


@pytest.mark.parametrize("shown", [False, True], ids=["never seen", "seen under way"])
def test_rows_entered_together_are_told_as_rows_entered_one_by_one(shown):
    outcomes = [replace(one, position=one.position * 3) for one in runs.many(40)]
    packed = [replace(one, attempts=single(one)) if one.ok and len(one.attempts) == 1 else one for one in outcomes]
    feeds = Feed("run-1"), Feed("run-1")
    for feed, rows in zip(feeds, (outcomes, packed), strict=True):
        sights = [runs.stages_of(one)[0] for one in outcomes[::2]] if shown else []
        feed.take(runs.BEGAN, [], sights)
        feed.take(runs.BEGAN, rows)
    expected, told = (by_position(feed.answer(1, 0, runs.status(), 100)) for feed in feeds)
    assert told == expected


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), min_size=1, max_size=12))
def test_however_it_is_cut_the_page_ends_with_the_same_rows(steps):
    outcomes = runs.many(15)
    sights = [sight for one in outcomes for sight in (*runs.stages_of(one), one)]
    feed = Feed("run-1")
    known: dict[int, tuple[Any, ...]] = {}
    for step in range(200):
        taken, limit = steps[step % len(steps)]
        seen_now, sights = sights[: taken or 1], sights[taken or 1 :]
        ended = [sight for sight in seen_now if isinstance(sight, Outcome)]
        # Of what has ended by now nobody sees it under way any more, and of the others the newest sight.
        newest = {sight.position: sight for sight in seen_now if not isinstance(sight, Outcome)}
        feed.take(runs.BEGAN, ended, [sight for position, sight in newest.items() if position not in {one.position for one in ended}])
        known |= {row[0]: row for row in seen(feed.message(runs.status(), limit))}
    assert sorted(known.values()) == seen(runs.fed(outcomes).answer(1, 0, runs.status(), 100))


def seen(message: Message) -> list[tuple[Any, ...]]:
    rows = read(message)["rows"]
    return list(zip(rows["position"], rows["status"], rows["state"], rows["tries"], rows["elapsed"], strict=True))


def by_position(message: Message) -> dict[int, list[Any]]:
    """Return all that is told of each row, whatever the order in which it is told."""
    found, words = read(message), message.content["words"]
    rows = [
        {
            name: words[value] if name in ("error", "method", "host", "type", "cached") else value
            for name, value in zip(found["rows"], row, strict=True)
        }
        for row in zip(*found["rows"].values(), strict=True)
    ]
    told = {row["position"]: [url, row] for row, url in zip(rows, message.content["url"], strict=True)}
    for attempt in zip(*found["attempts"].values(), strict=True):
        told[attempt[list(found["attempts"]).index("position")]].append([round(value, 3) if value else value for value in attempt])
    return told


def single(one: Outcome) -> SingleAttempt:
    """Return the attempt of a good row as the engine packs it."""
    (tried,) = one.attempts
    return SingleAttempt(0, tried.start, tried.queued, tried.hops[0], tried.status or 0)
