"""FAULTS: every way to misbehave, and what the row must say of it.

The expectation is the same for all backends; a run of them needs `BASE` options: a short timeout, no retries, a small
`max_body`, the authority of the good certificates, and as many requests at once as there are faults.
"""

from faultserver.certificates import ca_file
from faultserver.faults.answers import EMPTIES, ENCODINGS, JSON, RETRY_AFTER, STATUSES
from faultserver.faults.fault import ANY, Fault, Site, table
from faultserver.faults.framing import BODIES, CHUNKING, CONNECTIONS, HEADS
from faultserver.faults.routing import PROXIES, REDIRECTS, TLS

__all__ = ["ANY", "FAULTS", "GROUPS", "Fault", "Site", "base_options"]

GROUPS = {
    "connections": CONNECTIONS, "heads": HEADS, "bodies": BODIES, "chunking": CHUNKING, "statuses": STATUSES, "retry-after": RETRY_AFTER,
    "encodings": ENCODINGS, "json": JSON, "empties": EMPTIES, "redirects": REDIRECTS, "tls": TLS, "proxies": PROXIES,
}  # fmt: skip
FAULTS = table(*(fault for group in GROUPS.values() for fault in group.values()))


def base_options() -> dict[str, object]:
    """Return the options that every fault is measured with, unless it brings its own."""
    return {"timeout": 3.0, "max_retries": 0, "max_body": 2_000_000, "verify_ssl": ca_file(), "proxy": "none", "concurrency": 300}
