"""The magics in terminal IPython: ``ipython -c``, and a real terminal with its progress line and Ctrl-C."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pexpect
import pytest
from serving.counting import CountingServer

pytestmark = pytest.mark.kernel

ENDS = 60


@pytest.fixture(scope="module")
def server():
    with CountingServer() as server:
        yield server


@pytest.fixture
def environment(tmp_path, root):
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "IPYTHONDIR": str(tmp_path), "PYTHONPATH": path, "TERM": "dumb", "COLUMNS": "120"}


@pytest.fixture
def terminal(environment):
    arguments = ["-m", "IPython", "--simple-prompt", "--colors=nocolor", "--no-banner", "--HistoryManager.enabled=False"]
    child = pexpect.spawn(sys.executable, arguments, env=environment, encoding="utf-8", timeout=ENDS, echo=False, dimensions=(40, 160))
    child.expect(r"In \[1\]: ")
    yield child
    child.close(force=True)


def entered(child, *lines):
    """Type lines, two blank ones at the end of a cell; return what was shown until the next prompt."""
    for line in lines:
        child.sendline(line)
    if len(lines) > 1:
        child.sendline("\n")
    child.expect(r"In \[\d+\]: ")
    return child.before


def ipython(environment, code):
    command = [sys.executable, "-W", "error::ResourceWarning", "-m", "IPython", "--no-banner", "--colors=nocolor", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240, check=False)


def test_a_command_of_ipython_runs_and_leaves_nothing_behind(environment, server):
    done = ipython(environment, f"%load_ext fastreq_jupyter\nx = %fastreq {server.url}/1\nprint(x.status.tolist())")
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "[200]"
    assert "1 of 1 ok" in done.stdout


def test_a_run_in_the_background_does_not_hold_up_the_exit(environment, server):
    done = ipython(
        environment, f"%load_ext fastreq_jupyter\nget_ipython().run_cell_magic('fastreq', 'x --background', '{server.url}/delay/20')"
    )
    assert done.stderr == ""
    assert "x: 1 request in the background" in done.stdout


def test_a_terminal_shows_one_progress_line_and_then_the_closing_line(terminal, server):
    entered(terminal, "%load_ext fastreq_jupyter")
    shown = entered(terminal, "%%fastreq orders -c 1", f"{server.url}/delay/0.5?n=[1-3]")
    drawn = re.findall(r"\r\x1b\[K([^\r\n]*)", shown)
    assert any(line.startswith("orders: ") and "of 3 done" in line for line in drawn), shown
    assert "orders: 3 of 3 ok" in shown
    assert "[200, 200, 200]" in entered(terminal, "orders.status.tolist()")


@pytest.mark.parametrize(
    "lines",
    [
        ("%%fastreq orders", "{url}/1", "{url}/delay/30"),
        ("orders = None; from fastreq_jupyter import fastreq, last_run; fastreq(['{url}/1', '{url}/delay/30'])",),
        ("orders = None; from fastreq_jupyter import fastreq_async, last_run; await fastreq_async(['{url}/1', '{url}/delay/30'])",),
    ],
)
def test_ctrl_c_keeps_the_finished_rows(terminal, server, lines):
    entered(terminal, "%load_ext fastreq_jupyter")
    for line in lines:
        terminal.sendline(line.replace("{url}", server.url))
    if len(lines) > 1:
        terminal.sendline("\n")
    terminal.expect("1 of 2 done|of 2 done, 1 ok")
    terminal.sendintr()
    terminal.expect(r"KeyboardInterrupt: 1 of 2 rows were finished; they are in [\w().]+")
    terminal.expect(r"In \[\d+\]: ")
    place = "orders" if len(lines) > 1 else "last_run().df"
    assert "['', 'cancelled']" in entered(terminal, f"{place}.error.fillna('').tolist()")
    assert "1 of 1 ok" in entered(terminal, f"%fastreq {server.url}/1;")


def test_a_script_in_a_terminal_shows_its_progress_on_stderr(environment, server):
    code = f"from fastreq_jupyter import fastreq; print(len(fastreq(['{server.url}/delay/1'])))"
    child = pexpect.spawn(sys.executable, ["-c", code], env=environment, encoding="utf-8", timeout=ENDS)
    child.expect("0 of 1 done")
    child.expect(pexpect.EOF)
    assert child.before.splitlines()[-1].endswith("1")


def test_a_script_without_a_terminal_prints_nothing(environment, server):
    code = f"from fastreq_jupyter import fastreq; fastreq(['{server.url}/delay/0.5'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=240, check=False)
    assert (done.stdout, done.stderr) == ("", "")
