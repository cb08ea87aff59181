"""Jobs that take their time: who asks how often, and what a rerun sends, all counted at the server."""

import asyncio
import json
import subprocess
import sys
from collections import Counter

import pytest
from faultserver import scripts
from faultserver.measure import BACKENDS

from fastreq_jupyter import ApiKey, OptionError, Request, fastreq, fastreq_async, fastreq_stream, last_run, submit

QUIET = {"progress": "none", "proxy": "none", "timeout": 10}


class Jobs:
    """A server of jobs: POST /jobs begins one, GET /jobs/N is 202 `pending` times, then 200."""

    def __init__(self, faultserver, *, pending=2, header="Location", status=202, retry_after=None, result=None):
        self.pending, self.header, self.status, self.retry_after = pending, header, status, retry_after
        self.result = result or {"status": "succeeded", "value": 42}
        self.begun = 0
        self.looks = Counter()
        self.door = faultserver.open(self.answer)

    async def answer(self, call):
        if call.request.method == "POST":
            self.begun += 1
            place = f"/jobs/{self.begun}"
            await call.send(reply(self.status, {"status": "accepted"}, (self.header, place)))
            return
        path = call.request.path
        self.looks[path] += 1
        if self.looks[path] <= self.pending:
            more = () if self.retry_after is None else (("Retry-After", self.retry_after),)
            await call.send(reply(202, {"status": "running"}, *more))
            return
        await call.send(reply(200, self.result))


def reply(status, body, *fields):
    return scripts.whole(status, json.dumps(body).encode(), *fields, ("Content-Type", "application/json"))


def run(urls, **options):
    return asyncio.run(fastreq_async(urls, **{**QUIET, **options}))


def post(jobs, **more):
    return Request("POST", jobs.door.url("/jobs"), json={"n": 1}, **more)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_job_is_begun_once_and_looked_at_until_it_is_ready(faultserver, backend):
    jobs = Jobs(faultserver)
    frame = run([post(jobs)], until="ready", every=0.05, backend=backend, columns="all")
    assert (jobs.begun, jobs.looks["/jobs/1"]) == (1, 3)
    row = frame.iloc[0]
    assert (row["data"], row["status"], row["looks"], row["attempts"]) == ({"status": "succeeded", "value": 42}, 200, 4, 2)
    assert str(frame["looks"].dtype) == "Int32"
    assert row["final_url"].endswith("/jobs/1")
    assert row["elapsed_ms"] >= 150


@pytest.mark.parametrize(("header", "status"), [("Operation-Location", 201), ("Azure-AsyncOperation", 202), ("Operation-Location", 202)])
def test_every_way_to_name_the_place_is_followed(faultserver, header, status):
    jobs = Jobs(faultserver, header=header, status=status)
    assert run([post(jobs)], until="ready", every=0.05)["ok"].all()
    assert jobs.begun == 1


def test_an_expression_is_asked_of_the_same_url(faultserver):
    jobs = Jobs(faultserver)
    frame = run([jobs.door.url("/jobs/1"), jobs.door.url("/jobs/2")], until="status == 'succeeded'", every=0.05)
    assert list(frame["looks"]) == [3, 3]
    assert jobs.door.count() == 6


def test_a_job_that_failed_is_an_error_row_that_says_so(faultserver):
    jobs = Jobs(faultserver, result={"status": "Failed"})
    frame = run([post(jobs)], until="ready", every=0.05)
    assert (frame["error"][0], frame["error_detail"][0]) == ("body", "status: Failed")
    assert frame["data"][0] == {"status": "Failed"}


def test_fail_when_ends_the_waiting(faultserver):
    jobs = Jobs(faultserver, result={"state": "running", "fault": "disk full"})
    frame = run([jobs.door.url("/jobs/1")], until="state == 'done'", fail_when="fault", every=0.05)
    assert (frame["error"][0], jobs.looks["/jobs/1"]) == ("body", 3)


def test_patience_ends_with_the_last_body_kept(faultserver):
    jobs = Jobs(faultserver, pending=10**6)
    frame = run([post(jobs)], until="ready", every=0.05, patience=0.3)
    assert frame["error"][0] == "not ready"
    assert "the body's status is running" in frame["error_detail"][0]
    assert frame["data"][0] == {"status": "running"}
    assert frame["looks"][0] == 1 + jobs.looks["/jobs/1"]


def test_retry_after_goes_before_the_interval(faultserver):
    jobs = Jobs(faultserver, pending=1, retry_after="1")
    run([post(jobs)], until="ready", every=0.05)
    first, second = jobs.door.times("/jobs/1")
    assert second - first >= 1.0


