"""The one table of options.

Every door reads it: function arguments, long and short flags of the magics, ``%config Fastreq.*``, the panel's form,
``--help`` and the README. An option that is not in `TABLE` does not exist; one that is, works on every backend or is
refused before the first request.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from fastreq_jupyter.errors import OptionError
from fastreq_jupyter.options.checks import (
    CONCURRENCY,
    anything,
    auth_value,
    callable_value,
    cert_value,
    choice,
    duration_value,
    header_pairs,
    http2_value,
    integer,
    mapping_value,
    proxy_value,
    rate_value,
    share_value,
    size_value,
    strict_bool,
    text_value,
    verify_value,
)
from fastreq_jupyter.options.option import IN_CELLS, IN_CODE, Option, refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastreq_jupyter.options.quantity import Rate, Share

__all__ = ["TABLE", "Option", "Options", "refuse_unknown"]


def _option(name: str, default: Any, check: Callable[[Any], Any], allowed: str, help: str, **more: Any) -> Option:  # noqa: A002
    return Option(name, default, check, allowed, help, **more)


# fmt: off
BACKENDS = ("auto", "curl", "aiohttp", "niquests", "requests")
RETURN_TYPES = ("dataframe", "json", "text", "content", "response")
PARSES = ("auto", "json", "jsonl", "csv", "xml", "text", "bytes")
_READ = frozenset({"dataframe", "json"})
_UNREAD = frozenset({"text", "bytes"})

_ROWS: tuple[Option, ...] = (
    _option("backend", "auto", choice("backend", BACKENDS), "auto, curl, aiohttp, niquests or requests",
            "HTTP library; auto takes the first installed, in this order, that can do what is asked", metavar="NAME", group="Transport"),
    _option("concurrency", 20, integer(1, CONCURRENCY), "a whole number from 1 to 1000",
            "requests of this run in flight at once", flags=("-c",), metavar="N", group="Speed"),
    _option("concurrency_per_host", None, integer(1, CONCURRENCY, none=True), "a whole number from 1 to 1000",
            "the same for each scheme, host and port", flags=("--per-host",), metavar="N", group="Speed"),
    _option("rate_limit", None, rate_value, 'requests per second above 0, or "60/min", "1000/h", "5/s"',
            "attempts started per second, retries included", flags=("-r",), metavar="RATE", group="Speed"),
    _option("rate_limit_per_host", None, rate_value, 'requests per second above 0, or "60/min", "1000/h", "5/s"',
            "the same for each host; goes on between cells", flags=("--rate-per-host",), metavar="RATE", group="Speed"),
    _option("rate_limit_burst", 5, integer(1, 100_000), 'a whole number from 1 (at most N for a rate "N/unit")',
            "attempts that may start together", flags=("--burst",), metavar="N", group="Speed"),
    _option("max_retries", 3, integer(0, 20), "a whole number from 0 to 20",
            "tries after the first one", flags=("--retries",), metavar="N", group="Failures"),
    _option("retry_unsafe", False, strict_bool, "True or False", "also retry POST and PATCH",
            switches={"--retry-unsafe": True}, group="Failures"),
    _option("timeout", None, duration_value(0.001, 86_400, none=True), 'seconds above 0, or "90s", "10min"',
            "deadline of one whole attempt, 30 s (300 s with save_to)", flags=("-t",), metavar="TIME", group="Failures"),
    _option("connect_timeout", None, duration_value(0.001, 86_400, none=True), 'seconds above 0, at most timeout, or "5s"',
            "part of it for name, connection and TLS", metavar="TIME", group="Failures"),
    _option("deadline", None, duration_value(0.001, 31 * 86_400, none=True), 'seconds above 0, or "90s", "2h"',
            "deadline of the whole run; what is left gets the error `deadline`", metavar="TIME", group="Failures"),
    _option("max_failures", None, share_value(words=("none",)), '"10", "5%" or "none"',
            "stop the run after more failures than this; none also turns off the stop after 20 x 401 or 403",
            metavar="N", group="Failures"),
    _option("check", None, share_value(flag=True), 'True, or the share of failures that is tolerated: "5%", "10"',
            "raise PartialFailureError, after assigning, when more failed", switches={"--check": True},
            metavar="SHARE", group="Failures"),
    _option("max_body", 100 * 2**20, size_value(1), 'bytes from 1, or "10MB"',
            "largest body after decompression", metavar="SIZE", group="Transport"),
    _option("follow_redirects", True, strict_bool, "True or False", "follow redirects",
            switches={"--no-redirects": False, "--follow-redirects": True}, group="Transport"),
    _option("max_redirects", 20, integer(0, 100), "a whole number from 0 to 100",
            "redirects followed for one attempt", metavar="N", group="Transport"),
    _option("http2", "auto", http2_value, '"auto", True or False', "HTTP version over TLS; True is refused where it cannot be had",
            switches={"--http2": True, "--http1": False}, group="Transport"),
    _option("http3", False, strict_bool, "True or False", "HTTP/3, and nothing else; refused where it cannot be had",
            switches={"--http3": True}, group="Transport"),
    _option("verify_ssl", True, verify_value, "True, False or the path of a CA bundle", "verify TLS certificates",
            flags=("--ca",), switches={"-k": False}, metavar="FILE", group="Transport"),
    _option("cert", None, cert_value, "a PEM file, or (certificate, key)", "client certificate", metavar="FILE", group="Transport"),
    _option("proxy", "env", proxy_value, '"env", "none", "http://host:port" or "socks5://host:port" (https, socks4)',
            "proxy for all requests; env reads HTTP_PROXY and its kin", secret=True, metavar="URL", group="Transport"),
    _option("auth", None, auth_value, '("user", "password"), a bearer token, or {origin: one of these}',
            "credentials; the flag takes the name of a notebook variable", secret=True, metavar="NAME"),
    _option("method", "GET", text_value("method"), "an HTTP method", "method of requests given as a plain URL", flags=("-X",), metavar="METHOD"),
    _option("headers", None, header_pairs, "a mapping or pairs; the flag takes 'Name: value'",
            "field lines of requests given as a plain URL", flags=("-H",), secret=True, metavar="LINE"),
    _option("params", None, mapping_value, "a mapping or pairs", "query of requests given as a plain URL", doors=IN_CODE, secret=True),
    _option("json", None, anything, "a JSON value", "JSON body of requests given as a plain URL", doors=IN_CODE, secret=True),
    _option("data", None, anything, "text, bytes, or a mapping (a form)", "body of requests given as a plain URL",
            flags=("-d",), secret=True, metavar="TEXT"),
    _option("cookies", None, mapping_value, "a mapping", "cookies for the origins of the given URLs", doors=IN_CODE, secret=True),
    _option("keys", None, anything, "one label per URL, no two equal", "index of the frame, keys of the dict", doors=IN_CODE),
    _option("return_type", "dataframe", choice("return type", RETURN_TYPES), "dataframe, json, text, content or response",
            "what a result is", flags=("--as",), metavar="TYPE", group="Results"),
    _option("parse", "auto", choice("parse", PARSES), "auto, json, jsonl, csv, xml, text or bytes",
            "how good bodies are read; auto: JSON and JSON lines by content type, the rest is text or bytes", metavar="HOW", group="Results"),
    _option("fail_when", None, text_value("fail_when"), "a JMESPath expression",
            "a good answer in whose body this finds something (not null, false, 0, empty) is an error row `body`",
            metavar="EXPR", group="Failures"),
    _option("retry_when", None, text_value("retry_when"), "a JMESPath expression",
            "a good answer in whose body this finds something is tried again like a 503", metavar="EXPR", group="Failures"),
    _option("parse_func", None, callable_value, "a plain function of one argument", "applied to each result", metavar="NAME",
            doors=IN_CODE, group="Results"),
    _option("return_none_on_failure", False, strict_bool, "True or False", "lists: None in place of an exception", doors=IN_CODE, group="Results"),
    _option("save_to", None, text_value("save_to"), "a directory, or a template like 'img/{{sku}}.jpg'",
            "stream good bodies to files", metavar="PATH", group="Results"),
    _option("skip_existing", False, strict_bool, "True or False", "with save_to: send nothing for files that are there",
            switches={"--skip-existing": True}, group="Results"),
    _option("journal", None, text_value("journal"), "a file name", "record answers; a rerun sends only what is missing",
            metavar="FILE", group="Results"),
    _option("fresh", False, strict_bool, "True or False", "ignore what the journal holds", switches={"--fresh": True}, group="Results"),
    _option("max_age", None, duration_value(0, 3650 * 86_400, none=True), 'seconds, or "12h"',
            "use only answers of the journal younger than this", metavar="TIME", group="Results"),
    _option("limit", None, integer(0, 10**12, none=True), "a whole number from 0", "only the first N requests", metavar="N"),
    _option("dedup", False, strict_bool, "True or False", "send equal safe requests once", switches={"--dedup": True}),
    _option("session", None, anything, "a FastRequests object", "client whose cookies, headers and defaults are used", metavar="NAME"),
    _option("dry_run", False, strict_bool, "True or False", "show the resolved requests, send nothing", switches={"--dry-run": True}),
    _option("background", False, strict_bool, "True or False", "go on while other cells run; the name holds the Run",
            switches={"--background": True}, doors=IN_CELLS),
    _option("each", (), anything, "a name, or an expression in quotes", "one request per row of a table, Series, list or range",
            metavar="SOURCE", doors=IN_CELLS),
    _option("zip", False, strict_bool, "True or False", "several --each in step in place of the product", switches={"--zip": True}, doors=IN_CELLS),
    _option("select", None, text_value("select"), "a JMESPath expression", "one row per item selected from the body", metavar="EXPR", group="Results"),
    _option("expand", None, text_value("expand", flag=True), "True or a JMESPath expression", "objects become typed columns",
            switches={"--expand": True}, metavar="EXPR", group="Results"),
    _option("timings", False, strict_bool, "True or False", "columns of phases and http_version", switches={"--timings": True}, group="Results"),
    _option("response_headers", False, strict_bool, "True or False", "column of response headers",
            switches={"--response-headers": True}, group="Results"),
    _option("progress", "auto", choice("progress", ("auto", "panel", "text", "none")), "auto, panel, text or none",
            "how progress is shown", metavar="HOW", group="Results"),
    _option("loop", "auto", choice("loop", ("auto", "kernel", "thread")), "auto, kernel or thread",
            "event loop the run lives on", metavar="WHERE", group="Transport"),
)
# fmt: on

TABLE: Mapping[str, Option] = {row.name: row for row in _ROWS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Hold validated options; make one with `Options.of`. Attribute docs are those of `TABLE`."""

    backend: str = "auto"
    concurrency: int = 20
    concurrency_per_host: int | None = None
    rate_limit: Rate | None = None
    rate_limit_per_host: Rate | None = None
    rate_limit_burst: int = 5
    max_retries: int = 3
    retry_unsafe: bool = False
    timeout: float | None = None
    connect_timeout: float | None = None
    deadline: float | None = None
    max_failures: Share | Literal["none"] | None = None
    check: Share | None = None
    max_body: int = 100 * 2**20
    follow_redirects: bool = True
    max_redirects: int = 20
    http2: bool | Literal["auto"] = "auto"
    http3: bool = False
    verify_ssl: bool | str = True
    cert: str | tuple[str, str] | None = None
    proxy: str = field(default="env", repr=False)
    auth: Any = field(default=None, repr=False)
    method: str = "GET"
    headers: Any = field(default=None, repr=False)
    params: Any = field(default=None, repr=False)
    json: Any = field(default=None, repr=False)
    data: Any = field(default=None, repr=False)
    cookies: Any = field(default=None, repr=False)
    keys: Any = field(default=None, repr=False)
    return_type: str = "dataframe"
    parse: str = "auto"
    fail_when: str | None = None
    retry_when: str | None = None
    parse_func: Callable[[Any], Any] | None = None
    return_none_on_failure: bool = False
    save_to: str | None = None
    skip_existing: bool = False
    journal: str | None = None
    fresh: bool = False
    max_age: float | None = None
    limit: int | None = None
    dedup: bool = False
    session: Any = field(default=None, repr=False)
    dry_run: bool = False
    background: bool = False
    each: tuple[str, ...] = ()
    zip: bool = False
    select: str | None = None
    expand: str | Literal[True] | None = None
    timings: bool = False
    response_headers: bool = False
    progress: str = "auto"
    loop: str = "auto"

    @classmethod
    def of(cls, base: Options | None = None, /, **given: Any) -> Options:
        """Check what was given and return it, laid over `base` (or the defaults).

        Raises:
            OptionError: One line: an unknown name (with the nearest known one), a wrong value (with its range),
                or two options that exclude each other.
        """
        checked = {name: _lookup(name).read(value) for name, value in given.items()}
        kept = {} if base is None else {f.name: getattr(base, f.name) for f in fields(cls)}
        options = cls(**{**kept, **checked})
        if "rate_limit_burst" not in given:
            options = replace(options, rate_limit_burst=_fitting_burst(options))
        _check_together(options)
        return options

    @property
    def attempt_timeout(self) -> float:
        """Return the deadline of one attempt in seconds: as given, else 30, or 300 with `save_to`."""
        if self.timeout is not None:
            return self.timeout
        return 30.0 if self.save_to is None else 300.0

    @property
    def looks_into_bodies(self) -> bool:
        """Tell whether an option says that bodies are JSON, whatever their type says."""
        return any(option is not None for option in (self.select, self.expand, self.fail_when, self.retry_when))


