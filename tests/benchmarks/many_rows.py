"""What a run costs whose rows leave memory (option `to`): a million requests beside ten thousand: `make bench-rows`.

Usage: python -m benchmarks.many_rows [REQUESTS]. Each run has a process of its own, whose peak is measured.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time

from benchmarks.server import CLIENT_CORE, on_core, serving

FEW, MANY = 10_000, 1_000_000
MOST_MB, MOST_RATIO = 300, 1.15


def measure(url: str, requests: int) -> dict[str, float]:
    """Send so many requests and return seconds of CPU a request, in microseconds, and the peak of this process in MB."""
    from fastreq_jupyter import fastreq

    # What is imported and opened once is not what is measured.
    fastreq([url] * 100, backend="curl", progress="none")
    with tempfile.TemporaryDirectory() as folder:
        began, before = time.perf_counter(), os.times()
        batches = fastreq((f"{url}?{at}" for at in range(requests)), to=f"{folder}/rows/", backend="curl", concurrency=50, progress="none")
        after, ended = os.times(), time.perf_counter()
    assert int(batches["ok"].sum()) == requests
    cpu = after.user + after.system - before.user - before.system
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_us": cpu / requests * 1e6, "per_second": requests / (ended - began), "peak_mb": peak}


def main() -> int:
    """Measure both sizes, print them, and tell by the exit code whether the bounds hold."""
    many = int(sys.argv[1]) if len(sys.argv) > 1 else MANY
    found = {}
    with serving() as servers, on_core(CLIENT_CORE):
        for requests in (FEW, many):
            command = [sys.executable, "-m", "benchmarks.many_rows", f"{servers.http.url}/200.json", str(requests)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[requests] = json.loads(done.stdout)
            shown = ", ".join(f"{name} {value:,.1f}" for name, value in found[requests].items())
            print(f"{requests:>9,} requests, {servers.name}: {shown}", flush=True)
    ratio = found[many]["cpu_us"] / found[FEW]["cpu_us"]
    print(f"cost of a request among {many:,} against {FEW:,}: {ratio:.2f}, {MOST_RATIO} at most; peak {MOST_MB} MB at most")
    return int(ratio > MOST_RATIO or found[many]["peak_mb"] > MOST_MB)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
    else:
        sys.exit(main())
