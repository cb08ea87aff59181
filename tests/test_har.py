"""HAR 1.2: a run as an archive that others read, and what a browser recorded as a cell."""

from __future__ import annotations

import gzip
import json
import re
from datetime import datetime
from pathlib import Path

import pytest
from haralyzer import HarParser
from hypothesis import given, settings
from hypothesis import strategies as st
from serving.transfers import Served, TransferServer

from fastreq_jupyter import Request, UsageError, fastreq
from fastreq_jupyter.cell import build, read_har, to_http
from fastreq_jupyter.cell import har as reading
from fastreq_jupyter.options import Options

SECRETS = ("correct-horse-battery", "hunter22222", "sessionsessions", "querysecret1")
TEXT, NUMBER, LIST, OBJECT = str, (int, float), list, dict
# The fields that HAR 1.2 requires, and their types.
ENTRY = {"startedDateTime": TEXT, "time": NUMBER, "request": OBJECT, "response": OBJECT, "cache": OBJECT, "timings": OBJECT}
MESSAGE = {"httpVersion": TEXT, "cookies": LIST, "headers": LIST, "headersSize": NUMBER, "bodySize": NUMBER}
REQUEST = {**MESSAGE, "method": TEXT, "url": TEXT, "queryString": LIST}
RESPONSE = {**MESSAGE, "status": int, "statusText": TEXT, "content": OBJECT, "redirectURL": TEXT}
CONTENT = {"size": NUMBER, "mimeType": TEXT}
POST_DATA = {"mimeType": TEXT, "params": LIST, "text": TEXT}
NAMED = {"name": TEXT, "value": TEXT}
PHASES = ("blocked", "dns", "connect", "ssl", "send", "wait", "receive")


def has(record, fields):
    for name, kind in fields.items():
        assert isinstance(record[name], kind), name


def valid(entry):
    """Hold an entry against HAR 1.2."""
    has(entry, ENTRY)
    has(entry["request"], REQUEST)
    has(entry["response"], RESPONSE)
    has(entry["response"]["content"], CONTENT)
    for message in (entry["request"], entry["response"]):
        for record in (*message["headers"], *message["cookies"], *message.get("queryString", [])):
            has(record, NAMED)
    if "postData" in entry["request"]:
        has(entry["request"]["postData"], POST_DATA)
    assert datetime.fromisoformat(entry["startedDateTime"]).tzinfo is not None
    timings = entry["timings"]
    assert all(isinstance(timings[name], NUMBER) and (timings[name] >= 0 or timings[name] == -1) for name in PHASES)
    assert all(timings[name] >= 0 for name in ("send", "wait", "receive"))
    assert entry["time"] == pytest.approx(sum(max(0, timings[name]) for name in PHASES if name != "ssl"), abs=0.01)
    assert timings["ssl"] <= max(timings["connect"], 0)


@pytest.fixture
def server():
    with TransferServer() as running:
        yield running


def archive(frame, directory):
    path = frame.fastreq.save(directory / "run.har")
    return json.loads(path.read_text(encoding="utf-8"))["log"], path


# haralyzer asks so, through a library of its own.
@pytest.mark.filterwarnings("ignore:'asyncio.iscoroutinefunction' is deprecated:DeprecationWarning")
def test_an_archive_has_an_entry_for_each_attempt_and_hop(server, backend, tmp_path):
    server.files["a"] = Served(b"abc")
    requests = [
        Request("PUT", f"{server.url}/busy/x", data=b"1"),
        Request("PUT", f"{server.url}/again/y", data=b"2"),
        Request("GET", f"{server.url}/files/a?q=1&q=2"),
        "http://127.0.0.1:9/",
        "no url",
    ]
    log, path = archive(fastreq(requests, backend=backend, max_retries=1), tmp_path)
    for entry in log["entries"]:
        valid(entry)
    seen = sorted((entry["request"]["url"].removeprefix(server.url), entry["response"]["status"]) for entry in log["entries"])
    assert seen == [
        ("/again/y", 307), ("/busy/x", 200), ("/busy/x", 503), ("/files/a?q=1&q=2", 200), ("/y", 200),
        ("http://127.0.0.1:9/", 0), ("http://127.0.0.1:9/", 0),
    ]  # fmt: skip
    assert log["version"] == "1.2"
    starts = [datetime.fromisoformat(entry["startedDateTime"]) for entry in log["entries"]]
    assert starts == sorted(starts)
    parser = HarParser.from_file(path)
    assert [entry.status for page in parser.pages for entry in page.entries if entry.url.endswith("q=2")] == [200]


