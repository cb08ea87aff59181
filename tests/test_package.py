"""What is built and installed holds what it needs; the house's commands say what they miss."""

import itertools
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import metadata
from pathlib import Path

import pytest

import fastreq_jupyter

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build a wheel from the tracked files and the bundle as it lies here."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "fastreq_jupyter", source / "fastreq_jupyter", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--quiet", "--no-deps", "--wheel-dir", str(out), str(source)]
    subprocess.run(command, check=True, timeout=240)
    with zipfile.ZipFile(next(out.glob("*.whl"))) as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["py.typed", "notebook/static/monitor.js", "notebook/static/monitor.css", "notebook/static/form.js", "demo/__init__.py"]
)
def test_the_wheel_holds(wheel, name):
    assert f"fastreq_jupyter/{name}" in wheel.namelist()


@pytest.mark.slow
def test_the_wheel_holds_nothing_but_the_package(wheel):
    folders = {name.split("/", maxsplit=1)[0] for name in wheel.namelist()}
    assert folders == {"fastreq_jupyter", f"fastreq_jupyter-{metadata('fastreq-jupyter')['Version']}.dist-info"}


@pytest.mark.slow
def test_the_wheel_holds_its_licence(wheel):
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


# Packages that come with one that is declared, by that one's own promise.
COME_ALONG = {
    "numpy": "pandas",
    "traitlets": "ipython",
    "yarl": "aiohttp",
    "multidict": "aiohttp",
    "python_socks": "aiohttp-socks",
    "urllib3": "requests",
}
NAMED_OTHERWISE = {"dotenv": "python-dotenv"}
# Looked for and done without.
OPTIONAL = {"google", "IPython", "ipykernel", "certifi", "compression"}


def test_every_library_that_is_imported_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    names = {re.match(r"[\w-]+", line)[0].replace("-", "_") for line in declared}
    imported = set()
    for path in (ROOT / "fastreq_jupyter").rglob("*.py"):
        for found in re.finditer(r"^ *(?:from|import) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            imported.add(found[1])
    foreign = imported - set(sys.stdlib_module_names) - {"fastreq_jupyter"} - OPTIONAL
    wanted = {(NAMED_OTHERWISE | COME_ALONG).get(name, name).replace("-", "_") for name in foreign}
    assert wanted <= names


def test_each_public_name_exists():
    assert fastreq_jupyter.__all__
    assert [name for name in fastreq_jupyter.__all__ if not hasattr(fastreq_jupyter, name)] == []


@pytest.fixture
def bare(tmp_path):
    """Give a copy of what make reads, and a PATH with the plainest tools only."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "js").mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / "js" / name, tmp_path / "js")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "make", "find", "mkdir", "touch", "rm", "id", "echo"):
        (tools / name).symlink_to(shutil.which(name))
    return tmp_path


def make(folder, *arguments):
    """Run make with the tools of the folder only; return its exit status and the lines it wrote."""
    environment = {"PATH": str(folder / "tools"), "HOME": os.environ.get("HOME", "/"), "LC_ALL": "C"}
    done = subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=240,
    )
    return done.returncode, done.stdout.splitlines()


def tool(folder, name, script):
    path = folder / "tools" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_missing_node_is_one_line_that_says_what_to_install(bare):
    status, lines = make(bare, "demo")
    assert status
    assert len(lines) == 1
    assert "Node.js 20 or newer is missing: install it" in lines[0]


def test_an_old_node_is_a_missing_one(bare):
    tool(bare, "node", "exit 1")
    assert "Node.js 20 or newer" in make(bare, "demo")[1][0]


def test_a_missing_npm_is_one_line_that_says_what_to_install(bare):
    tool(bare, "node", "exit 0")
    status, lines = make(bare, "test")
    assert status
    assert len(lines) == 1
    assert "npm is missing: install it" in lines[0]


@pytest.mark.parametrize("script", [None, "exit 1"], ids=["none", "too old"])
def test_a_missing_python_is_one_line_that_says_what_to_install(bare, script):
    if script:
        tool(bare, "python3", script)
    status, lines = make(bare, ".venv/bin/python")
    assert status
    assert len(lines) == 1
    assert "Python 3.11 or newer with venv is missing: install it" in lines[0]


def test_the_first_python_that_fits_is_taken(bare):
    tool(bare, "python3", "exit 1")
    tool(bare, "python3.12", "exit 0")
    assert "setting up: virtual environment .venv (python3.12)" in make(bare, ".venv/bin/python")[1]


def test_a_named_python_is_taken(bare):
    tool(bare, "mine", "exit 0")
    tool(bare, "python3", "exit 0")
    assert "setting up: virtual environment .venv (mine)" in make(bare, ".venv/bin/python", "PYTHON=mine")[1]
