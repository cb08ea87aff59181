"""Reads the line of the magics: ``%%fastreq [NAME] [options]`` and ``%fastreq URL [options]``. Flags come from `options.TABLE`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.cell.fill import Binder, Bound, Env, MisfitError, Surroundings, text_in, value_in
from fastreq_jupyter.cell.rows import EachSpec, Rows
from fastreq_jupyter.cell.syntax import Span
from fastreq_jupyter.cell.template import read_text
from fastreq_jupyter.errors import CellSyntaxError, OptionError
from fastreq_jupyter.options import TABLE, refuse_unknown
from fastreq_jupyter.values import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

REPEATED = frozenset({"headers", "each", "explode"})

_TOKEN = re.compile(r"\\?\{\{.*?\}\}|'([^']*)'|\"((?:[^\"\\]|\\.)*)\"|\\([\\'\" \t])|[ \t\r\n]+|.", re.DOTALL)
_BRACES = re.compile(r"\\?\{\{.*?\}\}|\\\{|(\{[\w.$][\w.,$ +-]*\})")
_DOLLAR = re.compile(r"\\?\{\{.*?\}\}|[?&]\$\w+=|(\$\{?[A-Za-z_]\w*\}?)")
_SHARE = re.compile(r"[0-9.]+%?")
_NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")

# Values of `pages` that are no expressions.
_PAGES = frozenset({"auto", "link", "page", "offset"})
_LATER = frozenset({"headers", "data", "save_to"})
"""Options that are filled for each row."""

_UNREPLACED = re.compile(r"\\?\{\{.*?\}\}|\{([A-Za-z_]\w*)\}|\$\{?([A-Za-z_]\w*)\}?")


@dataclass(frozen=True, slots=True)
class MagicLine:
    """A magic's line, read.

    Attributes:
        name: Variable that the frame of ``%%fastreq NAME`` goes to.
        url: What ``%fastreq URL`` asks for; None opens the panel.
        options: Ready for ``Options.of(**options)``: texts of flags, values of switches, a tuple for repeated ones.
        lookups: Option -> name of the notebook variable that its flag took. "auth" and "session" must be variables,
            "cert" is one or a path.
        each: The sources, in order.
        help: What ``--help`` was asked about, "" for everything; None where it was not.
        examples: ``--examples`` was asked for.
    """

    name: str | None = None
    url: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    lookups: Mapping[str, str] = field(default_factory=dict)
    each: tuple[EachSpec, ...] = ()
    help: str | None = None
    examples: bool = False


def parse_line(text: str, *, cell: bool) -> MagicLine:
    """Read a magic's line.

    Args:
        text: What stands after the magic's name.
        cell: True for ``%%fastreq``.

    Raises:
        OptionError: One line, which never shows a value that may be a secret.
    """
    reader = _Reader(split_line(text), cell=cell)
    while reader.words:
        reader.read(reader.words.pop(0))
    return reader.line()


def split_line(text: str) -> list[str]:
    """Split a line at white space outside quotes and ``{{ }}``; a backslash escapes quotes, white space and itself.

    Raises:
        OptionError: A quote or a placeholder is not closed.
    """
    words: list[str] = []
    pieces: list[str] = []
    open_word = False
    for match in _TOKEN.finditer(text):
        piece = match[0]
        if piece.isspace() and match[3] is None:
            if open_word:
                words.append("".join(pieces))
                pieces, open_word = [], False
            continue
        if piece in "'\"":
            raise OptionError(f"the quote {piece} is not closed")
        open_word = True
        pieces.append(_unquoted(match))
    if open_word:
        words.append("".join(pieces))
    return words


def _unquoted(match: re.Match[str]) -> str:
    if match[1] is not None:
        return match[1]
    if match[2] is not None:
        return re.sub(r"\\([\\\"])", r"\1", match[2])
    return match[3] if match[3] is not None else match[0]


class _Reader:
    """The words of a line while they are read."""

    def __init__(self, words: list[str], *, cell: bool) -> None:
        self.words = words
        self._cell = cell
        self._positional: str | None = None
        self._options: dict[str, Any] = {}
        self._lookups: dict[str, str] = {}
        self._each: list[EachSpec] = []
        self._help: str | None = None
        self._examples = False

    def read(self, word: str) -> None:
        """Read one word, with its value if it takes one."""
        if word in ("--help", "-h"):
            self._help = " ".join(self.words)
            self.words.clear()
        elif word == "--examples":
            self._examples = True
        elif word.startswith("--") and word != "--":
            name, equals, value = word.partition("=")
            self._read_flag(name, value if equals else None)
        elif word.startswith("-") and len(word) > 1:
            attached = word[2:].removeprefix("=")
            self._read_flag(word[:2] if word[:2] in _flags() else word, attached if len(word) > 2 else None)
        else:
            self._read_positional(word)

    def line(self) -> MagicLine:
        """Return what was read."""
        self._options |= {"each": tuple(spec.text for spec in self._each)} if self._each else {}
        return MagicLine(
            name=self._positional if self._cell else None,
            url=None if self._cell else self._positional,
            options=self._options,
            lookups=self._lookups,
            each=tuple(self._each),
            help=self._help,
            examples=self._examples,
        )

    def _read_flag(self, flag: str, value: str | None) -> None:
        if flag not in _flags():
            raise refuse_unknown(flag, [*_flags(), "--help", "--examples"])
        option, switch = _flags()[flag]
        takes = flag == TABLE[option].long_flag or flag in TABLE[option].flags
        if value is None and switch is not _NO_SWITCH:
            value = self._optional_value(option) if takes else None
            self._set(option, switch if value is None else value, flag)
            return
        if value is not None and not takes:
            raise OptionError(f"{flag} takes no value")
        if value is None:
            if not self.words:
                raise OptionError(f"{flag} needs a value: {TABLE[option].allowed}")
            value = self.words.pop(0)
        self._set(option, value, flag)

    def _optional_value(self, option: str) -> str | None:
        """Take the next word for ``--check 5%``, ``--expand items`` and ``--pages link`` where it can be nothing else."""
        if not self.words or self.words[0].startswith("-"):
            return None
        following = self.words[0]
        free = self._positional is not None or not self._may_be_positional(following)
        fits = (
            (option in ("expand", "pages") and free)
            or (option == "pages" and following.lower() in _PAGES)
            or (option == "check" and _SHARE.fullmatch(following) is not None)
        )
        return self.words.pop(0) if fits else None

    def _may_be_positional(self, word: str) -> bool:
        return _is_variable(word) if self._cell else "://" in word or word.startswith("{{")

    def _set(self, option: str, value: Any, flag: str) -> None:
        if option == "each":
            self._each.append(EachSpec.parse(value))
            return
        if TABLE[option].lookup:
            self._look_up(option, value, flag)
            return
        if option in REPEATED:
            self._options[option] = (*self._options.get(option, ()), value)
            return
        if option in self._options and self._options[option] != value:
            raise OptionError(f"{option} is given twice, differently: give it once")
        self._options[option] = value

    def _look_up(self, option: str, value: str, flag: str) -> None:
        if option in self._lookups:
            raise OptionError(f"{flag} is given twice")
        if option != "cert" and not _NAME.fullmatch(value):
            hint = ", never the secret itself" if option == "auth" else ""
            raise OptionError(f"{flag} takes the name of a notebook variable{hint}")
        self._lookups[option] = value

    def _read_positional(self, word: str) -> None:
        if self._cell:
            self._check_name(word)
        else:
            _check_url(word)
        if self._positional is not None:
            what = "NAME for the result" if self._cell else "URL (a cell, %%fastreq, takes many)"
            raise OptionError(f"one {what}, please: put values with spaces in quotes")
        self._positional = word

    def _check_name(self, word: str) -> None:
        if _is_variable(word):
            return
        if "://" in word or word.startswith("{{"):
            raise OptionError("%%fastreq [NAME] [options]: the URL belongs into the cell, below this line")
        raise OptionError("%%fastreq [NAME] [options]: NAME is a Python variable's name, and values with spaces need quotes")


def _is_variable(word: str) -> bool:
    return word.isidentifier() and not iskeyword(word)


def _check_url(word: str) -> None:
    for pattern in (_BRACES, _DOLLAR):
        for match in pattern.finditer(word):
            if match[1] is not None:
                name = match[1].strip("${}")
                instead = "%24" + name if match[1].startswith("$") else f"\\{{{name}}}"
                raise OptionError(f"{match[1]} is not replaced here: write {{{{{name}}}}} for the variable, {instead} for the text itself")


_NO_SWITCH: Any = object()


@cache
def _flags() -> Mapping[str, tuple[str, Any]]:
    """Return flag -> (option, value of the switch or `_NO_SWITCH`)."""
    flags: dict[str, tuple[str, Any]] = {}
    for name, row in TABLE.items():
        if "magic" not in row.doors:
            continue
        for flag in (row.long_flag, *row.flags):
            flags[flag] = (name, _NO_SWITCH)
        for flag, value in row.switches.items():
            flags[flag] = (name, value)
    return flags


def fill_options(options: Mapping[str, Any], namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line's options with their placeholders filled; an option that is nothing but one gets the value itself.

    Args:
        options: Texts of flags, as the line was read.
        namespace: The notebook's variables; looked up, never evaluated.

    Raises:
        OptionError: A name that is not there, a value that is no text, or ``{x}`` and ``$x`` of a variable; one line.
    """
    binder = Binder({}, (), Rows(()), namespace, Surroundings())
    filled = dict(options)
    for name, value in options.items():
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and name != "each":
                _refuse_unreplaced(text, namespace)
        if isinstance(value, str) and "{{" in value and name not in _LATER:
            filled[name] = _filled(name, value, binder)
    return filled


def _filled(name: str, text: str, binder: Binder) -> Any:
    try:
        parts = binder.bind(read_text(Span(text, 1, 1)))
        if len(parts) == 1 and isinstance(parts[0], Bound):
            return plain(value_in(parts[0], Env()))
        return "".join(text_in(part, Env()) if isinstance(part, Bound) else str(part) for part in parts)
    except CellSyntaxError as error:
        reason = error.message
    except MisfitError as error:
        reason = error.detail
    raise OptionError(f"{name}: {reason}", option=name, reason=reason)


def _refuse_unreplaced(text: str, namespace: Mapping[str, Any]) -> None:
    for match in _UNREPLACED.finditer(text):
        name = match[1] or match[2]
        if name and name in namespace and not name.startswith("_"):
            raise OptionError(f"{match[0]} is not replaced here: write {{{{{name}}}}} for the variable")