def test_what_an_entry_says_is_what_was_sent_and_came(server, tmp_path):
    server.files["a"] = Served(b"\0\1", {"Content-Type": "application/x-thing"})
    log, _ = archive(
        fastreq([f"{server.url}/files/a?q=%C3%BC", Request("POST", f"{server.url}/p", json={"a": "ü"})], columns="all"), tmp_path
    )
    read, sent = sorted(log["entries"], key=lambda entry: entry["request"]["method"])
    assert read["request"]["queryString"] == [{"name": "q", "value": "ü"}]
    assert {header["name"] for header in read["request"]["headers"]} >= {"User-Agent", "Accept"}
    content = read["response"]["content"]
    assert (content["size"], content["mimeType"], content["text"], content["encoding"]) == (2, "application/x-thing", "AAE=", "base64")
    assert sent["request"]["postData"] == {"mimeType": "application/json", "params": [], "text": '{"a": "ü"}'}
    assert json.loads(sent["response"]["content"]["text"])["method"] == "POST"


def test_the_size_of_a_body_is_that_on_the_wire(server, tmp_path):
    packed = gzip.compress(bytes(3000))
    server.files |= {"plain": Served(bytes(3000)), "packed": Served(packed, {"Content-Encoding": "gzip"})}
    log, _ = archive(fastreq([f"{server.url}/files/{name}" for name in ("plain", "packed")]), tmp_path)
    sizes = {entry["request"]["url"][-6:]: entry["response"] for entry in log["entries"]}
    assert {name: (response["bodySize"], response["content"]["size"]) for name, response in sizes.items()} == {
        "/plain": (3000, 3000),
        "packed": (len(packed), 3000),
    }


def test_a_phase_nobody_saw_is_minus_one(tmp_path):
    log, _ = archive(fastreq(["http://127.0.0.1:9/"], max_retries=0), tmp_path)
    (entry,) = log["entries"]
    assert [entry["timings"][name] for name in ("dns", "connect", "send", "wait", "receive")] == [-1, -1, 0, 0, 0]
    assert entry["_error"].startswith("connect: ")


def test_no_secret_is_in_an_archive(server, tmp_path):
    request = Request(
        "POST", f"{server.url}/p?api_key={SECRETS[3]}", json={"password": SECRETS[1], "note": "plain"},
        headers={"Authorization": f"Bearer {SECRETS[0]}", "Cookie": f"sid={SECRETS[2]}; other=1"},
    )  # fmt: skip
    _, path = archive(fastreq([request]), tmp_path)
    text = path.read_text(encoding="utf-8")
    assert not [secret for secret in SECRETS if secret in text]
    assert "plain" in text
    # The server says back what it was sent: bodies stay JSON.
    assert json.loads(json.loads(text)["log"]["entries"][0]["response"]["content"]["text"])["head"]["authorization"] == "***"


def test_a_binary_body_that_holds_a_secret_is_left_out(server, tmp_path):
    server.files["a"] = Served(b"\0" + SECRETS[0].encode(), {"Content-Type": "application/x-thing"})
    log, _ = archive(fastreq([Request("GET", f"{server.url}/files/a", headers={"Authorization": f"Bearer {SECRETS[0]}"})]), tmp_path)
    assert log["entries"][0]["response"]["content"]["comment"] == "left out: it holds a secret"


def test_a_part_of_a_frame_gives_its_own_entries(server, tmp_path):
    server.files |= {"a": Served(b"a"), "b": Served(b"b")}
    frame = fastreq([f"{server.url}/files/{name}" for name in "ab"])
    log, _ = archive(frame[1:], tmp_path)
    assert [entry["request"]["url"] for entry in log["entries"]] == [f"{server.url}/files/b"]


def entry_of(url="https://h/api", *, method="GET", kind="fetch", headers=(), **more):
    request = {"method": method, "url": url, "headers": [{"name": name, "value": value} for name, value in headers], **more}
    entry = {"request": request, "response": {"status": 200, "headers": [], "content": {"mimeType": "application/json"}}}
    return entry if kind is None else {**entry, "_resourceType": kind}


def recorded(tmp_path, *entries, pattern=None, before=""):
    path = tmp_path / "x.har"
    path.write_text(f'{{{before}"log": {{"version": "1.2", "pages": [], "entries": {json.dumps(entries)}}}}}', encoding="utf-8")
    return read_har(path, pattern)


def test_xhr_and_fetch_become_requests_and_nothing_else(tmp_path):
    found = recorded(
        tmp_path,
        *[entry_of(f"https://h/{kind}", kind=kind) for kind in ("document", "xhr", "image", "fetch", "script", "preflight")],
        entry_of("wss://h/socket", kind="fetch"),
        entry_of("https://h/fetch", kind="fetch"),
        entry_of("https://h/fetch", kind="fetch", method="OPTIONS"),
    )
    assert [request.url for request in found.requests] == ["https://h/xhr", "https://h/fetch"]
    assert (found.entries, found.equal) == (9, 1)


def test_where_the_browser_does_not_say_the_request_or_the_type_tells(tmp_path):
    page = entry_of("https://h/page", kind=None, headers=[("Sec-Fetch-Dest", "document")])
    call = entry_of("https://h/call", kind=None, headers=[("Sec-Fetch-Dest", "empty")])
    typed, picture = entry_of("https://h/typed", kind=None), entry_of("https://h/picture", kind=None)
    picture["response"]["content"]["mimeType"] = "image/png"
    assert [request.url for request in recorded(tmp_path, page, call, typed, picture).requests] == ["https://h/call", "https://h/typed"]


