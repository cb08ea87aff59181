"""Servers for all tests of a process, a browser for those of a module: starting them is what takes the time."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from browser.labdriver import FLAGS, Jupyter
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Give a running Chromium; not for the session: while it lives this thread counts as one with a running event loop."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, headless=True, args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """Give a running JupyterLab that no browser looks at."""
    with Jupyter("lab", tmp_path_factory.mktemp("lab")) as jupyter:
        yield jupyter


@pytest.fixture(scope="session")
def notebook7_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """Give a running Notebook 7 that no browser looks at."""
    with Jupyter("notebook", tmp_path_factory.mktemp("notebook")) as jupyter:
        yield jupyter


@pytest.fixture
def lab(lab_server: Jupyter, browser: Browser) -> Iterator[Jupyter]:
    """Give a running JupyterLab; the pages of a test end with it, since one that is open computes on."""
    with lab_server.use(browser) as jupyter:
        yield jupyter


@pytest.fixture
def notebook7(notebook7_server: Jupyter, browser: Browser) -> Iterator[Jupyter]:
    """Give a running Notebook 7, as `lab`."""
    with notebook7_server.use(browser) as jupyter:
        yield jupyter


@pytest.fixture(scope="module")
def hostile() -> Iterator[str]:
    """Give the URL of a server whose answers try everything."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hostile) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Hostile(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = "<script>alert(1)</script><b>\x1b[31m\u202e\x00".encode() + b"x" * 1_000_000
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("X-Evil", "<img src=x onerror=alert(1)>" + "y" * 20_000)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
