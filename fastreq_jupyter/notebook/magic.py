"""The magics: ``%fastreq`` and ``%%fastreq``. What they do stands elsewhere; here IPython is told about it."""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, needs_local_scope, no_var_expand

from fastreq_jupyter.bridge import beside, start
from fastreq_jupyter.cell import MagicLine, examples_text, help_text, parse_line
from fastreq_jupyter.client import run_awaiting, run_blocking, settings_with
from fastreq_jupyter.errors import JournalError, UsageError
from fastreq_jupyter.notebook.columns import tell_missing
from fastreq_jupyter.notebook.commands import run_command
from fastreq_jupyter.notebook.complete import register, unregister
from fastreq_jupyter.notebook.config import forget_wrong_settings, option_traits, settings
from fastreq_jupyter.notebook.order import Draft, Order, deliver, deliver_background, deliver_preview, draft, in_one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType

__all__ = ["GREETING", "Fastreq", "awaiting_transformer", "kernel_warning", "load", "magic_first", "rewrite_calls", "unload"]

_CALLS = ("run_cell_magic", "run_line_magic")
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def awaiting_transformer(shell: Any) -> Callable[[list[str]], list[str]]:
    """Return an entry for ``shell.input_transformers_post``."""

    def transform(lines: list[str]) -> list[str]:
        text = "".join(lines)
        if "_magic('fastreq'" not in text or not _awaits_on_asyncio(shell) or _inside_a_cell():
            return lines
        return rewrite_calls(text).splitlines(keepends=True)

    return transform


def magic_first(lines: list[str]) -> list[str]:
    """Return a cell with ``%%fastreq`` above the comments and blank lines that it begins with: IPython knows it as the first line only."""
    for number, line in enumerate(lines):
        text = line.strip()
        if number and text.startswith("%%fastreq"):
            return [line if line.endswith("\n") else f"{line}\n", *lines[:number], *lines[number + 1 :]]
        if text and not text.startswith("#"):
            break
    return lines


def rewrite_calls(text: str) -> str:
    """Return Python code with the magic's calls awaited where that is possible: at module level, outside functions."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        # IPython itself reports the error.
        return text
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    calls = sorted(_magic_calls(tree), key=lambda call: (call.lineno, call.col_offset), reverse=True)
    for call in calls:
        arguments = ", ".join(ast.unparse(argument) for argument in call.args[1:])
        awaited = f"(await get_ipython().find_line_magic('fastreq').__self__.awaited({arguments}))".encode()
        first, last = call.lineno - 1, (call.end_lineno or call.lineno) - 1
        lines[first : last + 1] = [lines[first][: call.col_offset] + awaited + lines[last][call.end_col_offset :]]
    return b"".join(lines).decode()


def _magic_calls(node: ast.AST) -> Iterator[ast.Call]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _SCOPES):
            continue
        if _is_magic_call(child):
            yield child  # type: ignore[misc] # a call, as has just been asked
        else:
            yield from _magic_calls(child)


def _is_magic_call(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _CALLS
        and isinstance(node.func.value, ast.Call)
        and getattr(node.func.value.func, "id", None) == "get_ipython"
        and bool(node.args)
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value == "fastreq"
    )


def _awaits_on_asyncio(shell: Any) -> bool:
    runner = shell.loop_runner_map.get("asyncio", (None, None))[0]
    return bool(shell.autoawait) and runner is not None and shell.loop_runner is runner and getattr(shell, "trio_runner", None) is None


def _inside_a_cell() -> bool:
    """Tell whether a cell's code is on the stack: then this text is not the cell, but something the cell runs."""
    # IPython calls this, so it is imported.
    from IPython.core.interactiveshell import InteractiveShell  # noqa: PLC0415 - loaded by whoever needs it

    code = InteractiveShell.run_code.__code__
    # The stack is reliable even where events of IPython were missed.
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - the frame of the caller
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame is not None


GREETING = "fastreq is ready: %fastreq --help lists all options, %fastreq --examples shows cells to copy"
_OLDEST_KERNEL = (6, 17)


