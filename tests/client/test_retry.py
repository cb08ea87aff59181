"""`retry_failed`: which requests go out once more, with which credentials and options; counted at the server."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pytest

from fastreq_jupyter import OptionError, UsageError, fastreq, last_run
from fastreq_jupyter.auth import ApiKey

QUIET = {"progress": "none", "proxy": "none", "max_retries": 0}


class Doorkeeper:
    """A server that lets in who has the present token; each login gives a new one.

    Attributes:
        seen: Method and path of each request.
        token: The present one; a login makes another.
        stale: So many logins give a token that is over already.
        closed: So many logins are refused.
        same: Each login gives the same token.
    """

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.token = "token-number-0"
        self.stale = self.closed = 0
        self.same = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.seen.append(f"{self.command} {self.path.partition('?')[0]}")
                status, body = 200, {"path": self.path}
                if self.path == "/login" and outer.closed:
                    status, outer.closed = 401, outer.closed - 1
                elif self.path == "/login":
                    outer.token = given = outer.token if outer.same else f"token-number-{outer.seen.count('POST /login')}"
                    body = {"token": given}
                    if outer.stale:
                        outer.token, outer.stale = "none", outer.stale - 1
                elif outer.token not in (self.headers.get("Authorization") or "") + (self.headers.get("X-Key") or "") + self.path:
                    status, body = 401, {"message": "who are you?"}
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = answer  # noqa: N815 - names that http.server looks for

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def door():
    server = Doorkeeper()
    yield server
    server.close()


@pytest.fixture
def shell(ipython, door):
    ipython.user_ns["base"] = door.url
    return ipython


@pytest.mark.parametrize(
    "made",
    [
        lambda token: token,
        lambda token: ("user", token),
        lambda token: ApiKey("X-Key", token),
        lambda token: ApiKey("key", token, where="query"),
        lambda token: lambda: token,
    ],
    ids=["bearer", "pair", "key in a header", "key in the query", "function"],
)
def test_other_credentials_take_the_place_of_those_that_were_refused(door, made):
    plain = made(door.token)
    if isinstance(plain, tuple):
        door.token = "dXNlcjp0b2tlbi1udW1iZXItMA=="
    frame = fastreq([f"{door.url}/{n}?q=1" for n in range(3)], auth=made("another-one"), **QUIET)
    assert list(zip(frame["error"], frame["error_detail"], strict=True)) == [("http 401", "who are you?")] * 3
    again = frame.fastreq.retry_failed(auth=plain)
    assert again["ok"].all()
    # A function is asked once more after a refusal.
    assert len(door.seen) == (9 if callable(plain) else 6)
    assert "another-one" not in str([row.request.headers for row in last_run().rows] + [row.request.url for row in last_run().rows])


def test_the_variable_of_auth_is_looked_up_again(shell, door):
    shell.user_ns["tok"] = "another-one"
    shell.run_cell("%%fastreq me --auth tok --progress none\n{{base}}/me\n").raise_error()
    assert shell.user_ns["me"]["error"].tolist() == ["http 401"]
    shell.user_ns["tok"] = door.token
    assert shell.user_ns["me"].fastreq.retry_failed()["ok"].all()


CHAINED = """%%fastreq shop --progress none --max-retries 0
# @name login
POST {{base}}/login

###
GET {{base}}/a
Authorization: Bearer {{login.data.token}}

