"""One element of what the user gave becomes one item of the plan: a request, or a row that says why it cannot be one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.cell import Dedup, equal_names, file_name_of, safe_segment
from fastreq_jupyter.content import with_params
from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.model import Item, Request, Unsendable, copy_request
from fastreq_jupyter.redact import one_line, redact_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastreq_jupyter.client.outfit import Outfit
    from fastreq_jupyter.options import Options

__all__ = ["ItemMaker"]

_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_PLACEHOLDERS = ("index", "key", "name")


class ItemMaker:
    """Make items from elements, in order.

    Args:
        options: What plain URLs get, where files go, whether equal requests are sent once.
        outfit: Dresses every request.
        keys: Labels, one per element, or None.

    Attributes:
        notes: Lines to say at the end.

    Raises:
        UsageError: A body or query that cannot be sent.
    """

    def __init__(self, options: Options, outfit: Outfit, keys: Sequence[Any] | None) -> None:
        self._options = options
        self._outfit = outfit
        self._keys = keys
        self._pattern = _pattern(options)
        self._files = None if options.save_to is None else _Files(options.save_to, keys)
        self._once = Dedup() if options.dedup else None
        self._made = 0
        # What is left to do for a URL is to put it into the pattern.
        self._plain = outfit.idle and not any((self._files, self._once, options.params)) and keys is None
        self.notes: tuple[str, ...] = ()

    def check(self, elements: Sequence[Any]) -> None:
        """Refuse what can be seen to be wrong before anything is sent.

        Raises:
            UsageError: One auth for several origins, or two requests with one file name.
        """
        if self._outfit.single_auth:
            self._outfit.check(request for element in elements if isinstance(request := self._request(element), Request))
        if self._files is not None:
            self._check_files(elements)
        texts = [element for element in elements if isinstance(element, str)]
        spare = len(texts) - len(set(texts))
        if spare and not self._options.dedup and self._options.method in ("GET", "HEAD"):
            self.notes = (f"{spare:,} of {len(elements):,} requests are equal to an earlier one: dedup=True sends them once",)

    def make(self, position: int, element: Any) -> Item:
        """Return the item of one element.

        Raises:
            UsageError: There are more elements than keys.
        """
        if self._plain and type(element) is str:
            return self._pattern.at(element.strip())
        if self._keys is not None and position >= len(self._keys):
            raise UsageError(f"keys has {len(self._keys)} labels, but more URLs came: give one label per URL")
        self._made = position + 1
        item = self._request(element)
        if not isinstance(item, Request):
            return item
        if isinstance(element, str):
            self._outfit.give_cookies(item.url)
        item = self._outfit.dress(item)
        if self._once is not None:
            item = self._once(item)
        return self._with_file(item, position) if self._files is not None and isinstance(item, Request) else item

    def finish(self, *, limited: bool) -> None:
        """Look whether every key had its element.

        Raises:
            UsageError: There are fewer elements than keys.
        """
        if self._keys is not None and not limited and self._made < len(self._keys):
            raise UsageError(f"keys has {len(self._keys)} labels, but {self._made} URLs came: give one label per URL")

    def _request(self, element: Any) -> Item:
        if isinstance(element, Request):
            return element
        pattern, options = self._pattern, self._options
        if not isinstance(element, str):
            return Unsendable(Request(options.method, one_line(str(element), 200)), "invalid URL", _why_no_url(element))
        url = element.strip()
        if options.params is not None:
            url = with_params(url, options.params)
        return pattern.at(url)

    def _check_files(self, elements: Sequence[Any]) -> None:
        assert self._files is not None  # noqa: S101 - told by the caller
        # Equal requests that are sent once share their file.
        once = Dedup() if self._options.dedup else None
        requests = [self._request(element) for element in elements]
        items = requests if once is None else [once(item) for item in requests]
        names = [self._files.path(item, at) if isinstance(item, Request) else None for at, item in enumerate(items)]
        equal = equal_names(names)
        if equal is not None:
            path, first, second = equal
            raise UsageError(f"save_to: rows {first} and {second} would both be saved as {path}: give a template, 'DIR/{{{{index}}}}.bin'")

    def _with_file(self, request: Request, position: int) -> Item:
        assert self._files is not None  # noqa: S101 - told by the caller
        path, taken = self._files.take(request, position)
        if taken is not None:
            detail = f"{path} belongs to row {taken} already: give a template, 'DIR/{{{{index}}}}.bin'"
            return Unsendable(request, "save_to", detail)
        return copy_request(request, save_as=path)


class _Files:
    """Name files, and remember which names are taken.

    Args:
        save_to: A directory, or a template of ``{{index}}``, ``{{key}}`` and ``{{name}}``.
        keys: Labels, or None.

    Raises:
        UsageError: The template has another placeholder.
    """

    def __init__(self, save_to: str, keys: Sequence[Any] | None) -> None:
        self._template = save_to if "{{" in save_to else f"{save_to.rstrip('/')}/{{{{name}}}}"
        self._keys = keys
        self._taken: dict[str, int] = {}
        for name in _PLACEHOLDER.findall(self._template):
            if name not in _PLACEHOLDERS:
                known = ", ".join(f"{{{{{one}}}}}" for one in _PLACEHOLDERS)
                raise UsageError(f"save_to: {{{{{name}}}}} is unknown here: give {known}; columns are for cells with --each")
        if keys is None and "key" in _PLACEHOLDER.findall(self._template):
            raise UsageError("save_to: {{key}} needs keys")

    def take(self, request: Request, position: int) -> tuple[str, int | None]:
        """Return the path for a row, and the row that had it before."""
        path = self.path(request, position)
        first = self._taken.setdefault(path.casefold(), position)
        return path, None if first == position else first

    def path(self, request: Request, position: int) -> str:
        """Return the path for a row; no secret of the URL is in it."""

        def fill(match: re.Match[str]) -> str:
            if match[1] == "name":
                return file_name_of(redact_url(request.url, request.secrets))
            return safe_segment(str(self._keys[position] if match[1] == "key" and self._keys is not None else position))

        return _PLACEHOLDER.sub(fill, self._template)


def _why_no_url(element: Any) -> str:
    # The missing values of Python, NumPy and pandas; comparing them would ask for their truth.
    if str(element) in ("None", "nan", "<NA>", "NaT"):
        return "no URL was given"
    return f"a {type(element).__name__} is no URL: give a str or a Request"


def _pattern(options: Options) -> Request:
    """Return a request with all that a plain URL gets."""
    try:
        with_params("", options.params or ())
    except TypeError as error:
        raise UsageError(f"params cannot be sent: {one_line(str(error), 120)}") from None
    try:
        return Request(
            options.method,
            with_params("http://pattern", options.params or ()),
            headers=options.headers,
            json=options.json,
            data=options.data,
        )
    except (TypeError, ValueError) as error:
        name = "json" if options.json is not None else "data"
        raise UsageError(f"{name} cannot be sent: {one_line(str(error), 120)}") from None
