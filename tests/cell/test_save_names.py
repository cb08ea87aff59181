"""File names for save_to."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples.cells import items, one

from fastreq_jupyter.cell.save_names import file_name_of, safe_segment
from fastreq_jupyter.errors import CellSyntaxError


def test_a_template_names_a_file_by_row():
    found = items("http://h/{{sku}}", each=[("t", [{"sku": "a"}, {"sku": "b"}])], save_to="img/{{sku}}.jpg")
    assert [item.save_as for item in found] == ["img/a.jpg", "img/b.jpg"]


@pytest.mark.parametrize("value", ["../../etc/passwd", "/etc/passwd", "..", ".", "a\\b", "C:\\x", "a\0b", "con", "x" * 5000, "~"])
def test_a_value_never_leaves_its_directory(value):
    path = PurePosixPath(one("http://h/{{v}}x", each=[("v=values", [value])], save_to="img/{{v}}").save_as)
    assert path.parts[0] == "img"
    assert len(path.parts) == 2
    assert ".." not in path.parts
    assert len(path.name.encode()) <= 255


def test_equal_names_are_refused_beforehand_whatever_their_case():
    with pytest.raises(CellSyntaxError, match="both be saved"):
        items("http://h/{{v}}", each=[("v=values", ["a", "b", "A"])], save_to="{{v}}.txt")


def test_several_requests_for_one_name_are_refused():
    with pytest.raises(CellSyntaxError, match="both be saved"):
        items("http://h/1/{{v}}\nhttp://h/2/{{v}}", each=[("v=values", ["a"])], save_to="{{v}}.txt")


def test_a_missing_name_is_an_error_row():
    _, second = items("http://h/x{{index}}", each=[("v=values", ["a", None])], save_to="{{v}}.txt")
    assert second.error == "invalid value"


def test_an_answer_cannot_name_a_file():
    with pytest.raises(CellSyntaxError, match="answer"):
        items("# @name a\nhttp://h/1\nhttp://h/{{a.data}}", save_to="{{a.data}}")


def test_a_directory_is_left_to_others():
    assert one("http://h/x", save_to="img").save_as is None


@pytest.mark.parametrize(
    ("url", "name"),
    [("http://h/a/b.jpg", "b.jpg"), ("http://h/", "index"), ("http://h/a/b.jpg?w=1", "b_w=1.jpg"), ("http://h/%2e%2e%2f", "___")],
)
def test_the_url_names_a_file(url, name):
    assert file_name_of(url) == name or (name == "___" and "/" not in file_name_of(url))


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8")))
def test_a_segment_is_always_one_harmless_name(text):
    name = safe_segment(text)
    assert name
    assert name not in (".", "..")
    assert not set(name) & set('/\\\0\n:*?"<>|')
    assert len(name.encode()) <= 201
