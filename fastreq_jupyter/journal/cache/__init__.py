"""Answers of requests that only ask, kept for the next run."""

from __future__ import annotations

from fastreq_jupyter.journal.cache.cache import Cache, open_cache, open_shelf

__all__ = ["Cache", "open_cache", "open_shelf"]
