"""GraphQL: documents are read with their places, and answers with errors in them are no good rows."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastreq_jupyter import Request, fastreq
from fastreq_jupyter.cell import build, to_http
from fastreq_jupyter.errors import CellSyntaxError
from fastreq_jupyter.options import Options
from fastreq_jupyter.options.graphql import DocumentError, read_document

URL = "http://h/graphql"


def items(text, **namespace):
    return list(build(text, options=Options(), namespace=namespace).items)


def sent(text, **namespace):
    (item,) = items(text, **namespace)
    return json.loads(item.content)


@pytest.mark.parametrize(
    ("document", "line", "column", "words"),
    [
        ('query {\n  user(name: "Ann) { id }\n}', 2, 14, "the string is never closed"),
        ('{ a(text: """x\n}', 1, 11, "the string is never closed"),
        ("query {\n  user {\n    id\n}", 1, 7, "{ is never closed"),
        ("{ a }\n}", 2, 1, "} without a bracket"),
        ("{ a(b: [1) }", 1, 10, ") closes [ of column 8"),
        ("{ }", 1, 1, "no operation"),
        ("{ a { } }", 1, 5, "selects nothing"),
        ("query Q($id: ID)", 1, 1, "fields"),
        ("{ a % }", 1, 5, "no GraphQL"),
        ("type A { b: C }", 1, 1, "begins no definition"),
        ('{ a } "x"', 1, 7, "no field"),
        ("query A { a }\nquery B { b }", 2, 1, "several operations (A, B)"),
        ("subscription { a }", 1, 1, "lasting connection"),
        ('{ a(b: "{{x}}") }', 1, 9, "a placeholder in the document"),
        ("{ a(b: {{x}}) }", 1, 8, "a placeholder in the document"),
    ],
)
def test_a_document_that_cannot_be_read_is_refused_with_its_place(document, line, column, words):
    with pytest.raises(CellSyntaxError) as cell:
        items(f"GRAPHQL {URL}\n\n{document}")
    with pytest.raises(CellSyntaxError) as function:
        Request.graphql(URL, document)
    assert (function.value.line, function.value.column) == (line, column)
    assert (cell.value.line, cell.value.column) == (line + 2, column)
    assert words in str(cell.value)


@settings(deadline=None)
@given(st.text(alphabet='{}()[]"\\#/ \nabq$:1.!', max_size=40))
def test_any_text_is_read_or_refused_with_a_place_in_it(text):
    try:
        read = read_document(text)
    except DocumentError as error:
        place = error.offset
    else:
        place = read.end
        assert read.operations
    assert 0 <= place <= len(text)


def test_a_document_may_have_empty_lines_comments_and_text_that_looks_like_both():
    body = sent(f'GRAPHQL {URL}\n\nquery {{\n\n  a(t: """\n# kept\n// kept\n""")\n// of the cell\n\n  # of GraphQL\n}}\n\n\n{{"n": 1}}')
    assert body["variables"] == {"n": 1}
    assert '"""\n# kept\n// kept\n"""' in body["query"]
    assert "of the cell" not in body["query"]


def test_placeholders_of_variables_go_in_as_json():
    text = 'query ($id: ID, $t: String, $r: In) { a(id: $id, t: $t, r: $r) }\n{"id": {{n}}, "t": "it is {{t}}", "r": {{r}}}'
    assert sent(f"GRAPHQL {URL}\n\n{text}", n=float("nan"), t='"quoted"', r={"x": [1]})["variables"] == {
        "id": None, "t": 'it is "quoted"', "r": {"x": [1]},
    }  # fmt: skip
    assert sent(f"GRAPHQL {URL}\n\n{{ a }}\n{{{{ r }}}}", r={"x": 1})["variables"] == {"x": 1}


@pytest.mark.parametrize(
    ("variables", "line", "column"), [('{"a": }', 4, 7), ('{"a": {{x}},\n "b" 1}', 5, 6), ('{"a": 1} 2', 4, 10), ('{ "a": 1', 4, 9)]
)
def test_variables_that_are_no_json_are_refused_with_their_place(variables, line, column):
    with pytest.raises(CellSyntaxError, match="variables are no JSON") as refused:
        items(f"GRAPHQL {URL}\n\n{{ a }}\n{variables}", x=1)
    assert (refused.value.line, refused.value.column) == (line, column)


def test_the_header_of_rest_client_and_a_file_do_the_same(tmp_path):
    path = tmp_path / "q.graphql"
    path.write_text("query A { a }\nquery B { b }\n", encoding="utf-8")
    (item,) = items(f'POST {URL}\nX-REQUEST-TYPE: GraphQL\nX-GraphQL-Operation: B\n\n< {path}\n\n{{"x": 1}}')
    assert json.loads(item.content) == {"query": "query A { a }\nquery B { b }", "operationName": "B", "variables": {"x": 1}}
    assert item.headers == (("Content-Type", "application/json"),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"GRAPHQL {URL}", "needs a document"),
        (f"GET {URL}\nX-Request-Type: GraphQL\n\n{{ a }}", "sent by POST"),
        (f"GRAPHQL {URL}\nContent-Type: text/plain\n\n{{ a }}", "sent as JSON"),
        (f"GRAPHQL {URL}\n\n< /no/such/file.graphql", "cannot read"),
    ],
)
def test_what_is_no_request_of_graphql_is_refused(text, words):
    with pytest.raises(CellSyntaxError, match=words):
        items(text)


