"""Drive a real JupyterLab or Notebook 7 in a real Chromium.

    with Jupyter("lab", folder, browser=browser) as jupyter:
        page = jupyter.open(["x = 1", "x + 1"])
        page.run_all()
        assert page.text(1) == "2"

The server is private: own folders for settings, kernels and history, a free port, no token, loopback only. One server can
open several notebooks, each in a browser context of its own, so that no other tab hides it. Loading the application takes
ten times what a kernel takes to start, so a page serves one test after the other, each with its own cells and its own kernel.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import nbformat
from browser.process import serving
from nbformat.sign import NotebookNotary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from playwright.sync_api import Browser, Page

__all__ = ["CELL_ENDED", "FLAGS", "READY", "RUN_CELL", "Jupyter", "NotebookPage"]

ROOT = Path(__file__).resolve().parents[2]
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--force-color-profile=srgb", "--hide-scrollbars",
)  # fmt: skip
QUIET = {
    # Saving while a test saves ends in a question about a file that has changed on disk.
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/completer-extension:inline-completer": {"providers": {}},
}
READY = """() => { const widget = window.jupyterapp?.shell?.currentWidget;
  return widget?.context?.isReady && widget.sessionContext?.session?.kernel?.status === 'idle' }"""
RUN_CELL = """index => { const app = window.jupyterapp, notebook = app.shell.currentWidget.content;
  notebook.activeCellIndex = index; notebook.deselectAll(); void app.commands.execute('notebook:run-cell') }"""
CELL_ENDED = """index => { const cell = window.jupyterapp.shell.currentWidget.content.widgets[index].model.sharedModel;
  return cell.executionState === 'idle' && cell.execution_count !== null }"""
SHUT_DOWN = """async () => { const widget = window.jupyterapp.shell.currentWidget;
  widget.context.model.fromJSON({ cells: [], metadata: {}, nbformat: 4, nbformat_minor: 5 });
  await widget.sessionContext.shutdown() }"""
BEGIN_ANEW = """async ([notebook, kernel]) => { const { context, content, sessionContext } = window.jupyterapp.shell.currentWidget;
  context.model.fromJSON(notebook);
  await sessionContext.changeKernel({ name: kernel });
  content.activeCellIndex = 0; content.mode = 'command' }"""
OUTPUTS = "index => window.jupyterapp.shell.currentWidget.content.widgets[index].model.sharedModel.toJSON().outputs"


class NotebookPage:
    """One open notebook.

    Attributes:
        spent: Whether its test did to the page what cannot be undone, so that no other test gets it.
    """

    def __init__(self, page: Page, path: Path) -> None:
        self.page = page
        self.path = path
        self.spent = False
        self.console: list[str] = []
        page.on("console", lambda message: self.console.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.console.append(f"error: {error}"))

    def start(self, index: int) -> None:
        """Start a cell and return at once."""
        self.page.evaluate(RUN_CELL, index)

    def wait(self, index: int, seconds: float = 120) -> None:
        """Wait until a started cell has ended."""
        self.page.wait_for_function(CELL_ENDED, arg=index, timeout=seconds * 1000)

    def run(self, index: int, seconds: float = 120) -> str:
        """Run a cell to its end and return its text."""
        self.start(index)
        time.sleep(0.05)
        self.wait(index, seconds)
        return self.text(index)

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """Return the outputs of a cell, as the notebook format has them."""
        return self.page.evaluate(OUTPUTS, index)

    def value(self, index: int, expression: str) -> str:
        """Evaluate an expression in the kernel, in a cell kept for that, and return its text."""
        self.page.evaluate(
            "([index, source]) => window.jupyterapp.shell.currentWidget.content.widgets[index].model.sharedModel.setSource(source)",
            [index, expression],
        )
        return self.run(index)

    def text(self, index: int) -> str:
        """Return what a cell printed, showed as text, or raised."""
        return "".join(_plain(output) for output in self.outputs(index)).strip()

    def command(self, name: str, arguments: Mapping[str, Any] | None = None) -> None:
        """Run a command of the application to its end."""
        self.page.evaluate("([name, args]) => window.jupyterapp.commands.execute(name, args)", [name, dict(arguments or {})])

    def interrupt(self) -> None:
        """Interrupt the kernel."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()")

    def restart(self) -> None:
        """Restart the kernel and wait until it is there again."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
        self.page.wait_for_function(READY, timeout=180_000)

    def save(self) -> None:
        """Save the notebook."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.save()")

    def reload(self) -> None:
        """Load the page again; the kernel goes on."""
        self.page.reload()
        self.page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.context?.isReady", timeout=180_000)

    def empty(self) -> None:
        """Take all cells away and end the kernel."""
        self.page.context.clear_permissions()
        self.page.emulate_media(forced_colors="null")
        self.page.evaluate(SHUT_DOWN)
        self.page.wait_for_function("() => !document.querySelector('.fastreq, .fastreq-panel')")

    def begin_anew(self, notebook: nbformat.NotebookNode, size: tuple[int, int]) -> None:
        """Show other cells, with a kernel that has just started."""
        self.console.clear()
        self.page.set_viewport_size({"width": size[0], "height": size[1]})
        for cell in notebook.cells:
            cell.metadata.trusted = True
        self.page.evaluate(BEGIN_ANEW, [notebook, notebook.metadata.kernelspec.name])
        self.page.wait_for_function(READY, timeout=180_000)


