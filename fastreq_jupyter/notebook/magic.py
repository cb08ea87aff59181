"""The magics: ``%fastreq`` and ``%%fastreq``. What they do stands elsewhere; here IPython is told about it."""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from IPython.core.magic import Magics, line_cell_magic, magics_class, needs_local_scope, no_var_expand

from fastreq_jupyter.bridge import beside, start
from fastreq_jupyter.bridge import shell as running_shell
from fastreq_jupyter.cell import examples_text, help_text, parse_line, read_har, secrets_of, split_line, to_http
from fastreq_jupyter.client import cached_answers, clear_cache, run_awaiting, run_blocking, settings_with
from fastreq_jupyter.errors import JournalError, OptionError, UsageError
from fastreq_jupyter.notebook.columns import tell_missing
from fastreq_jupyter.notebook.complete import register, unregister
from fastreq_jupyter.notebook.config import forget_wrong_settings, option_traits, settings
from fastreq_jupyter.notebook.order import Draft, Order, deliver, deliver_background, deliver_preview, draft, in_one_line
from fastreq_jupyter.options import TABLE, show_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType

    from fastreq_jupyter.cell import Recorded

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


class _Result(NamedTuple):
    """What a magic returns; it may be None."""

    value: Any


class _Fastreq(Magics):
    """Many HTTP requests from a cell; the traits are defaults for cells, functions, `df.fastreq` and the panel."""

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def fastreq(self, line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None) -> Any:
        """Send HTTP requests."""
        try:
            asked, quiet = self._read(line, cell, local_ns)
            if isinstance(asked, Draft):
                order = asked.order()
                asked = self._at_once(order) or _Result(deliver(order, *run_blocking(order.call), self._variables))
        except (UsageError, JournalError) as error:
            raise in_one_line(error) from None
        return None if quiet else asked.value

    async def awaited(self, line: str, cell: str | None = None) -> Any:
        """Do as the magic, natively awaited; a cell at top level is rewritten to this."""
        try:
            asked, quiet = self._read(line, cell, None)
            if isinstance(asked, Draft):
                order = await beside(asked.order) if asked.large else asked.order()
                asked = self._at_once(order) or _Result(deliver(order, *await run_awaiting(order.call), self._variables))
        except (UsageError, JournalError) as error:
            raise in_one_line(error) from None
        return None if quiet else asked.value

    @property
    def _variables(self) -> dict[str, Any]:
        variables: dict[str, Any] = self.shell.user_ns  # type: ignore[union-attr]  # magics live in a shell
        return variables

    def _read(self, line: str, cell: str | None, local_ns: Mapping[str, Any] | None) -> tuple[Draft | _Result, bool]:
        """Return what is asked for, or what a line without requests gives, and whether it is hidden."""
        if cell is None and (result := _run_command(line)) is not None:
            return result, False
        # A semicolon hides the result, as everywhere in IPython.
        quiet = line.rstrip().endswith(";")
        parsed = parse_line(line.rstrip().removesuffix(";") if quiet else line, cell=cell is not None)
        if parsed.help is not None or parsed.examples:
            print(examples_text() if parsed.help is None else help_text(parsed.help))  # noqa: T201 - this is what was asked for
            return _Result(None), True
        if cell is None and parsed.url is None:
            # Widgets are paid for where they are shown.
            from fastreq_jupyter.notebook.form import Panel  # noqa: PLC0415 - loaded by whoever needs it

            return _Result(Panel()), False
        text, first_line = (cell, 2) if cell is not None else (parsed.url or "", 1)
        namespace = self._variables
        outer = {} if local_ns is None or local_ns is namespace else local_ns
        return draft(parsed, text, namespace=namespace, outer=outer, first_line=first_line), quiet

    def _at_once(self, order: Order) -> _Result | None:
        """Do what does not wait for answers; None where they are waited for."""
        options = order.call.options
        if options.dry_run:
            return _Result(deliver_preview(order.call.plan))
        if options.background:
            deliver_background(start(order.call.launch, loop=options.loop), self._variables)
            return _Result(None)
        return None


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


_HAR_USAGE = "%fastreq har FILE [PATTERN] puts a cell of the file's xhr and fetch requests; PATTERN is a part of the URL, or a glob"
_NO_CREDENTIALS = (
    "the file has no cookies and no Authorization: browsers leave them out unless asked (Export HAR with sensitive data), "
    "so that what needs a login answers 401"
)
_CACHE_USAGE = "%fastreq cache lists what is kept, %fastreq cache clear [PATTERN] takes it out; --cache-file FILE names another one"


def _run_command(text: str) -> _Result | None:
    """Do what a line asks for that sends nothing, a word in place of a URL, and print a line; None where its first word is none."""
    word, _, rest = text.strip().partition(" ")
    command = _COMMANDS.get(word)
    if command is None:
        return None
    line, value = command(split_line(rest))
    print(line)  # noqa: T201 - a magic's line
    return _Result(value)


def _har(words: list[str]) -> tuple[str, Any]:
    if not words or len(words) > 2:
        raise OptionError(_HAR_USAGE)
    recorded = read_har(*words)
    if not recorded.requests:
        fitting = f" whose URL has {words[1]!r}" if len(words) > 1 else ""
        raise UsageError(f"{words[0]} has {recorded.entries:,} entries, but no xhr or fetch request{fitting}")
    running_shell().set_next_input(f"%%fastreq answers\n{to_http(recorded.requests)}".rstrip("\n"))
    return _har_line(recorded), None


def _har_line(recorded: Recorded) -> str:
    parts = [f"{show_count(len(recorded.requests), 'request')} of {recorded.entries:,} entries"]
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


def _cache(words: list[str]) -> tuple[str, Any]:
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
        return line, frame
    if arguments[0] != "clear" or len(arguments) > 2:
        raise OptionError(_CACHE_USAGE)
    return clear_cache(file, *arguments[1:]), None


_COMMANDS: Mapping[str, Callable[[list[str]], tuple[str, Any]]] = {"cache": _cache, "har": _har}
