"""What the tutorial "Parallel Fundamentals" promises, measured: in plain Python and in a real kernel, on each backend.

The server is a real httpbin wherever that can tell; where the number in flight or the time of arrival matters, a server
that measures both.
"""

import json
import subprocess
import sys
import time
import urllib.request

import pytest
from serving.counting import CountingServer
from serving.kernel import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(600)]

HERE = __file__.rpartition("/tests/")[0]
HEAD = """
import json, time
from fastreq_jupyter import fastreq, fastreq_async
"""


class PlainPython:
    """Run each snippet in an interpreter of its own; a warning is an error."""

    name = "python"
    awaiting = "asyncio.run({})"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def value(self, code):
        command = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


class InKernel(Kernel):
    """Run each snippet as a cell of one kernel."""

    name = "kernel"
    awaiting = "await {}"

    def __init__(self):
        super().__init__(sys.executable)


@pytest.fixture(scope="module", params=[PlainPython, InKernel], ids=["python", "kernel"])
def place(request):
    with request.param() as running:
        yield running


@pytest.fixture(scope="module")
def httpbin(httpbin_python):
    script = f"{HERE}/tests/serving/httpbin_server.py"
    with subprocess.Popen([httpbin_python, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.fixture
def run(place, backend, measured):
    """Run a snippet here, on this backend; it prints JSON last. `note` keeps a measured value for the table of claims."""

    def snippet(code):
        return place.value(HEAD + f"backend = {backend!r}\n" + code)

    snippet.note = lambda claim, value: measured(claim, f"{place.name}, {backend}", value)
    return snippet


def test_five_requests_of_a_second_one_after_the_other_take_five(httpbin, measured):
    start = time.monotonic()
    for _ in range(5):
        with urllib.request.urlopen(f"{httpbin}/delay/1", timeout=60) as response:
            assert response.status == 200
    took = time.monotonic() - start
    measured("5 x /delay/1, one after the other: about 5 s", "python, urllib", f"{took:.2f} s")
    assert took >= 5


def test_five_requests_of_a_second_are_under_way_together(run, httpbin):
    told = run(f"""
fastreq("{httpbin}/get", backend=backend)  # the first call imports what it needs
start = time.perf_counter()
df = fastreq(urls=["{httpbin}/delay/1"] * 5, concurrency=5, backend=backend)
print(json.dumps([time.perf_counter() - start, df.status.tolist()]))
""")
    run.note("5 x /delay/1, five at a time: about 1 s", f"{told[0]:.2f} s")
    assert told[1] == [200] * 5
    with CountingServer(together=5) as server:
        assert run(f'print(json.dumps(fastreq(["{server.url}/x"] * 5, concurrency=5, backend=backend).status.tolist()))') == [200] * 5
        assert server.peak == 5


def test_an_awaited_call_gives_its_result_to_a_coroutine(run, place, httpbin):
    told = run(f"""
import asyncio
async def fetch_data():
    return await fastreq_async(urls=["{httpbin}/json"], backend=backend)
results = {place.awaiting.format("fetch_data()")}
print(json.dumps(results.data.tolist()))
""")
    assert told[0]["slideshow"]["title"] == "Sample Slide Show"


def test_a_hundred_pages_go_ten_at_a_time(run):
    with CountingServer(delay=0.05, together=10) as server:
        told = run(f"""
df = fastreq(urls=[f"{server.url}/page/{{i}}" for i in range(100)], concurrency=10, backend=backend)
print(json.dumps([answer["path"] for answer in df.data]))
""")
        run.note("100 pages, concurrency=10: 10 in flight", f"{server.peak} in flight")
        assert told == [f"/page/{i}" for i in range(100)]
        assert server.peak == 10
        assert max(server.paths.values()) == 1


def test_a_backend_is_found_without_being_named(place, httpbin):
    told = place.value(HEAD + f'print(json.dumps(fastreq(urls=["{httpbin}/get"], backend="auto").status.tolist()))')
    assert told == [200]


def test_a_named_backend_is_the_one_used(run, backend, httpbin):
    told = run(f"""
from fastreq_jupyter import last_run
df = fastreq(urls=["{httpbin}/get"], backend=backend)
print(json.dumps([df.status.tolist(), last_run().summary()["backend"]]))
""")
    assert told == [[200], backend]


def test_fifty_requests_keep_to_ten_a_second_after_a_burst_of_five(run):
    with CountingServer() as server:
        began = time.perf_counter()
        told = run(f"""
df = fastreq(urls=["{server.url}/endpoint"] * 50, rate_limit=10, rate_limit_burst=5, backend=backend)
print(json.dumps(int(df.ok.sum())))
""")
        busiest = server.most_within(1)
        run.note(
            "50 requests, rate 10/s, burst 5: at least 4.5 s, at most 15 in a second", f"{server.times[-1]:.2f} s, {busiest} in a second"
        )
        assert told == 50
        # A busy machine delays what has its token, the first request, too: so it is counted from before all of them.
        assert all(arrival.at - began >= (number - 5) / 10 for number, arrival in enumerate(server.arrivals))


def test_a_503_that_stays_is_tried_four_times_after_longer_and_longer_waits(run, httpbin):
    with CountingServer() as server:
        told = run(f"""
df = fastreq(urls=["{server.url}/status/503", "{httpbin}/status/503"], max_retries=3, backend=backend)
print(json.dumps([df.attempts.tolist(), df.error.tolist(), df.elapsed_ms.tolist()]))
""")
        waits = [later - earlier for earlier, later in zip(server.times, server.times[1:], strict=False)]
        run.note("503 for ever, max_retries=3: 4 attempts, waits of at least 1, 2, 4 s", ", ".join(f"{wait:.2f}" for wait in waits) + " s")
        assert told[:2] == [[4, 4], ["http 503", "http 503"]]
        assert len(waits) == 3
        assert all(wait >= least for wait, least in zip(waits, (1, 2, 4), strict=True))
        assert all(elapsed >= 7000 for elapsed in told[2])


def test_a_blocking_call_works_in_a_running_loop(run, httpbin):
    told = run(f"""
import asyncio
def blocking():
    return fastreq(urls=["{httpbin}/get"], backend=backend, return_type="json")
async def inside():
    return blocking()
try:
    asyncio.get_running_loop()
except RuntimeError:
    answers = asyncio.run(inside())
else:
    answers = blocking()
print(json.dumps(answers[0]["url"]))
""")
    assert told == f"{httpbin}/get"
