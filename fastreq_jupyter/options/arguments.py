"""The options as keyword arguments of functions, for type checkers and for docstrings."""

from __future__ import annotations

import inspect
from enum import StrEnum
from textwrap import fill
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from fastreq_jupyter.options.table import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

__all__ = ["OptionArguments", "ReturnType", "document_options"]

F = TypeVar("F", bound="Callable[..., Any]")


class ReturnType(StrEnum):
    """What a result is; each is equal to its text."""

    DATAFRAME = "dataframe"
    POLARS = "polars"
    ARROW = "arrow"
    JSON = "json"
    TEXT = "text"
    CONTENT = "content"
    RESPONSE = "response"


class OptionArguments(TypedDict, total=False):
    """Every option that a function takes; the meanings stand in `options.TABLE`."""

    # What stands from here to the end mark is made by `make docs`: arguments
    backend: str
    concurrency: int | str
    concurrency_per_host: int | None
    rate_limit: float | str | None
    rate_limit_per_host: float | str | None
    rate_limit_burst: int
    max_retries: int
    retry_unsafe: bool
    timeout: float | str | None
    connect_timeout: float | str | None
    deadline: float | str | None
    max_failures: int | float | str | None
    check: bool | int | float | str | None
    max_body: int | str
    follow_redirects: bool
    max_redirects: int
    http2: bool | str
    http3: bool
    verify_ssl: bool | str | Path
    cert: str | tuple[str, str] | None
    proxy: str | None
    auth: Any
    refresh_on: int | str | Iterable[int]
    method: str
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None
    params: Mapping[str, Any] | Iterable[tuple[str, Any]] | None
    json: Any
    data: Any
    cookies: Mapping[str, str] | None
    keys: Iterable[Any] | None
    return_type: str
    parse: str
    fail_when: str | None
    retry_when: str | None
    until: str | None
    every: float | str | None
    patience: float | str
    parse_func: Callable[[Any], Any] | None
    return_none_on_failure: bool
    save_to: str | Path | None
    skip_existing: bool
    journal: str | Path | None
    fresh: bool
    max_age: float | str | None
    cache: float | str | None
    cache_file: str | Path
    offline: bool
    pages: bool | str | None
    max_pages: int
    total: str | None
    limit: int | None
    dedup: bool
    session: Any
    dry_run: bool
    select: str | None
    expand: bool | str | None
    explode: str | Iterable[str]
    columns: str
    to: str | Path | None
    timings: bool
    response_headers: bool
    progress: str
    loop: str
    # End of what is made.


def document_options(function: F) -> F:
    """Append the options, as the table has them, to the docstring of a function, and to the signature that Tab looks at."""
    # As deep as the other sections: the methods' docstrings are indented twice.
    margin = min(len(line) - len(line.lstrip()) for line in (function.__doc__ or "").splitlines()[1:] if line.strip())
    lines = [
        fill(
            f"{row.name}: {row.help} ({row.allowed}; default {row.shown or repr(row.default)}).",
            width=110,
            initial_indent=" " * (margin + 4),
            subsequent_indent=" " * (margin + 8),
            break_on_hyphens=False,
        )
        for row in TABLE.values()
        if "function" in row.doors
    ]
    function.__doc__ = f"{(function.__doc__ or '').rstrip()}\n\n{' ' * margin}Options:\n" + "\n".join(lines) + "\n"
    signature = inspect.signature(function)
    named = [parameter for parameter in signature.parameters.values() if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
    rows = [row for row in TABLE.values() if "function" in row.doors]
    by_option = [inspect.Parameter(row.name, inspect.Parameter.KEYWORD_ONLY, default=row.default, annotation=row.takes) for row in rows]
    function.__signature__ = signature.replace(parameters=[*named, *by_option])  # type: ignore[attr-defined] # inspect reads it
    return function
