"""CA bundles that the environment names for other programs: never read by themselves, but offered where an authority is not known."""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["offered_bundle"]

_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_UNKNOWN_AUTHORITY = re.compile("issuer|self-? ?signed", re.IGNORECASE)


def offered_bundle(detail: str) -> str:
    """Return what is said behind a verification that failed, empty where its cause is another or no variable names a file.

    Args:
        detail: What the library said.
    """
    if _UNKNOWN_AUTHORITY.search(detail) is None:
        return ""
    named = next((name for name in _VARIABLES if (path := os.environ.get(name)) and Path(path).exists()), None)
    return "" if named is None else f"; {named} is not read by itself: verify_ssl={os.environ[named]!r} (--ca) trusts what it names"
