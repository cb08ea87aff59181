"""Ties each placeholder to its value: the row, the cell's variables, named requests, the notebook, in this order.

Cell variables are put in as text, so that what stands in them is encoded by the place where they are used.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from fastreq_jupyter.cell.fill.dynamic import SECRET_CALLS, Surroundings, check_call, make
from fastreq_jupyter.cell.fill.lookup import LookupFailed, answer_reader, near, offered, path_between, walk
from fastreq_jupyter.cell.syntax import DynamicCall, Keys, OpenRange, Parts, Placed, Placeholder, Range, Ref, Variable, VarText
from fastreq_jupyter.cell.template import read_range
from fastreq_jupyter.values import NoPlaceError, is_missing, json_of, plain, text_of, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from fastreq_jupyter.cell.rows import Rows
    from fastreq_jupyter.errors import CellSyntaxError
    from fastreq_jupyter.model import Outcome

Origin = Literal["row", "notebook", "dynamic", "secret", "chain"]
Check = Literal["text", "header", "basic", "json"]
"""What a value must pass: have a text, fit into a field line, into credentials that are encoded, have a JSON form."""

MisfitKind = Literal["missing", "type", "url", "file"]

LARGEST = 20_000_000
"""Most characters that cell variables may grow to, all uses together: one that doubles another thirty times is refused."""


@dataclass(slots=True)
class Env:
    """What one row is filled with.

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
    """A placeholder and the way to its value.

    Attributes:
        placeholder: As it was written.
        origin: Where the value comes from; "row" and "chain" differ from row to row.
        get: Gives the value; raises LookupFailed where it is not there.
        parent: Named request that it waits for.
        sensitive: What it inserts must be shown as ``***``.
        sources: Numbers of the ``--each`` sources it reads.
        column: Column of the source whose values it takes as they stand.
        in_userinfo: Stands before the "@" of a URL.
    """

    placeholder: Placeholder
    origin: Origin
    get: Callable[[Env], Any]
    parent: str | None = None
    sensitive: bool = False
    sources: frozenset[int] = frozenset()
    column: str | None = None
    in_userinfo: bool = False


BoundPart = str | Bound | Range
BoundParts = tuple[BoundPart, ...]


