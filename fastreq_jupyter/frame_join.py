"""``--each``: the columns of the source go in front of the answer's, its index becomes the frame's; always by position.

Labels play no part, so a repeated index, or one out of order, joins as well as any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastreq_jupyter.model import Join

__all__ = ["join_sources"]

_NAMED = 5


def join_sources(frame: pd.DataFrame, join: Join, positions: Sequence[int], notes: list[str]) -> pd.DataFrame:
    """Return the frame with the rows of its sources in front.

    Args:
        frame: Columns of the answers.
        join: The sources, and which of their rows each request was made from.
        positions: Place in the plan of each row of the frame.
        notes: Gets a line that names renamed columns.
    """
    rows = [join.rows_of(position) for position in positions]
    places = np.array(rows, dtype=np.intp).reshape(len(rows), len(join.tables))
    parts = [_part(name, value, places[:, k]) for k, (name, value) in enumerate(join.tables)]
    index = _index([part.index for part in parts[: 1 if join.zipped else None]])
    taken, renamed = set(frame.columns), []
    for part in parts:
        own = list(part.columns)
        labels = [_free(label, taken, own) for label in own]
        renamed += [f"{old} is now {new}" for old, new in zip(own, labels, strict=True) if old is not new]
        part.columns = pd.Index(labels, tupleize_cols=False)
        taken.update(labels)
    if renamed:
        more = f" and {len(renamed) - _NAMED:,} more" if len(renamed) > _NAMED else ""
        notes.append(f"input columns renamed, the names are taken: {', '.join(renamed[:_NAMED])}{more}")
    for part in (*parts, frame):
        part.index = index
    return pd.concat([*parts, frame], axis=1)


def _part(name: str | None, value: Any, places: Any) -> pd.DataFrame:
    if isinstance(value, pd.DataFrame):
        rows: pd.DataFrame = value.iloc[places]
        return rows
    if not isinstance(value, pd.Series):
        # A set of dtypes of its own would surprise: what pandas makes of a list, as everywhere.
        value = pd.Series(value if isinstance(value, range) else list(value))
    label = name or (value.name if value.name is not None else "item")
    column: pd.DataFrame = value.iloc[places].to_frame(label)
    return column


def _index(indexes: list[pd.Index[Any]]) -> pd.Index[Any]:
    if len(indexes) == 1:
        return indexes[0]
    levels = [index.get_level_values(level) for index in indexes for level in range(index.nlevels)]
    return pd.MultiIndex.from_arrays(levels)


def _free(label: Any, taken: set[Any], own: list[Any]) -> Any:
    if label not in taken:
        return label
    while label in taken or label in own:
        label = f"{label}_in"
    return label
