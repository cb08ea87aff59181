"""Lines of ``%fastreq`` that send nothing: a word in place of a URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fastreq_jupyter.bridge import shell
from fastreq_jupyter.cell import read_har, secrets_of, split_line, to_http
from fastreq_jupyter.client import cached_answers, clear_cache
from fastreq_jupyter.errors import OptionError, UsageError
from fastreq_jupyter.notebook.config import settings
from fastreq_jupyter.options import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastreq_jupyter.cell import Recorded

__all__ = ["CommandResult", "run_command"]

_HAR_USAGE = "%fastreq har FILE [PATTERN] puts a cell of the file's xhr and fetch requests; PATTERN is a part of the URL, or a glob"
_NO_CREDENTIALS = (
    "the file has no cookies and no Authorization: browsers leave them out unless asked (Export HAR with sensitive data), "
    "so that what needs a login answers 401"
)
_CACHE_USAGE = "%fastreq cache lists what is kept, %fastreq cache clear [PATTERN] takes it out; --cache-file FILE names another one"


class CommandResult(NamedTuple):
    """A line to print, and what the magic returns."""

    line: str
    value: Any = None


def run_command(text: str) -> CommandResult | None:
    """Do what a line asks for, None where its first word is no command.

    Raises:
        FastreqError: One line.
    """
    word, _, rest = text.strip().partition(" ")
    command = _COMMANDS.get(word)
    return None if command is None else command(split_line(rest))


def _har(words: list[str]) -> CommandResult:
    if not words or len(words) > 2:
        raise OptionError(_HAR_USAGE)
    recorded = read_har(*words)
    if not recorded.requests:
        fitting = f" whose URL has {words[1]!r}" if len(words) > 1 else ""
        raise UsageError(f"{words[0]} has {recorded.entries:,} entries, but no xhr or fetch request{fitting}")
    shell().set_next_input(f"%%fastreq answers\n{to_http(recorded.requests)}".rstrip("\n"))
    return CommandResult(_har_line(recorded))


def _har_line(recorded: Recorded) -> str:
    count = len(recorded.requests)
    parts = [f"{count:,} request{'' if count == 1 else 's'} of {recorded.entries:,} entries"]
    if recorded.equal:
        parts.append(f"{recorded.equal:,} equal to an earlier one left out")
    if recorded.more:
        parts.append(f"{recorded.more:,} more left out: give a PATTERN")
    names = list(secrets_of(recorded.requests))
    if names:
        parts.append(f"secrets are read from the environment: set {', '.join(names)}")
    if recorded.sanitized:
        parts.append(_NO_CREDENTIALS)
    return "; ".join(parts)


def _cache(words: list[str]) -> CommandResult:
    file = str(settings().get("cache_file", TABLE["cache_file"].default))
    arguments: list[str] = []
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if name != "--cache-file":
            arguments.append(word)
        elif equals or words:
            file = value if equals else words.pop(0)
        else:
            raise OptionError(_CACHE_USAGE)
    if not arguments:
        frame, line = cached_answers(file)
        return CommandResult(line, frame)
    if arguments[0] != "clear" or len(arguments) > 2:
        raise OptionError(_CACHE_USAGE)
    return CommandResult(clear_cache(file, *arguments[1:]))


_COMMANDS: Mapping[str, Callable[[list[str]], CommandResult]] = {"cache": _cache, "har": _har}
