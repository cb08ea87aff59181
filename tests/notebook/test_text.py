"""The progress line, with a clock of the test's own."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from fastreq_jupyter.engine.limits import AutoLimit
from fastreq_jupyter.engine.progress import Progress
from fastreq_jupyter.notebook.display import TerminalText, progress_line


def progress(**changes):
    given = {
        "total": 5000, "done": 1234, "ok": 1230, "failed": 4, "retried": 12, "in_flight": 20, "waiting": 0,
        "bytes": 12_000_000, "elapsed_s": 14.0, "per_second": 87.4, "eta_s": 43.2, "notice": None,
    }  # fmt: skip
    return Progress(**{**given, **changes})


def run_of(**changes):
    return SimpleNamespace(progress=progress(**changes), name="orders", state="RUNNING", auto=None)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_the_line_tells_how_far_it_is():
    assert progress_line(progress(), name="orders") == (
        "orders: 1,234 of 5,000 done, 1,230 ok, 4 failed, 12 retried, 20 in flight, 87/s, 12 MB, 43 s left"
    )


def test_the_limit_that_auto_set_is_told_with_its_reason():
    line = progress_line(progress(), auto=AutoLimit(24, "48 brought no more than 24", 24))
    assert ", 20 of 24 in flight, " in line
    assert line.endswith(" | auto: 48 brought no more than 24")


def test_an_unknown_total_is_left_out():
    assert progress_line(progress(total=None, eta_s=None, retried=0)).startswith("1,234 done, 1,230 ok, 4 failed, 20 in flight")


@pytest.mark.parametrize(
    ("given", "shown"), [({"notice": "http://h asks to wait 30 s"}, "| http://h asks to wait 30 s"), ({"notice": "a\x1b[31m\nb"}, "| a b")]
)
def test_a_notice_is_shown_on_the_same_line_and_harmless(given, shown):
    line = progress_line(progress(**given))
    assert line.endswith(shown)
    assert "\x1b" not in line


def test_a_paused_run_says_so():
    assert "| paused" in progress_line(progress(), state="PAUSED")


def test_a_short_run_draws_nothing():
    stream, clock = io.StringIO(), Clock()
    line = TerminalText(stream, clock)
    line.tick(run_of())
    clock.now = 0.2
    line.tick(run_of())
    line.close(run_of())
    assert stream.getvalue() == ""


def test_the_line_is_drawn_at_most_ten_times_a_second_and_cleared_at_the_end():
    stream, clock = io.StringIO(), Clock()
    line = TerminalText(stream, clock)
    for step in range(200):
        clock.now = step / 100
        line.tick(run_of(done=step))
    line.close(run_of())
    assert 15 <= stream.getvalue().count("of 5,000 done") <= 20
    assert stream.getvalue().endswith("\r\x1b[K")


def test_an_unchanged_line_is_not_drawn_again():
    stream, clock = io.StringIO(), Clock()
    line = TerminalText(stream, clock)
    for step in range(10):
        clock.now = float(step)
        line.tick(run_of())
    assert stream.getvalue().count("done") == 1
