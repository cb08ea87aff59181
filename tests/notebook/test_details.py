"""One row in full: complete, redacted, neutral, cut."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from synthetic import runs

from fastreq_jupyter.model import Request, Response
from fastreq_jupyter.notebook.monitor.details import BODY_LIMIT, details_of

SECRET = "s3cr3t-value-of-mine"


def changed_response(response, **changed):
    names = ("status", "headers", "final_url", "content", "size_bytes", "http_version", "reason", "path")
    return Response(**{name: getattr(response, name) for name in names} | changed)


def answered(content, content_type="application/json", *, request=None, **changed):
    request = request or Request("GET", "https://a.example/orders/1")
    made = runs.outcome(0, request, (runs.attempt(1, 0.1),))
    response = Response(200, (("Content-Type", content_type),), request.url, content, len(content or b""), reason="OK")
    return replace(made, response=changed_response(response, **changed))


def body_of(outcome, place=None):
    section = details_of(outcome, place)["tabs"]["response"][-1]
    return {name: value for name, value in section.items() if name != "title"}


def attempts_of(tries):
    return details_of(runs.outcome(0, Request("GET", "https://a.example/"), tries))["tabs"]["timing"][0]["attempts"]


def test_attempts_are_told_with_each_phase_in_milliseconds_and_none_where_unseen():
    tries = (runs.attempt(1, 0.1, status=503, error="http 503", retry_wait=0.25), runs.attempt(2, 0.5, fresh=False))
    told = attempts_of(tries)
    phases = dict(told[0]["phases"])
    assert phases.pop("attempt") > 0
    assert phases == pytest.approx({"queued": 1, "dns": 2, "connect": 3, "tls": 4, "wait": 50, "receive": 10, "other": 0}, abs=1e-6)
    assert (told[0]["title"], told[0]["failed"], told[0]["notes"][-1]) == ("1. http 503", True, "then waited 0.25 s")
    assert (told[1]["title"], told[1]["failed"]) == ("2. 200", False)


def test_the_phases_add_up_to_the_attempt_whatever_went_on_besides():
    tried = runs.attempt(1, 0.1)
    moved = replace(tried, end=tried.end + 0.5)
    phases = dict(attempts_of((moved,))[0]["phases"])
    assert phases["other"] == pytest.approx(500)
    assert sum(phases.values()) - phases["queued"] - phases["attempt"] == pytest.approx(phases["attempt"])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_body_that_was_empty_is_called_so(method):
    empty = answered(None, request=Request(method, "https://a.example/"))
    assert body_of(replace(empty, response=changed_response(empty.response, status=204))) == {"note": "empty"}


def test_redirects_are_listed_without_their_secrets():
    moved = replace(runs.attempt(1, 0.1), redirects=((302, f"https://a.example/next?token={SECRET}"), (301, "https://b.example/")))
    assert attempts_of((moved,))[0]["notes"][1:] == ["302 to https://a.example/next?token=***", "301 to https://b.example/"]


def test_a_phase_nobody_saw_is_none():
    blind = runs.attempt(1, 0.1)
    blind = replace(blind, hops=(replace(blind.hops[0], domain_lookup_end=float("nan")),))
    assert dict(attempts_of((blind,))[0]["phases"])["dns"] is None


def test_no_secret_of_the_request_is_shown_wherever_it_stands():
    request = Request(
        "POST",
        f"https://me:{SECRET}@a.example/x?token={SECRET}&q={SECRET}",
        headers={"Authorization": f"Bearer {SECRET}", "X-Mine": SECRET},
        json={"password": SECRET, "note": SECRET},
        secrets=[SECRET],
    )
    echo = answered(
        json.dumps({"you sent": SECRET, "access_token": "another-secret"}).encode(),
        request=request,
        final_url=f"https://a.example/done?token={SECRET}",
        headers=(("Set-Cookie", f"sid={SECRET}"), ("X-Echo", SECRET), ("Content-Type", "application/json")),
    )
    text = json.dumps(details_of(replace(echo, error="http 500", error_detail=f"it said {SECRET}")))
    assert SECRET not in text
    assert "another-secret" not in text


def test_a_large_body_is_cut_and_says_how_to_get_the_whole():
    body = body_of(answered(b"x" * 1_000_000, "text/plain"), "orders.iloc[0]")
    assert len(body["text"]) == BODY_LIMIT
    assert body["note"] == "The first 64 kB of 1.0 MB: orders.iloc[0].data is the whole."


def test_a_picture_is_shown_and_other_bytes_are_named():
    picture = b"\x89PNG\r\n\x1a\n" + bytes(500)
    assert body_of(answered(picture, "image/png"))["picture"].startswith("data:image/png;base64,iVBOR")
    assert body_of(answered(bytes(2_000_000), "image/png"), "o.iloc[0]") == {"note": "2.0 MB of image/png: see o.iloc[0].data"}
    kept = replace(answered(None, "application/zip", size_bytes=9), data=bytes(9))
    assert body_of(kept) == {"note": "9 B of application/zip: see the frame's data column"}


def test_a_picture_with_a_secret_in_it_is_text():
    request = Request("GET", f"https://a.example/?token={SECRET}")
    body = body_of(answered(f"<svg><text>{SECRET}</text></svg>".encode(), "image/svg+xml", request=request))
    assert "picture" not in body
    assert SECRET not in json.dumps(body)


def test_a_body_kept_only_as_what_was_made_of_it_is_shown_from_that():
    data = {"id": 1, "password": "hidden-from-all", "more": [], "list": [1.5, None, True, 'a"b']}
    body = body_of(replace(answered(None, size_bytes=9), data=data))
    assert json.loads(body["json"]) == data | {"password": "***"}


@pytest.mark.parametrize("many", [100_000, 1])
def test_a_document_of_any_size_and_depth_is_cut(many):
    data = [["x" * 30] * many]
    for _ in range(5000):
        data = [data]
    body = body_of(replace(answered(None, size_bytes=10_000_000), data=data))
    assert body["json"].startswith("[" * 5000)
    assert len(body["json"]) <= BODY_LIMIT


def test_the_request_is_shown_as_it_was_sent_its_query_as_a_table():
    request = Request("POST", f"https://a.example/x?q=a+b&token={SECRET}&empty=", json={"password": SECRET, "n": 1})
    told = details_of(answered(b"{}", request=request))["tabs"]["request"]
    assert told[1]["facts"] == [["q", "a b"], ["token", "***"], ["empty", ""]]
    names = [name for name, _ in told[2]["facts"]]
    assert names[:2] == ["Host", "User-Agent"]
    assert json.loads(told[3]["json"]) == {"password": "***", "n": 1}


def test_a_body_that_feeds_a_secret_is_hidden():
    request = Request("POST", "https://a.example/login", hide_data=True)
    assert body_of(answered(b'{"t": "x"}', request=request))["text"] == "***"


def test_hostile_headers_are_neutral_and_cut():
    told = details_of(answered(b"{}", headers=(("X-Evil\x1b[0m", "a\u202eb\x00" + "y" * 100_000),) * 300))
    headers = told["tabs"]["headers"][0]["facts"]
    assert len(headers) == 100
    name, value = headers[0]
    assert (name, len(value)) == ("X-Evil", 1000)
    assert not set(value) & {"\u202e", "\x00"}
