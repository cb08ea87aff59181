"""What the cache spares, and what it must not give to whom: all counted at the server."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter

import pandas as pd
import pytest
from faultserver import scripts
from faultserver.measure import BACKENDS
from serving.counting import CountingServer

from fastreq_jupyter import FastRequests, OAuth2, OptionError, Request, fastreq, fastreq_async, fastreq_stream, last_run
from fastreq_jupyter.cell import build, to_http
from fastreq_jupyter.options import Options

QUIET = {"progress": "none", "proxy": "none", "timeout": 10}
FILES = pytest.mark.parametrize("file", ["cache.db", "cache.jsonl"])


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(requests, **options):
    return asyncio.run(fastreq_async(requests, **{**QUIET, "cache": "forever", **options}))


def notes():
    return " | ".join(last_run().summary()["notes"])


class Shelf:
    """A server of versioned things with validators; counts what it sends whole, and who asks."""

    def __init__(self, faultserver, *, validator="etag"):
        self.versions = Counter()
        self.validator = validator
        self.whole = 0
        self.door = faultserver.open(self.answer)

    async def answer(self, call):
        path = call.request.path
        tag = f'"{path}-{self.versions[path]}"'
        date = f"Mon, 0{1 + self.versions[path]} Jan 2024 00:00:00 GMT"
        fields = {"etag": [("ETag", tag)], "date": [("Last-Modified", date)], None: []}[self.validator]
        if self.validator and (tag, date)[self.validator == "date"] in (
            call.request.header("if-none-match"),
            call.request.header("if-modified-since"),
        ):
            await call.send(scripts.head(304, *fields))
            return
        self.whole += 1
        await call.send(reply({"path": path, "version": self.versions[path], "who": call.request.header("authorization")}, *fields))

    def urls(self, count):
        return [self.door.url(f"/{n}") for n in range(count)]


def reply(body, *fields, status=200):
    return scripts.whole(status, json.dumps(body).encode(), *fields, ("Content-Type", "application/json"))


@FILES
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_second_run_sends_nothing_and_gives_the_same(faultserver, backend, file):
    shelf = Shelf(faultserver)
    first = run(shelf.urls(30), cache_file=file, backend=backend, response_headers=True)
    assert shelf.door.count() == 30
    assert f"30 rows: 30 sent, kept in {file}" in notes()
    again = run(shelf.urls(30), cache_file=file, backend=backend, response_headers=True)
    assert shelf.door.count() == 30
    assert list(again["data"]) == list(first["data"])
    assert list(again["headers"]) == list(first["headers"])
    assert set(again["cached"]) == {"fresh"}
    assert first["cached"].isna().all()
    assert str(again["cached"].dtype) == str(first["cached"].dtype) == "category"
    assert set(again["attempts"]) == {0}
    assert "30 rows: 30 from today" in notes()


def test_old_answers_are_asked_for_again(faultserver):
    shelf = Shelf(faultserver, validator=None)
    run(shelf.urls(3), cache="12h")
    run(shelf.urls(3), cache="12h")
    assert shelf.door.count() == 3
    run(shelf.urls(3), cache=0)
    assert shelf.door.count() == 6


@pytest.mark.parametrize("validator", ["etag", "date"])
@FILES
def test_revalidating_says_what_changed_and_what_did_not(faultserver, file, validator):
    shelf = Shelf(faultserver, validator=validator)
    options = {"cache": "revalidate", "cache_file": file}
    run(shelf.urls(10), **options)
    shelf.versions.update({"/1": 1, "/4": 1, "/9": 1})
    frame = run(shelf.urls(12), **options)
    assert (shelf.door.count(), shelf.whole) == (22, 10 + 3 + 2)
    assert [at for at, how in enumerate(frame["cached"]) if how == "revalidated"] == [0, 2, 3, 5, 6, 7, 8]
    assert [data["version"] for data in frame["data"]] == [int(n in (1, 4, 9)) for n in range(12)]
    assert set(frame["status"]) == {200}
    assert list(frame.fastreq.changed.index) == [1, 4, 9, 10, 11]
    assert "12 rows: 7 unchanged since today" in notes()
    assert ", 3 changed, 2 new, 12 sent" in notes()


def test_an_answer_without_validators_that_is_the_same_again_has_not_changed(faultserver):
    shelf = Shelf(faultserver, validator=None)
    run(shelf.urls(3), cache="revalidate")
    shelf.versions["/1"] = 1
    frame = run(shelf.urls(3), cache="revalidate")
    assert list(frame.fastreq.changed.index) == [1]
    assert "2 unchanged" in notes()


def test_a_condition_on_bodies_does_not_look_into_a_304(faultserver):
    shelf = Shelf(faultserver)
    run(shelf.urls(2), cache="revalidate", fail_when="!path")
    frame = run(shelf.urls(2), cache="revalidate", fail_when="!path")
    assert list(frame["cached"]) == ["revalidated"] * 2


def test_an_answer_that_this_run_calls_bad_is_asked_for_anew(faultserver):
    shelf = Shelf(faultserver)
    run(shelf.urls(2))
    frame = run(shelf.urls(2), fail_when="version == `0`")
    assert (list(frame["error"]), shelf.door.count()) == (["body", "body"], 4)


@FILES
def test_each_user_gets_an_answer_of_their_own_and_no_secret_is_in_the_file(faultserver, folder, file):
    seen = []

    async def answer(call):
        seen.append(call.request.header("authorization") or call.request.header("cookie") or call.request.target)
        await call.send(reply({"you": len(seen)}, ("Set-Cookie", "sid=set-cookie-canary"), ("X-Echo", seen[-1])))

    door = faultserver.open(answer)
    users = [
        {"auth": "token-canary-of-ada"},
        {"auth": ("ada", "password-canary")},
        {"headers": {"X-API-Key": "header-canary"}},
        {"params": {"api_key": "query-canary"}},
        {"cookies": {"sid": "cookie-canary"}},
        {"headers": {"Cookie": "sid=cookie-canary-2"}},
        {"headers": {"X-Tenant": "seven"}},
        {"headers": {"Accept-Language": "fr"}},
        {},
    ]
    for _ in range(2):
        answers = [run([door.url("/me")], cache_file=file, **user)["data"][0]["you"] for user in users]
        assert answers == list(range(1, len(users) + 1))
    assert door.count() == len(users)
    written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"canary" not in written
    if os.name != "nt":
        assert (folder / file).stat().st_mode & 0o777 == 0o600


def test_credentials_that_are_got_late_count_where_they_tell_whose_they_are(faultserver):
    async def answer(call):
        if call.request.path == "/token":
            await call.send(reply({"access_token": f"token-{call.number}", "expires_in": 3600}))
        else:
            await call.send(reply({"number": call.number}))

    door = faultserver.open(answer)

    def oauth(client, secret):
        return OAuth2(door.url("/token"), client, secret)

    def numbers(auths):
        return [run([door.url("/me")], auth=auth)["data"][0]["number"] for auth in auths]

    users = [lambda: oauth("ada", "one"), lambda: oauth("bob", "one"), lambda: oauth("ada", "two")]
    first = numbers(make() for make in users)
    assert len(set(first)) == 3
    # New objects with the same values, as in the next kernel: nothing is sent, not even for a token.
    before = door.count()
    assert numbers(make() for make in users) == first
    assert door.count() == before

    def whose():
        return "a-token"

    assert len(set(numbers([whose, whose]))) == 2
    assert "do not tell whose they are" in notes()


def test_what_carries_the_token_of_a_login_is_kept_for_who_logged_in(faultserver):
    async def answer(call):
        if call.request.method == "POST":
            await call.send(reply({"token": f"{call.request.body.decode()}-{call.number}-token"}))
        else:
            await call.send(reply({"me": call.request.header("authorization").split()[1].split("-")[0], "number": call.number}))

    door = faultserver.open(answer)

    def visit(name):
        login = f"# @name login\nPOST {door.url('/login')}\n\n{{{{name}}}}\n\n###\n"
        mine = "".join(f"GET {door.url('/me')}/{n}\nAuthorization: Bearer {{{{login.data.token}}}}\n\n###\n" for n in range(3))
        return pd.DataFrame({"name": [name]}).fastreq.request(login + mine, cache="forever", **QUIET)

    for name in ("ada", "bob"):
        first, again = visit(name), visit(name)
        assert [data["me"] for data in again["data"][1:]] == [name] * 3
        assert list(again["data"][1:]) == list(first["data"][1:])
        assert list(again["cached"] == "fresh") == [False, True, True, True]
    assert (door.count("POST"), door.count("GET")) == (4, 6)


def test_pages_are_kept_one_by_one(faultserver):
    async def answer(call):
        page = int(call.request.target.partition("page=")[2] or 1)
        more = [("Link", f'</list?page={page + 1}>; rel="next"')] if page < 4 else []
        await call.send(reply({"items": [page]}, *more))

    door = faultserver.open(answer)
    for _ in range(2):
        frame = run(door.url("/list"), pages="link")
        assert [data["items"] for data in frame["data"]] == [[1], [2], [3], [4]]
        assert list(frame["page"]) == [1, 2, 3, 4]
    assert door.count() == 4
    assert set(frame["cached"]) == {"fresh"}


def test_graphql_queries_are_kept_and_mutations_are_not(faultserver):
    door = faultserver.open(scripts.raw(reply({"data": {"n": 1}}), keep=True))
    requests = [Request.graphql(door.url(), "query { n }"), Request.graphql(door.url(), "mutation { n }")]
    first, again = run(requests), run(requests)
    assert list(first["data"]) == list(again["data"]) == [{"n": 1}] * 2
    assert door.count() == 3


def test_an_answer_that_says_the_secret_back_is_not_kept(faultserver, folder):
    async def answer(call):
        await call.send(reply({"authorization": call.request.header("authorization")}))

    door = faultserver.open(answer)
    for count in (1, 2):
        assert run([door.url()], auth="token-canary-of-ada")["ok"].all()
        assert door.count() == count
    assert "1 answer says a secret of its request back" in notes()
    assert not [path for path in folder.rglob("*") if path.is_file() and b"canary" in path.read_bytes()]


def test_a_server_that_counts_its_visitors_by_cookie_spoils_nothing(faultserver):
    async def answer(call):
        await call.send(reply({"path": call.request.path}, ("Set-Cookie", f"visit={call.number}; Path=/")))

    door = faultserver.open(answer)
    urls = [door.url(f"/{n}") for n in range(20)]
    for user in ({}, {"auth": "a-bearer-token"}):
        before = door.count()
        run(urls, **user)
        frame = run(urls, **user)
        assert door.count() == before + 20
        assert set(frame["cached"]) == {"fresh"}

    async def session():
        async with FastRequests(door.url(""), auth="another-token") as client:
            for _ in range(2):
                await client.request(["/a", "/b"], cache="forever", **QUIET)

    before = door.count()
    asyncio.run(session())
    assert door.count() == before + 2


def test_who_logs_in_by_a_cookie_is_told_apart(faultserver):
    """Both users ask for the same URL with the session that their login, no longer in sight, has given them."""

    async def answer(call):
        if call.request.method == "POST":
            await call.send(reply({}, ("Set-Cookie", f"sid={call.request.body.decode()}; Path=/")))
        else:
            await call.send(reply({"me": call.request.header("cookie")}))

    door = faultserver.open(answer)

    async def visit(name, *, cached_login):
        async with FastRequests(door.url("")) as client:
            keep = {"cache": "forever"} if cached_login else {}
            await client.request([Request("GET", "/me")], cache="forever", **QUIET)
            await client.request([Request("POST", "/login", data=name)], **keep, **QUIET)
            frame = await client.request(["/me"], cache="forever", **QUIET)
            return frame["data"][0]["me"]

    for cached_login in (True, False):
        for name in ("ada", "bob"):
            assert asyncio.run(visit(name, cached_login=cached_login)) == f"sid={name}"


def test_a_cookie_that_comes_between_look_up_and_sending_keeps_the_answer_out(faultserver):
    async def answer(call):
        if call.request.method == "POST":
            await call.send(reply({}, ("Set-Cookie", f"sid={call.request.body.decode()}; Path=/")))
        else:
            await call.send(reply({"me": call.request.header("cookie")}))

    door = faultserver.open(answer)
    for name in ("ada", "bob"):
        frame = run([Request("POST", door.url("/login"), data=name), door.url("/me")], concurrency=2, rate_limit=2, rate_limit_burst=1)
        # On a machine that is busy enough it leaves before the login was answered: then it is nobody's.
        assert frame["data"][1]["me"] in (None, f"sid={name}")


def test_only_what_asks_is_kept(faultserver):
    door = faultserver.open(scripts.raw(reply({"ok": True}), keep=True))
    requests = [
        Request(method, door.url(f"/{method}"), data=b"x" if method == "POST" else None) for method in ("GET", "POST", "PUT", "DELETE")
    ]
    for _ in range(2):
        run(requests)
    assert Counter(arrival.method for arrival in door.arrivals) == {"GET": 1, "POST": 2, "PUT": 2, "DELETE": 2}


def test_a_post_is_kept_where_the_cell_says_so(faultserver):
    door = faultserver.open(scripts.raw(reply({"hits": 3}), keep=True))
    text = f'# @cache\nPOST {door.url("/search")}\nContent-Type: application/json\n\n{{"q": "lamp"}}'
    options = Options.of(cache="forever")
    requests = list(build(text, options=options).items)
    for _ in range(2):
        run(requests)
    run([Request("POST", door.url("/search"), json={"q": "shade"}, cache=True)])
    assert door.count() == 2
    assert to_http(requests).startswith("# @cache\nPOST ")
    assert "this run has none" in " ".join(build(text, options=Options()).notes)


@pytest.mark.parametrize("status", [201, 202, 404, 500])
def test_nothing_but_good_answers_is_kept(faultserver, status):
    door = faultserver.open(scripts.raw(reply({}, status=status), keep=True))
    for count in (1, 2):
        run([door.url()], max_retries=0)
        assert door.count() == count


def test_offline_sends_nothing_whatever_is_missing(faultserver):
    shelf = Shelf(faultserver)
    run(shelf.urls(3), cache="12h")
    requests = [*shelf.urls(4), Request("POST", shelf.door.url("/1"), data="x")]
    frame = run(requests, cache=None, offline=True)
    assert list(frame["error"].fillna("")) == ["", "", "", "offline", "offline"]
    assert shelf.door.count() == 3
    assert "not in .fastreq" in frame["error_detail"][3]
    assert run(shelf.urls(3), cache="revalidate", offline=True)["ok"].all()
    assert shelf.door.count() == 3


def test_fresh_asks_for_all_and_keeps_the_new(faultserver):
    shelf = Shelf(faultserver)
    run(shelf.urls(3))
    shelf.versions["/1"] = 1
    frame = run(shelf.urls(3), fresh=True)
    assert (shelf.whole, list(frame.fastreq.changed.index)) == (6, [1])
    assert run(shelf.urls(3))["data"][1]["version"] == 1
    assert shelf.door.count() == 6


def test_redirects_are_kept_by_what_was_asked(faultserver):
    moved = scripts.raw(scripts.whole(302, b"", ("Location", "/new")), keep=True)
    answer = scripts.raw(reply({"new": True}), keep=True)
    door = faultserver.open(lambda call: (moved if call.request.path == "/old" else answer)(call))
    for _ in range(2):
        frame = run([door.url("/old")], columns="all")
        assert frame["final_url"][0] == door.url("/new")
    assert door.count() == 2
    assert list(run([door.url("/old")], follow_redirects=False)["status"]) == [302]


def test_rows_of_a_cell_and_equal_requests_share_answers(faultserver):
    shelf = Shelf(faultserver)
    run(shelf.urls(3) * 2)
    assert shelf.door.count() == 6
    assert set(run(shelf.urls(3) * 2)["cached"]) == {"fresh"}
    assert shelf.door.count() == 6


def test_a_job_that_was_waited_for_is_kept_once_it_is_over(faultserver):
    async def answer(call):
        await call.send(reply({"state": "done" if call.number > 2 else "running"}))

    door = faultserver.open(answer)
    options = {"until": "state == 'done'", "every": 0.05}
    assert list(run([door.url()], **options)["looks"]) == [3]
    frame = run([door.url()], **options)
    assert (door.count(), frame["data"][0], frame["looks"][0]) == (3, {"state": "done"}, 0)


def test_the_journal_keeps_what_the_cache_gave(faultserver, folder):
    shelf = Shelf(faultserver)
    run(shelf.urls(3))
    run(shelf.urls(5), journal="runs.db")
    assert shelf.door.count() == 5
    (folder / ".fastreq" / "cache.db").unlink()
    frame = run(shelf.urls(5), journal="runs.db")
    assert (shelf.door.count(), frame["ok"].sum()) == (5, 5)
    assert "5 of 5 from runs.db" in notes()


def test_every_kind_of_result_comes_out_of_the_file_as_it_did_from_the_server(faultserver):
    door = faultserver.open(
        scripts.raw(scripts.whole(200, '{"é": 1}'.encode("latin-1"), ("Content-Type", "text/plain; charset=latin-1")), keep=True)
    )
    for kind in ("dataframe", "text", "content"):
        first, again = (run(door.url(), return_type=kind) for _ in range(2))
        assert (first["data"][0], again["data"][0]) == ('{"é": 1}',) * 2 if kind == "dataframe" else first == again
    response = run(door.url(), return_type="response")
    assert (response.status, response.text) == (200, '{"é": 1}')
    assert run(door.url(), return_type="json", parse="json") == {"é": 1}
    head = [Request("HEAD", door.url("/head"))]
    door.script = scripts.reply(200, b"12345")
    assert list(run(head)["data"]) == list(run(head)["data"]) == [None]
    assert door.count("HEAD") == 1


WRITER = """
import sys
from fastreq_jupyter import fastreq
frame = fastreq([f"{sys.argv[1]}/{n}" for n in range(int(sys.argv[2]))], cache="forever", cache_file=sys.argv[3], progress="none", proxy="none",
                concurrency=8)
