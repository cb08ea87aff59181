"""How pages are followed, as option `pages` says it; where the total stands, as option `total` does.

auto, link        what request and answer prove; Link rel=next alone
page, page=0      a count of pages from 1, or from a start; p=1: any other name needs a start
offset=0:100      a count of items: start and step; without a step as many as page 1 has
NAME=EXPR         a cursor for the query parameter NAME, found by JMESPath
EXPR              a URL, or a cursor for {{next}}
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from fastreq_jupyter.errors import OptionError
from fastreq_jupyter.options import Selection

__all__ = ["OFFSETS", "How", "Total", "check_pages", "read_how", "read_total"]

OFFSETS = frozenset({"offset", "skip", "$skip", "start", "startindex", "start_index", "from", "page[offset]"})
"""Names, lower case, of parameters that count items."""

_NAME = r"(?P<name>[A-Za-z_$][\w.$-]*(?:\[[\w.$-]*\])*)"
_COUNT = re.compile(_NAME + r"=(?P<start>[0-9]{1,15})(?::(?P<step>[0-9]{1,15}))?")
_NAMED = re.compile(_NAME + r"=(?!=)(?P<expression>.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class How:
    """How the pages of a request are followed.

    Attributes:
        kind: By what request and answer prove, by the Link header, by an expression, or by counting.
        name: The query parameter that a cursor or count goes to, None where none is named.
        find: The expression, for that kind.
        start: First value of a count, None where the user's own URL may say it.
        step: What a count grows by, None for as many as page 1 has items.
    """

    kind: Literal["auto", "link", "expression", "count"]
    name: str | None = None
    find: Selection | None = None
    start: int | None = None
    step: int | None = 1


@dataclass(frozen=True, slots=True)
class Total:
    """Where an answer says how much there is.

    Attributes:
        find: The expression, None where it is looked for.
        pages: It counts pages, not items.
        ignored: It is not to be looked for.
    """

    find: Selection | None = None
    pages: bool = False
    ignored: bool = False


def check_pages(text: str, option: str = "pages") -> None:
    """Refuse a value of option `pages`, or `total`, that cannot be read.

    Raises:
        OptionError: One line.
    """
    _ = read_how(text) if option == "pages" else read_total(text)


def read_how(text: str) -> How:
    """Return what option `pages` asks for.

    Raises:
        OptionError: An expression that is none, or a step of 0; one line.
    """
    text = text.strip()
    word = text.lower()
    if word in ("auto", "link"):
        return How("auto" if word == "auto" else "link")
    if word in ("page", "offset"):
        return How("count", word, step=1 if word == "page" else None)
    count = _COUNT.fullmatch(text)
    if count is not None:
        by_items = count["name"].lower() in OFFSETS
        step = int(count["step"]) if count["step"] else None if by_items else 1
        if step == 0:
            raise OptionError(f"pages={text!r} never moves: give a step from 1", option="pages", value=text, reason="give a step from 1")
        return How("count", count["name"], start=int(count["start"]), step=step)
    named = _NAMED.fullmatch(text)
    if named is not None:
        return How("expression", named["name"], Selection(named["expression"], "pages"))
    return How("expression", None, Selection(text, "pages"))


def read_total(text: str | None) -> Total:
    """Return what option `total` asks for.

    Raises:
        OptionError: An expression that is none; one line.
    """
    if text is None:
        return Total()
    if text.strip().lower() == "none":
        return Total(ignored=True)
    prefix, colon, rest = text.partition(":")
    if colon and prefix.strip() == "pages":
        return Total(Selection(rest, "total"), pages=True)
    return Total(Selection(text, "total"))
