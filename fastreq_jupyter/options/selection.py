"""JMESPath for ``--select`` and ``--expand``: checked before anything is sent, searched row by row afterwards.

Three functions more than JMESPath has: ``items(@)`` of an object keyed by id or date, ``table(@)`` of an object of equally long
lists, ``header(@)`` of a list whose first row names the columns; each gives a list of objects.

An expression is about the body. At its root the name ``headers`` means the fields of the response (any case, dashes in
quotes: ``headers."x-total"``); a member of the body with that name is ``@.headers``.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions, signature
from jmespath.visitor import TreeInterpreter

from fastreq_jupyter.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LONGEST = 10_000
_TESTS = frozenset({"contains", "starts_with", "ends_with"})
# Children that are evaluated on the same value as their node (JMESPath specification, grammar).
_ALL = frozenset({"multi_select_list", "multi_select_dict", "key_val_pair", "or_expression", "and_expression", "not_expression",
                  "comparator", "function_expression", "flatten"})  # fmt: skip
_FIRST = frozenset({"subexpression", "index_expression", "projection", "value_projection", "filter_projection", "pipe"})

Node = dict[str, Any]


class Selection:
    """One expression, with which bodies are searched.

    Args:
        text: JMESPath.
        option: Name of the option it came by, for the error line.

    Attributes:
        text: The expression.
        option: Name of the option.
        reads_headers: True where it needs the response's fields.

    Raises:
        OptionError: It is no JMESPath, or calls an unknown function; one line.
    """

    def __init__(self, text: str, option: str = "select") -> None:
        self.text = text
        self.option = option
        tree = _parse(text, option)
        self._tree = _with_headers(tree)
        self.reads_headers = any(node["type"] == "response_headers" for node in _walk(self._tree))
        self._interpreter = _Interpreter()

    @property
    def compares(self) -> bool:
        """Tell whether what it finds is true or false, not a value of the body."""
        return _compares(self._tree)

    def search(self, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        """Return what is selected, None where nothing is.

        Raises:
            ValueError: The expression cannot be applied to this body; the message says why in one line.
        """
        self._interpreter.headers = None if headers is None else _Fields(headers)
        try:
            return self._interpreter.visit(self._tree, body)
        except (JMESPathError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError) as error:
            raise ValueError(" ".join(str(error).split())[:200] or type(error).__name__) from None


def _compares(node: Node) -> bool:
    kind, children = node["type"], node["children"]
    if kind in ("or_expression", "and_expression", "pipe"):
        return all(_compares(child) for child in (children[-1:] if kind == "pipe" else children))
    return kind in ("comparator", "not_expression") or (kind == "function_expression" and node["value"] in _TESTS)


def check_expression(text: str, option: str = "select") -> None:
    """Refuse what is no JMESPath, before anything is sent.

    Raises:
        OptionError: One line naming option, expression, column and cause.
    """
    Selection(text, option)


class _Fields(dict[str, str]):
    """A mapping of field names, in any case."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__({name.lower(): value for name, value in fields.items()})

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key.lower(), default)


class _Functions(Functions):  # type: ignore[misc] # the library has no types
    """JMESPath's functions and three of ours."""

    @signature({"types": ["object"]})  # type: ignore[untyped-decorator] # jmespath has no types
    def _func_items(self, members: dict[str, Any]) -> list[dict[str, Any]]:
        """Return an object per member: its key, and its value or the value's own fields."""
        return [
            {"key": key, **value} if isinstance(value, dict) and "key" not in value else {"key": key, "value": value}
            for key, value in members.items()
        ]

    @signature({"types": ["object"]})  # type: ignore[untyped-decorator] # jmespath has no types
    def _func_table(self, columns: dict[str, Any]) -> list[dict[str, Any]]:
        """Return an object per place in the lists; what is no list is repeated."""
        lengths = {name: len(values) for name, values in columns.items() if isinstance(values, list)}
        if len(set(lengths.values())) > 1:
            shown = ", ".join(f"{name} has {length:,}" for name, length in lengths.items())
            raise ValueError(f"table() needs lists of one length: {shown}")
        return [
            {name: values[at] if name in lengths else values for name, values in columns.items()}
            for at in range(max(lengths.values(), default=1))
        ]

    @signature({"types": ["array"]})  # type: ignore[untyped-decorator] # jmespath has no types
    def _func_header(self, rows: list[Any]) -> list[dict[str, Any]]:
        """Return an object per row but the first, whose values are the names."""
        if not all(isinstance(row, list) for row in rows):
            raise ValueError("header() needs a list of lists")
        names = [str(name) for name in rows[0]] if rows else []
        if short := next((row for row in rows if len(row) > len(names)), None):
            raise ValueError(f"header() has {len(names)} names for a row of {len(short)}")
        return [dict(zip(names, row, strict=False)) for row in rows[1:]]


