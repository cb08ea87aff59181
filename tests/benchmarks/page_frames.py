"""How smoothly the page draws many rows, measured in the browser: `make bench-page`.

It bounds milliseconds, so its name keeps it out of `make test`.
"""

import time

import pytest
from browser.conftest import browser, lab
from browser.steps import played, state, until

__all__ = ["browser", "lab"]

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

# Frames as the page saw them for some seconds, and tasks of its main thread above 50 ms.
FRAMES = """seconds => new Promise(resolve => { const frames = [], tasks = []; let last = performance.now(); const end = last + seconds * 1000;
  const observer = new PerformanceObserver(list => tasks.push(...list.getEntries().map(entry => entry.duration)));
  observer.observe({ entryTypes: ['longtask'] });
  const step = now => { frames.push(now - last); last = now;
    if (now < end) requestAnimationFrame(step);
    else { observer.disconnect(); frames.sort((a, b) => a - b);
      resolve({ frames: frames.length, p99: frames[Math.floor(frames.length * .99)], worst: frames[frames.length - 1], long: tasks.length }) } };
  requestAnimationFrame(step) })"""
SCROLL = """() => { const element = document.querySelector('.fr-scroll'); let at = 0;
  const timer = setInterval(() => { at += 40000; element.scrollTop = at % element.scrollHeight }, 16); setTimeout(() => clearInterval(timer), 2500) }"""


def test_frames_while_ten_thousand_requests_go_by(lab, measured):
    notebook = played(lab, 10_000, 8)
    state(notebook, "RUNNING")
    time.sleep(2)
    frames = notebook.page.evaluate(FRAMES, 3)
    measured(
        "frames while 10,000 requests go by",
        "p99, worst, long tasks",
        f"{frames['p99']:.0f} ms, {frames['worst']:.0f} ms, {frames['long']}",
    )
    assert frames["p99"] <= 50


def test_frames_while_a_hundred_thousand_rows_scroll(lab, measured):
    notebook = played(lab, 100_000, 0)
    page = notebook.page
    until(lambda: page.locator(".fr-count").inner_text() == "100,000 requests")
    time.sleep(3)
    page.evaluate(SCROLL)
    frames = page.evaluate(FRAMES, 2)
    measured(
        "frames while 100,000 rows scroll", "p99, worst, long tasks", f"{frames['p99']:.0f} ms, {frames['worst']:.0f} ms, {frames['long']}"
    )
    # Each step shows other rows altogether, painted without a graphics card here.
    assert frames["p99"] <= 250
