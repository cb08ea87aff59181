"""A column as plain values with a description, and back, exactly: the common ground of all file formats.

Plain values are None, bool, int, float and text; objects are JSON texts or trees of `frame.values`. The description is small JSON
that says which dtype they had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastreq_jupyter.frame.columns import objects
from fastreq_jupyter.frame.values import decode_value, encode_value

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Spec", "describe", "plain_values", "restore"]

Spec = dict[str, Any]
"""kind: bool, int, float, text, time, span, category, object, other; and what its dtype needs."""

_NUMPY_KINDS = {"b": "bool", "i": "int", "u": "int", "f": "float", "M": "time", "m": "span", "O": "object"}


def describe(dtype: Any) -> Spec:
    """Return the description of a dtype.

    Raises:
        TypeError: It cannot be stored; the message names it.
    """
    for fits, described in _DESCRIBERS:
        if fits(dtype):
            return described(dtype)
    return _describe_other(dtype)


def plain_values(column: Any, spec: Spec) -> list[Any]:
    """Return the values of a Series as plain ones.

    Raises:
        TypeError: An object that cannot be stored; the message names its type.
    """
    return _PLAIN.get(spec["kind"], _plain_scalars)(column, spec)


def restore(values: Any, spec: Spec) -> Any:
    """Return the array that `plain_values` was given; a numpy array of datetimes is taken as it is."""
    return _RESTORE[spec["kind"]](values, spec)


def _describe_text(dtype: Any) -> Spec:
    storage = "pyarrow" if dtype.storage.startswith("pyarrow") else "python"
    return {"kind": "text", "storage": storage, "na": "NA" if dtype.na_value is pd.NA else "nan"}


def _describe_category(dtype: Any) -> Spec:
    values = pd.Series(dtype.categories)
    inner = describe(values.dtype)
    return {"kind": "category", "inner": inner, "categories": plain_values(values, inner), "ordered": bool(dtype.ordered)}


def _describe_numpy(dtype: Any) -> Spec:
    kind = _NUMPY_KINDS[dtype.kind]
    return {"kind": kind, "unit": np.datetime_data(dtype)[0]} if kind in ("time", "span") else {"kind": kind, "dtype": dtype.name}


def _describe_other(dtype: Any) -> Spec:
    name = str(dtype)
    if name in _NULLABLE:
        return {"kind": _NULLABLE[name], "dtype": name, "nullable": True}
    try:
        known = pd.api.types.pandas_dtype(name) == dtype
    except (TypeError, ValueError, NotImplementedError):
        known = False
    if not known or isinstance(dtype, np.dtype):
        raise TypeError(name)
    return {"kind": "other", "dtype": name}


def _plain_scalars(column: Any, spec: Spec) -> list[Any]:  # noqa: ARG001 - one signature for all kinds
    return [None if gone else value for value, gone in zip(column.tolist(), column.isna(), strict=True)]


def _plain_categories(column: Any, spec: Spec) -> list[Any]:
    names = [*spec["categories"], None]
    return [names[code] for code in column.array.codes]


def _plain_times(column: Any, spec: Spec) -> list[Any]:
    zoned = spec.get("zone") is not None
    naive = column.array.tz_convert("UTC").tz_localize(None) if zoned else column.array
    texts = np.datetime_as_string(np.asarray(naive, dtype=f"M8[{spec['unit']}]")).tolist()
    return [None if text == "NaT" else f"{text}Z" if zoned else text for text in texts]


def _plain_spans(column: Any, spec: Spec) -> list[Any]:  # noqa: ARG001 - one signature for all kinds
    numbers = np.asarray(column.array).astype("int64").tolist()
    return [None if gone else number for number, gone in zip(numbers, column.isna(), strict=True)]


def _plain_objects(column: Any, spec: Spec) -> list[Any]:  # noqa: ARG001 - one signature for all kinds
    return [encode_value(value) for value in column.astype(object)]


def _plain_floats(column: Any, spec: Spec) -> list[Any]:
    """NaN is a value of its own in a nullable column, and the missing one in any other."""
    if spec.get("nullable"):
        array = column.array
        numbers, missing = array.to_numpy("float64", na_value=0.0), array.isna() & ~_holds_nan(array)
    else:
        numbers = np.asarray(column.array, dtype="float64")
        missing = np.isnan(numbers)
    pairs = zip(numbers.tolist(), missing.tolist(), strict=True)
    return [None if gone else value if -np.inf < value < np.inf else repr(value) for value, gone in pairs]


def _holds_nan(array: Any) -> Any:
    # pandas can hold NaN beside NA in a FloatingArray; its public conversions tell them apart only cell by cell.
    return np.array([value is not pd.NA and bool(np.isnan(value)) for value in array], dtype=bool)


def _restore_scalars(values: Any, spec: Spec) -> Any:
    return pd.array(values, dtype=spec["dtype"]) if spec.get("nullable") else np.array(values, dtype=spec["dtype"])


def _restore_floats(values: Any, spec: Spec) -> Any:
    numbers = np.array([np.nan if value is None else float(value) for value in values], dtype=spec["dtype"].lower())
    if not spec.get("nullable"):
        return numbers
    return pd.arrays.FloatingArray(numbers, np.array([value is None for value in values], dtype=bool))


def _restore_time(values: Any, spec: Spec) -> Any:
    unit, zone = spec["unit"], spec.get("zone")
    if not isinstance(values, np.ndarray):
        values = np.array(["NaT" if text is None else text.removesuffix("Z") for text in values], dtype=f"M8[{unit}]")
    moments = pd.DatetimeIndex(values.astype(f"M8[{unit}]"))
    return (moments if zone is None else moments.tz_localize("UTC").tz_convert(zone)).array


def _restore_category(values: Any, spec: Spec) -> Any:
    names = pd.Index(restore(spec["categories"], spec["inner"]), dtype=object if spec["inner"]["kind"] == "object" else None)
    codes = {_key(name): code for code, name in enumerate(spec["categories"])}
    places = np.array([-1 if value is None else codes[_key(value)] for value in values], dtype="int64")
    return pd.Categorical.from_codes(places, dtype=pd.CategoricalDtype(names, ordered=spec["ordered"]))


def _restore_spans(values: Any, spec: Spec) -> Any:
    missing = np.iinfo(np.int64).min
    return pd.array(np.array([missing if value is None else value for value in values], "int64").view(f"m8[{spec['unit']}]"))


def _restore_objects(values: Any, spec: Spec) -> Any:  # noqa: ARG001 - one signature for all kinds
    return objects([decode_value(value) for value in values])


def _key(value: Any) -> Any:
    return repr(value) if isinstance(value, (dict, list)) else value


def _text_dtype(spec: Spec) -> Any:
    storage = spec["storage"]
    if storage == "pyarrow":
        try:
            import pyarrow as _  # noqa: F401, ICN001, PLC0415 - an extra: without it texts are stored as Python's
        except ImportError:
            storage = "python"
    if spec["na"] == "NA":
        return pd.StringDtype(storage)
    try:
        return pd.StringDtype(storage, na_value=np.nan)
    except TypeError:
        # pandas 2.2
        return pd.StringDtype("pyarrow_numpy") if storage == "pyarrow" else np.dtype(object)


_NULLABLE = dict.fromkeys(("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"), "int") | {
    "boolean": "bool",
    "Float32": "float",
    "Float64": "float",
}
_DESCRIBERS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Spec]], ...] = (
    (lambda dtype: isinstance(dtype, pd.StringDtype), _describe_text),
    (lambda dtype: isinstance(dtype, pd.CategoricalDtype), _describe_category),
    (lambda dtype: isinstance(dtype, pd.DatetimeTZDtype), lambda dtype: {"kind": "time", "unit": dtype.unit, "zone": str(dtype.tz)}),
    (lambda dtype: isinstance(dtype, np.dtype) and dtype.kind in _NUMPY_KINDS, _describe_numpy),
)
_PLAIN: dict[str, Callable[[Any, Spec], list[Any]]] = {
    "category": _plain_categories,
    "time": _plain_times,
    "span": _plain_spans,
    "object": _plain_objects,
    "other": _plain_objects,
    "float": _plain_floats,
}
_RESTORE: dict[str, Callable[[Any, Spec], Any]] = {
    "bool": _restore_scalars,
    "int": _restore_scalars,
    "float": _restore_floats,
    "text": lambda values, spec: pd.array(values, dtype=_text_dtype(spec)),
    "category": _restore_category,
    "time": _restore_time,
    "span": _restore_spans,
    "object": _restore_objects,
    "other": lambda values, spec: pd.array([decode_value(value) for value in values], dtype=spec["dtype"]),
}
