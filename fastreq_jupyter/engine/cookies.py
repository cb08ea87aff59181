"""The cookie jar (RFC 6265, with the stricter rules of RFC 6265bis where browsers have them).

The law: a cookie goes where its server may ask for it and nowhere else. What the user gave goes to one origin (scheme,
host, port); what a server set goes to its host, or the domain it named when that is its own and no public suffix; a
Secure one never over http, loopback included.

Public suffixes are those of publicsuffix.org, its private section (``github.io``) included; the list is read when a server
first names a domain.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from threading import Lock
from time import time
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.content import NO_FIELD_VALUE, TOKEN
from fastreq_jupyter.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from publicsuffixlist import PublicSuffixList

    from fastreq_jupyter.content import Headers
    from fastreq_jupyter.url import Origin, Target

_LARGEST = 4096  # bytes of name and value, RFC 6265, 6.1
_PER_DOMAIN = 180
_IN_ALL = 3000
_LONGEST_LIFE = 400 * 86_400.0  # RFC 6265bis, 5.5
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_FORBIDDEN_GIVEN = re.compile(r"[\x00-\x1f\x7f;]")
_INTEGER = re.compile(r"-?[0-9]+")


@dataclass(slots=True)
class _Cookie:
    name: str
    value: str
    domain: str
    path: str
    host_only: bool
    secure: bool
    expires: float
    order: int

    def goes_to(self, host: str, path: str, now: float, *, encrypted: bool) -> bool:
        if self.expires <= now or (self.secure and not encrypted) or (self.host_only and host != self.domain):
            return False
        return _path_matches(path, self.path)


class Jar:
    """A cookie jar; all methods may be called from any thread.

    Args:
        clock: Wall clock in seconds, as `time.time`.
    """

    def __init__(self, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self._lock = Lock()
        self._user_cookies: dict[Origin, dict[str, str]] = {}
        self._stored: dict[str, dict[tuple[str, str], _Cookie]] = {}
        self._count = 0
        self._order = 0
        # A server may have replaced some of them since.
        self._once_given: dict[Origin, dict[str, str]] = {}
        # Who sent requests that may have changed the meaning of these cookies; used by a cache.
        self.senders: set[bytes] = set()
        self.unseen = False

    def set(self, cookies: Mapping[str, Any] | Iterable[tuple[str, Any]], origin: Origin) -> None:
        """Keep what the user gave, for one origin alone; a server's cookie of the same name takes its place.

        Raises:
            OptionError: A name is no token, or a value holds a control character or ";"; values are not shown.
        """
        checked = read_cookies(cookies)
        with self._lock:
            self._user_cookies.setdefault(origin, {}).update(checked)
            self._once_given.setdefault(origin, {}).update(checked)

    @property
    def empty(self) -> bool:
        """Tell whether there is no cookie to send anywhere."""
        return not (self._user_cookies or self._stored)

    @property
    def received(self) -> bool:
        """Tell whether a server has set a cookie."""
        return bool(self._stored)

    def given_for(self, target: Target) -> str:
        """Return the cookies that the user gave for the target's origin, also those replaced since; empty for none."""
        with self._lock:
            return "; ".join(f"{name}={value}" for name, value in sorted(self._once_given.get(target.origin, {}).items()))

    def clear(self) -> None:
        """Forget all cookies."""
        with self._lock:
            self.senders.clear()
            self.unseen = False
            self._user_cookies.clear()
            self._once_given.clear()
            self._stored.clear()
            self._count = 0

    def header_for(self, target: Target) -> str | None:
        """Return the value of the Cookie header for a request, None where there is nothing to send."""
        if not self._user_cookies and not self._stored:
            return None
        path = target.path_query.partition("?")[0]
        encrypted = target.origin.scheme == "https"
        now = self._clock()
        cookies: list[_Cookie] = []
        with self._lock:
            pairs = [f"{name}={value}" for name, value in self._user_cookies.get(target.origin, {}).items()]
            for domain in _domains(target.origin.host):
                for cookie in self._stored.get(domain, {}).values():
                    if cookie.goes_to(target.origin.host, path, now, encrypted=encrypted):
                        cookies.append(cookie)  # noqa: PERF401 - a comprehension over three levels is harder to read
        cookies.sort(key=lambda cookie: (-len(cookie.path), cookie.order))
        pairs += [f"{cookie.name}={cookie.value}" for cookie in cookies]
        return "; ".join(pairs) or None

    def store(self, target: Target, headers: Headers) -> None:
        """Keep what a response sets; a cookie its server may not set is ignored."""
        for name, value in headers:
            if len(name) == 10 and name.lower() == "set-cookie":
                self._store(target, value)

    def _store(self, target: Target, line: str) -> None:
        now = self._clock()
        cookie = _parse(line, target, now)
        if cookie is None:
            return
        with self._lock:
            self._user_cookies.get(target.origin, {}).pop(cookie.name, None)
            cookies = self._stored.setdefault(cookie.domain, {})
            key = (cookie.path, cookie.name)
            old = cookies.get(key)
            if not (target.origin.scheme == "http" and _shadows_secure(cookie, cookies)):
                cookie.order = self._order if old is None else old.order
                self._order += 1
                self._put(cookies, key, cookie, now)
            if not cookies:
                self._stored.pop(cookie.domain, None)

    def _put(self, cookies: dict[tuple[str, str], _Cookie], key: tuple[str, str], cookie: _Cookie, now: float) -> None:
        if cookies.pop(key, None) is not None:
            self._count -= 1
        if cookie.expires <= now:
            return
        if len(cookies) >= _PER_DOMAIN:
            self._count -= _evict(cookies, now)
        elif self._count >= _IN_ALL:
            fullest = max(self._stored, key=lambda domain: len(self._stored[domain]))
            self._count -= _evict(self._stored[fullest], now)
            if not self._stored[fullest]:
                del self._stored[fullest]
        cookies[key] = cookie
        self._count += 1

    def __len__(self) -> int:
        return self._count + sum(len(cookies) for cookies in self._user_cookies.values())

    def __repr__(self) -> str:
        return f"<Jar of {len(self)} cookies>"


