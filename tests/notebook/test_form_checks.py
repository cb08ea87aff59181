"""What is wrong in the form stands below its field, in the field's words, in one line; no secret is repeated or sent."""

from __future__ import annotations

import pytest
from ipywidgets import Widget

from fastreq_jupyter.errors import FastreqError
from fastreq_jupyter.notebook.form.panel import Panel

URL = "http://127.0.0.1:9/x"
HUSH = "hunter2hunter2"
JSON = "Content-Type: application/json"


@pytest.fixture(autouse=True)
def _closed():
    yield
    Widget.close_all()


def panel(**content):
    made = Panel(URL, namespace={"orders": [{"id": 1}], "one": 1})
    for name, value in content.items():
        made.fields[name].control.value = value
    return made


def problems(made):
    return {name: field.problem for name, field in made.fields.items() if field.problem}


def shown(field):
    return field.box.children[1].value


@pytest.mark.parametrize(
    ("content", "field", "why"),
    [
        ({"requests": "  "}, "requests", "Requests: write a URL"),
        ({"requests": "foo"}, "requests", "Requests, line 1: this is no request line"),
        ({"requests": f"{URL}\n{URL}/{{{{missing}}}}"}, "requests", "Requests, line 2: {{missing}}: nothing in the cell"),
        ({"requests": f"{URL}\n\nGET {URL}\nno header"}, "requests", "Requests, line 4: this is no header"),
        ({"method": "POST", "requests": f"GET {URL}"}, "method", "Method: method is for lines that are a URL alone"),
        ({"name": "class"}, "name", "Variable: class is a word of Python"),
        ({"name": "2nd"}, "name", "Variable: this is no name"),
        ({"name": "not a name"}, "name", "Variable: this is no name"),
        ({"name": "x" * 1_000_000}, "name", "Variable: this is no name"),
        ({"headers": "A: b\nno colon"}, "headers", "Headers, line 2: no colon in a header line: write Name: value"),
        ({"headers": "A: b\nX: {{missing}}"}, "headers", "Headers, line 2: {{missing}}: nothing"),
        ({"each": "nobody"}, "each", "Each: the notebook has no variable nobody"),
        ({"each": "order"}, "each", "Each: the notebook has no variable order: did you mean orders?"),
        ({"each": "orders\n(("}, "each", "Each, line 2: this is neither a variable nor an expression"),
        ({"each": "orders[7]", "requests": "http://127.0.0.1:9/{{id}}"}, "each", "Each: orders[7]: IndexError"),
        ({"each": "one"}, "each", "Each: --each one: a number has no rows"),
        ({"each": "orders"}, "requests", "Requests: 1 equal requests: nothing of --each orders is used"),
        ({"auth": "nobody"}, "auth", "Auth: the notebook has no variable of that name"),
        ({"session": "one"}, "session", "Session: one is a int: give a FastRequests object"),
        ({"session": "nobody"}, "session", "Session: the notebook has no variable of that name"),
        ({"concurrency": "0"}, "concurrency", "Concurrency: give a whole number from 1 to 1000"),
        ({"concurrency": "{{missing}}"}, "concurrency", "Concurrency: {{missing}}: nothing"),
        ({"rate_limit": "fast"}, "rate_limit", "Rate limit: give requests per second"),
        ({"rate_limit": "5/min", "rate_limit_burst": "10"}, "rate_limit_burst", "Burst: not possible with rate_limit 5/min"),
        ({"timeout": "-1"}, "timeout", "Timeout: give seconds above 0"),
        ({"select": "items["}, "select", "Select: this is no JMESPath at column 7"),
        ({"expand": "nope("}, "expand", "Expand: this is no JMESPath"),
        ({"cert": "nope.pem"}, "cert", "Client certificate: no such file"),
        ({"ca": "nope.pem"}, "ca", "CA bundle: no such file"),
        ({"fresh": True}, "fresh", "Fresh: needs journal"),
        ({"timings": True, "return_type": "json"}, "timings", "Timings: needs return_type dataframe"),
        ({"method": "POST", "data": "{{missing}}"}, "data", "Body, line 1: {{missing}}: nothing"),
        ({"method": "POST", "data": "a\nb {{missing}}"}, "data", "Body, line 2: {{missing}}: nothing"),
        ({"method": "POST", "data": "a\nb {{"}, "data", "Body, line 2: {{ without }} in its line"),
        ({"data": "x"}, "data", "Body: GET sends no body: choose POST"),
        ({"method": "POST", "data": "x", "requests": f"POST {URL}\n\ny"}, "data", "Body: it goes with lines that are a URL alone"),
        ({"method": "POST", "data": '{"a": }', "headers": JSON}, "data", "Body, line 1, column 7: this is no JSON"),
        ({"method": "POST", "data": '{\n"a": {{one}}\n"b": 1}', "headers": JSON}, "data", "Body, line 3, column 1: this is no JSON"),
        ({"method": "POST", "data": '{"a": NaN}', "headers": JSON}, "data", "this is no JSON: NaN is no value of it"),
        ({"method": "POST", "data": "a\n### b"}, "data", "Body, line 2: a cell would not read this as it stands"),
        ({"method": "POST", "data": f"a\nGET {URL}"}, "data", "Body, line 2: a cell would read this line as something else"),
    ],
)
def test_what_is_wrong_stands_below_its_field_and_starts_nothing(content, field, why):
    made = panel(**content)
    assert made.start() is None
    assert made.run is None
    assert list(problems(made)) == [field]
    assert why in made.fields[field].problem
    assert 'role="alert"' in shown(made.fields[field])
    assert f"1 field needs attention: {made.fields[field].label}" in made._note.value
    made._preview()
    made._show_cell()
    assert made._aside.children == ()


