"""What is measured: clients, workloads, and which meets which."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.server import LATENCY

ROOT = Path(__file__).parents[2]
CLIENTS_FOLDER = Path(__file__).parent / "clients"
BACKENDS = ("curl", "aiohttp", "niquests", "requests")
RAW = "raw-aiohttp"
BODY_BYTES = 200


@dataclass(frozen=True)
class Client:
    """A script that sends, and the environment it runs in.

    Attributes:
        name: How it is chosen.
        title: How tables call it.
        script: File in clients/.
        environment: Suffix of `.venv-bench-`; None is our own.
        options: Further arguments.
        slowness: Requests are divided by this, or a sample would take minutes.
        kernel: Run within an ipykernel.
    """

    name: str
    title: str
    script: str
    environment: str | None = None
    options: tuple[str, ...] = ()
    slowness: int = 1
    kernel: bool = False

    @property
    def python(self) -> Path:
        """Return its interpreter."""
        return Path(sys.executable) if self.environment is None else ROOT / f".venv-bench-{self.environment}" / "bin" / "python"

    @property
    def ours(self) -> bool:
        """Return whether it is fastreq_jupyter."""
        return self.environment is None and self.name != RAW

    @property
    def shown(self) -> bool:
        """Return whether it has a place in the README."""
        return not self.name.startswith("alone-")


@dataclass(frozen=True)
class Workload:
    """What clients are asked to do.

    Attributes:
        name: How it is chosen.
        title: How tables call it.
        clients: Who takes part, in the order of a round.
        references: What a client is divided by in the same round: name of a client, or of "" for those without their own.
        place: Which of the servers; None where nothing is sent.
        measure: cpu or wall.
        per_row: Whether memory a row is reported.
        rounds: At most so many.
    """

    name: str
    title: str
    clients: tuple[Client, ...]
    references: dict[str, str]
    place: str | None = "http"
    path: str = "200.json"
    count: int = 5000
    concurrency: int = 50
    measure: str = "cpu"
    per_row: bool = False
    rounds: int = 99

    def reference(self, client: str) -> str:
        """Return the name of the client that this one is compared with."""
        return self.references.get(client, self.references.get("", ""))

    def ideal(self) -> float:
        """Return the seconds of wall time that the server alone would take; 0 where it answers at once."""
        return self.count / self.concurrency * LATENCY if self.place == "latency" else 0.0


def _ours(prefix: str, title: str, script: str = "ours.py", *options: str, kernel: bool = False) -> tuple[Client, ...]:
    return tuple(
        Client(f"{prefix}{backend}", title.format(backend), script, options=("--backend", backend, *options), kernel=kernel)
        for backend in BACKENDS
    )


RAW_AIOHTTP = Client(RAW, "aiohttp, worker pool by hand", "aiohttp_pool.py", "aiohttp")
OURS = _ours("", "**fastreq-jupyter, {}**")
ALONE = _ours("alone-", "our {} backend without the engine", "backend_alone.py")
PEERS = (
    Client("raw-pycurl", "libcurl's multi interface by hand (pycurl)", "pycurl_multi.py", "pycurl"),
    Client("raw-niquests", "niquests, worker pool by hand", "niquests_pool.py", "niquests"),
    Client("raw-httpx", "httpx, worker pool by hand", "httpx_pool.py", "httpx", slowness=5),
    Client("raw-requests", "requests and threads by hand", "requests_threads.py", "requests"),
    Client("fastreq2", "fastreq 2.0.2", "fastreq_public.py", "fastreq2"),
    Client("fastreq2-aiohttp", "fastreq 2.0.2, aiohttp", "fastreq_public.py", "fastreq2", ("--backend", "aiohttp")),
    Client("fastreq3", "fastreq 3.2.1", "fastreq_public.py", "fastreq3"),
    Client("fastreq3-curl", "fastreq 3.2.1, curl_cffi", "fastreq_public.py", "fastreq3", ("--backend", "curl_cffi")),
)
ALL = (RAW_AIOHTTP, *OURS, *PEERS)
KERNEL_RAW = Client(RAW, "aiohttp, worker pool by hand", "aiohttp_pool.py", kernel=True)
KERNEL = (KERNEL_RAW, *_ours("", "**fastreq-jupyter, {}**", kernel=True))
PANEL = (
    *_ours("", "fastreq-jupyter, {}, no panel", kernel=True),
    *_ours("panel-", "fastreq-jupyter, {}, with the panel", "ours.py", "--progress", "panel", kernel=True),
)
FRAME = (
    Client("pandas", "pandas from ready lists", "frame_building.py", options=("pandas",)),
    Client("frame", "fastreq-jupyter from outcomes", "frame_building.py", options=("ours",)),
)
STARTING = (
    Client("import", "import fastreq_jupyter", "starting.py", options=("import",)),
    Client("name", "from fastreq_jupyter import fastreq", "starting.py", options=("name",)),
    Client("load_ext", "%load_ext fastreq_jupyter, over IPython's own start", "starting.py", options=("load_ext",)),
)
TO_RAW = {"": RAW}

WORKLOADS = (
    Workload("200b", "200 B of JSON, 50 at a time", (*ALL, *ALONE), TO_RAW),
    Workload("10kb", "10 KB of JSON, 50 at a time", ALL, TO_RAW, path="10k.json", count=2000),
    Workload("1mb", "1 MB, 20 at a time", ALL, TO_RAW, path="1m.bin", count=200, concurrency=20),
    Workload("h2", "200 B over TLS, HTTP/2 where the client speaks it, 50 at a time", (*ALL, *ALONE), TO_RAW, place="https", count=3000),
    Workload("50ms", "200 B after 50 ms, 100 at a time", ALL, TO_RAW, place="latency", count=3000, concurrency=100, measure="wall"),
    Workload("1k", "1,000 URLs, 50 at a time", (RAW_AIOHTTP, *OURS), TO_RAW, count=1000, per_row=True, rounds=3),
    Workload("10k", "10,000 URLs, 50 at a time", (RAW_AIOHTTP, *OURS), TO_RAW, count=10_000, per_row=True, rounds=3),
    Workload("100k", "100,000 URLs, 50 at a time", (RAW_AIOHTTP, *OURS), TO_RAW, count=100_000, per_row=True, rounds=2),
    Workload("kernel", "200 B within a notebook's kernel, 50 at a time", KERNEL, TO_RAW),
    Workload(
        "panel",
        "200 B within a notebook's kernel, with the panel and without",
        PANEL,
        {f"panel-{name}": name for name in BACKENDS},
        count=3000,
    ),
    Workload("frame", "a DataFrame of 100,000 outcomes", FRAME, {"": "pandas"}, place=None, count=100_000),
    Workload("start", "starting", STARTING, {}, place=None, count=1, measure="wall"),
)
