"""Numeric ranges in URLs, as curl's globs: ``[0-99]``, ``[01-10]`` (zeros kept), ``[0-20:5]`` (every fifth)."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from fastreq_jupyter.cell.syntax import Part, Range, Span

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    from fastreq_jupyter.errors import CellSyntaxError

__all__ = ["LARGEST", "count_items", "expand_ranges", "read_range", "refuse_braces"]

LARGEST = 10_000_000
"""Most requests that the ranges of one line may stand for."""


def read_range(span: Span, found: re.Match[str]) -> Range:
    """Read the range that was found in a URL.

    Raises:
        CellSyntaxError: It counts down, never moves, or is a range of letters.
    """
    text = found[0][1:-1]
    bounds, _, step_text = text.partition(":")
    first, _, last = bounds.partition("-")
    if not (first.isascii() and first.isdigit()):
        raise span.error(found.start(), f"[{text}]: only numbers make a range; write \\[{text}] for the text itself")
    if len(text) > 60:  # noqa: PLR2004 - three numbers of 18 digits and what joins them
        raise span.error(found.start(), "the numbers of a range have at most 18 digits")
    start, stop, step = int(first), int(last), int(step_text or 1)
    if stop < start or step < 1:
        raise span.error(found.start(), f"[{text}] holds nothing: a range counts up, [0-99] or [0-20:5]; \\[ is a literal bracket")
    width = len(first) if first.startswith("0") and len(first) > 1 else 0
    return Range(start, stop, step, width)


def refuse_braces(span: Span, found: re.Match[str]) -> CellSyntaxError:
    """Return the error for single braces in a URL."""
    inner = found[0][1:-1]
    meant = f"write one line for each of {inner}" if "," in inner else f"write {{{{{inner}}}}} for a value"
    return span.error(found.start(), f"{found[0]} in a URL: {meant}, \\{found[0]} for the text itself")


def count_items(parts: tuple[Part, ...], line: int, column: int) -> int:
    """Return how many URLs the ranges stand for.

    Raises:
        CellSyntaxError: More than `LARGEST`.
    """
    total = prod(part.size for part in parts if isinstance(part, Range))
    if total > LARGEST:
        raise Span("", line, column).error(0, f"the ranges make {total:,} requests: at most {LARGEST:,} a line")
    return total


def expand_ranges(parts: tuple[Part, ...]) -> Iterator[tuple[Part, ...]]:
    """Give the parts once for each combination, the last range running fastest."""
    ranges = [(place, part) for place, part in enumerate(parts) if isinstance(part, Range)]
    if not ranges:
        yield parts
        return
    chosen = list(parts)
    for number in range(prod(one.size for _, one in ranges)):
        rest = number
        for place, one in reversed(ranges):
            rest, index = divmod(rest, one.size)
            chosen[place] = one.text(index)
        yield tuple(chosen)
