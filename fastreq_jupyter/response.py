"""What a server said."""

from __future__ import annotations

import json as jsonlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.content import decode_text, media_type

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Headers", "Response"]

Headers = tuple[tuple[str, str], ...]
"""Field lines in order, names as given; values latin-1 text."""

_ATTRIBUTES = ("status", "headers", "final_url", "content", "size_bytes", "http_version", "reason", "path")


class Response:
    """What the server said; not changed once its request has an outcome.

    Attributes:
        status: Status code, 100..599.
        headers: Field lines of the final response, latin-1 text.
        final_url: The URI that answered, after redirects.
        content: Body after content decoding; None where it was saved to a file, dropped after it was parsed
            (the outcome's `data` holds it), or not read.
        size_bytes: Length of the body after content decoding.
        http_version: "1.0", "1.1", "2" or "3".
        reason: Reason phrase; "" where HTTP has none.
        path: The file the body was saved to.
    """

    __slots__ = ("_content_type", "_fields", "content", "final_url", "http_version", "path", "reason", "size_bytes", "status")

    def __init__(  # noqa: PLR0913, PLR0917 - the record of a response
        self,
        status: int,
        headers: Headers | Sequence[tuple[bytes, bytes]] = (),
        final_url: str = "",
        content: bytes | None = None,
        size_bytes: int = 0,
        http_version: str = "1.1",
        reason: str = "",
        path: str | None = None,
        content_type: str | None = None,
    ) -> None:
        self.status = status
        self._fields = headers
        self.final_url = final_url
        self.content = content
        self.size_bytes = size_bytes
        self.http_version = http_version
        self.reason = reason
        self.path = path
        # The field's value, where whoever made the response has read it already.
        self._content_type = content_type

    @property
    def headers(self) -> Headers:
        """Return the field lines as text; they stay bytes until somebody looks."""
        fields = self._fields
        if fields and isinstance(fields[0][0], bytes):
            fields = self._fields = tuple(map(_text_of, fields))
        return fields  # type: ignore[return-value] # text by now

    def header(self, name: str) -> str | None:
        """Return the field value of that name, any case, repeated ones joined by ", "; None where absent."""
        if self._content_type is not None and name == "content-type":
            return self._content_type
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

    def _kept(self) -> bytes:
        if self.content is None:
            where = f"saved to {self.path}" if self.path else "not kept as bytes; read the outcome's .data"
            message = f"the body is {where}"
            raise ValueError(message)
        return self.content

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Response):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _ATTRIBUTES)

    __hash__ = None  # type: ignore[assignment] # equal by value

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.size_bytes} bytes>"


# Most field lines of a run repeat: their text is shared.
@lru_cache(maxsize=4096)
def _text_of(field: tuple[bytes, bytes]) -> tuple[str, str]:
    return field[0].decode("latin-1"), field[1].decode("latin-1")
