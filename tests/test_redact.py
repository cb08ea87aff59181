import base64
import html
import json
import sys
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastreq_jupyter.redact import (
    MASK,
    SECRET_HEADERS,
    SECRET_NAMES,
    is_secret_header,
    is_secret_name,
    one_line,
    redact_body,
    redact_headers,
    redact_text,
    redact_url,
    secret_values,
)

SECRET = 'Canary/"tök+n" & 100%\\x'
SECRETS = st.text(st.characters(exclude_categories=["Cs"]), min_size=8, max_size=30).filter(lambda s: len(s.strip("* ")) >= 8)


@pytest.mark.parametrize(
    "name", [*sorted(SECRET_NAMES), "TOKEN", "apiKey", "api-key", "Access-Token", "user[password]", "password[]", "X-Amz-Signature"]
)
def test_whole_name_of_the_list_is_secret(name):
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["", "page_token", "next_token", "nextPageToken", "cursor", "tokens", "keyword", "monkey", "design", "author", "sort_key", "[]"]
)
def test_part_of_a_name_makes_no_secret(name):
    assert not is_secret_name(name)


@pytest.mark.parametrize("name", [*sorted(SECRET_HEADERS), "AUTHORIZATION", "X-Token", "Api-Key", "x-apikey", "Password"])
def test_header_of_the_list_is_secret(name):
    assert is_secret_header(name)


@pytest.mark.parametrize("name", ["accept", "x-request-id", "etag", "content-type", "www-authenticate", "x-page-token", "idempotency-key"])
def test_other_header_is_not_secret(name):
    assert not is_secret_header(name)


@pytest.mark.parametrize(
    "url",
    [
        "https://h.example/a/b",
        "https://h.example/?page=2&page_token=abc&sort=key",
        "https://h.example/@user/x",
        "https://h.example:8080/@user?q=a@b",
        "http://[::1]:80/@a",
        "https://h.example/a?x=1;y=2#part",
        "",
        "no url at all",
        "me@mail.example",
        "?",
        "#",
    ],
)
def test_url_without_secrets_stays_as_it_is(url):
    assert redact_url(url) == url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://me:pw@h.example/x", "http://***@h.example/x"),
        ("http://token@h.example/x", "http://***@h.example/x"),
        ("http://me:p@w@h.example/x", "http://***@h.example/x"),
        ("http://me:p/w@h.example/x", "http://***@h.example/x"),
        ("http://me:p?w#z@h.example/x", "http://***@h.example/x"),
        ("//me:pw@h.example/x", "//***@h.example/x"),
        ("me:pw@h.example/x", "***@h.example/x"),
        ("socks5://me:pw@h.example:1080", "socks5://***@h.example:1080"),
        ("http://h/?token=abc", "http://h/?token=***"),
        ("http://h/?a=1&API-KEY=abc&b=2", "http://h/?a=1&API-KEY=***&b=2"),
        ("http://h/?token=a=b;c", "http://h/?token=***"),
        ("http://h/?a=1;token=abc&b=2", "http://h/?a=1;token=***&b=2"),
        ("http://h/?%74oken=abc", "http://h/?%74oken=***"),
        ("http://h/??token=abc", "http://h/??token=***"),
        ("http://h/#access_token=abc&state=1", "http://h/#access_token=***&state=1"),
        ("http://h/?a=1#token=abc", "http://h/?a=1#token=***"),
        ("http://h/?token=&a=1", "http://h/?token=&a=1"),
        ("http://h/?next=http://me:pw@other/", "http://h/?next=http://***@other/"),
        ("?token=abc", "?token=***"),
    ],
)
def test_secrets_of_a_url_are_masked(url, shown):
    assert redact_url(url) == shown


@pytest.mark.parametrize("pin", ["1234", "a b", "ä"])
def test_short_value_is_masked_in_the_url_it_was_inserted_in(pin):
    assert redact_url(f"http://h1234.example/pins/{quote(pin)}?p={quote_plus(pin)}", [pin]) == "http://h1234.example/pins/***?p=***"