def read_cookies(cookies: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Return the cookies that a user gives as text; a value of None leaves its name out.

    Raises:
        OptionError: As `Jar.set`.
    """
    items = cookies.items() if hasattr(cookies, "items") else cookies
    return dict(_given_pair(name, value) for name, value in items if value is not None)


def _given_pair(name: Any, value: Any) -> tuple[str, str]:
    name, text = str(name), str(value)
    if not TOKEN.fullmatch(name):
        raise OptionError("cookies: a name is not a token (letters, digits, - _ and the like)")
    if _FORBIDDEN_GIVEN.search(text):
        raise OptionError(f"cookies: the value of {name} has a control character or a semicolon")
    return name, text if text.isascii() else text.encode("utf-8", "replace").decode("latin-1")


def _parse(line: str, target: Target, now: float) -> _Cookie | None:
    pair, *rest = line.split(";")
    name, equals, value = pair.partition("=")
    name, value = name.strip(" \t"), value.strip(" \t")
    if not equals or not name or len(name) + len(value) > _LARGEST or NO_FIELD_VALUE.search(line):
        return None
    attributes: dict[str, str] = {}
    for part in rest:
        key, _, text = part.partition("=")
        if len(text) <= 1024:
            attributes[key.strip(" \t").lower()] = text.strip(" \t")
    secure = "secure" in attributes
    path = attributes.get("path", "")
    if not path.startswith("/"):
        path = _default_path(target.path_query)
    placed = _placed(attributes.get("domain", ""), target.origin.host)
    if placed is None or (secure and target.origin.scheme != "https"):
        return None
    if name.startswith(("__Secure-", "__Host-")) and not secure:
        return None
    if name.startswith("__Host-") and (path != "/" or not placed[1]):
        return None
    return _Cookie(name, value, *placed[:1], path, placed[1], secure, _expiry(attributes, now), 0)


def _placed(attribute: str, host: str) -> tuple[str, bool] | None:
    """Return the domain and whether the cookie is host-only; None where the server may not set it there."""
    domain = attribute.removeprefix(".").lower()
    if not domain or domain == host:
        # A server whose name is a public suffix or an address keeps its cookies to itself.
        return host, not domain or _is_address(host) or _is_public(domain)
    if _is_address(host) or not host.endswith("." + domain) or _is_public(domain):
        return None
    return domain, False


def _expiry(attributes: Mapping[str, str], now: float) -> float:
    if _INTEGER.fullmatch(age := attributes.get("max-age", "")):
        if age.startswith("-"):
            return float("-inf")
        seconds = float(age[:18])
        return now + min(seconds, _LONGEST_LIFE) if seconds else float("-inf")
    date = parse_cookie_date(attributes.get("expires", ""))
    return float("inf") if date is None else min(date, now + _LONGEST_LIFE)


def _default_path(path_query: str) -> str:
    path = path_query.partition("?")[0]
    return path[: path.rfind("/")] or "/"


def _path_matches(path: str, cookie_path: str) -> bool:
    return path == cookie_path or (path.startswith(cookie_path) and (cookie_path.endswith("/") or path[len(cookie_path)] == "/"))


def _shadows_secure(cookie: _Cookie, cookies: Mapping[tuple[str, str], _Cookie]) -> bool:
    """Tell whether a cookie set over http would lie over a Secure one (RFC 6265bis, 5.7, "leave secure cookies alone")."""
    return any(other.secure and other.name == cookie.name and _path_matches(cookie.path, other.path) for other in cookies.values())


def _evict(cookies: dict[tuple[str, str], _Cookie], now: float) -> int:
    """Drop expired cookies, else the oldest one; return the number dropped."""
    dropped = [key for key, cookie in cookies.items() if cookie.expires <= now]
    if not dropped:
        dropped = [min(cookies, key=lambda key: cookies[key].order)]
    for key in dropped:
        del cookies[key]
    return len(dropped)


@lru_cache(maxsize=1024)
def _domains(host: str) -> tuple[str, ...]:
    """Return the host and the domains it belongs to."""
    if _is_address(host):
        return (host,)
    labels = host.split(".")
    return tuple(".".join(labels[i:]) for i in range(len(labels)))


@lru_cache(maxsize=1024)
def _is_address(host: str) -> bool:
    """Tell whether a host is an address, as resolvers read it: one that ends in a number is (WHATWG URL, 3.5), a dot behind it or none."""
    last = host.removesuffix(".").rpartition(".")[2]
    return ":" in host or _NUMBER.fullmatch(last) is not None


@lru_cache(maxsize=1024)
def _is_public(domain: str) -> bool:
    labels = domain.rstrip(".").split(".")
    return len(labels) == 1 or "" in labels or bool(_public_suffixes().is_public(domain.rstrip(".")))


@cache
def _public_suffixes() -> PublicSuffixList:
    from publicsuffixlist import PublicSuffixList  # noqa: PLC0415 - 40 ms that most runs never need

    return PublicSuffixList()


_DELIMITER = re.compile(r"[\x09\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[^0-9].*)?", re.DOTALL)
_DAY = re.compile(r"([0-9]{1,2})(?:[^0-9].*)?", re.DOTALL)
_YEAR = re.compile(r"([0-9]{2,4})(?:[^0-9].*)?", re.DOTALL)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def parse_cookie_date(text: str) -> float | None:
    """Return seconds since the epoch, None where the text is no date."""
    time = day = month = year = None
    for token in _DELIMITER.split(text[:200]):
        if time is None and (match := _TIME.fullmatch(token)):
            time = (int(match[1]), int(match[2]), int(match[3]))
        elif day is None and (match := _DAY.fullmatch(token)):
            day = int(match[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year is None and (match := _YEAR.fullmatch(token)):
            year = _full_year(int(match[1]))
    if time is None or day is None or month is None or year is None or year < 1601:
        return None
    try:
        return datetime(year, month, day, *time, tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _full_year(year: int) -> int:
    if 70 <= year <= 99:
        return year + 1900
    return year + 2000 if year <= 69 else year
