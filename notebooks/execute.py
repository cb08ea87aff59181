"""Run a notebook in a real kernel, print what its cells show, leave an HTML page.

Usage: python notebooks/execute.py NOTEBOOK FOLDER
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter

TIMEOUT = 300
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def execute(notebook: Path) -> tuple[Any, str | None]:
    """Return the notebook with outputs, and the message of the cell that failed or None."""
    book = nbformat.read(notebook, as_version=4)
    where = {"metadata": {"path": str(notebook.parent)}}
    for chances in (2, 1, 0):
        client = NotebookClient(book, timeout=TIMEOUT, kernel_name="python3", resources=where, extra_arguments=["--log-level=ERROR"])
        try:
            client.execute()
        except CellExecutionError as error:
            return book, ANSI.sub("", str(error))
        except RuntimeError:
            # A kernel that never began: its ports were found free and then taken by another process.
            if not chances or any(cell.get("execution_count") for cell in book.cells):
                raise
        else:
            break
    return book, None


def text_of(output: Any) -> str:
    """Return what a terminal can show of an output: printed text, or the plain text of a result."""
    if output.output_type == "stream":
        return output.text
    plain = output.get("data", {}).get("text/plain", "")
    return "" if plain.startswith(("<Figure", "<Axes", "<Monitor")) else plain


def main(notebook: Path, folder: Path) -> int:
    """Execute, print, export; 0 when every cell ran."""
    start = time.monotonic()
    book, failure = execute(notebook)
    for cell in book.cells:
        shown = "\n".join(text.rstrip() for output in cell.get("outputs", ()) if (text := text_of(output)).strip())
        if cell.cell_type == "code" and shown:
            asked = cell.source.strip().splitlines()
            print(f"\n> {asked[0]}" + (" ..." if len(asked) > 1 else ""), shown, sep="\n")
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"{notebook.stem}.html"
    page.write_text(HTMLExporter().from_notebook_node(book)[0], encoding="utf-8")
    print(f"\n{notebook} ran in {time.monotonic() - start:.1f} s in a real kernel; open {page} to see it with its pictures")
    if failure:
        print(failure, file=sys.stderr)
    return 1 if failure else 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2])))
