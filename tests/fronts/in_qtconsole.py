"""A run in qtconsole, which shows no widgets and no updates of outputs; `make fronts` runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastreq_jupyter.demo import DemoServer

SCRIPT = Path(__file__).with_name("qtconsole_page.py")
CELL = "{{base}}/orders/[1-3]\n{{base}}/customers/100000"


def test_it_says_how_a_run_began_and_ended_and_what_failed(fronts_python: str, demo_server: DemoServer, tmp_path: Path):
    cells = [
        f"%load_ext fastreq_jupyter\nbase = {demo_server.url!r}",
        f"%%fastreq orders --retries 5\n{CELL}",
        f"%%fastreq --check\n{CELL}",
    ]
    (tmp_path / "cells.json").write_text(json.dumps(cells))
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "IPYTHONDIR": str(tmp_path / "ipython")}
    command = [fronts_python, str(SCRIPT), str(tmp_path / "cells.json")]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, timeout=300).stdout
    assert re.search(
        r"orders: 4 requests, begun at .* UTC\norders: 3 of 4 ok, http 404 x1, .*\n  p50 .*\n  http 404 x1: Not Found .*\n\nIn \[3\]", shown
    )
    assert shown.rstrip().endswith(".results, .failures and .df hold what arrived\n\nIn [4]:")
