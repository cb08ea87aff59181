"""The guides in docs/ are true: their code runs, from top to bottom, each in its own folder."""

import re
import sys
from pathlib import Path

import pytest
from serving.kernel import Kernel

GUIDES = sorted(path for path in (Path(__file__).parents[1] / "docs").glob("*.md") if "```python" in path.read_text(encoding="utf-8"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.kernel
@pytest.mark.slow
def test_every_block_of_every_guide_runs(tmp_path):
    assert GUIDES
    with Kernel(sys.executable) as kernel:
        for guide in GUIDES:
            folder = tmp_path / guide.stem
            folder.mkdir()
            kernel.run(f"%reset -f\nimport os; os.chdir({str(folder)!r})").good()
            for code in BLOCK.findall(guide.read_text(encoding="utf-8")):
                ran = kernel.run(code, timeout=120)
                assert ran.error is None, f"{guide.name}\n{code}\n{ran.error}\n{ran.text}"
