"""What a server said."""

from __future__ import annotations

import json as jsonlib
from dataclasses import dataclass
from typing import Any

from fastreq_jupyter.content import decode_text, media_type

__all__ = ["Headers", "Response"]

Headers = tuple[tuple[str, str], ...]
"""Field lines in order, names as given; values latin-1 text."""


@dataclass(frozen=True, slots=True)
class Response:
    """Hold what the server said.

    Attributes:
        status: Status code, 100..599.
        headers: Field lines of the final response, latin-1 text.
        final_url: The URI that answered, after redirects.
        content: Body after content decoding; None where it was saved to a file, dropped after it was parsed
            (the outcome's `data` holds it), or not read.
        size_bytes: Length of the body after content decoding.
        http_version: "1.0", "1.1", "2" or "3".
        path: The file the body was saved to.
    """

    status: int
    headers: Headers
    final_url: str
    content: bytes | None = None
    size_bytes: int = 0
    http_version: str = "1.1"
    reason: str = ""
    path: str | None = None

    def header(self, name: str) -> str | None:
        """Return the field value of that name, any case, repeated ones joined by ", "; None where absent."""
        wanted, length = name.lower(), len(name)
        # Most names differ in length already, which spares the lower().
        values = [value for key, value in self.headers if len(key) == length and key.lower() == wanted]
        return ", ".join(values) if values else None

    @property
    def content_type(self) -> str | None:
        """Return the media type in lower case without parameters, or None."""
        return media_type(self.header("content-type"))

    @property
    def text(self) -> str:
        """Return the body as text, by BOM, charset, else UTF-8; undecodable bytes become U+FFFD.

        Raises:
            ValueError: The body is not kept here.
        """
        return decode_text(self._kept(), self.header("content-type"))

    def json(self) -> Any:
        """Return the parsed JSON body.

        Raises:
            ValueError: The body is not kept here, or is no JSON.
        """
        return jsonlib.loads(self.text)

    def with_body(self, content: bytes | None, size_bytes: int, path: str | None = None) -> Response:
        """Return the same head with what is known of its body; cheaper than `dataclasses.replace`."""
        return Response(self.status, self.headers, self.final_url, content, size_bytes, self.http_version, self.reason, path)

    def _kept(self) -> bytes:
        if self.content is None:
            where = f"saved to {self.path}" if self.path else "not kept as bytes; read the outcome's .data"
            message = f"the body is {where}"
            raise ValueError(message)
        return self.content

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.size_bytes} bytes>"