def test_a_wait_the_server_asks_for_beyond_patience_ends_it_at_once(faultserver):
    jobs = Jobs(faultserver, pending=1, retry_after="300")
    frame = run([post(jobs)], until="ready", every=0.05, patience=5)
    assert (frame["error"][0], jobs.looks["/jobs/1"]) == ("not ready", 1)
    assert "300 s" in frame["error_detail"][0]


def test_a_post_that_names_no_place_is_not_sent_again(faultserver):
    door = faultserver.open(scripts.raw(reply(200, {"status": "running"}), keep=True))
    frame = run([Request("POST", door.url(), data="x")], until="ready", every=0.05)
    assert (frame["error"][0], door.count()) == ("not ready", 1)
    assert "POST is sent once" in frame["error_detail"][0]


def test_a_look_that_fails_is_tried_again_though_the_job_was_a_post(faultserver):
    jobs = Jobs(faultserver, pending=0)
    flaky = scripts.fail_then(1, scripts.reply(503, b"no"), jobs.answer)
    door = faultserver.open(lambda call: jobs.answer(call) if call.request.method == "POST" else flaky(call))
    jobs.door = door
    frame = run([post(jobs)], until="ready", every=0.05)
    assert frame["ok"].all()
    assert (door.count("POST"), door.count("GET"), frame["looks"][0]) == (1, 2, 2)


@pytest.mark.parametrize("auth", ["a-token-of-home", lambda: "a-token-of-home", ApiKey("X-Key", "a-key-of-home")])
def test_credentials_stay_with_their_origin_when_the_place_is_elsewhere(faultserver, auth):
    elsewhere = faultserver.open(scripts.raw(reply(200, {"status": "done"}), keep=True))
    home = faultserver.open(scripts.raw(reply(202, {}, ("Location", elsewhere.url("/op"))), keep=True))
    frame = run([Request("POST", home.url(), data="x")], until="ready", every=0.05, auth=auth)
    assert frame["ok"].all()
    assert "of-home" in str(home.arrivals[0].headers)
    assert "of-home" not in str(elsewhere.arrivals[0].headers)


def test_a_token_goes_with_each_look_at_home(faultserver):
    jobs = Jobs(faultserver)
    run([post(jobs)], until="ready", every=0.05, auth=lambda: "a-token")
    assert [arrival.header("authorization") for arrival in jobs.door.arrivals] == ["Bearer a-token"] * 4


def test_a_waiting_job_holds_no_slot(faultserver):
    jobs = Jobs(faultserver, pending=1)
    run([jobs.door.url(f"/jobs/{n}") for n in range(30)], until="ready", every=0.5, concurrency=1)
    order = [arrival.path for arrival in jobs.door.arrivals]
    # With one slot, and half a second until the second look, others are begun meanwhile.
    assert order[1] != order[0]
    assert len(order) == 60


def test_each_look_takes_a_token_of_the_rate_and_jobs_keep_the_slots(faultserver):
    jobs = Jobs(faultserver, pending=3)
    frame = run(
        [jobs.door.url(f"/jobs/{n}") for n in range(50)], until="ready", every=0.2, concurrency=5, rate_limit=60, rate_limit_burst=1
    )
    assert frame["ok"].all()
    times = sorted(jobs.door.times())
    assert len(times) == 200
    # No window of a second has more than rate and burst, one more for a request that took longer to arrive.
    assert max(sum(start <= at < start + 1 for at in times) for start in times) <= 60 + 1 + 1
    assert jobs.door.peak <= 5


def test_new_jobs_are_begun_while_looks_would_fill_the_rate(faultserver):
    jobs = Jobs(faultserver, pending=5)
    run([jobs.door.url(f"/jobs/{n}") for n in range(20)], until="ready", every=0.05, concurrency=2, rate_limit=100, rate_limit_burst=1)
    firsts = [at for at, arrival in enumerate(jobs.door.arrivals) if arrival.path == "/jobs/19"]
    # Half of the tokens at least are theirs.
    assert firsts[0] <= 45


def test_a_run_that_was_cancelled_goes_on_looking_when_it_is_tried_again(faultserver):
    jobs = Jobs(faultserver, pending=2)

    async def go():
        run = submit([post(jobs)], until="ready", every=30, proxy="none")
        while not run.progress.waiting:  # noqa: ASYNC110 - a run's progress is looked at, it tells nobody
            await asyncio.sleep(0.01)
        run.cancel()
        first = await run
        jobs.pending = 0
        return first, await run.retry_failed()

    first, again = asyncio.run(go())
    assert (first["error"][0], first["looks"][0]) == ("cancelled", 1)
    assert again["ok"].all()
    assert jobs.begun == 1


