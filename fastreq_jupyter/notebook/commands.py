"""Lines of ``%fastreq`` that send nothing: a word in place of a URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fastreq_jupyter.cell import split_line
from fastreq_jupyter.client import cached_answers, clear_cache
from fastreq_jupyter.errors import OptionError
from fastreq_jupyter.notebook.config import settings
from fastreq_jupyter.options import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Said", "carried_out"]

_CACHE_USAGE = "%fastreq cache lists what is kept, %fastreq cache clear [PATTERN] takes it out; --cache-file FILE names another one"


class Said(NamedTuple):
    """A line to print, and what the magic returns."""

    line: str
    value: Any = None


def carried_out(text: str) -> Said | None:
    """Do what a line asks for, None where its first word is no command.

    Raises:
        FastreqError: One line.
    """
    word, _, rest = text.strip().partition(" ")
    command = _COMMANDS.get(word)
    return None if command is None else command(split_line(rest))


def _cache(words: list[str]) -> Said:
    file = str(settings().get("cache_file", TABLE["cache_file"].default))
    rest: list[str] = []
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if name != "--cache-file":
            rest.append(word)
        elif equals or words:
            file = value if equals else words.pop(0)
        else:
            raise OptionError(_CACHE_USAGE)
    if not rest:
        frame, line = cached_answers(file)
        return Said(line, frame)
    if rest[0] != "clear" or len(rest) > 2:
        raise OptionError(_CACHE_USAGE)
    return Said(clear_cache(file, *rest[1:]))


_COMMANDS: Mapping[str, Callable[[list[str]], Said]] = {"cache": _cache}
