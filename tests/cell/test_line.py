"""The line of the magics, and placeholders in its options."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastreq_jupyter.cell.line import fill_options, parse_line, split_line
from fastreq_jupyter.errors import OptionError
from fastreq_jupyter.options import TABLE, Options


def refused(text, *, cell=True):
    with pytest.raises(OptionError) as caught:
        parse_line(text, cell=cell)
    return str(caught.value)


def test_a_cell_has_a_name_and_options():
    line = parse_line("orders -c 50 --rate-limit=60/min --fresh --journal runs.db", cell=True)
    assert line.name == "orders"
    assert line.url is None
    assert line.options == {"concurrency": "50", "rate_limit": "60/min", "fresh": True, "journal": "runs.db"}


def test_a_line_has_a_url_and_options():
    line = parse_line("https://h/[0-9]?a=1&b={{ row.a b }} -t90s", cell=False)
    assert line.url == "https://h/[0-9]?a=1&b={{ row.a b }}"
    assert line.options == {"timeout": "90s"}


def test_an_empty_line_opens_the_panel():
    assert parse_line("", cell=False).url is None


def test_every_flag_of_the_table_is_known():
    for name, row in TABLE.items():
        if "magic" not in row.doors:
            continue
        for flag, value in row.switches.items():
            assert parse_line(flag, cell=True).options == {name: value}
        for flag in {row.long_flag, *row.flags} - set(row.switches):
            line = parse_line(f"{flag} somevalue", cell=True)
            found = line.options.get(name, line.lookups.get(name))
            assert found in ("somevalue", ("somevalue",))


def test_what_is_read_fits_the_options():
    line = parse_line("-c 5 -k --check 5% --expand --http2 -H 'A: b' -H 'C: d' -X post -d '{\"a\": 1}'", cell=True)
    options = Options.of(**line.options)
    assert (options.concurrency, options.verify_ssl, options.expand, options.http2, options.method) == (5, False, True, True, "POST")
    assert options.headers == (("A", "b"), ("C", "d"))
    assert options.data == '{"a": 1}'


def test_each_is_repeated_and_quoted():
    line = parse_line('--each "orders.head(10)" --each url=links --zip', cell=True)
    assert [(spec.element, spec.expression) for spec in line.each] == [(None, "orders.head(10)"), ("url", "links")]
    assert line.options["each"] == ("orders.head(10)", "url=links")


def test_names_of_variables_are_left_to_be_looked_up():
    line = parse_line("--auth creds --session client --cert ./a.pem", cell=True)
    assert line.lookups == {"auth": "creds", "session": "client", "cert": "./a.pem"}


def test_optional_values_take_the_next_word_only_where_it_can_be_nothing_else():
    assert parse_line("--expand items", cell=True).name == "items"
    assert parse_line("out --expand items", cell=True).options == {"expand": "items"}
    assert parse_line("--expand=items out", cell=True).options == {"expand": "items"}
    assert parse_line("--expand data.items out", cell=True).options == {"expand": "data.items"}
    assert parse_line("--check out", cell=True).options == {"check": True}
    assert parse_line("--check 5% out", cell=True).name == "out"
    assert parse_line("--pages out", cell=True).name == "out"
    assert parse_line("--pages link", cell=True).options == {"pages": "link"}
    assert parse_line("--pages offset=0:100 out", cell=True).options == {"pages": "offset=0:100"}
    assert parse_line("--pages http://h/", cell=False).options == {"pages": "auto"}


def test_help_and_examples_are_asked_for():
    assert parse_line("--help", cell=False).help == ""
    assert parse_line("orders -h", cell=True).help == ""
    assert parse_line("--help --cache", cell=False).help == "--cache"
    assert parse_line("https://host/", cell=False).help is None
    assert parse_line("--examples", cell=False).examples


def test_quotes_and_backslashes():
    assert split_line(r"""a 'b c' "d \"e\"" f\ g C:\x {{ h i }} j{{k l}}m '' \{{n}}""") == [
        "a", "b c", 'd "e"', "f g", r"C:\x", "{{ h i }}", "j{{k l}}m", "", r"\{{n}}",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "cell", "said"),
    [
        ("--concurency 5", True, "did you mean --concurrency"),
        ("-m 5", True, "--timeout"),
        ("-u a:b", True, "--auth NAME"),
        ("--verify-ssl", True, "needs a value"),
        ("--json x", True, "body in the cell"),
        ("--keys x", True, "unknown option --keys: use a function"),
        ("--parse-func f", True, "unknown option --parse-func: use a function"),
        ("--next", True, "use --pages auto"),
        ("--text", True, "unknown option --text; %fastreq --help"),
        ("-k=1", True, "takes no value"),
        ("a b", True, "one NAME"),
        ("http://h/", True, "below this line"),
        ("a-b", True, "variable's name"),
        ("class", True, "variable's name"),
        ("http://h/ http://h/", False, "one URL"),
        ("http://h/{x}", False, "{{x}}"),
        ("http://h/$x", False, "{{x}}"),
        ("http://h/${x}", False, "{{x}}"),
        ("'abc", True, "not closed"),
        ("-t 5 -t 6", True, "given twice"),
        ("--each ''", True, "a name, or an expression"),
    ],
)
def test_a_wrong_line_is_refused_in_one_line(text, cell, said):
    message = refused(text, cell=cell)
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "text",
    [
        "--tokn=sk-123456",
        "--auth sk-123456",
        "--auth 'sk-123456 x'",
        "out sk-123456",
        "--auth a --auth sk_123456",
        "'sk-123456",
        "-u ada:sk-123456",
    ],
)
def test_a_secret_is_never_echoed(text):
    assert "123456" not in refused(text)


def test_dollar_parameters_of_odata_are_left():
    assert parse_line("https://h/x?$top=5&$skip=2", cell=False).url == "https://h/x?$top=5&$skip=2"


@settings(deadline=None)
@given(st.text(max_size=60), st.booleans())
def test_no_line_raises_anything_else(text, cell):
    try:
        parse_line(text, cell=cell)
    except OptionError as error:
        said = str(error)
    else:
        said = ""
    assert "\n" not in said


def filled(line, **namespace):
    return fill_options(parse_line(line, cell=True).options, namespace)


def refused_filling(line, **namespace):
    with pytest.raises(OptionError) as caught:
        filled(line, **namespace)
    return str(caught.value)


def test_an_option_that_is_one_placeholder_gets_the_value_itself():
    assert filled("-c {{n}} --timeout {{limits.slow}}", n=3, limits={"slow": 2.5}) == {"concurrency": 3, "timeout": 2.5}


def test_within_other_text_the_value_is_text():
    assert filled("--journal runs-{{day}}.db", day=7) == {"journal": "runs-7.db"}


def test_the_environment_can_be_named(monkeypatch):
    monkeypatch.setenv("PROXY_HOST", "p.example")
    assert filled("--proxy http://{{$env PROXY_HOST}}:1") == {"proxy": "http://p.example:1"}


def test_what_is_filled_for_each_row_is_left():
    line = "-H 'A: {{x}}' -d {{y}} --save-to img/{{z}}"
    assert filled(line) == {"headers": ("A: {{x}}",), "data": "{{y}}", "save_to": "img/{{z}}"}


def test_a_name_that_is_not_there_is_told_with_its_option():
    assert (
        refused_filling("-c {{m}}", n=3)
        == "concurrency: {{m}}: nothing in the cell or the notebook is named 'm'; \\{{ is for the braces themselves"
    )


@pytest.mark.parametrize(("line", "shown"), [("-c {n}", "{n}"), ("-c $n", "$n"), ("-H 'A: x{n}'", "{n}"), ("-d '{\"a\": ${n}}'", "${n}")])
def test_what_ipython_would_have_replaced_is_refused(line, shown):
    assert refused_filling(line, n=3) == f"{shown} is not replaced here: write {{{{n}}}} for the variable"


@pytest.mark.parametrize("line", ["-H 'A: $5 {}'", "-d '{\"n\": 1}'", "--select '{n: m}'", "-d '{{n}}'", "--select '{a: x}.$n'"])
def test_other_braces_and_signs_are_text(line):
    assert filled(line, a=3, x=1)
