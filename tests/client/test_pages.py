"""Pages at the doors: functions, cells, the accessor, streams, the journal; the proof and the hint."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from contextlib import closing

import pandas as pd
import pytest
from aiohttp import web
from serving.scripted import ScriptedServer

from fastreq_jupyter import OptionError, PartialFailureError, Request, demo, fastreq, fastreq_async, fastreq_stream, last_run
from fastreq_jupyter.cell import build
from fastreq_jupyter.options import Options
from fastreq_jupyter.policy.pages import first_of


@pytest.fixture(scope="module")
def feeds():
    with demo.start(jitter=(0, 0)) as server:
        yield server


def ids(frame):
    return [item["id"] for data in frame["data"] for item in (data if isinstance(data, list) else data["items"])]


KINDS = [
    ("page", "page"),
    ("page", "auto", "&page=1"),
    ("offset", "offset"),
    ("offset", "offset=0:100"),
    ("cursor", "auto"),
    ("cursor", "cursor=next_cursor"),
    ("cursor", "next_cursor", "&cursor={{next}}"),
    ("link", "auto"),
    ("link", "next"),
    ("header", "link"),
    ("header", "auto"),
]


@pytest.mark.parametrize("case", KINDS, ids=" ".join)
@pytest.mark.parametrize("unkind", ["", "&unkind=clamp"])
def test_every_kind_of_pages_gives_every_item_once(feeds, case, unkind):
    kind, how, *more = case
    frame = fastreq(f"{feeds.url}/feed/{kind}?limit=50&first=163{unkind}{''.join(more)}", pages=how)
    assert ids(frame) == list(range(1, 164))
    assert frame["ok"].all()
    assert frame["page"].tolist() == list(range(1, len(frame) + 1))
    assert frame["page"].dtype == "Int32"


PAGINATORS = {
    "page": lambda p: p.PageNumberPaginator(base_page=1, page_param="page", total_path="total", stop_after_empty_page=True),
    "offset": lambda p: p.OffsetPaginator(limit=50, total_path="total"),
    "cursor": lambda p: p.JSONResponseCursorPaginator(cursor_path="next_cursor", cursor_param="cursor"),
    "link": lambda p: p.JSONLinkPaginator(next_url_path="next"),
    "header": lambda p: p.HeaderLinkPaginator(),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", PAGINATORS)
@pytest.mark.filterwarnings("ignore")
def test_the_items_are_those_that_an_explicit_paginator_of_dlt_gives(feeds, kind):
    client = pytest.importorskip("dlt.sources.helpers.rest_client")
    paginator = PAGINATORS[kind](client.paginators)
    if kind == "page":
        # The total of that one counts pages.
        paginator = client.paginators.PageNumberPaginator(base_page=1, page_param="page", total_path=None, stop_after_empty_page=True)
    rest = client.RESTClient(feeds.url, paginator=paginator, data_selector="$" if kind == "header" else "items")
    with closing(rest.session):
        theirs = [item for page in rest.paginate(f"/feed/{kind}", params={"limit": 50, "first": 163}) for item in page]
    how = {"page": "page", "offset": "offset=0:50"}.get(kind, "auto")
    ours = fastreq(f"{feeds.url}/feed/{kind}?limit=50&first=163", pages=how)
    assert ids(ours) == [item["id"] for item in theirs]


def test_the_closing_line_is_the_proof(feeds):
    fastreq(f"{feeds.url}/feed/page?limit=50&first=100&unkind=unstable", pages="page")
    line = last_run().closing_line()
    assert line.startswith("2 pages, 100 items, total said 100, ")
    assert "distinct: the server's order is not stable, sort by a unique key" in line


def test_check_counts_a_shortfall_as_a_failure(feeds):
    url = f"{feeds.url}/feed/page?limit=50&first=100"
    fastreq(url, pages="page", check=True)
    with pytest.raises(PartialFailureError, match="pages are missing: 2 pages, 100 items, total said 100") as error:
        fastreq(f"{url}&unkind=unstable", pages="page", check=True)
    assert len(error.value.df) == 2
    fastreq(url, pages="page", check=True, max_pages=1)


def test_more_pages_than_max_pages_is_said(feeds):
    fastreq(f"{feeds.url}/feed/cursor?limit=50", pages="auto", max_pages=3)
    assert "has more pages than max_pages=3" in last_run().summary()["notes"][0]


@pytest.mark.parametrize("kind", ["page", "link", "header"])
def test_an_answer_that_was_not_followed_earns_one_line_and_no_traffic(feeds, kind):
    before = feeds.stats()["requests"]
    frame = fastreq(f"{feeds.url}/feed/{kind}?limit=20&first=163")
    assert feeds.stats()["requests"] == before + 1
    said = "page 1 of more" if kind == "header" else "page 1 of 9"
    assert last_run().summary()["notes"] == [f"{said}: add --pages (pages='auto')"]
    assert "page" not in frame


def test_a_way_to_follow_that_leads_nowhere_is_said(feeds):
    fastreq([f"{feeds.url}/feed/page?limit=20&first={first}" for first in (163, 5, 41)], pages="nxt")
    said = "request 0 and 1 more: page 1 of 9, but pages='nxt' found nothing to follow: give page, offset=0 or NAME=EXPR"
    assert last_run().summary()["notes"] == [said]


def test_who_fetches_the_pages_himself_is_told_nothing(feeds):
    fastreq([f"{feeds.url}/orders?page={page}&per_page=20" for page in range(1, 4)])
    assert last_run().summary()["notes"] == []


def test_lists_have_a_value_per_page_and_keys_a_list_of_them(feeds):
    url = f"{feeds.url}/feed/link?limit=10&first=25"
    assert [len(body["items"]) for body in fastreq(url, pages="auto", return_type="json")] == [10, 10, 5]
    assert {key: len(values) for key, values in fastreq([url, url], keys=["a", "b"], pages="auto", return_type="text").items()} == {
        "a": 3,
        "b": 3,
    }


def test_labels_and_columns_of_the_input_repeat_for_each_page(feeds):
    urls = pd.Series([f"{feeds.url}/feed/cursor?limit=10&first={first}" for first in (25, 5)], index=["x", "y"])
    assert fastreq(urls, pages="auto").index.tolist() == ["x", "x", "x", "y"]
    frame = pd.DataFrame({"first": [25, 5]}).fastreq.get(f"{feeds.url}/feed/cursor?limit=10&first={{{{ first }}}}", pages="auto")
    assert frame[["first", "page"]].to_numpy().tolist() == [[25, 1], [25, 2], [25, 3], [5, 1]]
    items = pd.DataFrame({"first": [25, 5]}).fastreq.get(
        f"{feeds.url}/feed/cursor?limit=10&first={{{{ first }}}}&cursor={{{{next}}}}", pages="next_cursor", select="items", columns="data"
    )
    assert items["first"].tolist() == [25] * 25 + [5] * 5


def test_next_stands_in_a_cell_where_the_cursor_goes():
    cell = 'POST http://h/x\nContent-Type: application/json\nX-Next: {{next}}\n\n{"q": {"size": 2, "cursor": {{next}}}}'
    options = Options.of(pages="next")
    (request,) = build(cell, options=options, namespace={}).items
    first = first_of(request, options)
    assert first.header("x-next") is None
    assert first.content == b'{"q": {"size": 2}}'


@pytest.mark.parametrize("variables", [{"n": 50}, {"n": 50, "after": "{{next}}"}])
def test_auto_knows_the_page_info_of_graphql(feeds, variables):
    document = "query ($n: Int, $after: String) { customers(first: $n, after: $after) { nodes { id } pageInfo { hasNextPage endCursor } } }"
    frame = fastreq([Request.graphql(f"{feeds.url}/graphql", document, variables)], pages="auto")
    assert [node["id"] for data in frame["data"] for node in data["customers"]["nodes"]] == list(range(1, 121))
    assert len(frame) == 3


async def test_a_cursor_goes_into_a_json_body(feeds):
    bodies = []

    async def answer(request):
        body = await request.json()
        bodies.append(body)
        at = body.get("cursor", 0)
        return web.json_response({"hits": [{"id": at}], "next": at + 1 if at < 2 else None})

    with ScriptedServer(answer) as server:
        request = Request("POST", f"{server.url}/search", json={"size": 1, "cursor": "{{next}}"})
        frame = await fastreq_async([request], pages="next")
    assert bodies == [{"size": 1}, {"size": 1, "cursor": 1}, {"size": 1, "cursor": 2}]
    assert len(frame) == 3


async def test_a_stream_gives_pages_as_they_are_read(feeds):
    pages = []
    async for outcome in fastreq_stream(f"{feeds.url}/feed/cursor?limit=10&first=25", pages="auto"):
        await outcome.read()
        pages.append(outcome.page)
    assert pages == [1, 2, 3]


async def test_a_page_of_a_stream_that_is_not_read_says_that_no_other_is_known(feeds):
    async for outcome in fastreq_stream(f"{feeds.url}/feed/cursor?limit=10&first=25", pages="auto"):
        await outcome.aclose()
    assert "which pages follow is not known" in last_run().summary()["notes"][0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pages": "a["}, "no JMESPath"),
        ({"pages": "auto", "total": "pages:a["}, "no JMESPath"),
        ({"total": "x"}, "total needs pages"),
        ({"pages": "auto", "max_pages": 0}, "from 1"),
        ({"pages": "auto", "save_to": "d"}, "pages is not possible with save_to"),
        ({"pages": "auto", "dedup": True}, "pages is not possible with dedup"),
        ({"pages": "auto", "until": "ready"}, "pages is not possible with until"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(feeds, options, said):
    before = feeds.stats()["requests"]
    with pytest.raises(OptionError, match=said):
        fastreq(f"{feeds.url}/orders", **options)
    assert feeds.stats()["requests"] == before


KILLED = """
    import sys
    from fastreq_jupyter import fastreq
    fastreq(sys.argv[1], pages="auto", journal=sys.argv[2], progress="none")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_a_dead_process_in_mid_chain_goes_on_from_its_journal(tmp_path):
    processes = []

    async def answer(request):
        page = int(request.query.get("cursor", 1))
        if page == 8 and processes and processes[0].returncode is None:
            processes[0].send_signal(signal.SIGKILL)
            processes[0].wait()
        return web.json_response({"items": [{"id": page}], "next_cursor": page + 1 if page < 12 else None, "total": 12})

    with ScriptedServer(answer) as server:
        journal = tmp_path / "runs.db"
        processes.append(
            subprocess.Popen([sys.executable, "-c", textwrap.dedent(KILLED), f"{server.url}/x", str(journal)], stdout=subprocess.PIPE)
        )
        processes[0].communicate(timeout=240)
        asked = len(server.asked)
        frame = fastreq(f"{server.url}/x", pages="auto", journal=journal)
        assert ids(frame) == list(range(1, 13))
        # What was committed before the end is not asked for again; the rest is.
        assert 4 < len(server.asked) - asked <= 12
        known = len(server.asked)
        assert ids(fastreq(f"{server.url}/x", pages="auto", journal=journal)) == list(range(1, 13))
        assert len(server.asked) == known


