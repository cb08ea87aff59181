"""One sample: a client in a fresh process on a core of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from typing import TYPE_CHECKING

from benchmarks.server import CLIENT_CORE, on_core
from benchmarks.workloads import CLIENTS_FOLDER

if TYPE_CHECKING:
    from benchmarks.server import Servers
    from benchmarks.workloads import Client, Workload

TIMEOUT = 540
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# Proxies and authorities of the machine are not what is measured; some clients obey them whatever their options say.
FOREIGN = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle", "curl_ca_bundle", "ssl_cert_file", "ssl_cert_dir")


class NoSampleError(Exception):
    """A client that could not do what it was asked; the message is its last line."""


def take(client: Client, workload: Workload, servers: Servers) -> dict[str, float]:
    """Return the figures of one process.

    Raises:
        NoSampleError: It is not installed, failed, took too long, or lost answers.
    """
    if not client.python.exists():
        raise NoSampleError("its environment could not be made")
    command = [*_command(client), *_arguments(client, workload, servers)]
    try:
        # fastreq 2 leaves a file behind where it runs.
        with on_core(CLIENT_CORE), tempfile.TemporaryDirectory() as folder:
            ended = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False, env=_environment(workload, servers)
            )
    except subprocess.TimeoutExpired:
        raise NoSampleError(f"did not end within {TIMEOUT} s") from None
    if ended.returncode:
        raise NoSampleError(_last_line(ended.stderr))
    figures = json.loads(ended.stdout.splitlines()[-1])
    if figures["kept"] != figures["count"]:
        raise NoSampleError(f"only {figures['kept']} of {figures['count']} answers were good")
    return figures


def _last_line(text: str) -> str:
    lines = COLOURS.sub("", text).strip().splitlines()
    return lines[-1][:150] if lines else "failed without a word"


def _environment(workload: Workload, servers: Servers) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name.lower() not in FOREIGN}
    if workload.place == "https" and servers.https:
        # fastreq 2 cannot be told in any other way whom to trust.
        environment |= dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), servers.https.ca)
    return environment


def _command(client: Client) -> list[str]:
    script = [str(CLIENTS_FOLDER / client.script)]
    return [str(client.python), *([str(CLIENTS_FOLDER / "kernel.py")] if client.kernel else []), *script]


def _arguments(client: Client, workload: Workload, servers: Servers) -> list[str]:
    count = workload.count
    if workload.place is None:
        return [*client.options, *([str(count)] if count > 1 else [])]
    place = getattr(servers, workload.place)
    if place is None:
        raise NoSampleError("needs nginx")
    count = max(count // client.slowness, 1)
    trust = ["--ca", place.ca] if place.ca else []
    where = [f"{place.url}/{workload.path}", str(count), str(workload.concurrency), "--warm", f"{place.warm}/{workload.path}"]
    return [*where, *trust, *client.options]