###
GET {{base}}/b
Authorization: Bearer {{login.data.token}}
"""


def test_a_login_is_sent_again_with_what_needs_it_and_nothing_else(shell, door):
    door.stale = 1
    shell.run_cell(CHAINED).raise_error()
    assert shell.user_ns["shop"]["ok"].tolist() == [True, False, False]
    door.seen.clear()
    again = shell.user_ns["shop"].fastreq.retry_failed()
    assert again["ok"].all()
    assert sorted(door.seen) == ["GET /a", "GET /b", "POST /login"]
    again.fastreq.retry_failed()
    assert len(door.seen) == 3


def rerun(shell, door, cell):
    door.seen.clear()
    shell.run_cell(cell).raise_error()
    return sorted(door.seen), shell.user_ns["shop"]["ok"].tolist()


def test_a_journal_plays_no_login_back_to_what_is_sent(shell, door, tmp_path):
    cell = CHAINED.replace("shop ", f"shop --journal {tmp_path}/shop.db ", 1)
    door.stale = 1
    assert rerun(shell, door, cell) == (["GET /a", "GET /b", "POST /login"], [True, False, False])
    assert rerun(shell, door, cell) == (["GET /a", "GET /b", "POST /login"], [True] * 3)
    # All of it is known: nothing is sent, no login either.
    assert rerun(shell, door, cell) == ([], [True] * 3)
    door.token = "over"
    more = f"{cell}\n###\nGET {{{{base}}}}/c\nX-Key: {{{{login.data.token}}}}\n"
    assert rerun(shell, door, more) == (["GET /c", "POST /login"], [True] * 4)
    shell.run_cell("shop = shop.fastreq.retry_failed()").raise_error()
    assert sorted(door.seen) == ["GET /c", "POST /login"]


def test_a_journal_asks_for_a_login_that_another_login_needs(shell, door, tmp_path):
    def cell(last):
        return (
            f"%%fastreq shop --progress none --max-retries 0 --journal {tmp_path}/two.db\n# @name first\nPOST {{{{base}}}}/login\n"
            "###\n# @name second\nPOST {{base}}/login\nX-Key: {{first.data.token}}\n"
            f"###\n{{{{base}}}}/{last}\nX-Key: {{{{second.data.token}}}}\n"
        )

    assert rerun(shell, door, cell("a")) == (["GET /a", "POST /login", "POST /login"], [True] * 3)
    assert rerun(shell, door, cell("a")) == ([], [True] * 3)
    assert rerun(shell, door, cell("b")) == (["GET /b", "POST /login", "POST /login"], [True] * 3)


@pytest.mark.parametrize("reason", ["an iterator", "more than is looked at"])
def test_a_journal_asks_for_logins_where_nobody_can_tell_whether_they_are_needed(shell, door, tmp_path, monkeypatch, reason):
    rows = (row for row in range(3)) if reason == "an iterator" else [0, 1, 2]
    shell.user_ns["rows"] = rows
    cell = (
        CHAINED.replace("shop ", f"shop --journal {tmp_path}/shop.db --each n=rows ", 1)
        .replace("/a\n", "/a/{{n}}\n")
        .replace("/b\n", "/b/{{n}}\n")
    )
    cell = cell.replace("/login\n", "/login\nX-Row: {{n}}\n")
    monkeypatch.setattr("fastreq_jupyter.journal.journal.LOOKED_AHEAD", 3)
    door.same = True
    sent, ok = rerun(shell, door, cell)
    assert (len(sent), all(ok)) == (9, True)
    shell.user_ns["rows"] = (row for row in range(3)) if reason == "an iterator" else [0, 1, 2]
    sent, ok = rerun(shell, door, cell)
    assert (len(ok), all(ok), [line for line in sent if "login" not in line]) == (9, True, [])
    assert len(sent) == (3 if reason == "an iterator" else 1)


def test_what_was_skipped_is_made_of_the_answer_that_came_at_last(shell, door):
    door.closed = 1
    shell.run_cell(CHAINED).raise_error()
    assert shell.user_ns["shop"]["error"].tolist() == ["http 401", "skipped", "skipped"]
    assert shell.user_ns["shop"].fastreq.retry_failed()["ok"].all()
    assert door.seen[-2:] in (["GET /a", "GET /b"], ["GET /b", "GET /a"])


def test_a_row_that_came_to_no_request_is_not_sent(door):
    frame = pd.DataFrame({"id": [1.0, float("nan")]}).fastreq.get(door.url + "/{{id}}", auth=door.token, **QUIET)
    assert frame["error"].tolist()[1] == "invalid value"
    assert frame.fastreq.retry_failed()["error"].tolist()[1] == "invalid value"
    assert door.seen == ["GET /1"]


def test_of_a_filtered_frame_only_its_rows_are_sent(door):
    frame = fastreq([f"{door.url}/{n}" for n in range(6)], **QUIET)
    door.seen.clear()
    again = frame[frame.index.isin([1, 4])].fastreq.retry_failed(auth=door.token)
    assert sorted(door.seen) == ["GET /1", "GET /4"]
    assert (again.index.tolist(), again["ok"].tolist()) == ([1, 4], [True, True])
    assert last_run().df["ok"].tolist() == [False, True, False, False, True, False]


@pytest.mark.parametrize("expand", [None, True], ids=["by url", "by time"])
def test_a_frame_with_labels_of_its_own_is_not_taken_for_other_rows(door, expand):
    frame = fastreq([f"{door.url}/{n}" for n in range(6)], expand=expand, **QUIET)
    with pytest.raises(UsageError, match="cannot tell which requests"):
        frame.tail(2).reset_index(drop=True).fastreq.retry_failed()
    assert len(door.seen) == 6


def test_options_say_how_to_send(door):
    frame = fastreq([f"{door.url}/{n}" for n in range(2)], **QUIET)
    again = frame.fastreq.retry_failed(columns="all", timeout=7, backend="aiohttp")
    assert "method" in again
    assert (last_run().options.timeout, last_run().options.backend) == (7.0, "aiohttp")


@pytest.mark.parametrize(
    ("options", "words"),
    [({"method": "POST"}, "method is not possible here"), ({"timeout": 0}, "timeout"), ({"timeoutt": 3}, "timeout"), ({"auth": 7}, "auth")],
)
def test_what_would_make_other_requests_is_refused_in_one_line(door, options, words):
    frame = fastreq([f"{door.url}/1"], **QUIET)
    with pytest.raises(OptionError, match=words) as caught:
        frame.fastreq.retry_failed(**options)
    assert "\n" not in str(caught.value)
    assert len(door.seen) == 1
