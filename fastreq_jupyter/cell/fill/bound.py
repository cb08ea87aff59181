"""Placeholders tied to where their values come from, and what is known while one row is filled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from fastreq_jupyter.cell.fill.lookup import LookupFailed
from fastreq_jupyter.cell.fill.values import NoPlaceError, is_missing, json_of, plain, text_of, type_name
from fastreq_jupyter.cell.syntax import Placeholder, Range, VarText

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastreq_jupyter.model import Outcome

__all__ = ["Bound", "BoundPart", "BoundParts", "Check", "Env", "MisfitError", "Origin", "json_in", "shown_as", "text_in", "value_in"]

Origin = Literal["row", "notebook", "dynamic", "secret", "chain"]
Check = Literal["text", "header", "json"]
"""What a value must pass: have a text, fit into a field line, have a JSON form."""

MisfitKind = Literal["missing", "type", "url", "file"]


@dataclass(slots=True)
class Env:
    """Hold what one row is filled with.

    Attributes:
        rows: For each source the position of its row.
        outcomes: Answers of named requests, None while they are not there.
        once: Dynamic values of cell variables, shared by the whole plan.
        secrets: Gets each secret text that was inserted.
        fixed: Put 0 in place of every value made anew each time (``$uuid``, ``$timestamp``, ``$randomInt``).
    """

    rows: tuple[int, ...] = ()
    outcomes: Mapping[str, Outcome] | None = None
    once: dict[Any, Any] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    fixed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """Hold a placeholder and the way to its value.

    Attributes:
        placeholder: As it was written.
        origin: Where the value comes from; "row" and "chain" differ from row to row.
        get: Gives the value; raises LookupFailed where it is not there.
        parent: Named request that it waits for.
        sensitive: What it inserts must be shown as ``***``.
        sources: Numbers of the ``--each`` sources it reads.
        column: Column of the source whose values it takes as they stand.
    """

    placeholder: Placeholder
    origin: Origin
    get: Callable[[Env], Any]
    parent: str | None = None
    sensitive: bool = False
    sources: frozenset[int] = frozenset()
    column: str | None = None


BoundPart = str | VarText | Bound | Range
BoundParts = tuple[BoundPart, ...]


class MisfitError(Exception):
    """Report a value that does not fit its place.

    Args:
        kind: "missing" (NaN and the like), "type", "url" (the result is no URL), "file".
        detail: One clause, without secrets.
        bound: The placeholder, None where the whole is to blame.
    """

    def __init__(self, kind: MisfitKind, detail: str, bound: Bound | None = None) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.bound = bound


def text_in(bound: Bound, env: Env) -> str:
    """Return the text of a placeholder's value.

    Raises:
        MisfitError: The value is missing, or has no text.
    """
    if bound.parent is not None and env.outcomes is None:
        return f"{{{{{bound.placeholder.text}}}}}"
    value = value_in(bound, env)
    if type(value) is not str:
        if is_missing(plain(value)):
            raise MisfitError("missing", _named(bound, f"is {_missing_name(value)}"), bound)
        try:
            value = text_of(value)
        except NoPlaceError as error:
            raise MisfitError("type", _named(bound, f"is a {type_name(value)}: {error}"), bound) from None
    if not value.isascii():
        _check_surrogates(value, bound)
    if bound.sensitive and value:
        env.secrets.add(value)
    return value


def json_in(bound: Bound, env: Env) -> str:
    """Return a placeholder's value as JSON text.

    Raises:
        MisfitError: JSON has no form for it.
    """
    if bound.parent is not None and env.outcomes is None:
        return f"{{{{{bound.placeholder.text}}}}}"
    value = value_in(bound, env)
    try:
        text = json_of(value)
    except NoPlaceError as error:
        raise MisfitError("type", _named(bound, f"is a {type_name(value)}: {error}"), bound) from None
    except RecursionError:
        raise MisfitError("type", _named(bound, "is nested too deeply"), bound) from None
    if not text.isascii():
        _check_surrogates(text, bound)
    if bound.sensitive and value:
        env.secrets.add(value if isinstance(value, str) else text)
    return text


def value_in(bound: Bound, env: Env) -> Any:
    """Return a placeholder's value.

    Raises:
        MisfitError: It is not there in this row.
    """
    if env.fixed and bound.origin == "dynamic":
        return 0
    try:
        return bound.get(env)
    except LookupFailed as error:
        raise MisfitError("missing", str(error), bound) from None


def _check_surrogates(text: str, bound: Bound) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise MisfitError("type", _named(bound, "holds half a character (a lone surrogate)"), bound) from None


def _named(bound: Bound, what: str) -> str:
    return f"{{{{{bound.placeholder.text[:80]}}}}} {what}"


def _missing_name(value: Any) -> str:
    return {"NAType": "NA", "NaTType": "NaT", "NoneType": "None"}.get(type_name(value), "NaN")


def shown_as(bound: Bound | None) -> str:
    """Return a placeholder as messages show it."""
    return "the value" if bound is None else f"{{{{{bound.placeholder.text[:80]}}}}}"
