"""The waterfall: geometry first, then ink that anything may be written with."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import START, attempt, failed, good, nan, timing, unsent

from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.exchange import Timing
from fastreq_jupyter.model import Request
from fastreq_jupyter.picture.figure import Waterfall, draw_svg
from fastreq_jupyter.picture.layout import choose_rows, cut_middle, lay_out, phase_bars, row_label, row_status, row_tip, show_ms

RUDE = "<script>alert(1)</script>\x1b[31m\u202e&\"'\n"


def _names(bars):
    return [name for name, _, _ in bars]


def test_the_phases_of_an_attempt_follow_each_other():
    bars = list(phase_bars([attempt()]))
    assert _names(bars) == ["queued", "dns", "connect", "tls", "wait", "receive"]
    for (_, _, end), (_, start, _) in pairwise(bars):
        assert end == pytest.approx(start)


def test_a_reused_connection_has_no_phases_before_the_request():
    hop = replace(timing(10.0, dns=0, connect=0, tls=0), reused=True)
    assert _names(phase_bars([attempt(hops=(hop,))])) == ["queued", "wait", "receive"]


def test_phases_nobody_saw_are_one_bar():
    unseen = attempt(hops=(Timing(),), end=10.3)
    assert list(phase_bars([unseen])) == [("queued", pytest.approx(9.996), 10.0), ("other", 10.0, 10.3)]
    assert _names(phase_bars([attempt(hops=())])) == ["queued", "other"]


def test_phases_seen_in_part_lie_on_the_bar_of_the_whole():
    hop = Timing(10.0, nan, nan, nan, nan, nan, nan, 10.2, 10.3)
    assert _names(phase_bars([attempt(hops=(hop,))])) == ["queued", "other", "receive"]


def test_retries_show_the_failure_and_the_wait():
    tries = [attempt(1, 10.0, status=503, error="http 503", retry_wait=1.0), attempt(2, 12.0, queued=0.5)]
    bars = list(phase_bars(tries))
    assert "failed" in _names(bars)
    assert next(bar for bar in bars if bar[0] == "retry wait") == ("retry wait", tries[0].end, pytest.approx(11.5))


def test_every_bar_lies_within_the_page_and_its_row():
    rows = [good(i) for i in range(5)] + [failed(5)]
    picture = lay_out(rows, title="x")
    for bar in picture.bars:
        assert 0 <= bar.x <= picture.width
        assert bar.x + bar.width <= picture.width
    tops = [top for top, _, _ in picture.tips]
    assert all(any(top <= bar.y and bar.y + bar.height <= top + 18 for top in tops) for bar in picture.bars)


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 50), st.floats(0, 5) | st.just(nan)), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_any_times_give_a_finite_picture(times):
    rows = [
        good(i, attempts=(attempt(1, start, hops=(timing(start, wait=wait, receive=receive),)),))
        for i, (start, wait, receive) in enumerate(times)
    ]
    picture = lay_out(rows)
    assert all(0 <= bar.x <= bar.x + bar.width <= picture.width + 1 and bar.height > 0 for bar in picture.bars)
    assert 1 < len(picture.grid) <= 12
    ET.fromstring(draw_svg(picture))


def test_a_later_phase_stands_further_right():
    picture = lay_out([good(0), good(1)])
    waits = [bar for bar in picture.bars if bar.phase == "wait"]
    assert waits[0].x < waits[1].x
    assert waits[0].y < waits[1].y


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (0.066, ["0", "10 ms", "20 ms"]),
        (4.0, ["0", "500 ms", "1.0 s"]),
        (90.0, ["0", "20 s", "40 s"]),
        (1000.0, ["0", "5 min", "10 min"]),
        (0.00039, ["0", "0.05 ms", "0.10 ms"]),
    ],
)
def test_ticks_are_round_numbers(seconds, labels):
    row = good(attempts=(attempt(hops=(), end=10.0 + seconds, queued=0.0),))
    texts = [label.text for label in lay_out([row], row_height=5).labels if label.anchor == "middle"]
    assert [text for text in texts if not text.startswith("phases")][:3] == labels


def test_at_most_200_rows_are_drawn_and_which_is_said():
    rows = [good(i) for i in range(4000)] + [failed(4000 + i) for i in range(100)]
    picture = lay_out(rows)
    assert len(picture.tips) == 200
    assert "200 of 4,100 requests: 80 of 100 failed or retried, the 60 slowest, 60 evenly spread" in [
        label.text for label in picture.labels
    ]


def test_the_slowest_is_among_those_drawn_and_order_is_kept():
    rows = [good(i) for i in range(1000)]
    rows[500] = good(500, attempts=(attempt(hops=(timing(10.0, wait=9.0),)),))
    chosen, _ = choose_rows(rows, None, 200)
    assert rows[500] in chosen
    assert [row.position for row in chosen] == sorted(row.position for row in chosen)
    assert len(chosen) == 200


def test_rows_never_sent_or_of_an_earlier_run_are_counted_only():
    rows = [good(0), unsent(1), good(2, attempts=(replace(attempt(), started_at=START - timedelta(hours=1)),))]
    picture = lay_out(rows, since=START)
    assert len(picture.tips) == 1
    assert picture.labels[-1].text == "not drawn: 1 never sent, 1 known from an earlier run"


@pytest.mark.parametrize("rows", [[], [unsent()]], ids=["none", "unsent"])
def test_nothing_sent_is_said(rows):
    picture = lay_out(rows)
    assert picture.bars == ()
    assert any("sent" in label.text for label in picture.labels)
    ET.fromstring(draw_svg(picture))


def test_low_rows_have_no_text_of_their_own():
    picture = lay_out([good(i) for i in range(50)], row_height=3)
    assert picture.names == ()
    assert picture.stripes == ()


def test_texts_from_outside_are_escaped_and_made_neutral():
    request = Request("GET", f"http://a.test/{RUDE}", label=RUDE)
    for text in (
        draw_svg(lay_out([failed(0, request=request, error_detail=RUDE)], title=RUDE)),
        draw_svg(lay_out([good(0, request=request)]), alone=True),
    ):
        assert "<script" not in text
        assert "\x1b" not in text
        assert "\u202e" not in text
        ET.fromstring(text)


def test_secrets_are_masked_in_labels_and_tips():
    request = Request("GET", "http://u:hunter2@a.test/x?token=abc", headers={"Authorization": "Bearer sesame-open-123"})
    text = draw_svg(lay_out([failed(0, request=request, error_detail="echo sesame-open-123")]))
    assert not {"hunter2", "abc", "sesame"} & set(text.replace("=", " ").replace("&", " ").replace("<", " ").split())
    assert "sesame" not in text
    assert "***" in text


def test_svg_holds_no_script_and_nothing_from_elsewhere():
    text = draw_svg(lay_out([good(0)]), alone=True)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("https://api.test", "")
    assert "script" not in text
    assert "url(" not in text


def test_a_row_is_named_by_label_or_method_and_path():
    assert row_label(good(0, request=Request("GET", "https://a.test/x?q=1")), several_hosts=False) == "/x?q=1"
    assert row_label(good(0, request=Request("POST", "https://a.test/x")), several_hosts=True) == "POST a.test/x"
    assert row_label(good(0, request=Request("GET", "https://a.test/x", label="login")), several_hosts=False) == "login"
    assert row_label(good(0, request=Request("GET", "https://a.test")), several_hosts=False) == "a.test"


def test_the_status_is_the_code_or_the_kind_of_failure():
    assert [row_status(row) for row in (good(), failed(error="http 404"), failed(error="timeout"), failed(error="too many redirects"))] == [
        "200",
        "404",
        "timeout",
        "redirects",
    ]


def test_a_tip_tells_the_exact_figures():
    assert row_tip(good(7)) == (
        "GET https://api.test/items/7 | 200, 4 bytes | queued 4.0 ms, dns 1.0 ms, connect 2.0 ms, tls 3.0 ms, wait 50 ms, receive 10 ms, in all 66 ms"
    )


def test_long_names_are_cut_in_the_middle_and_wide_letters_count_twice():
    assert cut_middle("short", 10) == "short"
    assert cut_middle("a" * 50 + "end", 12) == "aaaaaaa…aend" or cut_middle("a" * 50 + "end", 12).endswith("end")
    assert len(cut_middle("漢" * 40, 20)) <= 11


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.001, "0 ms"),
        (0.42, "0.42 ms"),
        (8.13, "8.1 ms"),
        (234.4, "234 ms"),
        (1234, "1.23 s"),
        (12_340, "12.3 s"),
        (125_000, "125 s"),
        (nan, ""),
    ],
)
def test_durations_have_three_figures(value, text):
    assert show_ms(value) == text


def test_the_figure_shows_itself_inline_and_alone():
    figure = Waterfall(lay_out([good(0)], title="run"))
    assert "currentColor" in figure._repr_html_()
    assert "prefers-color-scheme" in figure._repr_svg_()
    assert repr(figure) == "<Waterfall run>"


def test_the_figure_saves_itself(tmp_path):
    figure = Waterfall(lay_out([good(i) for i in range(3)] + [failed(3)], title="a $x$ run"))
    ET.parse(figure.save(tmp_path / "x.svg"))


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_another_ending_is_refused_in_one_line(tmp_path, ending):
    with pytest.raises(UsageError, match=r"ends in \.svg"):
        Waterfall(lay_out([])).save(tmp_path / f"x.{ending}")
    assert list(tmp_path.iterdir()) == []
