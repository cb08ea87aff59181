"""File names for ``save_to``: one per row, never outside the directory, no two equal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from fastreq_jupyter.cell.fill.bound import Bound, BoundParts, Env, MisfitError, text_in
from fastreq_jupyter.cell.syntax import VarText
from fastreq_jupyter.model import Deferred, Item, Outcome, Request, Unsendable, copy_request
from fastreq_jupyter.redact import redact_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["SaveNames", "equal_names", "file_name_of", "in_directory", "safe_segment"]

_UNSAFE = re.compile(r"[\x00-\x1f\x7f<>:\"/\\|?*]")
# Names that Windows keeps for devices, whatever their ending.
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|\Z)", re.IGNORECASE)
_LONGEST = 200


class SaveNames:
    """Fill the template of ``save_to``.

    Args:
        parts: The template, bound.
    """

    def __init__(self, parts: BoundParts) -> None:
        self._parts = parts
        self.bound = tuple(part for part in parts if isinstance(part, Bound))

    def fill(self, env: Env) -> str:
        """Return the path for one row; a value never adds a directory, nor leaves the one it stands in.

        Raises:
            MisfitError: A value is missing or empty.
        """
        texts: list[str] = []
        for part in self._parts:
            if isinstance(part, Bound):
                text = text_in(part, env)
                if not text.strip():
                    raise MisfitError("missing", f"{{{{{part.placeholder.text[:80]}}}}} is empty, so no file can be named by it", part)
                texts.append(safe_segment(text))
            else:
                texts.append(part.text if isinstance(part, VarText) else str(part))
        return "".join(texts)


def safe_segment(text: str) -> str:
    """Return text as a part of one file name: separators, control characters and device names made harmless."""
    name = _UNSAFE.sub("_", text).strip(" ")
    if not name.strip("."):
        name = "_" * max(len(name), 1)
    if _DEVICES.match(name):
        name = f"_{name}"
    while len(name.encode(errors="replace")) > _LONGEST:
        name = name[: len(name) * _LONGEST // (len(name.encode(errors="replace")) + 1)]
    return name


def file_name_of(url: str) -> str:
    """Return a safe file name for the answer of a URL: the last segment of its path, and its query; "index" for none."""
    try:
        parts = urlsplit(url)
        last, query = parts.path.rpartition("/")[2], parts.query
    except ValueError:
        return "index"
    name, dot, ending = (unquote(last) or "index").rpartition(".")
    stem, ending = (name, f".{ending}") if dot and name else (unquote(last) or "index", "")
    return safe_segment(f"{stem}_{unquote(query)}{ending}" if query else f"{stem}{ending}")


def in_directory(items: Iterable[Item], directory: str) -> Iterator[Item]:
    """Give the items with a file each, named by the URL; what would overwrite an earlier one's file becomes an error row."""
    taken: dict[str, int] = {}

    def named(item: Request | Unsendable | Outcome, position: int) -> Request | Unsendable | Outcome:
        if not isinstance(item, Request):
            return item
        path = f"{directory.rstrip('/')}/{file_name_of(redact_url(item.url, item.secrets))}"
        first = taken.setdefault(path.casefold(), position)
        if first != position:
            clash = f"requests {first} and {position} would both be saved to {path!r}"
            return Unsendable(item, "save_to", f"{clash}: name them by a column, --save-to 'DIR/{{{{column}}}}'")
        return copy_request(item, save_as=path)

    def later(item: Deferred, position: int) -> Deferred:
        def resolve(outcomes: Sequence[Outcome]) -> Request | Unsendable | Outcome:
            return named(item.resolve(outcomes), position)

        return Deferred(item.needs, resolve, item.shown)

    for position, item in enumerate(items):
        yield later(item, position) if isinstance(item, Deferred) else named(item, position)


def equal_names(names: Iterable[str | None]) -> tuple[str, int, int] | None:
    """Return the first name that occurs twice, upper and lower case alike, and its two positions; None where all differ."""
    seen: dict[str, int] = {}
    for position, name in enumerate(names):
        if name is None:
            continue
        before = seen.setdefault(name.casefold(), position)
        if before != position:
            return name, before, position
    return None
