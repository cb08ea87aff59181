import asyncio
from math import isnan

import pytest
from journals.notebook import NOON, Notebook, answer, get, post, rows_in

from fastreq_jupyter.journal import Journal
from fastreq_jupyter.model import Request
from fastreq_jupyter.options import Options
from fastreq_jupyter.redact import MASK


async def test_rerun_sends_nothing_again(notebook):
    requests = [get(n) for n in range(20)] + [post(n) for n in range(5)]
    await notebook.run(requests)
    assert len(notebook.sent) == 25
    rows = await notebook.run(requests)
    assert len(notebook.sent) == 25
    assert all(row.ok and row.data == {"a": 1} for row in rows)


async def test_rerun_sends_what_is_missing(notebook):
    await notebook.run([get(n) for n in range(0, 20, 2)])
    notebook.sent.clear()
    rows = await notebook.run([get(n) for n in range(20)])
    assert notebook.sent == [get(n).url for n in range(1, 20, 2)]
    assert [row.request.url for row in rows] == [get(n).url for n in range(20)]


async def test_outcome_comes_back_as_it_was(notebook):
    request = Request("GET", "http://h.example/x")
    headers = (("Content-Type", "application/json"), ("X-A", "1"), ("x-a", "2"))
    first = answer(request, body=b'{"a": [1, "\xc3\xa4"]}', headers=headers)
    await notebook.run([request], reply=lambda *_: (first, b'{"a": [1, "\xc3\xa4"]}'))
    [row] = await notebook.run([request])
    assert (row.ok, row.status, row.data, row.request) == (True, 200, {"a": [1, "ä"]}, request)
    assert (row.response.headers, row.response.final_url, row.response.reason, row.response.size_bytes) == (
        headers,
        request.url,
        "OK",
        len(b'{"a": [1, "\xc3\xa4"]}'),
    )
    assert row.elapsed == pytest.approx(0.5)
    assert row.queued == 0.25
    assert row.wait == pytest.approx(0.2)
    assert row.attempts[0].started_at == NOON
    hop = row.attempts[0].hops[0]
    assert (hop.reused, hop.encrypted) == (False, None)
    assert isnan(hop.connect_start)


@pytest.mark.parametrize(
    ("return_type", "data"), [("dataframe", {"a": 1}), ("text", '{"a": 1}'), ("content", b'{"a": 1}'), ("json", {"a": 1})]
)
async def test_body_is_read_as_the_rerun_asks(notebook, return_type, data):
    await notebook.run([get(1)])
    [row] = await notebook.run([get(1)], return_type=return_type)
    assert row.data == data
    assert row.response.content is None


async def test_response_comes_back_with_its_body(notebook):
    await notebook.run([get(1)])
    [row] = await notebook.run([get(1)], return_type="response")
    assert row.data.content == b'{"a": 1}'


async def test_any_bytes_come_back(notebook):
    body = bytes(range(256)) * 100
    request = get(1)
    await notebook.run([request], reply=lambda *_: (answer(request, body=body, headers=()), body))
    [row] = await notebook.run([request], return_type="content")
    assert row.data == body


@pytest.mark.parametrize(
    ("said", "request_", "options", "sent_again"),
    [
        ((404, "http 404"), get(1), {}, False),
        ((404, "http 404"), get(1), {"retry_unsafe": True}, False),
        ((503, "http 503"), get(1), {}, True),
        ((429, "http 429"), get(1), {}, True),
        ((503, "http 503"), post(1), {}, False),
        ((503, "http 503"), post(1), {"retry_unsafe": True}, True),
        ((None, "timeout"), get(1), {}, True),
        ((None, "timeout"), post(1), {}, False),
        ((None, "timeout"), post(1), {"retry_unsafe": True}, True),
        ((200, "invalid JSON"), get(1), {}, False),
        ((None, "decoding"), get(1), {}, True),
        ((200, None), get(1), {"fresh": True}, True),
        ((200, None), post(1), {"fresh": True}, True),
    ],
)
async def test_what_the_retry_policy_may_resend_is_sent_again(notebook, said, request_, options, sent_again):
    status, error = said
    body = b"{" if error == "invalid JSON" else b"{}"
    reply = (answer(request_, status=status, error=error, body=body), None if status is None else body)
    await notebook.run([request_], reply=lambda *_: reply)
    notebook.sent.clear()
    [row] = await notebook.run([request_], reply=lambda *_: reply, **options)
    assert bool(notebook.sent) is sent_again
    assert row.error == error


async def test_unsafe_request_that_certainly_never_left_is_sent_again(notebook):
    await notebook.run([post(1)], reply=lambda request, _: (answer(request, status=None, error="connect", sent=False), None))
    await notebook.run([post(1)])
    assert len(notebook.sent) == 2


@pytest.mark.parametrize("error", ["cancelled", "deadline", "stopped", "skipped"])
async def test_what_was_not_finished_is_not_kept(notebook, error):
    await notebook.run([get(1)], reply=lambda request, _: (answer(request, status=None, error=error), None))
    assert rows_in(notebook.path) == []


async def test_unsafe_request_under_way_at_the_end_comes_back_as_unknown(notebook):
    await notebook.run([post(1), get(2)], reply=lambda *_: None)
    notebook.sent.clear()
    first, _ = await notebook.run([post(1), get(2)])
    assert first.error == "unknown"
    assert "retry_unsafe=True" in first.error_detail
    assert notebook.sent == [get(2).url]
    assert any("1 unknown" in note for note in notebook.notes)


