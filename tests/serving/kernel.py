"""A real IPython kernel in a process of its own, spoken to over its sockets."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any, Self

from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpec


class _Manager(KernelManager):
    """Start the kernel of a given interpreter, whatever kernels are installed."""

    python = ""

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [self.python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="test", language="python")


@dataclass
class Ran:
    """What a cell gave.

    `text` is what it printed, `warned` what it wrote to stderr, `result` its last value as text, `error` `Name: message` or None.
    """

    text: str = ""
    warned: str = ""
    result: str | None = None
    error: str | None = None
    outputs: list[dict[str, Any]] = field(default_factory=list)

    def good(self) -> Self:
        """Return itself, or fail with the cell's traceback."""
        assert self.error is None, "\n".join(line for out in self.outputs for line in out.get("traceback", [self.error]))
        return self


class Kernel:
    """Run cells one after the other; use as a context manager."""

    def __init__(self, python: str, **environment: str) -> None:
        self._python = python
        self._folder = tempfile.TemporaryDirectory()
        self._environment = {**os.environ, "IPYTHONDIR": str(Path(self._folder.name) / "ipython"), **environment}

    def __enter__(self) -> Self:
        # Ports are found first and bound by the kernel later: another process may take one in between.
        for chances in (2, 1, 0):
            self._begin()
            try:
                self.client.wait_for_ready(timeout=180)
            except RuntimeError:
                self._end()
                if not chances:
                    raise
            else:
                break
        return self

    def _begin(self) -> None:
        self._manager = _Manager()
        self._manager.python = self._python
        self._manager.connection_file = str(Path(self._folder.name) / "kernel.json")
        self._manager.start_kernel(env=self._environment, cwd=self._folder.name)
        self.client = self._manager.blocking_client()
        # No heartbeat, which nobody listens to: its thread may never end.
        self.client.start_channels(hb=False)

    def __exit__(self, *_: object) -> None:
        self._end()
        self._folder.cleanup()

    def _end(self) -> None:
        self.client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()

    @property
    def pid(self) -> int:
        """Return the process id of the kernel."""
        return int(self._manager.provisioner.pid)

    def interrupt(self) -> None:
        """Send what the Interrupt button sends."""
        self._manager.interrupt_kernel()

    def start(self, code: str) -> str:
        """Begin a cell and return its message id; `finish` waits for it.

        What comes a moment after a cell that failed would be aborted, as the cells of "Run all" are.
        """
        return self.client.execute(code, allow_stdin=False, stop_on_error=False)

    def finish(self, message_id: str, timeout: float = 120) -> Ran:
        """Wait for the end of a cell and return what it gave."""
        ran = Ran()
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=timeout)
            except Empty:
                raise TimeoutError(f"the cell did not end within {timeout} s; so far: {ran}") from None
            if message["parent_header"].get("msg_id") == message_id and _noted(ran, message):
                return ran

    def run(self, code: str, timeout: float = 120) -> Ran:
        """Run a cell to its end."""
        return self.finish(self.start(code), timeout)

    def value(self, code: str, timeout: float = 120) -> Any:
        """Run a cell that must succeed and print one line of JSON last; return that value."""
        return json.loads(self.run(code, timeout).good().text.splitlines()[-1])


def _noted(ran: Ran, message: dict[str, Any]) -> bool:
    """Write a message into `ran`; True when the kernel is idle again."""
    kind, content = message["msg_type"], message["content"]
    if kind == "stream" and content["name"] == "stderr":
        ran.warned += content["text"]
    elif kind == "stream":
        ran.text += content["text"]
    elif kind in {"execute_result", "display_data"}:
        if kind == "execute_result":
            ran.result = content["data"].get("text/plain")
        ran.outputs.append(content)
    elif kind == "update_display_data":
        for shown in ran.outputs:
            if shown.get("transient") == content["transient"]:
                shown.update(content)
    elif kind == "error":
        ran.error = f"{content['ename']}: {content['evalue']}"
        ran.outputs.append(content)
    return kind == "status" and content["execution_state"] == "idle"
