"""Nothing that a server says runs: bodies, headers, reasons, URLs, names and column names with scripts in them, in a real Chromium."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from faultserver import scripts
from faultserver.server import Call, FaultServer, routes
from nbconvert import HTMLExporter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from browser.labdriver import Jupyter
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
MARK = "window.canary=(window.canary||0)+1"
EVIL = (
    f"<script>{MARK}</script>",
    f"</script><script>{MARK}</script>",
    f'"><img src=x onerror="{MARK}">',
    f"'><svg onload='{MARK}'></svg>",
    f"--><svg><script>{MARK}</script></svg>",
    f"</style></textarea></title><iframe srcdoc='<script>parent.{MARK}</script>'></iframe>",
    f"[x](javascript:{MARK}) `${{{MARK}}}` {{{{{MARK}}}}}",
    "\x1b[31mred\x1b]0;title\x07\x1b]8;;http://evil/\x07link\x1b]8;;\x07",
    "\u202egnp.exe\u2066\u2069\u200f",
)
ALL = " ".join(EVIL)
ON_ONE_LINE = ALL.replace("\n", " ")


def as_header(text: str) -> str:
    """Return text as a server may put it into a field: control characters are refused anyhow."""
    return re.sub(r"[\x00-\x1f\x7f]", "", text).encode("utf-8").decode("latin-1")


def says_it_everywhere(call: Call) -> Any:
    """Answer with the payloads in status line, field names' values, and body."""
    head = f"HTTP/1.1 400 {as_header(ON_ONE_LINE)}\r\nContent-Type: text/html; x={as_header(EVIL[2])}\r\nX-Evil: {as_header(ALL)}\r\n"
    body = ALL.encode()
    return call.send(head.encode("latin-1") + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)


def as_json(call: Call) -> Any:
    """Answer with the payloads as keys and values."""
    body = json.dumps([{evil: evil, "plain": {evil: [evil]}} for evil in EVIL]).encode()
    return call.send(scripts.whole(200, body, ("Content-Type", "application/json"), ("X-Evil", as_header(ALL))))


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """Give the URL of the hostile server."""
    with FaultServer() as server:
        refused = scripts.raw(scripts.head(302, ("Location", as_header(f"javascript:{ALL}")), ("Content-Length", "0")), keep=True)
        door = server.open(routes({"/json": as_json, "/redirect": refused}, says_it_everywhere))
        yield door.url("")


def cells(base: str) -> list[str]:
    setup = f"""%load_ext fastreq_jupyter
import pandas, json
from fastreq_jupyter import Panel, Request, fastreq, last_run
evil = json.loads({json.dumps(json.dumps(EVIL))})
base = {base!r}
table = pandas.DataFrame({{evil[0]: evil, "text": evil, "url": [base + "/" + e.replace(chr(27), "") for e in evil]}})
requests = [Request("GET", base + "/q?x=" + e, headers={{"X-Mine": "<b>" + str(n)}}, label=e, key=e) for n, e in enumerate(evil)]
requests += [Request("GET", base + "/redirect", label=evil[0]), Request("GET", "http://" + evil[2] + "/")]
"""
    return [
        setup,
        "%%fastreq swept --each table --timings --response-headers --retries 0\n{{ base }}/t/{{ text }}?x={{ text }}\n\n###\n{{ base }}/json",
        "swept",
        "fastreq(requests, max_retries=0, response_headers=True, timings=True)",
        "%%fastreq wide --expand --retries 0\n{{ base }}/json",
        "wide",
        "last_run()",
        "swept.fastreq.summary()",
        "swept.fastreq.waterfall()",
        "Panel('\\n'.join(table['url'].head(2)))",
        "%fastreq " + base + "/a<script>" + MARK + "</script>",
        "%%fastreq --dry-run --each table\n{{ base }}/t/{{ text }}",
        "fastreq([base + '/x'], headers={evil[0]: 'x'})",
        "1",
    ]


def clicks_through(page: Page) -> None:
    """Open what can be opened: rows, details, tabs."""
    for place in (".fr-frame tbody tr:not([hidden])", ".fr-frame [role=tab]", ".fr-frame summary", ".fr-details button"):
        for found in page.locator(place).all()[:8]:
            if found.is_visible():
                found.click(force=True)
                page.wait_for_timeout(100)
    page.mouse.wheel(0, 2000)
    page.wait_for_timeout(500)


def canaries(page: Page) -> list[Any]:
    """Return what the canary is in each frame of a page: None where nothing ran."""
    return [frame.evaluate("() => window.canary ?? null") for frame in page.frames]


@pytest.mark.parametrize("app", ["lab", "notebook7"])
def test_nothing_runs_in_the_notebook(app: str, base: str, request: pytest.FixtureRequest):
    jupyter: Jupyter = request.getfixturevalue(app)
    notebook = jupyter.open(cells(base))
    notebook.spent = True
    for index in range(len(cells(base)) - 1):
        notebook.run(index)
    clicks_through(notebook.page)
    assert "<script>" in notebook.page.locator(".fr-details-content").first.inner_text()
    assert set(canaries(notebook.page)) == {None}
    errors = [notebook.text(index).splitlines()[0] for index in range(len(cells(base))) for o in notebook.outputs(index) if "ename" in o]
    # the last request cell is refused for its header name
    assert len(errors) <= 1, errors
    assert notebook.page.locator(".fr-frame").count() > 0
    assert notebook.page.evaluate("() => { window.canary = 1; return window.canary }") == 1


@pytest.fixture(scope="module", params=[True, False], ids=["with widget state", "without"])
def executed(base: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> nbformat.NotebookNode:
    """Run the cells without a browser, in a process of its own: here a loop counts as running."""
    folder = tmp_path_factory.mktemp("executed")
    path = folder / "shown.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells(base)]), path)
    options = ("--execute", "--allow-errors", "--inplace", f"--ExecutePreprocessor.store_widget_state={request.param}")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder / "ipython")}
    subprocess.run(
        [sys.executable, "-m", "nbconvert", "--to", "notebook", *options, str(path)], check=True, capture_output=True, env=env, timeout=240
    )
    return nbformat.read(path, as_version=4)


def test_nothing_runs_in_exported_html(browser: Browser, executed: nbformat.NotebookNode, tmp_path: Path):
    page_file = tmp_path / "page.html"
    page_file.write_text(HTMLExporter().from_notebook_node(executed)[0], encoding="utf-8")
    context = browser.new_context()
    page = context.new_page()
    page.route("**/*", lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort())
    page.goto(page_file.as_uri())
    page.wait_for_timeout(1500)
    assert set(canaries(page)) == {None}
    assert "swept" in page.inner_text("body")
    context.close()


def test_what_we_say_ourselves_holds_no_escape_and_no_bidi_control(executed: nbformat.NotebookNode):
    # frames are pandas' own and the user's data; all else is drawn by us
    ours = [
        output for cell in executed.cells for output in cell.outputs if "dataframe" not in str(output.get("data", {}).get("text/html", ""))
    ]
    harmful = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\u200e\u200f]")
    for output in ours:
        for text in (output.get("text", ""), *(value for value in output.get("data", {}).values() if isinstance(value, str))):
            assert not harmful.search(text), repr(text[max(0, harmful.search(text).start() - 80) :][:160])