def test_secret_headers_are_masked_and_urls_in_others():
    headers = (
        ("authorization", "Bearer abc"),
        ("Set-Cookie", "a=b"),
        ("Accept", "*/*"),
        ("Referer", "http://u:p@h/?token=x"),
        ("X-Id", "valueofcanary"),
    )
    shown = (("authorization", MASK), ("Set-Cookie", MASK), ("Accept", "*/*"), ("Referer", "http://***@h/?token=***"), ("X-Id", MASK))
    assert redact_headers(headers, ["valueofcanary"]) == shown


SPELLINGS = {
    "raw": SECRET,
    "quote": quote(SECRET),
    "quote without safe": quote(SECRET, safe=""),
    "quote_plus": quote_plus(SECRET),
    "quote in lower hex": quote(SECRET, safe="")
    .replace("%C3%B6", "%c3%b6")
    .replace("%2F", "%2f")
    .replace("%2B", "%2b")
    .replace("%5C", "%5c"),
    "json": json.dumps(SECRET),
    "json in unicode": json.dumps(SECRET, ensure_ascii=False),
    "json with escaped slash": json.dumps(SECRET).replace("/", "\\/"),
    "json in json": json.dumps(json.dumps(SECRET)),
    "repr": repr(SECRET),
    "repr of bytes": repr(SECRET.encode()),
    "repr of a dict": repr({"a": SECRET}),
    "html": html.escape(SECRET),
    "header bytes": SECRET.encode().decode("latin-1"),
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64 for URLs": base64.urlsafe_b64encode(SECRET.encode()).decode(),
    "base64 of a pair": base64.b64encode(b"me:" + SECRET.encode()).decode(),
    "base64 of a longer name": base64.b64encode(b"user:" + SECRET.encode() + b":x").decode(),
    "base64 of latin-1": base64.b64encode(SECRET.encode("latin-1")).decode(),
}


@pytest.mark.parametrize("way", SPELLINGS)
def test_secret_is_found_however_it_is_spelt(way):
    text = SPELLINGS[way]
    shown = redact_text(f"before {text} after", [SECRET])
    assert MASK in shown
    assert "Canary" not in shown
    if "base64" in way:
        kept = base64.b64encode(SECRET.encode()).decode()
        assert all(kept[i : i + 8] not in shown for i in range(len(kept) - 8))


@given(SECRETS, st.text(max_size=20), st.text(max_size=20))
def test_no_secret_is_left_in_a_text(secret, before, after):
    forms = [
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    ]
    for form in forms:
        assert form not in redact_text(f"{before}{form}{after}", [secret]) or form in MASK


@given(SECRETS, st.binary(max_size=7), st.binary(max_size=7))
def test_no_secret_is_left_in_base64(secret, before, after):
    text = base64.b64encode(before + secret.encode() + after).decode()
    shown = redact_text(text, [secret])
    assert MASK in shown
    assert len(shown.replace(MASK, "")) <= len(base64.b64encode(before)) + len(base64.b64encode(after)) + 8


def test_longest_secret_goes_first():
    assert redact_text("password-of-mine and password", ["password", "password-of-mine"]) == "*** and ***"


def test_short_value_is_left_in_a_text():
    assert redact_text("room 1234 of 1234567", ["1234", "1234567"]) == "room 1234 of 1234567"


def test_no_secrets_change_nothing():
    assert redact_text("text", ()) == "text"


@pytest.mark.parametrize(
    ("body", "kind", "shown"),
    [
        (b'{"user": "me", "password": "x\\"y", "n": 1}', "application/json", '{"user": "me", "password": "***", "n": 1}'),
        (b'{"token": 12345, "next_token": "n"}', "application/json", '{"token": "***", "next_token": "n"}'.replace('"***"', "***")),
        (b'{"credentials": {"a": ["b]", "c"]}, "d": 1}', None, '{"credentials": ***, "d": 1}'),
        (b'{"a": {"secret":null}}', "text/plain", '{"a": {"secret":***}}'),
        (b'{"password": "cut of', "application/json", '{"password": "***"'),
        (b"user=me&password=x%20y&a=1", "application/x-www-form-urlencoded", "user=me&password=***&a=1"),
        (b"user=me&api_key=x", None, "user=me&api_key=***"),
        (b"see http://me:pw@h/", "text/plain", "see http://***@h/"),
        (b"the valueofcanary is here", "text/plain", "the *** is here"),
        (b"", None, ""),
    ],
)
def test_preview_of_a_body_hides_secret_fields(body, kind, shown):
    assert redact_body(body, kind, ["valueofcanary"]) == shown


