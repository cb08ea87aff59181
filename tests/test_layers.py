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
LONGEST_FILE = 300


@dataclass(frozen=True)
class Room:
    """Modules that may import each other, and all that lies below; `besides` names what else of ours, `foreign` whose packages."""

    layer: int
    modules: tuple[str, ...]
    besides: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()


NOUNS = (
    *("model", "response", "timing", "option", "options", "checks", "quantity", "content", "target"),
    *("redact", "secret_fields", "secret_names", "spelling", "credentials", "interrupt", "arguments", "sealing"),
)
TABLE = {
    "errors": Room(0, ("errors",)),
    "nouns": Room(1, NOUNS, foreign=("idna",)),
    "policy": Room(2, ("policy", "policy.*"), besides=("backends.base",)),
    "cell": Room(2, ("cell", "cell.*"), foreign=("jmespath", "dotenv", "keyring", "google")),
    "backends": Room(2, ("backends", "backends.*"), foreign=("certifi", "h11", "python_socks")),
    "engine": Room(3, ("engine", "engine.*"), foreign=("brotli", "backports", "compression", "publicsuffixlist")),
    "frame": Room(4, ("frame", "columns", "frame_*", "expand", "preview"), foreign=("pandas", "numpy", "pyarrow")),
    "store": Room(4, ("store", "store.*"), foreign=("filelock",)),
    "bridge": Room(4, ("bridge",), foreign=("nest_asyncio2",)),
    "plan": Room(4, ("plan", "elements", "outfit")),
    "client": Room(5, ("client", "call", "results")),
    "picture": Room(4, ("waterfall*", "figure*", "svg"), foreign=("matplotlib",)),
    "accessor": Room(6, ("accessor*", "pandas_hook"), foreign=("pandas",)),
    "notebook": Room(
        6, ("notebook", "notebook.*"), besides=("accessor",), foreign=("IPython", "traitlets", "ipywidgets", "anywidget", "ipykernel")
    ),
    "door": Room(7, ("",)),
    "demo": Room(0, ("demo", "demo_*"), foreign=("aiohttp",)),
}
BACKEND_LIBRARIES = {
    "backends.aiohttp*": ("aiohttp", "yarl", "multidict", "aiohttp_socks"),
    "backends.niquests*": ("niquests", "urllib3", "urllib3_future"),
    "backends.requests*": ("requests", "urllib3"),
}
BACKEND_DOOR = "backends.base"


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


def may_import(module: str, target: str) -> bool:
    name, room = room_of(module)
    other_name, other = room_of(target)
    if other_name == "demo" and name != "demo":
        return False
    if name == "engine" and other_name == "backends":
        return target == BACKEND_DOOR
    return name == other_name or other.layer < room.layer or any(fnmatch(target, pattern) for pattern in room.besides)


def may_use(module: str, foreign: str) -> bool:
    package = foreign.partition(".")[0]
    allowed = room_of(module)[1].foreign + tuple(
        library for pattern, libraries in BACKEND_LIBRARIES.items() if fnmatch(module, pattern) for library in libraries
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
    assert not may_import("cell.grammar", "policy.retry")
    assert not may_use("model", "pandas")
    assert not may_use("backends.aiohttp", "requests")
