"""How a secret can look in a text: as it is, percent-encoded, escaped in JSON, Python or HTML, in base64."""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from functools import lru_cache
from html import escape
from urllib.parse import quote, quote_plus

__all__ = ["spellings"]

_HEX = re.compile(r"%[0-9A-F]{2}|\\u[0-9a-f]{4}")
# Characters that some encoder leaves as they are: none, a path's, those of RFC 3986, those of `encodeURIComponent`.
_SAFE_SETS = ("", "/", "/%:@!$&'()*+,;=~-._|", "/%:@!$&'()*+,;=~-._|?[]{}", "!'()*~-._")


@lru_cache(maxsize=1024)
def spellings(secret: str) -> frozenset[str]:
    """Return the texts that a secret can appear as; a plain ASCII token has itself and its three base64 alignments.

    Base64 is given without the characters that depend on what stands before and after, so that the secret is found
    within a larger encoded text, as a password is in the credentials of Basic.
    """
    found = {secret, escape(secret), secret.encode("utf-8", "replace").decode("latin-1")}
    found |= {quote(secret, safe=safe, errors="replace") for safe in _SAFE_SETS}
    found.add(quote_plus(secret, errors="replace"))
    for text in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        found |= {text, text.replace("/", "\\/"), json.dumps(text)[1:-1]}
    found |= {repr(secret)[1:-1], repr(secret.encode("utf-8", "replace"))[2:-1]}
    found |= {_HEX.sub(_swap_case, text) for text in tuple(found)}
    for raw in {secret.encode("utf-8", "replace"), secret.encode("latin-1", "replace")}:
        found |= _base64(raw)
    return frozenset(text for text in found if text)


def _swap_case(match: re.Match[str]) -> str:
    text = match[0]
    return text.lower() if text[0] == "%" else text[:2] + text[2:].upper()


def _base64(raw: bytes) -> set[str]:
    found: set[str] = set()
    for before in range(3):
        first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        for encode in (b64encode, urlsafe_b64encode):
            found.add(encode(b"\0" * before + raw).decode("ascii")[first:last])
    return found
