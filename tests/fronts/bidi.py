"""Drive a real Firefox by WebDriver BiDi, which it speaks itself: https://www.w3.org/TR/webdriver-bidi/.

with Firefox(path, folder) as firefox:
    firefox.open("http://127.0.0.1:8888/lab")
    firefox.click(".fr-button", "Pause")
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import time
from typing import TYPE_CHECKING, Any, Self

import websocket

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Firefox"]

# Keys as WebDriver names them: https://www.w3.org/TR/webdriver/#keyboard-actions
KEYS = {"Home": "\ue011", "Enter": "\ue007", "Escape": "\ue00c", "Tab": "\ue004", "ArrowLeft": "\ue012", "ArrowUp": "\ue013",
        "ArrowRight": "\ue014", "ArrowDown": "\ue015", "Control": "\ue009"}  # fmt: skip
MIDDLE = """([selector, text]) => {
  const shown = [...document.querySelectorAll(selector)].find(element => element.textContent.includes(text) && element.checkVisibility());
  if (!shown) return null;
  shown.scrollIntoView({ block: 'nearest' });
  const { left, top, width, height } = shown.getBoundingClientRect();
  return [Math.round(left + width / 2), Math.round(top + height / 2)] }"""


class Firefox:
    """A browser without a window, with one page at a time."""

    def __init__(self, path: str, folder: Path, size: tuple[int, int] = (1280, 900)) -> None:
        self._command = [path, "--headless", "--no-remote", "--profile", str(folder), "--remote-debugging-port=0"]
        self._size = size
        self._number = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        lines = iter(self._process.stderr.readline, "")
        address = next(found[1] for line in lines if (found := re.search(r"WebDriver BiDi listening on (\S+)", line)))
        # Firefox refuses pages that connect, which it knows by their origin.
        self._socket = websocket.create_connection(f"{address}/session", suppress_origin=True, timeout=240)
        self._call("session.new", capabilities={})
        self._context = None
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(60)
        self._process.stderr.close()

    def open(self, url: str) -> None:
        """Show a page in place of that before, and wait until it is loaded."""
        before = self._context
        # The tab that is there from the beginning never has the focus.
        self._context = self._call("browsingContext.create", type="tab")["context"]
        if before is not None:
            self._call("browsingContext.close", context=before)
        width, height = self._size
        self._call("browsingContext.setViewport", context=self._context, viewport={"width": width, "height": height})
        self._call("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def evaluate(self, function: str, argument: object = None) -> Any:
        """Call a function of JavaScript with a value and return what it gives, both as JSON."""
        expression = f"Promise.resolve(({function})({json.dumps(argument)})).then(value => JSON.stringify(value ?? null))"
        answer = self._call("script.evaluate", expression=expression, target={"context": self._context}, awaitPromise=True)
        if answer["type"] == "exception":
            raise RuntimeError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])

    def wait(self, function: str, argument: object = None, seconds: float = 120) -> Any:
        """Wait until a function gives something true, and return it."""
        until = time.monotonic() + seconds
        while not (value := self.evaluate(function, argument)):
            assert time.monotonic() < until, f"it did not come to be: {function} {argument}"
            time.sleep(0.05)
        return value

    def see(self, selector: str, text: str = "") -> None:
        """Wait until an element with this text is shown."""
        self.wait(MIDDLE, [selector, text])

    def click(self, selector: str, text: str = "") -> None:
        """Click the middle of the first element with this text that is shown."""
        x, y = self.wait(MIDDLE, [selector, text])
        moves = [{"type": "pointerMove", "x": x, "y": y}, {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        self._act({"type": "pointer", "id": "mouse", "actions": moves})

    def wheel(self, selector: str, ticks: int) -> None:
        """Turn the wheel over an element, 100 px a tick."""
        x, y = self.wait(MIDDLE, [selector, ""])
        self._act({"type": "wheel", "id": "wheel", "actions": [{"type": "scroll", "x": x, "y": y, "deltaX": 0, "deltaY": 100}] * ticks})

    def press(self, *keys: str) -> None:
        """Press keys one after the other; `Control+a` holds the first."""
        actions = []
        for key in keys:
            parts = [KEYS.get(part, part) for part in (key.split("+") if len(key) > 1 else [key])]
            actions += [{"type": "keyDown", "value": part} for part in parts]
            actions += [{"type": "keyUp", "value": part} for part in reversed(parts)]
        self._act({"type": "key", "id": "keyboard", "actions": actions})

    def picture(self, path: Path) -> None:
        """Keep what is in view."""
        path.write_bytes(base64.b64decode(self._call("browsingContext.captureScreenshot", context=self._context)["data"]))

    def _act(self, source: dict[str, Any]) -> None:
        self._call("input.performActions", context=self._context, actions=[source])

    def _call(self, method: str, **params: Any) -> Any:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        # Events have no id.
        while (answer := json.loads(self._socket.recv())).get("id") != self._number:
            pass
        if answer["type"] == "error":
            raise RuntimeError(f"{method}: {answer['error']}: {answer['message']}")
        return answer["result"]
