"""What good and bad answers come to on each backend: files, refusals in bodies, hosts with a dot, no descriptor left."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from faultserver import scripts
from faultserver.certificates import ca_file
from faultserver.proxies import ProxyLog, http_proxy
from faultserver.scripts import each, raw, reply, whole

from fastreq_jupyter import OptionError, PartialFailureError, Request, fastreq, fastreq_async

CSV = b"a;b\n1;2\n"
IS_JSON = ("Content-Type", "application/json")
QUIET = {"progress": "none", "proxy": "none"}


async def run(urls, **options):
    return await fastreq_async(urls, **{**QUIET, **options})


def says(status, body=b"", *fields):
    return raw(whole(status, body, *fields), keep=True)


def notes(frame):
    return frame.attrs["fastreq"]["summary"]["notes"]


# Nothing that was answered 2xx is sent again


async def test_an_empty_created_is_good_and_never_sent_again(faultserver, backend):
    door = faultserver.open(says(201, b"", IS_JSON))
    frame = await run([door.url(f"/orders/{i}") for i in range(3)], method="POST", json={"n": 1}, backend=backend)
    assert (frame["status"].tolist(), frame["ok"].tolist(), frame["data"].tolist()) == ([201] * 3, [True] * 3, [None] * 3)
    assert len(frame.fastreq.retry_failed()) == 3
    assert len(door.arrivals) == 3


# Files


@pytest.mark.parametrize(
    ("name", "kind"),
    [("synop.csv.gz", "application/x-gzip"), ("synop.csv.gz", "text/csv"), ("synop.TGZ", "text/plain"), ("synop", "application/gzip")],
)
async def test_a_compressed_file_stays_as_it_is(faultserver, backend, tmp_path, name, kind):
    packed = gzip.compress(CSV, mtime=0)
    door = faultserver.open(says(200, packed, ("Content-Type", kind), ("Content-Encoding", "gzip")))
    frame = await run([door.url(f"/{name}")], save_to=tmp_path, columns="all", backend=backend)
    assert Path(frame["data"][0]).read_bytes() == packed
    assert frame["size_bytes"][0] == len(packed)


async def test_a_compressed_file_that_the_server_compressed_again_is_unpacked_once(faultserver, backend, tmp_path):
    packed = gzip.compress(CSV, mtime=0)
    door = faultserver.open(says(200, gzip.compress(packed, mtime=0), ("Content-Type", "application/gzip"), ("Content-Encoding", "gzip")))
    assert Path((await run([door.url("/synop.csv.gz")], save_to=tmp_path, backend=backend))["data"][0]).read_bytes() == packed


async def test_a_file_that_is_not_compressed_itself_is_unpacked(faultserver, backend, tmp_path):
    door = faultserver.open(says(200, gzip.compress(CSV), ("Content-Type", "text/csv"), ("Content-Encoding", "gzip")))
    assert Path((await run([door.url("/synop.csv")], save_to=tmp_path, backend=backend))["data"][0]).read_bytes() == CSV


async def test_a_compressed_file_that_breaks_off_is_no_file(faultserver, backend, tmp_path):
    packed = gzip.compress(CSV)
    cut = scripts.head(200, ("Content-Length", str(len(packed))), ("Content-Encoding", "gzip")) + packed[:-3]
    frame = await run([faultserver.open(raw(cut)).url("/synop.csv.gz")], save_to=tmp_path, backend=backend, max_retries=0)
    assert frame["error"][0] in ("protocol", "connect")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "body", "error", "data"),
    [
        (201, b'{"id": 1}', None, {"id": 1}), (202, b"", "http 202", None), (202, b'{"job": 7}', "http 202", {"job": 7}), (204, b"", None, None),
        (205, b"", None, None), (206, b'{"a": 1}', "http 206", {"a": 1}), (207, b"[]", None, []),
    ],
)  # fmt: skip
async def test_only_what_was_asked_for_becomes_a_file(faultserver, tmp_path, status, body, error, data):  # noqa: PLR0917 - fixtures
    door = faultserver.open(says(status, body, IS_JSON))
    frame = await run([door.url("/x.zip")], save_to=tmp_path, skip_existing=True, backend="aiohttp")
    assert (frame["status"][0], frame["data"][0]) == (status, data)
    assert frame["ok"][0] if error is None else frame["error"][0] == error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [200, 203])
async def test_what_was_asked_for_becomes_a_file(faultserver, tmp_path, status):
    door = faultserver.open(says(status, b"PK", ("Content-Type", "application/zip")))
    assert Path((await run([door.url("/x.zip")], save_to=tmp_path, backend="aiohttp"))["data"][0]).read_bytes() == b"PK"


async def test_a_part_that_was_asked_for_becomes_a_file(faultserver, tmp_path):
    door = faultserver.open(says(206, b"part", ("Content-Range", "bytes 0-3/9")))
    frame = await run([door.url("/x.zip")], save_to=tmp_path, headers={"Range": "bytes=0-3"}, backend="aiohttp")
    assert Path(frame["data"][0]).read_bytes() == b"part"


async def test_what_is_accepted_is_asked_for_again_until_it_is_there(faultserver, tmp_path):
    door = faultserver.open(each(says(202), says(202), says(200, b"PK")))
    options = {"save_to": tmp_path, "skip_existing": True, "journal": tmp_path / "runs.db", "backend": "aiohttp"}
    errors = [(await run([door.url("/x.zip")], **options))["error"].tolist() for _ in range(3)]
    assert [str(error[0]) for error in errors] == ["http 202", "http 202", "<NA>"]
    assert (tmp_path / "x.zip").read_bytes() == b"PK"


# Notes


async def test_a_guess_at_a_body_is_told_once_with_its_count(faultserver):
    door = faultserver.open(says(200, "Müller".encode("cp1252"), ("Content-Type", "text/csv"), ("Content-Encoding", "none")))
    frame = await run([door.url(f"/{i}") for i in range(3)], backend="aiohttp")
    assert frame["data"].tolist() == ["Müller"] * 3
    assert [line for line in notes(frame) if line.startswith("3 bodies ")] == [
        "3 bodies with the unknown Content-Encoding 'none', kept as they came",
        "3 bodies read as windows-1252: they are not UTF-8, and no charset that is named fits",
    ]


# Refusals in bodies


async def test_a_good_answer_whose_body_says_that_it_failed_is_an_error(faultserver, backend):
    door = faultserver.open(says(200, b'{"error": {"code": 7, "message": "quota"}}', ("Content-Type", "text/plain")))
    frame = await run([door.url()], fail_when="error", backend=backend)
    assert (frame["status"][0], frame["error"][0], frame["attempts"][0]) == (200, "body", 1)
    assert frame["error_detail"][0] == 'fail_when: {"code": 7, "message": "quota"}'
    assert frame["data"][0] == {"error": {"code": 7, "message": "quota"}}


@pytest.mark.parametrize(
    "body", [b"{}", b'{"error": null}', b'{"error": 0}', b'{"error": ""}', b'{"error": []}', b'{"error": false}', b"", b"[1]"]
)
async def test_a_body_in_which_nothing_is_found_is_good(faultserver, body):
    door = faultserver.open(says(200, body, IS_JSON))
    assert (await run([door.url()], fail_when="error", retry_when="error", backend="aiohttp"))["ok"][0]


async def test_a_body_that_asks_for_another_try_gets_it(faultserver, backend):
    door = faultserver.open(each(says(200, b'{"state": "busy"}', IS_JSON), says(200, b'{"state": "done"}', IS_JSON)))
    frame = await run([door.url()], retry_when="state == 'busy'", backend=backend)
    assert (frame["data"][0], frame["attempts"][0]) == ({"state": "done"}, 2)


async def test_a_body_that_asks_for_another_try_for_ever_ends_as_an_error(faultserver):
    door = faultserver.open(says(200, b'{"state": "busy"}', IS_JSON))
    frame = await run([door.url()], retry_when="state == 'busy'", max_retries=1, backend="aiohttp")
    assert (frame["error"][0], frame["error_detail"][0], len(door.arrivals)) == ("body", "retry_when: state == 'busy'", 2)


async def test_a_post_is_not_sent_again_for_what_its_answer_says(faultserver):
    door = faultserver.open(says(200, b'{"state": "busy"}', IS_JSON))
    frame = await run([Request("POST", door.url(), json={})], retry_when="state == 'busy'", backend="aiohttp")
    assert (frame["error"][0], len(door.arrivals)) == ("body", 1)


async def test_the_wait_that_such_an_answer_asks_for_is_kept(faultserver):
    door = faultserver.open(says(200, b'{"busy": true}', IS_JSON, ("Retry-After", "900")))
    frame = await run([door.url()], retry_when="busy", backend="aiohttp")
    assert (frame["error"][0], len(door.arrivals)) == ("body", 1)
    assert "900 s" in frame["error_detail"][0]


@pytest.mark.parametrize("return_type", ["json", "text", "content", "response"])
async def test_lists_fail_by_their_bodies_too(faultserver, return_type):
    door = faultserver.open(says(200, b'{"error": "no"}', ("Content-Type", "text/html")))
    values = await run([door.url()], fail_when="error", return_type=return_type, return_none_on_failure=True, backend="aiohttp")
    assert values == [None]


async def test_what_is_found_does_not_say_our_secrets_back(faultserver):
    door = faultserver.open(says(200, b'{"error": "sesame-open-123 has expired"}', IS_JSON))
    frame = await run([door.url()], fail_when="error", auth="sesame-open-123", backend="aiohttp")
    assert frame["error_detail"][0] == "fail_when: *** has expired"


async def test_what_is_kept_in_a_journal_is_looked_into_again(faultserver, tmp_path):
    door = faultserver.open(says(200, b'{"error": "no"}', IS_JSON))
    options = {"journal": tmp_path / "runs.db", "backend": "aiohttp"}
    assert (await run([door.url()], **options))["ok"][0]
    assert (await run([door.url()], fail_when="error", **options))["error"][0] == "body"
    assert (await run([door.url()], **options))["ok"][0]
    assert len(door.arrivals) == 1


async def test_a_body_that_is_no_json_is_told(faultserver):
    door = faultserver.open(says(200, b"<p>fine", ("Content-Type", "text/html")))
    frame = await run([door.url()], fail_when="error", backend="aiohttp")
    assert frame["ok"][0]
    assert notes(frame) == ["1 body without JSON for fail_when to look into"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fail_when": "a["}, "fail_when"), ({"retry_when": "$.a"}, "retry_when"), ({"fail_when": ""}, "fail_when"), ({"parse": "yaml"}, "parse"),
        ({"parse": "csv", "return_type": "text"}, "parse"), ({"parse": "text", "return_type": "json"}, "parse"),
        ({"fail_when": "a", "save_to": "x"}, "save_to"), ({"retry_when": "a", "save_to": "x"}, "save_to"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_in_one_line_before_anything_is_sent(faultserver, options, words):
    door = faultserver.open(reply(200))
    with pytest.raises(OptionError) as caught:
        fastreq([door.url()], **{**options, "progress": "none"})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not door.arrivals


async def test_bodies_are_read_as_the_option_says(faultserver):
    door = faultserver.open(says(200, b"id,title\n1,Ada\n2,Bob\n", ("Content-Type", "text/plain")))
    frame = await run([door.url()], parse="csv", select="@", expand=True, backend="aiohttp")
    assert frame[["id", "title"]].to_dict("list") == {"id": [1, 2], "title": ["Ada", "Bob"]}


async def test_a_body_is_read_once(faultserver):
    door = faultserver.open(says(200, b'"5"', ("Content-Type", "text/plain")))
    frame = await run([door.url()], select="@", backend="aiohttp")
    assert frame["data"].tolist() == ["5"]
    assert frame.fastreq.expand(select="@")["data"].tolist() == ["5"]


LINES = b"".join(b'{"id": %d}\n' % i for i in range(20_000))
RECORDS = b"id,title\n" + b"".join(b"%d,a title of some length\n" % i for i in range(20_000))
ELEMENTS = b"<a>" + b"".join(b"<b><id>%d</id></b>" % i for i in range(20_000)) + b"</a>"


@pytest.mark.parametrize(
    ("body", "kind", "options", "select"),
    [
        (LINES, "application/x-ndjson", {}, "[].id"),
        (RECORDS, "text/csv", {"parse": "csv"}, "[].id"),
        (ELEMENTS, "text/xml", {"parse": "xml"}, "a.b[].id"),
    ],
)
async def test_the_loop_goes_on_while_a_large_body_is_read(  # noqa: PLR0917 - fixtures and what it is tried with
    faultserver, monkeypatch, body, kind, options, select
):
    door = faultserver.open(says(200, body, ("Content-Type", kind)))
    loop = asyncio.get_running_loop()
    threads = []
    submit = loop.run_in_executor
    monkeypatch.setattr(loop, "run_in_executor", lambda *given: threads.append(given) or submit(*given))
    frame = await run([door.url()], select=select, backend="aiohttp", **options)
    assert (len(frame), int(frame["data"].iloc[-1])) == (20_000, 19_999)
    assert len(threads) >= 1


# The reason that an API gives


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"type": "about:blank", "title": "Out of credit", "detail": "Your balance is 30"}, "Out of credit: Your balance is 30"),
        ({"message": "no such sku"}, "no such sku"),
        ({"error": "invalid_grant", "error_description": "the code is used"}, "invalid_grant: the code is used"),
        ({"error": {"code": 7, "message": "quota"}}, "quota"),
        ({"errors": [{"message": "first"}, {"message": "second"}]}, "first"),
        ({"errors": ["plain"]}, "plain"),
        ({"detail": [{"loc": ["body", "n"], "msg": "Input should be a valid integer"}]}, "Input should be a valid integer"),
        ({"message": "a\x1b[31m\nb"}, "a b"),
        ({"message": "long " * 200 + "end"}, None),
        ({"message": ""}, "Not Found"),
        ({"error": True, "errors": []}, "Not Found"),
        (["message"], "Not Found"),
    ],
)
@pytest.mark.parametrize("return_type", ["dataframe", "text"])
async def test_what_an_api_says_of_a_refusal_is_its_detail_at_each_door(faultserver, body, reason, return_type):
    door = faultserver.open(says(404, json.dumps(body).encode(), ("Content-Type", "application/problem+json")))
    with pytest.raises(PartialFailureError) as caught:
        await run([door.url()], backend="aiohttp", return_type=return_type, check=True)
    row = caught.value.failures[0]
    assert row.error == "http 404"
    if reason is None:
        assert row.error_detail.startswith("long long ")
    else:
        assert row.error_detail == reason
    assert row.attempts[-1].error_detail == row.error_detail == caught.value.df["error_detail"][0]


async def test_a_wait_that_is_too_long_is_told_behind_a_long_reason(faultserver):
    door = faultserver.open(says(503, b'{"message": "%s"}' % (b"long " * 200), IS_JSON, ("Retry-After", "900")))
    assert "900 s" in (await run([door.url()], backend="aiohttp"))["error_detail"][0]


async def test_the_reason_of_an_api_does_not_say_our_secrets_back(faultserver):
    said = "x" * 290 + " sesame-open-123 has expired"
    door = faultserver.open(says(401, json.dumps({"message": said}).encode(), IS_JSON))
    detail = (await run([door.url()], auth="sesame-open-123", backend="aiohttp"))["error_detail"][0]
    assert detail.startswith("xxx")
    assert "sesame" not in detail


async def test_the_reason_of_a_body_that_is_hidden_is_not_told(faultserver):
    door = faultserver.open(says(401, b'{"message": "hunter2 is wrong"}', IS_JSON))
    frame = await run([Request("POST", door.url(), hide_data=True)], backend="aiohttp")
    assert frame["error_detail"][0] == "Unauthorized"


# Proxies of the environment


@pytest.mark.parametrize(
    "value",
    [
        "http://me:pass#word1@127.0.0.1:3128",
        "http://me:1/2@127.0.0.1:3128",
        "http://me:1?2@127.0.0.1:3128",
        "http://[",
        "socks9://h:1",
        "http://h:1/pac",
    ],
)
async def test_a_proxy_variable_that_cannot_be_read_is_one_line_that_names_it_tried_once(monkeypatch, backend, value):
    monkeypatch.setenv("http_proxy", value)
    frame = await run(["http://example.test/"], proxy="env", backend=backend)
    assert (frame["error"][0], frame["attempts"][0]) == ("proxy", 1)
    assert frame["error_detail"][0].startswith("http_proxy is no proxy URL: ")
    assert "word1" not in frame["error_detail"][0]


# A dot at a host's end: one and the same host


async def test_the_dot_at_a_hosts_end_is_no_part_of_its_name_for_tls(faultserver, backend):
    log = ProxyLog()
    proxy, door = faultserver.open(raw=http_proxy(log)), faultserver.open(reply(200, b"ok"), tls="good")
    url = f"https://localhost.:{door.port}/"
    frame = await run([url], proxy=proxy.origin(), verify_ssl=ca_file(), max_retries=0, backend=backend)
    assert (frame["error_detail"].fillna("").tolist(), frame["data"].tolist()) == ([""], ["ok"])
    assert door.arrivals[0].header("host") == f"localhost.:{door.port}"


# No file descriptor left

SCARCE = """
import json, resource, sys
from fastreq_jupyter import fastreq
port, backend = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
urls = [f"http://127.0.0.{host}:{port}/" for host in range(1, 255)]
frame = fastreq(urls, backend=backend, concurrency=200, max_retries=0, timeout=5, progress="none", proxy="none")
files = [open("/dev/null") for _ in range(20)]
print(json.dumps([len(frame), int(frame["ok"].sum()), sorted(frame["error"].dropna().unique())]))
"""


class Answering(BaseHTTPRequestHandler):
    """Answers on connections that stay open."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def port_of_many_hosts():
    with ThreadingHTTPServer(("0.0.0.0", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_running_out_of_descriptors_costs_rows_never_the_frame_or_the_next_cell(port_of_many_hosts, backend):
    command = [sys.executable, "-c", SCARCE, str(port_of_many_hosts), backend]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True, cwd=Path(__file__).parents[2])
    rows, good, errors = json.loads(done.stdout)
    assert rows == 254
    assert good > 0
    assert set(errors) <= {"connect", "timeout"}
