"""What several test files use: servers, kernels, the browser."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from serving.counting import CountingServer

from fastreq_jupyter import demo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[1]
MEASURED = "measured"
BACKENDS = ("curl", "aiohttp", "niquests", "requests")

# A busy machine takes its time over an example.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(scope="session", autouse=True)
def _no_proxies_from_outside() -> Iterator[None]:
    """Take the machine's own proxies away: every server of the tests is on loopback."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            patch.delenv(name, raising=False)
            patch.delenv(name.upper(), raising=False)
        yield


@pytest.fixture(scope="session")
def demo_server() -> Iterator[demo.DemoServer]:
    """Give the demo server, one for the session."""
    with demo.start() as server:
        yield server


@pytest.fixture
def counting_server() -> Iterator[CountingServer]:
    """Give a server that measures what arrives, fresh for each test."""
    with CountingServer() as server:
        yield server


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Give the name of each backend in turn."""
    return request.param


@pytest.fixture
def ipython(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give an IPython shell of this process with the extension loaded; afterwards the process is no session any more."""
    # Only few tests pay for the import.
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    InteractiveShell.clear_instance()
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    shell.colors = "nocolor"
    shell.run_line_magic("load_ext", "fastreq_jupyter")
    yield shell
    shell.run_line_magic("unload_ext", "fastreq_jupyter")
    InteractiveShell.clear_instance()


@pytest.fixture(scope="session")
def root() -> Path:
    """Give the root of the repository."""
    return ROOT


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str, str, str], None]:
    """Keep a measured value for the table printed at the end: claim, where, value."""
    return lambda claim, where, value: record_property(MEASURED, [claim, where, value])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured, claim by claim."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    rows = sorted(tuple(value) for report in reports for name, value in report.user_properties if name == MEASURED)
    if rows:
        terminalreporter.section("measured", sep="-")
    for claim in dict.fromkeys(row[0] for row in rows):
        terminalreporter.write_line(claim)
        for _, where, value in (row for row in rows if row[0] == claim):
            terminalreporter.write_line(f"    {where:<20} {value}")


def _missing(what: str, remedy: str) -> None:
    message = f"{what} is missing: {remedy}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def _of_matrix(name: str) -> str:
    if name == "current":
        return sys.executable
    python = ROOT / f".venv-{name}" / "bin" / "python"
    if not python.exists():
        _missing(f"the environment {python.parents[1].name}", "make kernels")
    return str(python)


@pytest.fixture(scope="session", params=["current", "kernel631", "colab"])
def kernel_python(request: pytest.FixtureRequest) -> str:
    """Give the interpreter of each environment of the kernel matrix: today's ipykernel, 6.31, and what Google Colab has."""
    return _of_matrix(request.param)


@pytest.fixture(scope="session", params=["current", "kernel631"])
def widget_python(request: pytest.FixtureRequest) -> str:
    """Give those of the matrix whose ipywidgets is the page's: JupyterLab's manager of 8 shows no widget of 7, Colab's shows both."""
    return _of_matrix(request.param)


@pytest.fixture(scope="session")
def httpbin_python() -> str:
    """Give the interpreter of the environment that holds httpbin."""
    python = ROOT / ".venv-httpbin" / "bin" / "python"
    if not python.exists():
        _missing("the environment with httpbin", "make httpbin")
    return str(python)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Give the path of a Chromium, or skip; in CI a missing one is a failure."""
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        _missing("chromium", "apt-get install chromium")
    return str(found)
