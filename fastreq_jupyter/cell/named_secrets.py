"""Secrets of requests under names, so that their text can be shown and read again: ``{{$env API_KEY}}``."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from fastreq_jupyter.redact import is_secret_header, is_secret_name, secret_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastreq_jupyter.model import Request

__all__ = ["NamedSecrets", "Pieces", "Secret"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9-]*)[ \t]+(?=\S)")
_USERINFO = re.compile(r"\A([^/?#]*://)([^/?#]*)@")
_PAIR = re.compile(r"([?&])([^=&#]*)=([^&#]*)")
_NOT_NAME = re.compile(r"[^A-Za-z0-9]+")
_EVERYWHERE = 8
# Read again where the user did not set them, these would give something else in place of an error.
_SET_BY_SYSTEMS = frozenset(
    {"USER", "USERNAME", "LOGNAME", "HOME", "HOST", "HOSTNAME", "PATH", "PWD", "SHELL", "LANG", "TERM", "TMP", "TEMP", "EDITOR", "DISPLAY"}
)
_RESERVED = ":/?#[]@!$&'()*+,;=%"


class Secret(str):
    """Be the placeholder of a secret, among pieces of plain text."""

    __slots__ = ()


Pieces = list[str]
"""Text in order; a `Secret` among it is a placeholder."""


class NamedSecrets:
    """Give each secret value a name.

    Attributes:
        values: Name -> value.
    """

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def name_of(self, value: str, wanted: str) -> str:
        """Return the name of a value, `wanted` or like it where it is new."""
        if value in self._names:
            return self._names[value]
        stem = _NOT_NAME.sub("_", wanted).strip("_").upper() or "SECRET"
        stem = f"_{stem}" if stem[0].isdigit() else stem
        stem = f"REQUEST_{stem}" if stem in _SET_BY_SYSTEMS else stem
        name, number = stem, 1
        while name in self.values:
            number += 1
            name = f"{stem}_{number}"
        self.values[name] = value
        self._names[value] = name
        return name

    def header(self, request: Request, name: str, value: str) -> Pieces:
        """Return a field value without its secrets."""
        if is_secret_header(name):
            if not value:
                return []
            scheme = _SCHEME.match(value) if name.lower().endswith("authorization") else None
            head = scheme[0] if scheme else ""
            stem = name.lower().removeprefix("x-")
            return [head, self._env(value[len(head) :], stem)] if head else [self._env(value, stem)]
        return self._by_value([value], request.secrets, lambda text: [text])

    def url(self, request: Request) -> Pieces:
        """Return the URL without its secrets."""
        pieces: Pieces = []
        rest = request.url
        if found := _USERINFO.match(rest):
            user, colon, password = found[2].partition(":")
            pieces += [found[1], self._quoted(user, "user")] if user else [found[1]]
            pieces += [colon, self._quoted(password, "password")] if password else [colon]
            rest = rest[found.end() - 1 :]
        elif (mark := rest.find("://")) >= 0:
            pieces, rest = [rest[: mark + 3]], rest[mark + 3 :]
        end = 0
        after: Pieces = []
        for found in _PAIR.finditer(rest):
            if found[3] and is_secret_name(unquote(found[2])):
                after += [rest[end : found.start(3)], self._quoted(found[3], unquote(found[2]))]
                end = found.end(3)
        return pieces + self._by_value([*after, rest[end:]], request.secrets, lambda text: [text, quote(text, safe="")], url=True)

    def body(self, request: Request, text: str) -> Pieces:
        """Return a text body without its secrets."""
        content_type = request.header("content-type")
        found = frozenset(map(_bare, secret_values("", (), text.encode(), content_type))) | request.secrets
        form = (content_type or "").lower().startswith("application/x-www-form-urlencoded")
        if form:
            return self._by_value([text], found, lambda value: [value, quote(value, safe="")], url=True)
        return self._by_value([text], found, lambda value: [value, json.dumps(value, ensure_ascii=False)[1:-1]])

    def _by_value(self, pieces: Pieces, values: frozenset[str], spell: Callable[[str], list[str]], *, url: bool = False) -> Pieces:
        for value in sorted(values, key=lambda one: (-len(one), one)):
            for spelling in dict.fromkeys(spell(value)):
                pieces = [part for piece in pieces for part in self._cut(piece, spelling, value, url=url)]
        return pieces

    def _cut(self, piece: str, spelling: str, value: str, *, url: bool) -> Iterator[str]:
        if isinstance(piece, Secret) or not spelling or spelling not in piece:
            yield piece
            return
        # A short one is cut where it is a whole word only: "a" is in everything.
        pattern = re.escape(spelling) if len(spelling) >= _EVERYWHERE else rf"(?<![\w%]){re.escape(spelling)}(?!\w)"
        places = list(re.finditer(pattern, piece))
        fields = [_field_before(piece[: found.start()]) for found in places]
        # The value of a password may stand elsewhere too: it is named by the password.
        wanted = next(filter(is_secret_name, fields), next(iter(fields), "secret"))
        end = 0
        for found in places:
            yield piece[end : found.start()]
            yield self._quoted(spelling, wanted) if url else self._env(value, wanted)
            end = found.end()
        yield piece[end:]

    def _env(self, value: str, wanted: str) -> Secret:
        return Secret(f"{{{{$env {self.name_of(value, wanted)}}}}}")

    def _quoted(self, raw: str, wanted: str) -> Secret:
        """Return the placeholder that fills in as `raw` where values are percent-encoded."""
        value = unquote(raw)
        if quote(value, safe="") != raw and quote(raw, safe=_RESERVED) == raw:
            return Secret(f"{{{{+$env {self.name_of(raw, wanted)}}}}}")
        return self._env(value, wanted)


def _bare(value: str) -> str:
    """Return a JSON string without its quotes and escapes."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        try:
            return str(json.loads(value))
        except ValueError:
            return value[1:-1]
    return value


def _field_before(text: str) -> str:
    found = re.search(r"([\w-]{1,60})\"?\s{0,5}[:=]\s{0,5}\"?\Z", text[-100:])
    return found[1] if found else "secret"
