"""Reads ``{{ ... }}`` out of text, and ``[0-99]`` out of URLs. Names are only split here, never looked up."""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING

from fastreq_jupyter.cell.syntax import BracketKey, DynamicCall, OpenRange, Part, Parts, Placeholder, Range, Ref, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fastreq_jupyter.cell.syntax import Placed
    from fastreq_jupyter.errors import CellSyntaxError


LARGEST = 10_000_000
"""Most requests that the ranges of one line may stand for."""

_MARK = re.compile(r"\\?\{\{")
# An escape, a placeholder, a range or another brace.
_BOUND = r"[0-9]+|\{\{[^{}\n]*\}\}"
_URL_MARK = re.compile(
    r"\\\{\{|\\[\[\]{}]|\[[0-9]+-[0-9]+(?::[0-9]+)?\]|\[[A-Za-z]-[A-Za-z](?::[0-9]+)?\]"
    rf"|\[(?P<start>{_BOUND})-(?P<stop>{_BOUND})(?::(?P<step>{_BOUND}))?\]"
    # What other languages write for one.
    rf"|\[\s*(?P<first>{_BOUND})\s*(?:\.\.\.?|[-\u2013\u2014])\s*(?P<last>{_BOUND})\s*\]"
    r"|\{\{|\{[\w.$][\w.,$ +-]*\}"
)
_KEY = re.compile(r"\s*(?:\[\s*(?:(-?[0-9]{1,18})|\"([^\"]*)\"|'([^']*)')\s*\]|(?:(?<=\A)|\.)([^.\[\]{}\"']*))\s*")
_WORDS = re.compile(r"\"([^\"]*)\"|'([^']*)'|(\S+)")


def read_range(text: str, at: Placed) -> Range:
    """Read a range, without its brackets.

    Raises:
        CellSyntaxError: It counts down, never moves, or is a range of letters.
    """
    bounds, _, step_text = text.partition(":")
    first, _, last = bounds.partition("-")
    if not (first.isascii() and first.isdigit()):
        raise at.error(f"[{text}]: only numbers make a range; write \\[{text}] for the text itself")
    if len(text) > 60:
        raise at.error("the numbers of a range have at most 18 digits")
    start, stop, step = int(first), int(last), int(step_text or 1)
    if stop < start or step < 1:
        raise at.error(f"[{text}] holds nothing: a range counts up, [0-99] or [0-20:5]; \\[ is a literal bracket")
    width = len(first) if first.startswith("0") and len(first) > 1 else 0
    return Range(start, stop, step, width)


def refuse_braces(span: Span, match: re.Match[str]) -> CellSyntaxError:
    """Return the error for single braces in a URL."""
    inner = match[0][1:-1]
    hint = f"write one line for each of {inner}" if "," in inner else f"write {{{{{inner}}}}} for a value"
    return span.error(f"{match[0]} in a URL: {hint}, \\{match[0]} for the text itself", match.start())


def count_items(parts: Iterable[object], at: Placed) -> int:
    """Return how many URLs the ranges stand for.

    Raises:
        CellSyntaxError: More than `LARGEST`.
    """
    total = prod(part.size for part in parts if isinstance(part, Range))
    if total > LARGEST:
        raise at.error(f"the ranges make {total:,} requests: at most {LARGEST:,} a line")
    return total


def expand_ranges(parts: tuple[Part, ...]) -> Iterator[tuple[Part, ...]]:
    """Give the parts once for each combination, the last range running fastest."""
    ranges = [(place, part) for place, part in enumerate(parts) if isinstance(part, Range)]
    if not ranges:
        yield parts
        return
    chosen = list(parts)
    for number in range(prod(span.size for _, span in ranges)):
        rest = number
        for place, span in reversed(ranges):
            rest, index = divmod(rest, span.size)
            chosen[place] = span.text(index)
        yield tuple(chosen)


def read_text(span: Span) -> Parts:
    r"""Split text at its placeholders; ``\{{`` is a literal ``{{``.

    Raises:
        CellSyntaxError: A placeholder does not end in its line, or names nothing.
    """
    if "{{" not in span.text:
        return (span.text,) if span.text else ()
    return _split(span, _MARK, None)


def read_url(span: Span, *, ranges: bool = True) -> Parts:
    r"""Split a URL at its placeholders and numeric ranges; ``\{{``, ``\{``, ``\}``, ``\[`` and ``\]`` are literal.

    Args:
        span: The URL.
        ranges: False reads placeholders only (``curl --globoff``).

    Raises:
        CellSyntaxError: As for `read_text`; also a range that counts down, or ``{x}`` where ``{{x}}`` was meant.
    """
    if not ranges:
        return read_text(span)
    if "{" not in span.text and "[" not in span.text:
        return (span.text,) if span.text else ()
    return _split(span, _URL_MARK, _url_part)


