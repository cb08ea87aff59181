"""Reads ``curl`` commands as browsers and API documents write them.

Each option is honoured, is known to change nothing that we give, becomes an option of the run, or is refused by name.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from fastreq_jupyter.cell.curl.flags import COSMETIC, FLAGS, LIFTED, REFUSED, SHORT
from fastreq_jupyter.cell.curl.request import CurlRequest
from fastreq_jupyter.cell.curl.words import read_words
from fastreq_jupyter.cell.syntax import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastreq_jupyter.cell.syntax import RequestTemplate

__all__ = ["is_curl", "read_curl"]

_COMMAND = re.compile(r"(?:\$[ \t]+)?curl(?:\.exe)?(?:[ \t^`\\]|\Z)")


def is_curl(text: str) -> bool:
    """Tell whether a line begins a curl command."""
    return text[:4] in ("curl", "$ cu") and _COMMAND.match(text) is not None


def read_curl(lines: Sequence[str], start: int, first_line: int) -> tuple[list[RequestTemplate], int]:
    """Read the command that begins at ``lines[start]``.

    Returns:
        Its requests, one for each URL, and the number of lines it takes.

    Raises:
        CellSyntaxError: It is no command, or asks for something that would not be done.
    """
    words, taken = read_words(lines, start, first_line)
    command = words[0] if words else Span("", first_line + start)
    templates: list[RequestTemplate] = []
    request = CurlRequest(command)
    queue = words[1:][::-1]
    while queue:
        word = queue.pop()
        if word.text in ("--next", "-:"):
            templates += request.templates()
            request = CurlRequest(command)
        elif word.text.startswith("--") and len(word.text) > 2:  # noqa: PLR2004 - "--" alone ends nothing in curl
            _read_long(word, queue, request)
        elif word.text.startswith("-") and len(word.text) > 1:
            _read_short(word, queue, request)
        else:
            request.add("url", word, word)
    return templates + request.templates(), taken


def _read_long(word: Span, queue: list[Span], request: CurlRequest) -> None:
    name, equals, value = word.text.partition("=")
    if equals and _takes_value(name):
        # curl itself does not read --name=value; people write it.
        queue.append(Span(value, *word.at(len(name) + 1)))
        word = Span(name, word.line, word.column)
    _apply(word.text, word, queue, request)


def _read_short(word: Span, queue: list[Span], request: CurlRequest) -> None:
    for place in range(1, len(word.text)):
        letter = word.text[place]
        name = SHORT.get(f"-{letter}")
        at = Span(f"-{letter}", *word.at(place))
        if name is None:
            raise at.error(0, f"unknown curl option -{letter}")
        rest = word.text[place + 1 :]
        if _takes_value(name):
            if rest:
                queue.append(Span(rest, *word.at(place + 1)))
            _apply(name, at, queue, request)
            return
        _apply(name, at, queue, request)


def _takes_value(name: str) -> bool:
    known = FLAGS.get(name) or LIFTED.get(name)
    return known.takes if known is not None else False


def _apply(name: str, at: Span, queue: list[Span], request: CurlRequest) -> None:
    if name in COSMETIC:
        return
    if name in FLAGS:
        flag = FLAGS[name]
        request.add(flag.action, at, _value(name, at, queue) if flag.takes else at)
        return
    if name in LIFTED:
        lifted = LIFTED[name]
        request.lift(lifted.option, at, _value(name, at, queue).text if lifted.takes else lifted.value)
        return
    if name in REFUSED:
        raise at.error(0, f"curl's {name} cannot be honoured: {REFUSED[name]}")
    near = get_close_matches(name, [*FLAGS, *LIFTED, *COSMETIC], n=1, cutoff=0.75)
    raise at.error(0, f"unknown curl option {name[:60]}" + (f": did you mean {near[0]}?" if near else ""))


def _value(name: str, at: Span, queue: list[Span]) -> Span:
    if not queue:
        raise at.error(0, f"curl's {name} needs a value")
    return queue.pop()
