"""One file per HTTP library, behind one narrow door (base); none is imported before it is asked for."""

from __future__ import annotations

from fastreq_jupyter.backends.base import NAMES, Backend, SessionKey, Stream, detect, open_backend, send, watches_sockets
from fastreq_jupyter.backends.trust import offered_bundle

__all__ = [
    "NAMES",
    "Backend",
    "SessionKey",
    "Stream",
    "detect",
    "offered_bundle",
    "open_backend",
    "send",
    "watches_sockets",
]
