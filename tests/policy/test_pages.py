"""What follows an answer: decisions alone, against servers that are functions."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastreq_jupyter.errors import OptionError
from fastreq_jupyter.model import Request, Response
from fastreq_jupyter.options import Options
from fastreq_jupyter.policy.pages import Answer, Chain, first_of, hint_of, read_how, read_total
from fastreq_jupyter.policy.pages.placing import first_page, has_place, with_cursor, with_parameter

URL = "https://api.example/items"


def chain_of(how, *, url=URL, total=None, most=100, **request):
    return Chain(Request(request.pop("method", "GET"), url, **request), read_how(how), read_total(total), most)


def answer_to(request, body, **headers):
    return Answer(body, Response(200, tuple(headers.items()), final_url=request.url))


def followed(chain, server, most=400):
    """Ask a server for all pages of a chain; return items in order of pages, and what became of it at its end."""
    due, items, ends = [(1, chain.first)], {}, []
    while due and len(items) < most:
        page, request = due.pop(0)
        body, headers = server(request)
        step = chain.step(page, request, answer_to(request, body, **headers))
        if not step.drop and step.loop is None:
            items[page] = body if isinstance(body, list) else body.get("items", [])
        ends += [end for end in (step.loop, step.broken) if end]
        due += step.pages
    return [item for page in sorted(items) for item in items[page]], ends


def query_of(request):
    return {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}


def counting(number, size, *, total=None, kind="page", first=1):
    """A server of so many items, so many a page, that says this total."""

    def server(request):
        query = query_of(request)
        start = int(query["offset"]) if kind == "offset" else (int(query["page"]) - first) * size
        body = {"items": [{"id": at} for at in range(number)][start : start + size]}
        return body | ({} if total is None else {"total": total}), {}

    return server


@settings(deadline=None)
@given(
    number=st.integers(0, 60),
    size=st.integers(1, 20),
    asked=st.integers(1, 40),
    kind=st.sampled_from(["page", "page=0", "offset", "offset=0:{}"]),
    total=st.sampled_from(["none", "right", "text", "too small", "too large"]),
)
def test_a_count_misses_no_item_and_repeats_none_whatever_the_server_says_of_the_total(number, size, asked, kind, total):
    said = {"none": None, "right": number, "text": str(number), "too small": size - 1, "too large": number + 7}[total]
    if total == "too small" and number <= size:
        said = number
    chain = chain_of(kind.format(asked) if asked >= size else kind.format(size))
    server = counting(number, size, total=said, kind="offset" if kind.startswith("offset") else "page", first=0 if kind == "page=0" else 1)
    items, ends = followed(chain, server)
    assert [item["id"] for item in items] == list(range(number))
    assert not ends
    assert chain.ended
    assert chain.short == (total == "too large")


def test_with_a_total_all_other_pages_are_asked_for_at_once():
    chain = chain_of("page")
    step = chain.step(1, chain.first, answer_to(chain.first, {"items": [1, 2], "total": 9}))
    assert [page for page, _ in step.pages] == [2, 3, 4, 5]
    assert chain.pages_expected == 5


@pytest.mark.parametrize(
    ("body", "pages"),
    [
        ({"total_pages": 3}, 3),
        ({"meta": {"lastPage": 9, "last_page": "4"}}, 4),
        ({"count": 2}, 2),
        ({"count": 7}, 4),
        ({"pages": {"a": 1}}, 2),
    ],
)
def test_where_a_total_stands(body, pages):
    chain = chain_of("page")
    step = chain.step(1, chain.first, answer_to(chain.first, {"items": [1, 2], **body}))
    assert 1 + len(step.pages) == pages


def test_a_total_in_a_header_counts():
    chain = chain_of("page")
    assert len(chain.step(1, chain.first, answer_to(chain.first, [1, 2], **{"X-Total-Count": "7"})).pages) == 3


def test_a_total_that_is_a_lie_costs_little():
    chain = chain_of("page", most=10**9)
    step = chain.step(1, chain.first, answer_to(chain.first, {"items": [1], "total": 10**12}))
    assert len(step.pages) < 200
    assert chain.step(2, step.pages[0][1], answer_to(chain.first, {"items": [1], "total": 10**12})).loop
    assert chain.step(3, step.pages[1][1], answer_to(chain.first, {"items": [3], "total": 10**12})).pages == ()


@pytest.mark.parametrize("how", ["next", "auto"])
def test_a_url_in_the_body_is_followed(how):
    chain = chain_of(how)
    step = chain.step(1, chain.first, answer_to(chain.first, {"items": [1], "next": "?after=1"}))
    assert step.pages[0][1].url == f"{URL}?after=1"


AUTOMATIC = [
    ({}, {"Link": f'<{URL}?p=1>; rel="prev", <{URL}?p=3>; title="a,b"; rel="last next"'}, URL, f"{URL}?p=3"),
    ({"links": {"next": f"{URL}?x=1"}}, {}, URL, f"{URL}?x=1"),
    ({"_links": {"next": {"href": "/items?x=2"}}}, {}, URL, f"{URL}?x=2"),
    ({"@odata.nextLink": f"{URL}?$skiptoken=8"}, {}, URL, f"{URL}?$skiptoken=8"),
    ({"nextPageToken": "t=/"}, {}, URL, f"{URL}?pageToken=t%3D%2F"),
    ({"meta": {"next_cursor": 0}}, {}, URL, f"{URL}?cursor=0"),
    ({"cursors": {"after": "QQ"}}, {}, f"{URL}?after=old&limit=2", f"{URL}?after=QQ&limit=2"),
    ({"total": 40}, {}, f"{URL}?offset=10&limit=2", f"{URL}?offset=12&limit=2"),
    ({"pageInfo": {"hasNextPage": True, "endCursor": "E"}}, {}, f"{URL}?q={{{{next}}}}", f"{URL}?q=E"),
]


@pytest.mark.parametrize(("body", "headers", "url", "following"), AUTOMATIC)
def test_auto_follows_what_request_and_answer_prove(body, headers, url, following):
    chain = chain_of("auto", url=url)
    step = chain.step(1, chain.first, answer_to(chain.first, {"items": [{"id": 1}, {"id": 2}], **body}, **headers))
    assert step.pages[0][1].url == following


@pytest.mark.parametrize(
    "body",
    [
        {"next": None, "total": 9},
        {"id": "7", "version": 3, "next_id": "8"},
        {"next_cursor": "abc", "has_more": False},
        {"pageInfo": {"hasNextPage": False, "endCursor": "E"}},
        {"items": [{"next": "https://api.example/else"}]},
        {"page": 1, "total": 99},
    ],
)
def test_auto_follows_nothing_that_is_not_proved(body):
    chain = chain_of("auto")
    assert chain.step(1, chain.first, answer_to(chain.first, body)).pages == ()
    assert chain.ended


def test_an_empty_page_with_a_cursor_is_not_the_end():
    chain = chain_of("cursor=next")
    pages = {"": ([], "a"), "a": ([], "b"), "b": ([7], None)}

    def server(request):
        items, following = pages[query_of(request).get("cursor", "")]
        return {"items": items, "next": following}, {}

    assert followed(chain, server)[0] == [7]


@pytest.mark.parametrize("end", [None, "", False])
def test_absent_null_empty_and_false_are_the_end(end):
    chain = chain_of("cursor=next")
    assert chain.step(1, chain.first, answer_to(chain.first, {"next": end})).pages == ()


@pytest.mark.parametrize(
    ("how", "found", "kind", "said"),
    [
        ("next", {"a": 1}, "invalid value", "an object"),
        ("cursor=next", [1], "invalid value", "a list"),
        ("next", 17, "invalid value", "NAME=next"),
        ("next", True, "invalid value", "true"),
        ("next", "ftp://api.example/2", "invalid URL", "cannot be asked for"),
        ("cursor=next", "\ud800", "invalid value", "cannot be sent"),
        ("next", "https://user:pw@api.example/2", "invalid URL", "user or password"),
    ],
)
def test_what_is_no_next_page_is_an_error_row(how, found, kind, said):
    chain = chain_of(how)
    page, error, detail = chain.step(1, chain.first, answer_to(chain.first, {"next": found})).broken
    assert (page, error) == (2, kind)
    assert said in detail
    assert "pw" not in detail


def test_a_cycle_of_urls_is_a_loop():
    chain = chain_of("next", url=f"{URL}?A")
    server = {"A": "?B", "B": "?A"}
    items, ends = followed(chain, lambda request: ({"items": [request.url], "next": server[request.url[-1]]}, {}))
    assert [item[-1] for item in items] == ["A", "B"]
    assert ends[0][:2] == (3, "loop")


@pytest.mark.parametrize("how", ["cursor=next", "page", "p=1", "auto"])
def test_a_server_that_ignores_what_is_asked_is_a_loop_not_a_table_of_repeats(how):
    chain = chain_of(how)
    numbers = iter(range(100))
    items, ends = followed(chain, lambda _: ({"items": [{"id": 1}], "next": f"c{next(numbers)}", "next_cursor": f"{next(numbers)}"}, {}))
    assert len(items) == 1
    assert "ignored" in ends[0]


TEXT = ("invalid JSON", "page 2 is text/html, not JSON as page 1 is: whether more follows is unknown")
ERROR = ("body", "page 2 has an error in place of items: whether more follows is unknown")


@pytest.mark.parametrize(
    ("first", "later", "why"),
    [
        ({"items": [1], "next": "/2"}, "<html>sign in</html>", TEXT),
        ([1], b"\xff\xfe", TEXT),
        ({"items": [1], "next": "/2"}, "", None),
        ({"items": [1], "next": "/2"}, None, None),
        ("a,b\n1,2", "a,b\n3,4", None),
        ({"items": [1], "next": "/2"}, {"error": "signed out"}, ERROR),
        ([1], {"errors": [{"code": 7}]}, ERROR),
        # Google leaves out a list without items.
        ({"items": [1], "next": "/2"}, {"kind": "list"}, None),
        ({"items": [1], "next": "/2"}, {"items": [2], "error": "one item less"}, None),
        ({"items": [1], "next": "/2"}, {"error": None, "next": None}, None),
    ],
)
def test_a_text_or_an_error_in_place_of_items_is_no_page(first, later, why):
    chain = chain_of("auto")
    assert chain.no_page(1, answer_to(chain.first, first)) is None
    chain.step(1, chain.first, answer_to(chain.first, first))
    assert chain.no_page(2, answer_to(chain.first, later, **{"Content-Type": "text/html; charset=utf-8"})) == why


def test_a_list_beside_the_items_that_never_changes_is_no_loop():
    chain = chain_of("cursor=next", most=3)
    numbers = iter(range(9))
    items, ends = followed(chain, lambda _: ({"items": [{"id": next(numbers)}], "facets": [{"a": 1}], "next": next(numbers)}, {}))
    assert len(items) == 3
    assert not ends
    assert chain.truncated


def test_a_chain_of_10_000_pages_remembers_little_of_each():
    chain = chain_of("auto", most=10_000)
    request = chain.first
    for page in range(1, 10_001):
        body = {"items": [{"id": page}], "next": f"?after={page}"}
        step = chain.step(page, request, answer_to(request, body))
        request = step.pages[0][1] if step.pages else request
    assert chain.truncated
    assert chain.pages == 10_000
    remembered = [value for name in chain.__slots__ if isinstance(value := getattr(chain, name), (set, dict, list))]
    # Two numbers a page: marks of its URL and of its item.
    assert sum(map(len, remembered)) < 2 * 10_000 + 10
    assert all(isinstance(mark, int) for values in remembered for mark in values)
    chain.close()
    assert chain.distinct == 10_000
    assert not any(getattr(chain, name) for name in ("_seen", "_distinct", "_marks"))


def test_an_expired_cursor_starts_the_chain_anew_once():
    chain = chain_of("cursor=next")
    chain.step(1, chain.first, answer_to(chain.first, {"next": "a"}))
    assert chain.failed(2, 410, sent=True).restart
    again = Chain(chain.first, read_how("cursor=next"), read_total(None), 9, restarted=True)
    again.step(1, again.first, answer_to(again.first, {"next": "a"}))
    assert not again.failed(2, 410, sent=True).restart
    assert again.ended


def test_another_origin_gets_no_credentials():
    chain = chain_of("next", headers={"Authorization": "Bearer t0ken-t0ken", "Accept": "text/csv"})
    ((_, request),) = chain.step(1, chain.first, answer_to(chain.first, {"next": "http://api.example/items?2"})).pages
    assert request.headers == (("Accept", "text/csv"),)
    assert chain.dropped == {2}


def test_items_that_come_again_on_other_pages_show_an_unstable_order():
    chain = chain_of("page")
    pages = {"1": [1, 2], "2": [2, 3]}
    followed(chain, lambda request: ({"items": [{"id": i} for i in pages[query_of(request)["page"]]], "total": 4}, {}))
    assert (chain.items, chain.distinct, chain.unstable, chain.short) == (4, 3, True, True)


def test_the_place_of_next_is_left_out_of_page_1_with_what_it_stands_in():
    request = Request(
        "POST", f"{URL}?a=1&cursor={{{{next}}}}&b=2", headers={"X-Cursor": "{{ next }}", "X": "y", "Content-Type": "application/json"},
        data='{"query": "q", "variables": {"n": 10, "after": "{{next}}"}, "list": ["{{next}}", 1.10]}',
    )  # fmt: skip
    first, second = first_page(request), with_cursor(request, 'a"b')
    assert first.url == f"{URL}?a=1&b=2"
    assert first.header("x-cursor") is None
    assert json.loads(first.content) == {"query": "q", "variables": {"n": 10}, "list": [1.1]}
    assert b"1.10" in first.content
    assert second.url == f"{URL}?a=1&cursor=a%22b&b=2"
    assert json.loads(second.content)["variables"] == {"n": 10, "after": 'a"b'}
    assert json.loads(with_cursor(request, 5).content)["variables"]["after"] == 5
    assert not has_place(first)


@pytest.mark.parametrize(
    ("kind", "data", "first", "second"),
    [
        ("application/x-www-form-urlencoded", "a=1&c=%7B%7Bnext%7D%7D", "a=1", "a=1&c=x%2Fy"),
        ("text/plain", "one\nfrom {{next}}\ntwo", "one\ntwo", "one\nfrom x/y\ntwo"),
    ],
)
def test_next_in_a_form_and_in_text(kind, data, first, second):
    request = Request("POST", URL, headers={"Content-Type": kind}, data=data)
    assert first_page(request).content.decode() == first
    assert with_cursor(request, "x/y").content.decode() == second


def test_a_graphql_variable_takes_the_cursor_that_auto_finds():
    body = {"query": "query ($after: String) { x(after: $after) { pageInfo { hasNextPage endCursor } } }"}
    chain = chain_of("auto", method="POST", json=body)
    found = {"data": {"x": {"nodes": [1], "pageInfo": {"hasNextPage": True, "endCursor": "E"}}}}
    ((_, request),) = chain.step(1, chain.first, answer_to(chain.first, found)).pages
    assert json.loads(request.content)["variables"] == {"after": "E"}


def test_a_parameter_is_set_in_its_place():
    assert with_parameter(Request("GET", f"{URL}?page=1&q=a&page=2#x"), "page", 5).url == f"{URL}?page=5&q=a#x"


@pytest.mark.parametrize(
    ("how", "said"), [("a[", "no JMESPath"), ("c=a[", "no JMESPath"), ("offset=0:0", "step from 1"), ("nosuch(@)", "no function")]
)
def test_what_no_way_to_follow_pages_is_refused_in_one_line(how, said):
    with pytest.raises(OptionError, match=said):
        read_how(how)


def test_comparisons_are_expressions_not_names():
    assert read_how("links[?rel=='next'].href | [0]").name is None


def test_page_1_of_a_count_says_so():
    assert first_of(Request("GET", URL), Options.of(pages="offset=0:50")).url == f"{URL}?offset=0"


@pytest.mark.parametrize(
    ("url", "body", "headers", "said"),
    [
        (URL, {"items": [1] * 20, "total": 500}, {}, "1 of 25"),
        (URL, {"items": [1], "next": "?page=2"}, {}, "1 of more"),
        (URL, [1, 2], {"Link": "<?page=2>; rel=next", "X-Total-Pages": "3"}, "1 of 3"),
        (f"{URL}?page=2", {"items": [1], "next": "?page=3"}, {}, None),
        (URL, {"items": [1], "total": 1, "next": None}, {}, None),
        (URL, {"items": [1, 2], "count": 2}, {}, None),
        (URL, {"items": [1], "has_more": True}, {}, "1 of more"),
        (URL, {"items": [1], "meta": {"next_cursor": "x"}}, {}, "1 of more"),
        (URL, {"items": [1], "next_page": 2}, {}, "1 of more"),
        (URL, {"items": [1], "NextMarker": "x"}, {}, "1 of more"),
        (URL, {"items": [1], "nextPageToken": ""}, {}, None),
        (URL, {"items": [1], "has_more": False, "next_cursor": "x"}, {}, None),
        (URL, {"items": [1], "next_run": "2026-01-01", "nextInvoice": 7}, {}, None),
        (URL, {"name": "a", "next_token": "x"}, {}, None),
        (URL, {"items": [{"next_token": "x"}]}, {}, None),
    ],
)
def test_an_answer_that_has_more_says_so(url, body, headers, said):
    request = Request("GET", url)
    assert hint_of(answer_to(request, body, **headers), url) == said


@pytest.mark.parametrize(
    ("how", "body", "said"),
    [
        ("auto", {"items": [1] * 10, "total": 95}, "1 of 10"),
        ("auto", {"items": [1], "page": 1, "pages": 3}, "1 of 3"),
        ("auto", {"items": [1], "has_more": True}, "1 of more"),
        ("nope", {"items": [1], "meta": {"next_cursor": "x"}}, "1 of more"),
        ("link", {"items": [1], "next": "/2"}, "1 of more"),
        ("auto", {"items": [1], "total": 1}, None),
        ("next", {"items": [1], "next": "/2"}, None),
        ("page", {"items": [1] * 10, "total": 95}, None),
    ],
)
def test_a_first_page_with_more_behind_it_and_nothing_to_follow_says_so(how, body, said):
    chain = chain_of(how)
    step = chain.step(1, chain.first, answer_to(chain.first, body))
    assert chain.stalled == said
    assert not (said and step.pages)


def test_later_pages_are_asked_for_as_the_first_is():
    asked = Request("POST", URL, json={"cursor": "{{next}}"}, cache=True, key=3)
    for page in (first_page(asked), with_cursor(asked, "b")):
        assert (page.is_query, page.key) == (True, 3)
