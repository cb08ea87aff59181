r"""Splits curl commands into words, as the shell they were copied for would.

sh::

    '...', "...", $'...' (ANSI-C, as Chrome writes it), $NAME, backslash at the end of a line
cmd.exe::

    ^ before characters and at the end of a line, "..." with \" or "" inside, %NAME%

``;`` and ``&`` end a command, and another may follow in its line. What a shell would do with the answer (``| jq .``,
``> file``) is left out, and said to be.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastreq_jupyter.cell.syntax import Placed, Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SH = re.compile(
    r"""(?P<redirect>(?:(?<!\S)[0-9&])?>>?[ \t]*(?:&[0-9]|'[^'\n]*'|"[^"\n]*"|[^\s;|&'"<>]+))
      | (?P<plain>[^\s'"\\$`|<>&;]+)
      | (?P<ansi>\$'[^'\\]*(?:\\.[^'\\]*)*')
      | (?P<single>'[^']*')
      | (?P<double>"[^"\\]*(?:\\.[^"\\]*)*")
      | (?P<join>\\\n)
      | (?P<stray>\\[ \t]+\n)
      | (?P<escape>\\.)
      | (?P<variable>\$(?:[A-Za-z_]\w*|\{[A-Za-z_]\w*\}))
      | (?P<shell>\$[({0-9@*?$!]|`)
      | (?P<space>[ \t]+)
      | (?P<end>\n)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_PLACEHOLDER = re.compile(r"\\?\{\{[^\n]*?\}\}")
_IN_DOUBLE = re.compile(
    r"""\\(?P<escape>["\\$`\n])
      | (?P<placeholder>\\?\{\{[^\n]*?\}\})
      | (?P<variable>\$(?:[A-Za-z_]\w*|\{[A-Za-z_]\w*\}))
      | (?P<shell>\$[({0-9@*?$!]|`)""",
    re.VERBOSE,
)
_DOUBLE_ESCAPE = re.compile(r"\\([\"\\$`\n])", re.DOTALL)
_ANSI = re.compile(r"\\(x[0-9A-Fa-f]{1,2}|u[0-9A-Fa-f]{1,4}|U[0-9A-Fa-f]{1,8}|[0-7]{1,3}|.)", re.DOTALL)
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_ANSI_NAMED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "v": "\v"}
# A caret at the end of the line or before the first quote means cmd.exe; text in '...' means sh.
_CMD = re.compile(r"[^'\"]*[ \t]\^\"|[^']*[ \t]\^[ \t]*\Z")
# Doubled quotes within a quoted text, as Windows programs read them; sh would remove them.
_DOUBLED = re.compile(r"(?<=[^\s\"=])\"\"(?=[^\s\"])")
_CMD_VARIABLE = re.compile(r"%([A-Za-z_]\w*)%")
_HEX = re.compile(r"[0-9A-Fa-f]{2}")
# Special characters in a line of cmd.exe: "^%", which starts no variable, and the end of a command.
_PERCENT = "\ufdd0"
_AND = "\ufdd1"
_TYPOGRAPHIC = "\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb"
_POWERSHELL = re.compile(r"[ \t]`[ \t]*$")
# Commands beside curl that only affect the terminal: before or after it, and behind a pipe.
_HARMLESS = frozenset({"echo", "printf", "sleep", "true"})
_SHOWING = re.compile(r"(?:jq(?:\s+-\w+)*\s*(?:'\.'|\"\.\"|\.)?|json_pp|python3?\s+-m\s+json\.tool|cat|less|more)\s*\Z")
_NOWHERE = re.compile(r"[0-9&]?>>?[ \t]*(?:&[0-9]|/dev/null|NUL)\Z", re.IGNORECASE)


@dataclass(slots=True)
class Commands:
    """The curl commands of one or more lines.

    Attributes:
        words: For each command its words with their places.
        lines_taken: Lines they take.
        notes: What of them is not done.
    """

    words: list[list[Span]]
    lines_taken: int
    notes: list[str] = field(default_factory=list)


def read_commands(lines: Sequence[str], start: int, first_line: int) -> Commands:
    """Read the commands that begin at ``lines[start]`` and go on in its line.

    Args:
        lines: Lines of the cell.
        start: Index of the first command's first line.
        first_line: Number of the first of `lines`.

    Raises:
        CellSyntaxError: A quote that is not closed, or something only a shell could do.
    """
    first = lines[start]
    if (prompt := first.lstrip()).startswith("$ "):
        # Documents show the prompt; a blank in its place keeps the columns.
        first = " " * (len(first) - len(prompt) + 1) + prompt[1:]
    if _POWERSHELL.search(first):
        raise Span(first, first_line + start).error("PowerShell's ` is not read: copy as cURL (bash) or (cmd)", len(first.rstrip()) - 1)
    words = _Words(first_line + start)
    if _CMD.match(first) or _has_doubled_quotes(first):
        lines_taken = _read_cmd(words, lines, start)
    else:
        _ShReader(words, first).read(lines, start)
        lines_taken = words.line - first_line - start + 1
    words.close()
    return Commands(list(_curl_commands(words.commands)), lines_taken, words.notes)


def _has_doubled_quotes(line: str) -> bool:
    return '""' in line and "'" not in line and "$" not in line and len(_DOUBLED.findall(line)) > 1


def _curl_commands(commands: Sequence[list[Span]]) -> Iterator[list[Span]]:
    for number, words in enumerate(commands):
        name = words[0].text if words else "echo"
        if not number or name in ("curl", "curl.exe"):
            yield words
        elif name not in _HARMLESS:
            raise words[0].error(f"{name[:40]!r} is a command of the shell: give curl commands alone, and quote a URL that holds & or ;")


class _Words(Placed):
    """Words of commands while they are read, each with the place of its first character.

    Attributes:
        commands: Words of each command; the last one is being read.
        notes: What is not done.
        line, column: Where reading is.
        open: A word has begun and not ended.
    """

    def __init__(self, line: int) -> None:
        self.commands: list[list[Span]] = [[]]
        self.notes: list[str] = []
        self.line = line
        self.column = 1
        self._pieces: list[str] = []
        self._at: tuple[int, int] | None = None

    @property
    def open(self) -> bool:
        return self._at is not None

    def add(self, text: str, *, quotes: int = 0) -> None:
        if self._at is None:
            self._at = (self.line, self.column + quotes)
        self._pieces.append(text)

    def close(self) -> None:
        if self._at is not None:
            self.commands[-1].append(Span("".join(self._pieces), *self._at))
            self._pieces, self._at = [], None

    def end_command(self) -> None:
        self.close()
        self.commands.append([])

    def leave_out(self, text: str, why: str) -> None:
        self.notes.append(f"line {self.line}: {text.strip()[:60]} is left out: {why}")

    def move(self, text: str) -> None:
        breaks = text.count("\n")
        self.line += breaks
        self.column = len(text) - text.rindex("\n") if breaks else self.column + len(text)


class _ShReader:
    """A POSIX shell's reading of commands, up to the end of their line."""

    def __init__(self, words: _Words, first: str) -> None:
        self._words = words
        self._first = first
        # PowerShell passes \" on unchanged to curl.exe, which reads it as ".
        self._powershell = first.lstrip().startswith("curl.exe")
        self._pipe: str | None = None
        self._comment = False

    def read(self, lines: Sequence[str], start: int) -> None:
        for kind, text, rest in _sh_tokens(self._first, lines, start):
            if kind == "end":
                break
            self._take(kind, text, rest)
            self._words.move(text)
        self._end_pipe()

    def _take(self, kind: str, text: str, rest: str) -> None:
        words = self._words
        if self._comment:
            return
        if kind == "other" and text in ";&":
            self._end_pipe()
            self._separate(text, rest)
        elif kind == "plain" and text[0] == "#" and (not words.open if self._pipe is None else self._pipe[-1:].isspace()):
            self._comment = True
        elif self._pipe is not None:
            self._pipe += text
        elif kind == "space":
            words.close()
        elif kind == "redirect":
            words.close()
            if not _NOWHERE.match(text):
                words.leave_out(text, "--save-to DIR keeps bodies as files")
        elif kind == "other" and text == "|" and rest[:1] != "|":
            words.close()
            self._pipe = ""
        elif kind != "join":
            words.add(self._text(kind, text, rest), quotes={"single": 1, "double": 1, "ansi": 2}.get(kind, 0))

    def _end_pipe(self) -> None:
        if self._pipe is not None and not _SHOWING.match(self._pipe.strip()):
            self._words.leave_out(f"| {self._pipe.strip()}", "--select EXPR chooses from the body")
        self._pipe = None

    def _separate(self, sign: str, rest: str) -> None:
        words = self._words
        if words.open and rest[:1] not in (" ", "\t", "\n", "&", ";", ""):
            what = "quote the URL: & ends the command in a shell" if sign == "&" else "; ends the command in a shell: quote what holds it"
            raise words.error(what)
        words.end_command()

    def _text(self, kind: str, text: str, rest: str) -> str:
        words = self._words
        if kind == "stray":
            raise words.error("a blank behind the \\ ends the command here: take the blank away")
        if kind == "plain" and text[0] in _TYPOGRAPHIC:
            raise words.error(f"{text[0]} is a typographic quote: write '")
        if kind == "shell":
            raise words.error(_no_shell(text))
        if kind == "other":
            _refuse(text, rest, words)
        if kind == "variable":
            return _variable(text)
        if kind == "single":
            return text[1:-1].replace('\\"', '"') if self._powershell else text[1:-1]
        if kind == "double":
            return _IN_DOUBLE.sub(self._unescaped, text[1:-1])
        if kind == "ansi":
            return _ansi_text(text[2:-1])
        return text[1:] if kind == "escape" else text

    def _unescaped(self, match: re.Match[str]) -> str:
        if match["escape"]:
            return "" if match["escape"] == "\n" else match["escape"]
        if match["placeholder"]:
            return _DOUBLE_ESCAPE.sub(lambda inner: inner[1], match["placeholder"])
        if match["shell"]:
            raise self._words.error(_no_shell(match["shell"]))
        return _variable(match["variable"])


def _variable(text: str) -> str:
    """Return what stands for a variable of the shell; its value goes in as it is, whatever the place."""
    return f"{{{{$shell {text.strip('${}')}}}}}"


def _sh_tokens(first: str, lines: Sequence[str], start: int) -> Iterator[tuple[str, str, str]]:
    """Give kind and text of each piece and two characters behind it, taking a further line only where the command goes on."""
    text = first + "\n"
    number = start + 1
    place = 0
    while place < len(text):
        braces = _PLACEHOLDER.match(text, place) if text.startswith(("{{", "\\{{"), place) else None
        if braces is not None:
            place = braces.end()
            yield "plain", braces[0], text[place : place + 2]
            continue
        match = _SH.match(text, place)
        assert match is not None  # noqa: S101 - the last alternative takes anything
        kind, piece = str(match.lastgroup), match[0]
        open_quote = kind == "other" and (piece in "'\"" or text.startswith("$'", place))
        if (open_quote or kind == "join") and number < len(lines):
            more = _lines_to_take(lines, number, text[place:], quote=open_quote)
            text = text[place:] + "".join(line + "\n" for line in lines[number : number + more])
            place, number = 0, number + more
            if open_quote and more:
                continue
        if kind == "plain" and (mark := piece.find("{{")) > 0:
            piece = piece[:mark]
        place += len(piece)
        yield kind, piece, text[place : place + 2]


def _lines_to_take(lines: Sequence[str], number: int, rest: str, *, quote: bool) -> int:
    if not quote:
        return 1
    sign = "'" if rest[:2] == "$'" else rest[0]
    for count, line in enumerate(lines[number:], 1):
        if sign in line:
            return count
    return 0


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


def _ansi_letter(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] == "x" and len(code) > 1:
        return _byte(int(code[1:], 16))
    if code[0] in "01234567":
        return _byte(int(code, 8) & 255)
    if code[0] in "uU" and len(code) > 1:
        number = int(code[1:], 16)
        return chr(number) if number <= sys.maxunicode else "\ufffd"
    return _ANSI_NAMED.get(code, code)


def _byte(value: int) -> str:
    return chr(value) if value < 0x80 else chr(0xDC00 + value)


def _refuse(piece: str, rest: str, words: _Words) -> None:
    if piece in "'\"":
        raise words.error(f"the quote {piece} is not closed")
    if piece == "<":
        what = (
            "a here-document is not read: put the text into -d '...'" if rest[:1] == "<" else "< is the shell's: give the file as -d @file"
        )
        raise words.error(what)
    if piece in "|>":
        raise words.error(f"{piece} is the shell's: give curl commands alone")
    if piece.isspace():
        raise words.error("a no-break space, which a shell takes for a letter: write a blank")


def _no_shell(match: str) -> str:
    if match in ("`", "$("):
        return f"{match} runs a command in a shell: write the value, or {{{{name}}}}"
    return f"{match} is worked out by a shell: write the value or {{{{name}}}}, or quote it with ' for the text itself"


def _read_cmd(words: _Words, lines: Sequence[str], start: int) -> int:
    text, lines_taken = _without_carets(lines, start)
    quoted = False
    place = 0
    while place < len(text):
        letter = text[place]
        step = 1
        if letter == "\\" and (match := re.compile(r"(\\+)(\")?").match(text, place)):
            slashes = len(match[1])
            literal_quote = bool(match[2]) and slashes % 2 == 1
            words.add("\\" * (slashes // 2 if match[2] else slashes) + ('"' if literal_quote else ""))
            step = slashes + (1 if literal_quote else 0)
        elif letter == '"' and quoted and text[place + 1 : place + 2] == '"':
            words.add('"')
            step = 2
        elif letter == '"':
            quoted = not quoted
            words.add("")
        elif letter == _AND:
            words.end_command()
        elif letter in " \t" and not quoted:
            words.close()
        elif letter == "%" and (match := _CMD_VARIABLE.match(text, place)):
            words.add(_cmd_variable(match[1]))
            step = len(match[0])
        else:
            words.add("%" if letter == _PERCENT else letter)
        words.column += step
        place += step
    return lines_taken


def _cmd_variable(name: str) -> str:
    """Return what stands for ``%NAME%``; cmd.exe leaves it as it is where nothing is set, and it may be percent-encoding."""
    unset = f' "%{name}%"' if _HEX.match(name) else ""
    return f"{{{{$shell {name}{unset}}}}}"


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
            # An escaped line end followed by an empty line: a line break in the text itself.
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
            pieces.append(line[place + 1].replace("%", _PERCENT))
            place += 2
            continue
        if letter == '"':
            quoted = not quoted
        pieces.append(_AND if letter == "&" and not quoted else letter)
        place += 1
    return True, quoted