class _Interpreter(TreeInterpreter):  # type: ignore[misc] # the library has no types
    """JMESPath with one node more: the fields of the response."""

    def __init__(self) -> None:
        super().__init__(jmespath.Options(custom_functions=_Functions()))
        self.headers: _Fields | None = None

    def visit_response_headers(self, node: Node, value: Any) -> Any:  # noqa: ARG002 - the visitor's signature
        return self.headers


def _parse(text: str, option: str) -> Node:
    shown = text if len(text) <= 80 else text[:77] + "..."
    if len(text) > _LONGEST:
        raise _refused(option, shown, f"is too long: at most {_LONGEST} characters")
    try:
        tree: Node = jmespath.compile(text).parsed
    except (JMESPathError, RecursionError, ValueError) as error:
        raise _refused(option, shown, f"is no JMESPath{_reason(text, error)}") from None
    for node in _walk(tree):
        if node["type"] == "function_expression":
            _check_call(node, option, shown)
    return tree


def _refused(option: str, shown: str, why: str, mark: str = " ") -> OptionError:
    """Return the error; its reason does not repeat what was written."""
    return OptionError(f"{option}={shown!r}{mark}{why}", option=option, value=shown, reason=f"this{mark}{why}")


def _reason(text: str, error: BaseException) -> str:
    if text.lstrip().startswith("$"):
        return f": '$' is JSONPath; write {text.strip().removeprefix('$').lstrip('.') or '@'}"
    if not text.strip():
        return ": it is empty"
    if isinstance(error, RecursionError):
        return ": it nests too deeply"
    place, token = getattr(error, "lex_position", None), getattr(error, "token_value", None)
    where = f" at column {place + 1}" if isinstance(place, int) else ""
    return f"{where}: unexpected {token!r}" if token else f"{where}: it ends too early"


def _check_call(node: Node, option: str, shown: str) -> None:
    name, number = node["value"], len(node["children"])
    functions = _Functions.FUNCTION_TABLE
    if name not in functions:
        near = get_close_matches(name, list(functions), n=1)
        why = f"JMESPath has no function {name}()" + (f": did you mean {near[0]}()?" if near else "")
        raise _refused(option, shown, why, ": ")
    takes = functions[name]["signature"]
    open_ended = bool(takes) and takes[-1].get("variadic")
    if number < len(takes) or (number > len(takes) and not open_ended):
        why = f"{name}() takes {len(takes)} argument{'s' * (len(takes) != 1)}, not {number}"
        raise _refused(option, shown, why, ": ")


def _walk(node: Node) -> Iterator[Node]:
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        stack += [child for child in current.get("children", ()) if isinstance(child, dict)]


def _with_headers(node: Node) -> Node:
    """Return the tree with each ``headers`` that is looked up at the root as a node of its own."""
    kind, children = node["type"], node.get("children", [])
    if kind == "field" and node["value"] == "headers":
        return {"type": "response_headers", "children": []}
    if kind in _ALL:
        return {**node, "children": [_with_headers(child) for child in children]}
    if kind in _FIRST:
        return {**node, "children": [_with_headers(children[0]), *children[1:]]}
    return node
