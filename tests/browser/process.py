"""A server of pages as a process of its own, on a free port of loopback."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

__all__ = ["serving"]

STARTS = 3
PATIENCE = 240


@contextmanager
def serving(
    command: Callable[[int], list[str]], log: Path, *, environment: Mapping[str, str], folder: Path, probe: str = "/"
) -> Iterator[str]:
    """Run a server and give its URL as soon as it answers.

    Args:
        command: Returns what to run, for a port.
        log: File for what it prints.
        environment: Its environment.
        folder: Its working directory.
        probe: Path that is asked for; any answer is one.

    Raises:
        RuntimeError: It does not start.
    """
    server, url = _start(command, log, environment, folder, probe)
    try:
        yield url
    finally:
        _end(server)


def _start(
    command: Callable[[int], list[str]], log: Path, environment: Mapping[str, str], folder: Path, probe: str
) -> tuple[subprocess.Popen[bytes], str]:
    for _ in range(STARTS):
        # Between our letting go of the port and the server's taking it somebody else may.
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with log.open("w") as output:
            server = subprocess.Popen(command(port), stdout=output, stderr=output, env=dict(environment), cwd=folder)
        url = f"http://127.0.0.1:{port}"
        try:
            if _answers(server, url + probe):
                return server, url
        except BaseException:
            _end(server)
            raise
        _end(server)
    message = "the server did not start:\n" + log.read_text()[-3000:]
    raise RuntimeError(message)


def _answers(server: subprocess.Popen[bytes], url: str) -> bool:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=10).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            time.sleep(0.1)
        else:
            return True
    return False


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()
