import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastreq_jupyter.url import Origin, parse_target, resolve_reference


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://h.example", "http://h.example/"),
        ("http://h.example/", "http://h.example/"),
        ("  https://h.example/a\n", "https://h.example/a"),
        ("HTTPS://H.Example:443/A", "https://h.example/A"),
        ("http://h.example:80/", "http://h.example/"),
        ("http://h.example:443/", "http://h.example:443/"),
        ("http://h.example:/", "http://h.example/"),
        ("http://h.example:0080/", "http://h.example/"),
        ("http://h.example:65535/", "http://h.example:65535/"),
        ("http://h.example?a=1", "http://h.example/?a=1"),
        ("http://h.example?", "http://h.example/?"),
        ("http://h.example/a?", "http://h.example/a?"),
        ("http://h.example#f", "http://h.example/"),
        ("http://h.example/a?b#f?g", "http://h.example/a?b"),
        ("http://h.example/a b?c d", "http://h.example/a%20b?c%20d"),
        ("http://h.example/ä?ö=€", "http://h.example/%C3%A4?%C3%B6=%E2%82%AC"),
        ("http://h.example/%C3%A4%2f?a=%26", "http://h.example/%C3%A4%2f?a=%26"),
        ("http://h.example/100%?a=5%x", "http://h.example/100%25?a=5%25x"),
        ('http://h.example/"<>^`{}\\', "http://h.example/%22%3C%3E%5E%60%7B%7D%5C"),
        ("http://h.example/?a[]={b}|c", "http://h.example/?a[]={b}|c"),
        ("http://h.example/a;b=1,2!$&'()*+=:@", "http://h.example/a;b=1,2!$&'()*+=:@"),
        ("http://h.example//a//b/", "http://h.example//a//b/"),
        ("http://h.example/a/./b/../c", "http://h.example/a/c"),
        ("http://h.example/../../a", "http://h.example/a"),
        ("http://h.example/a/..", "http://h.example/"),
        ("http://h.example/a/b/.", "http://h.example/a/b/"),
        ("http://h.example/.hidden/..x/a..", "http://h.example/.hidden/..x/a.."),
        ("http://h.example/a?b=/../c", "http://h.example/a?b=/../c"),
        ("http://under_score.example/", "http://under_score.example/"),
        ("http://h.example./", "http://h.example./"),
        ("http://ex%61mple.com/", "http://example.com/"),
        ("http://[::1]:8000/a", "http://[::1]:8000/a"),
        ("http://[2001:DB8:0:0::1]/", "http://[2001:db8::1]/"),
        ("http://127.0.0.1:9/", "http://127.0.0.1:9/"),
        ("http://localhost:8000/x", "http://localhost:8000/x"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://BÜCHER.example/", "http://xn--bcher-kva.example/"),
        ("http://faß.example/", "http://xn--fa-hia.example/"),
        ("http://例え。テスト/", "http://xn--r8jz45g.xn--zckzah/"),
        ("http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/"),
        ("http://i❤️.example/", "http://xn--i-7iq.example/"),
        ("http://👍.example/", "http://xn--yp8h.example/"),
        ("http://\uff45xample.com/", "http://example.com/"),
    ],
)
def test_url_goes_on_the_wire_as(text, url):
    assert parse_target(text).url == url


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "h.example", "/path", "//h.example/", "http:", "http:/", "http://", "http:///a", "http://?a", "http://:80/", "http:h.example",
        "ftp://h.example/", "file:///etc/passwd", "javascript:alert(1)", "data:,x", "mailto:a@b", "ws://h.example/", "httpx://h/", "1http://h/",
        "http://h.example:99999/", "http://h.example:-1/", "http://h.example:8o/", "http://h.example:٨٠/", "http://h.example:80:80/",
        "http://a b/", "http://h..example/", "http://.h.example/", "http://-h.example/", "http://h!.example/", "http://h%00.example/", "http://h%2f/",
        "http://" + "a" * 300 + "/", "http://ä" + "a" * 70 + ".example/", "http://[::1/", "http://::1/", "http://[::g]/", "http://[fe80::1%25eth0]/",
        "http://[::1]evil/", "http://x[::1]/", "http://a.example\\@b.example/", "http://a.example\\.b.example/", "http://h.example/\x00",
        "http://h.example/a\nb", "http://h.example/a\tb", "http://h\r\n/", "http://\u202eh.example/", "http://a\u2100b.example/", "http://h\u00a0x/",
        "http://h.example/\ud800", "http://\x7f/", "http://\ufffd.example/",
    ],
)  # fmt: skip
def test_what_is_no_http_url_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match=r".") as caught:
        parse_target(text)
    assert type(caught.value) is ValueError
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "text",
    [
        "http://me:canary@",
        "http://me:canary@h:x/",
        "http://me:canary/x@h/",
        "http://me:canary@h\x00/",
        "http://me:canary@[::1/",
        "http://me:canary@h\u2100/",
        "http://me:canary\\@h/",
        "ftp://me:canary@h/",
        "http://me:canary@ä\u00a0/",
    ],
)
def test_refusal_shows_no_userinfo(text):
    with pytest.raises(ValueError, match=r".") as caught:
        parse_target(text)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "user", "password"),
    [
        ("http://h/", None, None),
        ("http://me@h/", "me", None),
        ("http://me:@h/", "me", ""),
        ("http://@h/", "", None),
        ("http://me:p%40:w@h/", "me", "p@:w"),
        ("http://me:p@w@h/", "me", "p@w"),
        ("http://m%C3%A4:p w@h/", "mä", "p w"),
        ("http://h/@me:pw", None, None),
    ],
)
def test_userinfo_is_decoded_and_kept_apart(text, user, password):
    target = parse_target(text)
    assert (target.user, target.password) == (user, password)
    assert target.origin.host == "h"
    assert target.url == "http://h/" or "/@me" in target.url


