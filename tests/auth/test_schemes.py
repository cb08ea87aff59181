"""API keys, and what libcurl works out itself: compared with the curl command by what arrives."""

from __future__ import annotations

import hashlib
import hmac
import re
import shutil
import subprocess
from urllib.parse import quote

import pytest
from faultserver import scripts

from fastreq_jupyter import NTLM, ApiKey, Digest, Negotiate, OptionError, Request, SigV4, fastreq, last_run

pycurl = pytest.importorskip("pycurl")
CURL = shutil.which("curl")
needs_curl = pytest.mark.skipif(CURL is None, reason="the curl command is missing")
KEYS = {"access_key": "AKIDEXAMPLE", "secret_key": "wJalrXUtnFEMI"}


def test_a_key_goes_into_the_header_of_its_name(server, backend):
    door = server.open(scripts.reply())
    frame = fastreq([door.url("/"), door.url("/2")], auth=ApiKey("X-Custom", "the-secret-key"), backend=backend)
    assert frame["ok"].all()
    assert [arrival.header("x-custom") for arrival in door.arrivals] == ["the-secret-key"] * 2
    assert "Authorization" not in dict(door.arrivals[0].headers)


def test_a_key_goes_into_the_query_and_is_shown_nowhere(server):
    async def says_it_back(call):
        await call.send(scripts.whole(400, call.request.target.encode(), ("X-Echo", call.request.target)))

    door = server.open(says_it_back)
    frame = fastreq([door.url("/?a=1")], auth=ApiKey("odd name", "k&y/=", "query"), columns="all", response_headers=True, max_retries=0)
    assert door.arrivals[0].target == "/?a=1&odd+name=k%26y%2F%3D" or "odd%20name=k%26y%2F%3D" in door.arrivals[0].target
    shown = frame.drop(columns="data").to_dict("records")
    assert "k&y" not in str(shown)
    assert "k%26y" not in str(shown["" if False else 0]["url"]) + str(shown[0]["final_url"])
    assert "k%26y" not in repr(last_run().outcomes)


@pytest.mark.parametrize("where", ["header", "query"])
def test_a_key_stays_beside_other_credentials_and_gives_way_to_the_requests_own(server, where):
    door = server.open(scripts.reply())
    own = Request("GET", door.url("/?k=own-key"), headers={"k": "own-key", "Authorization": "Bearer abcdefgh"})
    beside = Request("GET", door.url("/"), headers={"Authorization": "Bearer abcdefgh"})
    fastreq([own, beside], auth=ApiKey("k", "the-secret-key", where), concurrency=1)
    first, second = door.arrivals
    assert "the-secret-key" not in str((first.target, first.headers))
    assert "the-secret-key" in str((second.target, second.headers))
    assert second.header("authorization") == "Bearer abcdefgh"


def test_a_key_does_not_follow_to_another_origin(server, backend):
    elsewhere = server.open(scripts.reply())
    door = server.open(scripts.reply(302, b"", ("Location", elsewhere.url("/"))))
    for where in ("header", "query"):
        fastreq([door.url("/")], auth=ApiKey("k", "the-secret-key", where), backend=backend)
    assert len(elsewhere.arrivals) == 2
    assert "the-secret-key" not in str([(a.target, a.headers) for a in elsewhere.arrivals])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ApiKey("a b", "hidden"), "no name of a header"),
        (lambda: ApiKey("a", "hidden\n"), "control"),
        (lambda: ApiKey("a", "hidden", "cookie"), "header or query"),
        (lambda: ApiKey("a", None), "NoneType"),
        (lambda: Digest("", "hidden"), "empty"),
        (lambda: SigV4("a b", "x", **KEYS), "service is a word"),
        (lambda: SigV4("s3", "eu", access_key="hidden"), "needs access_key and secret_key"),
    ],
)
def test_what_cannot_be_sent_is_refused_when_it_is_made(make, words):
    with pytest.raises(OptionError, match=words) as caught:
        make()
    assert "hidden" not in str(caught.value)


def test_nothing_secret_is_in_their_words():
    made = [ApiKey("n", "a-hidden-key"), Digest("u", "a-hidden-key"), NTLM("u", "a-hidden-key")]
    made += [SigV4("s3", "eu", access_key="AKID", secret_key="a-hidden-key", session_token="a-hidden-key")]
    assert "hidden" not in repr(made)


def digest(call, algorithm="SHA-256", realm="there", password="pass:word é"):
    """Ask for a digest, and judge the one that comes (RFC 7616, 3.4)."""
    sent = call.request.header("authorization")
    ask = scripts.whole(
        401, b"who?", ("WWW-Authenticate", f'Digest realm="{realm}", nonce="n{call.number}", qop="auth", algorithm={algorithm}')
    )
    if not sent:
        return call.send(ask)
    parts = {name: value.strip('"') for name, value in re.findall(r'(\w+)=("[^"]*"|[^, ]*)', sent)}

    def hashed(text):
        return hashlib.sha256(text.encode()).hexdigest()

    names = (hashed(f"{parts['username']}:{realm}:{password}"), hashed(f"{call.request.method}:{parts['uri']}"))
    expected = hashed(":".join([names[0], *(parts[name] for name in ("nonce", "nc", "cnonce", "qop")), names[1]]))
    good = parts["response"] == expected and parts["uri"] == call.request.target
    return call.send(scripts.whole(200, call.request.body or b"in") if good else ask)


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", "x" * 100_000), ("PUT", "")])
def test_a_digest_is_made_of_each_request(server, method, body):
    door = server.open(digest)
    urls = [door.url(f"/a%20b?n={n}&b=/") for n in range(20)]
    frame = fastreq(urls, auth=Digest("me", "pass:word é"), method=method, data=body, concurrency=5, max_retries=0)
    assert frame["ok"].all(), frame["error_detail"].tolist()
    assert frame["attempts"].tolist() == [1] * 20
    with_it = [arrival for arrival in door.arrivals if arrival.header("authorization")]
    assert len(with_it) == 20
    # The question is asked without the body.
    assert {len(arrival.body) for arrival in door.arrivals if not arrival.header("authorization")} == {0}


