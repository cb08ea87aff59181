"""What a magic's line and cell ask for: options looked up, expressions evaluated, the call ready to be launched."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.cell import Source, build, fill_options
from fastreq_jupyter.client.call import Call, Session, check_options, layered
from fastreq_jupyter.client.plan import outfitted
from fastreq_jupyter.engine.cookies import Jar
from fastreq_jupyter.errors import OptionError
from fastreq_jupyter.model import Plan
from fastreq_jupyter.options import Options
from fastreq_jupyter.redact import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastreq_jupyter.cell import EachSpec, Line

__all__ = ["Draft", "Order", "draft"]

LARGE_TEXT = 100_000
"""Characters of a cell that are read in some 50 ms."""
LARGE_TABLE = 20_000
"""Rows of ``--each`` whose values are looked at in about that time."""


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


@dataclass(frozen=True, slots=True)
class Draft:
    """A magic's line with all that is looked up and evaluated for it, before its cell is read.

    Attributes:
        line: The magic's line, parsed.
        text: The cell without its first line, or the URL of the line magic.
        first_line: Number of the text's first line in the cell.
        options: What the line, the session and %config say.
        names: Variables that the text may use.
        sources: What ``--each`` named, with values.
        session: A `FastRequests`, or None.
    """

    line: Line
    text: str
    first_line: int
    options: Options
    names: Mapping[str, Any]
    sources: tuple[Source, ...]
    session: Session | None

    @property
    def large(self) -> bool:
        """Tell whether reading it takes long enough to be done beside the loop; iterators stay with the thread they belong to."""
        sizes = [len(source.value) for source in self.sources if isinstance(source.value, Sized)]
        return len(sizes) == len(self.sources) and (len(self.text) > LARGE_TEXT or sum(sizes) > LARGE_TABLE)

    def order(self) -> Order:
        """Read the cell and return what is to be launched.

        Raises:
            UsageError: One line.
        """
        session = self.session
        cell = build(
            self.text, options=self.options, namespace=self.names, sources=self.sources,
            base_url=None if session is None else session.home.base_url, first_line=self.first_line, given=self.line.options,
        )  # fmt: skip
        final = Options.of(self.options, **cell.lifted)
        jar = Jar() if session is None else session.jar
        items = outfitted(cell.items, final, jar=jar, home=None if session is None else session.home, total=cell.total)
        plan = Plan(items, final, name=self.line.name, total=cell.total, join=cell.join, notes=cell.notes)
        return Order(self.line, Call(plan, jar, session), cell.late_notes)


def draft(line: Line, text: str, *, namespace: Mapping[str, Any], outer: Mapping[str, Any], first_line: int) -> Draft:
    """Look up and evaluate what a magic's line names.

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
    return Draft(line, text, first_line, base, names, tuple(sources), session)


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
