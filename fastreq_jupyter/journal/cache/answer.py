"""One stored answer, and what becomes of it: a row of this run, or the lines of a conditional request."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from fastreq_jupyter.engine import read_stored
from fastreq_jupyter.journal.rows import head_of
from fastreq_jupyter.model import Outcome, Response
from fastreq_jupyter.redact import SHORTEST, one_line, redact_text, redact_url, secret_values

if TYPE_CHECKING:
    from fastreq_jupyter.engine import Conditions
    from fastreq_jupyter.model import Headers, Request
    from fastreq_jupyter.options import Options

__all__ = ["KEPT", "Answer", "answer_of", "conditions_of", "echoes_secret", "outcome_of", "seal_of"]

KEPT = frozenset({200, 203, 204, 206})
"""Status codes of answers that are what was asked for; a 201 or 202 speaks of something else."""
_LONGEST_URL = 4000


class Answer(NamedTuple):
    """A stored answer.

    Attributes:
        key: What it is an answer to.
        at: When it was received, or was confirmed last, seconds since 1970.
        method, url: Of the request, for people; secrets as ``***``.
        status: Status code.
        head: Field lines, final URL, version and reason, JSON.
        body: Bytes after content decoding.
        seal: Keyed hash of all of it.
    """

    key: bytes
    at: float
    method: str
    url: str
    status: int
    head: str
    body: bytes
    seal: bytes = b""


def seal_of(answer: Answer, secret: bytes) -> bytes:
    """Return the seal that an answer must have.

    Args:
        answer: The answer.
        secret: The file's key.
    """
    hashed = blake2b(repr(answer[:-2]).encode("utf-8", "surrogatepass"), digest_size=16, key=secret)
    hashed.update(answer.body)
    return hashed.digest()


def answer_of(outcome: Outcome, content: bytes, key: bytes, at: float, more: frozenset[str]) -> Answer:
    """Return what is stored of a good outcome, without its seal; `more` are secrets besides those of the request."""
    request, response = outcome.request, outcome.response
    assert response is not None  # noqa: S101 - a good outcome has one
    secrets = _secrets_of(request) | more
    url = one_line(redact_text(redact_url(request.url, request.secrets), secrets), _LONGEST_URL)
    head = json.dumps(head_of(response, secrets), separators=(",", ":"))
    return Answer(key, at, request.method, url, response.status, head, content)


def echoes_secret(request: Request, content: bytes, more: frozenset[str]) -> bool:
    """Tell whether a body says a secret of its request back, or one of `more`: a file that may be shared is no place for it."""
    secrets = _secrets_of(request) | more
    return any(len(secret) >= SHORTEST and secret.encode("utf-8", "surrogatepass") in content for secret in secrets)


def outcome_of(answer: Answer, request: Request, position: int, options: Options, conditions: Conditions | None) -> Outcome | None:
    """Return the row that a stored answer gives, read as the options ask; None where they would call it bad."""
    head = json.loads(answer.head)
    headers: Headers = tuple([(name, value) for name, value in head["headers"]])
    body = None if request.method == "HEAD" else answer.body
    response = Response(answer.status, headers, head["final_url"], body, len(answer.body), head["http_version"], head["reason"])
    content_type = response.header("content-type")
    data = None
    if body is not None:
        data, error, _, _ = read_stored(request, body, content_type, options, answer.status)
        if error is not None:
            return None
        if conditions is not None and conditions.judge(response, data, content_type, hidden=request.hide_data).detail is not None:
            return None
    if options.return_type == "response":
        data = response
    else:
        response.content = None
    return Outcome(position, request, (), response, data)


def conditions_of(answer: Answer) -> Headers:
    """Return the lines that let a server say that nothing has changed (RFC 9110, 13.1), none where it gave no validator."""
    fields = {name.lower(): value for name, value in json.loads(answer.head)["headers"]}
    if "etag" in fields:
        return (("If-None-Match", fields["etag"]),)
    return (("If-Modified-Since", fields["last-modified"]),) if "last-modified" in fields else ()


def _secrets_of(request: Request) -> frozenset[str]:
    if not (request.headers or request.content or request.secrets or "?" in request.url or "@" in request.url or "#" in request.url):
        return request.secrets
    return request.secrets | secret_values(request.url, request.headers, request.content, request.header("content-type"))
