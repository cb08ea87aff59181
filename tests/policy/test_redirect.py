from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastreq_jupyter.errors import BackendError
from fastreq_jupyter.exchange import Exchange
from fastreq_jupyter.policy.redirect import REDIRECTS, next_exchange
from fastreq_jupyter.redact import SECRET_HEADERS
from fastreq_jupyter.url import parse_target

HERE = "https://api.example.com/v1/items?page=2"


def asked(method="GET", *, url=HERE, headers=(), content=None, fresh=False):
    return Exchange(method, parse_target(url), tuple(headers), content, fresh)


def follow(exchange, location, status=302, **more):
    return next_exchange(exchange, status, (("Location", location),), **more)


def refusal(location, status=302, **more):
    with pytest.raises(BackendError) as caught:
        follow(asked(**more), location, status)
    assert caught.value.kind == "redirect refused"
    return caught.value.detail


@pytest.mark.parametrize(
    ("status", "method", "becomes"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (301, "PUT", "PUT"),
        (302, "DELETE", "DELETE"),
        (301, "GET", "GET"),
        (302, "HEAD", "HEAD"),
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (307, "POST", "POST"),
        (308, "PATCH", "PATCH"),
    ],
)
def test_method_follows_rfc_9110(status, method, becomes):
    assert follow(asked(method), "/next", status).method == becomes


@pytest.mark.parametrize(("status", "method"), [(301, "POST"), (302, "POST"), (303, "PUT"), (303, "GET")])
def test_dropped_body_takes_its_headers_along(status, method):
    headers = [("Content-Type", "text/plain"), ("content-encoding", "gzip"), ("Digest", "x"), ("Accept", "*/*")]
    following = follow(asked(method, headers=headers, content=b"x"), "/next", status)
    assert following.content is None
    assert following.headers == (("Accept", "*/*"),)


@pytest.mark.parametrize(("status", "method"), [(307, "POST"), (308, "PUT"), (301, "PUT"), (302, "PATCH")])
def test_kept_method_keeps_its_body(status, method):
    headers = (("Content-Type", "text/plain"),)
    following = follow(asked(method, headers=headers, content=b"x"), "/next", status)
    assert (following.content, following.headers) == (b"x", headers)


@pytest.mark.parametrize("status", [200, 201, 300, 304, 305, 306, 400, 404, 500])
def test_other_statuses_are_the_answer(status):
    assert follow(asked(), "/next", status) is None


@pytest.mark.parametrize("headers", [(), (("Location", ""),), (("Location", "  "),)])
def test_redirect_without_location_is_the_answer(headers):
    assert next_exchange(asked(), 302, headers) is None


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/other", "https://api.example.com/other"),
        ("other", "https://api.example.com/v1/other"),
        ("../up", "https://api.example.com/up"),
        ("?page=3", "https://api.example.com/v1/items?page=3"),
        ("//cdn.example.com/x", "https://cdn.example.com/x"),
        ("https://elsewhere.example/a b", "https://elsewhere.example/a%20b"),
        ("/caf%C3%A9", "https://api.example.com/caf%C3%A9"),
        ("/x#part", "https://api.example.com/x"),
        ("HTTP://Other.Example:80/", "http://other.example/"),
        (" /spaced\t", "https://api.example.com/spaced"),
    ],
)
def test_location_is_resolved_against_the_request(location, url):
    assert follow(asked(), location).target.url == url


def test_utf8_bytes_in_location_come_back_as_they_came():
    assert follow(asked(), "/café".encode().decode("latin-1")).target.path_query == "/caf%C3%A9"


def test_latin1_bytes_in_location_come_back_as_they_came():
    assert follow(asked(), "/caf\xe9").target.path_query == "/caf%E9"


def test_international_host_in_location_becomes_its_a_label():
    location = "http://bücher.example/".encode().decode("latin-1")
    assert follow(asked(), location).target.origin.host == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://example.com/",
        "gopher://x/",
        "mailto:a@b",
        "http://user:password@example.com/",
        "http://user@example.com/",
        "https://@example.com/",
        "/a\r\nX-Evil: 1",
        "/a\nb",
        "/a\x00b",
        "http://",
        "///",
        "http://[::1",
        "http://h:99999/",
        "http://evil.example\\.api.example.com/",
        "https://api.example.com\\@evil.example/",
    ],
)
def test_evil_location_is_refused(location):
    refusal(location)


