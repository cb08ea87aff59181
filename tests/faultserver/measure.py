"""Send every fault through a backend and compare its row with what the table expects.

    PYTHONPATH=tests python -m faultserver.measure          prints faults x backends, and the counts

Three things must never happen: a request that does not end in time (*hang*), a broken answer that is given out as a good
one, or with other data than was sent (*accepted*), and a good answer that is missing (*lost*). *Other* is a failure of
another kind than the table names.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fastreq_jupyter import Request, fastreq_async
from fastreq_jupyter.errors import OptionError
from faultserver import bombs
from faultserver.differences import is_listed
from faultserver.faults import ANY, FAULTS, GROUPS, Fault, Site, base_options
from faultserver.scripts import reply
from faultserver.server import FaultServer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["BACKENDS", "BOUND", "GOOD", "Finding", "measure"]

BACKENDS = ("curl", "aiohttp", "niquests", "requests")
GOOD = 5
"""Good requests that go along with the faults of each run: none of them may be lost."""
BOUND = 60.0
"""Seconds of an attempt that has enough to do; a run must end in twice that, though most attempts have two."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold what one fault came to on one backend."""

    fault: Fault | None
    verdict: str
    """`right`, `hang`, `accepted`, `lost`, `other`, or `refused`: the backend does not take the run's options."""
    error: Any = None
    detail: Any = None
    data: Any = None

    @property
    def name(self) -> str:
        """Return the name of the fault."""
        return "a good request" if self.fault is None else self.fault.name

    @property
    def line(self) -> str:
        """Return the finding as one line."""
        expected = None if self.fault is None else self.fault.error
        return f"{self.verdict:9} {self.name}: expected {expected}, got {self.error} ({self.detail}) data {str(self.data)[:60]!r}"


def _value(value: Any) -> Any:
    return None if value is None or (not isinstance(value, (list, dict, str, bytes)) and value != value) else value  # noqa: PLR0124 - NaN


def _known(value: Any) -> Any:
    import pandas as pd

    return None if value is pd.NA else _value(value)


def _judge(fault: Fault | None, row: Mapping[str, Any]) -> Finding:
    error, data, status = (_known(row[name]) for name in ("error", "data", "status"))
    return Finding(fault, _verdict(fault, error, data, status), error, _known(row["error_detail"]), data)


def _verdict(fault: Fault | None, error: Any, data: Any, status: Any) -> str:
    expected, wanted = (None, "fine") if fault is None else (fault.error, fault.data)
    if expected is not ANY and error != expected:
        if fault is not None and error is not None and error == fault.refusal:
            return "other"
        return "hang" if error == "timeout" else "accepted" if error is None else "lost" if expected is None else "other"
    if wanted is not ANY:
        return "right" if data == wanted else "accepted"
    if error is not None and not _may_keep(error) and data is not None:
        return "accepted"
    return "right" if fault is None or fault.status is ANY or status == fault.status else "other"


def _may_keep(error: Any) -> bool:
    """Tell whether a row of that error shows the body: it arrived whole and is what the server sent."""
    return str(error).startswith("http ") or error == "invalid JSON"


async def _run(backend: str, pairs: list[tuple[Fault | None, str]], options: Mapping[str, Any]) -> list[Finding]:
    requests = [
        Request("GET" if fault is None else fault.method, url, data=fault.content if fault and fault.method == "POST" else None)
        for fault, url in pairs
    ]
    async with asyncio.timeout(2 * BOUND):
        frame = await fastreq_async(requests, **{**base_options(), **options, "backend": backend, "progress": "none"})
    rows = frame.to_dict("records")
    if len(rows) != len(pairs):
        return [Finding(fault, "lost") for fault, _ in pairs]
    return [_judge(fault, row) for (fault, _), row in zip(pairs, rows, strict=True)]


async def _measure(backend: str, sites: list[tuple[Fault, Site]], good: str) -> list[Finding]:
    runs: dict[tuple[tuple[str, Any], ...], list[tuple[Fault | None, str]]] = {}
    for fault, site in sites:
        # To take in too much needs a while on a busy machine; no server hangs here.
        patient = {"timeout": BOUND} if fault.error == "too large" else {}
        runs.setdefault(tuple(sorted({**patient, **fault.options, **site.options}.items())), []).append((fault, site.url))
    extra: list[tuple[Fault | None, str]] = [(None, good)] * GOOD
    # Good requests go directly: with the faults that need no option of their own.
    tasks = [_run(backend, pairs + (extra if not options else []), dict(options)) for options, pairs in runs.items()]
    found = await asyncio.gather(*tasks, return_exceptions=True)
    findings: list[Finding] = []
    for result, pairs in zip(found, runs.values(), strict=True):
        if isinstance(result, BaseException):
            verdict = "refused" if isinstance(result, OptionError) else "hang"
            findings += [Finding(fault, verdict, error=repr(result)) for fault, _ in pairs]
        else:
            findings += result
    return findings


def measure(backend: str, faults: Iterable[Fault], server: FaultServer) -> tuple[list[Finding], float]:
    """Return what each fault came to, and the seconds that took."""
    sites = [(fault, fault.set_up(server)) for fault in faults]
    bombs.make_all()
    good = server.open(reply(200, b"fine")).url()
    start = perf_counter()
    findings = asyncio.run(_measure(backend, sites, good))
    return findings, perf_counter() - start


def main(backends: Iterable[str] = BACKENDS) -> None:
    """Print the table."""
    verdicts: dict[str, dict[str, str]] = {name: {} for name in FAULTS}
    counts: dict[str, Counter[str]] = {}
    for backend in backends:
        counts[backend] = Counter()
        for group in GROUPS.values():
            with FaultServer() as server:
                findings, _ = measure(backend, group.values(), server)
            for finding in findings:
                counts[backend][finding.verdict] += 1
                if finding.fault is not None:
                    verdicts[finding.fault.name][backend] = finding.verdict
                if finding.verdict != "right":
                    known = "difference, " if is_listed(backend, finding.name) else ""
                    print(f"{backend}: {known}{finding.line}", file=sys.stderr)
    for name, row in verdicts.items():
        print(f"{name:50}", *(f"{row.get(backend, ''):10}" for backend in counts))
    for verdict in ("right", "hang", "accepted", "lost", "other", "refused"):
        print(f"{verdict:50}", *(f"{count[verdict]:<10}" for count in counts.values()))


if __name__ == "__main__":
    main(sys.argv[1:] or BACKENDS)
