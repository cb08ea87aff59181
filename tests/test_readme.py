"""What README.md shows is true: its code runs, its lists are those of the code."""

import re
import sys
from pathlib import Path

import pytest
import readme_parts
from serving.kernel import Kernel

TEXT = readme_parts.README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
LINKS = re.findall(r"\]\((?!https?:)([^)#]+)", TEXT)


def test_the_made_parts_are_those_of_the_code():
    assert readme_parts.rewritten(TEXT) == TEXT, "make docs"


def test_a_made_part_that_is_behind_is_noticed():
    behind = TEXT.replace("`concurrency`", "`parallel`", 1)
    assert behind != TEXT
    assert readme_parts.rewritten(behind) == TEXT


def test_every_block_is_either_run_or_a_command_line():
    assert {language for language, _ in BLOCKS} <= {"python", "console"}


def test_what_it_links_to_is_there():
    assert not [link for link in LINKS if not Path(readme_parts.README.parent, link).exists()]


def test_every_promise_names_the_test_that_holds_it():
    promises = re.findall(r"\[(test_\w+)\]\(([^)]+)\)", TEXT)
    assert promises
    assert not [name for name, path in promises if f"def {name}(" not in Path(readme_parts.README.parent, path).read_text(encoding="utf-8")]


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


def test_the_types_of_arguments_are_those_of_the_table():
    text = readme_parts.ARGUMENTS.read_text(encoding="utf-8")
    assert readme_parts.rewritten(text) == text, "make docs"
