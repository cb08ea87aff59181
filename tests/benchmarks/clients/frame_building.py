"""The frame of many outcomes, or the same frame made by pandas from ready lists: frame_building.py ours|pandas COUNT."""

from __future__ import annotations

import json
import sys

import pandas as pd
from internals import frame_of, outcomes
from measure import Clock

if __name__ == "__main__":
    maker, count = sys.argv[1], int(sys.argv[2])
    rows = outcomes(count)
    frame = frame_of(rows)
    dtypes = frame.dtypes.to_dict()
    lists = {name: [None if value is pd.NA else value for value in frame[name].tolist()] for name in frame}
    lists["started_at"] = [outcome.attempts[0].started_at for outcome in rows]

    def by_pandas():
        return pd.DataFrame({name: pd.Series(values, dtype=dtypes[name]) for name, values in lists.items()})

    pd.testing.assert_frame_equal(by_pandas(), frame)
    # Made anew: some of what is looked up is kept where it was found.
    rows = outcomes(count)
    with Clock() as clock:
        kept = frame_of(rows) if maker == "ours" else by_pandas()
    print(json.dumps(clock.figures(kept, count)))
