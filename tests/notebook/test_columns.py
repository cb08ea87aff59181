"""A column that a frame does not show is told where it is asked for."""

from __future__ import annotations

import pytest

CELL = "frame --expand --progress none"
TOLD = ": with --columns all, or now in .fastreq.all_columns()\n"


@pytest.fixture
def expanded(ipython, demo_server, capsys):
    ipython.run_cell_magic("fastreq", CELL, f"{demo_server.url}/orders/[1-3]")
    capsys.readouterr()
    return ipython


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ('frame["url"]', "url"),
        ("frame.url", "url"),
        ('frame.query("ok")["url"]', "url"),
        ('frame[["id"]].url', "url"),
        ('frame[["id", "url"]]', "url"),
        ('frame[["method", "attempts"]]', "method, attempts"),
    ],
)
def test_a_column_that_is_not_shown_is_told(expanded, capsys, code, names):
    expanded.run_cell(code)
    assert capsys.readouterr().err == names + TOLD


@pytest.mark.parametrize(
    "code", ['frame["nope"]', "frame.nope", '{}["url"]', "object().url", "1 / 0", 'raise KeyError(["url"])', "frame.id"]
)
def test_other_errors_are_left_alone(expanded, capsys, code):
    expanded.run_cell(code)
    assert "--columns" not in "".join(capsys.readouterr())


def test_all_columns_gives_it_without_sending_again(expanded, demo_server):
    expanded.run_cell("whole, part = frame.fastreq.all_columns(), frame[frame.id > 1].fastreq.all_columns()")
    whole, part, frame = (expanded.user_ns[name] for name in ("whole", "part", "frame"))
    assert whole["url"].tolist() == [f"{demo_server.url}/orders/{number}" for number in (1, 2, 3)]
    assert (part["url"].tolist(), part.index.tolist()) == (whole["url"].tolist()[1:], [1, 2])
    assert whole[list(frame)].equals(frame)
    assert whole.fastreq.summary()["run"] == frame.fastreq.summary()["run"]
