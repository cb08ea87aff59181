"""The shop as GraphQL: as much of the language as examples need (fields, aliases, arguments, variables), and no schema to ask for."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastreq_jupyter.demo.shop import Record, Shop

__all__ = ["answer"]

_TOKEN = re.compile(r'\.\.\.|[!$():=@\[\]{|}]|"(?:[^"\\\n]|\\.)*"|-?[0-9][0-9.eE+-]*|[A-Za-z_]\w*')
_COMMENT = re.compile(r"#[^\n]*")
_MOST = 100


class _Field(NamedTuple):
    """A field that was asked for."""

    shown: str
    name: str
    arguments: dict[str, Any]
    inner: list[_Field] | None


class _GraphError(ValueError):
    """Something that was asked for cannot be answered."""


def answer(shop: Shop, body: Any) -> dict[str, Any]:
    """Return the answer to a body ``{"query": ..., "variables": ...}``: data, errors, or both."""
    try:
        query, variables = body["query"], body.get("variables") or {}
        kind, fields = _Parser(query, variables).document()
    except (_GraphError, LookupError, TypeError, AttributeError) as error:
        return {"errors": [{"message": f"the document cannot be read: {error}"}]}
    roots = _MUTATIONS if kind == "mutation" else _QUERIES
    data: dict[str, Any] = {}
    errors: list[dict[str, Any]] = []
    for field in fields:
        data[field.shown] = None
        try:
            if field.name not in roots:
                return {"errors": [{"message": f"Cannot query field {field.name!r}: there are {', '.join(roots)}"}]}
            data[field.shown] = _picked(roots[field.name](shop, **field.arguments), field)
        except (_GraphError, TypeError) as error:
            errors.append({"message": str(error), "path": [field.shown]})
    return {"data": data, "errors": errors} if errors else {"data": data}


class _Parser:
    """The tokens of a document, one after the other."""

    def __init__(self, query: str, variables: Mapping[str, Any]) -> None:
        self._tokens: list[str] = [*_TOKEN.findall(_COMMENT.sub("", query)), ""]
        self._variables = variables
        self._at = 0

    def document(self) -> tuple[str, list[_Field]]:
        """Return what is asked for, and the fields of the first operation."""
        kind = self._next() if self._tokens[0] in ("query", "mutation") else "query"
        while self._tokens[self._at] != "{":
            # Skips the names and types of the variables; the values are enough.
            if not self._next():
                message = "there is no { to begin the fields"
                raise _GraphError(message)
        return kind, self._fields()

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _fields(self) -> list[_Field]:
        self._next()
        fields = []
        while self._tokens[self._at] not in ("}", ""):
            shown = name = self._next()
            if self._tokens[self._at] == ":":
                self._next()
                name = self._next()
            arguments = self._arguments() if self._tokens[self._at] == "(" else {}
            fields.append(_Field(shown, name, arguments, self._fields() if self._tokens[self._at] == "{" else None))
        self._next()
        return fields

    def _arguments(self) -> dict[str, Any]:
        self._next()
        arguments = {}
        while self._tokens[self._at] not in (")", ""):
            name = self._next()
            self._next()
            value = self._next()
            arguments[name] = self._variables.get(self._next()) if value == "$" else json.loads(value)
        self._next()
        return arguments


def _picked(value: Any, field: _Field) -> Any:
    if field.inner is None or value is None:
        return value
    if isinstance(value, list):
        return [_picked(item, field) for item in value]
    return {inner.shown: _picked(value.get(inner.name), inner) for inner in field.inner}


def _customer(shop: Shop, id: Any) -> Record:  # noqa: A002 - the argument's name
    record = shop.customers.get(int(id))
    if record is None:
        message = f"there is no customer {id}"
        raise _GraphError(message)
    return {**record, "orders": shop.orders_of(record["id"])}


def _customers(shop: Shop, first: int = 20, after: str | None = None) -> dict[str, Any]:
    """Return one page as a connection: nodes, and a cursor for the next page."""
    start = int(after or 0)
    records = list(shop.customers.values())
    nodes = records[start : start + min(first, _MOST)]
    end = start + len(nodes)
    return {"totalCount": len(records), "nodes": nodes, "pageInfo": {"hasNextPage": end < len(records), "endCursor": str(end)}}


def _add_note(_: Shop, customer: Any, text: str) -> dict[str, Any]:
    return {"customer": customer, "text": text}


_QUERIES: Mapping[str, Callable[..., Any]] = {"customer": _customer, "customers": _customers}
_MUTATIONS: Mapping[str, Callable[..., Any]] = {"addNote": _add_note}
