"""OAuth2 against an independent server (authlib), and against token endpoints that answer anything else."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from faultserver import proxies, scripts

from fastreq_jupyter import OAuth2, OptionError, fastreq, fastreq_async, submit
from fastreq_jupyter.auth.oauth2 import SignIn, polled
from fastreq_jupyter.exchange import Response

pytest.importorskip("authlib")
from serving.oauth_server import CLIENT, SECRET, Granted, OAuthServer


@pytest.fixture
def oauth(server):
    """Give authlib's server and the door it stands at."""
    grants = OAuthServer()
    return grants, server.open(grants)


def details(frame):
    assert frame["error"].tolist() == ["auth"] * len(frame)
    return set(frame["error_detail"])


@pytest.mark.parametrize("in_body", [False, True])
def test_client_credentials_are_sent_as_the_standard_has_it(oauth, in_body, backend):
    grants, door = oauth
    auth = OAuth2(door.url("/token"), CLIENT, SECRET, scope=["a", "b"], in_body=in_body)
    frame = fastreq([door.url(f"/{n}") for n in range(5)], auth=auth, backend=backend)
    assert frame["ok"].all()
    assert [asked["scope"] for asked in grants.asked] == ["a b"]
    assert ("client_secret" in grants.asked[0]) == in_body


def test_a_refresh_token_is_used_and_replaced_by_the_one_that_comes_back(oauth):
    grants, door = oauth
    grants.refresh["first"] = Granted({})
    auth = OAuth2(door.url("/token"), CLIENT, SECRET, refresh_token="first")
    for _ in range(3):
        grants.good = set()
        assert fastreq(door.url("/"), auth=auth, return_type="json") == {"ok": True}
    assert [asked["refresh_token"] for asked in grants.asked] == ["first", *(said["refresh_token"] for said in grants.said[:2])]


async def test_a_person_signs_in_and_later_tokens_need_nobody(oauth, capsys):
    grants, door = oauth
    auth = OAuth2.device(door.url("/device"), door.url("/token"), CLIENT)
    run = submit([door.url("/")] * 3, auth=auth)
    await asyncio.to_thread(grants.asked_twice.wait, 240)
    assert "https://sign.in/device" in (run.progress.notice or "")
    grants.decided = True
    assert (await run)["ok"].all()
    printed = capsys.readouterr().out
    (credential,) = grants.devices.values()
    assert f"open https://sign.in/device and enter the code {credential['user_code']}" in printed
    assert credential["device_code"] not in printed
    grants.good = set()
    assert (await fastreq_async([door.url("/")], auth=auth))["ok"].all()
    assert grants.asked[-1]["grant_type"] == "refresh_token"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("life", [1, 600])
def test_a_sign_in_that_is_denied_or_comes_too_late_ends_the_run(oauth, life, capsys, monkeypatch):
    grants, door = oauth
    grants.decided = False if life > 1 else None
    monkeypatch.setattr(type(grants._endpoints["device_authorization"][0]), "EXPIRES_IN", life)
    frame = fastreq([door.url("/")] * 3, auth=OAuth2.device(door.url("/device"), door.url("/token"), CLIENT))
    (detail,) = details(frame)
    assert ("access_denied" if life > 1 else "not used in time") in detail or "expired_token" in detail
    assert "enter the code" in capsys.readouterr().out


def test_a_server_that_asks_for_slower_questions_gets_them():
    waiting = SignIn("code", "words", 1.0, 5.0)

    def said(error, status=400):
        return Response(status, content=json.dumps({"error": error}).encode())

    assert polled(waiting, said("authorization_pending")) == waiting
    assert polled(waiting, said("slow_down")).interval == 10.0
    assert polled(waiting, said("access_denied")) is None
    assert polled(waiting, Response(500, content=b"<html>")) is None


def test_a_wrong_secret_is_told_in_the_servers_own_words_and_not_shown(oauth):
    _, door = oauth
    (detail,) = details(fastreq([door.url("/")] * 3, auth=OAuth2(door.url("/token"), CLIENT, "a-wrong-secret")))
    assert "answered 401 invalid_client" in detail
    assert "wrong" not in detail