def test_what_the_client_makes_itself_is_left_out_and_the_rest_stays(tmp_path):
    headers = [(":authority", "h"), ("host", "h"), ("content-length", "3"), ("sec-ch-ua", "x"), ("accept", "*/*"), ("x-page", "1")]
    post = {"mimeType": "application/json", "text": '{"a":1}'}
    form = {"mimeType": "application/x-www-form-urlencoded", "params": [{"name": "a b", "value": "ü"}]}
    first, second = recorded(
        tmp_path, entry_of(method="POST", headers=headers, postData=post), entry_of("https://h/form#x", method="POST", postData=form)
    ).requests
    assert first.headers == (("accept", "*/*"), ("x-page", "1"))
    assert (first.content, second.content, second.url) == (b'{"a":1}', b"a+b=%C3%BC", "https://h/form")


@pytest.mark.parametrize(("pattern", "urls"), [("api", ["https://h/api/1"]), ("*/other?x=*", ["https://h/other?x=1"]), ("nothing", [])])
def test_a_pattern_chooses_by_the_url(tmp_path, pattern, urls):
    found = recorded(tmp_path, entry_of("https://h/api/1"), entry_of("https://h/other?x=1"), pattern=pattern)
    assert [request.url for request in found.requests] == urls


def test_the_cell_has_no_secret_and_reads_as_the_requests(tmp_path):
    headers = [("cookie", f"sid={SECRETS[2]}"), ("authorization", f"Bearer {SECRETS[0]}")]
    found = recorded(
        tmp_path, entry_of(headers=headers), entry_of("https://h/[1-2]/{x}?q={{y}}", method="POST", postData={"text": "a\n\n### b"})
    )
    text = to_http(found.requests)
    assert not [secret for secret in SECRETS if secret in text]
    assert not found.sanitized
    (second,) = [item for item in build(text.partition("###\n")[2], options=Options()).items if isinstance(item, Request)]
    assert (second.url, second.content) == (found.requests[1].url, b"a\n\n### b")


@pytest.mark.parametrize(("headers", "sanitized"), [([], True), ([("Cookie", "***")], True), ([("cookie", "a=b")], False)])
def test_an_archive_without_credentials_is_told(tmp_path, headers, sanitized):
    assert recorded(tmp_path, entry_of(headers=headers)).sanitized is sanitized


def test_what_was_saved_can_be_read_again(server, tmp_path):
    frame = fastreq([Request("POST", f"{server.url}/p", json={"a": 1})])
    _, path = archive(frame, tmp_path)
    (request,) = read_har(path).requests
    assert (request.method, request.url, request.content) == ("POST", f"{server.url}/p", b'{"a": 1}')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no HTTP Archive"), ("{}", "no HTTP Archive"), ('{"log": {"entries": [{"a": 1}, {"b"', "cut, or is no JSON"),
        ('{"entries": [}', "cut, or is no JSON"), ("\0" * 100, "no HTTP Archive"), ('{"entries": [' + "[" * 100_000, "cut, or is no JSON"),
    ],
)  # fmt: skip
def test_what_is_no_archive_is_told_in_one_line(tmp_path, text, words):
    path = tmp_path / "x.har"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=words) as refused:
        read_har(path)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_har(tmp_path / "none.har")


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.sampled_from(["request", "response", "method", "url", "headers", "name", "value", "postData", "text", "content", "cookies"]), inner, max_size=4,
), max_leaves=12))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_odd_entries_cost_nothing(tmp_path_factory, value):
    path = Path(tmp_path_factory.getbasetemp()) / "odd.har"
    path.write_text(json.dumps({"log": {"entries": [value, {"request": value, "response": value}, entry_of()]}}))
    assert read_har(path).requests


def test_an_archive_is_read_entry_by_entry(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_STEP", 7)
    entries = [entry_of(f"https://h/{number}", postData={"text": ']},{"entries": [' * number}) for number in range(9)]
    found = recorded(tmp_path, *entries, before='"creator": "\\"entries\\": [", ')
    assert [request.url[-1] for request in found.requests] == list("012345678")
    monkeypatch.setattr(reading, "LARGEST_ENTRY", 30)
    with pytest.raises(UsageError, match="an entry is no JSON, or longer than"):
        recorded(tmp_path, *entries)


@pytest.mark.parametrize("line", ["har {path}", "har {path} api"])
def test_the_magic_puts_a_cell(tmp_path, line, ipython, capsys):
    recorded(tmp_path, entry_of(headers=[("x-api-key", "k" * 20)]), entry_of("https://h/other/api"))
    put = []
    ipython.set_next_input = put.append
    ipython.run_line_magic("fastreq", line.format(path=tmp_path / "x.har"))
    assert re.match(r"%%fastreq answers\nGET https://h/api\nx-api-key: \{\{\$env API_KEY\}\}\n", put[0])
    said = capsys.readouterr().out
    assert (
        "2 requests of 2 entries; secrets are read from the environment: set API_KEY; the file has no cookies and no Authorization" in said
    )
