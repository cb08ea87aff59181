"""Short ways to read a cell in tests."""

from __future__ import annotations

from dataclasses import replace

from fastreq_jupyter.cell.fill.dynamic import Surroundings
from fastreq_jupyter.cell.plan import build
from fastreq_jupyter.cell.rows import EachSpec, Source
from fastreq_jupyter.model import Outcome, Response
from fastreq_jupyter.options import Options

ENVIRON = {"TOKEN": "s3cret-token", "USER": "ada", "NAME": "Zo\u00eb \u20ac"}
FIXED = replace(
    Surroundings(),
    environ=lambda: ENVIRON,
    dotenv=lambda: {"FILE_KEY": "from-dotenv"},
    secret={"RING": "from-keyring"}.get,
    now=lambda: 1_700_000_000.9,
    randint=lambda low, high: high,
    uuid4=iter(f"uuid-{n}" for n in range(10**6)).__next__,
)


def plan(text, *, each=(), namespace=None, base_url=None, given=(), first_line=1, environ=None, **options):
    """Build a cell; `each` is pairs of text and value."""
    sources = [Source(EachSpec.parse(one), value) for one, value in each]
    surroundings = FIXED if environ is None else replace(FIXED, environ=lambda: environ)
    return build(
        text, options=Options.of(**options), namespace=namespace or {}, sources=sources, base_url=base_url, set_by_user=given,
        first_line=first_line, surroundings=surroundings,
    )  # fmt: skip


def items(text, **more):
    return list(plan(text, **more).items)


def one(text, **more):
    (item,) = items(text, **more)
    return item


def urls(text, **more):
    return [item.url for item in items(text, **more)]


def answer(position, request, data=None, *, status=200, headers=(), error=None):
    return Outcome(position, request, response=Response(status, headers, request.url), data=data, error=error)
