"""Serve in a terminal: ``python -m fastreq_jupyter.demo``."""

from __future__ import annotations

from fastreq_jupyter.demo import main

if __name__ == "__main__":
    raise SystemExit(main())
