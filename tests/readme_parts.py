"""The parts of README.md, and of the functions' argument types, that are made from the table of options.

Usage: python tests/readme_parts.py --write
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fastreq_jupyter.backends.base import LIBRARIES, NAMES
from fastreq_jupyter.backends.differences import CHOICES, DIFFERENCES
from fastreq_jupyter.options import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastreq_jupyter.options import Option

README = Path(__file__).parents[1] / "README.md"
ARGUMENTS = README.parent / "fastreq_jupyter" / "options" / "arguments.py"
MARK = re.compile(r"(<!-- made: (\w+) -->\n|    # What stands [^\n]*: (\w+)\n).*?(<!-- end -->|    # End of what is made.\n)", re.DOTALL)


def options_table() -> str:
    """Return one table row per option, group by group."""
    groups: dict[str, list[Option]] = {}
    for option in TABLE.values():
        groups.setdefault(option.group, []).append(option)
    lines = ["| option | flags of the magics | default | what it does | what it may be |", "|---|---|---|---|---|"]
    for group, options in groups.items():
        lines.append(f"| **{group}** | | | | |")
        lines += [_row(option) for option in options]
    return "\n".join(lines) + "\n"


def _row(option: Option) -> str:
    cells = (f"`{option.name}`", _flags(option), _default(option), option.help, option.allowed)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _flags(option: Option) -> str:
    if "magic" not in option.doors:
        return "functions only"
    takes_value = not option.switches or option.metavar != "VALUE"
    valued = [f"`{flag} {option.metavar}`" for flag in (option.long_flag, *option.flags) if flag not in option.switches and takes_value]
    may_take = option.metavar if takes_value else ""
    switches = [f"`{flag} [{may_take}]`" if flag == option.long_flag and may_take else f"`{flag}`" for flag in option.switches]
    return ", ".join([*valued, *switches])


def _default(option: Option) -> str:
    if option.default in (None, ()):
        return ""
    return option.shown or f"`{option.default!r}`"


def argument_types() -> str:
    """Return the fields of `OptionArguments`, for type checkers."""
    return "".join(f"    {option.name}: {option.takes}\n" for option in TABLE.values() if "function" in option.doors)


def backends_table() -> str:
    """Return one row per backend: when to choose it, and what it can be asked for."""
    features = ("http2", "http3", "http", "https", "socks4", "socks5")
    lines = ["| backend | when to choose it | `http2` | `http3` | proxies |", "|---|---|---|---|---|"]
    for name in NAMES:
        can = LIBRARIES[name].can
        cells = [f"`{name}`", CHOICES[name], *("yes" if feature in can else "refused" for feature in features[:2])]
        cells.append(", ".join(scheme for scheme in features[2:] if scheme in can))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def differences_table() -> str:
    """Return one row per subject and backend."""
    lines = ["| what | backend | what happens | why |", "|---|---|---|---|"]
    for subject in dict.fromkeys(difference.subject for name in NAMES for difference in DIFFERENCES[name]):
        for name in NAMES:
            found = [difference for difference in DIFFERENCES[name] if difference.subject == subject]
            lines += [f"| {subject} | `{name}` | {difference.effect} | {difference.reason} |" for difference in found]
    return "\n".join(lines) + "\n"


PARTS: dict[str, Callable[[], str]] = {
    "options": options_table,
    "arguments": argument_types,
    "backends": backends_table,
    "differences": differences_table,
}


def rewritten(text: str) -> str:
    """Return the text of a file with every generated part made anew."""
    return MARK.sub(lambda found: found[1] + PARTS[found[2] or found[3]]() + found[4], text)


def main(arguments: list[str]) -> int:
    """Compare, or write with --write; 1 when a file is behind the code."""
    behind = 0
    for path in (README, ARGUMENTS):
        text = path.read_text(encoding="utf-8")
        new = rewritten(text)
        if "--write" in arguments:
            path.write_text(new, encoding="utf-8")
        else:
            behind |= int(new != text)
    return behind


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
