"""Help made from the table, examples that work."""

import pandas as pd
import pytest
from samples.cells import FIXED

from fastreq_jupyter.cell.help import EXAMPLES, examples_text, help_text
from fastreq_jupyter.cell.line import parse_line
from fastreq_jupyter.cell.plan import build
from fastreq_jupyter.cell.rows import Source
from fastreq_jupyter.options import TABLE, Options


def test_every_option_of_the_magic_stands_in_the_help():
    text = help_text()
    for row in TABLE.values():
        if "magic" in row.doors:
            for flag in (*row.flags, *row.switches):
                assert f"{flag} " in text.replace(",", " ").replace("\n", " ")


@pytest.mark.parametrize("topic", ["--rate-limit", "rate_limit", "-r"])
def test_help_about_an_option_is_its_lines_alone(topic):
    lines = help_text(topic).splitlines()
    assert lines[0].startswith("  -r, --rate-limit RATE")
    assert [line for line in lines if line.startswith("  -")] == lines[:1]


def test_help_about_a_word_has_the_options_that_speak_of_it():
    text = help_text("retries")
    assert "--max-retries" in text
    assert "--rate-limit RATE" in text
    assert "--columns" not in text
    assert "--cache-file" in help_text("retries cache")
    assert help_text("Speed").count("\n  -") >= 4
    assert help_text("aardvark") == "no option speaks of 'aardvark': %fastreq --help lists all\n"


def test_help_fits_a_notebook_column():
    assert max(map(len, help_text().splitlines())) <= 100
    assert max(map(len, examples_text().splitlines())) <= 130


def test_each_example_can_be_sent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "order.json").write_text("{}")
    namespace = {
        "orders": pd.DataFrame({"sku": ["a"], "order date": pd.to_datetime(["2026-01-02"])}),
        "customers": pd.DataFrame({"name": ["ada"], "age": [36]}),
        "size": 10,
        "ADA": "pw",
        "API_TOKEN": "t",
    }
    from dataclasses import replace

    surroundings = replace(FIXED, environ=lambda: {"API_TOKEN": "t"})
    for _, magic, cell in EXAMPLES:
        line = parse_line(magic.removeprefix("%%fastreq"), cell=True)
        sources = [Source(spec, namespace[spec.expression]) for spec in line.each]
        made = build(cell, options=Options.of(**line.options), namespace=namespace, sources=sources, surroundings=surroundings)
        assert list(made.items)
