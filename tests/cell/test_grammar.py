"""The common core of .http files: which requests a text means."""

import pytest
from samples.cells import items, one, plan, urls

from fastreq_jupyter.errors import CellSyntaxError


def refused(text, **more):
    with pytest.raises(CellSyntaxError) as caught:
        items(text, **more)
    return caught.value


def test_a_url_a_line_is_a_get_each():
    assert [(i.method, i.url) for i in items("http://h/1\nhttps://h/2")] == [("GET", "http://h/1"), ("GET", "https://h/2")]


def test_blank_lines_comments_and_separators_make_no_request():
    assert urls("\n# hello\n// there\n### title\n\nhttp://h/1\n\n###\n###\n") == ["http://h/1"]


def test_method_version_headers_and_body_are_read():
    request = one('POST http://h/x HTTP/1.1\nContent-Type: application/json\nX-Empty:\n\n{\n  "a": 1\n}\n\n')
    assert request.method == "POST"
    assert request.headers == (("Content-Type", "application/json"), ("X-Empty", ""))
    assert request.content == b'{\n  "a": 1\n}'


@pytest.mark.parametrize("line", ["ftp://h/x", "htp://h/x", "localhost:8000/x", "127.0.0.1:8000/x"])
def test_a_line_that_was_meant_as_a_url_is_no_header(line):
    error = refused(f"http://h/1\n{line}")
    assert "http://" in str(error)
    assert (error.line, error.column) == (2, 1)


def test_a_header_needs_no_blank_after_its_colon():
    assert one("GET http://h/x\nX-Id:5\nX-Path: 8000/x").headers == (("X-Id", "5"), ("X-Path", "8000/x"))


def test_a_lower_case_method_is_known():
    assert one("delete http://h/x").method == "DELETE"


def test_query_lines_go_on_with_the_url():
    assert urls("GET http://h/x\n    ?page=2\n    &size=10\nAccept: a/b") == ["http://h/x?page=2&size=10"]


def test_an_indented_path_goes_on_with_the_url():
    assert urls("GET http://h\n  /api\n  /get\n  ?a=1") == ["http://h/api/get?a=1"]


def test_an_indented_line_goes_on_with_a_header():
    assert one("GET http://h/\nX-A: one,\n   two").headers == (("X-A", "one, two"),)


def test_a_request_line_begins_a_new_request_without_separator():
    assert urls("GET http://h/1\nX-A: b\nGET http://h/2\nDELETE http://h/3\nhttp://h/4") == [f"http://h/{n}" for n in (1, 2, 3, 4)]


def test_a_get_with_content_type_has_a_body():
    assert one("GET http://h/\nContent-Type: text/plain\n\nhello").content == b"hello"


def test_a_post_without_body_has_none():
    assert one("POST http://h/").content is None


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "text/markdown", "application/xml", "x/y"])
def test_comments_are_no_part_of_a_body_of_any_type(kind):
    body = "// first\n{\n  // no\n  # nor\n\n  1\n}\n\n# next: list them\n//\n"
    assert one(f"POST http://h/\nContent-Type: {kind}\n\n{body}###\n").content == b"{\n\n  1\n}"


def test_a_body_of_comments_is_none():
    assert one("POST http://h/\n\n# nothing yet").content is None


def test_comments_are_no_part_of_a_form_or_of_parts():
    assert one(f"POST http://h/\n{FORM}\n\na=1&\n# x=2&\nb=3\n// end").content == b"a=1&b=3"
    parts = one("POST http://h/\nContent-Type: multipart/form-data; boundary=b\n\n--b\n# c\nA: 1\n\n1\n--b--\n\n# end").content
    assert parts == b"--b\r\nA: 1\r\n\r\n1\r\n--b--\r\n"


def test_a_place_behind_a_comment_in_a_body_is_the_line_of_the_cell():
    with pytest.raises(CellSyntaxError) as caught:
        items('POST http://h/\n\n{\n# c\n\n"a": {{nope}}}')
    assert (caught.value.line, caught.value.column) == (6, 6)


