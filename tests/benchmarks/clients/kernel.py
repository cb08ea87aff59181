"""Another client within an ipykernel, in a cell, as in a notebook: kernel.py CLIENT.py ARGUMENTS ..."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from serving.kernel import Kernel  # noqa: E402 - beside the tests

CELL = """
import sys
sys.path.insert(0, {here!r})
from measure import sample
from {client} import run
await sample(run, {arguments!r})
"""

if __name__ == "__main__":
    with Kernel(sys.executable) as kernel:
        code = CELL.format(here=str(HERE), client=Path(sys.argv[1]).stem, arguments=sys.argv[2:])
        print(kernel.run(code, timeout=500).good().text.splitlines()[-1])