def test_a_query_may_be_sent_again_and_a_mutation_not():
    assert Request.graphql(URL, "{ a }").idempotent
    assert not Request.graphql(URL, "mutation { a }").idempotent


def test_a_request_becomes_a_cell_again_without_its_secrets():
    request = Request.graphql(
        URL, "query ($p: String) { a(p: $p) }", {"p": "ü", "password": "hunter22222"}, headers={"X-Api-Key": "k" * 20}
    )
    text = to_http(request)
    assert text.startswith(f"GRAPHQL {URL}\n")
    assert "hunter22222" not in text
    assert "k" * 20 not in text


@pytest.fixture(scope="module")
def server():
    """Answer with what the variables say; keep the bodies."""
    seen: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(body)
            answers = body["variables"]["answers"]
            answer = answers[min(sum(one == body for one in seen), len(answers)) - 1]
            status, answer = answer if isinstance(answer, list) else (200, answer)
            content = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield SimpleNamespace(url=f"http://127.0.0.1:{running.server_port}/", seen=seen)
        running.shutdown()


def ask(server, *answers, document="{ a }", **options):
    server.seen.clear()
    return fastreq([Request.graphql(server.url, document, {"answers": answers})], **options).iloc[0]


ERRORS = [{"message": "no such field", "path": ["a", 0]}, {"message": "another"}]
LIMITS = (
    {"errors": [{"message": "slow down", "type": "RATE_LIMITED"}]},
    {"data": {"a": None}, "errors": [{"message": "slow down", "extensions": {"code": "THROTTLED"}}]},
)


def test_data_is_the_bodys_data(server):
    row = ask(server, {"data": {"a": 1}, "extensions": {"cost": 3}})
    assert (row["data"], row["ok"]) == ({"a": 1}, True)


def test_errors_without_data_are_an_error_that_names_them(server):
    row = ask(server, {"data": None, "errors": ERRORS})
    assert (row["error"], row["error_detail"]) == ("graphql", "no such field (at a.0), and 1 more error")
    assert row["data"]["errors"] == ERRORS


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
    ("locations", "detail"),
    [
        ([{"line": 2, "column": 3}, {"line": 9, "column": 9}], "no such field (line 2, column 3)"),
        ([], "no such field"),
        ([{"line": "2"}], "no such field"),
        ("x", "no such field"),
    ],
)
def test_an_error_says_where_in_the_document_it_is(server, status, locations, detail):
    row = ask(server, [status, {"errors": [{"message": "no such field", "locations": locations}]}])
    assert row["error_detail"] == detail


def test_errors_beside_data_cost_no_data(server):
    row = ask(server, {"data": {"a": 1, "b": None}, "errors": ERRORS})
    assert (row["error"], row["data"]) == ("graphql partial", {"a": 1, "b": None})


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_counts_as_429_for_queries(server, limit):
    row = ask(server, limit, {"data": {"a": 1}})
    assert (row["data"], row["attempts"], len(server.seen)) == ({"a": 1}, 2, 2)


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_sends_no_mutation_twice(server, limit):
    row = ask(server, limit, {"data": {"a": 1}}, document="mutation { a }")
    assert row["error"].startswith("graphql")
    assert row["error_detail"].endswith(": slow down")
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("<html>", "invalid JSON"),
        ("[]", "graphql"),
        ("{}", "graphql"),
        ([400, {"errors": ERRORS}], "http 400"),
        ('{"errors": "x"}', "graphql"),
    ],
)
def test_what_is_no_answer_of_graphql_is_no_good_row(server, answer, error):
    row = ask(server, answer)
    assert row["error"] == error
    assert row["data"] is not None


def test_select_and_expand_work_on_the_data(server):
    row = ask(server, {"data": {"a": {"nodes": [{"id": 7}]}}}, select="a.nodes", expand=True)
    assert row["id"] == 7


def test_the_secret_of_a_request_is_not_in_what_the_server_says_back(server):
    secret = "correct-horse-battery"
    request = Request.graphql(server.url, "{ a }", {"answers": [{"errors": [{"message": f"bad token {secret}"}]}], "token": secret})
    assert fastreq([request])["error_detail"].tolist() == ["bad token ***"]


def test_a_journal_gives_the_same_rows_and_asks_again_only_where_the_server_was_busy(server, tmp_path):
    server.seen.clear()
    answers = ({"data": {"a": 1}}, {"errors": ERRORS}, {"data": {"a": 1}, "errors": ERRORS}, LIMITS[0])
    requests = [Request.graphql(server.url, "{ a }", {"answers": [answer]}) for answer in answers]
    options = {"journal": str(tmp_path / "runs.db"), "max_retries": 0}
    first, again = fastreq(requests, **options), fastreq(requests, **options)
    columns = ["data", "status", "error", "error_detail"]
    assert first[columns].equals(again[columns])
    assert len(server.seen) == len(answers) + 1


def test_a_cache_gives_the_data_of_queries_and_keeps_neither_mutations_nor_errors(server, tmp_path):
    server.seen.clear()
    documents = (("{ a }", {"data": {"a": 1}}), ("mutation { a }", {"data": {"a": 2}}), ("{ b }", {"errors": ERRORS}))
    requests = [Request.graphql(server.url, document, {"answers": [answer]}) for document, answer in documents]
    options = {"cache": "1h", "cache_file": str(tmp_path / "cache.db")}
    first, again = fastreq(requests, **options), fastreq(requests, **options)
    assert again["data"].tolist() == first["data"].tolist()
    assert again["cached"].astype(object).eq("fresh").tolist() == [True, False, False]
    assert len(server.seen) == 5
