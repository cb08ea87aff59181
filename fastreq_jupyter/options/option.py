"""One option: how it is named, checked and explained, and what to say when it was given wrongly."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

from fastreq_jupyter.errors import OptionError
from fastreq_jupyter.options.checks import choice, strict_bool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Door = Literal["function", "magic", "panel"]
EVERYWHERE: frozenset[Door] = frozenset({"function", "magic", "panel"})
IN_CELLS: frozenset[Door] = frozenset({"magic", "panel"})
IN_MAGICS: frozenset[Door] = frozenset({"magic"})
IN_CODE: frozenset[Door] = frozenset({"function"})
# The panel has no field for these: it runs in the background, shows progress itself and has a button for a dry run.
IN_TEXT: frozenset[Door] = frozenset({"function", "magic"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option.

    Attributes:
        name: Function argument; the long flag is the same with hyphens.
        default: Value when nothing is given, already checked.
        check: Turns what a user gave (a value, or the text of a flag) into the normal form; raises ValueError or TypeError.
        takes: Type of the function argument, as written in an annotation.
        allowed: Range and unit in words, for help and for the error line.
        help: What it does, one line.
        choices: The words it takes, as texts, where these are few; the panel has a menu of them.
        examples: Texts that show what it takes; completion offers them.
        shown: The default in words, where its value does not tell.
        label: What the panel calls it; its name by default.
        flags: Further flags that take a value.
        switches: Flags without value -> the value they set.
        doors: Where it can be given.
        lookup: The flag takes the name of a notebook variable.
        secret: Never echo the value.
        metavar: Placeholder of the value in help.
        group: Heading in help and panel.
    """

    name: str
    default: Any
    check: Callable[[Any], Any]
    takes: str = ""
    allowed: str
    help: str
    choices: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    shown: str | None = None
    label: str = ""
    flags: tuple[str, ...] = ()
    switches: Mapping[str, Any] = field(default_factory=dict)
    doors: frozenset[Door] = EVERYWHERE
    lookup: bool = False
    secret: bool = False
    metavar: str = "VALUE"
    group: str = "Requests"

    @property
    def long_flag(self) -> str:
        """Return the flag named after the option: ``--max-retries``."""
        return "--" + self.name.replace("_", "-")

    @property
    def default_text(self) -> str:
        """Return the default as a text, empty where there is none."""
        return self.shown or ("" if self.default in (None, ()) else str(self.default))

    def named(self, name: str) -> Option:
        """Return the option with its name, a label, and for True or False its own flag as the switch."""
        option = replace(self, name=name, label=self.label or name.replace("_", " ").capitalize())
        plain_switch = option.check is strict_bool and not option.switches and "magic" in option.doors
        return replace(option, switches={option.long_flag: True}) if plain_switch else option

    def read(self, value: object) -> Any:
        """Check one value.

        Raises:
            OptionError: One line naming the option, the value (unless secret) and the range.
        """
        try:
            return self.check(value)
        except (ValueError, TypeError, OverflowError) as error:
            why = str(error) if isinstance(error, TypeError) else ""
        problem = "cannot be read" if self.secret else f"{_shown(value)} is not possible"
        message = f"{self.name}{' ' if self.secret else '='}{problem}{f' ({why})' if why else ''}: give {self.allowed}"
        reason = f"{f'{why}: ' if why else ''}give {self.allowed}"
        raise OptionError(message, option=self.name, value=None if self.secret else value, allowed=self.allowed, reason=reason)


def option(default: Any, check: Callable[[Any], Any] | None = None, *, choices: tuple[str, ...] = (), **words: Any) -> Any:
    """Return the dataclass field of an option.

    Args:
        default: Value when nothing is given, already checked.
        check: As `Option`; by default that it is one of `choices`.
        choices: As `Option`.
        **words: As `Option`.
    """
    if check is None:
        check = choice(choices)
        words |= {"takes": "str", "allowed": f"{', '.join(choices[:-1])} or {choices[-1]}"}
    row = Option(name="", default=default, check=check, choices=choices, **words)
    return field(default=default, repr=not row.secret, metadata={"option": row})


def switch(help: str, *, default: bool = False, **words: Any) -> Any:  # noqa: A002 - as `Option` calls it
    """Return the dataclass field of an option that is True or False; `words` as `Option`."""
    return option(default, strict_bool, takes="bool", allowed="True or False", help=help, **words)


# Names that users of other clients type: the option to use here, or a sentence where there is none.
_HABITS: Mapping[str, str] = {
    "verify": "verify_ssl", "ssl": "verify_ssl", "ca_bundle": "verify_ssl", "allow_redirects": "follow_redirects",
    "proxies": "proxy", "max_workers": "concurrency", "workers": "concurrency", "limit_per_host": "concurrency_per_host",
    "max_connections": "concurrency", "retries": "max_retries", "total_timeout": "timeout", "content": "data", "body": "data",
    "urls": "the first argument", "url": "the first argument", "query": "params", "rate": "rate_limit", "burst": "rate_limit_burst",
    "-m": "--timeout", "--max-time": "--timeout", "-b": "a 'Cookie: name=value' header line (-H)", "-u": "--auth NAME",
    "-x": "--proxy", "-o": "--save-to", "-L": "nothing: redirects are followed (--no-redirects turns it off)",
    "paginate": "pages", "follow_links": "pages", "--paginate": "--pages auto", "--next": "--pages auto", "--follow-links": "--pages auto",
    "-A": "-H 'User-Agent: ...'", "-F": "a curl line in the cell", "--insecure": "-k", "--cacert": "--ca", "--json": "a body in the cell",
    **dict.fromkeys(("--keys", "--params", "--cookies", "--parse-func"), "a function, fastreq(urls, ...): no cell has it"),
}  # fmt: skip


def refuse_unknown(name: str, known: Iterable[str]) -> OptionError:
    """Return the one-line error for an unknown option or flag, naming what was probably meant."""
    if name in _HABITS:
        return OptionError(f"unknown option {name}: use {_HABITS[name]}", option=name)
    # Without the dashes: every flag has them, and --next would look similar to --cert.
    bare = {option.lstrip("-"): option for option in known}
    near = [bare[option] for option in get_close_matches(name.lstrip("-"), list(bare), n=1, cutoff=0.7)]
    return OptionError(f"unknown option {name}{f': did you mean {near[0]}?' if near else '; %fastreq --help lists all'}", option=name)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