def with_query(url: Parts, *added: Parts) -> Parts:
    """Return the URL with more fields in its query: behind what it has, before its fragment."""
    if not added:
        return url
    place = next((place for place, part in enumerate(url) if isinstance(part, str) and "#" in part), len(url))
    before, sign, after = str(url[place]).partition("#") if place < len(url) else ("", "", "")
    parts: list[Part] = [*url[:place], *([before] if before else [])]
    marked = any(isinstance(part, str) and "?" in part for part in parts)
    for fields in added:
        last = parts[-1] if parts else ""
        joined = marked and isinstance(last, str) and last.endswith(("?", "&"))
        parts += ("" if joined else "&" if marked else "?"), *fields
        marked = True
    parts += (sign + after, *url[place + 1 :]) if sign else ()
    return tuple(part for part in parts if part != "")


def read_expression(text: str, at: Placed) -> Placeholder:
    """Read what stands between two pairs of braces.

    Raises:
        CellSyntaxError: It is empty or no name.
    """
    inner = text.strip()
    raw = inner.startswith("+")
    inner = inner[1:].strip() if raw else inner
    if not inner:
        raise at.error("{{ }} is empty: name a value, or write \\{{ for the braces themselves")
    expression = _call(inner) if inner.startswith("$") else _ref(inner, at)
    return Placeholder(expression, text.strip(), at.line, at.column, raw=raw)


def _split(span: Span, mark: re.Pattern[str], read_other: Callable[[Span, re.Match[str]], Part] | None) -> Parts:
    text, parts, start = span.text, [], 0
    literal: list[str] = []
    place, counted = span, 0
    while match := mark.search(text, start):
        # Counted from the last mark, so that a text with many marks is read in linear time.
        place, counted = Span("", *_moved(place, text, counted, match.start())), match.start()
        literal.append(text[start : match.start()])
        start = match.end()
        if match[0] == "{{":
            end = _end(span, start)
            part: Part = read_expression(text[start:end], place)
            start = end + 2
        elif match[0][0] == "\\":
            part = match[0][1:]
        else:
            part = read_other(span, match) if read_other else match[0]
        if isinstance(part, str):
            literal.append(part)
            continue
        parts += ["".join(literal), part]
        literal.clear()
    parts.append("".join(literal) + text[start:])
    return tuple(part for part in parts if part != "")


def _moved(place: Span, text: str, start: int, stop: int) -> tuple[int, int]:
    breaks = text.count("\n", start, stop)
    if not breaks:
        return place.line, place.column + stop - start
    return place.line + breaks, stop - text.rindex("\n", start, stop)


def _url_part(span: Span, match: re.Match[str]) -> Part:
    if match[0][0] == "{":
        raise refuse_braces(span, match)
    if match["start"]:
        # Its bounds are worked out when their placeholders get their values.
        bounds = [read_text(Span(match[name], *span.at(match.start(name)))) for name in ("start", "stop", "step") if match[name]]
        return OpenRange(tuple(bounds), *span.at(match.start()))
    if match["first"]:
        meant = f"[{match['first']}-{match['last']}]"
        raise span.error(f"{match[0]} in a URL: write {meant} for a range, \\{match[0][:-1]}\\] for the text itself", match.start())
    return read_range(match[0][1:-1], Span("", *span.at(match.start())))


def _end(span: Span, start: int) -> int:
    end = span.text.find("}}", start)
    stop = span.text.find("\n", start, end if end >= 0 else len(span.text))
    if end < 0 or stop >= 0:
        raise span.error("{{ without }} in its line: close it, or write \\{{ for the braces themselves", start - 2)
    if (inner := span.text.find("{{", start, end)) >= 0:
        raise span.error("{{ within {{ }}: close the first one", inner)
    return end


def _call(text: str) -> DynamicCall:
    words = [match[1] or match[2] or match[3] or "" for match in _WORDS.finditer(text[1:])]
    return DynamicCall(words[0] if words else "", tuple(words[1:]))


def _ref(text: str, at: Placed) -> Ref:
    keys: list[str | int] = []
    place = 0
    while place < len(text):
        match = _KEY.match(text, place)
        if match is None or match.end() == place or (match[4] is not None and not match[4].strip()):
            message = f'{{{{{text[:80]}}}}} is no name: write a name, then .name, [0] or ["name"]; nothing is evaluated'
            raise at.error(message)
        place = match.end()
        if match[4] is not None:
            keys.append(match[4].strip())
            continue
        keys.append(int(match[1]) if match[1] else BracketKey(match[2] if match[2] is not None else match[3]))
    if isinstance(keys[0], (int, BracketKey)):
        raise at.error(f"{{{{{text[:80]}}}}} begins with a bracket: write a name first")
    return Ref(tuple(keys))
