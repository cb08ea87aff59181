"""Checks of option values: each takes what a user gave, a value or the text of a flag, and returns the normal form.

A check raises ValueError where the range in words says enough, TypeError with a message where it does not.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastreq_jupyter.options.quantity import Rate, Share, parse_duration, parse_rate, parse_share, parse_size

CONCURRENCY = 1000
FLAG_WORDS: Mapping[str, bool] = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
Check = Callable[[Any], Any]


def anything(value: Any) -> Any:
    """Accept any value."""
    return value


def choice(allowed: tuple[str, ...]) -> Check:
    """Accept one of a few words, any case; a near miss is named."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError
        word = value.lower()
        if word in allowed:
            return word
        if near := get_close_matches(word, allowed, n=1, cutoff=0.6):
            raise TypeError(f"did you mean {near[0]}?")
        raise ValueError

    return check


def either(*words: str, otherwise: Check) -> Check:
    """Accept one of a few words, any case, else what another check accepts."""

    def check(value: Any) -> Any:
        if isinstance(value, str) and value.strip().lower() in words:
            return value.strip().lower()
        return otherwise(value)

    return check


def integer(low: int, high: int, *, none: bool = False) -> Check:
    """Accept a whole number of a closed range."""

    def check(value: Any) -> int | None:
        if value is None and none:
            return None
        if isinstance(value, bool) or not (isinstance(value, (int, str)) or hasattr(value, "__index__")):
            raise ValueError
        number = int(value)
        if not low <= number <= high:
            raise ValueError
        return number

    return check


def duration_value(low: float, high: float, *, none: bool = False) -> Check:
    """Accept seconds or a text with a unit."""

    def check(value: Any) -> float | None:
        if value is None and none:
            return None
        seconds = parse_duration(value)
        if not low <= seconds <= high:
            raise ValueError
        return seconds

    return check


def size_value(low: int) -> Check:
    """Accept bytes or a text with a unit."""

    def check(value: Any) -> int:
        size = parse_size(value)
        if not low <= size <= 2**50:
            raise ValueError
        return size

    return check


def rate_value(value: Any) -> Rate | None:
    """Accept a rate; None means no limit."""
    if value is None:
        return None
    rate = parse_rate(value)
    if not 0 < rate.count <= 1_000_000 or (rate.whole and rate.count % 1):
        raise ValueError
    return rate


def share_value(*, flag: bool = False) -> Check:
    """Accept a bound on failures; with `flag` True means none tolerated and False means off."""

    def check(value: Any) -> Share | None:
        if value is None or (flag and value is False):
            return None
        if isinstance(value, bool) and not flag:
            raise ValueError
        return Share(count=0) if value is True else parse_share(value)

    return check


def strict_bool(value: Any) -> bool:
    """Accept True and False, and the words of a flag."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in FLAG_WORDS:
        return FLAG_WORDS[value.lower()]
    raise ValueError


def text_value(*, flag: bool = False) -> Check:
    """Accept a non-empty text or path, or None; with `flag` also True, and False for None."""

    def check(value: Any) -> Any:
        if value is None or (flag and value is True):
            return value
        if flag and value is False:
            return None
        if not isinstance(value, (str, Path)) or not str(value).strip() or "\0" in str(value):
            raise ValueError
        return str(value)

    return check


def pages_value(value: Any) -> str | None:
    """Accept how pages are followed; True is "auto", False and None are not at all."""
    text = text_value(flag=True)(value)
    return "auto" if text is True else text


def method_value(value: Any) -> str:
    """Accept a token (RFC 9110, 9.1)."""
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise ValueError
    return value.upper()


def names_value(value: Any) -> tuple[str, ...]:
    """Accept a name, or several; None means none."""
    if value is None:
        return ()
    names = (value,) if isinstance(value, str) else tuple(value)
    if isinstance(value, (bytes, Mapping)) or not all(isinstance(name, str) and name for name in names):
        raise ValueError
    return tuple(dict.fromkeys(names))


def verify_value(value: Any) -> bool | str:
    """Accept True, False, or an existing CA bundle."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return FLAG_WORDS[value.lower()]
    return _existing(value)


