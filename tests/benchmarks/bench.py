"""The benchmarks: `make bench`, or `PYTHONPATH=tests python -m benchmarks.bench`.

Clients take turns, round by round, one process a sample; what is reported is the ratio to another client of the same
round. Results are kept workload by workload in .make/bench.json, so that they can be taken in several goes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import report
from benchmarks.sampling import NoSampleError, take
from benchmarks.server import serving
from benchmarks.workloads import ROOT, WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.server import Servers
    from benchmarks.workloads import Client, Workload

RESULTS = ROOT / ".make" / "bench.json"
QUICK_RESULTS = ROOT / ".make" / "bench-quick.json"
LIBRARIES = ("aiohttp", "niquests", "httpx", "requests", "pycurl", "curl_cffi", "fastreq", "pandas", "ipykernel", "orjson")
VERSIONS = """
import importlib.metadata as m, json, sys
installed = {d.name: d.version for d in m.distributions()}
print(json.dumps({name: installed[name] for name in sys.argv[1:] if name in installed}))
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for and print the tables; with --write put them into docs and README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", default="", help=f"of {', '.join(workload.name for workload in WORKLOADS)}; all when not given")
    parser.add_argument("--clients", default="", help="names, or beginnings of names followed by *; all when not given")
    parser.add_argument("--rounds", type=int, help="5 when not given, 2 with --quick")
    parser.add_argument("--quick", action="store_true", help="fewer requests and rounds, kept in a file of their own")
    parser.add_argument("--write", action="store_true", help="measure nothing, write the last results into docs and README")
    asked = parser.parse_args(arguments)
    results = QUICK_RESULTS if asked.quick else RESULTS
    if asked.write:
        if not results.exists():
            raise SystemExit(f"no results to write in {results}: make bench")
        report.write(json.loads(results.read_text()))
        return
    # Ended by `timeout` or `kill`, it takes its servers along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    workloads = _chosen(WORKLOADS, asked.workloads)
    with serving() as servers:
        for workload in workloads:
            _keep(
                results,
                servers,
                workload,
                _measure(chosen(workload, clients=asked.clients, rounds=asked.rounds, quick=asked.quick), servers),
            )
    print(report.markdown(json.loads(results.read_text()), [workload.name for workload in workloads]))


def _chosen(of: Sequence[Any], names: str) -> list[Any]:
    wanted = [name for name in names.replace(",", " ").split() if name]
    known = {entry.name for entry in of}
    unknown = [name for name in wanted if not name.endswith("*") and name not in known]
    if unknown and len(unknown) == len(wanted):
        raise SystemExit(f"there is no {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return [entry for entry in of if not wanted or any(_fits(entry.name, name) for name in wanted)]


def _fits(name: str, wanted: str) -> bool:
    return name.startswith(wanted[:-1]) if wanted.endswith("*") else name == wanted


def chosen(workload: Workload, *, clients: str, rounds: int | None, quick: bool) -> Workload:
    """Return what is asked for of a workload: the named clients and their references, fewer requests when it is to be quick."""
    names = {client.name for client in _chosen(workload.clients, clients)} if clients else {client.name for client in workload.clients}
    names |= {workload.reference(name) for name in names}
    count = max(workload.count // 5, 2 * workload.concurrency) if quick and workload.place else workload.count
    return replace(
        workload,
        clients=tuple(client for client in workload.clients if client.name in names),
        rounds=min(rounds or (2 if quick else 5), workload.rounds),
        count=count,
    )


def _measure(workload: Workload, servers: Servers) -> dict[str, Any]:
    """Return all samples of a workload, client by client; a client that fails takes no further part."""
    measured: dict[str, Any] = {client.name: {"samples": [], "failure": None} for client in workload.clients}
    for number in range(workload.rounds):
        for client in workload.clients:
            if measured[client.name]["failure"] is None:
                _tell(workload, client, number)
                try:
                    measured[client.name]["samples"].append(take(client, workload, servers))
                except NoSampleError as error:
                    measured[client.name]["failure"] = str(error)
    return {"clients": measured, "count": workload.count, "rounds": workload.rounds}


def _tell(workload: Workload, client: Client, number: int) -> None:
    if sys.stderr.isatty():
        line = f"{workload.name}: round {number + 1} of {workload.rounds}, {client.name}"
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


def _keep(results: Path, servers: Servers, workload: Workload, measured: dict[str, Any]) -> None:
    kept = json.loads(results.read_text()) if results.exists() else {"workloads": {}}
    kept["machine"] = _machine(servers)
    kept["workloads"][workload.name] = measured | {"date": f"{datetime.now(UTC):%Y-%m-%d}"}
    results.parent.mkdir(exist_ok=True)
    results.write_text(json.dumps(kept, indent=1))


def _machine(servers: Servers) -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "server": servers.name,
        "versions": _versions(),
    }


def _cpu_model() -> str:
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


def _versions() -> dict[str, str]:
    """Return the versions of the libraries, of every environment there is; the newest name wins for none."""
    versions: dict[str, str] = {}
    for python in {client.python for workload in WORKLOADS for client in workload.clients}:
        if python.exists():
            told = subprocess.run([str(python), "-c", VERSIONS, *LIBRARIES], capture_output=True, text=True, check=True).stdout
            versions |= {name: version for name, version in json.loads(told).items() if name != "fastreq"}
    return dict(sorted(versions.items()))


if __name__ == "__main__":
    main()
