"""Every backend x every fault gives the same row kind, in bounded time and memory; nothing partial, nothing mixed up."""

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from faultserver import bombs, scripts
from faultserver.differences import is_listed
from faultserver.faults import GROUPS, base_options
from faultserver.measure import BACKENDS, measure
from faultserver.server import routes

from fastreq_jupyter import Request, fastreq_async

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ALL = pytest.mark.parametrize("backend", BACKENDS)


# Groups that share a run: what makes a server hang takes as long as the timeout, however many do it.
TOGETHER = {
    "framing": ("connections", "heads", "bodies", "chunking"),
    "answers": ("statuses", "retry-after", "encodings", "json", "empties"),
    "routing": ("redirects", "tls", "proxies"),
}


def test_every_group_of_faults_has_its_run():
    assert sorted(name for names in TOGETHER.values() for name in names) == sorted(GROUPS)


@ALL
@pytest.mark.parametrize("together", TOGETHER)
def test_every_fault_gives_the_row_that_the_table_names(faultserver, backend, together):
    findings, seconds = measure(backend, [fault for name in TOGETHER[together] for fault in GROUPS[name].values()], faultserver)
    # What the library cannot be told, and nothing else: a difference that vanished is to be taken off the list.
    wrong = [finding.line for finding in findings if (finding.verdict == "right") == is_listed(backend, finding.name)]
    print(f"{backend} {together}: {len(findings)} rows in {seconds:.1f} s, {len(wrong)} wrong")
    assert not wrong, "\n".join(wrong)


async def run(urls, **options):
    return await fastreq_async(urls, **{**base_options(), "progress": "none", **options})


def own_path(call):
    return call.request.target.encode()


SECOND = scripts.head(200, ("Content-Type", "text/plain"), ("Content-Length", "6")) + b"POISON"
POISONS = {
    "an unasked second answer": ("GET", scripts.head(200, ("Content-Length", "2")) + b"ok" + SECOND),
    "a body longer than its Content-Length": ("GET", scripts.head(200, ("Content-Length", "2")) + b"okPOISON"),
    "an answer to HEAD with a body": ("HEAD", scripts.head(200, ("Content-Length", str(len(SECOND)))) + SECOND),
    "a 204 with a body": ("GET", scripts.head(204) + SECOND),
    "a 304 with a body": ("GET", scripts.head(304, ("Content-Length", str(len(SECOND)))) + SECOND),
    "bytes after the last chunk": ("GET", scripts.head(200, ("Transfer-Encoding", "chunked")) + scripts.chunks(b"ok") + SECOND),
}


@ALL
@pytest.mark.parametrize("poison", POISONS)
async def test_no_request_gets_an_answer_that_was_not_its_own(faultserver, backend, poison):
    method, said = POISONS[poison]
    door = faultserver.open(routes({"/poison": scripts.raw(said, keep=True)}, scripts.echo(own_path)))
    requests = []
    for number in range(20):
        requests += [Request(method, door.url("/poison")), Request("GET", door.url(f"/{number}"))]
    frame = await run(requests, backend=backend, concurrency=2)
    assert [str(data) for data in frame["data"].iloc[1::2]] == [f"/{number}" for number in range(20)]
    assert not frame["data"].astype("string").str.contains("POISON").any()


@ALL
@pytest.mark.parametrize("poison", POISONS)
async def test_what_arrives_on_an_idle_connection_is_nobodys_answer(faultserver, backend, poison):
    method, said = POISONS[poison]
    cut = said.index(SECOND) if SECOND in said else said.index(b"POISON")
    written = threading.Event()

    async def late(call):
        await scripts.raw(said[:cut], said[cut:], keep=True, pause=0.05)(call)
        written.set()

    door = faultserver.open(routes({"/poison": late}, scripts.echo(own_path)))
    found = []
    for number in range(3):
        written.clear()
        await fastreq_async([Request(method, door.url("/poison"))], backend=backend, **{**base_options(), "progress": "none"})
        await asyncio.to_thread(written.wait, 60)
        frame = await fastreq_async([door.url(f"/{number}")], backend=backend, **{**base_options(), "progress": "none"})
        found.append(frame["data"][0])
    assert found == ["/0", "/1", "/2"]


@ALL
async def test_a_thousand_answers_in_any_order_each_find_their_own_row(faultserver, backend):
    async def shuffled(call):
        await asyncio.sleep(call.random.random() * 0.02)
        await call.send(scripts.whole(200, own_path(call)))

    door = faultserver.open(shuffled)
    frame = await run([door.url(f"/{number}") for number in range(1000)], backend=backend, concurrency=50)
    assert list(frame["data"]) == [f"/{number}" for number in range(1000)]


MEMORY = """
import asyncio, json, re, sys
import fastreq_jupyter.frame.build
from fastreq_jupyter import fastreq_async

def megabytes(what):
    # not ru_maxrss, in which a child inherits what its parent had
    return int(re.search(what + r":\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1024

url, backend = sys.argv[1:]
before = megabytes("VmRSS")
frame = asyncio.run(fastreq_async([url], backend=backend, progress="none", max_retries=0))
print(json.dumps([frame["error"][0], megabytes("VmHWM") - before]))
"""


@ALL
@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "gzip, gzip"])
def test_a_bomb_of_a_gigabyte_is_refused_within_200_megabytes_beside_pandas(faultserver, backend, coding):
    body = bombs.nested_gzip() if coding == "gzip, gzip" else bombs.BOMBS[coding]()
    door = faultserver.open(scripts.reply(200, body, ("Content-Encoding", coding)))
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, door.url(), backend], capture_output=True, text=True, timeout=240, check=True, cwd=ROOT
    )
    error, peak = json.loads(done.stdout)
    print(f"{backend} {coding}: {error}, peak {peak:.0f} MB")
    assert error == "too large"
    assert peak < 200
