"""The URLs of a frame, secrets as ``***``; quick, since most of them hold none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastreq_jupyter.frame.columns import clean_text
from fastreq_jupyter.redact import is_secret_name, redact_text, redact_url, secret_values

if TYPE_CHECKING:
    from fastreq_jupyter.model import Request, Response

__all__ = ["final_urls", "secrets_of", "shown_urls"]

# URLs looked at together: small, so that one odd URL costs little
_BLOCK = 500
_NAMES_KEPT = 30
_QUERY_NAME = re.compile("[?&]([^=&?\n]*)=")


def shown_urls(requests: list[Request]) -> list[str]:
    """Return the URLs as asked for, secrets as ``***``, lone surrogates as U+FFFD."""
    shown: list[str] = []
    names: set[str] = set()
    for start in range(0, len(requests), _BLOCK):
        block = requests[start : start + _BLOCK]
        urls = [request.url for request in block]
        if any([request.secrets for request in block]) or not _are_plain(urls, names):  # noqa: C419 - a list is faster, this runs per row
            urls = [clean_text(redact_url(request.url, request.secrets)) for request in block]
        shown += urls
    return shown


def _are_plain(urls: list[str], names: set[str]) -> bool:
    """Tell cheaply that nothing in these URLs needs a mask or cleaning; False where that takes a closer look.

    Args:
        urls: A block of URLs.
        names: Query names known to be no secrets; grows.
    """
    text = "\n".join(urls)
    if not text.isascii() or "@" in text or "#" in text or "%" in text or ";" in text:
        return False
    unknown = text.count("=")
    for name in names:
        unknown -= text.count(f"?{name}=")
        unknown -= text.count(f"&{name}=") if unknown else 0
    if not unknown:
        return True
    found = set(_QUERY_NAME.findall(text))
    if any(is_secret_name(name) for name in found):
        return False
    if len(names) + len(found) < _NAMES_KEPT:
        names |= found
    return True


def final_urls(responses: list[Response | None], requests: list[Request], urls: list[str]) -> list[str | None]:
    """Return the URLs that answered, None where none did.

    Args:
        responses: What came, or None.
        requests: What was asked.
        urls: What `shown_urls` gave for them.
    """
    return [
        None if said is None else shown if said.final_url == request.url else _final_url(said.final_url, request, shown)
        for said, request, shown in zip(responses, requests, urls, strict=True)
    ]


def _final_url(url: str, request: Request, shown: str) -> str:
    return clean_text(redact_text(redact_url(url, request.secrets), secrets_of(request, shown)))


def secrets_of(request: Request, shown: str | None = None) -> frozenset[str]:
    """Return what this request must not show anywhere: given by the cell, and what its own fields carry.

    Args:
        request: The request.
        shown: Its redacted URL: where that is the URL itself, it carries nothing.
    """
    if not request.headers and not request.content and shown is not None and shown == request.url:
        return request.secrets
    return request.secrets | secret_values(request.url, request.headers, request.content, request.header("content-type"))