def test_preview_of_a_multipart_form_hides_secret_fields():
    body = b'--b\r\nContent-Disposition: form-data; name="password"\r\n\r\nx\r\ny\r\n--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b--\r\n'
    shown = redact_body(body, "multipart/form-data; boundary=b")
    assert 'name="password"\r\n\r\n***\r\n--b' in shown
    assert 'name="a"\r\n\r\n1\r\n' in shown


def test_secret_at_the_end_of_a_preview_is_not_halved():
    assert "canary" not in redact_body(b"x" * 95 + b"canary-value" + b"y" * 50, "text/plain", ["canary-value"], limit=100)


def test_values_of_a_request_are_collected():
    basic = "Basic " + base64.b64encode("me:pässword".encode()).decode()
    values = secret_values(
        "http://user1:p%40ss@h/?token=t%20k&page=2&a=1;sig=s1",
        (("Authorization", basic), ("Cookie", 'sid="c1"; b=c2'), ("X-Api-Key", "k1"), ("Accept", "*/*")),
        json.dumps({"user": "me", "password": "b1", "deep": [{"secret": 42, "credentials": {"x": ["y1"]}}]}).encode(),
        "application/json",
    )
    wanted = {
        "user1",
        "p%40ss",
        "p@ss",
        "t%20k",
        "t k",
        "s1",
        basic,
        basic[6:],
        "me:pässword",
        "pässword",
        "c1",
        "c2",
        "k1",
        "b1",
        "42",
        "y1",
    }
    assert wanted <= values
    assert values.isdisjoint({"2", "*/*", "1", ""})


def test_values_of_a_form_are_collected():
    form = urlencode({"user": "me", "password": "p w+", "a": "b"}).encode()
    assert {"p w+", "p+w%2B"} <= secret_values("http://h/", (), form, "application/x-www-form-urlencoded")


def test_request_without_secrets_has_no_values():
    assert secret_values("http://h/?a=b", (("Accept", "*/*"),), b'{"a": 1}', "application/json") == frozenset()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\r\n\there", "two lines here"),
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07x\x1bcy", "red xy"),
        ("a\u202eb\u2066c", "a\ufffdb\ufffdc"),
        ("a\x00b\x9bc\ud800d", "a\ufffdb\ufffdc\ufffdd"),
        ("  spaced\u2028out  \n", "spaced out"),
        ("ä 漢 👩\u200d🔬", "ä 漢 👩\u200d🔬"),
        ("x" * 400, "x" * 299 + "…"),
    ],
)
def test_text_from_the_network_becomes_one_harmless_line(text, shown):
    assert one_line(text) == shown


@given(st.text(max_size=200))
def test_any_text_becomes_one_harmless_line(text):
    line = one_line(text)
    assert len(line) <= 300
    assert not any(c in line for c in "\n\r\x1b\x00\u202e\u2028")


@given(st.text(max_size=80))
def test_any_text_is_redacted_the_same_twice(text):
    assert redact_url(redact_url(text)) == redact_url(text)
    body = text.encode("utf-8", "replace")
    assert redact_body(body, None) is not None


EVIL = [
    "@",
    "//",
    "//a:b",
    "?a=1;",
    ";",
    "&token=",
    '"',
    '\\"',
    '"token":"',
    '{"token":',
    "[",
    '"token":[',
    "\x1b]",
    "%",
    "#?",
    'name="token"\r\n',
    'name="token"\r\n\r\n',
    "--",
]


@pytest.mark.parametrize("piece", EVIL)
def test_long_hostile_texts_are_shown_in_bounded_time(piece):
    size = 200_000
    text = "@" + piece * (size // len(piece))
    # What takes a quadratic time does not come back before pytest's own timeout.
    redact_url(text)
    one_line(text)
    for kind in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data"):
        redact_body(text.encode(), kind, ["canary-value"], limit=size)


def test_a_plain_url_costs_few_calls():
    calls = 0

    def count(frame, event, arg):
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        for number in range(100):
            redact_url(f"https://api.example.com/v1/items/{number}")
    finally:
        sys.setprofile(None)
    assert calls <= 300