FORM = "Content-Type: application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("body", "content"),
    [
        ("grant_type=password&\nuser=ada", b"grant_type=password&user=ada"),
        ("a=1\n&b=2\n&\nc=3", b"a=1&b=2&c=3"),
        ("grant_type = password &\n  user=ada b& \nname=\u00e9", b"grant_type=password&user=ada%20b&name=%C3%A9"),
        ("scope=openid profile", b"scope=openid%20profile"),
        ("a=1%202+3&b=2==&c=%&d", b"a=1%202+3&b=2==&c=%25&d"),
        ("a = {{x}} &\n{{x}} = 1", b"a=%20%26&%20%26=1"),
        ("a={{x}}&\n\n&b=c = d", b"a=%20%26&b=c%20=%20d"),
    ],
)
def test_a_form_goes_on_over_lines(body, content):
    assert one(f"POST http://h/\n{FORM}\n\n{body}", namespace={"x": " &"}).content == content


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/ndjson; charset=utf-8", "application/jsonl", "application/json-seq"])
def test_json_lines_keep_their_last_line_end(kind):
    assert one(f'POST http://h/\nContent-Type: {kind}\n\n{{"index": {{}}}}\n{{"a": {{{{x}}}}}}\n\n', namespace={"x": None}).content == (
        b'{"index": {}}\n{"a": null}\n'
    )


def test_cookie_lines_become_one():
    assert one("GET http://h/\nCookie: a=1\nX: y\ncookie: b={{x}}", namespace={"x": 2}).headers == (("Cookie", "a=1; b=2"), ("X", "y"))


def test_a_variable_that_is_commented_out_is_a_comment():
    assert urls("@base = http://h\n# @base = https://prod.example\nGET {{base}}/x\n// @old=1\nA: b") == ["http://h/x"]


def test_a_prompted_value_is_the_notebooks():
    assert urls("# @prompt id the order\nGET http://h/{{id}}", namespace={"id": 7}) == ["http://h/7"]


def test_query_lines_may_end_with_their_joint():
    assert urls("GET http://h/auth?\n    client=a&\n    scope={{s}}\nA: b", namespace={"s": "x y"}) == [
        "http://h/auth?client=a&scope=x%20y"
    ]


def test_brackets_are_escaped_on_both_sides():
    assert urls(r"http://h/\{id\}?a\[0\]=1") == ["http://h/{id}?a[0]=1"]


def test_a_fragment_stands_behind_the_params():
    assert urls("http://h/a?b&#c\n{{u}}#d", params={"x": 1}, namespace={"u": "http://h/"}) == ["http://h/a?b&x=1#c", "http://h/?x=1#d"]


def test_separator_with_title_ends_a_body():
    first, second = items("POST http://h/1\n\nbody\n\n### next\nGET http://h/2")
    assert first.content == b"body"
    assert second.url == "http://h/2"


def test_a_form_over_several_lines_is_one():
    text = "POST http://h/\nContent-Type: application/x-www-form-urlencoded\n\nname=foo\n&password=bar\n  &x=1"
    assert one(text).content == b"name=foo&password=bar&x=1"


def test_multipart_has_crlf_and_files(tmp_path):
    file = tmp_path / "f.bin"
    file.write_bytes(b"\x00\xff")
    text = (
        "POST http://h/\nContent-Type: multipart/form-data; boundary=abcd\n\n--abcd\n"
        f'Content-Disposition: form-data; name="text"\n\nText\n--abcd\nContent-Disposition: form-data; name="f"\n\n< {file}\n--abcd--'
    )
    assert one(text).content == (
        b'--abcd\r\nContent-Disposition: form-data; name="text"\r\n\r\nText\r\n'
        b'--abcd\r\nContent-Disposition: form-data; name="f"\r\n\r\n\x00\xff\r\n--abcd--\r\n'
    )


def test_a_file_is_the_body(tmp_path):
    (tmp_path / "b.json").write_bytes(b'{"a": "{{x}}"}')
    assert one(f"POST http://h/\n\n< {tmp_path}/b.json").content == b'{"a": "{{x}}"}'


def test_a_file_with_at_has_placeholders(tmp_path):
    (tmp_path / "b.json").write_bytes(b'{"a": "{{x}}"}')
    assert one(f"POST http://h/\n\n<@ {tmp_path}/b.json", namespace={"x": 'q"'}).content == b'{"a": "q\\""}'


