"""The browser of tests/browser, and the interpreter and browser that `make fronts` sets up."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from browser.conftest import browser, lab_server  # noqa: F401 - fixtures

PYTHON = Path(__file__).parents[2] / ".venv-fronts" / "bin" / "python"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each of these tests ten minutes."""
    for item in items:
        item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def fronts_python() -> str:
    """Give the interpreter that has marimo, Voila and qtconsole."""
    return str(PYTHON)


@pytest.fixture(scope="session")
def firefox() -> str:
    """Give the path of a Firefox."""
    names = (os.environ.get("FIREFOX"), "firefox-esr", "firefox")
    return next(path for name in names if name and (path := shutil.which(name)))
