import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastreq_jupyter.errors import OptionError
from fastreq_jupyter.policy.proxy import proxy_for
from fastreq_jupyter.url import Origin, parse_target


def found(url, option="env", **environ):
    return proxy_for(parse_target(url).origin, option, environ)


def test_empty_environment_means_direct():
    assert found("http://h.example/") is None


def test_each_scheme_has_its_variable():
    environ = {"http_proxy": "http://p:1", "https_proxy": "http://p:2"}
    assert found("http://h.example/", **environ) == "http://p:1"
    assert found("https://h.example/", **environ) == "http://p:2"


def test_upper_case_is_read():
    assert found("https://h.example/", HTTPS_PROXY="http://p:2") == "http://p:2"
    assert found("http://h.example/", HTTP_PROXY="http://p:1") == "http://p:1"


def test_lower_case_wins():
    assert found("http://h.example/", http_proxy="http://low:1", HTTP_PROXY="http://UP:1") == "http://low:1"


def test_empty_lower_case_variable_turns_the_proxy_off():
    assert found("http://h.example/", http_proxy="", HTTP_PROXY="http://p:1", ALL_PROXY="http://p:2") is None


def test_upper_case_http_proxy_is_not_read_in_a_cgi_program():
    assert found("http://h.example/", HTTP_PROXY="http://evil:1", REQUEST_METHOD="GET") is None
    assert found("http://h.example/", http_proxy="http://p:1", REQUEST_METHOD="GET") == "http://p:1"
    assert found("https://h.example/", HTTPS_PROXY="http://p:1", REQUEST_METHOD="GET") == "http://p:1"


@pytest.mark.parametrize("name", ["all_proxy", "ALL_PROXY"])
def test_all_proxy_serves_what_has_no_variable_of_its_own(name):
    environ = {name: "socks5://p:1080", "https_proxy": "http://p:2"}
    assert found("http://h.example/", **environ) == "socks5://p:1080"
    assert found("https://h.example/", **environ) == "http://p:2"


def test_none_goes_direct_whatever_the_environment():
    assert found("http://h.example/", "none", http_proxy="http://p:1") is None


def test_explicit_proxy_serves_every_origin():
    assert found("http://h.example/", "socks5://me:pw@p:1080", no_proxy="*", http_proxy="http://q:1") == "socks5://me:pw@p:1080"


def test_credentials_stay_in_the_url():
    assert found("http://h.example/", http_proxy="http://me:p%40w@p:1") == "http://me:p%40w@p:1"


def test_proxy_without_scheme_is_http():
    assert found("http://h.example/", http_proxy="p.example:3128") == "http://p.example:3128"


@pytest.mark.parametrize("value", ["ftp://pa55word@p:1", "http://", "http://pa55word:x", "http://p:99999/pa55word", "pa55word\nx"])
def test_what_is_no_proxy_url_is_refused_without_its_value(value):
    with pytest.raises(OptionError, match="http_proxy") as caught:
        found("http://h.example/", http_proxy=value)
    assert "pa55word" not in str(caught.value)


@pytest.mark.parametrize(
    ("exempt", "url"),
    [
        ("*", "http://h.example/"),
        ("h.example", "http://h.example/"),
        ("H.Example", "http://h.example/"),
        ("example.com", "http://a.b.example.com/"),
        (".example.com", "http://example.com/"),
        (".example.com", "http://a.example.com/"),
        ("*.example.com", "http://a.example.com/"),
        ("x.org, h.example ,y.org", "http://h.example/"),
        ("x.org h.example", "http://h.example/"),
        ("h.example:8080", "http://h.example:8080/"),
        ("h.example:443", "https://h.example/"),
        ("127.0.0.1", "http://127.0.0.1:9000/"),
        ("127.0.0.0/8", "http://127.9.9.9/"),
        ("10.0.0.5/8", "http://10.1.1.1/"),
        ("::1", "http://[::1]:9000/"),
        ("[::1]", "http://[::1]/"),
        ("[::1]:9000", "http://[::1]:9000/"),
        ("fd00::/8", "http://[fd12::1]/"),
        ("localhost", "http://localhost:8888/"),
        ("h.example.", "http://h.example/"),
        ("h.example", "http://h.example./"),
        ("127.0.0.1", "http://127.0.0.1./"),
        ("10.0.0.0/8", "http://10.1.2.3./"),
    ],
)
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_exempt_hosts_are_reached_directly(name, exempt, url):
    assert found(url, **{name: exempt, "all_proxy": "http://p:1"}) is None


@pytest.mark.parametrize(
    ("exempt", "url"),
    [
        ("", "http://h.example/"),
        (",, ,", "http://h.example/"),
        ("example.com", "http://notexample.com/"),
        ("a.example.com", "http://example.com/"),
        ("h.example:8080", "http://h.example/"),
        ("127.0.0.1", "http://127.0.0.2/"),
        ("127.0.0.0/8", "http://128.0.0.1/"),
        ("0.0.1", "http://127.0.0.1/"),
        ("0.0.1", "http://127.0.0.1./"),
        ("10.0.0.0/8", "http://10.1.2.3.example/"),
        (".", "http://h.example/"),
        ("10.0.0.0/99", "http://10.0.0.1/"),
        ("fd00::/8", "http://10.0.0.1/"),
    ],
)
def test_other_hosts_go_through_the_proxy(exempt, url):
    assert found(url, no_proxy=exempt, all_proxy="http://p:1") == "http://p:1"


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_environment_gives_a_proxy_or_one_line(proxy, exempt):
    try:
        answer = proxy_for(Origin("http", "h.example", 80), "env", {"http_proxy": proxy, "no_proxy": exempt})
    except OptionError as error:
        text = str(error)
        answer = None if text.isprintable() else text
    assert answer is None or "://" in answer