def test_refusal_is_one_line_without_credentials():
    detail = refusal("http://user:pa55word-x@example.com/\x1b[31m")
    assert "pa55word" not in detail
    assert detail.isprintable()


def test_two_different_locations_are_refused():
    with pytest.raises(BackendError, match="2 different Locations"):
        next_exchange(asked(), 302, (("Location", "/a"), ("location", "/b")))


def test_two_equal_locations_are_one():
    assert next_exchange(asked(), 302, (("Location", "/a"), ("location", "/a"))).target.path_query == "/a"


def test_redirect_beyond_the_maximum_is_an_error():
    with pytest.raises(BackendError) as caught:
        follow(asked(), "/next", followed=3, max_redirects=3)
    assert caught.value.kind == "too many redirects"


def test_redirect_at_the_maximum_is_followed():
    assert follow(asked(), "/next", followed=2, max_redirects=3) is not None


ELSEWHERE = [
    "https://other.example/",
    "https://api.example.com:8443/",
    "http://api.example.com/",
    "https://sub.api.example.com/",
    "https://example.com/",
]


@pytest.mark.parametrize("location", ELSEWHERE)
def test_no_secret_header_reaches_another_origin(location):
    headers = [(name.title(), "v4lue-of-it") for name in sorted(SECRET_HEADERS)] + [("Host", "virtual.example"), ("Accept", "*/*")]
    assert follow(asked(headers=headers), location).headers == (("Accept", "*/*"),)


def test_header_with_a_secret_value_stays_home_whatever_its_name():
    headers = [("X-Plain", "id=tops3cret-value"), ("Referer", "https://u:p@h/"), ("X-Pin", "1234"), ("X-Odd", "12345")]
    following = follow(asked(headers=headers), "https://other.example/", secrets=frozenset({"tops3cret-value", "1234"}))
    assert following.headers == (("X-Odd", "12345"),)


def test_secret_headers_stay_on_the_same_origin():
    headers = (("Authorization", "Bearer x"), ("Host", "virtual.example"))
    assert follow(asked(headers=headers), "https://api.example.com:443/x").headers == headers


def test_dropped_headers_do_not_come_back_with_the_way_back():
    away = follow(asked(headers=[("Authorization", "Bearer x")]), "https://other.example/")
    assert follow(away, HERE).headers == ()


def test_body_without_secrets_goes_on_to_another_origin():
    following = follow(asked("POST", content=b'{"a": 1}', headers=[("Content-Type", "application/json")]), "https://other.example/", 307)
    assert following.content == b'{"a": 1}'


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'{"a": {"password": "x"}}', "application/json"),
        (b"user=me&client_secret=x", "application/x-www-form-urlencoded"),
        (b"--t0ken-of-8", "text/plain"),
    ],
)
def test_body_with_secrets_is_refused_to_another_origin(content, kind):
    with pytest.raises(BackendError) as caught:
        follow(
            asked("POST", content=content, headers=[("Content-Type", kind)]),
            "https://other.example/",
            308,
            secrets=frozenset({"t0ken-of-8"}),
        )
    assert caught.value.kind == "redirect refused"


def test_body_with_secrets_stays_allowed_on_the_same_origin():
    headers = [("Content-Type", "application/json")]
    assert follow(asked("POST", content=b'{"password": "x"}', headers=headers), "/next", 307).content


def test_connection_of_its_own_is_for_the_unsafe_method_only():
    assert follow(asked("POST", fresh=True), "/next", 307).fresh
    assert not follow(asked("POST", fresh=True), "/next", 303).fresh


@given(
    st.text(alphabet=st.characters(max_codepoint=255), max_size=60),
    st.sampled_from(sorted(REDIRECTS)),
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE"]),
)
def test_any_location_gives_an_http_target_or_a_refusal(location, status, method):
    following = None
    with suppress(BackendError):
        following = follow(asked(method, headers=[("Cookie", "a=b")]), location, status)
    if following is not None:
        assert following.target.origin.scheme in ("http", "https")
        assert following.target.url.isascii()
        if following.target.origin != parse_target(HERE).origin:
            assert following.headers == ()
