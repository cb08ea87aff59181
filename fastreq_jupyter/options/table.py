"""The one table of options.

Every door reads it: function arguments and their types, long and short flags of the magics, ``%config Fastreq.*``, the
panel's form, completion, ``--help`` and the README. An option that is not in `TABLE` does not exist; one that is, works on
every backend or is refused before the first request.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from fastreq_jupyter.errors import OptionError
from fastreq_jupyter.options.checks import (
    CONCURRENCY,
    anything,
    auth_value,
    callable_value,
    cert_value,
    duration_value,
    either,
    header_pairs,
    integer,
    mapping_value,
    method_value,
    names_value,
    pages_value,
    proxy_url,
    rate_value,
    share_value,
    size_value,
    statuses_value,
    strict_bool,
    text_value,
    verify_value,
)
from fastreq_jupyter.options.columns import COLUMN_SETS
from fastreq_jupyter.options.option import IN_CELLS, IN_CODE, IN_MAGICS, IN_TEXT, Option, option, refuse_unknown, switch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastreq_jupyter.options.quantity import Rate, Share

BACKENDS = ("auto", "curl", "aiohttp", "niquests", "requests")


class ReturnType(StrEnum):
    """What a result is; each is equal to its text."""

    DATAFRAME = "dataframe"
    POLARS = "polars"
    ARROW = "arrow"
    JSON = "json"
    TEXT = "text"
    CONTENT = "content"
    RESPONSE = "response"


FRAMES = frozenset({"dataframe", "polars", "arrow"})
"""Those that are tables."""
PARSED = FRAMES | {"json"}
"""Those whose bodies are read as what they are."""
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
"""Those that are offered; any token is a method."""


# fmt: off
@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Validated options; made by `Options.of`.

    Each field but the last carries its `Option`: `TABLE` is made of them.

    Attributes:
        explicit: Names that were given, here or in an earlier layer; the others have their default.
    """

    backend: str = option(
        "auto", choices=BACKENDS, help="HTTP library; auto takes the first installed, in this order, that can do what is asked",
        metavar="NAME", group="Transport",
    )
    concurrency: int | Literal["auto"] = option(
        20, either("auto", otherwise=integer(1, CONCURRENCY)), examples=("20", "auto"), takes="int | str",
        allowed='a whole number from 1 to 1000, or "auto"',
        help="requests of this run in flight at once; auto finds, for each host, how many it does well", flags=("-c",), metavar="N",
        group="Speed",
    )
    concurrency_per_host: int | None = option(
        None, integer(1, CONCURRENCY, none=True), takes="int | None", allowed="a whole number from 1 to 1000",
        help="the same for each scheme, host and port", flags=("--per-host",), metavar="N", group="Speed",
    )
    rate_limit: Rate | None = option(
        None, rate_value, examples=("10", "60/min", "1000/h"), takes="float | str | None",
        allowed='requests per second above 0, or "60/min", "1000/h", "5/s"', help="attempts started per second, retries included",
        flags=("-r",), metavar="RATE", group="Speed",
    )
    rate_limit_per_host: Rate | None = option(
        None, rate_value, examples=("10", "60/min", "1000/h"), takes="float | str | None",
        allowed='requests per second above 0, or "60/min", "1000/h", "5/s"', help="the same for each host; goes on between cells",
        flags=("--rate-per-host",), metavar="RATE", group="Speed",
    )
    rate_limit_burst: int = option(
        5, integer(1, 100_000), takes="int", allowed='a whole number from 1 (at most N for a rate "N/unit")',
        help="attempts that may start together", label="Burst", flags=("--burst",), metavar="N", group="Speed",
    )
    max_retries: int = option(
        3, integer(0, 20), takes="int", allowed="a whole number from 0 to 20", help="tries after the first one", label="Retries",
        flags=("--retries",), metavar="N", group="Failures",
    )
    retry_unsafe: bool = switch(
        "also retry POST and PATCH, which may do twice what they do", label="Retry POST and PATCH", group="Failures",
    )
    timeout: float | None = option(
        None, duration_value(0.001, 86_400, none=True), examples=("90s",), takes="float | str | None",
        allowed='seconds above 0, or "90s", "10min"', help="deadline of one whole attempt, 30 s (300 s with save_to)", flags=("-t",),
        metavar="TIME", group="Failures",
    )
    connect_timeout: float | None = option(
        None, duration_value(0.001, 86_400, none=True), examples=("5s",), takes="float | str | None",
        allowed='seconds above 0, at most timeout, or "5s"', help="part of it for name, connection and TLS", metavar="TIME",
        group="Failures",
    )
    deadline: float | None = option(
        None, duration_value(0.001, 31 * 86_400, none=True), examples=("10min",), takes="float | str | None",
        allowed='seconds above 0, or "90s", "2h"', help="deadline of the whole run; what is left gets the error `deadline`", metavar="TIME",
        group="Failures",
    )
    max_failures: Share | Literal["none"] | None = option(
        None, either("none", otherwise=share_value()), examples=("10", "5%", "none"), takes="int | float | str | None",
        allowed='"10", "5%" or "none"',
        help="stop the run after more failures than this; none also turns off the stop after 20 x 401 or 403", metavar="N",
        group="Failures",
    )
    check: Share | None = option(
        None, share_value(flag=True), examples=("5%",), takes="bool | int | float | str | None",
        allowed='True, or the share of failures that is tolerated: "5%", "10"',
        help="raise PartialFailureError, after assigning, when more failed", switches={"--check": True}, metavar="SHARE", group="Failures",
    )
    max_body: int = option(
        100 * 2**20, size_value(1), shown="100 MiB", takes="int | str", allowed='bytes from 1, or "10MB"',
        help="largest body after decompression", metavar="SIZE", group="Transport",
    )
    follow_redirects: bool = switch(
        "follow redirects", default=True, switches={"--no-redirects": False, "--follow-redirects": True}, group="Transport",
    )
    max_redirects: int = option(
        20, integer(0, 100), takes="int", allowed="a whole number from 0 to 100", help="redirects followed for one attempt", metavar="N",
        group="Transport",
    )
    http2: bool | Literal["auto"] = option(
        "auto", either("auto", otherwise=strict_bool), choices=("auto", "True", "False"), takes="bool | str",
        allowed='"auto", True or False',
        help="HTTP version over TLS; True is refused where it cannot be had", label="HTTP/2", switches={"--http2": True, "--http1": False},
        group="Transport",
    )
    http3: bool = switch("HTTP/3, and nothing else; refused where it cannot be had", label="HTTP/3", group="Transport")
    verify_ssl: bool | str = option(
        True, verify_value, choices=("True", "False"), takes="bool | str | Path", allowed="True, False or the path of a CA bundle",
        help="verify TLS certificates", label="Verify TLS", flags=("--ca",), switches={"-k": False}, metavar="FILE", group="Transport",
    )
    cert: str | tuple[str, str] | None = option(
        None, cert_value, examples=("client.pem",), takes="str | tuple[str, str] | None", allowed="a PEM file, or (certificate, key)",
        help="client certificate", label="Client certificate", lookup=True, metavar="FILE", group="Transport",
    )
    proxy: str = option(
        "env", either("env", "none", otherwise=proxy_url), examples=("env", "none"), takes="str | None",
        allowed='"env", "none", "http://host:port" or "socks5://host:port" (https, socks4)',
        help="proxy for all requests; env reads HTTP_PROXY and its kin", secret=True, metavar="URL", group="Transport",
    )
    auth: Any = option(
        None, auth_value, takes="Any",
        allowed='("user", "password"), a bearer token, a function that gives one, OAuth2, ApiKey, Digest, SigV4, or {origin: one of these}',
        help="credentials; the flag takes the name of a notebook variable", lookup=True, secret=True, metavar="NAME",
    )
    refresh_on: tuple[int, ...] = option(
        (401,), statuses_value, examples=("401,403",), takes="int | str | Iterable[int]", shown="401",
        allowed='statuses from 400 to 499: 401, [401, 403] or "401,403"',
        help="answers after which a token is renewed, once, and the request sent once more", metavar="STATUS",
    )
    method: str = option(
        "GET", method_value, choices=METHODS, takes="str", allowed="an HTTP method", help="method of requests given as a plain URL",
        flags=("-X",), metavar="METHOD",
    )
    headers: Any = option(
        None, header_pairs, takes="Mapping[str, str] | Iterable[tuple[str, str]] | None",
        allowed="a mapping or pairs; the flag takes 'Name: value'", help="field lines of requests given as a plain URL", flags=("-H",),
        secret=True, metavar="LINE",
    )
    params: Any = option(
        None, mapping_value, takes="Mapping[str, Any] | Iterable[tuple[str, Any]] | None", allowed="a mapping or pairs",
        help="query of requests given as a plain URL", doors=IN_CODE, secret=True,
    )
    json: Any = option(
        None, anything, takes="Any", allowed="a JSON value", help="JSON body of requests given as a plain URL", doors=IN_CODE, secret=True,
    )
    data: Any = option(
        None, anything, takes="Any", allowed="text, bytes, or a mapping (a form)", help="body of requests given as a plain URL",
        label="Body", flags=("-d",), secret=True, metavar="TEXT",
    )
    cookies: Any = option(
        None, mapping_value, takes="Mapping[str, str] | None", allowed="a mapping", help="cookies for the origins of the given URLs",
        doors=IN_CODE, secret=True,
    )
    keys: Any = option(
        None, anything, takes="Iterable[Any] | None", allowed="one label per URL, no two equal",
        help="index of the frame, keys of the dict", doors=IN_CODE, secret=True,
    )
    return_type: str = option(
        "dataframe", choices=tuple(map(str, ReturnType)), help="what a result is", flags=("--as",), metavar="TYPE", group="Results",
    )
    parse: str = option(
        "auto", choices=("auto", "json", "jsonl", "csv", "xml", "text", "bytes"),
        help="how good bodies are read; auto: JSON and JSON lines by content type, the rest is text or bytes", metavar="HOW",
        group="Results",
    )
    fail_when: str | None = option(
        None, text_value(), examples=("error",), takes="str | None", allowed="a JMESPath expression",
        help="a good answer in whose body this finds something (not null, false, 0 or empty) is an error row `body`", metavar="EXPR",
        group="Failures",
    )
    retry_when: str | None = option(
        None, text_value(), examples=("status == 'busy'",), takes="str | None", allowed="a JMESPath expression",
        help="a good answer in whose body this finds something is tried again like a 503", metavar="EXPR", group="Failures",
    )
    until: str | None = option(
        None, either("ready", otherwise=text_value()), examples=("ready", "status == 'done'"), takes="str | None",
        allowed='"ready", or a JMESPath expression',
        help="look again until this finds something in the body; ready: until the job begun by the request is over", metavar="EXPR",
    )
    every: float | None = option(
        None, duration_value(0.05, 86_400, none=True), examples=("2s",), takes="float | str | None", allowed='seconds from 0.05, or "2s"',
        help="with until: time between looks, Retry-After goes first; by default 1 s that grows to 30 s", metavar="TIME",
    )
    patience: float = option(
        600.0, duration_value(0.05, 31 * 86_400), shown="10 min", examples=("10min",), takes="float | str",
        allowed='seconds from 0.05, or "10min", "2h"', help="with until: a row that takes longer gets the error `not ready`",
        metavar="TIME",
    )
    parse_func: Callable[[Any], Any] | None = option(
        None, callable_value, takes="Callable[[Any], Any] | None", allowed="a plain function of one argument",
        help="applied to each result", doors=IN_CODE, metavar="NAME", group="Results",
    )
    return_none_on_failure: bool = switch("lists: None in place of an exception", doors=IN_CODE, group="Results")
    save_to: str | None = option(
        None, text_value(), examples=("img/{{sku}}.jpg",), takes="str | Path | None",
        allowed="a directory, or a template like 'img/{{sku}}.jpg' or 'in/{{$filename}}'", help="stream good bodies to files",
        metavar="PATH", group="Results",
    )
    skip_existing: bool = switch("with save_to: send nothing for files that are there", group="Results")
    journal: str | None = option(
        None, text_value(), examples=("runs.db",), takes="str | Path | None", allowed="a file name",
        help="record answers; a rerun sends only what is missing", metavar="FILE", group="Results",
    )
    fresh: bool = switch("ignore what journal and cache hold", group="Results")
    max_age: float | None = option(
        None, duration_value(0, 3650 * 86_400, none=True), examples=("12h",), takes="float | str | None", allowed='seconds, or "12h"',
        help="use only answers of the journal younger than this", metavar="TIME", group="Results",
    )
    cache: float | str | None = option(
        None, either("forever", "revalidate", otherwise=duration_value(0, 3650 * 86_400, none=True)),
        examples=("12h", "forever", "revalidate"), takes="float | str | None",
        allowed='"12h" or seconds, "forever", or "revalidate"',
        help="keep good answers, and send nothing for those younger than this; revalidate asks whether they changed", metavar="AGE",
        group="Results",
    )
    cache_file: str = option(
        ".fastreq/cache.db", text_value(), takes="str | Path", allowed="a file name; one that ends in .jsonl can be committed",
        help="where they are kept", metavar="FILE", group="Results",
    )
    offline: bool = switch("send nothing: what the cache does not have is an error row `offline`", group="Results")
    pages: str | None = option(
        None, pages_value, examples=("auto", "link", "cursor=next_cursor", "page", "offset=0:100"), takes="bool | str | None",
        allowed="auto, link, a JMESPath expression, NAME=EXPR, or a count: page, page=0, offset=0:100",
        help="follow the pages of each request, a row per page; auto follows what request and answer prove", switches={"--pages": "auto"},
        metavar="HOW",
    )
    max_pages: int = option(1000, integer(1, 10**9), takes="int", allowed="a whole number from 1", help="pages of one request", metavar="N")
    total: str | None = option(
        None, text_value(), examples=("meta.total", "pages:meta.last", "none"), takes="str | None",
        allowed="a JMESPath expression, pages:EXPR, or none",
        help="where an answer says how many items or pages there are; looked for when not given", metavar="EXPR",
    )
    limit: int | None = option(
        None, integer(0, 10**12, none=True), examples=("5",), takes="int | None", allowed="a whole number from 0",
        help="only the first N requests", metavar="N",
    )
    dedup: bool = switch("send equal safe requests once; each row gets the answer")
    session: Any = option(
        None, anything, takes="Any", allowed="a FastRequests object", help="client whose cookies, headers and defaults are used",
        lookup=True, secret=True, metavar="NAME",
    )
    dry_run: bool = switch("show the resolved requests, send nothing", doors=IN_TEXT)
    background: bool = switch("go on while other cells run; the name holds the Run", doors=IN_MAGICS)
    each: tuple[str, ...] = option(
        (), anything, examples=("orders.head(10)",), allowed="a name, or an expression in quotes",
        help="one request per row of a table, Series, list or range", doors=IN_CELLS, metavar="SOURCE",
    )
    env_file: str | None = option(
        None, text_value(), examples=("http-client.env.json",), allowed="the path of a file of environments",
        help="variables for the cell, as editors of .http files keep them", doors=IN_MAGICS, metavar="FILE",
    )
    env: str | None = option(
        None, text_value(), examples=("dev",), allowed="the name of an environment",
        help="which of env_file's environments, where it has several", doors=IN_MAGICS, metavar="NAME",
    )
    zip: bool = switch("several --each in step in place of the product", doors=IN_CELLS)
    select: str | None = option(
        None, text_value(), examples=("items[*].id",), takes="str | None", allowed="a JMESPath expression",
        help="one row per item selected from the body", metavar="EXPR", group="Results",
    )
    expand: str | Literal[True] | None = option(
        None, text_value(flag=True), examples=("True",), takes="bool | str | None", allowed="True or a JMESPath expression",
        help="objects become typed columns", switches={"--expand": True}, metavar="EXPR", group="Results",
    )
    explode: tuple[str, ...] = option(
        (), names_value, examples=("items",), takes="str | Iterable[str]", allowed="the name of a column of lists, or several",
        help="with expand: a row per item of these columns; several of equal lengths go in step", metavar="COLUMN", group="Results",
    )
    columns: str = option(
        "short", choices=tuple(COLUMN_SETS),
        help="columns of how it went: error alone; status, error, elapsed and, without expand, attempts and url; or all", metavar="SET",
        group="Results",
    )
    to: str | None = option(
        None, text_value(), examples=("rows/",), takes="str | Path | None", allowed="a directory like 'rows/', or a .jsonl or .csv file",
        help="rows leave memory: Parquet files in a directory, or lines of one file; a row per batch comes back", metavar="PATH",
        group="Results",
    )
    timings: bool = switch("columns of phases and http_version", group="Results")
    response_headers: bool = switch("column of response headers", group="Results")
    progress: str = option(
        "auto", choices=("auto", "panel", "text", "none"), help="how progress is shown", doors=IN_TEXT, metavar="HOW", group="Results",
    )
    loop: str = option(
        "auto", choices=("auto", "kernel", "thread"), help="event loop the run lives on", doors=IN_TEXT, metavar="WHERE", group="Transport",
    )
    # fmt: on
    explicit: frozenset[str] = field(default=frozenset(), repr=False, compare=False)

    @classmethod
    def of(cls, base: Options | None = None, /, **changes: Any) -> Options:
        """Check what was given and return it, laid over `base` (or the defaults).

        Raises:
            OptionError: One line: an unknown name (with the nearest known one), a wrong value (with its range),
                or two options that exclude each other.
        """
        values = {} if base is None else {name: getattr(base, name) for name in TABLE}
        values |= {name: _lookup(name).read(value) for name, value in changes.items()}
        names = frozenset(changes) if base is None else base.explicit | changes.keys()
        if "rate_limit_burst" not in names:
            values["rate_limit_burst"] = _fitting_burst(values)
        options = cls(**values, explicit=names)
        _check_together(options)
        return options

    def over(self, base: Options) -> Options:
        """Return `base` with what was given here laid over it.

        Raises:
            OptionError: Two options exclude each other.
        """
        return Options.of(base, **{name: getattr(self, name) for name in self.explicit})

    @property
    def attempt_timeout(self) -> float:
        """Return the deadline of one attempt in seconds: as given, else 30, or 300 with `save_to`."""
        if self.timeout is not None:
            return self.timeout
        return 30.0 if self.save_to is None else 300.0

    @property
    def caches(self) -> bool:
        """Tell whether answers are kept in a cache, or taken from one."""
        return self.cache is not None or self.offline

    @property
    def looks_into_bodies(self) -> bool:
        """Tell whether an option says that bodies are JSON, whatever their type says."""
        until = None if self.until == "ready" else self.until
        return any(option is not None for option in (self.select, self.expand, self.fail_when, self.retry_when, until))


