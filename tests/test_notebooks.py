"""Every notebook runs from top to bottom in a real kernel, offline, and is stored without outputs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


@each_notebook
def test_it_is_stored_without_outputs_and_traces_of_a_machine(notebook):
    book = nbformat.read(notebook, as_version=4)
    nbformat.validate(book)
    assert set(book.metadata) <= {"kernelspec", "language_info"}
    for cell in book.cells:
        assert not cell.metadata
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


@each_notebook
def test_its_first_cell_of_code_starts_the_demo_server(notebook):
    book = nbformat.read(notebook, as_version=4)
    first = next(cell for cell in book.cells if cell.cell_type == "code")
    assert "demo.start()" in first.source


@pytest.mark.kernel
@pytest.mark.slow
@each_notebook
def test_it_runs_and_leaves_a_page(notebook, tmp_path):
    command = [sys.executable, str(ROOT / "notebooks" / "execute.py"), str(notebook), str(tmp_path)]
    few = {**os.environ, "FASTREQ_NOTEBOOK_REQUESTS": "1000"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=few)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout + done.stderr
    assert (tmp_path / f"{notebook.stem}.html").stat().st_size > 100_000
    if notebook == NOTEBOOKS[0]:
        # What make demo prints: the closing line and the table.
        assert re.search(r"^orders: 600 of 600 ok, .*\d s, .*B$", done.stdout, re.MULTILINE)
        assert re.search(r"^ *customer_id +total +status +elapsed_ms", done.stdout, re.MULTILINE)


@pytest.mark.kernel
@pytest.mark.slow
def test_a_failing_notebook_is_told(tmp_path):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    nbformat.write(book, tmp_path / "wrong.ipynb")
    command = [sys.executable, str(ROOT / "notebooks" / "execute.py"), str(tmp_path / "wrong.ipynb"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert (tmp_path / "wrong.html").exists()