@pytest.mark.parametrize("options", [{"retry_unsafe": True}, {"fresh": True}])
async def test_unknown_request_is_sent_again_when_allowed(notebook, options):
    await notebook.run([post(1)], reply=lambda *_: None)
    [row] = await notebook.run([post(1)], **options)
    assert row.ok
    assert (await notebook.run([post(1)]))[0].ok
    assert len(notebook.sent) == 2


async def test_good_answer_never_gives_way_to_a_failure(notebook):
    await notebook.run([get(1)])
    await notebook.run([get(1)], reply=lambda request, _: (answer(request, status=None, error="timeout"), None), fresh=True)
    assert (await notebook.run([get(1)]))[0].ok


async def test_max_age_limits_what_is_used(notebook):
    await notebook.run([get(1)], clock=lambda: 1000.0)
    await notebook.run([get(1)], clock=lambda: 1060.0, max_age=60)
    assert len(notebook.sent) == 1
    await notebook.run([get(1)], clock=lambda: 1061.0, max_age=60)
    assert len(notebook.sent) == 2


async def test_run_says_what_came_from_the_journal(notebook):
    await notebook.run([get(n) for n in range(5)])
    assert notebook.notes == []
    await notebook.run([get(n) for n in range(7)])
    [note] = notebook.notes
    assert note.startswith("5 of 7 from runs.db (20")
    assert note.endswith("), 2 sent")


async def test_mark_of_an_unsafe_request_is_committed_before_it_leaves(notebook):
    def reply(request, position):
        assert rows_in(notebook.path) == [(request.url, 0)]
        return answer(request, position), b"{}"

    await notebook.run([post(1)], reply=reply)


async def test_answer_to_an_unsafe_request_is_committed_at_once(notebook):
    journal = Journal(Options.of(journal=str(notebook.path)))
    await notebook.one(journal, post(1), 0, lambda request, position: (answer(request, position), b"{}"))
    assert rows_in(notebook.path) == [(post(1).url, 1)]
    await journal.close()


async def test_safe_answers_are_committed_soon(notebook):
    journal = Journal(Options.of(journal=str(notebook.path)))
    await notebook.one(journal, get(1), 0, lambda request, position: (answer(request, position), b"{}"))
    while not rows_in(notebook.path):  # noqa: ASYNC110 - another thread writes
        await asyncio.sleep(0.02)
    await journal.close()


def test_journal_never_closed_keeps_what_it_has_got(notebook):
    async def left_open():
        journal = Journal(Options.of(journal=str(notebook.path)))
        await notebook.one(journal, get(1), 0, lambda request, position: (answer(request, position), b"{}"))

    # Not asyncio.run: nest-asyncio puts another one in its place, which ends no loop.
    with asyncio.Runner() as runner:
        runner.run(left_open())
    assert rows_in(notebook.path) == [(get(1).url, 1)]


async def test_saved_file_is_known_while_it_is_there(notebook, tmp_path):
    path = tmp_path / "saved.bin"
    request = Request("GET", "http://h.example/file", save_as=str(path))
    said = (answer(request, body=b"12345", headers=(), path=str(path)), None)
    path.write_bytes(b"12345")
    await notebook.run([request], reply=lambda *_: said)
    [row] = await notebook.run([request])
    assert (row.data, row.response.path, len(notebook.sent)) == (str(path), str(path), 1)
    path.write_bytes(b"123")
    await notebook.run([request], reply=lambda *_: said)
    assert len(notebook.sent) == 2


async def test_kept_body_is_written_where_a_rerun_wants_it(notebook, tmp_path):
    await notebook.run([get(1)])
    wanted = Request("GET", get(1).url, save_as=str(tmp_path / "out" / "1.json"))
    [row] = await notebook.run([wanted])
    assert row.data == wanted.save_as
    assert (tmp_path / "out" / "1.json").read_bytes() == b'{"a": 1}'
    assert len(notebook.sent) == 1


CANARIES = [
    "canary-basic",
    "canary-query",
    "canary-user",
    "canary-cookie",
    "canary-key",
    "canary-field",
    "canary-value",
    "canary-setcookie",
]


async def test_no_secret_lies_in_the_file_or_beside_it(notebook, tmp_path):
    request = Request(
        "POST",
        "http://me:canary-user@h.example/x?token=canary-query&a=canary-value",
        headers=[("Authorization", "Bearer canary-basic"), ("Cookie", "s=canary-cookie"), ("X-Api-Key", "canary-key")],
        json={"password": "canary-field"},
        secrets={"canary-value"},
    )
    headers = (("Content-Type", "application/json"), ("Set-Cookie", "s=canary-setcookie"), ("X-Echo", "canary-basic canary-field"))
    said = answer(request, headers=headers, error="http 500", status=500)

    async def go():
        journal = Journal(Options.of(journal=str(notebook.path)))
        await notebook.one(journal, request, 0, lambda *_: (said, b"{}"))
        while_open = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        await journal.close()
        return while_open

    everything = await go() + b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert [canary for canary in CANARIES if canary.encode() in everything] == []
    assert b"http://***@h.example/x?token=***&a=***" in everything


async def test_set_cookie_comes_back_masked(notebook):
    request = get(1)
    await notebook.run([request], reply=lambda *_: (answer(request, headers=(("Set-Cookie", "s=v"),)), b"{}"))
    assert (await notebook.run([request]))[0].response.headers == (("Set-Cookie", MASK),)


async def test_two_notebooks_in_turn_share_a_journal(notebook):
    await notebook.run([get(1)])
    other = Notebook(notebook.path)
    assert (await other.run([get(1), get(2)]))[0].ok
    assert other.sent == [get(2).url]


@pytest.mark.slow
async def test_many_rows_are_kept(notebook):
    requests = [get(n) for n in range(3000)]
    await notebook.run(requests)
    await notebook.run(requests)
    assert len(notebook.sent) == 3000