TABLE: Mapping[str, Option] = {row.name: row.metadata["option"].named(row.name) for row in fields(Options) if "option" in row.metadata}


def _fitting_burst(values: Mapping[str, Any]) -> int:
    """Return the burst, made to fit "N/unit", where the user did not set it."""
    rates = [rate for name in ("rate_limit", "rate_limit_per_host") if (rate := values.get(name)) is not None and rate.whole]
    # A rate window counts the burst and what follows it: a large burst would leave little for the rest of the window.
    return min([int(TABLE["rate_limit_burst"].default), *(max(1, int(rate.count) // 10) for rate in rates)])


def _check_together(options: Options) -> None:
    for name in ("rate_limit", "rate_limit_per_host"):
        rate, burst = getattr(options, name), options.rate_limit_burst
        if rate is not None and rate.whole and burst > rate.count:
            raise _refused("rate_limit_burst", f"not possible with {name} {rate}: give at most {rate.count:g}", value=burst)
    if options.connect_timeout is not None and options.connect_timeout > options.attempt_timeout:
        reason = f"give at most timeout, {options.attempt_timeout:g} s"
        message = f"connect_timeout={options.connect_timeout:g} is not possible: {reason}"
        raise OptionError(message, option="connect_timeout", value=options.connect_timeout, reason=reason)
    if options.http3 and options.http2 is True:
        raise OptionError("http2=True and http3=True exclude each other: give one of them", option="http3")
    if options.json is not None and options.data is not None:
        raise OptionError("json and data exclude each other: give one of them", option="data")
    _check_needs(options)
    _check_reading(options)
    _check_saving(options)
    if options.pages is not None:
        for name, why in _AGAINST_PAGES.items():
            if getattr(options, name):
                raise _refused("pages", f"not possible with {name}, {why}: leave one of them out")


_AGAINST_PAGES = {
    "save_to": "which keeps no body to look into",
    "dedup": "for each request has pages of its own",
    "until": "which looks again at one",
}


def _check_needs(options: Options) -> None:
    given: set[str] = {name for name in ("every", "patience") if name in options.explicit}
    given |= {name for name in ("skip_existing", "max_age", "explode", "total") if getattr(options, name) not in (False, None, ())}
    for name, needed in _NEEDS.items():
        if name in given and getattr(options, needed) is None:
            raise OptionError(f"{name} needs {needed}", option=name, reason=f"needs {needed}")
    if options.fresh and options.journal is None and options.cache is None:
        raise OptionError("fresh needs journal or cache", option="fresh", reason="needs journal or cache")
    if options.fresh and options.offline:
        raise OptionError("fresh and offline exclude each other: give one of them", option="fresh")


_NEEDS = {"every": "until", "patience": "until", "skip_existing": "save_to", "max_age": "journal", "explode": "expand", "total": "pages"}


def _check_saving(options: Options) -> None:
    if options.save_to is None:
        return
    if options.caches:
        reason = "not possible with save_to, whose files stay anyway: skip_existing sends nothing for those that are there"
        raise _refused("offline" if options.cache is None else "cache", reason)
    if "$filename" not in options.save_to:
        return
    if "$filename" in options.save_to.replace("\\", "/").rpartition("/")[0]:
        reason = "{{$filename}} names a file, not a directory: give 'DIR/{{$filename}}'"
        raise OptionError(f"save_to: {reason}", option="save_to", reason=reason)
    if options.skip_existing:
        raise _refused("skip_existing", "not possible with {{$filename}}, which is known only by the answer: leave one of them out")


def _check_reading(options: Options) -> None:
    parse, return_type = options.parse, options.return_type
    if parse != "auto" and (return_type not in PARSED or (return_type == "json" and parse in ("text", "bytes"))):
        raise _refused("parse", f"not possible with return_type {return_type}: leave one of them out", value=parse)
    looking = ("fail_when", "retry_when") if options.until == "ready" else ("fail_when", "retry_when", "until")
    for name in looking:
        if getattr(options, name) is not None and options.save_to is not None:
            raise _refused(name, "not possible with save_to, which keeps no body to look into: leave one of them out")


def _refused(name: str, reason: str, *, value: object = None) -> OptionError:
    shown = name if value is None else f"{name}={value}"
    return OptionError(f"{shown} is {reason}", option=name, value=value, reason=reason)


def _lookup(name: str) -> Option:
    try:
        return TABLE[name]
    except KeyError:
        raise refuse_unknown(name, TABLE) from None