def test_a_wrong_password_is_a_refusal_and_nothing_more(server):
    door = server.open(digest)
    frame = fastreq([door.url("/")], auth=Digest("me", "the-wrong-one"))
    assert frame["error"].tolist() == ["http 401"]
    assert len(door.arrivals) == 2


def test_a_digest_stays_at_home_and_its_handle_serves_nobody_else(server):
    elsewhere = server.open(digest)
    door = server.open(scripts.reply(307, b"", ("Location", elsewhere.url("/"))))
    assert fastreq([door.url("/")], auth=Digest("me", "pass:word é"), concurrency=1)["error"].tolist() == ["http 401"]
    assert fastreq([elsewhere.url("/")] * 2, auth=None, concurrency=1)["error"].tolist() == ["http 401"] * 2
    assert [arrival.header("authorization") for arrival in elsewhere.arrivals] == [None] * 3


@needs_curl
def test_a_digest_arrives_as_that_of_the_curl_command(server):
    door = server.open(digest)
    url = door.url("/x?a=1")
    frame = fastreq([url], auth=Digest("me", "pass:word é"))
    assert frame["ok"].all(), frame.to_dict("records")
    subprocess.run([CURL, "-s", "--digest", "-u", "me:pass:word é", url], check=True, capture_output=True, timeout=240)
    shapes = [re.sub(r'(cnonce|response|nonce)="[^"]*"', r"\1", a.header("authorization") or "") for a in door.arrivals]
    assert shapes[:2] == shapes[2:]
    assert shapes[1]


def signature(arrival, service):
    """Return the signature that AWS would expect for what arrived (Signature Version 4, as its documentation has it)."""
    signed = re.search(r"SignedHeaders=([^,]*)", arrival.header("authorization"))[1].split(";")
    path, _, query = arrival.target.partition("?")
    pairs = sorted((pair.partition("=")[0], pair.partition("=")[2]) for pair in query.split("&") if pair)
    lines = [
        arrival.method,
        path if service == "s3" else quote(path),
        "&".join(f"{name}={value}" for name, value in pairs),
        *(f"{name}:{arrival.header(name)}" for name in signed),
        "",
        ";".join(signed),
        hashlib.sha256(arrival.body).hexdigest(),
    ]
    date = arrival.header("x-amz-date")
    scope = f"{date[:8]}/eu-central-1/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256("\n".join(lines).encode()).hexdigest()])
    key = f"AWS4{KEYS['secret_key']}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


@needs_curl
@pytest.mark.parametrize(
    ("method", "path", "body", "service"),
    [("GET", "/", None, "execute-api"), ("GET", "/a%20b/c?b=2&a=1%20x&c=", None, "es"), ("POST", "/x", '{"a": 1}', "execute-api"),
     ("PUT", "/x%20y", "y", "s3")],
)  # fmt: skip
def test_a_signature_is_what_the_service_expects_as_is_that_of_the_curl_command(server, method, path, body, service):
    door = server.open(scripts.reply())
    auth = SigV4(service, "eu-central-1", **KEYS, session_token="a-session-token")
    assert fastreq([door.url(path)], method=method, data=body, auth=auth)["ok"].all()
    more = () if body is None else ("-d", body)
    command = [CURL, "-s", "-X", method, "-u", ":".join(KEYS.values()), "--aws-sigv4", f"aws:amz:eu-central-1:{service}", *more]
    # Older commands spell odd paths in another way than AWS.
    subprocess.run([*command, door.url("/x?a=1")], check=True, capture_output=True, timeout=240)
    ours, theirs = door.arrivals
    assert "x-amz-security-token" in ours.header("authorization")
    for arrival in (ours, theirs):
        assert arrival.header("authorization").endswith(f"Signature={signature(arrival, service)}")


def test_keys_of_the_environment_are_used_where_none_are_given(monkeypatch):
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"):
        monkeypatch.setenv(f"AWS_{name}", f"value-of-{name}")
    assert SigV4("s3", "eu").session_token == "value-of-SESSION_TOKEN"
    assert SigV4("s3", "eu", **KEYS).session_token is None


@pytest.mark.parametrize("name", ["aiohttp", "niquests", "requests"])
@pytest.mark.parametrize("auth", [Digest("me", "hidden-word"), SigV4("s3", "eu", **KEYS), Negotiate()])
def test_a_library_that_cannot_make_them_is_refused_before_anything_is_sent(server, name, auth):
    door = server.open(scripts.reply())
    with pytest.raises(OptionError, match="give backend='curl'") as caught:
        fastreq([door.url("/")], auth=auth, backend=name)
    assert "hidden" not in str(caught.value)
    assert not door.arrivals


@pytest.mark.parametrize(("auth", "feature"), [(NTLM("me", "secret"), pycurl.VERSION_NTLM), (Negotiate(), pycurl.VERSION_SPNEGO)])
def test_what_this_libcurl_lacks_is_refused_and_what_it_has_is_done(server, auth, feature):
    door = server.open(scripts.reply(401, b"", ("WWW-Authenticate", type(auth).__name__)))
    if pycurl.version_info()[4] & feature:
        assert fastreq([door.url("/")], auth=auth)["error"].tolist() == ["http 401"]
    else:
        with pytest.raises(OptionError, match="this build of libcurl"):
            fastreq([door.url("/")], auth=auth)
