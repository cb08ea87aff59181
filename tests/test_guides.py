"""What the guides in docs show is true: their code runs, their links lead somewhere."""

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


@pytest.mark.kernel
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, blocks in CODE.items() if blocks])
def test_its_code_runs_in_one_kernel_from_top_to_bottom(name, tmp_path):
    with Kernel(sys.executable) as kernel:
        assert kernel.run(f"%cd -q {tmp_path}").error is None
        for code in CODE[name]:
            ran = kernel.run(code, timeout=240)
            assert ran.error is None, f"{code}\n{ran.error}\n{ran.text}"
