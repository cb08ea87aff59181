"""CPU time a request, in a minute: fastreq on each backend beside a raw aiohttp pool and bare libcurl.

Usage: .venv/bin/python tests/benchmarks/quick.py [--count 5000] [--rounds 3] [--path 200.json] [--http2] [client ...]
A client is aiohttp-pool, pycurl, or a backend: curl, aiohttp, niquests, requests. All run on the interpreter of this script.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median

from server import CLIENT_CORE, on_core, serving

CLIENTS = Path(__file__).parent / "clients"
RAW = {"aiohttp-pool": "aiohttp_pool.py", "pycurl": "pycurl_multi.py"}
BACKENDS = ("curl", "aiohttp", "niquests", "requests")


def sample(client: str, place, arguments: argparse.Namespace) -> dict | str:
    """Return the figures of one process, or its last line where it failed."""
    script = [str(CLIENTS / RAW[client])] if client in RAW else [str(CLIENTS / "ours.py"), "--backend", client]
    trust = ["--ca", place.ca] if place.ca else []
    where = [f"{place.url}/{arguments.path}", str(arguments.count), str(arguments.concurrency), "--warm", f"{place.warm}/{arguments.path}"]
    with on_core(CLIENT_CORE):
        ended = subprocess.run([sys.executable, *script, *where, *trust], capture_output=True, text=True, timeout=300, check=False)
    if ended.returncode:
        return (ended.stderr.strip().splitlines() or ["failed"])[-1][:150]
    figures = json.loads(ended.stdout.splitlines()[-1])
    return figures if figures["kept"] == figures["count"] else f"only {figures['kept']} of {figures['count']} were good"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("clients", nargs="*", default=[*RAW, *BACKENDS])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--path", default="200.json", help="200.json, 10k.json, 1m.bin")
    parser.add_argument("--http2", action="store_true", help="over TLS, HTTP/2 where the client speaks it")
    arguments = parser.parse_args()
    samples: dict[str, list[dict]] = {}
    failures: dict[str, str] = {}
    with serving() as servers:
        place = servers.https if arguments.http2 else servers.http
        for _ in range(arguments.rounds):
            for client in arguments.clients:
                if client not in failures:
                    figures = sample(client, place, arguments)
                    if isinstance(figures, str):
                        failures[client] = figures
                    else:
                        samples.setdefault(client, []).append(figures)
    reference = samples.get("aiohttp-pool")
    print(f"{'client':14}{'CPU us a request':>18}{'ratio (min median max)':>26}{'wall us':>9}{'held KiB a row':>16}")
    for client, figures in samples.items():
        cpu = min(sample["cpu"] / sample["count"] for sample in figures) * 1e6
        wall = min(sample["wall"] / sample["count"] for sample in figures) * 1e6
        held = median(sample["held_kib"] / sample["count"] for sample in figures)
        ratio = ""
        if reference:
            ratios = [ours["cpu"] / theirs["cpu"] for ours, theirs in zip(figures, reference, strict=False)]
            ratio = f"{min(ratios):.2f}  {median(ratios):.2f}  {max(ratios):.2f}"
        print(f"{client:14}{cpu:18.0f}{ratio:>26}{wall:9.0f}{held:16.2f}")
    for client, why in failures.items():
        print(f"{client:14} {why}")


if __name__ == "__main__":
    main()
