"""Plans and runs for the engine's tests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fastreq_jupyter.engine import Jar, engine_here
from fastreq_jupyter.engine.run import Run
from fastreq_jupyter.model import Plan, Request
from fastreq_jupyter.options import Options

Go = Callable[..., Awaitable[Run]]


def plan_of(items: Any, *, total: int | None = None, **options: Any) -> Plan:
    """Make a plan of URLs or items; a list knows its length."""
    options.setdefault("backend", "aiohttp")
    if isinstance(items, list):
        total = len(items)
        items = [Request("GET", item) if isinstance(item, str) else item for item in items]
    return Plan(items, Options.of(**options), total=total)


def begin(items: Any, **options: Any) -> Run:
    """Start a run on the running loop; awaiting it gives its rows."""
    return launch(plan_of(items, **options), Jar())


def launch(plan: Plan, jar: Jar) -> Run:
    """Start the run of a plan, and those that try its failures again with the same cookies."""
    return engine_here().submit(plan, present=lambda run: run.rows, retry=lambda _, again: launch(again, jar), jar=jar)


@pytest.fixture
def start() -> Callable[..., Run]:
    """Give `begin`."""
    return begin
