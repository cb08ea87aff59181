"""JMESPath for ``--select`` and ``--expand``: checked before anything is sent, searched row by row afterwards.

An expression is about the body. At its root the name ``headers`` means the fields of the response (any case, dashes in
quotes: ``headers."x-total"``); a member of the body with that name is ``@.headers``.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from jmespath.visitor import TreeInterpreter

from fastreq_jupyter.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Selection", "check_expression"]

_LONGEST = 10_000
# Which children of a node are evaluated on what the node itself is evaluated on (JMESPath specification, grammar).
_ALL = frozenset({"multi_select_list", "multi_select_dict", "key_val_pair", "or_expression", "and_expression", "not_expression",
                  "comparator", "function_expression", "flatten"})  # fmt: skip
_FIRST = frozenset({"subexpression", "index_expression", "projection", "value_projection", "filter_projection", "pipe"})

Node = dict[str, Any]


class Selection:
    """Search bodies with one expression.

    Args:
        text: JMESPath.
        option: Name of the option it came by, for the error line.

    Attributes:
        text: The expression.
        reads_headers: True where it needs the response's fields.

    Raises:
        OptionError: It is no JMESPath, or calls an unknown function; one line.
    """

    def __init__(self, text: str, option: str = "select") -> None:
        self.text = text
        tree = _parse(text, option)
        self._tree = _with_headers(tree)
        self.reads_headers = any(node["type"] == "response_headers" for node in _walk(self._tree))
        self._interpreter = _Interpreter()

    def search(self, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        """Return what is selected, None where nothing is.

        Raises:
            ValueError: The expression cannot be applied to this body; the message says why in one line.
        """
        self._interpreter.headers = None if headers is None else _Fields(headers)
        try:
            return self._interpreter.visit(self._tree, body)
        except (JMESPathError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError) as error:
            message = " ".join(str(error).split())[:200] or type(error).__name__
            raise ValueError(message) from None


def check_expression(text: str, option: str = "select") -> None:
    """Refuse what is no JMESPath, before anything is sent.

    Raises:
        OptionError: One line naming option, expression, column and cause.
    """
    Selection(text, option)


class _Fields(dict[str, str]):
    """Look field names up in any case."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__({name.lower(): value for name, value in fields.items()})

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key.lower(), default)


class _Interpreter(TreeInterpreter):  # type: ignore[misc] # the library has no types
    """Know one node more: the fields of the response."""

    def __init__(self) -> None:
        super().__init__()
        self.headers: _Fields | None = None

    def visit_response_headers(self, node: Node, value: Any) -> Any:  # noqa: ARG002 - the visitor's signature
        return self.headers


def _parse(text: str, option: str) -> Node:
    shown = text if len(text) <= 80 else text[:77] + "..."  # noqa: PLR2004 - one line
    if len(text) > _LONGEST:
        raise OptionError(f"{option}={shown!r} is too long: at most {_LONGEST} characters")
    try:
        tree: Node = jmespath.compile(text).parsed
    except (JMESPathError, RecursionError, ValueError) as error:
        raise OptionError(f"{option}={shown!r} is no JMESPath{_reason(text, error)}") from None
    for node in _walk(tree):
        if node["type"] == "function_expression":
            _check_call(node, f"{option}={shown!r}")
    return tree


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


def _check_call(node: Node, where: str) -> None:
    name, given = node["value"], len(node["children"])
    known = Functions.FUNCTION_TABLE
    if name not in known:
        near = get_close_matches(name, list(known), n=1)
        raise OptionError(f"{where}: JMESPath has no function {name}()" + (f": did you mean {near[0]}()?" if near else ""))
    signature = known[name]["signature"]
    open_ended = bool(signature) and signature[-1].get("variadic")
    if given < len(signature) or (given > len(signature) and not open_ended):
        raise OptionError(f"{where}: {name}() takes {len(signature)} argument{'s' * (len(signature) != 1)}, not {given}")


def _walk(node: Node) -> Iterator[Node]:
    stack = [node]
    while stack:
        one = stack.pop()
        yield one
        stack += [child for child in one.get("children", ()) if isinstance(child, dict)]


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
