"""The house is built as ARCHITECTURE draws it: imports run down, nothing goes round in a circle, nothing is too long."""

from __future__ import annotations

import ast
import re
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
        foreign: Packages of others; `LIBRARIES` names those that belong to few modules.
    """

    modules: tuple[str, ...]
    on: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()


TABLE = {
    "errors": Room(("errors",)),
    "url": Room(("url",), on=("errors",), foreign=("idna",)),
    "content": Room(("content", "values"), on=("files",)),
    "files": Room(("files",), on=("errors",)),
    "options": Room(("options", "options.*"), on=("errors",), foreign=("jmespath",)),
    "redact": Room(("redact",), on=("url", "content", "options")),
    "model": Room(("model", "exchange"), on=("redact",)),
    "policy": Room(("policy", "policy.*"), on=("model",)),
    "backends": Room(("backends", "backends.*"), on=("policy",)),
    "auth": Room(("auth", "auth.*"), on=("model",)),
    "engine": Room(
        ("engine", "engine.*"), on=("backends", "auth"), foreign=("brotli", "msgspec", "backports", "compression", "publicsuffixlist")
    ),
    "journal": Room(("journal", "journal.*"), on=("engine",), foreign=("filelock",)),
    "cell": Room(("cell", "cell.*"), on=("auth",), foreign=("dotenv", "keyring", "google")),
    "frame": Room(("frame", "frame.*"), on=("model",), foreign=("pandas", "numpy", "pyarrow", "polars", "filelock")),
    "picture": Room(("picture", "picture.*"), on=("model",)),
    "bridge": Room(("bridge",), on=("errors",), foreign=("nest_asyncio2",)),
    "client": Room(("client", "client.*"), on=("engine", "cell", "frame", "journal", "picture", "bridge")),
    "notebook": Room(("notebook", "notebook.*"), on=("client",), foreign=("IPython", "traitlets", "ipywidgets", "anywidget", "ipykernel")),
    # what puts df.fastreq onto pandas
    "": Room(("",), on=("notebook",), foreign=("pandas",)),
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
    # the tables that dry_run and %fastreq cache give back
    "client.partition": ("pandas", "filelock"),
    "client.tables": ("pandas",),
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


def door_to(target: str, module: str) -> str:
    """What a module imports to get at the target: the outermost folder that it is not itself in, or the file."""
    parts = target.split(".")
    folders = (".".join(parts[:depth]) for depth in range(1, len(parts)))
    return next((folder for folder in folders if folder != module and not module.startswith(f"{folder}.")), target)


def may_import(module: str, target: str) -> bool:
    name, other = room_of(module)[0], room_of(target)[0]
    return (name == other or other in beneath(name)) and door_to(target, module) == target


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


@pytest.mark.parametrize("folder", [module for module, path in MODULES.items() if path.name == "__init__.py"])
def test_a_folder_says_in_a_sentence_what_it_is_and_what_it_offers(folder):
    tree = ast.parse(MODULES[folder].read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert folder == "demo" or any(isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__" for node in tree.body)


def test_the_root_has_few_modules_and_folders():
    assert len([path for path in PACKAGE.glob("*.py") if path.name != "__init__.py"]) <= 9
    assert len(list(PACKAGE.glob("*/__init__.py"))) <= 12


HEAVY = ("IPython", "pandas", "numpy", "ipywidgets", "anywidget", "niquests", "aiohttp", "requests", "urllib3", "nest_asyncio2")


def test_importing_the_package_loads_nothing_heavy():
    code = f"import sys, {NAME}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240)
    assert done.stdout.split() == []


def test_the_table_itself_knows_up_from_down():
    assert may_import("engine.run", "model")
    assert not may_import("model", "engine.run")
    assert may_import("engine.run", "backends")
    assert not may_import("engine.run", "backends.aiohttp")
    assert not may_import("engine.run", "options.quantity")
    assert not may_import("engine.run", "frame")
    assert not may_import("client.call", "engine.run")
    assert not may_import("notebook.display", "notebook.form.panel")
    assert may_import("notebook.display", "notebook.form")
    assert not may_import("cell.grammar", "policy.retry")
    assert not may_use("model", "pandas")
    assert not may_use("backends.aiohttp", "requests")


# A class is a thing: what functions do, in the imperative, is not what it is.
IMPERATIVES = (
    "Account|Ask|Be|Bound|Bring|Build|Check|Count|Decide|Describe|Draw|Dress|Fill|Find|Follow|Give|Guard|Hold|Keep|Know|Look|Make|Name"
    "|Own|Put|Queue|Read|Remember|Report|Resolve|Run|Search|Send|Serve|Show|Stand|Start|Take|Tell|Turn|Undo|Warn|Watch|Write"
)


@pytest.mark.parametrize("module", MODULES)
def test_a_class_says_what_it_is(module):
    classes = [node for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))) if isinstance(node, ast.ClassDef)]
    documented = {node.name: doc for node in classes if (doc := ast.get_docstring(node))}
    assert not [name for name, doc in documented.items() if re.match(rf"({IMPERATIVES})\b", doc)]
    assert all(node.name.startswith("_") or node.name in documented for node in classes)


@pytest.mark.parametrize("module", MODULES)
def test_what_is_silenced_has_a_reason(module):
    lines = MODULES[module].read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if re.search(r"# noqa(: [A-Z0-9, ]+)?$|# type: ignore(\[[a-z, -]+\])?$", line)]
