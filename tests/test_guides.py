"""What the guides in docs show is true: their code runs, from top to bottom, and their links lead somewhere."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from serving.kernel import Kernel

DOCS = Path(__file__).parents[1] / "docs"
GUIDES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md"))}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CODE = {name: [code for language, code in BLOCK.findall(text) if language == "python"] for name, text in GUIDES.items()}


@pytest.mark.parametrize("name", GUIDES)
def test_every_block_is_either_run_or_a_command_line(name):
    assert {language for language, _ in BLOCK.findall(GUIDES[name])} <= {"python", "console"}


@pytest.mark.parametrize("name", GUIDES)
def test_what_it_links_to_is_there(name):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", GUIDES[name])
    assert not [link for link in links if not (DOCS / link).exists()]


def test_the_index_leads_to_every_guide():
    assert set(GUIDES) - {"index"} <= set(re.findall(r"\]\(([\w-]+)\.md\)", GUIDES["index"]))


@pytest.mark.kernel
@pytest.mark.slow
def test_every_block_of_every_guide_runs(tmp_path):
    with Kernel(sys.executable) as kernel:
        for name, blocks in CODE.items():
            folder = tmp_path / name
            folder.mkdir()
            # The reset takes __spec__ away, too, which multiprocessing asks the main module for.
            kernel.run(f"%reset -f\nimport os; os.chdir({str(folder)!r}); __spec__ = None").good()
            for code in blocks:
                ran = kernel.run(code, timeout=240)
                assert ran.error is None, f"{name}\n{code}\n{ran.error}\n{ran.text}"