class _Fastreq(Magics):
    """Many HTTP requests from a cell; the traits are defaults for cells, functions, `df.fastreq` and the panel."""

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def fastreq(self, line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None) -> Any:
        """Send HTTP requests."""
        try:
            if cell is None and (result := run_command(line)) is not None:
                print(result.line)  # noqa: T201 - a magic's line
                return result.value
            parsed, quiet = self._parsed(line, cell)
            if (early := self._without_requests(parsed, cell)) is not None:
                return early.value
            order = self._draft(parsed, cell, local_ns).order()
            return self._hidden(self._carry_out(order), quiet=quiet)
        except (UsageError, JournalError) as error:
            raise in_one_line(error) from None

    async def awaited(self, line: str, cell: str | None = None) -> Any:
        """Do as the magic, natively awaited; a cell at top level is rewritten to this."""
        try:
            if cell is None and (result := run_command(line)) is not None:
                print(result.line)  # noqa: T201 - a magic's line
                return result.value
            parsed, quiet = self._parsed(line, cell)
            if (early := self._without_requests(parsed, cell)) is not None:
                return early.value
            cell_draft = self._draft(parsed, cell, None)
            order = await beside(cell_draft.order) if cell_draft.large else cell_draft.order()
            return self._hidden(await self._carry_out_awaiting(order), quiet=quiet)
        except (UsageError, JournalError) as error:
            raise in_one_line(error) from None

    @property
    def _variables(self) -> dict[str, Any]:
        variables: dict[str, Any] = self.shell.user_ns  # type: ignore[union-attr]  # magics live in a shell
        return variables

    def _parsed(self, line: str, cell: str | None) -> tuple[MagicLine, bool]:
        # A semicolon hides the result, as everywhere in IPython.
        quiet = line.rstrip().endswith(";")
        return parse_line(line.rstrip().removesuffix(";") if quiet else line, cell=cell is not None), quiet

    def _without_requests(self, line: MagicLine, cell: str | None) -> _EarlyResult | None:
        if line.help or line.examples:
            print(help_text() if line.help else examples_text())  # noqa: T201 - this is what was asked for
            return _EarlyResult(None)
        if cell is None and line.url is None:
            return _EarlyResult(_open_panel())
        return None

    def _draft(self, line: MagicLine, cell: str | None, local_ns: Mapping[str, Any] | None) -> Draft:
        text, first_line = (cell, 2) if cell is not None else (line.url or "", 1)
        namespace = self._variables
        outer = {} if local_ns is None or local_ns is namespace else local_ns
        return draft(line, text, namespace=namespace, outer=outer, first_line=first_line)

    def _carry_out(self, order: Order) -> Any:
        early = self._early(order)
        return early.value if early is not None else deliver(order, *run_blocking(order.call), self._variables)

    async def _carry_out_awaiting(self, order: Order) -> Any:
        early = self._early(order)
        return early.value if early is not None else deliver(order, *await run_awaiting(order.call), self._variables)

    def _early(self, order: Order) -> _EarlyResult | None:
        """Do what does not wait for answers."""
        options = order.call.options
        if options.dry_run:
            return _EarlyResult(deliver_preview(order))
        if options.background:
            deliver_background(order, start(order.call.launch, loop=options.loop), self._variables)
            return _EarlyResult(None)
        return None

    @staticmethod
    def _hidden(value: Any, *, quiet: bool) -> Any:
        return None if quiet else value


class _EarlyResult:
    """A result that needed no run; it may be None."""

    def __init__(self, value: Any) -> None:
        self.value = value


# The class has the name that %config shows; its traits come from the table of options.
Fastreq = magics_class(type("Fastreq", (_Fastreq,), {**option_traits(), "__doc__": _Fastreq.__doc__, "__module__": __name__}))


def load(shell: Any) -> None:
    """Register the magics, the rewriting to await, and completion; print one line."""
    unload(shell)
    _Fastreq.fastreq.__doc__ = f"Send HTTP requests.\n\n{help_text()}"
    forget_wrong_settings(shell.config)
    magics = Fastreq(shell)
    shell.register_magics(magics)
    shell.configurables.append(magics)
    settings_with(settings)
    transform = awaiting_transformer(shell)
    shell.input_transformers_post.append(transform)
    completer = getattr(shell, "Completer", None)
    if completer is not None:
        register(completer)
    shell.input_transformers_cleanup.append(magic_first)
    shell.events.register("post_run_cell", tell_missing)
    shell.fastreq_undo = (magics, transform)
    print(_greeting(shell))  # noqa: T201 - the one line that %load_ext prints


def unload(shell: Any) -> None:
    """Take back what `load` did; runs under way go on and can be had by ``last_run()``."""
    undo = shell.__dict__.pop("fastreq_undo", None)
    if undo is None:
        return
    magics, transform = undo
    settings_with(None)
    shell.events.unregister("post_run_cell", tell_missing)
    shell.input_transformers_post[:] = [entry for entry in shell.input_transformers_post if entry is not transform]
    shell.input_transformers_cleanup[:] = [entry for entry in shell.input_transformers_cleanup if entry is not magic_first]
    shell.configurables[:] = [entry for entry in shell.configurables if entry is not magics]
    completer = getattr(shell, "Completer", None)
    if completer is not None:
        unregister(completer)
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("fastreq", None)
    shell.magics_manager.registry.pop("Fastreq", None)


def kernel_warning(version: tuple[Any, ...]) -> str | None:
    """Return the line for an ipykernel that cannot show live panels, None for a good one."""
    if version[:2] == (7, 0):
        return "ipykernel 7.0 cannot update widgets from a thread: pip install -U ipykernel"
    if version[:2] < _OLDEST_KERNEL:
        shown = ".".join(str(part) for part in version[:3])
        return f"ipykernel {shown} is too old for live panels: pip install -U 'ipykernel>=6.17,!=7.0.*'"
    return None


def _greeting(shell: Any) -> str:
    version = getattr(sys.modules.get("ipykernel"), "version_info", None)
    warning = None if version is None or getattr(shell, "kernel", None) is None else kernel_warning(tuple(version))
    return GREETING if warning is None else f"{GREETING}\n{warning}"


def _open_panel() -> Any:
    # Imported here, since widgets are needed where they are shown only.
    from fastreq_jupyter.notebook.form import Panel  # noqa: PLC0415 - loaded by whoever needs it

    return Panel()
