"""What README.md shows is true: its code runs, its lists are those of the code."""

import re
import sys
from pathlib import Path

import pytest
import readme_parts
from serving.kernel import Kernel

TEXT = readme_parts.README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
PROMISES = readme_parts.README.parent / "docs" / "promises.md"
LINKS = re.findall(r"\]\((?!https?:)([^)#]+)", TEXT)


@pytest.mark.parametrize("path", readme_parts.FILES, ids=lambda path: path.name)
def test_the_made_parts_are_those_of_the_code(path):
    text = path.read_text(encoding="utf-8")
    assert readme_parts.MARK.search(text)
    assert readme_parts.rewritten(text) == text, "make docs"


def test_a_made_part_that_is_behind_is_noticed():
    text = readme_parts.REFERENCE.read_text(encoding="utf-8")
    behind = text.replace("`concurrency`", "`parallel`", 1)
    assert behind != text
    assert readme_parts.rewritten(behind) == text


def test_it_fits_one_page_that_leads_on():
    assert len(TEXT.splitlines()) <= 300


def test_every_block_is_either_run_or_a_command_line():
    assert {language for language, _ in BLOCKS} <= {"python", "console"}


def test_what_it_links_to_is_there():
    assert not [link for link in LINKS if not Path(readme_parts.README.parent, link).exists()]


def test_every_promise_names_the_test_that_holds_it():
    promises = re.findall(r"\[(test_\w+)\]\(([^)]+)\)", PROMISES.read_text(encoding="utf-8"))
    assert promises
    assert not [name for name, path in promises if f"def {name}(" not in Path(PROMISES.parent, path).read_text(encoding="utf-8")]


def test_it_opens_with_the_two_commands():
    assert [line.split("#")[0].strip() for line in BLOCKS[0][1].splitlines()] == ["make demo", "make test"]


@pytest.mark.kernel
@pytest.mark.slow
def test_every_block_of_code_runs_in_one_kernel_from_top_to_bottom(tmp_path):
    with Kernel(sys.executable) as kernel:
        kernel.run(f"import os; os.chdir({str(tmp_path)!r})").good()
        for language, code in BLOCKS:
            if language == "python":
                ran = kernel.run(code, timeout=240)
                assert ran.error is None, f"{code}\n{ran.error}\n{ran.text}"