def test_origin_is_written_as_in_a_url():
    assert str(Origin("https", "::1", 443)) == "https://[::1]"
    assert str(Origin("https", "h", 80)) == "https://h:80"


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("g", "http://a/b/c/g"), ("./g", "http://a/b/c/g"), ("g/", "http://a/b/c/g/"), ("/g", "http://a/g"), ("//g", "http://g/"),
        ("?y", "http://a/b/c/d;p?y"), ("g?y", "http://a/b/c/g?y"), ("#s", "http://a/b/c/d;p?q"), (";x", "http://a/b/c/;x"), ("", "http://a/b/c/d;p?q"),
        (".", "http://a/b/c/"), ("..", "http://a/b/"), ("../g", "http://a/b/g"), ("../../../g", "http://a/g"), ("/./g", "http://a/g"),
        ("g;x=1/../y", "http://a/b/c/y"), ("https://h:8/x", "https://h:8/x"), ("//h:8/x", "http://h:8/x"),
    ],
)  # fmt: skip
def test_references_resolve_as_rfc_3986_shows(reference, url):
    assert resolve_reference(parse_target("http://a/b/c/d;p?q"), reference).url == url


@pytest.mark.parametrize("reference", ["http:///x", "//", "///x", "/a\nb", "java\tscript:x", "http://[", "\x00"])
def test_evil_reference_is_refused(reference):
    with pytest.raises(ValueError, match=r"."):
        resolve_reference(parse_target("http://a/b"), reference)


ANY = st.text(st.characters(exclude_categories=[]), max_size=40)


@given(ANY, st.sampled_from(["http://h.example/", "http://h.example/?", "http://", "https://me:pw@h.example:8", ""]))
def test_encoding_twice_is_encoding_once(rest, start):
    try:
        target = parse_target(start + rest)
    except ValueError:
        return
    assert target.url.isascii()
    assert target.url.isprintable()
    assert " " not in target.url
    again = parse_target(target.url)
    assert (again.origin, again.path_query) == (target.origin, target.path_query)


@given(st.text(st.characters(min_codepoint=0x21), max_size=20))
def test_any_host_is_a_name_or_refused(host):
    try:
        target = parse_target(f"http://{host}/")
    except ValueError as error:
        assert str(error).isprintable()  # noqa: PT017 - both ends are fine
        return
    assert target.origin.host == target.origin.host.lower()
    assert target.origin.host.isascii()


@pytest.mark.slow
@pytest.mark.parametrize("piece", ["a", "ä", "%", "%4", " ", "/", "/..", "/./", "@", ":", "[", "?", "#", "\\", ".", "\u3002", "👍", "\x00"])
@pytest.mark.parametrize("start", ["http://h.example/", "http://", "http://h.example/?", ""])
def test_a_megabyte_is_read_or_refused(piece, start):
    text = start + piece * (1_000_000 // len(piece))
    try:
        parse_target(text)
    except ValueError as error:
        assert len(str(error)) < 200  # noqa: PT017 - both ends are fine
