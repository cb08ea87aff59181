"""Answers that survive the process, in a journal and in a cache; imported late, since few need sqlite3."""

from __future__ import annotations

from fastreq_jupyter.journal.cache import Both, Cache
from fastreq_jupyter.journal.journal import Journal
from fastreq_jupyter.journal.shelf import open_shelf

__all__ = ["Both", "Cache", "Journal", "open_shelf"]