def test_a_rerun_with_the_journal_looks_on_and_begins_nothing(faultserver, tmp_path):
    jobs = Jobs(faultserver, pending=10**6)
    options = {"until": "ready", "every": 0.05, "journal": str(tmp_path / "runs.db")}
    canary = "a-very-secret-canary"
    request = Request("POST", jobs.door.url("/jobs"), json={"n": 1}, headers={"Authorization": f"Bearer {canary}"})
    for _ in range(2):
        assert run([request], patience=0.2, **options)["error"][0] == "not ready"
    jobs.pending = 0
    assert run([request], **options)["data"][0]["value"] == 42
    assert "1 job begun earlier" in " ".join(last_run().summary()["notes"])
    before = jobs.door.count()
    assert run([request], **options)["ok"].all()
    assert (jobs.begun, jobs.door.count()) == (1, before)
    assert not [path for path in tmp_path.iterdir() if canary.encode() in path.read_bytes()]


def test_a_status_url_with_our_own_secret_in_it_is_asked_again_and_not_stored(faultserver, tmp_path):
    canary = "a-very-secret-canary"
    jobs = Jobs(faultserver, pending=10**6)
    jobs.door.script = begin = scripts.raw(reply(202, {}, ("Location", f"/jobs/1?api_key={canary}")), keep=True)
    door = faultserver.open(lambda call: begin(call) if call.request.method == "POST" else jobs.answer(call))
    request = Request("POST", f"{door.url('/jobs')}?api_key={canary}", data="x")
    options = {"until": "ready", "every": 0.05, "journal": str(tmp_path / "runs.db")}
    run([request], patience=0.2, **options)
    assert not [path for path in tmp_path.iterdir() if canary.encode() in path.read_bytes()]
    jobs.pending = 0
    assert run([request], **options)["ok"].all()
    assert (door.count("POST"), door.arrivals[-1].target) == (1, f"/jobs/1?api_key={canary}")


KILLED = """
import sys
from fastreq_jupyter import Request, fastreq
requests = [Request("POST", sys.argv[1] + "/jobs", json={"n": n}) for n in range(20)]
frame = fastreq(requests, until="ready", every=0.05, journal=sys.argv[2], concurrency=4, progress="none", proxy="none")
print(frame["error"].fillna("ok").value_counts().to_dict())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_a_process_killed_while_it_waits_begins_no_job_twice(faultserver, tmp_path):
    jobs = Jobs(faultserver, pending=10**6)
    command = [sys.executable, "-c", KILLED, jobs.door.url(""), str(tmp_path / "runs.db")]
    # While jobs are begun, while they are waited for, and once more.
    for wanted in (7, 60, 30):
        before = jobs.door.count()
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert jobs.door.wait(lambda door, before=before, wanted=wanted: door.count() >= before + wanted)
        process.kill()
        process.communicate()
    jobs.pending = 0
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    begun = Counter(json.loads(arrival.body)["n"] for arrival in jobs.door.arrivals if arrival.method == "POST")
    assert set(begun.values()) == {1}
    counts = eval(said)
    assert sum(counts.values()) == 20
    # What was on its way when the first process died may have begun a job nobody knows of.
    assert set(counts) <= {"ok", "unknown"}
    assert counts.get("unknown", 0) <= 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"every": 2}, "every needs until"),
        ({"patience": 2}, "patience needs until"),
        ({"until": "status =="}, "until"),
        ({"until": "status", "save_to": "x"}, "until is not possible with save_to"),
        ({"until": "ready", "every": 0}, "every=0"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(options, words):
    with pytest.raises(OptionError, match=words):
        fastreq(["http://127.0.0.1:9/"], **options)


def test_a_stream_refuses_to_poll():
    async def go():
        async for _ in fastreq_stream(["http://127.0.0.1:9/"], until="ready"):
            pass

    with pytest.raises(OptionError, match="until is not possible here"):
        asyncio.run(go())


def test_the_dry_run_says_that_the_text_false_is_true():
    told = fastreq(["http://127.0.0.1:9/"], until="done", dry_run=True).attrs["fastreq"]["notes"]
    assert any('the text "false" is true' in note for note in told)
    assert not fastreq(["http://127.0.0.1:9/"], until="done == `true`", dry_run=True).attrs["fastreq"]["notes"]


def test_a_text_that_means_no_is_found_and_told(faultserver):
    door = faultserver.open(scripts.raw(reply(200, {"done": "false"}), keep=True))
    assert run([door.url()], until="done")["ok"].all()
    assert "which is true as every text" in " ".join(last_run().summary()["notes"])


def test_a_result_goes_to_its_file_once_the_job_is_ready(faultserver, tmp_path):
    jobs = Jobs(faultserver)
    frame = run([post(jobs)], until="ready", every=0.05, save_to=str(tmp_path / "{{index}}.json"))
    assert json.loads((tmp_path / "0.json").read_text())["value"] == 42
    assert frame["looks"][0] == 4