def test_an_error_of_the_start_stands_below_its_field(tmp_path):
    made = panel(journal=str(tmp_path / "no" / "folder" / "runs.db"))
    assert made.start() is None
    assert "Journal" in problems(made)["journal"]


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"headers": f"Authorization: Bearer {HUSH}"}, "headers"),
        ({"headers": f"X-Api-Key: {HUSH}"}, "headers"),
        ({"headers": f"Referer: http://127.0.0.1/?token={HUSH}"}, "headers"),
        ({"proxy": f"http://me:{HUSH}@127.0.0.1:1"}, "proxy"),
        ({"requests": f"http://me:{HUSH}@127.0.0.1:9/"}, "requests"),
        ({"requests": f"{URL}?page=1&token={HUSH}"}, "requests"),
        ({"requests": f"{URL}?page={{{{one}}}}&token={HUSH}"}, "requests"),
        ({"requests": f"{URL}?key={HUSH}{HUSH}"}, "requests"),
        ({"requests": f"GET {URL}\nAuthorization: Bearer {HUSH}"}, "requests"),
        ({"requests": f"@token = {HUSH}\nGET {URL}\nX-A: b"}, "requests"),
        ({"requests": f"@mine = {HUSH}\nGET {URL}\nAuthorization: Bearer {{{{mine}}}}"}, "requests"),
        ({"requests": f'POST {URL}\n{JSON}\n\n{{"password": "{HUSH}"}}'}, "requests"),
        ({"requests": f"curl -u me:{HUSH} {URL}"}, "requests"),
        ({"requests": f"curl -b sid={HUSH} {URL}"}, "requests"),
        ({"requests": f"curl {URL} -d 'password={HUSH}'"}, "requests"),
        ({"requests": f"Authorization: Bearer {HUSH}"}, "requests"),
        ({"requests": f"GET {URL}\nAuthorization Bearer {HUSH}"}, "requests"),
        ({"method": "POST", "data": f'{{"password": "{HUSH}"}}'}, "data"),
        ({"method": "POST", "data": f"a=1&client_secret={HUSH}"}, "data"),
        ({"auth": HUSH}, "auth"),
        ({"auth": f"Bearer {HUSH}"}, "auth"),
        ({"concurrency": HUSH}, "concurrency"),
        ({"select": f"{HUSH}["}, "select"),
    ],
)
def test_a_secret_written_out_is_refused_and_not_repeated(content, field):
    made = panel(**content)
    assert made.start() is None
    assert field in problems(made)
    assert HUSH not in str(problems(made)) + made._note.value + "".join(shown(one) for one in made.fields.values())
    with pytest.raises(FastreqError) as raised:
        made.order()
    assert HUSH not in str(raised.value)


