"""Where the values of secret fields stand in queries, forms and JSON."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from fastreq_jupyter.secret_names import is_secret_name

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NameTest", "secret_part", "secret_spans"]

NameTest = Callable[[str], bool]
_MEMBER = re.compile(r'"([^"\\]{1,100})"\s{0,20}:\s{0,20}(?=[^\s])')
_STRING = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)
_SCALAR = re.compile(r"[^,\]}\s\"]*")
_STRUCTURE = re.compile(r'["\[\]{}]')
_PART = re.compile(r'name="([^"\r\n]{1,100})"[^\r\n]*(?:\r?\n[^\r\n]+){0,5}\r?\n\r?\n(.*?)(?=\r?\n--|\Z)', re.DOTALL)


def secret_part(pair: str, is_secret: NameTest = is_secret_name) -> str:
    """Return the secret end of ``name=value`` (or of ``a=1;name=value``), or nothing."""
    at = 0
    for part in pair.split(";"):
        name, equals, _ = part.partition("=")
        bare = name.lstrip("?")
        if equals and is_secret(unquote_plus(bare) if "%" in bare else bare):
            return pair[at + len(name) + 1 :]
        at += len(part) + 1
    return ""


def secret_spans(text: str, content_type: str | None, is_secret: NameTest = is_secret_name) -> Iterator[tuple[int, int]]:
    """Give start and end of each secret value in a JSON, form or multipart text, in order; linear in the text."""
    kind = (content_type or "").lower()
    if "multipart/" in kind:
        yield from (match.span(2) for match in _PART.finditer(text) if is_secret(match[1]))
    elif "x-www-form-urlencoded" in kind or (not kind and "=" in text and not re.search(r"[\s\"{<]", text)):
        at = 0
        for pair in text.split("&"):
            at += len(pair) + 1
            if value := secret_part(pair, is_secret):
                yield at - 1 - len(value), at - 1
    else:
        at = 0
        while found := _MEMBER.search(text, at):
            at = found.end()
            if is_secret(found[1]):
                end = _value_end(text, at)
                yield at, end
                at = max(at, end)


def _value_end(text: str, start: int) -> int:
    """Return where the JSON value that begins at `start` ends; the end of the text where it is cut off."""
    depth, at = 0, start
    while True:
        if text.startswith('"', at):
            string = _STRING.match(text, at)
            at = string.end() if string else len(text)
        elif text.startswith(("{", "[", "}", "]"), at):
            depth += 1 if text[at] in "{[" else -1
            at += 1
        elif depth == 0:
            scalar = _SCALAR.match(text, at)
            return scalar.end() if scalar else len(text)
        if depth <= 0:
            return at
        structure = _STRUCTURE.search(text, at)
        if structure is None:
            return len(text)
        at = structure.start()
