"""The parts of README.md, docs/reference.md and the functions' argument types that are made from the code.

Usage: python tests/readme_parts.py --write
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from faultserver.differences import CHOICES, DIFFERENCES

import fastreq_jupyter
from fastreq_jupyter.backends.base import LIBRARIES, NAMES
from fastreq_jupyter.client.accessor import FastreqAccessor
from fastreq_jupyter.errors import ErrorKind
from fastreq_jupyter.frame import to_frame
from fastreq_jupyter.options import COLUMN_SETS, MEANINGS, NOT_EXPANDED, TABLE, Options

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastreq_jupyter.options import Option

README = Path(__file__).parents[1] / "README.md"
REFERENCE = README.parent / "docs" / "reference.md"
ARGUMENTS = README.parent / "fastreq_jupyter" / "options" / "arguments.py"
MARK = re.compile(
    r"(<!-- made: (\w+) -->\n|    # The lines from here [^\n]*: (\w+)\n).*?(<!-- end -->|    # End of the generated lines\.\n)", re.DOTALL
)

# What each kind of error means, and what to do.
WHAT_TO_DO = {
    "http NNN": (
        "status from 400 on, or with `save_to` one that brings no file",
        "`error_detail` has the API's own reason, `data` its body",
    ),
    "timeout": ("no complete answer in time", "`timeout`, `connect_timeout`; fewer at once: `concurrency`"),
    "connect": ("no connection, or closed before the answer", "check host and port; a busy server: `concurrency`, `rate_limit`"),
    "tls": (
        "certificate or handshake refused",
        "`verify_ssl=FILE` for a CA of your own; the detail names files that the environment offers",
    ),
    "protocol": ("the answer is no HTTP, or breaks off", "another `backend`; see what each does differently"),
    "proxy": ("the proxy refused, or its URL cannot be read", "`proxy`; the detail names the variable of the environment"),
    "too large": ("the body is larger than `max_body`", "`max_body`, or `save_to`"),
    "decoding": ("the compressed body is damaged", "ask again; `headers={'Accept-Encoding': 'identity'}`"),
    "invalid JSON": ("the body is not the JSON that its type or `parse` says", "its text is in `data`; `parse='text'`"),
    "invalid CSV": ("no CSV, though `parse` says so", "its text is in `data`"),
    "invalid XML": ("no XML, though `parse` says so", "its text is in `data`"),
    "body": (
        "`fail_when`, `retry_when` or `until` found a failure in the body, or a page has an error in place of items",
        "the detail says what was found",
    ),
    "graphql": ("GraphQL errors and no data", "the detail has the first of them"),
    "graphql partial": ("GraphQL errors beside data", "the data is there"),
    "too many redirects": ("more than `max_redirects`", "the detail has the last target"),
    "redirect refused": ("the target is no http or https URL, or cannot be read", "ask for the right URL yourself"),
    "invalid URL": ("it cannot be sent to", "the detail says what is wrong with it"),
    "invalid value": ("a value fits no place: NaN in a URL, a line break in a header", "mend the row; nothing was sent"),
    "save_to": ("the file cannot be written, or two rows would write one", "the detail names it"),
    "parse_func": ("your function raised", "the detail has its error; `data` is what it was given"),
    "cancelled": ("interrupted or cancelled before its end", "`df.fastreq.retry_failed()`"),
    "deadline": ("the run's `deadline` was over", "`df.fastreq.retry_failed()`"),
    "stopped": (
        "`max_failures`, or a host that refused its first 20, or 5 in a row for longer than 120 s",
        "mend the cause, then `df.fastreq.retry_failed()`",
    ),
    "skipped": ("the request that it builds on failed", "see that row"),
    "unknown": ("the kernel died while a POST was under way", "find out whether it was done, or `retry_unsafe`"),
    "auth": ("no token could be had", "the detail has what the token endpoint or your function said"),
    "not ready": ("`patience` was over before the job was", "a rerun, or `retry_failed()`, looks at the same job"),
    "offline": ("not in the cache, and `offline` sends nothing", "run it without `offline`"),
    "loop": ("a page came again", "the server ignored its cursor: give `pages=EXPR`"),
}


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


def columns_table() -> str:
    """Return one row per column of a frame, in its order: dtype, and the sets of `columns` that have it."""
    every = {"columns": "all", "timings": True, "response_headers": True, "select": "@"}
    dtypes = {}
    for more in ({"pages": "auto"}, {"until": "ready"}, {"cache": "1h"}):
        dtypes |= dict(to_frame([], Options.of(**every, **more)).dtypes)
    assert sorted(dtypes) == sorted(MEANINGS), "MEANINGS in options/columns.py"
    lines = ["| column | dtype | in `--columns` | meaning |", "|---|---|---|---|"]
    for name, meaning in MEANINGS.items():
        limits = {"short": " without `expand`" if name in NOT_EXPANDED else ""}
        sets = [known + limits.get(known, "") for known, names in COLUMN_SETS.items() if name in names]
        shown = "every, where its option is given" if name not in COLUMN_SETS["all"] and name != "data" else ", ".join(sets) or "every"
        lines.append(f"| `{name}` | {dtypes[name]} | {shown} | {meaning} |")
    return "\n".join(lines) + "\n"


def errors_table() -> str:
    """Return one row per kind of error."""
    assert set(WHAT_TO_DO) == {"http NNN", *get_args(ErrorKind)}, "WHAT_TO_DO in readme_parts.py"
    lines = ["| `error` | what happened | what to do |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| `{kind}` | {what} | {todo} |" for kind, (what, todo) in WHAT_TO_DO.items())]) + "\n"


def members_table(kind: type, names: str) -> str:
    """Return one row per member: attributes as the class describes them, properties and methods by their first line."""
    described = dict(re.findall(r"^ {4}(\w+): (.*)$", inspect.getdoc(kind) or "", re.MULTILINE))
    lines = ["| | |", "|---|---|"]
    for name in names.split():
        member = inspect.getattr_static(kind, name, None)
        first = (inspect.getdoc(member) or "").partition("\n")[0] if callable(member) or isinstance(member, property) else described[name]
        signature = _signature(member) if callable(member) else ""
        lines.append("| " + " | ".join(text.replace("|", "\\|") for text in (f"`{name}{signature}`", _as_code(first))) + " |")
    return "\n".join(lines) + "\n"


def _as_code(text: str) -> str:
    return text.replace("``", "`").removeprefix("Return ").removeprefix("Tell ")


def _signature(member: object) -> str:
    parameters = [each for each in inspect.signature(member).parameters.values() if each.name != "self"]
    if [each.name for each in parameters if each.kind is each.KEYWORD_ONLY and each.name in TABLE]:
        parameters = [each for each in parameters if each.name not in TABLE]
        return f"({', '.join([*(str(each.replace(annotation=each.empty)) for each in parameters), '**options'])})"
    return f"({', '.join(str(each.replace(annotation=each.empty)) for each in parameters)})"


def functions_table() -> str:
    """Return one row per function that a user calls."""
    lines = ["| function | what it does |", "|---|---|"]
    for name in ("fastreq", "fastreq_async", "fastreq_stream", "submit", "last_run", "load"):
        function = getattr(fastreq_jupyter, name)
        lines.append(f"| `{name}{_signature(function)}` | {_as_code((inspect.getdoc(function) or '').partition(chr(10))[0])} |")
    return "\n".join(lines) + "\n"


_ACCESSOR = "get post request failed retry_failed expand all_columns summary timings waterfall changed to_http to_curl save"
_RESPONSE = "status headers header links content_type text json content final_url size_bytes http_version reason path"
_RUN = "df progress state outcomes summary closing_line cancel pause resume update retry_failed wait done"
_FAILURE = "failures results total successes get_failed_urls df"


PARTS: dict[str, Callable[[], str]] = {
    "options": options_table,
    "arguments": argument_types,
    "backends": backends_table,
    "differences": differences_table,
    "columns": columns_table,
    "errors": errors_table,
    "functions": functions_table,
    "accessor": lambda: members_table(FastreqAccessor, _ACCESSOR),
    "response": lambda: members_table(fastreq_jupyter.Response, _RESPONSE),
    "run": lambda: members_table(fastreq_jupyter.Run, _RUN),
    "failure": lambda: members_table(fastreq_jupyter.PartialFailureError, _FAILURE),
}
FILES = (README, REFERENCE, ARGUMENTS)


def rewritten(text: str) -> str:
    """Return the text of a file with every generated part made anew."""
    return MARK.sub(lambda found: found[1] + PARTS[found[2] or found[3]]() + found[4], text)


def main(arguments: list[str]) -> int:
    """Compare, or write with --write; 1 when a file is behind the code."""
    behind = 0
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        new = rewritten(text)
        if "--write" in arguments:
            path.write_text(new, encoding="utf-8")
        else:
            behind |= int(new != text)
    return behind


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
