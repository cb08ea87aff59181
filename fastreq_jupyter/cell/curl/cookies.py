"""Cookies of the files that curl reads and writes (``-b FILE``, Netscape's format)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fastreq_jupyter.url import parse_target

if TYPE_CHECKING:
    from fastreq_jupyter.url import Target

__all__ = ["cookies_for"]

_FIELDS = 7
# What curl takes for secure although nothing is encrypted: it never leaves the machine.
_SECURE_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


class _Cookie(NamedTuple):
    """One line of a cookie file; `expires` is 0 for one that lasts as long as its session."""

    domain: str
    subdomains: bool
    path: str
    secure: bool
    expires: float
    pair: str


def cookies_for(url: str, path: str) -> str:
    """Return what a Cookie field holds for a URL by a cookie file, "" for none.

    Raises:
        OSError: The file cannot be read.
        ValueError: The URL is none, or the file is no cookie file.
    """
    target = parse_target(url)
    lines = Path(path).expanduser().read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    lines = [line.removeprefix("#HttpOnly_") for line in lines]
    cookies = [_read(line) for line in lines if line.strip() and not line.startswith("#")]
    now = time.time()
    fitting = [cookie for cookie in cookies if _goes_to(cookie, target, now)]
    # As curl: longer paths, longer domains and longer names first, then those written last.
    fitting.sort(key=lambda cookie: (len(cookie.path), len(cookie.domain), len(cookie.pair.partition("=")[0])), reverse=True)
    return "; ".join(cookie.pair for cookie in fitting)


def _read(line: str) -> _Cookie:
    fields = line.split("\t")
    if len(fields) == _FIELDS - 1:
        fields.append("")
    if len(fields) != _FIELDS or not fields[4].strip().lstrip("-").isdigit():
        message = "it is no cookie file (seven fields with tabs between them)"
        raise ValueError(message)
    domain, subdomains, path, secure, expires, name, value = fields
    return _Cookie(domain.lstrip("."), subdomains == "TRUE", path, secure == "TRUE", float(expires), f"{name}={value}")


def _goes_to(cookie: _Cookie, target: Target, now: float) -> bool:
    host = target.origin.host
    domain = cookie.domain.lower()
    path = target.path_query.partition("?")[0]
    own = cookie.path.rstrip("/")
    return (
        (host == domain or (cookie.subdomains and host.endswith(f".{domain}")))
        and (not own or path == own or path.startswith(f"{own}/"))
        and (not cookie.secure or target.origin.scheme == "https" or host in _SECURE_HOSTS)
        and (not cookie.expires or cookie.expires > now)
    )
