"""The server of the benchmarks: nginx on a core of its own, beside it a small server that answers after 50 ms.

Where nginx is missing the small server, without delay, takes its place; it has no HTTP/2.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LATENCY = 0.05
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
SERVER_CORE, CLIENT_CORE = (CORES[0], CORES[1]) if len(CORES) > 1 else (None, None)
UNPACKED = str(Path(__file__).parents[2] / ".make" / "nginx" / "usr" / "sbin")
NGINX = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", UNPACKED]))

BODIES = {
    "200.json": b'{"x": "' + b"y" * 191 + b'"}',
    "10k.json": b"[" + b",".join(b'{"id":%6d,"name":"item %6d","price":%6d.5,"tags":["a","b"]}' % (i, i, i) for i in range(156)) + b"]",
    "1m.bin": b"\0" * 1_000_000,
}

NGINX_CONF = """
daemon off; master_process off; pid nginx.pid; error_log {log} warn;
events {{ worker_connections 4096; }}
http {{
    access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;
    open_file_cache max=10; open_file_cache_valid 1h;
    keepalive_requests 100000000; keepalive_timeout 1h;
    types {{ application/json json; application/octet-stream bin; }}
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;
    ssl_certificate certificate.pem; ssl_certificate_key certificate.pem;
    root www;
    server {{
        listen 127.0.0.1:{http} backlog=1024; listen 127.0.0.1:{warm} backlog=1024;
        listen 127.0.0.1:{https} ssl http2 backlog=1024; listen 127.0.0.1:{warm_https} ssl http2 backlog=1024;
    }}
}}
"""


@dataclass(frozen=True)
class Place:
    """Where a kind of server is, and where a client warms up without meeting the connections that are measured."""

    url: str
    warm: str
    ca: str | None = None


@dataclass(frozen=True)
class Servers:
    """All that a benchmark can ask; `https` is None where there is no nginx."""

    name: str
    http: Place
    latency: Place
    https: Place | None


@contextmanager
def serving() -> Iterator[Servers]:
    """Start the servers on loopback ports and end them with the block."""
    with ExitStack() as stack:
        latency = Place(stack.enter_context(small_server(LATENCY)), stack.enter_context(small_server(LATENCY)))
        if NGINX is None:
            yield Servers("asyncio", Place(stack.enter_context(small_server(0)), stack.enter_context(small_server(0))), latency, None)
        else:
            http, https = stack.enter_context(_nginx())
            yield Servers(_version(), http, latency, https)


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Let the processes that are started within run on one core."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def _process(command: list[str], **options) -> Iterator[subprocess.Popen]:
    with on_core(SERVER_CORE):
        process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def small_server(delay: float) -> Iterator[str]:
    """Start the server that needs nothing installed and give its URL."""
    with _process([sys.executable, __file__, str(delay)], stdout=subprocess.PIPE, text=True) as process:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


@contextmanager
def _nginx() -> Iterator[tuple[Place, Place]]:
    import trustme

    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        home = Path(name)
        (home / "www").mkdir()
        for file, body in BODIES.items():
            (home / "www" / file).write_bytes(body)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(home / "ca.pem")
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(home / "certificate.pem")
        ports = _free_ports("http", "warm", "https", "warm_https")
        (home / "nginx.conf").write_text(NGINX_CONF.format(**ports, log=home / "error.log"))
        process = stack.enter_context(_process([NGINX, "-p", name, "-c", "nginx.conf", "-e", str(home / "error.log")]))
        _wait_for(process, ports.values(), home / "error.log")
        ca = str(home / "ca.pem")
        yield (
            Place(f"http://127.0.0.1:{ports['http']}", f"http://127.0.0.1:{ports['warm']}"),
            Place(f"https://127.0.0.1:{ports['https']}", f"https://127.0.0.1:{ports['warm_https']}", ca),
        )


def _free_ports(*names: str) -> dict[str, int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        return {name: opened.getsockname()[1] for name, opened in zip(names, sockets, strict=True)}


def _wait_for(process: subprocess.Popen, ports, log: Path) -> None:
    for port in ports:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None:
                    raise RuntimeError(f"nginx ended with {process.returncode}: {log.read_text()}") from None
                time.sleep(0.02)


def _version() -> str:
    return subprocess.run([NGINX, "-v"], capture_output=True, text=True, check=True).stderr.strip().rpartition(" ")[2]


class Answering(asyncio.Protocol):
    """HTTP/1.1 as far as it takes to answer GET, after `delay` seconds."""

    delay = 0.0

    def connection_made(self, transport) -> None:
        self.transport, self.rest, self.loop = transport, b"", asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        *heads, self.rest = (self.rest + data).split(b"\r\n\r\n")
        for head in heads:
            answer = ANSWERS.get(head.split(b" ", 2)[1].split(b"?")[0], NOT_HERE)
            if self.delay:
                self.loop.call_later(self.delay, self.transport.write, answer)
            else:
                self.transport.write(answer)


def _answer(status: str, kind: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


NOT_HERE = _answer("404 Not Found", "text/plain", b"not here")
ANSWERS = {
    f"/{name}".encode(): _answer("200 OK", "application/json" if name.endswith("json") else "application/octet-stream", body)
    for name, body in BODIES.items()
}


async def _serve(delay: float) -> None:
    Answering.delay = delay
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