def test_a_file_is_chosen_by_row(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text(name)
    found = items(f"POST http://h/\n\n< {tmp_path}/{{{{name}}}}", each=[("name=names", ["a", "b", "c"])])
    assert [item.content for item in found[:2]] == [b"a", b"b"]
    assert found[2].error == "invalid value"


def test_a_missing_file_is_an_error_before_anything_is_sent():
    assert refused("POST http://h/\n\n< ./nothing-here.json").line == 3


def test_names_and_keep_are_read():
    made = plan("# @name a\nhttp://h/1\n\n// @name b-2\n# @keep\nGET http://h/2")
    assert [item.label for item in made.items] == ["a", "b-2"]


def test_titles_and_descriptions_are_comments():
    assert urls("# @title t\n# @description d\nhttp://h/1") == ["http://h/1"]


def test_variables_may_use_earlier_ones():
    assert urls("@host = h\n@base = http://{{host}}/v1\n{{base}}/x") == ["http://h/v1/x"]


def test_a_variable_below_its_use_in_a_request_is_known():
    assert urls("{{base}}/x\n@base = http://h") == ["http://h/x"]


def test_names_with_hyphen_are_variables():
    assert urls("@arm-cn = http://h\nGET {{arm-cn}}/x") == ["http://h/x"]


def test_a_path_with_host_header_is_a_request():
    request = one("GET /api?x=1 HTTP/1.1\nHost: h:8080\nA: b")
    assert request.url == "http://h:8080/api?x=1"
    assert request.headers == (("A", "b"),)


def test_a_path_goes_behind_the_base_url():
    assert urls("GET /api\n/b?c=1", base_url="https://h/v1/") == ["https://h/v1/api", "https://h/v1/b?c=1"]


def test_basic_credentials_in_plain_are_encoded_and_secret():
    for value in ("Basic ada:pw", "Basic ada pw", "basic {{u}}:{{p}}", "Basic {{u}} {{p}}"):
        request = one(f"GET http://h/\nAuthorization: {value}", namespace={"u": "ada", "p": "pw"})
        assert request.headers[0][1].split(" ")[1] == "YWRhOnB3"
        assert {"pw", "YWRhOnB3"} <= request.secrets


def test_encoded_basic_credentials_stay():
    assert one("GET http://h/\nAuthorization: Basic YWRhOnB3").headers == (("Authorization", "Basic YWRhOnB3"),)


def test_a_byte_order_mark_is_no_text():
    assert urls("\ufeffhttp://h/1") == ["http://h/1"]


def test_a_blank_in_a_query_is_part_of_it():
    assert urls('http://h/?q=a b/c {{x}}&f={"a": {"b": 1}}', namespace={"x": 1}) == ['http://h/?q=a b/c 1&f={"a": {"b": 1}}']


def test_a_url_or_the_word_curl_in_a_text_body_is_text():
    body = "curl is a tool\nhttp://h/2"
    assert one(f"POST http://h/\n\n{body}").content == body.encode()


def test_a_name_may_stand_behind_an_equals_sign():
    assert one("#@name=made\nhttp://h/").label == "made"


def test_crlf_line_ends_mean_the_same():
    text = "POST http://h/\nA: b\n\nx\ny\n###\nhttp://h/2"
    assert items(text.replace("\n", "\r\n")) == items(text)


def test_http2_on_a_request_line_becomes_an_option_of_the_run():
    assert plan("GET http://h/ HTTP/2\n###\nPOST http://h/ HTTP/2.0").run_options == {"http2": True}


def test_requests_that_disagree_on_http2_are_refused():
    assert "split the cell" in str(refused("GET http://h/ HTTP/2\nGET http://h/"))


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("", 1, 1, "no request"),
        ("# only\n", 1, 1, "no request"),
        ("http://h/\nhello", 2, 1, "no header"),
        ("GET http://h/\nX-A b", 2, 1, "no header"),
        ("GET http://h/\n\nhello there", 3, 1, "no request line"),
        ("GET http://h/\n\nAccept: a/b", 3, 1, "before any request"),
        ("example.com/x", 1, 1, "http:// or https://"),
        ("localhost:8000/x", 1, 1, "http:// or https://"),
        ("localhost", 1, 1, "http:// or https://"),
        ("db:5984/_all_docs?limit=1", 1, 1, "http:// or https://"),
        ("X-Count:12", 1, 1, "stands before any request"),
        ("GET example.com/x", 1, 5, "http:// or https://"),
        ("ftp://h/x", 1, 1, "only http"),
        ("GET file:///etc/passwd", 1, 5, "only http"),
        ("GETT http://h/", 1, 1, "did you mean GET"),
        ("CONNECT http://h/", 1, 1, "not supported"),
        ("WS http://h/", 1, 1, "not supported"),
        ("GET http://h/ HTTP/3", 1, 14, "HTTP/3"),
        ("GET /x", 1, 1, "Host header"),
        ("POST http://h/\n\n{}\nGET http://h/2", 4, 1, "put ### before it"),
        ("POST http://h/\n\n{}\n# @name x", 4, 1, "put ### before it"),
        ("POST http://h/\n\n{}\n\n@x = 5\n###\nhttp://h/{{x}}", 5, 1, "@x within a body: put ### before it"),
        ("POST http://h/\n\n{}\n  @x=5", 4, 3, "@x within a body: put ### before it"),
        (f"POST http://h/\n{FORM}\n\na=1\nb=2", 5, 1, "with &"),
        ("GET /api\nHost: http://h", 2, 7, "no host"),
        ("curl http://h/\n  -d 'a=1'", 2, 3, "the line above ends with \\"),
        ("C:\\Users> curl http://h/", 1, 1, "begin the line with curl"),
        ("ada@host:~$ curl http://h/", 1, 1, "begin the line with curl"),
        ("% curl http://h/", 1, 1, "begin the line with curl"),
        ("!curl http://h/", 1, 1, "begin the line with curl"),
        ("time curl http://h/", 1, 1, "begin the line with curl"),
        ("GET http://h/auth?\nclient=a&", 2, 1, "or are indented"),
        ('POST http://h/\n\n{}\n\n> {% client.global.set("t", 1) %}', 5, 1, "{{login.data.token}}"),
        ("GET http://h/\n\n> {% client.log(1) %}", 3, 1, "response handler"),
        ("POST http://h/\n\n{}\n\n> {%\n%}", 5, 1, "response handler"),
        ("POST http://h/\n\n{}\n> ./handler.js", 4, 1, "response handler"),
        ("< {% x %}\nGET http://h/", 1, 1, "script"),
        ("{{\nconst a = 1\n}}\nGET http://h/", 1, 1, "script block"),
        ("{{@request\n}}\nGET http://h/", 1, 1, "script block"),
        ("GET http://h/\n\n?? status == 200", 3, 1, "assertion"),
        ("GET http://h/\n>> out.json", 2, 1, "saving"),
        ("GET http://h/\n\n<> old.200.json", 3, 1, "response reference"),
        ("import ./a.http\nGET http://h/", 1, 1, "importing"),
        ("# @loop for 3\nGET http://h/", 1, 3, "@loop"),
        ("# @name 1x\nGET http://h/", 1, 9, "no name"),
        ("# @name a\nGET http://h/\n# @name a\nGET http://h/", 3, 9, "named a already"),
        ("# @name a\n###\nGET http://h/", 1, 1, "stands before"),
        ("GET http://h/\n\n# @name a", 3, 1, "stands before"),
        ("@a value\nGET http://h/", 1, 1, "@name = value"),
        ("@a = 1\n@a = 2\nhttp://h/{{a}}", 2, 2, "defined already"),
        ("@a = {{b}}\n@b = {{a}}\nhttp://h/{{a}}", 1, 6, "need each other: a -> b -> a"),
        ("@a = {{a}}\nhttp://h/{{a}}", 1, 6, "need each other"),
        ("@a = {{b}}\n@b = 1\nhttp://h/{{a}}", 1, 6, "further below"),
        ("http://h/{{a", 1, 10, "without }}"),
        ("http://h/{{ }}", 1, 10, "empty"),
        ("http://h/{{a..b}}", 1, 10, "no name"),
        ("http://h/{{nope}}", 1, 10, "nothing in the cell or the notebook"),
        ("http://h/{x}", 1, 10, "{{x}}"),
        ("http://h/{a,b}", 1, 10, "one line for each"),
        ("http://h/x y\nhttp://h:99999/", 2, 1, "port"),
        ("POST http://h/\nContent-Type: multipart/form-data\n\n--x", 4, 1, "boundary"),
        ("POST http://h/\n\ntext\n< ./file.json", 4, 1, "whole body"),
        ("GET http://h/\nAuthorization: Digest ada pw", 2, 16, "Digest"),
        ("Invoke-WebRequest -Uri http://h/", 1, 1, "as cURL"),
        ("GET http://h/\nX: \u65e5", 2, 1, "latin-1"),
        ("GET http://h/\nX: a\x01b", 2, 5, "control character"),
        ("http://h/ # comment", 1, 11, "line of its own"),
        ("http://h/ // comment", 1, 11, "line of its own"),
        ("http://h/a, http://h/b", 1, 13, "one URL a line"),
        ("GET http://h/a http://h/b", 1, 16, "one URL a line"),
        ('POST http://h/ {"a": 1}', 1, 16, "after a blank line"),
        ("GET http://h/ \\\n  ?a=1", 1, 15, "no backslash"),
        ('"http://h/a",', 1, 1, "without quotes"),
        ("\u201chttp://h/a\u201d", 1, 1, "without quotes"),
        ("<http://h/a>", 1, 1, "without quotes"),
        ("POST http://h/\n\nx\ncurl http://h/2", 4, 1, "put ### before it"),
        ("POST http://h/\n\nx\ncurl -X PUT '{{base}}/2'", 4, 1, "put ### before it"),
        ('POST http://h/\n\n{"a": 1}\n\nhttp://h/2', 5, 1, "put ### before it"),
        ("GRPC http://h/", 1, 1, "GRPC is not supported"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text, line, column, said):
    error = refused(text)
    assert said in str(error)
    assert (error.line, error.column) == (line, column)


def test_lines_are_counted_from_the_first_line_of_the_cell():
    assert refused("\nhello", first_line=2).line == 3


def test_idn_and_emoji_in_urls_are_left_for_the_wire():
    assert urls("https://b\u00fccher.example/\u00fc/\U0001f600?q=\u00e9") == ["https://b\u00fccher.example/\u00fc/\U0001f600?q=\u00e9"]


def test_headers_of_the_option_are_defaults_for_every_request():
    found = items("http://h/1\nGET http://h/2\nX-A: own\n", headers={"X-A": "a", "X-B": "b"})
    assert found[0].headers == (("X-A", "a"), ("X-B", "b"))
    assert found[1].headers == (("X-A", "own"), ("X-B", "b"))


def test_headers_of_the_option_may_have_placeholders():
    request = one("http://h/1", headers=["Authorization: Bearer {{$env TOKEN}}"])
    assert request.headers == (("Authorization", "Bearer s3cret-token"),)
    assert request.secrets == {"s3cret-token"}


def test_method_data_and_params_belong_to_urls_alone():
    plain, written = items("http://h/1\nGET http://h/2", method="POST", data="a={{x}}", params={"p": "1 2"}, namespace={"x": 5})
    assert (plain.method, plain.url, plain.content) == ("POST", "http://h/1?p=1%202", b"a=5")
    assert (written.method, written.url, written.content) == ("GET", "http://h/2", None)


def test_json_of_the_option_is_the_body_of_urls_alone():
    request = one("http://h/1", method="POST", json={"a": 1})
    assert request.content == b'{"a": 1}'
    assert request.header("content-type") == "application/json"


def test_data_in_a_cell_without_plain_urls_is_refused():
    assert "URL alone" in str(refused("GET http://h/", data="x"))


def test_limit_takes_the_first_requests():
    made = plan("http://h/[1-9]", limit=3)
    assert made.total == 3
    assert [item.url for item in made.items] == ["http://h/1", "http://h/2", "http://h/3"]


def test_a_content_type_of_the_line_holds_for_bodies_without_their_own():
    text = "POST http://h/\n\n{}\n###\nPOST http://h/\nContent-Type: text/plain\n\n{}"
    assert [item.content for item in items(text, headers={"Content-Type": "application/x-ndjson"})] == [b"{}\n", b"{}"]
