"""The house is built as ARCHITECTURE draws it: imports run down, nothing goes round in a circle, nothing is too long."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "fastreq_jupyter"
NAME = PACKAGE.name
LONGEST_FUNCTION = 40
LONGEST_FILE = 500


@dataclass(frozen=True)
class Room:
    """Modules that may import each other, the rooms of `on` and all that those stand on.

    Attributes:
        door: What other rooms import; without one, any module of the room.
        besides: What else of ours may be imported.
        foreign: Packages of others; `LIBRARIES` names those that belong to few modules.
    """

    modules: tuple[str, ...]
    on: tuple[str, ...] = ()
    door: str | None = None
    besides: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()


TABLE = {
    "errors": Room(("errors",)),
    "url": Room(("url",), on=("errors",), foreign=("idna",)),
    "content": Room(("content", "values", "upload"), on=("errors",)),
    "graphql": Room(("graphql",), on=("errors",)),
    "options": Room(("options", "options.*"), on=("errors",), door="options"),
    # the type of headers, until the head of an answer is bytes
    "redact": Room(("redact",), on=("url", "content", "graphql", "options"), besides=("response",)),
    "files": Room(("files",), on=("redact",)),
    "selection": Room(("selection",), on=("errors",), foreign=("jmespath",)),
    "model": Room(("model", "response", "timing"), on=("redact",)),
    # the type of an exchange, until it is part of model
    "policy": Room(("policy", "policy.*"), on=("model",), besides=("backends.base",)),
    "backends": Room(("backends", "backends.*"), on=("policy",), door="backends.base"),
    "auth": Room(("auth", "auth.*"), on=("model",), door="auth"),
    "engine": Room(
        ("engine", "engine.*"),
        on=("backends", "auth", "files", "selection"),
        foreign=("brotli", "msgspec", "backports", "compression", "publicsuffixlist"),
    ),
    "journal": Room(("journal", "journal.*"), on=("engine",), door="journal", foreign=("filelock",)),
    "cell": Room(("cell", "cell.*"), on=("model", "files"), door="cell", foreign=("dotenv", "keyring", "google")),
    "frame": Room(("frame", "frame.*"), on=("model", "files", "selection"), foreign=("pandas", "numpy", "pyarrow", "polars")),
    "picture": Room(("picture", "picture.*"), on=("model", "files"), door="picture"),
    "bridge": Room(("bridge",), on=("errors",), foreign=("nest_asyncio2",)),
    "client": Room(("client", "client.*"), on=("engine", "cell", "frame", "journal", "picture", "bridge")),
    "notebook": Room(("notebook", "notebook.*"), on=("client",), foreign=("IPython", "traitlets", "ipywidgets", "anywidget", "ipykernel")),
    "": Room(("",), on=("notebook",)),
    "demo": Room(("demo", "demo.*"), foreign=("aiohttp",)),
}
LIBRARIES = {
    "backends.trust": ("certifi",),
    "backends.curl*": ("pycurl",),
    "backends.aiohttp*": ("aiohttp", "yarl", "multidict", "aiohttp_socks"),
    "backends.niquests*": ("niquests",),
    "backends.requests*": ("requests", "urllib3"),
    # imported by whoever asks for CSV or XML
    "engine.reading": ("pandas", "xmltodict"),
    "client.accessor*": ("pandas",),
    # the table that dry_run gives back
    "client.preview": ("pandas",),
}


@dataclass(frozen=True)
class Import:
    """One import statement's target: `module` is dotted, without the package's own name where it is ours."""

    module: str
    ours: bool
    line: int
    for_types: bool
    inside_function: bool


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def room_of(module: str) -> tuple[str, Room]:
    for name, room in TABLE.items():
        if any(fnmatch(module, pattern) for pattern in room.modules):
            return name, room
    pytest.fail(f"{module} stands in no room: put it into TABLE of tests/test_layers.py, where ARCHITECTURE would have it")


def statements(tree: ast.AST, *, for_types=False, inside_function=False):
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, for_types, inside_function
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        yield from statements(node, for_types=for_types or typing_only, inside_function=inside_function or function)


def imports_of(module: str) -> list[Import]:
    found = []
    for node, for_types, inside_function in statements(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}, line {node.lineno}: a relative import"
            children = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [child if child.removeprefix(f"{NAME}.") in MODULES else node.module for child in children]
        else:
            names = [alias.name for alias in node.names]
        for name in dict.fromkeys(names):
            ours = name.split(".")[0] == NAME
            found.append(Import(name.partition(".")[2] if ours else name, ours, node.lineno, for_types, inside_function))
    return found


def beneath(name: str) -> set[str]:
    """Names of the rooms that a room stands on, at any depth."""
    return {lower for direct in TABLE[name].on for lower in (direct, *beneath(direct))}


def may_import(module: str, target: str) -> bool:
    name, room = room_of(module)
    other_name, other = room_of(target)
    if name == other_name or target in room.besides:
        return True
    return other_name in beneath(name) and other.door in (None, target)


def may_use(module: str, foreign: str) -> bool:
    package = foreign.partition(".")[0]
    allowed = room_of(module)[1].foreign + tuple(
        library for pattern, libraries in LIBRARIES.items() if fnmatch(module, pattern) for library in libraries
    )
    return package in sys.stdlib_module_names or package in allowed


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_down(module):
    wrong = [f"line {i.line}: {i.module}" for i in imports_of(module) if i.ours and not may_import(module, i.module)]
    assert not wrong


@pytest.mark.parametrize("module", MODULES)
def test_each_foreign_library_is_known_in_its_room_only(module):
    wrong = [f"line {i.line}: {i.module}" for i in imports_of(module) if not i.ours and not i.for_types and not may_use(module, i.module)]
    assert not wrong


@pytest.mark.slow
def test_no_module_imports_itself_by_a_detour():
    graph = {m: {i.module for i in imports_of(m) if i.ours and not i.for_types and not i.inside_function} for m in MODULES}

    def reached(start):
        seen, todo = set(), list(graph[start])
        while todo:
            module = todo.pop()
            if module not in seen:
                seen.add(module)
                todo += graph.get(module, ())
        return seen

    assert not [module for module in graph if module in reached(module)]


def body_lines(node) -> int:
    """Lines of a function, docstring left out."""
    doc = ast.get_docstring(node, clean=False)
    return node.end_lineno - node.lineno + 1 - (len(doc.splitlines()) if doc else 0)


@pytest.mark.parametrize("module", MODULES)
def test_no_function_is_longer_than_a_screen(module):
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert not {node.name: body_lines(node) for node in functions if body_lines(node) > LONGEST_FUNCTION}


@pytest.mark.parametrize(
    "path",
    sorted([*MODULES.values(), *PACKAGE.parent.glob("js/src/**/*.ts")]),
    ids=lambda path: path.relative_to(PACKAGE.parent).as_posix(),
)
def test_no_file_is_too_long_to_read(path):
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= LONGEST_FILE


HEAVY = ("IPython", "pandas", "numpy", "ipywidgets", "anywidget", "niquests", "aiohttp", "requests", "urllib3", "nest_asyncio2")


def test_importing_the_package_loads_nothing_heavy():
    code = f"import sys, {NAME}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240)
    assert done.stdout.split() == []


def test_the_table_itself_knows_up_from_down():
    assert may_import("engine.run", "model")
    assert not may_import("model", "engine.run")
    assert not may_import("engine.run", "backends.aiohttp")
    assert not may_import("engine.run", "options.quantity")
    assert not may_import("engine.run", "frame.build")
    assert not may_import("cell.grammar", "policy.retry")
    assert not may_use("model", "pandas")
    assert not may_use("backends.aiohttp", "requests")
