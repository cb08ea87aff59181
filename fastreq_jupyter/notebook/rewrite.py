"""Make ``%%fastreq`` and ``%fastreq`` natively awaited: at the top level of a cell their calls become ``await ...``.

IPython has no asynchronous magics. What it makes of a magic, ``get_ipython().run_cell_magic('fastreq', ...)``, is replaced here
by an awaited call, but only where the cell itself is run by IPython's asyncio runner: inside ``%%time``, ``%%capture`` or
``run_cell_magic`` the call stays, and the ordinary synchronous magic of the same name does the work.
"""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = ["awaiting_transformer", "rewrite_calls"]

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


def rewrite_calls(text: str) -> str:
    """Return Python code with the magic's calls awaited where that is possible: at module level, outside functions."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        # IPython itself reports it.
        return text
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    found = sorted(_magic_calls(tree), key=lambda call: (call.lineno, call.col_offset), reverse=True)
    for call in found:
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
            yield child  # type: ignore[misc]
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
    # IPython is there: it called.
    from IPython.core.interactiveshell import InteractiveShell  # noqa: PLC0415

    code = InteractiveShell.run_code.__code__
    # The stack is what tells, whatever events were lost.
    frame: FrameType | None = sys._getframe()  # noqa: SLF001
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame is not None
