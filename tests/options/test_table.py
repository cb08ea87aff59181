"""The table of options: every door is made of it, and what was given once holds however often options are laid over each other."""

from __future__ import annotations

import inspect
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastreq_jupyter import fastreq
from fastreq_jupyter.errors import OptionError
from fastreq_jupyter.options import TABLE, OptionArguments, Options

rates = (
    st.none()
    | st.integers(31, 1000).map(str)
    | st.tuples(st.integers(31, 1000), st.sampled_from(["s", "min", "h"])).map("{0[0]}/{0[1]}".format)
)
GIVEN = st.fixed_dictionaries(
    {},
    optional={
        "backend": st.sampled_from(TABLE["backend"].choices),
        "concurrency": st.integers(1, 1000) | st.just("auto"),
        "rate_limit": rates,
        "rate_limit_per_host": rates,
        "rate_limit_burst": st.integers(1, 30),
        "timeout": st.none() | st.floats(0.01, 100) | st.just("90s"),
        "max_failures": st.sampled_from([None, "none", 3, "5%", 0.5]),
        "check": st.sampled_from([None, True, False, "5%", 10]),
        "max_body": st.integers(1, 10**9) | st.just("10MB"),
        "http2": st.sampled_from(["auto", True, "false"]),
        "auth": st.sampled_from([None, ("u", "p"), "token", {"http://h": ("u", "p")}]),
        "method": st.sampled_from(["get", "POST", "frob"]),
        "headers": st.sampled_from([None, {"A": "b", "C": None}, [("A", 1)], "A: b"]),
        "cookies": st.sampled_from([None, {"a": "b"}, [("a", "b")]]),
        "expand": st.sampled_from([None, True, False, "a.b"]),
        "json": st.just({"a": [1]}),
        "columns": st.sampled_from(TABLE["columns"].choices),
    },
)


@given(GIVEN)
def test_options_laid_over_options_are_the_same(words):
    options = Options.of(**words)
    assert Options.of(options) == options
    assert Options.of(None, **{name: getattr(options, name) for name in options.explicit}) == options
    assert options.over(Options()) == options


@given(GIVEN, GIVEN)
def test_what_was_given_last_holds_and_the_rest_is_kept(first, then):
    laid = Options.of(Options.of(**first), **then)
    assert laid == Options.of(**{**first, **then})
    assert laid.explicit == first.keys() | then.keys()


@pytest.mark.parametrize(
    ("layers", "burst"),
    [
        ([{"rate_limit": "60/min"}], 5),
        ([{"rate_limit": "10/min"}], 1),
        ([{"rate_limit": "60/min", "rate_limit_burst": 30}, {}, {"concurrency": 3}], 30),
        ([{"rate_limit_burst": 30}, {"rate_limit": "60/min"}], 30),
        ([{"rate_limit": "10/min"}, {"rate_limit": "60/min"}], 5),
        ([{"rate_limit": "10/min"}, {"rate_limit": None}], 5),
    ],
)
def test_a_burst_holds_when_given_and_fits_the_rate_otherwise(layers, burst):
    options = Options()
    for layer in layers:
        options = Options.of(options, **layer)
    assert options.rate_limit_burst == burst


def test_the_table_is_the_fields_of_options_in_their_order():
    assert [*TABLE, "explicit"] == list(Options.__slots__)
    assert all(getattr(Options(), name) == row.default and row.name == name for name, row in TABLE.items())


def test_functions_take_what_the_table_says_typed_as_it_says():
    takes = {name: row.takes for name, row in TABLE.items() if "function" in row.doors}
    assert {name: getattr(kind, "__forward_arg__", kind) for name, kind in OptionArguments.__annotations__.items()} == takes
    shown = list(inspect.signature(fastreq).parameters.values())[1:]
    assert {one.name: one.annotation for one in shown} == takes
    assert all(one.default == TABLE[one.name].default for one in shown)


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row.choices])
def test_each_choice_is_taken(name):
    for word in TABLE[name].choices:
        assert TABLE[name].read(TABLE[name].read(word)) == TABLE[name].read(word)


def test_a_wrong_value_is_an_error_with_its_parts():
    with pytest.raises(OptionError) as caught:
        Options.of(concurrency=0)
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert (error.option, error.value, error.allowed) == ("concurrency", 0, 'a whole number from 1 to 1000, or "auto"')
        assert error.reason == 'give a whole number from 1 to 1000, or "auto"'
        assert str(error) == 'concurrency=0 is not possible: give a whole number from 1 to 1000, or "auto"'


def test_an_error_holds_no_value_that_may_be_a_secret():
    with pytest.raises(OptionError) as caught:
        Options.of(proxy="ftp://u:hunter2@h")
    assert (caught.value.option, caught.value.value) == ("proxy", None)
    assert "hunter2" not in repr(vars(caught.value))


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ({"concurency": 1}, "concurency"),
        ({"rate_limit": "5/min", "rate_limit_burst": 10}, "rate_limit_burst"),
        ({"json": 1, "data": "x"}, "data"),
        ({"fresh": True}, "fresh"),
    ],
)
def test_every_error_names_its_option(words, option):
    with pytest.raises(OptionError) as caught:
        Options.of(**words)
    assert caught.value.option == option
