"""Commands for curl become requests."""

from fastreq_jupyter.cell.curl.command import is_curl, read_curl

__all__ = ["is_curl", "read_curl"]
