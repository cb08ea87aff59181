import subprocess
import sys
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastreq_jupyter.engine.cookies import Jar, parse_cookie_date
from fastreq_jupyter.errors import OptionError
from fastreq_jupyter.url import parse_target


class Clock:
    def __init__(self):
        self.now = 1_700_000_000.0

    def __call__(self):
        return self.now


def jar_after(url, *lines, clock=None):
    jar = Jar(clock or Clock())
    jar.store(parse_target(url), tuple(("Set-Cookie", line) for line in lines))
    return jar


def sent(jar, url):
    return jar.header_for(parse_target(url))


def test_empty_jar_sends_nothing():
    assert sent(Jar(), "http://a.example/") is None


def test_cookie_goes_back_to_its_host():
    assert sent(jar_after("http://a.example/", "k=v"), "http://a.example/x") == "k=v"


@pytest.mark.parametrize("url", ["http://b.example/", "http://www.a.example/", "http://example/", "http://xa.example/"])
def test_cookie_without_domain_goes_to_no_other_host(url):
    assert sent(jar_after("http://a.example/", "k=v"), url) is None


@pytest.mark.parametrize("url", ["http://10.0.0.1./", "http://10.0.0.1/", "http://[::1]/", "http://a.example./"])
def test_cookie_of_an_address_or_a_host_with_a_dot_goes_back_there_alone(url):
    jar = jar_after(url, "k=v")
    assert sent(jar, url) == "k=v"
    other = url.replace("./", "/") if "./" in url else url.replace("1/", "2/").replace("1]/", "2]/")
    assert sent(jar, other) is None


def test_loopback_hosts_are_kept_apart():
    jar = jar_after("http://127.0.0.1:8000/", "k=v")
    assert sent(jar, "http://127.0.0.2:8000/") is None
    assert sent(jar, "http://localhost:8000/") is None


@pytest.mark.parametrize("url", ["http://a.example.com/", "http://example.com/", "http://b.example.com/", "http://x.b.example.com/"])
def test_cookie_with_domain_goes_to_all_its_hosts(url):
    assert sent(jar_after("http://a.example.com/", "k=v; Domain=.Example.COM"), url) == "k=v"


@pytest.mark.parametrize("url", ["http://notexample.com/", "http://com/", "http://example.com.evil.org/"])
def test_cookie_with_domain_goes_nowhere_else(url):
    assert sent(jar_after("http://a.example.com/", "k=v; Domain=example.com"), url) is None


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("http://a.example.com/", "other.com"),
        ("http://a.example.com/", "b.example.com"),
        ("http://a.example.com/", "x.a.example.com"),
        ("http://a.example.com/", "com"),
        ("http://a.example.com/", "."),
        ("http://shop.co.uk/", "co.uk"),
        ("http://shop.pe.kr/", "pe.kr"),
        ("http://a.b.kobe.jp/", "b.kobe.jp"),
        ("http://shop.xn--55qx5d.cn/", "xn--55qx5d.cn"),
        ("http://me.s3.dualstack.eu-west-1.amazonaws.com/", "s3.dualstack.eu-west-1.amazonaws.com"),
        ("http://me.github.io/", "github.io"),
        ("http://127.0.0.1/", "0.0.1"),
        ("http://127.0.0.1/", "127.0.0.2"),
        ("http://127.0.0.1./", "0.0.1."),
        ("http://0x7f.0.0.0x1/", "0.0.0x1"),
        ("http://[::1]/", "1"),
        ("http://a.localhost/", "localhost"),
    ],
)
def test_domain_the_server_has_no_right_to_is_refused(url, domain):
    jar = jar_after(url, f"k=v; Domain={domain}")
    assert sent(jar, url) is None or domain == "."
    assert sent(jar, f"http://{domain}/" if domain.strip(".") else "http://other.example/") is None


@pytest.mark.parametrize(("url", "domain"), [("http://a.city.kobe.jp/", "city.kobe.jp"), ("http://a.me.github.io/", "me.github.io")])
def test_domain_below_a_public_suffix_can_be_named(url, domain):
    assert sent(jar_after(url, f"k=v; Domain={domain}"), f"http://{domain}/") == "k=v"