class MisfitError(Exception):
    """A value that does not fit its place.

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

    def of_cell(self, at: Placed) -> CellSyntaxError:
        """Return the error of the cell, at the placeholder or, where the whole is to blame, at `at`."""
        return (at if self.bound is None else self.bound.placeholder).error(self.detail)


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
            raise MisfitError("missing", f"{bound.placeholder.shown} is {_missing_name(value)}", bound)
        try:
            value = text_of(value)
        except NoPlaceError as error:
            raise MisfitError("type", f"{bound.placeholder.shown} is a {type_name(value)}: {error}", bound) from None
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
        raise MisfitError("type", f"{bound.placeholder.shown} is a {type_name(value)}: {error}", bound) from None
    except RecursionError:
        raise MisfitError("type", f"{bound.placeholder.shown} is nested too deeply", bound) from None
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
        raise MisfitError("type", f"{bound.placeholder.shown} holds half a character (a lone surrogate)", bound) from None


def _missing_name(value: Any) -> str:
    return {"NAType": "NA", "NaTType": "NaT", "NoneType": "None"}.get(type_name(value), "NaN")


def shown_as(bound: Bound | None) -> str:
    """Return a placeholder as messages show it."""
    return "the value" if bound is None else bound.placeholder.shown


class Binder:
    """The names of one cell, to which its placeholders are tied.

    Args:
        variables: The cell's variables, in the order of the text.
        labels: Names of the cell's requests -> their line.
        rows: The ``--each`` sources.
        namespace: The notebook's variables; only looked up.
        surroundings: What dynamic values are read from.

    Raises:
        CellSyntaxError: Variables that need each other.
    """

    def __init__(
        self,
        variables: Mapping[str, Variable],
        labels: Collection[str],
        rows: Rows,
        namespace: Mapping[str, Any],
        surroundings: Surroundings,
    ) -> None:
        self._all = variables
        self._labels = labels
        self._rows = rows
        self._namespace = namespace
        self._surroundings = surroundings
        self._expanded: dict[str, Parts] = {}
        self._spent = 0
        for name, variable in variables.items():
            expanded = self._expand(variable.parts, whole=True, owner=variable)
            self._expanded[name] = tuple(_made_once(part) for part in expanded)

    def bind(self, parts: Parts) -> BoundParts:
        """Return the parts with every placeholder tied to its value.

        Raises:
            CellSyntaxError: A name that is not there, or may not be read.
        """
        return tuple(self._bound(part) for part in self._expand(parts, whole=False))

    def _bound(self, part: Any) -> BoundPart:
        if isinstance(part, OpenRange):
            return self._range(part)
        return self._bind(part) if isinstance(part, Placeholder) else part

    def _range(self, part: OpenRange) -> Range:
        texts = ["".join(self._constant(bound, part) for bound in self.bind(parts)) for parts in part.bounds]
        for text in texts:
            if not (text.isascii() and text.isdigit()):
                raise part.error(f"{text[:30]!r} is no bound of a range: a whole number from 0")
        return read_range("-".join(texts[:2]) + "".join(f":{step}" for step in texts[2:]), part)

    @staticmethod
    def _constant(bound: BoundPart, at: OpenRange) -> str:
        if not isinstance(bound, Bound):
            return str(bound)
        if bound.origin != "notebook":
            raise at.error(f"{shown_as(bound)} bounds a range, so it must be the same for every row")
        try:
            return text_in(bound, Env())
        except MisfitError as error:
            raise at.error(error.detail) from None

    def _expand(self, parts: Parts, *, whole: bool, owner: Variable | None = None) -> Parts:
        if all(isinstance(part, str) for part in parts):
            return parts
        expanded: list[Any] = []
        for part in parts:
            name = self._variable_of(part)
            if name is None:
                expanded.append(part)
                continue
            assert isinstance(part, Placeholder)  # noqa: S101 - only placeholders name a variable
            added = self._put_in(part, name, owner, alone=whole and len(parts) == 1)
            self._spent += sum(64 + (len(added_part) if isinstance(added_part, str) else 0) for added_part in added)
            if self._spent > LARGEST:
                raise part.error(f"the cell's variables grow to more than {LARGEST:,} characters")
            expanded += added
        return tuple(expanded)

    def _variable_of(self, part: Any) -> str | None:
        if not isinstance(part, Placeholder) or not isinstance(part.expression, Ref):
            return None
        keys = part.expression.keys
        name = str(keys[0])
        if name not in self._all and len(keys) > 1 and all(isinstance(key, str) for key in keys):
            name = ".".join(str(key) for key in keys)
        return name if name in self._all and not self._rows.has(str(keys[0])) else None

    def _put_in(self, part: Placeholder, name: str, owner: Variable | None, *, alone: bool) -> list[Any]:
        if name not in self._expanded:
            raise part.error(self._why_later(name, owner))
        inner = self._expanded[name]
        assert isinstance(part.expression, Ref)  # noqa: S101 - checked by _variable_of
        rest = part.expression.keys[1:] if part.expression.keys[0] == name else ()
        if len(inner) == 1 and isinstance(inner[0], Placeholder) and (rest or alone or isinstance(inner[0].expression, Ref)):
            return [_continued(inner[0], part, rest)]
        if rest:
            raise part.error(f"{part.shown}: @{name} is text and has no {rest[0]!r}")
        return [_as_variable(inner_part, raw=part.raw) for inner_part in inner]

    def _why_later(self, name: str, owner: Variable | None) -> str:
        if owner is None:  # pragma: no cover - all variables are known once the requests are bound
            return f"@{name} is not known"
        if path := path_between(name, owner.name, lambda name: _variables_in(self._all[name].parts, self._all)):
            return "variables need each other: " + " -> ".join([owner.name, *path])
        return f"@{name} is defined further below, line {self._all[name].line}: put it above"

    def _bind(self, part: Placeholder) -> Bound:
        try:
            expression = part.expression
            return self._bind_call(part, expression) if isinstance(expression, DynamicCall) else self._bind_ref(part, expression)
        except LookupFailed as error:
            raise part.error(str(error) if part.verbatim else f"{part.shown}: {error}") from None

    def _bind_ref(self, part: Placeholder, ref: Ref) -> Bound:
        name = str(ref.keys[0])
        if name.startswith("_"):
            raise LookupFailed(f"{name[:40]}: names with a leading underscore are not read")
        if (column := self._rows.reader(ref)) is not None:
            read = column.read
            return Bound(part, "row", lambda env: read(env.rows), sources=frozenset((column.source,)), column=column.column)
        if name in self._labels:
            read_answer = answer_reader(ref)
            return Bound(part, "chain", lambda env: read_answer((env.outcomes or {})[name]), parent=name)
        if name not in self._namespace and self._rows.size == 0:
            return Bound(part, "row", lambda _env: None, sources=frozenset(range(len(self._rows.tables))))
        if name not in self._namespace:
            raise LookupFailed(self._nothing(name))
        value = walk(self._namespace[name], ref.keys[1:], name)
        return Bound(part, "notebook", lambda _env: value)

    def _bind_call(self, part: Placeholder, call: DynamicCall) -> Bound:
        name = check_call(call)
        if name in SECRET_CALLS:
            value = self._secret(name, call)
            return Bound(part, "secret", lambda _env: value, sensitive=True)
        create: Callable[[Env], Any] = lambda _env: make(call, self._surroundings)  # noqa: E731 - one of two ways
        if not part.once:
            return Bound(part, "dynamic", create)
        place = (part.line, part.column)
        return Bound(part, "dynamic", lambda env: env.once[place] if place in env.once else env.once.setdefault(place, create(env)))

    def _secret(self, name: str, call: DynamicCall) -> Any:
        variable = call.args[0]
        if name == "secret" and isinstance(self._namespace.get(variable), str) and not variable.startswith("_"):
            return self._namespace[variable]
        return make(call, self._surroundings)

    def _nothing(self, name: str) -> str:
        if "(" in name or any(sign in name for sign in "+*/|=<>"):
            return "names are looked up, nothing is evaluated: compute it in Python first and name the result"
        values = [variable for variable, value in self._namespace.items() if _is_value(variable, value)]
        candidates = [*self._rows.names(), *self._all, *self._labels, *values]
        where = "the cell or the notebook"
        if self._rows.sources:
            # Without a notebook to search (df.fastreq.get) the message does not name one.
            where = "the row, the cell or the notebook" if self._namespace else "the row or the cell"
        columns = [name for name in self._rows.names() if name != "index"]
        braces = "; \\{{ is for the braces themselves"
        hint = near(name, candidates) or (f"; the row has {offered(columns)}" if columns else braces)
        return f"nothing in {where} is named {name[:60]!r}{hint}"


def _is_value(name: str, value: Any) -> bool:
    """Tell whether a variable of the notebook is worth offering: a function or a module has no text."""
    return not str(name).startswith("_") and not callable(value) and not isinstance(value, ModuleType)


def _made_once(part: Any) -> Any:
    return replace(part, once=True) if isinstance(part, Placeholder) and isinstance(part.expression, DynamicCall) else part


def _continued(inner: Placeholder, outer: Placeholder, rest: Keys) -> Placeholder:
    if not rest:
        return replace(inner, raw=inner.raw or outer.raw)
    if isinstance(inner.expression, DynamicCall):
        raise outer.error(f"{outer.shown}: a dynamic value has no {rest[0]!r}")
    return Placeholder(Ref((*inner.expression.keys, *rest)), outer.text, outer.line, outer.column, raw=outer.raw)


def _as_variable(part: Any, *, raw: bool) -> BoundPart | Placeholder:
    if isinstance(part, str):
        return VarText(part, raw=raw or (isinstance(part, VarText) and part.raw))
    if isinstance(part, Placeholder) and raw:
        return replace(part, raw=True)
    return part  # type: ignore[no-any-return] # a part of a template by now


def _variables_in(parts: Parts, variables: Mapping[str, Variable]) -> Iterator[str]:
    """Give the names of variables that stand in parts."""
    for part in parts:
        if isinstance(part, Placeholder) and isinstance(part.expression, Ref) and (name := str(part.expression.keys[0])) in variables:
            yield name
