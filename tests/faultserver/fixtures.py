"""Fixtures for the conftest of a folder: `from faultserver.fixtures import faultserver  # noqa: F401`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from faultserver.server import FaultServer

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["faultserver"]


@pytest.fixture
def faultserver() -> Iterator[FaultServer]:
    """Give a running fault server; its doors close with the test."""
    with FaultServer() as server:
        yield server