def _fitting_burst(options: Options) -> int:
    """Return the burst, made to fit "N/unit" where the user did not set it beside the rate."""
    rates = [rate for rate in (options.rate_limit, options.rate_limit_per_host) if rate is not None and rate.whole]
    # A window holds what starts together and what comes after: a large burst would leave little for the rest of it.
    return min([options.rate_limit_burst, *(max(1, int(rate.count) // 10) for rate in rates)])


def _check_together(options: Options) -> None:
    for name in ("rate_limit", "rate_limit_per_host"):
        rate = getattr(options, name)
        if rate is not None and rate.whole and options.rate_limit_burst > rate.count:
            message = f"rate_limit_burst={options.rate_limit_burst} is not possible with {name} {rate}: give at most {rate.count:g}"
            raise OptionError(message)
    if options.connect_timeout is not None and options.connect_timeout > options.attempt_timeout:
        message = f"connect_timeout={options.connect_timeout:g} is not possible: give at most timeout, {options.attempt_timeout:g} s"
        raise OptionError(message)
    if options.http3 and options.http2 is True:
        message = "http2=True and http3=True exclude each other: give one of them"
        raise OptionError(message)
    _check_reading(options)
    bodies = [name for name in ("json", "data") if getattr(options, name) is not None]
    if len(bodies) > 1:
        message = "json and data exclude each other: give one of them"
        raise OptionError(message)
    for name, needed in (("skip_existing", "save_to"), ("fresh", "journal"), ("max_age", "journal")):
        if getattr(options, name) not in (False, None) and getattr(options, needed) is None:
            message = f"{name} needs {needed}"
            raise OptionError(message)


def _check_reading(options: Options) -> None:
    if options.parse != "auto" and (options.return_type not in _READ or (options.return_type == "json" and options.parse in _UNREAD)):
        message = f"parse={options.parse} is not possible with return_type {options.return_type}: leave one of them out"
        raise OptionError(message)
    for name in ("fail_when", "retry_when"):
        if getattr(options, name) is not None and options.save_to is not None:
            message = f"{name} is not possible with save_to, which keeps no body to look into: leave one of them out"
            raise OptionError(message)


def _lookup(name: str) -> Option:
    try:
        return TABLE[name]
    except KeyError:
        raise refuse_unknown(name, TABLE) from None
