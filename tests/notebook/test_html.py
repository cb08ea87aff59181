"""The static summary: what a reopened, exported or untrusted notebook still shows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from samples import failed, good, unsent

from fastreq_jupyter import fastreq, last_run
from fastreq_jupyter.engine import gist_of
from fastreq_jupyter.model import Request
from fastreq_jupyter.notebook.html import _NO_ERROR, beginning, html_summary, text_summary

RUDE = "<script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m\u202e&\"'\n</div>"
ALLOWED = {"div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "img", "svg", "path", "span", "style"}
VOID = {"path", "img"}
DRAWN = "data:image/svg+xml,"


@dataclass
class Run:
    """Be as much of a run as the summary reads."""

    rows: list
    notes: list = field(default_factory=list)
    name: str = "orders"
    state: str = "DONE"

    def gist(self):
        return gist_of(self.rows)

    def closing_line(self):
        return f"{self.name}: {sum(row.ok for row in self.rows)} of {len(self.rows)} ok"

    def summary(self):
        ok = sum(row.ok for row in self.rows)
        return {
            "done": len(self.rows), "answered": len(self.rows), "ok": ok, "failed": len(self.rows) - ok, "retried": 0, "elapsed_s": 2.0, "bytes": 1200,
            "notes": self.notes, "started_at": "2026-11-03T09:12:00.000+00:00",
        }  # fmt: skip


class Reader(HTMLParser):
    """Check that all is closed, and gather elements, attributes and text."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], set(), [], []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += [(name, value) for name, value in attrs if name != "src"]
        for name, value in attrs:
            if name == "src":
                assert value.startswith(DRAWN)
                inner = _read(drawing(value))
                self.tags |= inner.tags
                self.attributes += inner.attributes
                self.text += inner.text

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def drawing(source):
    return unquote(source.removeprefix(DRAWN))


def plain(page):
    """The page, with its drawing where the drawing's code was."""
    return re.sub(f'{re.escape(DRAWN)}([^"]*)', lambda found: drawing(found[1]), page)


def _read(text):
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return reader


def test_it_tells_figures_failures_and_draws_the_waterfall():
    reader = _read(html_summary(Run([good(0), good(1), failed(2), failed(3, "timeout", error_detail="no answer within 30 s")])))
    text = " ".join(reader.text)
    for said in (
        "orders: 2 of 4 ok",
        "http 503",
        "25 %",
        "timeout",
        "no answer within 30 s",
        "p95",
        "66 ms",
        "https://api.test/items/3",
        "4 requests over",
    ):
        assert said in text, said
    assert "svg" in reader.tags


def test_there_is_no_script_and_nothing_from_elsewhere():
    reader = _read(html_summary(Run([good(i) for i in range(30)] + [failed(30)])))
    assert reader.tags <= ALLOWED
    assert not [name for name, _ in reader.attributes if name.startswith("on") or name in ("src", "href", "id")]
    # Its one class is for the live view, which hides this beside itself.
    assert {value for name, value in reader.attributes if name == "class"} == {"fastreq-summary"}
    assert not [value for _, value in reader.attributes if "url(" in (value or "")]
    # Its one rule hides the error of a widget that a page without a kernel cannot show.
    assert [text for text in reader.text if "{" in text] == [_NO_ERROR.removeprefix("<style>").removesuffix("</style>")]


def test_whatever_comes_from_outside_is_escaped_and_made_neutral():
    request = Request("GET", f"http://a.test/{RUDE}", label=RUDE)
    run = Run([failed(0, "timeout", request=request, error_detail=RUDE), good(1, request=request)], [RUDE], RUDE)
    for text in (plain(html_summary(run)), text_summary(run)):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", text)
    reader = _read(html_summary(run))
    assert reader.tags <= ALLOWED
    assert not [name for name, _ in reader.attributes if name == "onerror"]


def test_twenty_good_requests_take_two_kilobytes_at_most():
    assert len(html_summary(Run([good(i) for i in range(20)]))) < 2_300


def test_pages_without_widgets_are_told_that_a_run_began_in_words_that_stay_true(counting_server):
    fastreq(f"{counting_server.url}/a")
    assert re.fullmatch(r"1 request, begun at 20[-0-9]+ [0-9:]+ UTC", beginning(last_run()))


def test_secrets_do_not_get_into_it():
    request = Request("GET", "http://u:hunter2@a.test/x?token=abcabc", headers={"Authorization": "Bearer sesame-open-123"})
    run = Run([failed(0, "timeout", request=request, error_detail="echo sesame-open-123")])
    for text in (plain(html_summary(run)), text_summary(run)):
        assert not any(secret in text for secret in ("hunter2", "abcabc", "sesame"))


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 24, 25, 200, 20_000])
def test_it_stays_small(count):
    rows = [failed(i, f"http {500 + i % 90}", error_detail="x" * 5000) if i % 7 == 0 else good(i) for i in range(count)]
    text = html_summary(Run(rows))
    assert len(text) < 20_000
    assert len(text_summary(Run(rows))) < 5_000
    _read(text)


def test_a_megabyte_in_every_text_stays_small_too():
    request = Request("GET", "http://a.test/" + "é" * 2**20, label="l" * 2**20)
    run = Run([failed(i, "timeout", request=request, error_detail="d" * 2**20) for i in range(30)], ["n" * 2**20] * 20)
    assert len(html_summary(run)) < 20_000


@pytest.mark.parametrize("rows", [[], [unsent()]], ids=["none", "unsent"])
def test_a_run_without_answers_has_a_summary(rows):
    run = Run(rows, state="CANCELLED")
    assert "cancelled" in html_summary(run)
    _read(html_summary(run))
    assert text_summary(run)


def test_the_text_summary_has_one_line_for_each_kind_of_failure():
    assert text_summary(Run([good(0), failed(1), failed(2)], ["a note"])).splitlines() == [
        "orders: 1 of 3 ok",
        "  p50 66 ms, p95 66 ms, p99 66 ms",
        "  http 503 x2: the server is busy (https://api.test/items/1)",
        "  a note",
    ]


def test_a_real_run_has_one(demo_server):
    fastreq([demo_server.url.rstrip("/") + path for path in ("/customers/1", "/nothing")], progress="none")
    run = last_run()
    assert run.closing_line() in text_summary(run)
    assert "http 404" in " ".join(_read(html_summary(run)).text)
