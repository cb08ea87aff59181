"""Columns of fixed dtype from plain lists: the dtype never depends on the content, nor on what is installed.

Text is ``string[python]`` with NA: the same with and without pyarrow, and with pandas 2 and 3. ``str`` and a bare ``string``
would be stored differently from machine to machine.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastreq_jupyter.options import COLUMN_SETS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OWN = frozenset({"data", *COLUMN_SETS["all"]})
"""Names that no field of an answer takes, whether the columns are shown or not."""
TEXT = pd.StringDtype("python")
INSTANT = pd.DatetimeTZDtype("us", UTC)
OTHER_METHOD = "other"
# RFC 9110, 5789, 9205 and common WebDAV methods: a fixed list, so that concat keeps the dtype.
_METHODS = "GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT QUERY PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT SEARCH PURGE"
METHOD = pd.CategoricalDtype([*_METHODS.split(" "), OTHER_METHOD])
HTTP_VERSION = pd.CategoricalDtype(["1.0", "1.1", "2", "3"])
CACHED = pd.CategoricalDtype(["fresh", "revalidated"])
_SURROGATE = re.compile("[\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Return the text with lone surrogates as U+FFFD: no encoding can store them, one of them would lose the whole column."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def texts(values: Sequence[str | None], *, clean: bool = False, whole: bool = False) -> Any:
    """Return a ``string[python]`` array; None becomes NA, lone surrogates U+FFFD.

    Args:
        values: Texts in order.
        clean: True where the caller knows that there are no surrogates.
        whole: True where it knows that there is no None.
    """
    if not clean and not "".join(filter(None, values)).isascii():
        values = [text if text is None else clean_text(text) for text in values]
    array = np.fromiter(values, object, len(values))
    if not whole:
        array[array == None] = pd.NA  # noqa: E711 - compares element by element
    return pd.array(array, dtype=TEXT, copy=False)


def sparse_texts(places: Any, values: Sequence[str], length: int) -> Any:
    """Return a ``string[python]`` array with texts at a few places, NA elsewhere; lone surrogates become U+FFFD."""
    picks = np.full(length, -1)
    picks[places] = np.arange(len(values))
    return _picked([clean_text(text) for text in values], picks)


def repeated_texts(values: Sequence[Any], text_of: Mapping[Any, str | None]) -> Any:
    """Return a ``string[python]`` array of few texts that come again and again; lone surrogates become U+FFFD.

    Args:
        values: Keys of `text_of`, in order.
        text_of: The text of each; None becomes NA.
    """
    shown = {value: clean_text(text) for value, text in text_of.items() if text is not None}
    place_of = dict(zip(shown, range(len(shown)), strict=True))
    return _picked(list(shown.values()), np.array([place_of.get(value, -1) for value in values], dtype=np.intp))


def _picked(shown: list[str], picks: Any) -> Any:
    """Return the texts at these places, NA where the place is -1. To look at each text of a column takes pandas ten times as long."""
    return pd.array(np.fromiter(shown, object, len(shown)), dtype=TEXT, copy=False).take(picks, allow_fill=True)


def integers(values: Any, dtype: str, missing: Any = None) -> Any:
    """Return a nullable integer array (``Int16``, ``UInt8`` ...).

    Args:
        values: Sequence of numbers; None becomes NA.
        dtype: Name of the pandas dtype.
        missing: Mask, bool, of the places that are NA whatever stands there; then no value may be None.
    """
    numpy_dtype = np.dtype(dtype.lower())
    if missing is None:
        missing = np.array([value is None for value in values], dtype=bool)
        values = [value or 0 for value in values]
    return pd.arrays.IntegerArray(np.array(values, dtype=numpy_dtype), missing)


def floats(values: Sequence[float], scale: float = 1.0) -> Any:
    """Return a float64 array, each value times `scale`."""
    array = np.array(values, dtype=np.float64)
    return array if scale == 1.0 else array * scale


def instants(values: Sequence[datetime | None]) -> Any:
    """Return a ``datetime64[us, UTC]`` array from aware datetimes; None becomes NaT."""
    try:
        # Two roundings of half a unit in the last place stay below half a microsecond until the year 2112.
        micros = np.rint(np.fromiter(map(datetime.timestamp, values), np.float64, len(values)) * 1e6).astype(np.int64)  # type: ignore[arg-type] # the except is for None
    except TypeError:
        nat = np.iinfo(np.int64).min
        micros = np.array([nat if moment is None else round(moment.timestamp() * 1e6) for moment in values], dtype=np.int64)
    return pd.array(micros.view("M8[us]"), dtype=INSTANT)


def categories(values: Sequence[str | None], dtype: Any, other: str | None = None) -> Any:
    """Return a categorical with the fixed list of `dtype`.

    Args:
        values: Texts; None becomes NA.
        dtype: The CategoricalDtype.
        other: Category of a text that is not in the list; None makes it NA.
    """
    codes = {name: code for code, name in enumerate(dtype.categories)} | {None: -1}
    other_code = codes.get(other, -1)
    if values and values.count(values[0]) == len(values):
        places = np.full(len(values), codes.get(values[0], other_code), dtype=np.int8)
    else:
        places = np.array([codes.get(value, other_code) for value in values], dtype=np.int8)
    return pd.Categorical.from_codes(places, dtype=dtype)


def objects(values: Sequence[Any]) -> Any:
    """Return a Series of dtype object that keeps every value as it is (pandas would guess a dtype from a list of texts)."""
    return pd.Series(np.fromiter(values, object, len(values)), dtype=object, copy=False)
