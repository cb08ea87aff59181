"""What a library cannot be told: per backend, the named cases in which a law of every backend does not hold.

The table in docs/reference.md is made of this list, and the fault test holds exactly its cases: one that vanished fails as well.
Nothing reads it when requests are sent, so it stands beside the faults.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

__all__ = ["CHOICES", "DIFFERENCES", "Difference", "is_listed"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that a library does in its own way.

    Attributes:
        subject: What it is about, the same words for all backends that differ in it.
        cases: Names of faults that show it, "*" standing for the rest of a name; may be empty where none does.
        effect: What happens, one sentence.
        reason: Why it cannot be changed, one sentence.
    """

    subject: str
    cases: tuple[str, ...]
    effect: str
    reason: str


# The fork of urllib3 is below niquests, and below requests wherever niquests is installed.
_URLLIB3_FUTURE = (
    Difference(
        "Spelling of request field names",
        (),
        "each word begins with a capital: `Soapaction` for `SOAPAction`",
        "urllib3-future writes them so",
    ),
    Difference(
        "Head of an answer",
        (),
        "the usual reason phrase of its status, HTTP/1.0 shown as 1.1, lines of equal names put together",
        "urllib3-future does not hand it on as it came",
    ),
    Difference(
        "A reset in a body without a length",
        ("resets in a close-delimited body",),
        "what came of it is taken for the whole",
        "urllib3-future takes a reset for the end of the stream",
    ),
    Difference(
        "Odd answers that a client may refuse",
        ("a vertical tab in a header", "a head of 200 KB", "transfer coding identity"),
        "error `protocol` for control characters in fields, `Transfer-Encoding: identity`, and heads of more than 128 KiB",
        "the parser below urllib3-future refuses them",
    ),
    Difference(
        "An answer in mid upload, from a server that then resets the connection",
        ("413 in mid upload, then resets",),
        "error `connect` in place of the answer, say a 413",
        "urllib3-future reads nothing more once sending has failed",
    ),
    Difference(
        "Heads that break off",
        ("speaks ssh", "closes in mid head", "closes after the status line", "answers as HTTP/0.9"),
        "error `connect` instead of `protocol`",
        "urllib3-future tells both by the same words",
    ),
)

DIFFERENCES: dict[str, tuple[Difference, ...]] = {
    "curl": (
        Difference(
            "Two Location fields that differ",
            ("two Locations that differ",),
            "error `protocol`, also where redirects are not followed",
            "libcurl refuses such an answer",
        ),
        Difference(
            "An answer in mid upload, from a server that then resets the connection",
            (),
            "error `connect` in place of the answer, say a 413, in about 1 of 60",
            "libcurl may send before it reads, and reads nothing more once sending has failed",
        ),
        Difference(
            "Chunk extensions without end",
            (),
            "read until the attempt's deadline, in little memory",
            "libcurl sets no limit to them",
        ),
        Difference(
            "Informational answers (1xx)",
            (),
            "`wait_ms` ends with the first of them",
            "libcurl's clock stops at the first byte",
        ),
    ),
    "aiohttp": (
        Difference(
            "SOCKS proxies",
            ("socks5 proxy*",),
            "refused before anything is sent, in one line that names curl",
            "aiohttp speaks no SOCKS",
        ),
        Difference(
            "Odd answers that a client may refuse",
            ("two Content-Lengths that agree", "a list of Content-Lengths that agree"),
            "error `protocol` for a Content-Length given twice, also where both agree",
            "aiohttp's parser refuses it",
        ),
        Difference(
            "Header text beyond ASCII",
            (),
            "sent where its latin-1 bytes are UTF-8 as well, else the row has the error `invalid value`",
            "aiohttp writes header text as UTF-8",
        ),
    ),
    "niquests": (
        *_URLLIB3_FUTURE,
        Difference(
            "HTTP/2 is not multiplexed",
            (),
            "each connection carries one request at a time, so that as many are opened as there are requests in flight",
            "niquests waits for one answer at a time on a connection: 50 quick answers waited for a slow one on the same, "
            "and were lost when that one was ended",
        ),
    ),
    "requests": (
        *_URLLIB3_FUTURE,
        Difference(
            "Answers of more than 100 fields",
            (),
            "error `protocol`, where niquests is not installed beside it",
            "the standard library's http.client, below urllib3 itself, reads no more",
        ),
    ),
}

CHOICES: dict[str, str] = {
    "curl": "Take it wherever it can be installed: fastest by far, HTTP/2 and HTTP/3, every kind of proxy, every phase in the timings, "
    "and the fewest surprises with servers that misbehave. It is what curl is made of.",
    "aiohttp": "Take it where no wheel of pycurl exists, or where your own code runs on aiohttp already and its behaviour is what "
    "you know. HTTP/1.1 only; always installed.",
    "niquests": "Take it for HTTP/2 or HTTP/3 without a C library besides Python's own, or where your project uses niquests. "
    "Several times slower than the two above.",
    "requests": "Take it where a server or proxy works with requests and with nothing else, or to see what your scripts see. "
    "One thread per request in flight; HTTP/1.1 only.",
}
"""When one would choose a backend, for README."""


def is_listed(backend: str, fault: str) -> bool:
    """Tell whether a backend is known to end a fault in its own way."""
    return any(fnmatchcase(fault, case) for difference in DIFFERENCES[backend] for case in difference.cases)
