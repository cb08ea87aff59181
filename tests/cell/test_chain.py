"""Chaining: a later request uses an earlier named one's answer."""

import pytest
from samples.cells import answer, items

from fastreq_jupyter.errors import CellSyntaxError
from fastreq_jupyter.model import Deferred, Request, Unsendable

LOGIN = "# @name login\nPOST http://h/login\n\n{}\n###\n"


def chained(rest, data=None, **more):
    parent, child = items(LOGIN + rest)
    assert isinstance(child, Deferred)
    return child.resolve([answer(0, parent, data, **more)])


def refused(text):
    with pytest.raises(CellSyntaxError) as caught:
        items(text)
    return caught.value


@pytest.mark.parametrize(
    "reference",
    [
        "login.data.token",
        "login.response.body.token",
        "login.response.body.$.token",
        "login.body.token",
        "login.data.list[1].t",
        "login.headers.X-T",
    ],
)
def test_parts_of_the_answer_are_read(reference):
    child = chained(f"GET http://h/{{{{{reference}}}}}", {"token": "a/b", "list": [0, {"t": "a/b"}]}, headers=(("x-t", "a/b"),))
    assert child.url == "http://h/a%2Fb"


def test_the_status_is_read():
    assert chained("GET http://h/{{login.status}}", {}).url == "http://h/200"


def test_an_answer_kept_as_bytes_is_parsed():
    from fastreq_jupyter.model import Outcome, Response

    parent, child = items(LOGIN + "GET http://h/{{login.data.t}}")
    found = child.resolve([Outcome(0, parent, response=Response(200, (), "http://h/", content=b'{"t": 1}'))])
    assert found.url == "http://h/1"


def test_a_child_knows_its_parents_position():
    _, child = items(LOGIN + "GET http://h/{{login.data.t}}")
    assert child.needs == (0,)
    assert child.shown.url == "http://h/{{login.data.t}}"


def test_each_row_waits_for_its_own_parent():
    found = items("# @name a\nhttp://h/{{n}}\nhttp://h/[1-2]/{{n}}/{{a.data}}", each=[("n=range(2)", range(2))])
    assert [item.needs for item in found if isinstance(item, Deferred)] == [(0,), (0,), (3,), (3,)]


def test_a_failed_parent_skips_its_children():
    child = chained("GET http://h/{{login.data.t}}", error="http 500", status=500)
    assert isinstance(child, Unsendable)
    assert (child.error, child.detail) == ("skipped", "login failed")


def test_what_the_answer_lacks_is_an_error_row():
    child = chained("GET http://h/{{login.data.token}}", {"tokn": 1})
    assert child.error == "invalid value"
    assert "token" in child.detail


def test_an_answer_that_feeds_a_secret_place_is_hidden():
    for rest in (
        "GET http://h/\nAuthorization: Bearer {{login.data.t}}",
        "GET http://h/?token={{login.data.t}}",
        'POST http://h/\n\n{"password": "{{login.data.t}}"}',
        "@t = {{login.data.t}}\nGET http://h/\nX-Api-Key: {{t}}",
    ):
        parent, child = items(LOGIN + rest)
        assert parent.hide_data
        assert child.resolve([answer(0, parent, {"t": "hidden-token"})]).secrets == {"hidden-token"}


def test_keep_shows_it():
    parent, _ = items("# @keep\n" + LOGIN + "GET http://h/\nAuthorization: Bearer {{login.data.t}}")
    assert isinstance(parent, Request)
    assert not parent.hide_data


def test_an_answer_elsewhere_is_not_hidden():
    parent, _ = items(LOGIN + "GET http://h/{{login.data.id}}")
    assert not parent.hide_data


def test_requests_that_wait_for_each_other_are_refused():
    error = refused("# @name a\nGET http://h/{{b.data}}\n\n# @name b\nGET http://h/{{a.data}}")
    assert "a -> b -> a" in str(error)


def test_a_request_that_waits_for_itself_is_refused():
    assert "a -> a" in str(refused("# @name a\nGET http://h/{{a.data}}"))


def test_a_parent_further_below_is_refused():
    assert "put it above" in str(refused("GET http://h/{{a.data}}\n\n# @name a\nGET http://h/"))


def test_a_parent_that_is_many_is_refused():
    assert "2 times" in str(refused("# @name a\nGET http://h/[1-2]\n\nGET http://h/{{a.data}}"))


def test_the_whole_of_an_answer_is_no_value():
    assert "login.data" in str(refused(LOGIN + "GET http://h/{{login}}"))