class Jupyter:
    """Run a server of its own and a browser.

    Args:
        app: "lab" or "notebook".
        folder: An empty folder for everything the server writes.
        browser: A running Chromium; without one `use` names it.
        theme: Name of a JupyterLab theme.
        state: Save the state of widgets with the notebook.
    """

    def __init__(
        self,
        app: str,
        folder: Path,
        *,
        browser: Browser | None = None,
        theme: str = "JupyterLab Light",
        state: bool = False,
    ) -> None:
        self.app = app
        self._browser = browser
        self.folder = folder
        self.root = folder / "notebooks"
        self._pages: list[NotebookPage] = []
        self._free: list[NotebookPage] = []
        self.root.mkdir(parents=True)
        settings = {**QUIET, "@jupyterlab/apputils-extension:themes": {"theme": theme}}
        if state:
            settings["@jupyter-widgets/jupyterlab-manager:plugin"] = {"saveState": True}
        for name, value in settings.items():
            package, _, plugin = name.partition(":")
            self._write(f"settings/{package}/{plugin}.jupyterlab-settings" if plugin else f"settings/{name}.jupyterlab-settings", value)

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        log = self.folder / "server.log"
        server = serving(self._arguments, log, environment=self._environment(), folder=self.root, probe="/api/status")
        self._url = self._stack.enter_context(server)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for shown in self._pages:
            shown.page.context.close()
        self._stack.close()

    def offer(self, kernel: str, python: str) -> None:
        """Offer the kernel of an interpreter under a name."""
        argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        self._write(f"data/kernels/{kernel}/kernel.json", {"argv": argv, "display_name": kernel, "language": "python"})

    @contextmanager
    def use(self, browser: Browser) -> Iterator[Self]:
        """Lend the server to a browser; at the end the kernels are gone, and one page at most is there, empty, for the next to use it."""
        if browser is not self._browser:
            self._browser = browser
            self._free.clear()
        yield self
        for shown in self._pages:
            if shown.spent or self._free:
                shown.page.context.close()
            else:
                shown.empty()
                self._free.append(shown)
        self._pages.clear()
        with urllib.request.urlopen(f"{self._url}/api/kernels", timeout=60) as response:
            kernels = json.load(response)
        for kernel in kernels:
            request = urllib.request.Request(f"{self._url}/api/kernels/{kernel['id']}", method="DELETE")
            urllib.request.urlopen(request, timeout=60).close()

    def open(self, cells: Sequence[str], *, kernel: str = "python3", size: tuple[int, int] = (1280, 900)) -> NotebookPage:
        """Show a notebook of these cells, in the page that is there if one is."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata.kernelspec = {"name": kernel, "display_name": kernel, "language": "python"}
        if self._free:
            shown = self._free.pop()
            self._pages.append(shown)
            shown.begin_anew(notebook, size)
            return shown
        path = self.root / f"test-{time.monotonic_ns()}.ipynb"
        self.write(notebook, path)
        return self.show(path, size=size)

    def write(self, notebook: nbformat.NotebookNode, path: Path) -> None:
        """Write a notebook as one's own are: signed, so that the page trusts it."""
        nbformat.write(notebook, path)
        (self.folder / "data").mkdir(exist_ok=True)
        notary = NotebookNotary(data_dir=str(self.folder / "data"))
        notary.sign(notebook)
        notary.store.close()

    def address(self, path: Path) -> str:
        """Return the URL of a notebook that is there."""
        # A workspace of its own: Lab would open what was open before, and hide this one.
        place = f"lab/workspaces/w{time.monotonic_ns()}/tree" if self.app == "lab" else "notebooks"
        return f"{self._url}/{place}/{path.name}"

    def show(self, path: Path, *, size: tuple[int, int] = (1280, 900), ready: str = READY) -> NotebookPage:
        """Open a notebook that is there."""
        page = self._browser.new_context(viewport={"width": size[0], "height": size[1]}).new_page()
        page.set_default_timeout(120_000)
        shown = NotebookPage(page, path)
        self._pages.append(shown)
        page.goto(self.address(path))
        page.wait_for_function(ready, timeout=180_000)
        return shown

    def _write(self, name: str, value: object) -> None:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(value))

    def _arguments(self, port: int) -> list[str]:
        return [
            sys.executable, "-m", "jupyter", self.app, "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
            "--ServerApp.port_retries=0", "--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={self.root}",
            "--LabApp.expose_app_in_browser=True", "--JupyterNotebookApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly",
        ]  # fmt: skip

    def _environment(self) -> dict[str, str]:
        places = {
            "JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime", "JUPYTER_DATA_DIR": "data", "IPYTHONDIR": "ipython",
            "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        }  # fmt: skip
        path = os.pathsep.join(filter(None, (str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH"))))
        # Debugger and its frozen-module warning have no place in an output that is compared.
        return {
            **os.environ,
            **{name: str(self.folder / place) for name, place in places.items()},
            "PYTHONPATH": path,
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }


def _plain(output: Mapping[str, Any]) -> str:
    if "ename" in output:
        return f"{output['ename']}: {output['evalue']}"
    text = output.get("text") or output.get("data", {}).get("text/plain") or ""
    return "".join(text)