def test_the_cell_is_not_given_out_with_a_secret():
    with pytest.raises(FastreqError, match="holds a secret"):
        _ = panel(headers=f"X-Api-Key: {HUSH}").cell


@pytest.mark.parametrize(
    "content",
    [
        {"headers": "Authorization: Bearer {{$env HOME}}"},
        {"requests": f"{URL}?token={{{{$env HOME}}}}&page=1&page_token=17"},
        {"requests": "http://me:{{$env HOME}}@127.0.0.1:9/"},
        {"requests": f"curl -u 'me:{{{{$env HOME}}}}' {URL}"},
        {"requests": f"{URL}?key=colour"},
        {"method": "POST", "data": '{"key": "colour", "token": null, "password": "{{$env HOME}}"}'},
    ],
)
def test_a_secret_of_the_environment_and_a_harmless_key_are_taken(content):
    made = panel(**content)
    for field in made.fields.values():
        field.check()
    assert problems(made) == {}


def test_several_wrong_fields_are_all_told_and_named_below():
    made = panel(concurrency="0", auth="nobody", name="1x")
    assert made.start() is None
    assert set(problems(made)) == {"concurrency", "auth", "name"}
    assert "3 fields need attention: Variable, Concurrency, Auth" in made._note.value


def test_the_line_below_goes_when_all_is_mended():
    made = panel(concurrency="0", auth="nobody")
    made.start()
    made.fields["concurrency"].control.value = "2"
    assert "1 field needs attention: Auth" in made._note.value
    made.fields["auth"].control.value = ""
    assert made._note.value == ""
    assert problems(made) == {}


def test_what_another_field_mends_is_looked_at_again():
    made = panel(rate_limit="5/min", rate_limit_burst="10")
    made.start()
    assert "rate_limit_burst" in problems(made)
    made.fields["rate_limit"].control.value = "20/min"
    assert problems(made) == {}
    assert made._note.value == ""


def test_a_message_is_one_line_neutral_and_short():
    evil = "\x1b[31m\u202e<script>" + "x" * 1_000_000 + "\n"
    made = panel(each=evil, select=evil, name=evil, requests=f"http://127.0.0.1:9/{{{{{'x' * 100_000}}}}}")
    assert made.start() is None
    for problem in [*problems(made).values(), made._note.value]:
        assert len(problem) < 400
        assert problem.isprintable()
    assert "<script>" not in "".join(shown(field) for field in made.fields.values())


@pytest.mark.parametrize("name", ["print", "list", "display", "In"])
def test_a_variable_that_hides_a_name_of_python_is_warned_of(name):
    made = panel(name=name)
    assert "a name of Python itself" in shown(made.fields["name"])
    assert problems(made) == {}


def test_a_body_that_looks_like_json_is_told_the_missing_header():
    made = panel(data='{"a": 1}')
    assert "Content-Type: application/json under Headers" in shown(made.fields["data"])
    made.fields["headers"].control.value = JSON
    assert "This looks like JSON" not in shown(made.fields["data"])


@pytest.mark.slow
@pytest.mark.parametrize("piece", ["{{", "{{a", "}}", '"', "\\", "[", '{"a":', "token=", "&", "@", "//", "key="])
def test_a_lot_of_anything_is_looked_at_in_bounded_time(piece):
    made = panel(headers=JSON, method="POST")
    for name in ("data", "requests", "each", "select", "headers", "auth"):
        made.fields[name].control.value = piece * (200_000 // len(piece))
    assert made.start() is None
    assert all(len(problem) <= 300 for problem in problems(made).values())
