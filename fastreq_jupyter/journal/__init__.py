"""Answers that survive the process; imported late, since few need sqlite3."""

from __future__ import annotations

from fastreq_jupyter.journal.journal import Journal, open_journal

__all__ = ["Journal", "open_journal"]