def test_list_of_public_suffixes_is_read_when_a_server_names_a_domain():
    code = """if True:
        import sys
        from fastreq_jupyter.engine.cookies import Jar
        from fastreq_jupyter.url import parse_target
        jar = Jar()
        jar.store(parse_target("http://a.example.com/"), [("Set-Cookie", "k=v")])
        assert "publicsuffixlist" not in sys.modules
        jar.store(parse_target("http://a.example.com/"), [("Set-Cookie", "k=v; Domain=example.com")])
        assert "publicsuffixlist" in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://localhost/", "http://github.io/"])
def test_domain_that_is_the_host_itself_makes_a_host_only_cookie(url):
    host = parse_target(url).origin.host
    jar = jar_after(url, f"k=v; Domain={host}")
    assert sent(jar, url) == "k=v"
    assert sent(jar, f"http://sub.{host}/") is None


@pytest.mark.parametrize(
    ("path", "goes"),
    [("/a/b", True), ("/a/b/", True), ("/a/b/c?q", True), ("/a/bc", False), ("/a", False), ("/", False)],
)
def test_path_matches_whole_segments(path, goes):
    assert (sent(jar_after("http://h.example/", "k=v; Path=/a/b"), f"http://h.example{path}") == "k=v") is goes


@pytest.mark.parametrize(("url", "path"), [("/", "/"), ("/x", "/"), ("/x/y", "/x"), ("/x/y/", "/x/y"), ("/x?a=/b/c", "/")])
def test_path_by_default_is_the_directory_of_the_request(url, path):
    jar = jar_after(f"http://h.example{url}", "k=v; Path=relative")
    assert sent(jar, f"http://h.example{path.rstrip('/')}/z") == "k=v"
    if path != "/":
        assert sent(jar, "http://h.example/z") is None


def test_longer_paths_come_first_then_older_cookies():
    jar = jar_after("http://h.example/", "a=1; Path=/", "b=2; Path=/x", "c=3; Path=/")
    jar.store(parse_target("http://h.example/"), (("set-cookie", "a=9; Path=/"),))
    assert sent(jar, "http://h.example/x") == "b=2; a=9; c=3"


@pytest.mark.parametrize("url", ["http://h.example/", "http://localhost/", "http://127.0.0.1/"])
def test_secure_cookie_never_goes_over_http(url):
    jar = jar_after(url.replace("http:", "https:"), "k=v; Secure")
    assert sent(jar, url) is None
    assert sent(jar, url.replace("http:", "https:")) == "k=v"


def test_http_server_cannot_set_a_secure_cookie():
    assert len(jar_after("http://h.example/", "k=v; Secure")) == 0


def test_http_server_cannot_replace_a_secure_cookie():
    jar = jar_after("https://h.example/", "k=v; Secure")
    jar.store(parse_target("http://h.example/"), (("Set-Cookie", "k=evil"),))
    assert sent(jar, "https://h.example/") == "k=v"


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("__Secure-k=v", False),
        ("__Secure-k=v; Secure", True),
        ("__Host-k=v; Secure; Path=/", True),
        ("__Host-k=v; Secure; Path=/x", False),
        ("__Host-k=v; Secure; Path=/; Domain=example.com", False),
    ],
)
def test_prefixed_names_keep_their_promise(line, kept):
    assert len(jar_after("https://a.example.com/", line)) == kept


@pytest.mark.parametrize(
    "end",
    [
        "Max-Age=0",
        "Max-Age=-1",
        "Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        "expires=Sun, 06-Nov-94 08:49:37 GMT",
        "Max-Age=0; Expires=Fri, 01 Jan 2100 00:00:00 GMT",
    ],
)
def test_server_deletes_a_cookie(end):
    jar = jar_after("http://h.example/", "k=v", f"k=; {end}")
    assert sent(jar, "http://h.example/") is None
    assert len(jar) == 0


def test_cookie_ends_after_max_age():
    clock = Clock()
    jar = jar_after("http://h.example/", "k=v; Max-Age=60", clock=clock)
    clock.now += 59
    assert sent(jar, "http://h.example/") == "k=v"
    clock.now += 1
    assert sent(jar, "http://h.example/") is None


def test_unreadable_lifetime_makes_a_session_cookie():
    jar = jar_after("http://h.example/", "k=v; Max-Age=soon; Expires=tomorrow")
    assert sent(jar, "http://h.example/") == "k=v"


@pytest.mark.parametrize("line", ["", "novalue", "=v", "k\x00=v", "k=v\r\nX: y", "k=" + "v" * 5000, "; Path=/"])
def test_malformed_cookie_is_ignored(line):
    assert len(jar_after("http://h.example/", line)) == 0


def test_value_goes_back_as_it_came():
    line = 'k="a=b c, \xe9"'
    assert sent(jar_after("http://h.example/", line), "http://h.example/") == line


def test_given_cookie_goes_to_its_origin_alone():
    jar = Jar()
    jar.set({"k": 5}, parse_target("http://h.example:8000/").origin)
    assert sent(jar, "http://h.example:8000/any/path") == "k=5"
    for url in ("http://h.example/", "https://h.example:8000/", "http://www.h.example:8000/"):
        assert sent(jar, url) is None


def test_server_replaces_a_given_cookie():
    jar = Jar()
    jar.set([("k", "old")], parse_target("http://h.example/").origin)
    jar.store(parse_target("http://h.example/login"), (("Set-Cookie", "k=new; Path=/"),))
    assert sent(jar, "http://h.example/") == "k=new"


@pytest.mark.parametrize("pairs", [{"a b": "x"}, {"k": "a;b"}, {"k": "a\r\nX: y"}, {"": "x"}])
def test_given_cookie_that_cannot_be_sent_is_refused_without_its_value(pairs):
    with pytest.raises(OptionError) as caught:
        Jar().set(pairs, parse_target("http://h.example/").origin)
    assert all(not value or value not in str(caught.value) for value in pairs.values() if value != "x")


def test_clear_forgets_all():
    jar = jar_after("http://h.example/", "k=v")
    jar.set({"a": "b"}, parse_target("http://h.example/").origin)
    jar.clear()
    assert sent(jar, "http://h.example/") is None
    assert len(jar) == 0


def test_jar_is_bounded_for_one_host():
    jar = jar_after("http://h.example/", *(f"k{i}=v" for i in range(1000)))
    assert len(jar) == 180
    assert "k999=v" in sent(jar, "http://h.example/")


def test_jar_is_bounded_in_all():
    jar = Jar()
    for i in range(4000):
        jar.store(parse_target(f"http://h{i}.example/"), (("Set-Cookie", "k=v"),))
    assert len(jar) <= 3000


def test_repr_shows_no_value():
    jar = jar_after("http://h.example/", "session=verysecret")
    assert repr(jar) == "<Jar of 1 cookies>"


def test_jar_serves_many_threads():
    jar = Jar()

    def work(number):
        for i in range(200):
            target = parse_target(f"http://h{number}.example/")
            jar.store(target, (("Set-Cookie", f"k{i % 7}={i}"),))
            jar.header_for(target)

    threads = [Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(jar) == 56


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "06 november 1994 8:49:37",
    ],
)
def test_dates_are_read_in_every_form(text):
    assert parse_cookie_date(text) == 784111777.0


@pytest.mark.parametrize("text", ["", "yesterday", "31 Feb 2020 00:00:00", "1 Jan 1500 00:00:00", "1 Jan 2020 99:00:00", "1 Jan 2020"])
def test_what_is_no_date_is_none(text):
    assert parse_cookie_date(text) is None


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=80))
def test_any_line_is_kept_or_ignored(line):
    jar = jar_after("https://a.example.com/x/y", line)
    value = sent(jar, "https://a.example.com/x/y")
    assert value is None or ("\n" not in value and "\r" not in value)
