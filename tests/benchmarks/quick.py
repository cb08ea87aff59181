"""CPU time a request, in a minute: fastreq on each backend beside a raw aiohttp pool and bare libcurl.

Usage: .venv/bin/python tests/benchmarks/quick.py [--count 5000] [--rounds 3] [--workload 200b|10kb|1mb|h2|50ms] [client ...]
A client is raw-aiohttp, raw-pycurl, curl, aiohttp, niquests, requests, or alone-BACKEND. All run in the environment of this
script, on what it has installed.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import report
from benchmarks.sampling import NoSampleError, take
from benchmarks.server import serving
from benchmarks.workloads import BACKENDS, RAW, WORKLOADS

DEFAULT = (RAW, "raw-pycurl", *BACKENDS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clients", nargs="*", default=DEFAULT)
    parser.add_argument("--count", type=int)
    parser.add_argument("--concurrency", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workload", default="200b")
    asked = parser.parse_args()
    workload = next(workload for workload in WORKLOADS if workload.name == asked.workload)
    workload = replace(workload, count=asked.count or workload.count, concurrency=asked.concurrency or workload.concurrency)
    clients = [replace(client, environment=None) for client in WORKLOADS[0].clients if client.name in asked.clients]
    measured = {client.name: {"samples": [], "failure": None} for client in clients}
    with serving() as servers:
        for _ in range(asked.rounds):
            for client in clients:
                try:
                    measured[client.name]["samples"].append(take(client, workload, servers))
                except NoSampleError as error:
                    measured[client.name]["failure"] = str(error)
    print(f"{'client':16}{'CPU us a request':>18}{'ratio (min median max)':>26}{'wall us':>9}{'held KiB a row':>16}")
    for name, entry in measured.items():
        print(
            f"{name:16}"
            + (
                f" {entry['failure']}"
                if entry["failure"]
                else _line(entry["samples"], report.ratios(workload, {"clients": measured}, name))
            )
        )


def _line(samples: list[dict[str, float]], ratios: list[float]) -> str:
    cpu, wall = (min(sample[measure] / sample["count"] for sample in samples) * 1e6 for measure in ("cpu", "wall"))
    ratio = f"{min(ratios):.2f}  {median(ratios):.2f}  {max(ratios):.2f}" if ratios else ""
    return f"{cpu:18.0f}{ratio:>26}{wall:9.0f}{median(sample['held_kib'] / sample['count'] for sample in samples):16.2f}"


if __name__ == "__main__":
    main()