def cert_value(value: Any) -> str | tuple[str, str] | None:
    """Accept an existing PEM file, or a pair of them."""
    if value is None:
        return None
    if isinstance(value, (tuple, list)):
        certificate, key = value
        return _existing(certificate), _existing(key)
    return _existing(value)


def proxy_url(value: Any) -> str:
    """Accept a proxy URL; None means none."""
    if value is None:
        return "none"
    if not isinstance(value, str):
        raise ValueError
    parts = urlsplit(value)
    if parts.scheme.lower() not in ("http", "https", "socks4", "socks4a", "socks5", "socks5h") or not parts.hostname:
        raise ValueError
    _ = parts.port
    return value


def auth_value(value: Any) -> Any:
    """Accept a pair, a bearer token, what gives tokens or makes credentials, or a mapping of origins to these."""
    if value is None or hasattr(type(value), "fastreq_auth"):
        return value
    if isinstance(value, Mapping):
        return {str(origin): auth_value(auth) for origin, auth in value.items()}
    if isinstance(value, type):
        raise TypeError(f"{value.__name__} is a class: give an object")
    if hasattr(value, "get_token") or (hasattr(value, "token") and hasattr(value, "refresh")):
        return value
    if callable(value):
        return _without_arguments(value)
    if isinstance(value, str) and value and value.isprintable():
        return value
    if isinstance(value, (tuple, list)) and len(value) == 2 and all(isinstance(part, str) for part in value):
        if ":" in value[0]:
            raise TypeError("a user name has no colon")
        return tuple(value)
    raise ValueError


def _without_arguments(function: Any) -> Any:
    try:
        inspect.signature(function).bind()
    except TypeError:
        raise TypeError("a function that gives tokens takes no argument") from None
    except ValueError:
        # Some functions written in C have no signature.
        pass
    return function


def statuses_value(value: Any) -> tuple[int, ...]:
    """Accept a status from 400 to 499, several, or a text with commas."""
    parts = value.split(",") if isinstance(value, str) else [value] if isinstance(value, (int, str)) else list(value)
    statuses = tuple(int(part) if isinstance(part, str) else part for part in parts)
    if not statuses or not all(type(status) is int and 400 <= status <= 499 for status in statuses):
        raise ValueError
    return tuple(dict.fromkeys(statuses))


def header_pairs(value: Any) -> tuple[tuple[str, str], ...] | None:
    """Accept a mapping, pairs, or lines "Name: value"; a value of None leaves its name out, a User-Agent of None is sent as none at all.

    Names are tokens, values have no control characters.
    """
    if value is None:
        return None
    items: Any = [value] if isinstance(value, str) else value.items() if isinstance(value, Mapping) else value
    return tuple(_header(item) for item in map(_without_none, items) if item is not None)


def mapping_value(value: Any) -> Any:
    """Accept a mapping or pairs."""
    if value is None or isinstance(value, Mapping):
        return value
    return tuple((name, item) for name, item in value)


def callable_value(value: Any) -> Any:
    """Accept a plain function; a coroutine function is refused, it could not be awaited where it runs."""
    if value is not None and (not callable(value) or inspect.iscoroutinefunction(value)):
        raise ValueError
    return value


def _without_none(item: Any) -> Any:
    """Return a header, None where its name is left out; an empty User-Agent is how none at all is asked for."""
    if not (isinstance(item, tuple) and item[1:] == (None,)):
        return item
    return (item[0], "") if str(item[0]).lower() == "user-agent" else None


def _header(item: Any) -> tuple[str, str]:
    if isinstance(item, str):
        name, colon, text = item.partition(":")
        if not colon:
            raise TypeError("no colon in a header line")
        item = (name.strip(), text.strip())
    name, text = (part.decode("latin-1") if isinstance(part, bytes) else part for part in item)
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        raise TypeError("a header name is not a token")
    text = text if isinstance(text, str) else str(text)
    if any((ord(c) < 32 and c != "\t") or ord(c) == 127 for c in text):
        raise TypeError(f"the value of {name} has a control character")
    return name, text


def _existing(value: Any) -> str:
    if not isinstance(value, (str, Path)) or not str(value).strip():
        raise ValueError
    if not Path(value).exists():
        raise TypeError("no such file")
    return str(value)
