"""Answers that survive the process, in a journal and in a cache; imported late, since few need sqlite3."""

from __future__ import annotations

from fastreq_jupyter.journal.cache import Cache, open_cache, open_shelf
from fastreq_jupyter.journal.journal import Journal, open_journal
from fastreq_jupyter.journal.stores import Both

__all__ = ["Both", "Cache", "Journal", "open_cache", "open_journal", "open_shelf"]
