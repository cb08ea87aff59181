"""All awaiting of a run: workers, attempts, hops, bodies, limits, progress."""

from __future__ import annotations

from fastreq_jupyter.engine.cookies import Jar, read_cookies
from fastreq_jupyter.engine.engine import engine_here, find_run, last_run
from fastreq_jupyter.engine.judging import Conditions, read_stored, was_limited
from fastreq_jupyter.engine.limits import AutoLimit
from fastreq_jupyter.engine.polling import Polling
from fastreq_jupyter.engine.preparing import USER_AGENT, UnsendableError, field_lines_of, prepare
from fastreq_jupyter.engine.progress import FileProgress, Progress, UnderWay
from fastreq_jupyter.engine.reading import UNREADABLE, Reading, load_readers, parse_json
from fastreq_jupyter.engine.run import Run
from fastreq_jupyter.engine.store import Store
from fastreq_jupyter.engine.streaming import Handoffs, StreamedOutcome
from fastreq_jupyter.engine.summary import SHARES, proof, quantiles
from fastreq_jupyter.engine.written import Gist, gist_of

__all__ = [
    "SHARES",
    "UNREADABLE",
    "USER_AGENT",
    "AutoLimit",
    "Conditions",
    "FileProgress",
    "Gist",
    "Handoffs",
    "Jar",
    "Polling",
    "Progress",
    "Reading",
    "Run",
    "Store",
    "StreamedOutcome",
    "UnderWay",
    "UnsendableError",
    "engine_here",
    "field_lines_of",
    "find_run",
    "gist_of",
    "last_run",
    "load_readers",
    "parse_json",
    "prepare",
    "proof",
    "quantiles",
    "read_cookies",
    "read_stored",
    "was_limited",
]
