"""Texts of ``%fastreq --help`` and ``%fastreq --examples``."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from fastreq_jupyter.options import TABLE

if TYPE_CHECKING:
    from fastreq_jupyter.options import Option

_USAGE = """\
%fastreq                       open the panel
%fastreq URL [options]         send one URL (or a range, or --each), show the frame
%%fastreq [NAME] [options]     send the requests of the cell; the frame goes to NAME, or is shown
%fastreq cache                 list what is cached; %fastreq cache clear [PATTERN] empties
%fastreq --examples            the grammar of a cell, by example
%fastreq --help WORD           the options that speak of it
"""

_POST = """\
POST https://api.example.com/customers HTTP/1.1
Content-Type: application/json
Authorization: Bearer {{$env API_TOKEN}}

{"name": "{{ name }}", "age": {{ age }}, "all": {{ row }}}"""

_SEVERAL = """\
@base = https://api.example.com

### all orders
GET {{base}}/orders
    ?page=2
    &size={{ size }}

### a file as body
PUT {{base}}/orders/7
Content-Type: application/json

< ./order.json"""

_CHAINED = """\
# @name login
POST https://api.example.com/login
Content-Type: application/json

{"user": "ada", "password": "{{$secret ADA}}"}

###
GET https://api.example.com/me
Authorization: Bearer {{login.data.token}}"""

_CURL = """\
curl 'https://api.example.com/search' \\
  -H 'accept: application/json' \\
  --data-raw '{"q":"lamp"}' --compressed"""

EXAMPLES: tuple[tuple[str, str, str], ...] = (
    ("One URL a line; ranges count", "%%fastreq pages", "https://api.example.com/items?page=[1-20]\nhttps://api.example.com/status"),
    (
        "One request per row: columns are names",
        "%%fastreq prices --each orders",
        "https://api.example.com/products/{{ sku }}?at={{ row.order date }}",
    ),
    ("Method, headers, body; quotes decide how a value goes into JSON", "%%fastreq created --each customers", _POST),
    ("Several requests: ### between them, variables, a long query", "%%fastreq", _SEVERAL),
    ("Use an earlier answer", "%%fastreq me", _CHAINED),
    ("cURL, as a browser copies it", "%%fastreq", _CURL),
    (
        "GraphQL: the document, then its variables",
        "%%fastreq",
        'GRAPHQL https://api.example.com/graphql\n\nquery ($id: ID!) { user(id: $id) { name } }\n\n{"id": 7}',
    ),
    ("All pages, and the proof that all came", "%%fastreq orders --pages auto --select items --expand", "https://api.example.com/orders"),
    (
        "A cursor goes where {{next}} stands; page 1 leaves it out",
        "%%fastreq hits --pages next_cursor",
        "https://api.example.com/search?q=lamp&cursor={{next}}",
    ),
    ("Values made on the fly", "%%fastreq", "https://api.example.com/x?id={{$uuid}}&t={{$timestamp}}&n={{$randomInt 1 6}}"),
)
"""Title, magic line and cell of each example."""

_RULES = """\
{{ x }} looks x up in the row, the cell's variables, the notebook; {{ a.b }}, {{ a[0] }}, {{ row["a b"] }} go on from there.
Nothing is evaluated. In a path or query values are percent-encoded ({{+x}} keeps reserved characters), in JSON text they are
escaped. Missing values (NaN, None) are null in JSON and an error row elsewhere. \\{{ is a literal {{, \\[ a literal [.
--each SOURCE     a name or, in quotes, an expression: --each "orders.head(10)"; --each url=links names the element
Options take {{ }} too: -c {{n}}.  --save-to DIR names files by URL, --save-to "img/{{ sku }}.jpg" by a value.
"""


_GROUPS = ("Requests", "Speed", "Failures", "Results", "Transport")


def help_text(topic: str = "") -> str:
    """Return the help of the magics, made from the table of options.

    Args:
        topic: A flag or an option's name, for that one alone; else words, for all options that speak of one of them.
    """
    if topic:
        return _help_about(topic)
    groups: dict[str, list[Option]] = {title: [] for title in _GROUPS}
    for row in TABLE.values():
        if "magic" in row.doors:
            groups.setdefault(row.group, []).append(row)
    lines = [_USAGE]
    for title, rows in groups.items():
        lines.append(f"{title}:")
        for row in rows:
            lines += _option_lines(row)
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _help_about(topic: str) -> str:
    rows = [row for row in TABLE.values() if "magic" in row.doors]
    named = [row for row in rows if topic in (row.name, row.long_flag, *row.flags, *row.switches)]
    words = topic.lower().split()
    rows = named or [row for row in rows if any(word in " ".join([row.group, *_option_lines(row)]).lower() for word in words)]
    if not rows:
        return f"no option speaks of {topic!r}: %fastreq --help lists all\n"
    return "\n".join(line for row in rows for line in _option_lines(row)) + "\n"


def examples_text() -> str:
    """Return the grammar of a cell, by example."""
    blocks = [f"# {title}\n{line}\n{cell}\n" for title, line, cell in EXAMPLES]
    return "\n".join(blocks) + "\n" + _RULES


def _option_lines(row: Option) -> list[str]:
    """Return the lines of one option: its flags, what it does, and below its range and default."""
    with_value = [flag for flag in (*row.flags, row.long_flag) if flag not in row.switches]
    flags = [f"{', '.join(sorted(with_value, key=len))} {row.metavar}"] if with_value and not _only_switch(row) else []
    optional = row.long_flag in row.switches and row.metavar != "VALUE"
    flags += [f"{flag} [{row.metavar}]" if optional and flag == row.long_flag else flag for flag in row.switches]
    default = "" if row.default in (None, False, ()) else f" [{row.default_text}]"
    wrapped = wrap(f"{row.help}{default}", 78)
    wrapped += [] if _only_switch(row) else wrap(f"({row.allowed})", 78)
    head = f"  {', '.join(flags)}"
    return [head] + [f"          {line}" for line in wrapped]


def _only_switch(row: Option) -> bool:
    return bool(row.switches) and not row.flags and row.allowed == "True or False"