print(int(frame["ok"].sum()), int((frame["cached"] == "fresh").sum()))
"""


def command(door, count, file):
    return [sys.executable, "-c", WRITER, door.url(""), str(count), file]


@FILES
def test_two_processes_share_a_file(faultserver, file):
    shelf = Shelf(faultserver)
    both = [subprocess.Popen(command(shelf.door, 300, file), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0].split()[0] for process in both] == ["300", "300"]
    before = shelf.door.count()
    assert set(run(shelf.urls(300), cache_file=file)["cached"]) == {"fresh"}
    assert shelf.door.count() == before


@FILES
@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_a_process_killed_at_any_moment_leaves_a_file_that_serves(faultserver, file):
    shelf = Shelf(faultserver)

    async def slowly(call, answer=shelf.answer):
        await asyncio.sleep(0.01)
        await answer(call)

    shelf.door.script = slowly
    for wanted in (120, 350):
        before = shelf.door.count()
        process = subprocess.Popen(command(shelf.door, 2000, file), stdout=subprocess.PIPE)
        assert shelf.door.wait(lambda door, before=before, wanted=wanted: door.count() >= before + wanted)
        process.kill()
        process.communicate()
    frame = run(shelf.urls(400), cache_file=file)
    assert [data["path"] for data in frame["data"]] == [f"/{n}" for n in range(400)]
    assert (frame["cached"] == "fresh").sum() > 100


def test_the_second_run_costs_few_calls_a_row():
    from engine.test_budget import Counter as Calls

    def calls(number):
        urls = [f"{server.url}/x?n={n}" for n in range(number)]
        fastreq(urls, cache="forever", **QUIET)
        with Calls() as counter:
            assert fastreq(urls, cache="forever", **QUIET)["cached"].notna().all()
        return counter.ours, counter.all

    with CountingServer() as server:
        calls(10)
        few, many = calls(100), calls(400)
        assert len(server.arrivals) == 400
    ours, total = ((many[at] - few[at]) / 300 for at in (0, 1))
    assert ours <= 45
    assert total <= 60


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cache": "soon"}, "cache='soon'"),
        ({"cache": -1}, "cache=-1"),
        ({"cache": True}, "cache=True"),
        ({"cache": "1h", "save_to": "x"}, "cache is not possible with save_to"),
        ({"offline": True, "save_to": "x"}, "offline is not possible with save_to"),
        ({"fresh": True}, "fresh needs journal or cache"),
        ({"fresh": True, "cache": "1h", "offline": True}, "fresh and offline"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(options, words):
    with pytest.raises(OptionError, match=words):
        fastreq(["http://127.0.0.1:9/"], **options)


@pytest.mark.parametrize("options", [{"cache": "1h"}, {"offline": True}, {"cache_file": "x.db"}])
def test_a_stream_refuses_a_cache(options):
    async def go():
        async for _ in fastreq_stream(["http://127.0.0.1:9/"], **options):
            pass

    with pytest.raises(OptionError, match="is not possible here"):
        asyncio.run(go())
