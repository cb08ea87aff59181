"""The frame of a large run costs about half as much again as pandas needs for the same columns from ready lists."""

from __future__ import annotations

import gc
from datetime import timedelta
from time import process_time

import pandas as pd
import pytest
from samples import START

from fastreq_jupyter.frame.build import to_frame
from fastreq_jupyter.model import Attempt, Outcome, Request, Response
from fastreq_jupyter.options import Options
from fastreq_jupyter.timing import Timing

ROWS = 100_000
LEAST_ROUNDS, MOST_ROUNDS = 5, 30
# Measured 1.35 to 1.39 on one machine and 1.50 to 1.55 on another; a change that adds a column's worth is worth a look.
LIMIT = 1.65
FIELDS = (
    ("Date", "Tue, 03 Nov 2026 09:12:00 GMT"),
    ("Server", "nginx"),
    ("Content-Type", "application/json; charset=utf-8"),
    ("Content-Length", "200"),
    ("Connection", "keep-alive"),
)
NAN = float("nan")


def _outcome(i):
    url = f"http://127.0.0.1:8000/items/{i}?page={i % 7}"
    start = i * 0.001
    marks = Timing(start, NAN, NAN, NAN, NAN, NAN, start + 0.0001, start + 0.015, start + 0.02, reused=True, encrypted=False)
    attempt = Attempt(1, START + timedelta(microseconds=137 * i), start, start + 0.02, 0.001, (marks,), 200)
    if i % 20 == 0:
        return Outcome(i, Request("GET", url), (attempt,), None, None, "timeout", "no answer in 30 s")
    return Outcome(i, Request("GET", url), (attempt,), Response(200, FIELDS, url, b"", 200), {"id": i, "tags": ["a", "b"]})


def _seconds(work):
    gc.collect()
    start = process_time()
    work()
    return process_time() - start


@pytest.mark.slow
def test_the_frame_costs_about_half_as_much_again_as_pandas_itself():
    outcomes = [_outcome(i) for i in range(ROWS)]
    frame = to_frame(outcomes, Options())
    dtypes = frame.dtypes.to_dict()
    lists = {name: [None if value is pd.NA else value for value in frame[name].tolist()] for name in frame}
    lists["started_at"] = [outcome.attempts[0].started_at for outcome in outcomes]

    def bare():
        return pd.DataFrame({name: pd.Series(values, dtype=dtypes[name]) for name, values in lists.items()})

    pd.testing.assert_frame_equal(bare(), frame)
    pairs = []
    ratio = LIMIT + 1
    # The least of each: what other processes on the machine add is not the code's, and takes some rounds to fall away.
    while len(pairs) < LEAST_ROUNDS or (ratio > LIMIT and len(pairs) < MOST_ROUNDS):
        pairs.append((_seconds(lambda: to_frame(outcomes, Options())), _seconds(bare)))
        ratio = min(ours for ours, _ in pairs) / min(theirs for _, theirs in pairs)
    print(f"frame of {ROWS:,} rows: {ratio:.2f} times pandas")
    assert ratio <= LIMIT
