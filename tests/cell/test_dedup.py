"""Equal safe requests: sent once on demand, counted otherwise."""

from samples.cells import answer, plan

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
