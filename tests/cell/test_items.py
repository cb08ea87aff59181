"""The items of a cell: equal ones sent once on demand, counted otherwise; names of the files that answers go to."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples.cells import answer, items, one, plan

from fastreq_jupyter.errors import CellSyntaxError
from fastreq_jupyter.files import file_name_of, safe_segment
from fastreq_jupyter.model import Deferred, Request


def test_equal_safe_requests_wait_for_the_first():
    found = list(plan("http://h/1\nhttp://h/2\nhttp://h/1\nGET http://h/1\nA: b", dedup=True).items)
    assert [type(item) for item in found] == [Request, Request, Deferred, Request]
    assert found[2].needs == (0,)


def test_rows_stay_one_to_one():
    found = list(plan("http://h/{{x}}", each=[("x=v", [1, 1, 2, 1])], dedup=True).items)
    first = answer(0, found[0], {"a": 1})
    copy = found[3].resolve([first])
    assert (copy.position, copy.data, copy.request) == (3, {"a": 1}, found[0])


def test_unsafe_requests_are_never_merged():
    found = list(plan("POST http://h/\n###\nPOST http://h/", dedup=True).items)
    assert all(isinstance(item, Request) for item in found)


def test_what_dedup_would_save_is_told_afterwards():
    made = plan("http://h/1\nhttp://h/1\nhttp://h/1")
    assert made.late_notes() == ()
    list(made.items)
    assert made.late_notes() == ("2 requests were equal to an earlier one: --dedup sends them once",)


def test_one_equal_request_is_told_as_one():
    made = plan("http://h/1\nhttp://h/1")
    list(made.items)
    assert made.late_notes()[0].startswith("1 request was equal")


def test_nothing_is_told_where_dedup_was_on():
    made = plan("http://h/1\nhttp://h/1", dedup=True)
    list(made.items)
    assert made.late_notes() == ()


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


def test_what_is_wrong_with_a_template_names_the_option():
    with pytest.raises(CellSyntaxError, match=r"line 1, column 1: save_to: \{\{nope\}\}: nothing"):
        items("http://h/x", save_to="img/{{nope}}")


def test_an_answer_cannot_name_a_file():
    with pytest.raises(CellSyntaxError, match="answer"):
        items("# @name a\nhttp://h/1\nhttp://h/{{a.data}}", save_to="{{a.data}}")


def test_in_a_directory_the_url_names_the_file():
    found = items("http://h/a/[1-2].jpg\nhttp://h/a/[1-2].jpg?w=1\nPOST http://h/", save_to="img/")
    assert [item.save_as for item in found] == ["img/1.jpg", "img/2.jpg", "img/1_w=1.jpg", "img/2_w=1.jpg", "img/index"]


def test_a_directory_keeps_no_secret_of_the_url():
    assert "abcdefgh12345" not in one("http://h/a?api_key=abcdefgh12345", save_to="img").save_as


def test_two_answers_for_one_file_of_a_directory_are_refused_beforehand():
    with pytest.raises(CellSyntaxError, match=r"requests 0 and 1 would both be saved to 'img/X.jpg': .*--save-to"):
        items("http://h/a/x.jpg\nhttp://h/b/X.jpg", save_to="img")


def test_equal_requests_that_are_sent_once_share_their_file():
    first, second = items("http://h/x.jpg\nhttp://h/x.jpg", save_to="img", dedup=True)
    assert first.save_as == "img/x.jpg"
    assert isinstance(second, Deferred)


def test_a_request_that_waits_is_named_by_the_url_it_gets():
    login, waiting = items("# @name login\nhttp://h/login\n###\nhttp://h/{{login.data.id}}", save_to="out")
    assert login.save_as == "out/login"
    assert waiting.resolve([answer(0, login, {"id": 7})]).save_as == "out/7"


def test_a_name_that_turns_up_twice_in_an_iterator_is_an_error_row():
    first, second = items("http://h/{{item}}/x", each=[("t", iter("ab"))], save_to="out")
    assert first.save_as == "out/x"
    assert (second.error, second.detail.partition(":")[0]) == ("save_to", "requests 0 and 1 would both be saved to 'out/x'")


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
