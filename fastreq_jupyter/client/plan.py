"""URLs and options become a plan: the functions' door; and options of templates become text with placeholders.

Sized sources are checked before anything is sent; lazy ones (a generator of 10^6, an asynchronous iterable) stay lazy, and
what is wrong with one element becomes that element's row.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote_plus

from fastreq_jupyter.cell import Dedup, equal_names
from fastreq_jupyter.client.credentials import RequestDefaults
from fastreq_jupyter.content import with_params
from fastreq_jupyter.errors import UsageError
from fastreq_jupyter.files import FILENAME, file_name_of, safe_segment
from fastreq_jupyter.model import Item, Plan, Request, Unsendable, copy_request
from fastreq_jupyter.redact import one_line, redact_url

if TYPE_CHECKING:
    from fastreq_jupyter.client.credentials import SessionDefaults
    from fastreq_jupyter.engine import Jar
    from fastreq_jupyter.model import Authority
    from fastreq_jupyter.options import Options

_SCALARS = (bytes, bytearray, int, float, complex, type(None))
_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_PLACEHOLDERS = ("index", "key", "name", "$filename")
_PLACE = re.compile(r"\{\{.*?\}\}")


def make_plan(urls: Any, options: Options, *, jar: Jar, home: SessionDefaults | None = None) -> Plan:
    """Return the plan of a function call.

    Args:
        urls: A str, a `Request`, or an iterable (asynchronous too) of these.
        options: Checked options.
        jar: Takes option `cookies` for the origin of each given URL.
        home: What a `FastRequests` adds.

    Raises:
        UsageError: One line: no URLs at all, keys that do not fit, one auth for several origins, equal file names.
    """
    single = isinstance(urls, (str, Request))
    source, index = _source_of((urls,) if single else urls)
    total = len(source) if isinstance(source, Sized) else None
    keys = None if options.keys is None else _labels(options.keys, total)
    request_defaults = RequestDefaults(options, jar=jar, home=home)
    maker = ItemMaker(options, request_defaults, keys)
    if isinstance(source, Sequence):
        maker.check(source if options.limit is None else source[: options.limit])
    if options.limit is not None:
        total = None if total is None else min(total, options.limit)
    items: Iterable[Item] | AsyncIterable[Item]
    items = _draw_async(source, maker, options.limit) if isinstance(source, AsyncIterable) else _SourceItems(source, maker, options.limit)
    labels = index if keys is None else keys
    return Plan(items, options, total=total, keys=labels, single=single, auth=request_defaults.authority, notes=maker.notes)


def with_defaults(
    items: Iterable[Item], options: Options, *, jar: Jar, home: SessionDefaults | None, total: int | None
) -> tuple[Iterable[Item], Authority | None]:
    """Return the requests of a cell with credentials and what a session adds, and what tells the engine of further credentials.

    Args:
        items: What the cell gives; iterated twice unless `total` is None.
        options: Of the run.
        jar: Cookies.
        home: What a `FastRequests` adds.
        total: Number of items, None where they can be had only once.

    Raises:
        UsageError: One auth was given for requests to several origins.
    """
    request_defaults = RequestDefaults(options, jar=jar, home=home)
    if request_defaults.single_auth and total is not None:
        request_defaults.check(item for item in items if isinstance(item, Request))
    return _WithDefaults(items, request_defaults), request_defaults.authority


@dataclass(frozen=True, slots=True)
class _WithDefaults:
    items: Iterable[Item]
    request_defaults: RequestDefaults

    def __iter__(self) -> Iterator[Item]:
        return (self.request_defaults.apply(item) for item in self.items)


@dataclass(frozen=True, slots=True)
class _SourceItems:
    """The items of a synchronous source, made one at a time."""

    source: Iterable[Any]
    maker: ItemMaker
    limit: int | None

    def __iter__(self) -> Iterator[Item]:
        drawn = islice(self.source, self.limit)
        try:
            for position, value in enumerate(drawn):
                yield self.maker.make(position, value)
            self.maker.finish(limited=self.limit is not None)
        finally:
            if hasattr(self.source, "close") and not isinstance(self.source, Sized):
                self.source.close()


async def _draw_async(source: AsyncIterable[Any], maker: ItemMaker, limit: int | None) -> AsyncIterator[Item]:
    position = 0
    if limit == 0:
        return
    async for value in source:
        yield maker.make(position, value)
        position += 1
        if position == limit:
            return
    maker.finish(limited=limit is not None)


def _source_of(urls: Any) -> tuple[Iterable[Any] | AsyncIterable[Any], Any]:
    """Return what to iterate over, and the index of a Series."""
    if isinstance(urls, AsyncIterable):
        return urls, None
    kind = type(urls).__name__
    pandas = sys.modules.get("pandas")
    # Another thread may be importing it; no frame can exist before that is done.
    if pandas is not None and hasattr(pandas, "DataFrame"):
        if isinstance(urls, pandas.DataFrame):
            raise UsageError('urls is a DataFrame: give one column, df["url"], or use df.fastreq.get("https://host/{{ column }}")')
        if isinstance(urls, (pandas.Series, pandas.Index)):
            return urls.tolist(), urls.index if isinstance(urls, pandas.Series) else None
    if isinstance(urls, Mapping):
        raise UsageError("urls is a mapping: give fastreq(list(d.values()), keys=list(d))")
    if isinstance(urls, _SCALARS) or not isinstance(urls, Iterable):
        raise UsageError(f"urls is {'None' if urls is None else f'of type {kind}'}: give a str, a Request, or an iterable of these")
    # The caller may change a list while a background run still draws from it.
    return (tuple(urls) if isinstance(urls, (list, tuple)) else urls.tolist() if hasattr(urls, "tolist") else urls), None


def _labels(keys: Any, total: int | None) -> Sequence[Any]:
    if isinstance(keys, (str, bytes, Mapping)) or not isinstance(keys, Iterable):
        raise UsageError("keys cannot be read: give one label per URL, as a list")
    if total is None and not isinstance(keys, Sized):
        raise UsageError("keys of URLs that come one by one must be a list: their number is checked at the end")
    labels = list(keys if total is None else islice(keys, total + 1))
    if total is not None and len(labels) != total:
        count = f"more than {total}" if len(labels) > total else str(len(labels))
        raise UsageError(f"keys has {count} labels for {total} URLs: give one label per URL")
    seen: set[Any] = set()
    for label in labels:
        try:
            if label in seen:
                raise UsageError(f"keys has {one_line(repr(label), 60)} twice: give different labels")
            seen.add(label)
        except TypeError:
            raise UsageError(f"keys has a {type(label).__name__}: give labels that can be keys of a dict") from None
    # An Index keeps its name and levels.
    return cast("Sequence[Any]", keys) if hasattr(keys, "take") and hasattr(keys, "names") else labels


class ItemMaker:
    """What makes items from elements, in order.

    Args:
        options: What plain URLs get, where files go, whether equal requests are sent once.
        request_defaults: What is added to every request.
        keys: Labels, one per element, or None.

    Attributes:
        notes: Lines to say at the end.

    Raises:
        UsageError: A body or query that cannot be sent.
    """

    def __init__(self, options: Options, request_defaults: RequestDefaults, keys: Sequence[Any] | None) -> None:
        self._options = options
        self._request_defaults = request_defaults
        self._keys = keys
        self._pattern = _pattern(options)
        self._files = None if options.save_to is None else _Files(options.save_to, keys)
        self._once = Dedup() if options.dedup else None
        self._item_count = 0
        # Only the URL differs from the pattern.
        self._plain = request_defaults.idle and not any((self._files, self._once, options.params)) and keys is None
        self.notes: tuple[str, ...] = ()

    def check(self, elements: Sequence[Any]) -> None:
        """Refuse what can be seen to be wrong before anything is sent.

        Raises:
            UsageError: One auth for several origins, or two requests with one file name.
        """
        if self._request_defaults.single_auth:
            self._request_defaults.check(request for element in elements if isinstance(request := self._request(element), Request))
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
        self._item_count = position + 1
        item = self._request(element)
        if not isinstance(item, Request):
            return item
        if isinstance(element, str):
            self._request_defaults.give_cookies(item.url)
        item = self._request_defaults.apply(item)
        if self._once is not None:
            item = self._once(item)
        return self._with_file(item, position) if self._files is not None and isinstance(item, Request) else item

    def finish(self, *, limited: bool) -> None:
        """Look whether every key had its element.

        Raises:
            UsageError: There are fewer elements than keys.
        """
        if self._keys is not None and not limited and self._item_count < len(self._keys):
            raise UsageError(f"keys has {len(self._keys)} labels, but {self._item_count} URLs came: give one label per URL")

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
        equal = equal_names(None if name is None or FILENAME in name else name for name in names)
        if equal is not None:
            path, first, second = equal
            raise UsageError(f"save_to: rows {first} and {second} would both be saved as {path}: give a template, 'DIR/{{{{index}}}}.bin'")

    def _with_file(self, request: Request, position: int) -> Item:
        assert self._files is not None  # noqa: S101 - told by the caller
        path, first_row = self._files.take(request, position)
        if first_row is not None:
            detail = f"{path} belongs to row {first_row} already: give a template, 'DIR/{{{{index}}}}.bin'"
            return Unsendable(request, "save_to", detail)
        return copy_request(request, save_as=path)


class _Files:
    """The names of files, and which of them are taken.

    Args:
        save_to: A directory, or a template of ``{{index}}``, ``{{key}}``, ``{{name}}`` and ``{{$filename}}``.
        keys: Labels, or None.

    Raises:
        UsageError: The template has another placeholder.
    """

    def __init__(self, save_to: str, keys: Sequence[Any] | None) -> None:
        self._template = save_to if "{{" in save_to else f"{save_to.rstrip('/')}/{{{{name}}}}"
        self._keys = keys
        self._row_of_path: dict[str, int] = {}
        for name in _PLACEHOLDER.findall(self._template):
            if name not in _PLACEHOLDERS:
                names = ", ".join(f"{{{{{known_name}}}}}" for known_name in _PLACEHOLDERS)
                raise UsageError(f"save_to: {{{{{name}}}}} is unknown here: give {names}; columns are for cells with --each")
        if keys is None and "key" in _PLACEHOLDER.findall(self._template):
            raise UsageError("save_to: {{key}} needs keys")

    def take(self, request: Request, position: int) -> tuple[str, int | None]:
        """Return the path for a row, and the row that had it before."""
        path = self.path(request, position)
        if FILENAME in path:
            return path, None
        first = self._row_of_path.setdefault(path.casefold(), position)
        return path, None if first == position else first

    def path(self, request: Request, position: int) -> str:
        """Return the path for a row; no secret of the URL is in it."""

        def fill(match: re.Match[str]) -> str:
            if match[1] == "$filename":
                return FILENAME
            if match[1] == "name":
                return file_name_of(redact_url(request.url, request.secrets))
            return safe_segment(str(self._keys[position] if match[1] == "key" and self._keys is not None else position))

        return _PLACEHOLDER.sub(fill, self._template)


def _why_no_url(element: Any) -> str:
    # Missing values of Python, NumPy and pandas, whose comparison has no truth value.
    if str(element) in ("None", "nan", "<NA>", "NaT"):
        return "no URL was given"
    return f"a value of type {type(element).__name__} is no URL: give a str or a Request"


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
    except (TypeError, ValueError, OSError) as error:
        name = "json" if options.json is not None else "data"
        raise UsageError(f"{name} cannot be sent: {one_line(str(error), 120)}") from None


def json_template(value: Any) -> str:
    """Return JSON text of a value in which placeholders stand as a cell reads them.

    A string that is nothing but one placeholder stands without quotes: it becomes any JSON value.

    Raises:
        TypeError: A value that is no JSON.
    """
    if isinstance(value, str):
        text = value.strip()
        if _PLACE.fullmatch(text):
            return text
        return f'"{_around_places(value, lambda part: json.dumps(part, ensure_ascii=False)[1:-1])}"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json_template(str(key))}: {json_template(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(json_template(inner) for inner in value) + "]"
    return json.dumps(value, allow_nan=False)


def with_templates(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with `json` and a form in `data` as text, so that placeholders in them are filled.

    Raises:
        UsageError: `json` cannot be sent.
    """
    options = dict(arguments)
    kind = None
    if options.get("json") is not None and options.get("data") is None:
        try:
            options["data"], kind = json_template(options.pop("json")), "application/json"
        except (TypeError, ValueError) as error:
            raise UsageError(f"json cannot be sent: {error}") from None
    elif isinstance(options.get("data"), Mapping):
        pairs = [
            (name, item) for name, value in options["data"].items() for item in (value if isinstance(value, (list, tuple)) else [value])
        ]
        options["data"] = "&".join(
            f"{_around_places(str(n), quote_plus)}={_around_places(str(v), quote_plus)}" for n, v in pairs if v is not None
        )
        kind = "application/x-www-form-urlencoded"
    if kind is not None:
        lines = options.get("headers") or ()
        lines = [*(lines.items() if isinstance(lines, Mapping) else lines)]
        if not any(str(line[0]).lower() == "content-type" for line in lines):
            lines.append(("Content-Type", kind))
        options["headers"] = lines
    return options


def _around_places(text: str, encode: Any) -> str:
    """Encode what stands between placeholders."""
    parts: list[str] = []
    at = 0
    for match in _PLACE.finditer(text):
        parts += [encode(text[at : match.start()]), match[0]]
        at = match.end()
    return "".join([*parts, encode(text[at:])])
