"""Requests back to text: what is written is read again as the same."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples.cells import FIXED

from fastreq_jupyter.cell.plan import build
from fastreq_jupyter.cell.text import secrets_of, to_curl, to_http
from fastreq_jupyter.model import Request
from fastreq_jupyter.options import Options

TOKEN = st.text(st.sampled_from("ABCdef-_.!0123"), min_size=1, max_size=8)
CHARS = st.characters(codec="utf-8")
URLS = st.builds(
    lambda host, path, query: f"https://{host}/{path}" + (f"?{query}" if query else ""),
    st.sampled_from(["h.example", "h:8080", "[::1]", "b\u00fccher.example", "user:pw@h.example"]),
    st.text(st.sampled_from("ab/{}[]-019\\%~$ \u00e9'\"`^!&"), max_size=12).map(str.strip),
    st.text(st.sampled_from("ab=&{}[]-01\\%$'\"; +"), max_size=12).map(str.strip),
)
HEADERS = st.lists(
    st.tuples(
        TOKEN.map(lambda name: "X" + name) | st.sampled_from(["Authorization", "Content-Type", "Cookie", "X-Api-Key", "Accept"]),
        st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=20).map(str.strip)
        | st.sampled_from(["Bearer abc", "application/json", "{{x}}"]),
    ),
    max_size=4,
)
BODIES = st.none() | st.binary(max_size=30) | st.text(CHARS, max_size=60).map(str.encode) | st.sampled_from(
    [b'{"password": "pw", "a": "{{x}}"}', b"GET http://h/", b"### x", b"< ./file", b"> {% x %}", b"\n a \n", b"a\r\nb", b"token=abc&x=1", b"@a", b"'$x`"]
)  # fmt: skip
REQUESTS = st.builds(
    lambda method, url, headers, content, label: Request(method, url, headers=headers, data=content, label=label),
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "FOO"]),
    URLS,
    HEADERS,
    BODIES,
    st.none() | st.sampled_from(["login", "a-b"]),
)


def wire(request):
    return request.method, request.url, request.headers, request.content


def read(text, secrets):
    surroundings = replace(FIXED, environ=lambda: secrets)
    return list(build(text, options=Options(), surroundings=surroundings).items)


def representable(request):
    """Tell whether a cell can say the request at all: a URL of http, headers that are not folded or mixed up with ours."""
    authorization = request.header("authorization") or ""
    names = [name.lower() for name, _ in request.headers]
    return not authorization.lower().startswith(("basic", "digest")) and len(names) == len(set(names)) and "host" not in names


@settings(deadline=None)
@given(st.lists(REQUESTS.filter(representable), min_size=1, max_size=3))
def test_http_text_is_read_again_as_the_same(requests):
    text = to_http(requests)
    assert [wire(item) for item in read(text, secrets_of(requests))] == [wire(one) for one in requests]


@settings(deadline=None)
@given(st.lists(REQUESTS.filter(representable), min_size=1, max_size=3))
def test_curl_text_is_read_again_as_the_same(requests):
    text = to_curl(requests)
    assert [wire(item) for item in read(text, secrets_of(requests))] == [wire(one) for one in requests]


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(REQUESTS.filter(lambda one: not one.content and representable(one)), min_size=1, max_size=3))
def test_parse_is_the_inverse_where_nothing_is_secret(requests):
    plain = [replace_secrets(one) for one in requests]
    labels = [one.label for one in plain]
    if len([one for one in labels if one]) != len({one for one in labels if one}):
        return
    assert read(to_http(plain), {}) == plain


def replace_secrets(one):
    headers = [(name, value) for name, value in one.headers if name not in ("Authorization", "Cookie", "X-Api-Key")]
    return Request(one.method, one.url.replace("user:pw@", ""), headers=headers, data=one.content, label=one.label)


SECRET = Request(
    "POST",
    "https://ada:hunter2hunter2@h.example/a?api_key=k3y-value&x=1",
    headers={"Authorization": "Bearer t0ken-value", "Cookie": "sid=c00kie-value", "X-Api-Key": "x-k3y"},
    json={"user": "ada", "password": "pw-value", "note": "inserted-value"},
    secrets=["inserted-value"],
)


@pytest.mark.parametrize("write", [to_http, to_curl])
def test_no_secret_stands_in_the_text(write):
    text = write(SECRET)
    for secret in ("hunter2hunter2", "k3y-value", "t0ken-value", "c00kie-value", "x-k3y", "pw-value", "inserted-value"):
        assert secret not in text
    assert "base64" not in text
    assert "{{$env API_KEY}}" in text
    assert "Authorization: Bearer {{$env AUTHORIZATION}}" in text


@pytest.mark.parametrize("write", [to_http, to_curl])
def test_with_the_secrets_it_is_the_same_request(write):
    assert [wire(item) for item in read(write(SECRET), secrets_of(SECRET))] == [wire(SECRET)]


def test_a_body_that_hides_a_secret_in_bytes_is_left_out():
    request = Request("POST", "http://h/", data=b"\xff inserted-value", secrets=["inserted-value"])
    assert "inserted-value" not in to_http(request)
    assert "base64" not in to_http(request)
    assert "inserted-value" not in to_curl(request)


def test_the_text_is_the_one_a_person_would_write():
    request = Request("POST", "http://h/x", headers={"A": "b"}, json={"a": 1}, label="made")
    assert to_http(request) == '# @name made\nPOST http://h/x\nA: b\nContent-Type: application/json\n\n{"a": 1}\n'
    assert to_curl(request) == (
        "# @name made\ncurl 'http://h/x' \\\n  -H 'A: b' \\\n  -H 'Content-Type: application/json' \\\n  --data-raw '{\"a\": 1}'\n"
    )


def test_a_secret_is_named_by_the_secret_field_that_holds_it():
    request = Request("POST", "http://h/", json={"user": "demo-demo", "password": "demo-demo"})
    assert '"password": "{{$env PASSWORD}}"' in to_http(request)
    assert secrets_of(request) == {"PASSWORD": "demo-demo"}


def test_no_name_is_one_that_every_system_sets():
    request = Request("GET", "https://ada:hunter2hunter2@h.example/")
    assert to_http(request) == "GET https://{{$env REQUEST_USER}}:{{$env PASSWORD}}@h.example/\n"


def test_nothing_is_no_text():
    assert to_http([]) == ""