@pytest.mark.parametrize("ending", ["its time is over", "it is refused"])
def test_200_requests_at_a_tokens_end_ask_for_one_token(api, ending, backend):
    api.life = 3600 if ending == "it is refused" else 0.2
    auth = OAuth2(api.token_url, "me", "secret")
    assert fastreq(api.urls(1), auth=auth, backend=backend)["ok"].all()
    api.life = 3600
    if ending == "it is refused":
        api.good = set()
    else:
        time.sleep(0.2)
    frame = fastreq(api.urls(200), auth=auth, backend=backend, concurrency=50, max_retries=0, method="POST")
    assert frame["ok"].all()
    assert api.asked == 2
    # What was under way when the first refusal came goes out once more, and nothing else does.
    again = int((frame["attempts"] == 2).sum())
    assert 0 < again <= 50 if ending == "it is refused" else again == 0
    assert api.door.count(path="/api") == 1 + 200 + again


BAD_ANSWERS = {
    "HTML": (scripts.reply(200, b"<html>", ("Content-Type", "text/html; charset=x")), "answered 200 with text/html, not with a token"),
    "500": (scripts.reply(500, b"oops"), "answered 500 Internal Server Error"),
    "a list": (scripts.reply(200, b"[]", ("Content-Type", "application/json")), "not with a token"),
    "no token": (scripts.reply(200, b"{}"), "without an access_token"),
    "another type": (scripts.reply(200, b'{"access_token": "abcdefghi", "token_type": "mac"}'), "of the type 'mac'"),
    "a control character": (scripts.reply(200, b'{"access_token": "abcdefghi\\r\\nX: y"}'), "a control character"),
    "error in a good answer": (scripts.reply(200, b'{"error": "invalid_scope"}'), "answered 200 invalid_scope"),
    "closes": (scripts.closes(), "no token from"),
    "a body without end": (scripts.endless(scripts.head(200), b"x" * 65536), "too large"),
}


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_a_token_endpoint_that_grants_nothing_ends_the_run_in_one_line(api, case):
    api.grants, words = BAD_ANSWERS[case]
    (detail,) = details(fastreq(api.urls(5), auth=OAuth2(api.token_url, "me", "the-secret-itself"), timeout=60))
    assert words in detail
    assert "abcdefghi" not in detail
    assert api.door.count(path="/api") == 0
    assert api.asked == 1


@pytest.mark.parametrize("life", [None, "x", 0, -1, float("nan"), "3600"])
def test_a_token_of_unknown_life_is_used_until_it_is_refused(api, life):
    api.life = life
    auth = OAuth2(api.token_url, "me", "secret")
    for _ in range(2):
        assert fastreq(api.urls(3), auth=auth)["ok"].all()
    assert api.asked == 1


def test_secrets_for_a_token_endpoint_are_never_redirected(api, server, backend):
    elsewhere = server.open(scripts.reply(200, b'{"access_token": "abcdefghi"}'))
    api.grants = scripts.reply(307, b"", ("Location", elsewhere.url("/token")))
    (detail,) = details(fastreq(api.urls(1), auth=OAuth2(api.token_url, "me", "secret"), backend=backend))
    assert "answered 307" in detail
    assert not elsewhere.arrivals


def test_token_requests_go_through_the_runs_proxy(api, server, backend):
    log = proxies.ProxyLog()
    proxy = server.open(raw=proxies.http_proxy(log))
    auth = OAuth2(api.token_url, "me", "secret")
    assert fastreq(api.urls(1), auth=auth, backend=backend, proxy=proxy.origin(), concurrency=1)["ok"].all()
    assert log.methods[0] in ("POST", "CONNECT")
    # The token and the row, each by the proxy: nothing else reached the API.
    assert len(log.targets) >= 2
    assert len(api.door.links) <= len(log.targets)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"token_url": "ftp://x"}, "token_url"),
        ({"token_url": "https://a:hidden@x/t"}, "client_id and client_secret"),
        ({"client_secret": None}, "client_secret or refresh_token"),
        ({"client_secret": "hidden\n"}, "control"),
        ({"client_id": None}, "client_id"),
    ],
)
def test_what_cannot_be_an_oauth2_is_refused_in_one_line(given, words):
    with pytest.raises(OptionError, match=words) as caught:
        OAuth2(**{"token_url": "https://x/token", "client_id": "me", "client_secret": "secret"} | given)
    assert "hidden" not in str(caught.value)
    assert "secret-itself" not in repr(OAuth2("https://x/token", "me", "secret-itself", refresh_token="secret-itself"))
