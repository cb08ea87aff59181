"""What front ends without live widgets show, each run for real: papermill's log, nbconvert's pages, jupyter console."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import nbformat
import pexpect
import pytest
from nbconvert import HTMLExporter, MarkdownExporter, SlidesExporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastreq_jupyter.demo import DemoServer

pytestmark = [pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(300)]

CELL = "{{base}}/orders/[1-3]\n{{base}}/customers/100000"
BEGUN = r"orders: 4 requests, begun at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
ENDED = r"orders: 3 of 4 ok, http 404 x1, [^\n]*"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {**os.environ, "IPYTHONDIR": str(tmp_path_factory.mktemp("ipython")), "TERM": "dumb", "COLUMNS": "160"}


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory, demo_server: DemoServer) -> Path:
    """Give a notebook whose last cell fails."""
    cells = (
        f"%load_ext fastreq_jupyter\nbase = {demo_server.url!r}",
        f"%%fastreq orders --retries 5\n{CELL}",
        f"%%fastreq refused --check --retries 0 --progress none\n{CELL}",
    )
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = tmp_path_factory.mktemp("papermill") / "in.ipynb"
    nbformat.write(made, path)
    return path


@pytest.fixture(scope="module")
def milled(notebook: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Give what papermill says of it."""
    command = [sys.executable, "-m", "papermill", str(notebook), str(notebook.with_name("out.ipynb")), "--log-output", "--no-progress-bar"]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)


def test_papermill_logs_how_a_run_began_and_ended(milled: subprocess.CompletedProcess[str]):
    assert re.search(rf"^{BEGUN}\n{ENDED}\n  p50 .*\n  http 404 x1: Not Found \(http.*/customers/100000\)$", milled.stderr, re.MULTILINE)


def test_papermill_ends_with_the_one_line_of_what_failed(milled: subprocess.CompletedProcess[str]):
    assert milled.returncode == 1
    assert "PartialFailureError: 1 of 4 requests failed (http 404 x1)" in milled.stderr.rstrip().rpartition("\n")[2]


@pytest.mark.parametrize("exporter", [HTMLExporter, SlidesExporter, MarkdownExporter])
def test_an_export_holds_the_summary_and_its_picture(exporter: type, milled: subprocess.CompletedProcess[str], notebook: Path):
    assert milled.returncode == 1
    page, _ = exporter().from_filename(str(notebook.with_name("out.ipynb")))
    assert re.search(rf"<strong>{ENDED}</strong>", page)
    assert re.search(r'<img [^>]*src="data:image/svg\+xml,', page)
    assert "model not found" not in page


@pytest.fixture
def console(environment: dict[str, str], demo_server: DemoServer) -> Iterator[pexpect.spawn[str]]:
    """Give a jupyter console with the extension loaded."""
    command = ["-m", "jupyter_console", "--kernel=python3", "--simple-prompt", "--JupyterConsoleApp.confirm_exit=False"]
    child = pexpect.spawn(sys.executable, command, env=environment, encoding="utf-8", timeout=120, echo=False, dimensions=(60, 160))
    child.expect(r"In \[1\]: ")
    child.sendline(f"base = {demo_server.url!r}; get_ipython().run_line_magic('load_ext', 'fastreq_jupyter')")
    child.expect(r"In \[2\]: ")
    yield child
    child.close(force=True)


def test_jupyter_console_says_how_a_run_began_and_ended(console: pexpect.spawn[str]):
    console.sendline(f"get_ipython().run_cell_magic('fastreq', 'orders --retries 5', {CELL!r})")
    console.expect(BEGUN)
    console.expect(ENDED.replace(r"\n", r"\r\n"))
    console.expect(r"In \[3\]: ")
    console.sendline("orders.status.tolist()")
    console.expect_exact("[200, 200, 200, 404]")
