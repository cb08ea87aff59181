"""The form: its controls come from the table of options, and say what a magic's line would say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ipywidgets import Checkbox, Dropdown, Text, Widget

from fastreq_jupyter.cell.line import parse_line, split_line
from fastreq_jupyter.errors import FastreqError
from fastreq_jupyter.notebook.form import make_field, quoted
from fastreq_jupyter.notebook.form_cell import cell_text
from fastreq_jupyter.notebook.panel import Panel
from fastreq_jupyter.options import TABLE, Options

if TYPE_CHECKING:
    from serving.counting import CountingServer

URL = "http://127.0.0.1:9/x"
SPECIMENS = {
    "concurrency": "7", "concurrency_per_host": "2", "rate_limit": "60/min", "rate_limit_per_host": "5", "rate_limit_burst": "3", "max_retries": "0",
    "timeout": "90s", "deadline": "2h", "max_failures": "5%", "check": "10", "max_body": "10MB", "max_redirects": "3", "http2": "True",
    "verify_ssl": "False", "proxy": "none", "headers": "Accept: a/b\nX-Say: it's \"so\"", "save_to": "out/{{id}}.json", "journal": "my runs.db",
    "max_age": "12h", "limit": "5", "select": "items[*].id", "expand": "True", "auth": "credentials", "session": "client", "each": "orders\nlist(range(3))",
    "backend": "aiohttp", "return_type": "json",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _closed():
    yield
    Widget.close_all()


def panel(requests=URL, **content):
    made = Panel(requests, namespace={})
    for name, value in content.items():
        made.fields[name].control.value = value
    return made


def test_every_option_of_the_panel_has_a_control():
    wanted = {name for name, row in TABLE.items() if "panel" in row.doors}
    assert wanted - panel().fields.keys() == {"method", "data", "dry_run", "background", "progress", "loop"}


def test_an_empty_form_gives_an_empty_line():
    assert panel().line == ""


def test_controls_fit_what_an_option_takes():
    kinds = {name: type(panel().fields[name].control) for name in ("backend", "return_type", "dedup", "concurrency", "verify_ssl")}
    assert kinds == {"backend": Dropdown, "return_type": Dropdown, "dedup": Checkbox, "concurrency": Text, "verify_ssl": Text}


@pytest.mark.parametrize("name", sorted(SPECIMENS))
def test_what_a_control_holds_is_what_the_line_says(name):
    made = panel(**{name: SPECIMENS[name]})
    line = parse_line(made.line, cell=True)
    if name in ("auth", "session"):
        assert line.lookups == {name: SPECIMENS[name]}
    elif name == "each":
        assert [spec.text for spec in line.each] == SPECIMENS[name].splitlines()
    else:
        text = tuple(SPECIMENS[name].splitlines()) if name == "headers" else SPECIMENS[name]
        read = getattr(Options.of(**line.options), name) if name != "max_age" else TABLE[name].read(line.options[name])
        assert read == TABLE[name].read(text)


@pytest.mark.parametrize(
    "name", [name for name, row in TABLE.items() if isinstance(row.default, bool) and row.switches.keys() - {"-k"} and "panel" in row.doors]
)
def test_a_box_that_was_ticked_or_cleared_is_a_switch(name):
    if name in ("dry_run", "background"):
        pytest.skip("a button and the panel's nature")
    line = parse_line(panel(**{name: not TABLE[name].default}).line, cell=True)
    assert line.options == {name: not TABLE[name].default}


@given(st.text(st.characters(blacklist_characters="\n\r", blacklist_categories=["Cs"]), min_size=1))
def test_any_text_survives_being_quoted(text):
    if "{{" in text or text.isspace():
        return
    assert split_line(quoted(text)) == [text]


@pytest.mark.parametrize(
    ("name", "value"), [("concurrency", "0"), ("rate_limit", "fast"), ("timeout", "-1"), ("headers", "no colon"), ("auth", "a secret!")]
)
def test_a_wrong_field_is_told_beside_it_and_starts_nothing(name, value):
    made = panel(**{name: value})
    assert made.fields[name].check() is not None
    assert made.start() is None
    assert made.run is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("headers", "Authorization: Bearer abcdefghijkl"), ("proxy", "http://me:password@127.0.0.1:1")],
)
def test_a_secret_is_not_taken_into_a_form_that_a_notebook_keeps(field, value):
    made = panel(**{field: value})
    problem = made.fields[field].check()
    assert problem is not None
    assert value.split()[-1] not in problem
    assert made.start() is None


def test_a_secret_of_the_environment_is_taken():
    assert panel(headers="Authorization: Bearer {{$env TOKEN}}").fields["headers"].check() is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"requests": "  "}, "no request"),
        ({"requests": "http://me:secretpassword@127.0.0.1:9/"}, "holds a secret"),
        ({"name": "not a name"}, "no name of a Python variable"),
        ({"name": "class"}, "no name of a Python variable"),
        ({"requests": "POST http://127.0.0.1:9/\n\nx", "body": "a\nb"}, "below its request"),
        ({"requests": "http://127.0.0.1:9/{{missing}}"}, "missing"),
    ],
)
def test_what_no_run_should_begin_with_is_refused(change, why):
    made = panel()
    for name, value in change.items():
        getattr(made, name).value = value
    with pytest.raises(FastreqError, match=why):
        made.order()


def test_a_body_of_several_lines_goes_below_each_url():
    assert (
        cell_text("http://a/1\nhttp://a/2", "post", '{\n"a": 1}') == 'POST http://a/1\n\n{\n"a": 1}\n\n###\nPOST http://a/2\n\n{\n"a": 1}'
    )


def test_what_runs_is_what_the_cell_says(counting_server: CountingServer):
    made = Panel(f"{counting_server.url}/a\n{counting_server.url}/b", "rows", namespace={}, max_retries="0")
    made.method.value, made.body.value = "POST", '{"id": 7}'
    made.fields["headers"].control.value = "X-Say: it's"
    assert made.cell.startswith('%%fastreq rows -X POST -d \'{"id": 7}\' --retries 0 -H "X-Say: it\'s"\n')
    run = made.start()
    assert run.wait(10)
    assert [(a.method, a.path, a.body, a.headers["x-say"]) for a in counting_server.arrivals] == [
        ("POST", "/a", b'{"id": 7}', "it's"),
        ("POST", "/b", b'{"id": 7}', "it's"),
    ]
    assert made.df.status.tolist() == [200, 200]


def test_a_dry_run_sends_nothing(counting_server: CountingServer):
    made = Panel(f"{counting_server.url}/[1-5]", namespace={})
    made._preview()
    assert counting_server.arrivals == []
    assert "/5" in made._below.children[0].value


def test_no_name_of_ours_hides_one_of_the_widgets():
    from fastreq_jupyter.notebook.monitor import Monitor

    for kind, meant in ((Panel, {"__init__"}), (Monitor, {"__init__", "__repr__", "_esm", "_css", "_repr_mimebundle_"})):
        own = {name for name in vars(kind) if not name.startswith("__")}
        inherited = {name for base in kind.__mro__[1:] for name in vars(base)}
        traits = {
            name for name in own if "trait" in name or name in ("_descriptors", "_instance_inits", "_static_immutable_initial_values")
        }
        assert own & inherited - traits <= meant, kind


def test_a_field_shows_its_default_as_a_hint():
    assert (make_field("concurrency").control.placeholder, make_field("timeout").control.placeholder) == ("20", "e.g. 90s")
