"""The form: its controls come from the table of options, and say what a magic's line would say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ipywidgets import Checkbox, Dropdown, Text, Textarea, Widget
from ipywidgets.widgets.widget import _instances

from fastreq_jupyter.cell.line import parse_line, split_line
from fastreq_jupyter.errors import FastreqError
from fastreq_jupyter.notebook.form.cell import field_words, quoted
from fastreq_jupyter.notebook.form.checks import label_of
from fastreq_jupyter.notebook.form.fields import help_of, make_fields
from fastreq_jupyter.notebook.form.panel import Panel
from fastreq_jupyter.options import TABLE, Options

URL = "http://127.0.0.1:9/x"
SPECIMENS = {
    "concurrency": "7", "concurrency_per_host": "2", "rate_limit": "60/min", "rate_limit_per_host": "5", "rate_limit_burst": "3", "max_retries": "0",
    "timeout": "90s", "deadline": "2h", "max_failures": "5%", "check": "10", "max_body": "10MB", "max_redirects": "3", "http2": "True",
    "verify_ssl": "False", "proxy": "none", "headers": "Accept: a/b\nX-Say: it's \"so\"", "save_to": "out/{{id}}.json", "journal": "my runs.db",
    "max_age": "12h", "limit": "5", "select": "items[*].id", "expand": "True", "auth": "credentials", "session": "client", "each": "orders\nlist(range(3))",
    "backend": "aiohttp", "return_type": "json", "columns": "all",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _closed():
    yield
    Widget.close_all()


def panel(requests=URL, **content):
    made = Panel(requests, namespace={"credentials": ("u", "p"), "client": None, "orders": [1]})
    for name, value in content.items():
        made.fields[name].control.value = value
    return made


def line_of(made):
    return made.cell.partition("\n")[0].removeprefix("%%fastreq")


def test_every_option_of_the_panel_has_a_control():
    wanted = {name for name, row in TABLE.items() if "panel" in row.doors}
    assert panel().fields.keys() == wanted | {"requests", "name", "ca"}


def test_an_empty_form_gives_an_empty_line():
    assert panel().cell == f"%%fastreq\n{URL}"


def test_controls_fit_what_an_option_takes():
    kinds = {kind: [name for name, field in panel().fields.items() if type(field.control) is kind] for kind in (Dropdown, Textarea)}
    assert sorted(kinds[Dropdown]) == ["backend", "columns", "http2", "method", "parse", "return_type", "verify_ssl"]
    assert sorted(kinds[Textarea]) == ["data", "each", "headers", "requests"]
    assert (type(panel().fields["dedup"].control), type(panel().fields["concurrency"].control)) == (Checkbox, Text)


@pytest.mark.parametrize("name", sorted(SPECIMENS))
def test_what_a_control_holds_is_what_the_line_says(name):
    made = panel(**{name: SPECIMENS[name]})
    line = parse_line(line_of(made), cell=True)
    if name in ("auth", "session"):
        assert line.lookups == {name: SPECIMENS[name]}
    elif name == "each":
        assert [spec.text for spec in line.each] == SPECIMENS[name].splitlines()
    else:
        text = tuple(SPECIMENS[name].splitlines()) if name == "headers" else SPECIMENS[name] == "True" or SPECIMENS[name]
        read = getattr(Options.of(**line.options), name) if name != "max_age" else TABLE[name].read(line.options[name])
        assert read == TABLE[name].read(text)


@pytest.mark.parametrize(
    "name", [name for name, row in TABLE.items() if isinstance(row.default, bool) and row.switches.keys() - {"-k"} and "panel" in row.doors]
)
def test_a_box_that_was_ticked_or_cleared_is_a_switch(name):
    line = parse_line(line_of(panel(**{name: not TABLE[name].default})), cell=True)
    assert line.options == {name: not TABLE[name].default}


@given(st.text(st.characters(blacklist_characters="\n\r", blacklist_categories=["Cs"]), min_size=1))
def test_any_text_survives_being_quoted(text):
    if "{{" in text or text.isspace():
        return
    assert split_line(quoted(text)) == [text]


def test_every_field_has_a_name_and_says_what_it_means():
    for name, field in panel().fields.items():
        assert field.control.description == field.label == label_of(name)
        assert 5 < len(help_of(name)) < 110, name
        assert help_of(name).split("<")[0].split("{")[0] in field.box.children[1].value.replace("&#x27;", "'")


def test_a_field_shows_its_default_as_a_hint():
    hints = {name: panel().fields[name].control.placeholder for name in ("concurrency", "timeout", "max_body", "name")}
    assert hints == {"concurrency": "20", "timeout": "e.g. 90s", "max_body": "100 MiB", "name": "e.g. orders"}


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"concurrency": 3, "max_retries": 0}, "-c 3 --retries 0"),
        ({"verify_ssl": False}, "-k"),
        ({"verify_ssl": __file__}, f"--ca {__file__}"),
        ({"http2": True}, "--http2"),
        ({"http2": False}, "--http1"),
        ({"check": True, "expand": True}, "--check --expand"),
        ({"check": "5%"}, "--check=5%"),
        ({"timeout": 2.5, "limit": 7}, "-t 2.5 --limit 7"),
        ({"headers": {"Accept": "a/b", "X-N": 1}}, "-H 'Accept: a/b' -H 'X-N: 1'"),
        ({"headers": [("Accept", "a/b")]}, "-H 'Accept: a/b'"),
        ({"headers": "Accept: a/b"}, "-H 'Accept: a/b'"),
        ({"each": "orders"}, "--each orders"),
        ({"each": ["orders", "range(3)"]}, "--each orders --each 'range(3)'"),
        ({"method": "post", "json": {"a": [1]}}, "-X POST -d '{\"a\": [1]}' -H 'Content-Type: application/json'"),
        ({"method": "FROB"}, "-X FROB"),
        ({"concurrency": None, "verify_ssl": True, "dedup": False}, ""),
        ({"dedup": True, "follow_redirects": False}, "--dedup --no-redirects"),
        ({"auth": "credentials"}, "--auth credentials"),
        ({"name": "rows"}, "rows"),
    ],
)
def test_a_form_is_opened_with_what_functions_take(options, line):
    assert sorted(split_line(line_of(Panel(URL, namespace={"credentials": ""}, **options)))) == sorted(split_line(line))


def test_a_setting_of_config_is_what_an_empty_field_means():
    fields = make_fields({"concurrency": 7, "dedup": True, "http2": True}, {}, {})
    assert fields["concurrency"].control.placeholder == "7"
    assert [word for field in fields.values() for word in field_words(field)] == []
    fields["concurrency"].control.value, fields["dedup"].control.value, fields["http2"].control.value = "20", False, "auto"
    assert [word for field in fields.values() for word in field_words(field)] == ["-c", "20", "--http2=auto", "--dedup=False"]


def test_a_secret_of_config_stands_in_no_control():
    secrets = {
        "auth": ("me", "hunter2hunter2"),
        "proxy": "http://me:hunter2hunter2@127.0.0.1",
        "headers": (("Authorization", "hunter2hunter2"),),
    }
    fields = make_fields(secrets, {}, {})
    assert "hunter2" not in str([field.control.get_state() for field in fields.values()])
    assert fields["auth"].control.placeholder == "set by %config"


def test_several_urls_are_taken_as_lines():
    assert Panel([URL, f"{URL}/2"], namespace={}).cell == f"%%fastreq\n{URL}\n{URL}/2"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"concurency": 3}, "unknown option concurency: did you mean concurrency"),
        ({"retries": 3}, "use max_retries"),
        ({"concurrency": 0}, "concurrency=0 is not possible: give a whole number from 1 to 1000"),
        ({"method": "X" * 1_000_000}, "method is too long"),
        ({"concurrency": object()}, "concurrency=.* is not possible"),
        ({"parse_func": len}, "parse_func is not possible here"),
        ({"dry_run": True}, "dry_run is not possible here"),
        ({"auth": ("user", "hunter2hunter2")}, "auth takes the name of a notebook variable here"),
        ({"each": [1, 2]}, "each takes the name of a notebook variable or an expression"),
        ({"session": object()}, "session takes the name"),
        ({"json": {1, 2}}, "json cannot be written as Body"),
        ({"json": 1, "data": "x"}, "exclude each other"),
        ({"name": 3}, "name is the name of a variable"),
        ({"requests": 3}, "not int"),
        ({"requests": [URL, 3]}, "not int"),
        ({"headers": {"Authorization": "Bearer hunter2hunter2"}}, "Authorization holds a secret"),
        ({"requests": f"{URL}?token=hunter2hunter2"}, "holds a secret"),
        ({"proxy": "http://me:hunter2hunter2@127.0.0.1:1"}, "holds a secret"),
        ({"data": '{"password": "hunter2hunter2"}'}, "holds a secret"),
    ],
)
def test_what_a_form_cannot_hold_is_refused_in_one_line(options, why):
    before = set(_instances)
    with pytest.raises(FastreqError, match=why) as raised:
        Panel(**{"requests": URL, "namespace": {}, **options})
    assert "\n" not in str(raised.value)
    assert "hunter2" not in str(raised.value)
    assert set(_instances) == before


def test_no_name_of_ours_hides_one_of_the_widgets():
    from fastreq_jupyter.notebook.monitor.widget import Monitor

    for kind, meant in ((Panel, {"__init__"}), (Monitor, {"__init__", "__repr__", "_esm", "_css", "_repr_mimebundle_"})):
        own = {name for name in vars(kind) if not name.startswith("__")}
        inherited = {name for base in kind.__mro__[1:] for name in vars(base)}
        traits = {
            name for name in own if "trait" in name or name in ("_descriptors", "_instance_inits", "_static_immutable_initial_values")
        }
        assert own & inherited - traits <= meant, kind
