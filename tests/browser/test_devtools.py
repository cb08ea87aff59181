"""An archive of a run, opened by the network panel of Chromium's own developer tools."""

from __future__ import annotations

import json
import subprocess
from time import monotonic, sleep
from typing import TYPE_CHECKING

import pytest
from browser.labdriver import FLAGS
from playwright.sync_api import sync_playwright
from serving.transfers import Served, TransferServer

from fastreq_jupyter import Request, fastreq

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LONGEST_START = 60.0
# What "Import HAR file" of the panel does, and what its reader made of each entry.
IMPORT = """async (text) => {
  const load = (path) => import(new URL(path, location.href).href);
  const { HARFormat, Importer } = await load('./models/har/har.js');
  const requests = Importer.Importer.requestsFromHARLog(new HARFormat.HARRoot(JSON.parse(text)).log);
  const { NetworkPanel } = await load('./panels/network/network.js');
  const { ViewManager } = await load('./ui/legacy/legacy.js');
  await ViewManager.ViewManager.instance().showView('network');
  const view = NetworkPanel.NetworkPanel.instance().networkLogView;
  await view.onLoadFromFile(new File([text], 'run.har'));
  for (let tries = 0; tries < 200 && !view.element.innerText.includes(`${requests.length} requests`); tries++)
    await new Promise((done) => setTimeout(done, 50));
  return {
    shown: view.element.innerText,
    requests: requests.map((r) => [r.requestMethod, r.statusCode, r.mimeType, r.transferSize, r.duration > 0]),
  };
}"""


@pytest.fixture
def devtools(chromium, tmp_path):
    """Start a browser that may be debugged; give a page of its developer tools."""
    profile = tmp_path / "profile"
    command = [chromium, *FLAGS, "--headless", "--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={profile}"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*command, "about:blank"], stdout=log, stderr=log)
        try:
            with sync_playwright() as playwright:
                origin = f"http://127.0.0.1:{_port(profile / 'DevToolsActivePort')}"
                debugged = playwright.chromium.connect_over_cdp(origin)
                page = debugged.contexts[0].new_page()
                answer = page.goto(f"{origin}/devtools/inspector.html")
                if answer is None or answer.status != 200:
                    pytest.skip("this build of Chromium comes without the pages of its developer tools")
                yield page
                debugged.close()
        finally:
            process.terminate()
            process.wait()


def _port(file: Path) -> int:
    """Wait for the file in which a browser says where it may be debugged."""
    end = monotonic() + LONGEST_START
    while not file.exists() or not file.read_text():
        assert monotonic() < end, "the browser does not say where it may be debugged"
        sleep(0.05)
    return int(file.read_text().split()[0])


def test_the_developer_tools_open_an_archive(devtools, tmp_path):
    with TransferServer() as server:
        server.files["a"] = Served(bytes(3000), {"Content-Type": "application/x-thing"})
        frame = fastreq(
            [f"{server.url}/files/a", Request("POST", f"{server.url}/p", json={"a": "ü"}), "http://127.0.0.1:9/x"], max_retries=0
        )
    text = frame.fastreq.save(tmp_path / "run.har").read_text(encoding="utf-8")
    opened = devtools.evaluate(IMPORT, text)
    size = {entry["request"]["method"]: entry["response"]["bodySize"] for entry in json.loads(text)["log"]["entries"]}
    assert sorted(opened["requests"]) == [
        ["GET", 0, None, 0, True],
        ["GET", 200, "application/x-thing", 3000, True],
        ["POST", 200, "application/json", size["POST"], True],
    ]
    assert "3 requests" in opened["shown"]