def test_a_journal_whose_cursors_have_expired_is_healed(feeds, tmp_path):
    generation = ["a"]

    async def answer(request):
        made, page = request.query.get("cursor", f"{generation[0]}1")[0], int(request.query.get("cursor", "a1")[1:])
        if made != generation[0]:
            return web.Response(status=410)
        if page == 3 and made == "a":
            return web.Response(status=500)
        return web.json_response({"items": [{"id": page}], "next_cursor": f"{made}{page + 1}" if page < 4 else None})

    options = {"pages": "auto", "journal": tmp_path / "runs.db", "max_retries": 0}
    with ScriptedServer(answer) as server:
        assert fastreq(f"{server.url}/x", **options)["error"].tolist()[2:] == ["http 500"]
        generation[0] = "b"
        assert ids(fastreq(f"{server.url}/x", **options)) == [1, 2, 3, 4]
        asked = len(server.asked)
        assert ids(fastreq(f"{server.url}/x", **options)) == [1, 2, 3, 4]
        assert len(server.asked) == asked


@pytest.mark.parametrize("store", [{"journal": "j.db"}, {"cache": "forever", "cache_file": "c.db"}])
def test_a_page_to_sign_in_is_not_kept_as_a_good_answer(tmp_path, store):
    signed_in = []

    async def answer(request):
        page = int(request.query.get("cursor", 1))
        if page == 3 and not signed_in:
            return web.Response(text="<html>sign in</html>", content_type="text/html")
        return web.json_response({"items": [{"id": page}], "next_cursor": page + 1 if page < 4 else None})

    kept = {name: str(tmp_path / value) if value.endswith(".db") else value for name, value in store.items()}
    with ScriptedServer(answer) as server:
        fastreq(f"{server.url}/x", pages="auto", **kept)
        signed_in.append(True)
        frame = fastreq(f"{server.url}/x", pages="auto", select="items[].id", **kept)
    assert frame.data.tolist() == [1, 2, 3, 4]
    assert len(server.asked) == 3 + 2
