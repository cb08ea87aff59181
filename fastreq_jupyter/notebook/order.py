"""What a magic's line and cell ask for: options looked up, expressions evaluated, the call ready to be launched."""

from __future__ import annotations

from collections import ChainMap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.cell.each.rows import Source
from fastreq_jupyter.cell.line_values import fill_options
from fastreq_jupyter.cell.plan import build_steps
from fastreq_jupyter.client.call import Call, Session, check_options, layered
from fastreq_jupyter.client.plan import outfitted
from fastreq_jupyter.engine.cookies import Jar
from fastreq_jupyter.errors import OptionError
from fastreq_jupyter.model import Plan
from fastreq_jupyter.options import Options
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from fastreq_jupyter.cell.each.rows import EachSpec
    from fastreq_jupyter.cell.line import Line

__all__ = ["Order", "finished", "order_steps"]


@dataclass(frozen=True, slots=True)
class Order:
    """Hold what a cell or line asks for.

    Attributes:
        line: The magic's line, parsed.
        call: What will be launched.
        late_notes: Gives lines that are known after the run.
    """

    line: Line
    call: Call
    late_notes: Callable[[], tuple[str, ...]]


def finished(steps: Generator[None, None, Order]) -> Order:
    """Go through all steps at once."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            order: Order = done.value
            return order


def order_steps(
    line: Line, text: str, *, namespace: Mapping[str, Any], outer: Mapping[str, Any], first_line: int
) -> Generator[None, None, Order]:
    """Make an order step by step, so that a big cell does not freeze the kernel.

    Args:
        line: The magic's line, parsed.
        text: The cell without its first line, or the URL of the line magic.
        namespace: Variables of the notebook.
        outer: Variables of the function that the magic stands in, if any.
        first_line: Number of the text's first line in the cell.

    Raises:
        UsageError: One line.
    """
    names = ChainMap(dict(outer), dict(namespace)) if outer else namespace
    looked_up = {option: _look_up(option, name, names) for option, name in line.lookups.items()}
    session = looked_up.get("session")
    if session is not None and not isinstance(session, Session):
        reason = f"{line.lookups['session']} is a {type(session).__name__}: give a FastRequests object"
        raise OptionError(f"--session {reason}", option="session", reason=reason)
    base = Options.of(layered(session, door="magic"), **{**fill_options(line.options, names), **looked_up})
    check_options(base)
    sources = [Source(spec, _evaluate(spec, namespace, outer)) for spec in line.each]
    base_url = None if session is None else session.home.base_url
    cell = yield from build_steps(
        text, options=base, namespace=names, sources=sources, base_url=base_url, first_line=first_line, given=line.options
    )
    final = Options.of(base, **cell.lifted)
    jar = Jar() if session is None else session.jar
    items = outfitted(cell.items, final, jar=jar, home=None if session is None else session.home, total=cell.total)
    plan = Plan(items, final, name=line.name, total=cell.total, join=cell.join, notes=cell.notes)
    return Order(line, Call(plan, jar, session), cell.late_notes)


def _look_up(option: str, name: str, names: Mapping[str, Any]) -> Any:
    if name in names:
        return names[name]
    if option == "cert":
        return name
    raise OptionError(f"--{option} {name}: no variable of that name in the notebook", option=option)


def _evaluate(spec: EachSpec, namespace: Mapping[str, Any], outer: Mapping[str, Any]) -> Any:
    try:
        # What the user wrote as code on the magic's line, as %timeit does; texts of {{ }} are never evaluated.
        return eval(compile(spec.expression.strip(), "<--each>", "eval"), {**namespace, **outer})  # noqa: S307
    except Exception as error:  # noqa: BLE001 - the user's expression may raise anything
        reason = one_line(f"{spec.text}: {type(error).__name__}: {error}")
        raise OptionError(f"--each {reason}", option="each", reason=reason) from None
