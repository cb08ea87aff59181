"""Fault servers and real kernels for the contract tests."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any

import pytest
from faultserver.fixtures import faultserver
from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["faultserver"]

ROOT = Path(__file__).parents[2]


@dataclass
class Reply:
    """Hold what a cell came to."""

    status: str = ""
    ename: str = ""
    evalue: str = ""
    text: str = ""
    """All that was printed or shown as text, errors included."""
    seconds: float = 0.0
    messages: list[dict[str, Any]] = field(default_factory=list)


class Kernel:
    """Drive a real kernel through its channels, and keep every message it sends."""

    def __init__(self, folder: Path) -> None:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder / "ipython"), "JUPYTER_RUNTIME_DIR": str(folder)}
        # Not over TCP: its ports are chosen, let go and bound again, and our servers take many. A socket's path must be short.
        self._sockets = tempfile.mkdtemp(prefix="k")
        self.manager = KernelManager(transport="ipc", connection_file=f"{self._sockets}/c.json")
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            self.manager.start_kernel(env=env, cwd=str(folder), stdout=out, stderr=err)
        self.folder = folder
        self.client = self.manager.blocking_client()
        # No heartbeat, which nobody listens to: its thread may never end.
        self.client.start_channels(hb=False)
        self.client.wait_for_ready(timeout=180)
        self.messages: list[dict[str, Any]] = []
        self._started: dict[str, float] = {}

    @property
    def errors(self) -> str:
        """Return what the process itself wrote to its standard error."""
        return (self.folder / "err").read_text(errors="replace")

    def send(self, code: str, *, stop_on_error: bool = False) -> str:
        """Start a cell and return at once; `stop_on_error` aborts what comes behind it, and a moment later, as "Run all" does."""
        number: str = self.client.execute(code, stop_on_error=stop_on_error)
        self._started[number] = time.monotonic()
        return number

    def wait(self, number: str, timeout: float = 120) -> Reply:
        """Wait for the end of a started cell."""
        reply = Reply()
        end = time.monotonic() + timeout
        idle = False
        while not idle:
            message = self.client.get_iopub_msg(timeout=max(0.1, end - time.monotonic()))
            self.messages.append(message)
            if message["parent_header"].get("msg_id") != number:
                continue
            reply.messages.append(message)
            content = message["content"]
            idle = content.get("execution_state") == "idle"
            reply.text += content.get("text") or content.get("data", {}).get("text/plain", "") or "\n".join(content.get("traceback", []))
        while True:
            answer = self.client.get_shell_msg(timeout=max(0.1, end - time.monotonic()))
            self.messages.append(answer)
            if answer["parent_header"].get("msg_id") == number:
                break
        reply.seconds = time.monotonic() - self._started[number]
        content = answer["content"]
        reply.status, reply.ename, reply.evalue = content["status"], content.get("ename", ""), content.get("evalue", "")
        return reply

    def run(self, code: str, timeout: float = 120) -> Reply:
        """Run a cell to its end."""
        return self.wait(self.send(code), timeout)

    def value(self, expression: str) -> Any:
        """Evaluate an expression in the kernel; the value must be made of literals."""
        from ast import literal_eval

        reply = self.run(f"print(repr({expression}))")
        assert reply.status == "ok", reply.text
        return literal_eval(reply.text.strip())

    def interrupt(self) -> None:
        """Interrupt as the stop button does."""
        self.manager.interrupt_kernel()

    def kill(self) -> None:
        """Kill as a machine that goes down does."""
        self.manager.signal_kernel(signal.SIGKILL)

    def drain(self) -> None:
        """Take in what is still under way."""
        while True:
            try:
                self.messages.append(self.client.get_iopub_msg(timeout=0.3))
            except Empty:
                return

    def stop(self) -> None:
        """End the process; can be called twice."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        shutil.rmtree(self._sockets, ignore_errors=True)


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    """Give a fresh kernel with the extension loaded."""
    started = Kernel(tmp_path)
    try:
        assert started.run("%load_ext fastreq_jupyter\nfrom fastreq_jupyter import fastreq, fastreq_async, last_run, submit").status == "ok"
        yield started
    finally:
        started.stop()


@pytest.fixture
def kernels() -> Iterator[Callable[[Path], Kernel]]:
    """Give a function that starts kernels, each in a folder; they end with the test."""
    started: list[Kernel] = []

    def start(folder: Path) -> Kernel:
        started.append(Kernel(folder))
        return started[-1]

    yield start
    for kernel in started:
        kernel.stop()
