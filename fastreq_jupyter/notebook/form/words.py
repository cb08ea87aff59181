"""What the form calls its fields, and what it says below them; for options without own words, the table's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastreq_jupyter.options import TABLE, Rate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastreq_jupyter.options import Option

__all__ = ["GROUPS", "INSTEAD", "allowed_of", "help_of", "hint_of", "label_of", "labelled"]

INSTEAD = "write {{$env NAME}} or {{$secret NAME}} in its place: this form is kept in the notebook"
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Requests": ("Requests",),
    "More on speed and failures": ("Speed", "Failures"),
    "Results": ("Results",),
    "Transport": ("Transport",),
}
"""Heading in the form, in its order -> groups of the table."""

_LABELS: Mapping[str, str] = {
    "name": "Variable", "data": "Body", "rate_limit_burst": "Burst", "max_retries": "Retries", "retry_unsafe": "Retry POST and PATCH",
    "http2": "HTTP/2", "verify_ssl": "Verify TLS", "ca": "CA bundle", "cert": "Client certificate",
}  # fmt: skip
_HELPS: Mapping[str, str] = {
    "requests": "One URL a line, or the text of a %%fastreq cell. [1-40] counts, {{name}} is a variable of the notebook.",
    "method": "for lines that are a URL alone",
    "headers": "Sent with each request, one a line. A secret as {{$env NAME}}.",
    "data": "Sent with each URL as it stands, {{name}} filled in. <\u00a0./file.json alone sends a file.",
    "each": "One request per row of a table, Series, list or range; {{names}} are its columns.",
    "name": "What the result is called in the notebook.",
    "concurrency": "requests in flight at once; auto finds how many suit the server",
    "concurrency_per_host": "requests in flight to one server at once",
    "rate_limit": "a second; or 60/min, 1000/h",
    "rate_limit_per_host": "the same for each server; goes on from run to run",
    "rate_limit_burst": "requests that may start together",
    "max_retries": "tries after the first one",
    "retry_unsafe": "as a rule they are sent once: twice could order twice",
    "timeout": "seconds for one try (300 with Save to)",
    "deadline": "time for the whole run; what is left becomes error rows",
    "max_failures": "stop the run after more failures than this",
    "check": "say that the run failed when more requests failed than this",
    "limit": "only the first N requests",
    "dedup": "send equal GET requests once; each row gets the answer",
    "auth": "name of a variable: (user, password), or a token",
    "session": "name of a FastRequests object: its cookies, headers and defaults",
    "zip": "several lines under Each: side by side, not all combinations",
    "return_type": "what the variable holds",
    "save_to": "write good answers to files, the rows hold their paths",
    "skip_existing": "with Save to: send nothing for files that are there",
    "journal": "keep answers in a file; a rerun sends only what is missing",
    "fresh": "with Journal: send all, whatever it holds",
    "max_age": "with Journal: answers older than this are fetched again",
    "select": "take a part of each answer (JMESPath): a row per item",
    "expand": "objects become columns: True, or a part of the answer",
    "timings": "more columns: DNS, connection, TLS, waiting",
    "response_headers": "one more column",
    "backend": "HTTP library; auto takes the first that is installed",
    "max_body": "larger answers are refused",
    "follow_redirects": "go where the server points to",
    "http2": "yes is refused where it cannot be had",
    "verify_ssl": "no trusts any server, even a false one",
    "ca": "certificates to trust in place of the usual ones",
    "cert": "a file with certificate and key, or a variable's name",
    "proxy": "env reads HTTP_PROXY and its kin; none goes direct",
}  # fmt: skip
_ALLOWED: Mapping[str, str] = {
    "headers": "Name: value, one a line", "check": 'a share or number of failures: "5%", "10", 0',
    "expand": "True or a JMESPath expression", "cert": "the path of a PEM file, or the name of a variable", "ca": "the path of a CA bundle",
}  # fmt: skip
_HINTS: Mapping[str, str] = {
    "auth": "name of a variable", "session": "name of a variable", "each": "e.g. orders.head(10)", "name": "e.g. orders",
    "check": "e.g. 5%", "select": "e.g. items[*].id", "expand": "e.g. True", "limit": "e.g. 5", "journal": "e.g. runs.db",
    "cert": "e.g. client.pem",
    "ca": "e.g. ca.pem", "max_body": "100 MiB", "timeout": "30", "concurrency_per_host": "none", "save_to": "e.g. img/{{sku}}.jpg",
    "requests": "https://host/path", "headers": "Accept: application/json\nAuthorization: Bearer {{$env TOKEN}}",
    "data": '{"id": {{id}}}',
}  # fmt: skip
_LONG_NAMES = re.compile(r"\b(?:--)?(" + "|".join(sorted((name for name in TABLE if "_" in name), key=len, reverse=True)) + r")\b|--each\b")


def label_of(name: str) -> str:
    """Return what stands above a field."""
    return _LABELS.get(name) or name.replace("_", " ").capitalize()


def help_of(name: str) -> str:
    """Return what stands below a field."""
    return _HELPS.get(name) or TABLE[name].help


def allowed_of(name: str) -> str:
    """Return what a field takes, for error lines."""
    return _ALLOWED.get(name) or TABLE[name].allowed


def hint_of(name: str, base: object = None) -> str:
    """Return what an empty field shows: what it means when left empty, or an example."""
    row: Option | None = TABLE.get(name)
    if row is not None and base is not None and base != row.default:
        return str(base) if isinstance(base, (str, int, float, Rate)) and not row.secret else "set by %config"
    if name in _HINTS:
        return _HINTS[name]
    if row is None or row.default in (None, ()):
        example = None if row is None else re.search("[\"']([^\"']+)[\"']", row.allowed)
        return f"e.g. {example[1]}" if example else ""
    return str(row.default)


def labelled(text: str) -> str:
    """Return a message with the names of options as the form shows them."""
    return _LONG_NAMES.sub(lambda found: label_of(found[1]) if found[1] else label_of("each"), text)
