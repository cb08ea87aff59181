r"""Splits a curl command into words, as the shell it was copied for would.

sh::

    '...', "...", $'...' (ANSI-C, as Chrome writes it), backslash at the end of a line
cmd.exe::

    ^ before characters and at the end of a line, "..." with \" inside
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from fastreq_jupyter.cell.syntax import Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["read_words"]

_SH = re.compile(
    r"""(?P<plain>[^\s'"\\$`|<>&;]+)
      | (?P<ansi>\$'[^'\\]*(?:\\.[^'\\]*)*')
      | (?P<single>'[^']*')
      | (?P<double>"[^"\\]*(?:\\.[^"\\]*)*")
      | (?P<join>\\\n)
      | (?P<stray>\\[ \t]+\n)
      | (?P<escape>\\.)
      | (?P<variable>\$(?:[A-Za-z_]\w*|\{[A-Za-z_]\w*\}|\())
      | (?P<space>[ \t]+)
      | (?P<end>\n)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_PLACEHOLDER = re.compile(r"\\?\{\{[^\n]*?\}\}")
_VARIABLE = re.compile(r"\$(?:[A-Za-z_]\w*|\{[A-Za-z_]\w*\}|\()")
_DOUBLE_ESCAPE = re.compile(r"\\([\"\\$`\n])", re.DOTALL)
_ANSI = re.compile(r"\\(x[0-9A-Fa-f]{1,2}|u[0-9A-Fa-f]{1,4}|U[0-9A-Fa-f]{1,8}|[0-7]{1,3}|.)", re.DOTALL)
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_ANSI_NAMED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "v": "\v"}
# A caret at the end of the line, or before the first quote: what stands in '...' is sh.
_CMD = re.compile(r"[^'\"]*[ \t]\^\"|[^']*[ \t]\^[ \t]*\Z")
_TYPOGRAPHIC = "\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb"
_POWERSHELL = re.compile(r"[ \t]`[ \t]*$")


def read_words(lines: Sequence[str], start: int, first_line: int) -> tuple[list[Span], int]:
    """Read one command.

    Args:
        lines: Lines of the cell.
        start: Index of the command's first line.
        first_line: Number of the first of `lines`.

    Returns:
        The words, each with its place, and the number of lines read.

    Raises:
        CellSyntaxError: A quote that is not closed, or something only a shell could do.
    """
    first = lines[start]
    if (prompt := first.lstrip()).startswith("$ "):
        # Documents show the prompt; a blank in its place keeps the columns.
        first = " " * (len(first) - len(prompt) + 1) + prompt[1:]
    if _POWERSHELL.search(first):
        raise Span(first, first_line + start).error(len(first.rstrip()) - 1, "PowerShell's ` is not read: copy as cURL (bash) or (cmd)")
    if _CMD.match(first):
        return _read_cmd(lines, start, first_line)
    return _read_sh(first, lines, start, first_line)


class _Words:
    """Gather words, each with the place of its first character."""

    def __init__(self, line: int) -> None:
        self.found: list[Span] = []
        self.line = line
        self.column = 1
        self._pieces: list[str] = []
        self._at: tuple[int, int] | None = None

    def add(self, text: str, *, quotes: int = 0) -> None:
        if self._at is None:
            self._at = (self.line, self.column + quotes)
        self._pieces.append(text)

    def close(self) -> None:
        if self._at is not None:
            self.found.append(Span("".join(self._pieces), *self._at))
            self._pieces, self._at = [], None

    def move(self, text: str) -> None:
        breaks = text.count("\n")
        self.line += breaks
        self.column = len(text) - text.rindex("\n") if breaks else self.column + len(text)

    def here(self) -> Span:
        return Span("", self.line, self.column)


def _read_sh(first: str, lines: Sequence[str], start: int, first_line: int) -> tuple[list[Span], int]:
    words = _Words(first_line + start)
    for kind, text in _sh_tokens(first, lines, start):
        if kind == "end":
            break
        if kind == "space":
            words.close()
        elif kind == "other":
            _refuse(text, words)
            words.add(text)
        elif kind != "join":
            words.add(_unquoted(kind, text, words), quotes={"single": 1, "double": 1, "ansi": 2}.get(kind, 0))
        words.move(text)
    words.close()
    return words.found, words.line - first_line - start + 1


def _sh_tokens(first: str, lines: Sequence[str], start: int) -> Iterator[tuple[str, str]]:
    """Give kind and text of each piece, taking a further line only where the command goes on."""
    text = first + "\n"
    number = start + 1
    place = 0
    while place < len(text):
        found = _PLACEHOLDER.match(text, place) if text.startswith(("{{", "\\{{"), place) else None
        if found is not None:
            yield "plain", found[0]
            place = found.end()
            continue
        match = _SH.match(text, place)
        assert match is not None  # noqa: S101 - the last alternative takes anything
        kind, piece = str(match.lastgroup), match[0]
        open_quote = kind == "other" and (piece in "'\"" or text.startswith("$'", place))
        if (open_quote or kind == "join") and number < len(lines):
            taken = _lines_to_take(lines, number, text[place:], quote=open_quote)
            text = text[place:] + "".join(line + "\n" for line in lines[number : number + taken])
            place, number = 0, number + taken
            if open_quote and taken:
                continue
        if kind == "plain" and (mark := piece.find("{{")) > 0:
            piece = piece[:mark]
        yield kind, piece
        place += len(piece)


def _lines_to_take(lines: Sequence[str], number: int, rest: str, *, quote: bool) -> int:
    if not quote:
        return 1
    sign = "'" if rest[:2] == "$'" else rest[0]
    for taken, line in enumerate(lines[number:], 1):
        if sign in line:
            return taken
    return 0


def _unquoted(kind: str, text: str, words: _Words) -> str:
    if kind == "stray":
        raise words.here().error(0, "a blank behind the \\ ends the command here: take the blank away")
    if kind == "plain" and text[0] in _TYPOGRAPHIC:
        raise words.here().error(0, f"{text[0]} is a typographic quote: write '")
    if kind == "variable":
        raise words.here().error(0, _no_shell(text))
    if kind == "single":
        return text[1:-1]
    if kind == "double":
        inner = text[1:-1]
        if found := _first_variable(inner):
            raise words.here().error(0, _no_shell(found))
        return _DOUBLE_ESCAPE.sub(lambda found: "" if found[1] == "\n" else found[1], inner)
    if kind == "ansi":
        return _ansi_text(text[2:-1])
    return text[1:] if kind == "escape" else text


def _first_variable(text: str) -> str | None:
    for found in _VARIABLE.finditer(text):
        before = text[: found.start()]
        if (len(before) - len(before.rstrip("\\"))) % 2 == 0 and before.count("{{") == before.count("}}"):
            return found[0]
    return "`" if re.search(r"(?<!\\)`", text) else None


def _ansi_text(text: str) -> str:
    r"""Return the text of ``$'...'``; bytes given one by one (\\xc3\\xa9) are read as UTF-8."""
    pieces = _PAIR.sub(_joined, _ANSI.sub(_ansi_letter, text))
    try:
        return pieces.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return pieces.encode("utf-8", "replace").decode()


def _joined(pair: re.Match[str]) -> str:
    r"""Return the character of a surrogate pair: Chrome writes emoji as two ``\u`` escapes."""
    return pair[0].encode("utf-16", "surrogatepass").decode("utf-16")


def _ansi_letter(found: re.Match[str]) -> str:
    code = found[1]
    if code[0] == "x" and len(code) > 1:
        return _byte(int(code[1:], 16))
    if code[0] in "01234567":
        return _byte(int(code, 8) & 255)
    if code[0] in "uU" and len(code) > 1:
        number = int(code[1:], 16)
        return chr(number) if number <= sys.maxunicode else "\ufffd"
    return _ANSI_NAMED.get(code, code)


def _byte(value: int) -> str:
    return chr(value) if value < 0x80 else chr(0xDC00 + value)  # noqa: PLR2004 - a byte as surrogateescape has it


def _refuse(piece: str, words: _Words) -> None:
    if piece in "'\"":
        raise words.here().error(0, f"the quote {piece} is not closed")
    if piece == "$":
        return
    if piece in "`|<>;&":
        what = "quote the URL: & ends the command in a shell" if piece == "&" else f"{piece} is the shell's: give the curl command alone"
        raise words.here().error(0, what)


def _no_shell(found: str) -> str:
    name = found.strip("${}(") or "NAME"
    if found in ("`", "$("):
        return f"{found} runs a command in a shell: write the value, or {{{{name}}}}"
    return f"{found} is a variable of the shell: write {{{{$env {name}}}}}, or quote it with ' for the text itself"


def _read_cmd(lines: Sequence[str], start: int, first_line: int) -> tuple[list[Span], int]:
    text, taken = _without_carets(lines, start)
    words = _Words(first_line + start)
    quoted = False
    place = 0
    while place < len(text):
        letter = text[place]
        if letter == "\\" and (found := re.compile(r"(\\+)(\")?").match(text, place)):
            slashes = len(found[1])
            literal_quote = bool(found[2]) and slashes % 2 == 1
            words.add("\\" * (slashes // 2 if found[2] else slashes) + ('"' if literal_quote else ""))
            place += slashes + (1 if literal_quote else 0)
            continue
        if letter == '"':
            quoted = not quoted
            words.add("")
        elif letter in " \t" and not quoted:
            words.close()
        else:
            words.add(letter)
        words.column += 1
        place += 1
    words.close()
    return words.found, taken


def _without_carets(lines: Sequence[str], start: int) -> tuple[str, int]:
    """Do what cmd.exe does before the program sees its line: ``^`` makes the next character literal."""
    pieces: list[str] = []
    quoted = False
    number = start
    while True:
        line = lines[number]
        ended, quoted = _cmd_line(line, pieces, quoted=quoted)
        number += 1
        if ended or number >= len(lines):
            return "".join(pieces), number - start
        if not lines[number]:
            # An escaped end of line, then an empty line: a line break in the text itself.
            pieces.append("\n")
            number += 1
            if number >= len(lines):
                return "".join(pieces), number - start


def _cmd_line(line: str, pieces: list[str], *, quoted: bool) -> tuple[bool, bool]:
    line = line.rstrip() if line.rstrip().endswith("^") else line
    place = 0
    while place < len(line):
        letter = line[place]
        if letter == "^" and not quoted:
            if place + 1 == len(line):
                return False, quoted
            pieces.append(line[place + 1])
            place += 2
            continue
        if letter == '"':
            quoted = not quoted
        pieces.append(letter)
        place += 1
    return True, quoted
